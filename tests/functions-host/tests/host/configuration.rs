//! host.json: what is taken, and a broken form of every rule that is refused with the member's name.

use functions_host::{FunctionsHost, HostError, Profile};
use serde_json::{Value, json};

use crate::fixture::{HANDLER, host_json, on_flex, options, refusal, status};

/// What the message must name, and the change that breaks a good host.json.
type Broken = (&'static str, fn(&mut Value));

const BROKEN: [Broken; 20] = [
    ("host.json, version: is missing", |json| json["version"] = json!(null)),
    ("host.json, version: '1.0'", |json| json["version"] = json!("1.0")),
    ("host.json, version: is missing", |json| json["version"] = json!(2.0)),
    ("host.json, configurationProfile: the host knows no profile \"other\"", |json| {
        json["configurationProfile"] = json!("other");
    }),
    ("host.json, customHandler: is missing", |json| json["customHandler"] = json!({})),
    ("customHandler.enableProxyingHttpRequest: is not true", |json| {
        json["customHandler"]["enableProxyingHttpRequest"] = json!(false);
    }),
    ("envelope to /<functionName> and never stream; customHandler.http.enableProxying is no setting", |json| {
        json["customHandler"]["enableProxyingHttpRequest"] = json!(null);
        json["customHandler"]["http"]["enableProxying"] = json!(true);
    }),
    ("enableForwardingHttpRequest buffers", |json| {
        json["customHandler"]["enableProxyingHttpRequest"] = json!(null);
        json["customHandler"]["enableForwardingHttpRequest"] = json!(true);
    }),
    ("'perhaps' is neither true nor false", |json| {
        json["customHandler"]["enableProxyingHttpRequest"] = json!("perhaps");
    }),
    ("customHandler.http.routes: is empty", |json| json["customHandler"]["http"]["routes"] = json!([])),
    ("customHandler.http.routes: 'admin/x'", |json| {
        json["customHandler"]["http"]["routes"][0]["route"] = json!("admin/x");
    }),
    ("customHandler.http.routes: 'runtime'", |json| {
        json["customHandler"]["http"]["routes"][0]["route"] = json!("runtime");
    }),
    ("customHandler.http.routes: '{*a}/b'", |json| {
        json["customHandler"]["http"]["routes"][0]["route"] = json!("{*a}/b");
    }),
    ("defined by function 'http-handler1'", |json| {
        json["customHandler"]["http"]["routes"][1]["route"] = json!("MCP");
    }),
    ("customHandler.http.routes: 'open' is no authorization level", |json| {
        json["customHandler"]["http"]["routes"][0]["authorizationLevel"] = json!("open");
    }),
    ("customHandler.http.defaultAuthorizationLevel: 'open' is no authorization level", |json| {
        json["customHandler"]["http"]["defaultAuthorizationLevel"] = json!("open");
    }),
    ("customHandler.description.defaultExecutablePath: WorkerDescription", |json| {
        json["customHandler"]["description"] = json!({});
    }),
    ("initializationTimeout: 'soon' is no time span", |json| {
        json["customHandler"]["initializationTimeout"] = json!("soon");
    }),
    ("functionTimeout: '00:99:00' is no time span", |json| json["functionTimeout"] = json!("00:99:00")),
    ("customHandler.port: '70000' is no port", |json| json["customHandler"]["port"] = json!(70000)),
];

#[tokio::test]
async fn every_rule_has_a_broken_form_that_is_refused() {
    for (named, change) in BROKEN {
        let mut changed = host_json();
        change(&mut changed);
        let error = refusal(options(&changed, &[])).await.to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_host_json_is_named() {
    for text in ["", "[]", "{", "\"2.0\""] {
        let options = options(&host_json(), &[]);
        let path = options.script_root.join("host.json");
        std::fs::write(&path, text).unwrap();
        let error = refusal(options).await;
        assert!(matches!(&error, HostError::HostJson(named, _) if *named == path), "{text}: {error}");
    }
    let options = options(&host_json(), &[]);
    std::fs::remove_file(options.script_root.join("host.json")).unwrap();
    assert!(matches!(refusal(options).await, HostError::HostJson(..)));
}

#[tokio::test]
async fn routes_and_function_folders_exclude_each_other() {
    let nested = options(&host_json(), &[]);
    std::fs::create_dir_all(nested.script_root.join("functions/mcp")).unwrap();
    std::fs::write(nested.script_root.join("functions/mcp/function.json"), "{}").unwrap();
    FunctionsHost::start(nested.clone()).await.unwrap();

    std::fs::write(nested.script_root.join("functions/function.json"), "{}").unwrap();
    let error = refusal(nested).await.to_string();
    assert!(error.contains("functions/function.json exclude each other"), "{error}");
}

#[tokio::test]
async fn routes_need_the_custom_runtime() {
    for runtime in [None, Some("node"), Some("dotnet-isolated")] {
        let mut changed = options(&host_json(), &[]);
        changed.settings =
            runtime.map(|runtime| ("FUNCTIONS_WORKER_RUNTIME".to_owned(), runtime.to_owned())).into_iter().collect();
        let error = refusal(changed).await.to_string();
        assert!(error.contains("only allowed for worker runtime: custom"), "{error}");
    }
    // On Flex the platform sets it.
    FunctionsHost::start(on_flex(&host_json(), &[])).await.unwrap();
}

#[tokio::test]
async fn a_profile_gives_defaults_below_what_host_json_says() {
    for name in ["mcp-custom-handler", "web-app-custom-handler"] {
        let description = json!({ "defaultExecutablePath": HANDLER });
        let json =
            json!({ "version": "2.0", "configurationProfile": name, "customHandler": { "description": description } });
        let mut bare = options(&json, &[]);
        bare.settings.clear();
        let host = FunctionsHost::start(bare).await.unwrap();
        assert_eq!(status(&host, "/anything/at/all").await, "200");
    }
    let mut own_routes = host_json();
    own_routes["configurationProfile"] = json!("mcp-custom-handler");
    let host = FunctionsHost::start(options(&own_routes, &[])).await.unwrap();
    assert_eq!(status(&host, "/anything/at/all").await, "404");
}

#[tokio::test]
async fn settings_override_host_json_whatever_their_case() {
    let mut broken = host_json();
    broken["customHandler"]["description"]["defaultExecutablePath"] = json!("no-such-handler");
    let error = refusal(options(&broken, &[])).await;
    assert!(matches!(&error, HostError::Executable { path, .. } if path.ends_with("no-such-handler")), "{error}");

    let host = options(
        &broken,
        &[
            ("azurefunctionsjobhost__CustomHandler__Description__DefaultExecutablePath", HANDLER),
            ("AzureFunctionsJobHost__customHandler__http__routes__0__route", "renamed"),
            ("AzureFunctionsJobHost__extensions__http__routePrefix", "v1"),
        ],
    );
    let host = FunctionsHost::start(host).await.unwrap();
    assert_eq!((status(&host, "/v1/renamed").await, status(&host, "/mcp").await), ("200".into(), "404".into()));
}

#[tokio::test]
async fn members_have_no_case_and_the_prefix_is_api_unless_said() {
    let json = json!({
        "version": "2.0",
        "CUSTOMHANDLER": {
            "Description": { "DefaultExecutablePath": HANDLER },
            "EnableProxyingHttpRequest": "True",
            "Http": { "Routes": [{ "Route": "mcp", "AuthorizationLevel": "ANONYMOUS" }] },
        },
    });
    let host = FunctionsHost::start(on_flex(&json, &[])).await.unwrap();
    assert_eq!((status(&host, "/api/mcp").await, status(&host, "/mcp").await), ("200".into(), "404".into()));
}

#[tokio::test]
async fn the_repositorys_host_json_is_one_the_host_takes() {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let ours: Value = serde_json::from_str(&std::fs::read_to_string(root.join("host.json")).unwrap()).unwrap();
    let executable = ("AzureFunctionsJobHost__customHandler__description__defaultExecutablePath", HANDLER);
    for profile in [Profile::CoreTools, Profile::Flex] {
        let mut options = options(&ours, &[executable]);
        options.profile = profile;
        let host = FunctionsHost::start(options).await.unwrap();
        for path in [
            "/mcp",
            "/mcp/",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/mcp",
            "/health",
            "/health/",
            "/health/live",
        ] {
            assert_eq!(status(&host, path).await, "200", "{path}");
        }
        assert_eq!(status(&host, "/mcp/x").await, "404");
    }
}
