//! The settings by themselves: faults as the server would report them, and what is allowed but seldom meant.

use url::Url;

use super::Check;
use crate::config::{Config, ConfigError, CredentialConfig, UserAssignedIdentity};
use crate::tool;

/// Settings that the server would refuse to start with.
pub(super) fn faults(error: &ConfigError) -> Vec<Check> {
    let fault = |fault: &crate::config::Fault| {
        Check::error("settings", format!("{} {}", fault.variable, fault.problem), format!("mend {}", fault.variable))
    };
    let mut checks: Vec<Check> = error.faults.iter().map(fault).collect();
    checks.push(Check::skipped("everything else", "not looked at before the settings are usable"));
    checks
}

/// Settings that are usable.
pub(super) fn look(config: &Config, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<Check> {
    let mut checks = vec![Check::ok("settings", "every setting is usable")];
    checks.push(credential(config, lookup));
    checks.extend(audience(config));
    checks.push(public_url(config, lookup));
    checks.push(scopes(config));
    checks.push(Check::info(
        "identifier-uris",
        format!(
            "the app registration needs these Application ID URIs, to the letter: {} and {}",
            config.mcp_url.as_str(),
            config.base_url.as_str()
        ),
    ));
    checks
}

fn credential(config: &Config, lookup: &dyn Fn(&str) -> Option<String>) -> Check {
    const NAME: &str = "credential-choice";
    let on_a_host = ["IDENTITY_ENDPOINT", "WEBSITE_INSTANCE_ID"].iter().any(|marker| lookup(marker).is_some());
    match &config.credential {
        CredentialConfig::ManagedIdentity(_) if !on_a_host => Check::warning(
            NAME,
            "managed identity, but this is no App Service, Functions or Container Apps host (IDENTITY_ENDPOINT is not set)",
            "run doctor on the host; on your own machine use CLIENT_CERTIFICATE_PATH or CLIENT_SECRET",
        ),
        CredentialConfig::ManagedIdentity(UserAssignedIdentity::ClientId(_)) => {
            Check::ok(NAME, "managed identity, by its client ID")
        }
        CredentialConfig::ManagedIdentity(UserAssignedIdentity::ObjectId(_)) => {
            Check::ok(NAME, "managed identity, by its object (principal) ID")
        }
        CredentialConfig::TokenFile(_) => Check::ok(NAME, "workload-identity token file"),
        CredentialConfig::Certificate(_) => Check::ok(NAME, "client certificate"),
        CredentialConfig::Secret(_) => Check::warning(
            NAME,
            "client secret: for development",
            "in production set MANAGED_IDENTITY_CLIENT_ID and add a federated credential; then nothing needs rotating",
        ),
    }
}

/// `AUDIENCE` misleads many: v2.0 tokens always carry the client ID.
fn audience(config: &Config) -> Option<Check> {
    (config.audience != config.client_id && !config.accept_v1_tokens).then(|| {
        Check::warning(
            "audience",
            "AUDIENCE is set but v1.0 tokens are not accepted, so nothing compares with it",
            "remove it: v2.0 tokens always carry CLIENT_ID as aud",
        )
    })
}

fn public_url(config: &Config, lookup: &dyn Fn(&str) -> Option<String>) -> Check {
    const NAME: &str = "public-url";
    let url = config.base_url.as_str();
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let own = lookup("WEBSITE_HOSTNAME").filter(|name| !name.trim().is_empty());
    match own {
        Some(own) if !own.starts_with("localhost") && !own.eq_ignore_ascii_case(&host) => Check::warning(
            NAME,
            format!("clients are told {url}, while the app's own name is {own}"),
            "right for a custom domain or a gateway; otherwise set RESOURCE_SERVER_URL to the app's own URL",
        ),
        _ => Check::ok(NAME, format!("clients connect to {}", config.mcp_url.as_str())),
    }
}

fn scopes(config: &Config) -> Check {
    const NAME: &str = "scopes";
    let names: Vec<String> = tool::advertised_scopes().into_iter().map(|scope| config.qualified_scope(scope)).collect();
    let names = names.join(" ");
    let of_this_app = [config.mcp_url.as_str(), config.base_url.as_str(), &format!("api://{}", config.client_id)];
    if of_this_app.contains(&config.scope_uri.as_str()) {
        Check::ok(NAME, format!("clients ask for {names}"))
    } else {
        Check::warning(
            NAME,
            format!("clients ask for {names}, under a URI that is neither this server's nor api://<CLIENT_ID>"),
            "make sure SCOPE_URI is an Application ID URI of CLIENT_ID's registration: Entra refuses a scope of one \
             application beside the resource of another (AADSTS9010010)",
        )
    }
}
