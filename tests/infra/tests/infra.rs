//! The deployment's files: each rule holds, and each has a broken sample that it finds.
#![expect(clippy::unwrap_used, reason = "tests: helpers stop them too")]

use std::collections::BTreeSet;

use infra::{Files, folder, policy};
use serde_json::Value;
use shared::config::VARIABLES;
use shared::tool::{self, TOOLS};

#[test]
fn the_files_are_in_order() {
    let findings = Files::of_the_repository().findings();
    assert!(findings.is_empty(), "{findings:#?}");
}

/// File, text, what takes its place, and what must be said.
const BROKEN: &[(&str, &str, &str, &str)] = &[
    ("main.bicep", "param location string", "param location strin g = [", "is no Bicep"),
    ("main.bicep", "planId: plan.outputs.id", "planId: plam.outputs.id", "plam is not declared"),
    ("main.bicep", "'modules/plan.bicep'", "'modules/plans.bicep'", "the module modules/plans.bicep is not there"),
    ("main.bicep", "instanceMemoryMB: instanceMemoryMB", "memory: instanceMemoryMB", "has no parameter memory"),
    ("main.bicep", "    planId: plan.outputs.id\n", "", "is not given planId"),
    ("main.bicep", "identity.outputs.principalId", "identity.outputs.objectId", "has no output objectId"),
    (
        "modules/plan.bicep",
        "zoneRedundant: zoneRedundant",
        "zoneRedundant: false",
        "the parameter zoneRedundant is not used",
    ),
    ("modules/function-app.bicep", "name: 'custom'", "name: 'node'", "runtime.name"),
    (
        "modules/function-app.bicep",
        "alwaysReady: [{ name: 'http', instanceCount: alwaysReadyInstances }]",
        "alwaysReady: []",
        "alwaysReady.0.name",
    ),
    ("modules/function-app.bicep", "httpsOnly: true", "httpsOnly: false", "httpsOnly"),
    ("modules/function-app.bicep", "type: 'UserAssigned'", "type: 'SystemAssigned'", "identity.type"),
    (
        "modules/function-app.bicep",
        "name: 'scm'\n    properties: { allow: false }",
        "name: 'scm'\n    properties: { allow: true }",
        "basic publishing by scm",
    ),
    ("modules/plan.bicep", "'FC1'", "'Y1'", "sku.name"),
    ("modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "allowSharedKeyAccess"),
    ("modules/monitoring.bicep", "DisableLocalAuth: true", "DisableLocalAuth: false", "DisableLocalAuth"),
    (
        "modules/app-settings.bicep",
        "TENANT_ID: tenantId",
        "TENANT_ID: tenantId\n      CLIENT_SECRET: clientId",
        "CLIENT_SECRET must not be set",
    ),
    (
        "modules/app-settings.bicep",
        "AzureWebJobsStorage__credential",
        "AzureWebJobsStorage",
        "AzureWebJobsStorage must not be set",
    ),
    ("modules/app-settings.bicep", "name: 'appsettings'", "name: 'authsettingsV2'", "Easy Auth must be absent"),
    (
        "modules/entra-api.bicep",
        "requestedAccessTokenVersion: 2",
        "requestedAccessTokenVersion: 1",
        "requestedAccessTokenVersion",
    ),
    ("modules/entra-api.bicep", "subject: identityPrincipalId", "subject: uniqueName", "subject"),
    ("modules/entra-api.bicep", "audiences: [audiences[environment().name]]", "audiences: [uniqueName]", "audiences"),
    (
        "modules/entra-api.bicep",
        "  signInAudience: 'AzureADMyOrg'\n",
        "  signInAudience: 'AzureADMultipleOrgs'\n",
        "signInAudience",
    ),
    (
        "modules/entra-api.bicep",
        "  optionalClaims: {",
        "  passwordCredentials: [{ displayName: 'x' }]\n  optionalClaims: {",
        "no secret",
    ),
    (
        "modules/roles.bicep",
        "roleDefinitions', storageBlobDataOwner)",
        "roleDefinitions', owner)",
        "a role is given that is not needed",
    ),
    ("modules/roles.bicep", "  scope: account\n", "", "on one resource"),
    (
        "modules/entra-client.bicep",
        "isFallbackPublicClient: true",
        "isFallbackPublicClient: false",
        "isFallbackPublicClient",
    ),
];

#[test]
fn every_rule_finds_its_broken_sample() {
    let files = Files::of_the_repository();
    for (file, old, new, said) in BROKEN {
        let findings = files.with(file, old, new).findings();
        assert!(findings.iter().any(|finding| finding.0.contains(said)), "{file}, {old:?}: {findings:#?}");
    }
}

#[test]
fn every_required_property_is_missed_and_every_forbidden_setting_found() {
    let files = Files::of_the_repository();
    for (file, kind, path, _) in policy::REQUIRED {
        let mut templates = files.templates();
        let template = templates.get_mut(*file).unwrap();
        for resource in template.resources.iter_mut().filter(|resource| resource.kind == *kind) {
            resource.properties.retain(|(name, _)| name != path);
        }
        let findings = policy::findings(&templates);
        assert!(findings.iter().any(|finding| finding.0.contains(path)), "{file} {path}: {findings:#?}");
    }
    for name in policy::FORBIDDEN_SETTINGS {
        let mut templates = files.templates();
        let template = templates.get_mut("modules/app-settings.bicep").unwrap();
        for resource in &mut template.resources {
            resource.properties.push((format!("properties.{name}"), "'x'".to_owned()));
        }
        let findings = policy::findings(&templates);
        assert!(findings.iter().any(|finding| finding.0.contains(&format!("{name} must not be set"))), "{name}");
    }
}

#[test]
fn the_identity_has_the_least_roles() {
    let text = std::fs::read_to_string(folder().join("modules/roles.bicep")).unwrap();
    assert!(policy::roles_are_the_least(&text));
    let owner = text.replace("3913510d-42f4-4e42-8a64-420c390055eb", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635");
    assert!(!policy::roles_are_the_least(&owner));
}

/// Settings that make no sense in Azure, or that the platform gives.
const NOT_IN_AZURE: &[&str] = &[
    "CLIENT_SECRET",
    "ALLOW_CLIENT_SECRET_IN_AZURE",
    "FEDERATED_CREDENTIAL_OID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "CLIENT_CERTIFICATE_PATH",
    "HOST",
    "PORT",
];

/// Settings of the platform.
const PLATFORM: &[&str] = &[
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__blobServiceUri",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
];

#[test]
fn what_is_written_is_what_is_read_and_the_other_way_round() {
    let written: BTreeSet<String> = policy::settings(&Files::of_the_repository().templates()).into_iter().collect();
    let written: BTreeSet<&str> = written.iter().map(String::as_str).filter(|name| !PLATFORM.contains(name)).collect();
    let read: BTreeSet<&str> = VARIABLES.iter().copied().filter(|name| !NOT_IN_AZURE.contains(name)).collect();
    assert_eq!(written, read);
}

#[test]
fn the_parameter_file_gives_what_the_template_asks_for() {
    let templates = Files::of_the_repository().templates();
    let parameters = &templates["main.bicep"].parameters;
    let text = std::fs::read_to_string(folder().join("main.bicepparam")).unwrap();
    let given: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("param ")?.split(' ').next()).collect();
    for name in &given {
        assert!(parameters.iter().any(|(parameter, _)| parameter == name), "{name} is no parameter");
    }
    for (name, has_default) in parameters {
        assert!(*has_default || given.contains(name.as_str()), "{name} is not given");
    }
}

fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

fn values(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["value"].as_str().unwrap()).collect()
}

