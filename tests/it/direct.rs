//! The short way to the server and rmcp's transport give the same answers.

use emulator::User;
use http::Request;
use serde_json::{Value, json};

use crate::world::{Reply, World, modern_request, rpc};

/// Says the same, but not in the plainest way: rmcp's transport answers.
fn roundabout(mut request: Request<axum::body::Body>) -> Request<axum::body::Body> {
    request.headers_mut().insert("accept", "application/json;q=1, text/event-stream;q=0.9".parse().unwrap());
    request
}

/// What must be the same: all but the seconds that pass meanwhile.
fn essence(reply: &Reply) -> (u16, Option<String>, Option<String>, Value) {
    let header = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let mut body = reply.json();
    if let Some(expires) = body.pointer_mut("/result/structuredContent/tokenExpiresInSeconds") {
        *expires = json!(0);
    }
    if let Some(text) = body.pointer_mut("/result/content/0/text") {
        let said: Value = serde_json::from_str(text.as_str().unwrap_or_default()).unwrap_or_else(|_| text.clone());
        *text = said;
        if let Some(expires) = text.get_mut("tokenExpiresInSeconds") {
            *expires = json!(0);
        }
    }
    (reply.status.as_u16(), header("content-type"), header("cache-control"), body)
}

#[tokio::test]
async fn both_ways_give_the_same_answers() {
    let world = World::start().await;
    let alice = world.emulator.token(User::Alice).build();
    let bob = world.emulator.token(User::Bob).build();
    let nobody = world.emulator.token(User::Alice).claim("scp", "something.else").build();
    let app = world.emulator.app_only_token().build();
    let requests = [
        ("tools/list", json!({})),
        ("tools/list", json!({ "cursor": "x" })),
        ("tools/call", json!({ "name": "whoami" })),
        ("tools/call", json!({ "name": "whoami", "arguments": { "extra": 1 } })),
        ("tools/call", json!({ "name": "get_my_profile", "arguments": {} })),
        ("tools/call", json!({ "name": "no_such_tool", "arguments": {} })),
        ("server/discover", json!({})),
    ];
    let mut compared = 0;
    for token in [&alice, &bob, &nobody, &app] {
        for (method, params) in &requests {
            for version in ["2025-06-18", "2025-11-25"] {
                let body = json!({ "jsonrpc": "2.0", "id": "one", "method": method, "params": params });
                let short = world.send(rpc(token, version, &[], &body)).await;
                let long = world.send(roundabout(rpc(token, version, &[], &body))).await;
                assert_eq!(essence(&short), essence(&long), "{version} {method} {params}");
            }
            let short = world.send(modern_request(token, method, params.clone())).await;
            let long = world.send(roundabout(modern_request(token, method, params.clone()))).await;
            assert_eq!(essence(&short), essence(&long), "2026-07-28 {method} {params}");
            compared += 3;
        }
    }
    assert_eq!(compared, 84);
}

#[tokio::test]
async fn a_key_that_was_replaced_takes_the_tokens_it_verified_with_it() {
    let world = World::start().await;
    let (old, new) = (world.emulator.signing_key(), support::keys::SigningKey::generate("new-key"));
    let token = world.emulator.token(User::Alice).build();
    assert_eq!(world.list_tools(&token).await.label(), "200");
    assert_eq!(world.list_tools(&token).await.label(), "200");
    // Another key under the old one's name, and one that makes the server look.
    world.emulator.publish(&[support::keys::SigningKey::generate(old.kid()), new.clone()]);
    let fresh = world.emulator.token(User::Alice).key(&new).build();
    assert_eq!(world.list_tools(&fresh).await.label(), "200");
    assert_eq!(world.list_tools(&token).await.label(), "401 invalid_token");
}
