//! On behalf of: one exchange for many calls, and a calm answer when it fails.

use std::time::Duration;

use emulator::{Endpoint, EntraError, Fault, User};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::world::{Reply, World, check};

const TOOL: &str = "get_my_profile";

/// The sentence of a tool error.
fn told(reply: &Reply) -> String {
    let body: Value = reply.json();
    assert_eq!(body["result"]["isError"], json!(true), "{body}");
    body["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_thousand_calls_of_one_user_are_one_exchange() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    for _ in 0..20 {
        let replies = join_all((0..50).map(|_| world.call_tool(&token, TOOL))).await;
        assert!(replies.iter().all(|reply| reply.structured()["id"] == User::Alice.oid()));
    }
    let counters = world.emulator.counters();
    assert_eq!((counters.token_obo, counters.graph_me), (1, 1000));
}

#[tokio::test]
async fn a_cancelled_first_caller_does_not_cancel_the_rest() {
    let world = World::start().await;
    world.emulator.faults().times(Endpoint::Token, 1, Fault::Delay(Duration::from_millis(300)));
    let token = world.emulator.token(User::Alice).build();
    let first = tokio::time::timeout(Duration::from_millis(100), world.call_tool(&token, TOOL));
    let (first, second) = tokio::join!(first, world.call_tool(&token, TOOL));
    assert!(first.is_err(), "the first caller went away");
    check(&second, "200");
    assert_eq!(world.emulator.counters().token_obo, 1);
}

#[tokio::test]
async fn two_tokens_of_one_user_are_two_exchanges() {
    let world = World::start().await;
    for uti in ["one", "two"] {
        let token = world.emulator.token(User::Alice).claim("uti", uti).build();
        check(&world.call_tool(&token, TOOL).await, "200");
        check(&world.call_tool(&token, TOOL).await, "200");
    }
    assert_eq!(world.emulator.counters().token_obo, 2);
}

#[tokio::test]
async fn a_token_about_to_expire_is_served_from_the_cache_and_starts_no_exchange() {
    let world = World::with(&[("OBO_MIN_ASSERTION_TTL", "300")]).await;
    let four_minutes = world.emulator.token(User::Alice).times(60, 240).build();
    let reply = world.call_tool(&four_minutes, TOOL).await;
    check(&reply, "401 invalid_token");
    assert_eq!(world.emulator.counters().token_obo, 0);

    let lenient = World::with(&[("OBO_MIN_ASSERTION_TTL", "0")]).await;
    let token = lenient.emulator.token(User::Alice).times(60, 240).build();
    check(&lenient.call_tool(&token, TOOL).await, "200");
    check(&lenient.call_tool(&token, TOOL).await, "200");
    assert_eq!(lenient.emulator.counters().token_obo, 1);
}

#[tokio::test]
async fn a_downstream_token_is_not_used_past_its_end() {
    let world = World::start().await;
    // Less than the margin: good for nothing but the call it was fetched for.
    world.emulator.set_downstream_lifetime(30);
    let token = world.emulator.token(User::Alice).build();
    check(&world.call_tool(&token, TOOL).await, "200");
    check(&world.call_tool(&token, TOOL).await, "200");
    assert_eq!(world.emulator.counters().token_obo, 2);
}

#[tokio::test]
async fn a_token_that_graph_refuses_is_replaced_once() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    check(&world.call_tool(&token, TOOL).await, "200");
    world.emulator.revoke_downstream_tokens();
    check(&world.call_tool(&token, TOOL).await, "200");
    assert_eq!(world.emulator.counters().token_obo, 2);

    let refusal = r#"{"error":{"code":"InvalidAuthenticationToken"}}"#.to_owned();
    world.emulator.faults().document(Endpoint::GraphMe, 401, Vec::new(), refusal);
    check(&world.call_tool(&token, TOOL).await, "401 invalid_token");
    assert_eq!(world.emulator.counters().token_obo, 3);
}

