//! Every fault, seen from the client's side.

use std::time::Duration;

use emulator::{Endpoint, EntraError, Fault, TENANT_ID, User};
use reqwest::StatusCode;

use super::{World, world};

fn keys(world: &World) -> reqwest::RequestBuilder {
    world.http.get(format!("{}/{TENANT_ID}/discovery/v2.0/keys", world.emulator.base_url()))
}

#[tokio::test]
async fn a_fault_heals_after_its_times() {
    let world = world().await;
    let fault = Fault::Status { status: 503, retry_after: Some("7".into()) };
    world.emulator.faults().times(Endpoint::Keys, 2, fault);
    for _ in 0..2 {
        let response = keys(&world).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "7");
    }
    assert_eq!(keys(&world).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.emulator.counters().keys, 3);
}

#[tokio::test]
async fn hanging_and_closing() {
    let world = world().await;
    world.emulator.faults().set(Endpoint::Keys, Fault::Hang);
    let error = keys(&world).timeout(Duration::from_millis(100)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    world.emulator.faults().set(Endpoint::Keys, Fault::Reset);
    let error = keys(&world).send().await.unwrap_err();
    assert!(!error.is_timeout() && error.is_request(), "{error}");
    world.emulator.faults().clear();
    assert_eq!(keys(&world).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn bodies_that_lie() {
    let world = world().await;
    world.emulator.faults().set(Endpoint::Keys, Fault::Truncated);
    let response = keys(&world).send().await.unwrap();
    assert_eq!((response.status(), response.content_length()), (StatusCode::OK, Some(4096)));
    assert!(response.bytes().await.is_err());
    world.emulator.faults().set(Endpoint::Keys, Fault::Endless);
    let mut response = keys(&world).send().await.unwrap();
    let mut read = 0;
    while read < 1 << 20 {
        read += response.chunk().await.unwrap().unwrap().len();
    }
    drop(response);
    world.emulator.faults().set(Endpoint::Keys, Fault::Garbage);
    let response = keys(&world).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    world.emulator.faults().set(Endpoint::Keys, Fault::Redirect("https://evil.example/".into()));
    let response = keys(&world).send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["location"]),
        (StatusCode::FOUND, &"https://evil.example/".parse().unwrap())
    );
}

#[tokio::test]
async fn a_delay_answers_as_usual_in_the_end() {
    let world = world().await;
    world.emulator.faults().set(Endpoint::Keys, Fault::Delay(Duration::from_millis(150)));
    let error = keys(&world).timeout(Duration::from_millis(30)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(keys(&world).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn fixed_documents() {
    let world = world().await;
    let headers = vec![("content-type".into(), "application/jwk-set+json".into())];
    world.emulator.faults().document(Endpoint::Keys, 200, headers, "{\"keys\":1}".into());
    let response = keys(&world).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/jwk-set+json");
    assert_eq!(response.text().await.unwrap(), "{\"keys\":1}");
}

#[tokio::test]
async fn graph_asks_for_patience_in_seconds_and_by_date() {
    let world = world().await;
    let token = world.graph_token(&[]).await;
    let me = || world.http.get(format!("{}/v1.0/me", world.emulator.base_url())).bearer_auth(&token).send();
    for (status, retry_after) in [(429, "2"), (503, "Wed, 21 Oct 2026 07:28:00 GMT")] {
        let fault = Fault::Status { status, retry_after: Some(retry_after.into()) };
        world.emulator.faults().times(Endpoint::GraphMe, 1, fault);
        let response = me().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (status, &retry_after.parse().unwrap())
        );
        assert_eq!(me().await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn one_user_is_throttled_and_nobody_else() {
    let world = world().await;
    let [alice, bob] = [User::Alice, User::Bob].map(|user| world.emulator.token(user).build());
    world.emulator.faults().throttle_user(User::Alice, 17, 2);
    for _ in 0..2 {
        let (status, answer) = world.on_behalf_of(&alice, &[]).await;
        assert_eq!((status, &answer["error_codes"][0]), (StatusCode::TOO_MANY_REQUESTS, &90_055.into()));
        assert_eq!(world.on_behalf_of(&bob, &[]).await.0, StatusCode::OK);
    }
    assert_eq!(world.on_behalf_of(&alice, &[]).await.0, StatusCode::OK);
    assert_eq!(world.emulator.counters().token_obo, 5);
    world.emulator.faults().throttle_user(User::Alice, 17, 1);
    let url = format!("{}/{TENANT_ID}/oauth2/v2.0/token", world.emulator.base_url());
    let form = [("grant_type", super::OBO), ("assertion", &alice)];
    let response = world.http.post(url).form(&form).send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"17".parse().unwrap())
    );
    world.emulator.faults().throttle_user(User::Alice, 17, 1);
    world.emulator.faults().clear();
    assert_eq!(world.on_behalf_of(&alice, &[]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn errors_of_entras_own() {
    let world = world().await;
    let assertion = world.emulator.token(User::Alice).build();
    world.emulator.faults().times(Endpoint::Token, 1, Fault::Entra(EntraError::claims_challenge()));
    let (status, answer) = world.on_behalf_of(&assertion, &[]).await;
    assert_eq!(
        (status, &answer["error"], &answer["suberror"]),
        (StatusCode::BAD_REQUEST, &"invalid_grant".into(), &"basic_action".into())
    );
    let claims: serde_json::Value = serde_json::from_str(answer["claims"].as_str().unwrap()).unwrap();
    assert!(claims["access_token"]["capolids"].is_object());
    assert_eq!(world.on_behalf_of(&assertion, &[]).await.0, StatusCode::OK);
    assert_eq!(world.emulator.counters().token_obo, 2);
}
