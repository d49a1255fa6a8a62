//! Discovery and the key set.

use std::sync::Arc;

use emulator::TENANT_ID;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{World, world};

async fn json(world: &World, path: &str) -> Value {
    let response = world.get(path).await;
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    response.json().await.unwrap()
}

#[tokio::test]
async fn discovery_in_entras_shape() {
    let world = world().await;
    let path = format!("/{TENANT_ID}/v2.0/.well-known/openid-configuration");
    let document = json(&world, &path).await;
    assert_eq!(document["issuer"], world.emulator.issuer());
    let keys = format!("{}/{TENANT_ID}/discovery/v2.0/keys", world.emulator.base_url());
    assert_eq!(document["jwks_uri"], keys);
    assert!(document.get("code_challenge_methods_supported").is_none());
    world.emulator.advertise_pkce(true);
    assert_eq!(json(&world, &path).await["code_challenge_methods_supported"][0], "S256");
    world.emulator.faults().discovery_member("issuer", "https://evil.example".into());
    assert_eq!(json(&world, &path).await["issuer"], "https://evil.example");
    world.emulator.faults().clear();
    assert_eq!(json(&world, &path).await["issuer"], world.emulator.issuer());
    let other = json(&world, "/common/v2.0/.well-known/openid-configuration").await;
    assert_eq!(other["error_codes"][0], 90_002);
    assert_eq!(world.emulator.counters().discovery, 5);
}

#[tokio::test]
async fn the_addresses_of_rfc_8414_do_not_exist() {
    let world = world().await;
    for path in [
        format!("/.well-known/oauth-authorization-server/{TENANT_ID}/v2.0"),
        format!("/.well-known/openid-configuration/{TENANT_ID}/v2.0"),
        format!("/{TENANT_ID}/v2.0/.well-known/oauth-authorization-server"),
    ] {
        let response = world.get(&path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(response.json::<Value>().await.is_ok());
    }
}

async fn kids(world: &World) -> Vec<String> {
    let document = json(world, &format!("/{TENANT_ID}/discovery/v2.0/keys")).await;
    let keys = document["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn keys_rotate_and_are_withdrawn() {
    let world = world().await;
    let first = world.emulator.signing_key();
    let before = kids(&world).await;
    assert_eq!((before.len(), before[0].as_str()), (2, first.kid()));
    let second = world.emulator.rotate_keys();
    assert_eq!(world.emulator.signing_key().kid(), second.kid());
    assert_eq!(kids(&world).await.len(), 3);
    world.emulator.publish(&[Arc::clone(&second)]);
    assert_eq!(kids(&world).await, [second.kid()]);
    let document = json(&world, &format!("/{TENANT_ID}/discovery/v2.0/keys")).await;
    let key = &document["keys"][0];
    assert_eq!(
        (&key["kty"], &key["use"], &key["issuer"]),
        (&"RSA".into(), &"sig".into(), &world.emulator.issuer().into())
    );
    assert!(key.get("alg").is_none());
}

#[tokio::test]
async fn browsers_may_ask_first() {
    let world = world().await;
    let url = format!("{}/{TENANT_ID}/oauth2/v2.0/token", world.emulator.base_url());
    let response = world.http.request(Method::OPTIONS, url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}
