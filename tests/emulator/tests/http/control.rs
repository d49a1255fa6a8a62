//! The control surface for tests that are not written in Rust.

use emulator::{PUBLIC_CLIENT_ID, TENANT_ID};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{World, world};

async fn call(world: &World, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let request = world.http.request(method, format!("{}/emulator/{path}", world.emulator.base_url()));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn everything_by_http() {
    let world = world().await;
    let (_, users) = call(&world, Method::GET, "users", None).await;
    assert_eq!(users.as_array().unwrap().len(), 3);
    let (_, rotated) = call(&world, Method::POST, "rotate-keys", None).await;
    assert_eq!(rotated["kid"], world.emulator.signing_key().kid());
    let uri = json!({ "uri": "https://x.azurewebsites.net/mcp" });
    assert_eq!(call(&world, Method::POST, "identifier-uris", Some(uri)).await.0, StatusCode::NO_CONTENT);
    let scope = ("scope", "https://x.azurewebsites.net/mcp/access_as_user");
    let code = world.code(&[scope, ("resource", "https://x.azurewebsites.net/mcp")]).await;
    assert_eq!(world.redeem(&code, &[("client_id", PUBLIC_CLIENT_ID)]).await.0, StatusCode::OK);
    let grant = json!({ "user": "carol@contoso.example", "scope": "MCP.Tools" });
    assert_eq!(call(&world, Method::POST, "grants", Some(grant)).await.0, StatusCode::NO_CONTENT);
    let (_, counters) = call(&world, Method::GET, "counters", None).await;
    assert_eq!((&counters["authorize"], &counters["token_code"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn the_federated_credential_by_http() {
    let world = world().await;
    let assertion = world.emulator.identity_token().build();
    let (status, _) = call(&world, Method::DELETE, "federated-credential", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(world.probe(&[("client_assertion", &assertion)]).await.1["error_codes"][0], 70_021);
    let federated = json!({
        "issuer": world.emulator.issuer(),
        "subject": emulator::IDENTITY_PRINCIPAL_ID,
        "audience": emulator::TOKEN_EXCHANGE_URI,
    });
    let (status, _) = call(&world, Method::POST, "federated-credential", Some(federated)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(world.probe(&[("client_assertion", &assertion)]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn faults_by_http() {
    let world = world().await;
    let path = format!("/{TENANT_ID}/discovery/v2.0/keys");
    for (fault, status) in [
        (json!({ "status": { "status": 429, "retry_after": "1" } }), 429),
        (json!("garbage"), 200),
        (json!({ "delay": 1 }), 200),
        (json!({ "redirect": "https://evil.example/" }), 302),
        (json!({ "entra": { "error": "temporarily_unavailable", "code": 90033 } }), 503),
    ] {
        let body = json!({ "endpoint": "keys", "fault": fault, "times": 1 });
        assert_eq!(call(&world, Method::POST, "faults", Some(body)).await.0, StatusCode::NO_CONTENT, "{fault}");
        assert_eq!(world.get(&path).await.status().as_u16(), status, "{fault}");
    }
    let body = json!({ "endpoint": "keys", "fault": "reset" });
    assert_eq!(call(&world, Method::POST, "faults", Some(body)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(call(&world, Method::DELETE, "faults", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.get(&path).await.status(), StatusCode::OK);
}
