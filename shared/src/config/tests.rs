use std::collections::HashMap;

use support::settings;

use super::*;

const TENANT: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";
const CLIENT: &str = "00001111-aaaa-2222-bbbb-3333cccc4444";
const IDENTITY: &str = "22223333-cccc-4444-dddd-5555eeee6666";

/// A set-up that works, with one thing changed: `""` unsets a variable.
fn with(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let changes = changes.iter().copied().collect::<HashMap<&str, &str>>();
    Config::from_lookup(|name| match changes.get(name) {
        Some(value) => Some((*value).to_owned()),
        None => settings::minimal(name),
    })
}

/// The variables at fault, each once.
fn faults(changes: &[(&str, &str)]) -> Vec<&'static str> {
    let mut variables: Vec<&str> =
        with(changes).err().map(|error| error.faults.iter().map(|fault| fault.variable).collect()).unwrap_or_default();
    variables.dedup();
    variables
}

#[test]
fn a_minimal_set_up_works_with_the_documented_defaults() {
    let config = with(&[]).unwrap();
    assert_eq!(config.audience, CLIENT);
    assert_eq!(config.mcp_url.as_str(), "https://mcp.contoso.example/mcp");
    assert_eq!(config.scope_uri, "https://mcp.contoso.example/mcp");
    assert_eq!(config.issuer().as_str(), format!("https://login.microsoftonline.com/{TENANT}/v2.0"));
    assert_eq!(config.graph_base_url, "https://graph.microsoft.com");
    assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(config.jwks_refresh_interval, Duration::from_hours(1));
    assert_eq!(config.jwks_key_ttl, Duration::from_hours(24));
    assert_eq!(config.obo_min_assertion_ttl, Duration::from_mins(5));
    assert!(!config.accept_v1_tokens && !config.debug);
}

#[test]
fn every_fault_is_reported_at_once_and_no_value_is_shown() {
    let error =
        with(&[("TENANT_ID", "nonsense-1"), ("CLIENT_ID", ""), ("PORT", "nonsense-2"), ("DEBUG", "nonsense-3")]);
    let text = error.unwrap_err().to_string();
    assert!(!text.contains("nonsense"), "{text}");
    for variable in ["TENANT_ID", "CLIENT_ID", "PORT", "DEBUG"] {
        assert!(text.contains(&format!("\n  {variable}: ")), "{variable} missing in {text}");
    }
}

