//! The metadata documents: what clients read first.

use axum::body::Body;
use http::Request;
use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn the_mcp_document_is_about_the_mcp_url() {
    let world = World::start().await;
    let reply = world.get("/.well-known/oauth-protected-resource/mcp").await;
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "public, max-age=3600");
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    let text = reply.body.replace(&world.emulator.base_url(), "https://authority");
    insta::assert_snapshot!(text, @r#"{"resource":"https://mcp.contoso.example/mcp","authorization_servers":["https://authority/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0"],"scopes_supported":["https://mcp.contoso.example/mcp/access_as_user","https://mcp.contoso.example/mcp/MCP.Tools"],"bearer_methods_supported":["header"],"resource_name":"entra-mcp-server"}"#);
}

#[tokio::test]
async fn the_root_document_is_the_same_about_the_base_url() {
    let world =
        World::with(&[("RESOURCE_DOCUMENTATION", "https://docs.contoso.example/mcp"), ("SERVER_NAME", "Docs")]).await;
    let mut root: Value = world.get("/.well-known/oauth-protected-resource").await.json();
    let mcp: Value = world.get("/.well-known/oauth-protected-resource/mcp").await.json();
    assert_eq!(root["resource"], "https://mcp.contoso.example");
    assert_eq!(mcp["resource_documentation"], "https://docs.contoso.example/mcp");
    assert_eq!(mcp["resource_name"], "Docs");
    root["resource"] = mcp["resource"].clone();
    assert_eq!(root, mcp);
}

#[tokio::test]
async fn no_header_of_a_request_reaches_metadata_or_challenge() {
    let world = World::start().await;
    let spoofed = |path: &str| {
        Request::get(path)
            .header("host", "evil.example")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "http")
            .header("forwarded", "host=evil.example")
            .header("disguised-host", "evil.example")
            .body(Body::empty())
            .unwrap()
    };
    let plain = world.get("/.well-known/oauth-protected-resource/mcp").await;
    let odd = world.send(spoofed("/.well-known/oauth-protected-resource/mcp")).await;
    assert_eq!(plain.body, odd.body);
    let challenge = world.send(spoofed("/mcp")).await;
    let metadata = challenge.challenge_param("resource_metadata").unwrap();
    assert_eq!(metadata, "https://mcp.contoso.example/.well-known/oauth-protected-resource/mcp");
    assert!(!format!("{:?}", challenge.headers).contains("evil"));
}

#[tokio::test]
async fn a_browser_may_ask_first() {
    let world = World::start().await;
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let preflight = Request::options(path)
            .header("host", "127.0.0.1")
            .header("origin", "http://localhost:6274")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "mcp-protocol-version");
        let reply = world.send(preflight.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.label(), "204");
        assert_eq!(reply.headers["access-control-allow-origin"], "*");
        assert_eq!(reply.headers["access-control-allow-headers"], "*");
    }
}

#[tokio::test]
async fn health_tells_live_from_ready() {
    let world = World::start().await;
    assert_eq!(world.get("/").await.label(), "204");
    assert_eq!(world.get("/health").await.label(), "200");
    assert_eq!(world.get("/health/live").await.label(), "200");
    let ready = world.get("/health/ready").await;
    assert_eq!(ready.label(), "200");
    assert_eq!(ready.json()["checks"][0]["name"], "keys");
    assert_eq!(ready.json()["checks"][1]["name"], "credential");
}
