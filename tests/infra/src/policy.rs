//! What must be in a deployment, and what must not.

use std::collections::BTreeMap;

use crate::Finding;
use crate::bicep::{Resource, Template};

/// App settings that Flex Consumption refuses or that would undo what is set elsewhere.
pub const FORBIDDEN_SETTINGS: &[&str] = &[
    "AzureWebJobsStorage",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_EXTENSION_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTSHARE",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "ENABLE_ORYX_BUILD",
    "CLIENT_SECRET",
    "ALLOW_CLIENT_SECRET_IN_AZURE",
];

/// A property that must have exactly this value: file, type, path, value.
pub const REQUIRED: &[(&str, &str, &str, &str)] = &[
    ("modules/function-app.bicep", "Microsoft.Web/sites", "properties.httpsOnly", "true"),
    ("modules/function-app.bicep", "Microsoft.Web/sites", "properties.siteConfig.minTlsVersion", "'1.2'"),
    ("modules/function-app.bicep", "Microsoft.Web/sites", "properties.siteConfig.scmMinTlsVersion", "'1.2'"),
    ("modules/function-app.bicep", "Microsoft.Web/sites", "properties.siteConfig.ftpsState", "'Disabled'"),
    ("modules/function-app.bicep", "Microsoft.Web/sites", "identity.type", "'UserAssigned'"),
    ("modules/function-app.bicep", "Microsoft.Web/sites", "properties.functionAppConfig.runtime.name", "'custom'"),
    ("modules/function-app.bicep", "Microsoft.Web/sites", "properties.functionAppConfig.runtime.version", "'1.0'"),
    (
        "modules/function-app.bicep",
        "Microsoft.Web/sites",
        "properties.functionAppConfig.deployment.storage.authentication.type",
        "'UserAssignedIdentity'",
    ),
    (
        "modules/function-app.bicep",
        "Microsoft.Web/sites",
        "properties.functionAppConfig.scaleAndConcurrency.alwaysReady.0.name",
        "'http'",
    ),
    (
        "modules/function-app.bicep",
        "Microsoft.Web/sites",
        "properties.functionAppConfig.scaleAndConcurrency.alwaysReady.0.instanceCount",
        "alwaysReadyInstances",
    ),
    ("modules/plan.bicep", "Microsoft.Web/serverfarms", "sku.name", "'FC1'"),
    ("modules/storage.bicep", "Microsoft.Storage/storageAccounts", "properties.allowSharedKeyAccess", "false"),
    ("modules/storage.bicep", "Microsoft.Storage/storageAccounts", "properties.allowBlobPublicAccess", "false"),
    ("modules/storage.bicep", "Microsoft.Storage/storageAccounts", "properties.minimumTlsVersion", "'TLS1_2'"),
    ("modules/monitoring.bicep", "Microsoft.Insights/components", "properties.DisableLocalAuth", "true"),
    (
        "modules/monitoring.bicep",
        "Microsoft.OperationalInsights/workspaces",
        "properties.features.disableLocalAuth",
        "true",
    ),
    ("modules/entra-api.bicep", "Microsoft.Graph/applications", "api.requestedAccessTokenVersion", "2"),
    ("modules/entra-api.bicep", "Microsoft.Graph/applications", "signInAudience", "'AzureADMyOrg'"),
    (
        "modules/entra-api.bicep",
        "Microsoft.Graph/applications/federatedIdentityCredentials",
        "subject",
        "identityPrincipalId",
    ),
    (
        "modules/entra-api.bicep",
        "Microsoft.Graph/applications/federatedIdentityCredentials",
        "issuer",
        "'${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'",
    ),
    (
        "modules/entra-api.bicep",
        "Microsoft.Graph/applications/federatedIdentityCredentials",
        "audiences",
        "[audiences[environment().name]]",
    ),
    ("modules/entra-client.bicep", "Microsoft.Graph/applications", "isFallbackPublicClient", "true"),
];

/// Role definitions that the identity may have: each with its reason in `roles.bicep`.
const ROLES: &[&str] = &["'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'", "'3913510d-42f4-4e42-8a64-420c390055eb'"];

/// What is against these rules.
#[must_use]
pub fn findings(templates: &BTreeMap<String, Template>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, kind, path, value) in REQUIRED {
        let found = resource(templates, file, kind).and_then(|resource| resource.get(path));
        if found != Some(value) {
            let found = found.unwrap_or("nothing");
            findings.push(Finding(format!("{file}: {kind} must have {path}: {value}, and has {found}")));
        }
    }
    for name in settings(templates) {
        if FORBIDDEN_SETTINGS.contains(&name.as_str()) {
            findings.push(Finding(format!("modules/app-settings.bicep: {name} must not be set")));
        }
    }
    for (file, template) in templates {
        for resource in &template.resources {
            findings.extend(forbidden(file, resource));
        }
    }
    for name in ["ftp", "scm"] {
        if !publishing_is_off(templates, name) {
            findings.push(Finding(format!("modules/function-app.bicep: basic publishing by {name} must be off")));
        }
    }
    findings
}

/// Names of the app settings that are written.
#[must_use]
pub fn settings(templates: &BTreeMap<String, Template>) -> Vec<String> {
    let written = templates.get("modules/app-settings.bicep").into_iter().flat_map(|template| &template.resources);
    let written = written.filter(|resource| resource.kind == "config").flat_map(|resource| &resource.properties);
    written.filter_map(|(path, _)| path.strip_prefix("properties.").map(str::to_owned)).collect()
}

fn resource<'a>(templates: &'a BTreeMap<String, Template>, file: &str, kind: &str) -> Option<&'a Resource> {
    templates.get(file)?.resources.iter().find(|resource| resource.kind == kind)
}

/// What no file may have.
fn forbidden(file: &str, resource: &Resource) -> Option<Finding> {
    let say = |problem: &str| Some(Finding(format!("{file}: {problem}")));
    let named = |name: &str| resource.get("name").is_some_and(|value| value.contains(name));
    if resource.kind == "config" && named("authsettings") {
        return say("Easy Auth must be absent");
    }
    if resource.kind == "passwordCredentials"
        || resource.properties.iter().any(|(path, _)| path.contains("passwordCredentials"))
    {
        return say("an application must have no secret");
    }
    if resource.kind == "Microsoft.Authorization/roleAssignments" {
        let role = resource.get("properties.roleDefinitionId").unwrap_or_default();
        let known = ["storageBlobDataOwner", "monitoringMetricsPublisher"].iter().any(|name| role.contains(name));
        if !known {
            return say("a role is given that is not needed");
        }
        if resource.get("scope").is_none() {
            return say("a role must be given on one resource, not on the group");
        }
    }
    None
}

fn publishing_is_off(templates: &BTreeMap<String, Template>, name: &str) -> bool {
    let Some(template) = templates.get("modules/function-app.bicep") else { return false };
    template.resources.iter().any(|resource| {
        resource.kind == "basicPublishingCredentialsPolicies"
            && resource.get("name") == Some(&format!("'{name}'"))
            && resource.get("properties.allow") == Some("false")
    })
}

/// The role definitions that `roles.bicep` names are exactly these.
#[must_use]
pub fn roles_are_the_least(text: &str) -> bool {
    let named = text.split('\'').filter(|part| part.len() == 36 && part.matches('-').count() == 4).count();
    named == ROLES.len() && ROLES.iter().all(|role| text.contains(role))
}