#[test]
fn the_report_reads_well() {
    let error = with(&[("TENANT_ID", "common"), ("CLIENT_SECRET", IDENTITY)]).unwrap_err();
    insta::assert_snapshot!(error, @r"
    2 settings are not usable:
      TENANT_ID: names many directories at once; this server serves one: use the GUID of your directory ('Directory (tenant) ID' on the app registration's Overview page)
      CLIENT_SECRET: is a GUID, so it is the secret's ID; copy the column 'Value' of the secret instead
    ");
}

#[test]
fn guids() {
    assert_eq!(faults(&[("TENANT_ID", "")]), ["TENANT_ID"]);
    assert_eq!(faults(&[("TENANT_ID", "{aaaabbbb-0000-cccc-1111-dddd2222eeee}")]), ["TENANT_ID"]);
    assert_eq!(faults(&[("TENANT_ID", " aaaabbbb-0000-cccc-1111-dddd2222eeee")]), ["TENANT_ID"]);
    assert_eq!(faults(&[("TENANT_ID", "organizations")]), ["TENANT_ID"]);
    assert_eq!(faults(&[("TENANT_ID", "Common")]), ["TENANT_ID"]);
    assert_eq!(faults(&[("TENANT_ID", CLIENT)]), ["CLIENT_ID"]);
    assert_eq!(faults(&[("CLIENT_ID", "\"00001111-aaaa-2222-bbbb-3333cccc4444\"")]), ["CLIENT_ID"]);
    assert_eq!(faults(&[("ALLOWED_CLIENT_IDS", "x")]), ["ALLOWED_CLIENT_IDS"]);
    assert_eq!(with(&[("TENANT_ID", &TENANT.to_uppercase())]).unwrap().tenant_id, TENANT);
}

#[test]
fn resource_server_url() {
    for refused in [
        "",
        "mcp.contoso.example",
        "http://mcp.contoso.example",
        "https://mcp.contoso.example/",
        "https://mcp.contoso.example/mcp",
        "https://mcp.contoso.example/mcp/",
        "https://mcp.contoso.example/base",
        "https://mcp.contoso.example?x=1",
        "https://mcp.contoso.example#x",
        "https://user@mcp.contoso.example",
        "https://MCP.contoso.example",
        "ftp://mcp.contoso.example",
    ] {
        assert_eq!(faults(&[("RESOURCE_SERVER_URL", refused)]), ["RESOURCE_SERVER_URL"], "{refused}");
    }
    for accepted in ["http://localhost:9000", "http://127.0.0.1:7071", "http://[::1]:9000", "https://a.example:8443"] {
        assert_eq!(with(&[("RESOURCE_SERVER_URL", accepted)]).unwrap().base_url.as_str(), accepted);
    }
}

#[test]
fn localhost_is_refused_on_every_azure_host() {
    for marker in ["WEBSITE_INSTANCE_ID", "CONTAINER_APP_NAME", "IDENTITY_ENDPOINT"] {
        let changes = [
            (marker, "x"),
            ("RESOURCE_SERVER_URL", "http://localhost:9000"),
            ("CLIENT_SECRET", ""),
            ("MANAGED_IDENTITY_CLIENT_ID", IDENTITY),
        ];
        assert_eq!(faults(&changes), ["RESOURCE_SERVER_URL"], "{marker}");
    }
}

#[test]
fn the_public_url_follows_the_host_where_it_says_its_name() {
    let azure = with(&[
        ("RESOURCE_SERVER_URL", ""),
        ("WEBSITE_INSTANCE_ID", "x"),
        ("WEBSITE_HOSTNAME", "app-1.azurewebsites.net"),
        ("CLIENT_SECRET", ""),
        ("MANAGED_IDENTITY_CLIENT_ID", IDENTITY),
    ]);
    assert_eq!(azure.unwrap().base_url.as_str(), "https://app-1.azurewebsites.net");
    let core_tools = with(&[("RESOURCE_SERVER_URL", ""), ("WEBSITE_HOSTNAME", "localhost:7071")]);
    assert_eq!(core_tools.unwrap().base_url.as_str(), "http://localhost:7071");
}

#[test]
fn exactly_one_credential() {
    assert_eq!(faults(&[("CLIENT_SECRET", "")]), ["CLIENT_SECRET"]);
    assert_eq!(faults(&[("MANAGED_IDENTITY_CLIENT_ID", IDENTITY)]), ["CLIENT_SECRET"]);
    let both =
        [("CLIENT_SECRET", ""), ("MANAGED_IDENTITY_CLIENT_ID", IDENTITY), ("FEDERATED_CREDENTIAL_OID", IDENTITY)];
    assert_eq!(faults(&both), ["FEDERATED_CREDENTIAL_OID"]);
    assert_eq!(
        faults(&[("CLIENT_SECRET", ""), ("MANAGED_IDENTITY_CLIENT_ID", CLIENT)]),
        ["MANAGED_IDENTITY_CLIENT_ID"]
    );
    assert_eq!(faults(&[("CLIENT_SECRET", ""), ("FEDERATED_CREDENTIAL_OID", TENANT)]), ["FEDERATED_CREDENTIAL_OID"]);
    for (variable, value) in [("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token"), ("CLIENT_CERTIFICATE_PATH", "dev.pem")]
    {
        assert_eq!(faults(&[(variable, value)]), ["CLIENT_SECRET"], "{variable}");
        assert!(with(&[("CLIENT_SECRET", ""), (variable, value)]).is_ok(), "{variable}");
    }
    let federated = with(&[("CLIENT_SECRET", ""), ("FEDERATED_CREDENTIAL_OID", IDENTITY)]).unwrap();
    assert!(matches!(federated.credential, CredentialConfig::ManagedIdentity(UserAssignedIdentity::ObjectId(_))));
}

#[test]
fn a_secret_on_an_azure_host_must_be_meant() {
    assert_eq!(faults(&[("WEBSITE_INSTANCE_ID", "x")]), ["CLIENT_SECRET"]);
    assert!(with(&[("WEBSITE_INSTANCE_ID", "x"), ("ALLOW_CLIENT_SECRET_IN_AZURE", "true")]).is_ok());
}

#[test]
fn audience() {
    for refused in [
        "api://00001111-aaaa-2222-bbbb-3333cccc4444/.default",
        "api://00001111-aaaa-2222-bbbb-3333cccc4444/access_as_user",
        "api://aaaabbbb-0000-cccc-1111-dddd2222eeee",
        "https://mcp.contoso.example/mcp/MCP.Tools",
        IDENTITY,
        "something",
    ] {
        assert_eq!(faults(&[("AUDIENCE", refused)]), ["AUDIENCE"], "{refused}");
    }
    assert!(with(&[("AUDIENCE", "api://00001111-aaaa-2222-bbbb-3333cccc4444")]).is_ok());
    assert!(with(&[("AUDIENCE", CLIENT)]).is_ok());
}

#[test]
fn scopes() {
    assert_eq!(faults(&[("SCOPE_URI", "api://aaaabbbb-0000-cccc-1111-dddd2222eeee")]), ["SCOPE_URI"]);
    assert_eq!(faults(&[("SCOPE_URI", "api://x/")]), ["SCOPE_URI"]);
    assert_eq!(faults(&[("SCOPE_URI", "api://x/access_as_user")]), ["SCOPE_URI"]);
    assert_eq!(faults(&[("SCOPE_URI", "x")]), ["SCOPE_URI"]);
    let config = with(&[("SCOPE_URI", "api://00001111-aaaa-2222-bbbb-3333cccc4444")]).unwrap();
    assert_eq!(config.qualified_scope("MCP.Tools"), "api://00001111-aaaa-2222-bbbb-3333cccc4444/MCP.Tools");
}

#[test]
fn services_are_https_or_on_this_machine() {
    for variable in ["AZURE_AUTHORITY_HOST", "GRAPH_BASE_URL"] {
        for refused in
            ["http://login.example", "login.example", "https://login.example/tenant", "https://a?b", "http://10.0.0.1"]
        {
            assert_eq!(faults(&[(variable, refused)]), [variable], "{refused}");
        }
        assert!(with(&[(variable, "http://127.0.0.1:8400")]).is_ok());
    }
    let config = with(&[("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/")]).unwrap();
    assert_eq!(config.authority, "https://login.microsoftonline.us");
}

#[test]
fn origins() {
    for refused in ["*", "app.example", "https://app.example/", "https://app.example/x", "null"] {
        assert_eq!(faults(&[("ALLOWED_ORIGINS", refused)]), ["ALLOWED_ORIGINS"], "{refused}");
    }
    let config = with(&[("ALLOWED_ORIGINS", "https://app.example, http://localhost:6274")]).unwrap();
    assert_eq!(config.allowed_origins, ["https://app.example:443", "http://localhost:6274"]);
}

#[test]
fn numbers_booleans_and_names() {
    for (variable, refused) in [
        ("JWKS_REFRESH_INTERVAL", "5"),
        ("JWKS_REFRESH_INTERVAL", "1h"),
        ("JWKS_KEY_TTL", "0"),
        ("OBO_MIN_ASSERTION_TTL", "-1"),
        ("PORT", "0"),
        ("PORT", "70000"),
        ("HOST", "example.com"),
        ("ACCEPT_V1_TOKENS", "yes"),
        ("DEBUG", "1"),
        ("RESOURCE_DOCUMENTATION", "docs"),
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "x"),
    ] {
        assert_eq!(faults(&[(variable, refused)]), [variable], "{refused}");
    }
    let changes = [("JWKS_REFRESH_INTERVAL", "7200"), ("JWKS_KEY_TTL", "3600")];
    assert_eq!(faults(&changes), ["JWKS_KEY_TTL"]);
}

#[test]
fn the_functions_host_decides_about_port_and_interface() {
    let config = with(&[("FUNCTIONS_CUSTOMHANDLER_PORT", "4711"), ("PORT", "80"), ("HOST", "0.0.0.0")]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:4711");
    let config = with(&[("PORT", "8080"), ("HOST", "0.0.0.0")]).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
}

#[test]
fn the_example_settings_are_complete_and_good() {
    let example: serde_json::Value =
        serde_json::from_str(include_str!("../../../local.settings.json.example")).unwrap();
    let values = example["Values"].as_object().unwrap();
    let config = Config::from_lookup(|name| values.get(name).and_then(|value| value.as_str()).map(str::to_owned));
    assert!(config.is_ok(), "{}", config.unwrap_err());
    for variable in VARIABLES {
        assert!(values.contains_key(*variable), "{variable} is missing in local.settings.json.example");
    }
    let ours = |name: &String| {
        !name.starts_with("AzureFunctionsJobHost__")
            && name != "AzureWebJobsStorage"
            && name != "FUNCTIONS_WORKER_RUNTIME"
    };
    for name in values.keys().filter(|name| ours(name) || VARIABLES.contains(&name.as_str())) {
        assert!(VARIABLES.contains(&name.as_str()), "{name} is not a setting");
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let shown = format!("{:?}", with(&[]).unwrap());
    assert!(!shown.contains("secret-value"), "{shown}");
}

#[test]
fn graph_is_the_same_clouds_as_the_authority() {
    let of = |authority: &str| with(&[("AZURE_AUTHORITY_HOST", authority)]).unwrap().graph_base_url;
    assert_eq!(of("https://login.microsoftonline.us"), "https://graph.microsoft.us");
    assert_eq!(of("https://login.partner.microsoftonline.cn/"), "https://microsoftgraph.chinacloudapi.cn");
    assert_eq!(of("http://127.0.0.1:8400"), "https://graph.microsoft.com");
    let us = ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us");
    assert_eq!(faults(&[us, ("GRAPH_BASE_URL", "https://graph.microsoft.com")]), ["GRAPH_BASE_URL"]);
    assert_eq!(faults(&[us, ("GRAPH_BASE_URL", "https://dod-graph.microsoft.us/")]), Vec::<&str>::new());
}

#[test]
fn on_lambda_there_is_no_managed_identity_and_no_localhost() {
    let lambda = ("AWS_LAMBDA_FUNCTION_NAME", "mcp");
    let identity = [lambda, ("CLIENT_SECRET", ""), ("MANAGED_IDENTITY_CLIENT_ID", IDENTITY)];
    assert_eq!(faults(&identity), ["MANAGED_IDENTITY_CLIENT_ID"]);
    assert_eq!(faults(&[lambda, ("RESOURCE_SERVER_URL", "http://localhost:9000")]), ["RESOURCE_SERVER_URL"]);
    assert_eq!(faults(&[lambda]), Vec::<&str>::new());
}

#[test]
fn where_telemetry_goes_is_checked_as_a_whole() {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let good = with(&[(ENDPOINT, "http://collector:4318/")]).unwrap();
    assert_eq!(good.otlp_endpoint.as_deref(), Some("http://collector:4318"));
    assert_eq!(with(&[]).unwrap().otlp_endpoint, None);
    for bad in [
        "collector:4318",
        "grpc://collector:4317",
        "http://user:secret@collector",
        "http://c:4318/v1/traces",
        "http://c?x",
    ] {
        assert_eq!(faults(&[(ENDPOINT, bad)]), [ENDPOINT], "{bad}");
    }
    let endpoint = (ENDPOINT, "http://collector:4318");
    assert_eq!(faults(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), ["OTEL_EXPORTER_OTLP_PROTOCOL"]);
    assert_eq!(faults(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]), Vec::<&str>::new());
    assert_eq!(faults(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "no pair")]), ["OTEL_EXPORTER_OTLP_HEADERS"]);
    assert_eq!(faults(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=x,other=y=z")]), Vec::<&str>::new());
}

#[test]
fn limits() {
    assert_eq!(with(&[]).unwrap().limits, Limits::default());
    for (variable, least, most) in [
        ("MAX_CONNECTIONS", 1, 1_000_000),
        ("MAX_HEADER_BYTES", 16_384, 1_048_576),
        ("MAX_BODY_BYTES", 1_024, 1_048_576),
        ("MAX_BODY_VALUES", 64, 100_000),
        ("HEADER_TIMEOUT", 1, 600),
        ("BODY_TIMEOUT", 1, 600),
        ("IDLE_TIMEOUT", 1, 3_600),
        ("CALL_TIMEOUT", 1, 120),
        ("MAX_REQUESTS_IN_FLIGHT", 1, 1_000_000),
        ("MAX_REQUESTS_PER_SECOND", 1, 1_000_000),
        ("MAX_CALLER_REQUESTS_PER_MINUTE", 1, 1_000_000),
        ("MAX_CALLER_GRAPH_REQUESTS", 1, 1_000_000),
        ("MAX_CALLER_EXCHANGES", 1, 1_000_000),
        ("MAX_VERIFIED_TOKENS", 0, 1_000_000),
    ] {
        for accepted in [least, most] {
            let limits = with(&[(variable, &accepted.to_string())]).unwrap().limits;
            assert!(format!("{limits:?}").contains(&accepted.to_string()), "{variable} {accepted}: {limits:?}");
        }
        for refused in [
            (i64::from(least) - 1).to_string(),
            (most + 1).to_string(),
            "-1".to_owned(),
            "ten".to_owned(),
            "1.5".to_owned(),
        ] {
            assert_eq!(faults(&[(variable, &refused)]), [variable], "{refused}");
        }
    }
}
