//! Keys under trouble: floods, rotation, replicas that disagree, Entra down.

use std::time::Duration;

use emulator::{Emulator, Endpoint, Fault, User};
use futures::future::join_all;
use support::base64url;
use support::keys::SigningKey;

use crate::world::{World, check};

/// A token of Alice's under a made-up kid: everything but the signature looks right.
fn with_kid(world: &World, kid: &str) -> String {
    let token = world.emulator.token(User::Alice).header("kid", kid);
    format!("{}.{}.{}", base64url(token.header_json()), base64url(token.claims_json()), base64url([7; 256]))
}

/// Until the keys have been asked for more than `before` times.
async fn keys_asked_for(world: &World, before: u64) {
    while world.emulator.counters().keys <= before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn ten_thousand_unknown_kids_cause_three_fetches_at_most() {
    let world = World::start().await;
    let before = world.emulator.counters().keys;
    for _ in 0..100 {
        let flood = (0..100).map(|_| {
            let token = with_kid(&world, &format!("{:032x}", rand::random::<u128>()));
            let world = &world;
            async move { world.list_tools(&token).await.label() }
        });
        assert!(join_all(flood).await.iter().all(|label| label == "401 invalid_token"));
    }
    let fetches = world.emulator.counters().keys - before;
    assert!((1..=3).contains(&fetches), "{fetches} fetches");
    // A good caller is none the wiser, and a rotation during the flood would have been found by the first three.
    check(&world.list_tools(&world.emulator.token(User::Alice).build()).await, "200");
}

#[tokio::test]
async fn strangers_cannot_spend_the_budget() {
    let world = World::start().await;
    let before = world.emulator.counters().keys;
    for _ in 0..20 {
        let stranger = world.emulator.token(User::Alice).header("kid", "made-up").claim("aud", "another");
        check(&world.list_tools(&stranger.build()).await, "401 invalid_token");
    }
    assert_eq!(world.emulator.counters().keys, before);
}

#[tokio::test]
async fn a_rotated_key_is_picked_up_within_the_same_request() {
    let world = World::start().await;
    let before = world.emulator.counters();
    world.emulator.rotate_keys();
    let token = world.emulator.token(User::Alice).build();
    check(&world.list_tools(&token).await, "200");
    let after = world.emulator.counters();
    assert_eq!((after.keys - before.keys, after.discovery - before.discovery), (1, 0));
}

#[tokio::test]
async fn fifty_callers_under_a_new_key_share_one_fetch() {
    let world = World::start().await;
    let before = world.emulator.counters().keys;
    world.emulator.rotate_keys();
    world.emulator.faults().times(Endpoint::Keys, 1, Fault::Delay(Duration::from_millis(200)));
    let token = world.emulator.token(User::Alice).build();
    let replies = join_all((0..50).map(|_| world.list_tools(&token))).await;
    assert!(replies.iter().all(|reply| reply.label() == "200"));
    assert_eq!(world.emulator.counters().keys - before, 1);
}

#[tokio::test]
async fn fifty_cold_callers_share_one_fetch() {
    let emulator = Emulator::start().await;
    emulator.faults().times(Endpoint::Keys, 1, Fault::Delay(Duration::from_millis(200)));
    let world = World::cold(emulator, &[]);
    let token = world.emulator.token(User::Alice).build();
    let replies = join_all((0..50).map(|_| world.list_tools(&token))).await;
    assert!(replies.iter().all(|reply| reply.label() == "200"));
    assert_eq!((world.emulator.counters().discovery, world.emulator.counters().keys), (1, 1));
}

#[tokio::test]
async fn a_refresh_that_lacks_a_live_key_does_not_lose_it() {
    let world = World::start().await;
    let old = world.emulator.signing_key();
    let new = SigningKey::generate("another-replica");
    world.emulator.publish(std::slice::from_ref(&new));
    // A token under the new key makes the server ask, and the answer lacks the old key.
    check(&world.list_tools(&world.emulator.token(User::Alice).key(&new).build()).await, "200");
    check(&world.list_tools(&world.emulator.token(User::Alice).key(&old).build()).await, "200");
}

#[tokio::test]
async fn a_key_published_for_another_tenant_verifies_nothing_here() {
    let world = World::start().await;
    let foreign = SigningKey::generate("foreign");
    let ours = world.emulator.signing_key();
    let issuer = format!("{}/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", world.emulator.base_url());
    let document = serde_json::json!({ "keys": [ours.jwk(&world.emulator.issuer()), foreign.jwk(&issuer)] });
    world.emulator.faults().document(Endpoint::Keys, 200, Vec::new(), document.to_string());
    check(&world.list_tools(&world.emulator.token(User::Alice).key(&foreign).build()).await, "401 invalid_token");
    check(&world.list_tools(&world.emulator.token(User::Alice).build()).await, "200");
}

#[tokio::test]
async fn strangers_who_wait_for_keys_take_nobodys_place() {
    let world = World::with(&[("MAX_REQUESTS_IN_FLIGHT", "1")]).await;
    let good = world.emulator.token(User::Alice).build();
    let before = world.emulator.counters().keys;
    world.emulator.faults().times(Endpoint::Keys, 1, Fault::Delay(Duration::from_millis(500)));
    let strangers = async {
        let stranger = with_kid(&world, "unknown-kid");
        join_all((0..20).map(|_| world.list_tools(&stranger))).await
    };
    let others = async {
        keys_asked_for(&world, before).await;
        for _ in 0..20 {
            check(&world.list_tools(&good).await, "200");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (strangers, ()) = tokio::join!(strangers, others);
    assert!(strangers.iter().all(|reply| reply.label() == "401 invalid_token"));
    assert_eq!(world.process.limits.room(), 1);
}

#[tokio::test]
async fn whoever_has_waited_for_keys_needs_a_place_again() {
    let world = World::with(&[("MAX_REQUESTS_IN_FLIGHT", "1")]).await;
    let known = world.emulator.token(User::Alice).build();
    let before = world.emulator.counters().keys;
    world.emulator.rotate_keys();
    let new = world.emulator.token(User::Bob).build();
    world.emulator.faults().times(Endpoint::Keys, 1, Fault::Delay(Duration::from_millis(300)));
    world.emulator.faults().times(Endpoint::GraphMe, 1, Fault::Delay(Duration::from_millis(900)));
    let meanwhile = async {
        keys_asked_for(&world, before).await;
        world.call_tool(&known, "get_my_profile").await
    };
    let (waited, meanwhile) = tokio::join!(world.list_tools(&new), meanwhile);
    check(&waited, "503");
    assert_eq!(waited.headers["retry-after"], "1");
    check(&meanwhile, "200");
    check(&world.list_tools(&new).await, "200");
    assert_eq!(world.process.limits.room(), 1);
}

#[tokio::test]
async fn a_rotation_during_an_outage_sends_nobody_to_sign_in_again() {
    let world = World::start().await;
    let before = world.emulator.counters().keys;
    world.emulator.rotate_keys();
    world.emulator.faults().set(Endpoint::Keys, Fault::Status { status: 500, retry_after: None });
    let token = world.emulator.token(User::Alice).build();
    for _ in 0..10 {
        let reply = world.list_tools(&token).await;
        check(&reply, "503");
        assert!(!reply.headers.contains_key("www-authenticate"));
    }
    assert!((1..=3).contains(&(world.emulator.counters().keys - before)));
}

#[tokio::test]
async fn entra_down_after_the_keys_are_there_costs_no_request() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    world.emulator.stop().await;
    let replies = join_all((0..200).map(|_| world.list_tools(&token))).await;
    assert!(replies.iter().all(|reply| reply.label() == "200"));
    assert_eq!(world.get("/health/ready").await.label(), "200");
}

#[tokio::test]
async fn without_keys_callers_wait_and_do_not_sign_in_again() {
    let emulator = Emulator::start().await;
    let token = emulator.token(User::Alice).build();
    emulator.stop().await;
    let world = World::cold(emulator, &[]);
    world.process.start();
    let reply = world.list_tools(&token).await;
    check(&reply, "503");
    assert_eq!(reply.headers["retry-after"], "5");
    assert!(!reply.headers.contains_key("www-authenticate"));
    assert_eq!(world.get("/").await.label(), "204");
    assert_eq!(world.get("/health/live").await.label(), "200");
    let ready = world.get("/health/ready").await;
    assert_eq!(ready.label(), "503");
    assert_eq!(ready.json()["checks"][0]["ok"], false);
    // No token is still "sign in", not "wait": the client can use the time.
    assert_eq!(world.get("/mcp").await.label(), "401");

    world.emulator.restart().await;
    world.until_keys_are_there().await;
    check(&world.list_tools(&token).await, "200");
}

#[tokio::test]
async fn every_fault_of_the_key_endpoint_leaves_the_known_keys_in_service() {
    let world = World::start().await;
    let good = world.emulator.token(User::Alice).build();
    let faults = [
        Fault::Status { status: 500, retry_after: None },
        Fault::Status { status: 429, retry_after: Some("3600".to_owned()) },
        Fault::Reset,
        Fault::Garbage,
        Fault::Truncated,
        Fault::Redirect("http://127.0.0.1:1/keys".to_owned()),
        Fault::Endless,
        Fault::Hang,
    ];
    for fault in faults {
        let label = format!("{fault:?}");
        // A server of its own for each fault, with keys, so that each gets its burst of questions.
        let world = World::cold(world.emulator.clone(), &[]);
        check(&world.list_tools(&good).await, "200");
        world.emulator.faults().set(Endpoint::Keys, fault);
        let unknown = world.list_tools(&with_kid(&world, "unknown-kid")).await;
        assert_eq!(unknown.label(), "503", "{label}");
        check(&world.list_tools(&good).await, "200");
        world.emulator.faults().clear();
    }
}

#[tokio::test]
async fn two_callers_on_one_cold_cache_are_both_served() {
    let world = World::cold(Emulator::start().await, &[]);
    let (alice, bob) = (world.emulator.token(User::Alice).build(), world.emulator.token(User::Bob).build());
    let (one, other) = tokio::join!(world.list_tools(&alice), world.list_tools(&bob));
    assert_eq!((one.label(), other.label()), ("200".to_owned(), "200".to_owned()));
}
