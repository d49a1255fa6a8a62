//! The protocol: both eras on one endpoint, and answers to what is no request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use emulator::User;
use http::Request;
use serde_json::{Value, json};

use crate::world::{World, check, rpc};

fn post(token: &str, content_type: &str, body: &str) -> Request<Body> {
    let mut request = rpc(token, "2025-11-25", &[], &json!({}));
    request.headers_mut().insert("content-type", content_type.parse().unwrap());
    *request.body_mut() = Body::from(body.to_owned());
    request
}

#[tokio::test]
async fn a_2025_11_25_client_initializes_lists_and_calls() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    let client = json!({ "name": "it", "version": "0" });
    for version in ["2025-06-18", "2025-11-25"] {
        let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": client });
        let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let reply = world.send(rpc(&token, version, &[], &initialize)).await;
        let result = &reply.json()["result"];
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "entra-mcp-server");
        assert!(!reply.headers.contains_key("mcp-session-id"));
    }
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let accepted = world.legacy(&token, &initialized).await;
    assert_eq!((accepted.label(), accepted.body.as_str()), ("202".to_owned(), ""));

    let list = world.list_tools(&token).await;
    assert_eq!(list.headers["content-type"], "application/json");
    assert_eq!(list.headers["cache-control"], "no-store");
    let list = list.json();
    let tools = list["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["get_my_profile", "whoami"]);
    assert!(tools.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true && tool["outputSchema"].is_object()));
    assert!(list["result"]["cacheScope"].is_null() && list["result"]["resultType"].is_null(), "{list}");
}

#[tokio::test]
async fn a_2026_07_28_client_discovers_lists_and_calls_without_initialize() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    let discovered = world.modern(&token, "server/discover", json!({})).await.json();
    assert_eq!(discovered["result"]["supportedVersions"], json!(["2025-06-18", "2025-11-25", "2026-07-28"]));
    assert_eq!(discovered["result"]["cacheScope"], "private");

    let list = world.modern(&token, "tools/list", json!({})).await.json();
    assert_eq!(list["result"]["cacheScope"], "private");
    assert_eq!(list["result"]["resultType"], "complete");
    let call = world.modern(&token, "tools/call", json!({ "name": "whoami", "arguments": {} })).await.json();
    for result in [&discovered["result"], &list["result"], &call["result"]] {
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "entra-mcp-server", "{result}");
    }
    assert_eq!(call["result"]["structuredContent"]["objectId"], User::Alice.oid());
}

#[tokio::test]
async fn an_unknown_tool_cursor_or_method_has_its_code() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    let reply = world.call_tool(&token, "no_such_tool").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["error"]["code"]), (200, &json!(-32602)));
    let reply = world.modern(&token, "tools/call", json!({ "name": "no_such_tool", "arguments": {} })).await;
    assert_eq!(reply.json()["error"]["code"], -32602);
    let cursor =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "cursor": "never given out" } });
    assert_eq!(world.legacy(&token, &cursor).await.json()["error"]["code"], -32602);
    for params in [json!({ "name": 5 }), json!({}), json!({ "name": "whoami", "arguments": [] })] {
        let unreadable = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        assert_eq!(world.legacy(&token, &unreadable).await.json()["error"]["code"], -32602, "{unreadable}");
    }
    let reply = world.modern(&token, "no/such/method", json!({})).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["error"]["code"]), (404, &json!(-32601)));
}

#[tokio::test]
async fn what_is_no_json_rpc_request_is_told_so() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    let cases = [
        ("{", 400, -32700),
        ("", 400, -32700),
        ("nonsense", 400, -32700),
        ("{\"a\":\u{0}}", 400, -32700),
        ("[]", 400, -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, 400, -32600),
        ("5", 400, -32600),
        ("{}", 400, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, 400, -32600),
    ];
    for (body, status, code) in cases {
        let reply = world.send(post(&token, "application/json", body)).await;
        let answer: Value = reply.json();
        assert_eq!((reply.status.as_u16(), &answer["error"]["code"]), (status, &json!(code)), "{body:?}");
        assert_eq!(answer["id"], Value::Null);
    }
    let too_large = format!(r#"{{"a":"{}"}}"#, "x".repeat(300 * 1024));
    assert_eq!(world.send(post(&token, "application/json", &too_large)).await.label(), "413");
    assert_eq!(world.send(post(&token, "text/plain", "{}")).await.label(), "415");
}

#[tokio::test]
async fn the_body_decides_and_headers_do_not() {
    let world = World::start().await;
    let bob = world.emulator.token(User::Bob).build();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "get_my_profile" } });
    let spoofed = rpc(&bob, "2025-11-25", &[("mcp-name", "whoami"), ("mcp-method", "ping")], &body);
    check(&world.send(spoofed).await, "403 insufficient_scope");
    // In the new era a header that names something else than the body is refused outright.
    let mut modern = crate::world::modern_request(&bob, "tools/call", json!({ "name": "get_my_profile" }));
    modern.headers_mut().insert("mcp-name", "whoami".parse().unwrap());
    let reply = world.send(modern).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["error"]["code"]), (400, &json!(-32020)));
}

#[tokio::test]
async fn only_post_is_allowed_once_the_caller_is_known() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    for method in ["GET", "DELETE", "PUT", "PATCH", "OPTIONS"] {
        let request = |authorized: bool| {
            let request = Request::builder().method(method).uri("/mcp").header("host", "127.0.0.1");
            let request = if authorized { request.header("authorization", format!("Bearer {token}")) } else { request };
            request.body(Body::empty()).unwrap()
        };
        let reply = world.send(request(true)).await;
        assert_eq!((reply.label(), reply.headers["allow"].to_str().unwrap()), ("405".to_owned(), "POST"), "{method}");
        assert_eq!(world.send(request(false)).await.label(), "401", "{method}");
    }
}

#[tokio::test]
async fn of_the_body_of_a_stranger_little_is_read_and_nothing_kept() {
    const CHUNK: usize = 1_024;
    let world = World::start().await;
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let endless = futures::stream::repeat_with(move || {
        counted.fetch_add(CHUNK, Ordering::Relaxed);
        Ok::<_, std::io::Error>(vec![b'x'; CHUNK])
    });
    let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    for body in [Body::from_stream(endless), Body::from_stream(silent)] {
        let request = Request::post("/mcp").header("host", "127.0.0.1").body(body).unwrap();
        let reply = world.send(request).await;
        check(&reply, "401");
        assert_eq!(reply.headers["connection"], "close", "a rest is left in it");
    }
    let read = read.load(Ordering::Relaxed);
    assert!(read <= 65 * CHUNK, "{read} bytes");
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let world = World::start().await;
    for path in ["/mcp/", "/MCP", "/mcp/x", "/.well-known/openid-configuration", "/health/", "/admin"] {
        assert_eq!(world.get(path).await.label(), "404", "{path}");
    }
}