#[test]
fn scopes_roles_and_graph_permissions_are_what_the_tools_declare() {
    let scopes = json("scopes.json");
    let declared: BTreeSet<&str> = TOOLS.iter().map(|tool| tool.scope).chain(tool::advertised_scopes()).collect();
    assert_eq!(values(&scopes["delegated"]), declared);
    assert_eq!(values(&scopes["appRoles"]), TOOLS.iter().filter_map(|tool| tool.app_role).collect());
    assert_eq!(values(&scopes["graphDelegated"]), TOOLS.iter().flat_map(|tool| tool.downstream).copied().collect());
    for scope in scopes["delegated"].as_array().unwrap() {
        for text in
            ["adminConsentDisplayName", "adminConsentDescription", "userConsentDisplayName", "userConsentDescription"]
        {
            assert!(scope[text].as_str().is_some_and(|text| !text.is_empty()), "{text}");
        }
    }
}

#[test]
fn redirect_uris_are_absolute_and_http_only_for_this_machine() {
    let clients = json("clients.json");
    for uri in clients["redirectUris"]["publicClient"].as_array().unwrap() {
        let uri = uri.as_str().unwrap();
        let local = uri.starts_with("http://localhost") || uri.starts_with("http://127.0.0.1");
        assert!(local || uri.starts_with("https://"), "{uri}");
        assert!(!uri.ends_with('/') && !uri.contains(['*', '#']), "{uri}");
    }
    for client in clients["preAuthorized"].as_array().unwrap() {
        assert_eq!(client["clientId"].as_str().unwrap().len(), 36);
    }
}

#[test]
fn queries_look_for_what_the_server_says() {
    // The lines that alerts look for, as the code writes them.
    let sources = ["telemetry/request.rs", "auth/error.rs", "auth/jwks.rs", "obo/error.rs"]
        .map(|name| std::fs::read_to_string(folder().join("../shared/src").join(name)).unwrap());
    let said = sources.concat();
    for (file, phrases) in [
        ("authentication-failures", &["the token is refused", "request", "refusal"][..]),
        (
            "on-behalf-of-failures",
            &[
                "on-behalf-of",
                "entra asks for a step-up",
                "entra refuses",
                "entra is not able",
                "client credential is not available",
                "consent to the downstream",
            ],
        ),
        ("keys-not-refreshed", &["signing keys cannot be fetched"]),
    ] {
        let query = std::fs::read_to_string(folder().join(format!("kql/{file}.kql"))).unwrap();
        for phrase in phrases {
            assert!(query.contains(phrase), "{file} does not look for {phrase:?}");
            assert!(said.contains(phrase), "{file} looks for {phrase:?}, which nobody says");
        }
    }
}