#[tokio::test]
async fn a_claims_challenge_reaches_the_client_as_a_401() {
    let world = World::start().await;
    world.emulator.faults().set(Endpoint::Token, Fault::Entra(EntraError::claims_challenge()));
    let token = world.emulator.token(User::Alice).build();
    let reply = world.call_tool(&token, TOOL).await;
    check(&reply, "401 insufficient_claims");
    assert!(reply.challenge_param("claims").is_some_and(|claims| claims.len() > 10));
    assert_eq!(reply.challenge_param("realm").as_deref(), Some(""));
    // It is not remembered: after the user has done it, the next call works.
    world.emulator.faults().clear();
    check(&world.call_tool(&token, TOOL).await, "200");
}

#[tokio::test]
async fn missing_consent_is_told_to_the_person() {
    let world = World::start().await;
    let carol = world.emulator.token(User::Carol).claim("scp", "access_as_user MCP.Tools").build();
    let sentence = told(&world.call_tool(&carol, TOOL).await);
    assert!(sentence.contains("administrator"), "{sentence}");
}

#[tokio::test]
async fn an_assertion_that_entra_refuses_makes_the_client_refresh() {
    let world = World::start().await;
    world.emulator.faults().set(Endpoint::Token, Fault::Entra(EntraError::assertion_expired()));
    let token = world.emulator.token(User::Alice).build();
    check(&world.call_tool(&token, TOOL).await, "401 invalid_token");
}

#[tokio::test]
async fn whatever_fails_at_entra_or_graph_ends_in_a_calm_sentence() {
    let world = World::start().await;
    let faults = [
        (Endpoint::Token, Fault::Status { status: 503, retry_after: None }),
        (Endpoint::Token, Fault::Status { status: 429, retry_after: Some("17".to_owned()) }),
        (Endpoint::Token, Fault::Reset),
        (Endpoint::Token, Fault::Garbage),
        (Endpoint::Token, Fault::Truncated),
        (Endpoint::Token, Fault::Endless),
        (Endpoint::Token, Fault::Redirect("http://127.0.0.1:1/".to_owned())),
        (Endpoint::Token, Fault::Entra(EntraError::invalid_secret())),
        (Endpoint::GraphMe, Fault::Status { status: 503, retry_after: Some("3".to_owned()) }),
        (Endpoint::GraphMe, Fault::Status { status: 403, retry_after: None }),
        (Endpoint::GraphMe, Fault::Reset),
        (Endpoint::GraphMe, Fault::Garbage),
        (Endpoint::GraphMe, Fault::Truncated),
        (Endpoint::GraphMe, Fault::Endless),
        (Endpoint::GraphMe, Fault::Redirect("http://127.0.0.1:1/".to_owned())),
    ];
    for (endpoint, fault) in faults {
        let label = format!("{fault:?}");
        let wait = if label.contains("17") { "17 seconds" } else { "" };
        // A token of its own, so that nothing comes from the cache.
        let token = world.emulator.token(User::Alice).claim("uti", label.clone()).build();
        world.emulator.faults().set(endpoint, fault);
        let sentence = told(&world.call_tool(&token, TOOL).await);
        assert!(!sentence.is_empty() && !sentence.contains("AADSTS") && sentence.contains(wait), "{label}: {sentence}");
        world.emulator.faults().clear();
        check(&world.call_tool(&token, TOOL).await, "200");
    }
}

#[tokio::test]
async fn the_client_capability_travels_only_if_the_inbound_token_has_it() {
    let world = World::start().await;
    let plain = world.emulator.token(User::Alice).claim("uti", "plain").build();
    let capable = world.emulator.token(User::Alice).claim("xms_cc", json!(["CP1"])).build();
    check(&world.call_tool(&plain, TOOL).await, "200");
    check(&world.call_tool(&capable, TOOL).await, "200");
    let had_claims: Vec<bool> = world.emulator.obo_requests().iter().map(emulator::OboRequest::had_claims).collect();
    assert_eq!(had_claims, [false, true]);
}
