//! On behalf of: one exchange for many calls, and a calm answer when it fails.

use std::time::Duration;

use emulator::{Endpoint, EntraError, Fault, User};
use futures::future::join_all;
use serde_json::{Value, json};
use shared::moment::Moment;

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
async fn what_was_exchanged_in_time_is_served_when_there_is_too_little_life_for_a_new_exchange() {
    let world = World::start().await;
    let began = Moment::now();
    let token = world.emulator.token(User::Alice).times(60, 302).build();
    check(&world.call_tool(&token, TOOL).await, "200");
    // Two seconds above the five minutes that a new exchange needs, until they are over.
    while Moment::now().since(began) < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    check(&world.call_tool(&token, TOOL).await, "200");
    assert_eq!(world.emulator.counters().token_obo, 1);
    // Graph throws the downstream token away: a new one would be needed, so the client must refresh its own first.
    world.emulator.revoke_downstream_tokens();
    check(&world.call_tool(&token, TOOL).await, "401 invalid_token");
    assert_eq!(world.emulator.counters().token_obo, 1);
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
async fn a_claims_challenge_reaches_the_client_as_a_401_and_does_not_go_in_circles() {
    let world = World::start().await;
    world.emulator.faults().set(Endpoint::Token, Fault::Entra(EntraError::claims_challenge()));
    let token = |uti: &str| world.emulator.token(User::Alice).claim("uti", uti).build();
    let first = token("first");
    let reply = world.call_tool(&first, TOOL).await;
    check(&reply, "401 insufficient_claims");
    assert!(reply.challenge_param("claims").is_some_and(|claims| claims.len() > 10));
    assert_eq!(reply.challenge_param("realm").as_deref(), Some(""));
    // The client comes back with the same token: it did not understand, so a person must.
    let sentence = told(&world.call_tool(&first, TOOL).await);
    assert!(sentence.contains("sign-in step"), "{sentence}");
    assert_eq!(world.emulator.counters().token_obo, 1, "a refusal is remembered for a while");
    // New tokens without the claims: two more challenges, then no more for this user.
    for uti in ["second", "third"] {
        check(&world.call_tool(&token(uti), TOOL).await, "401 insufficient_claims");
    }
    told(&world.call_tool(&token("fourth"), TOOL).await);
    // A token that answers the challenge works at once.
    world.emulator.faults().clear();
    check(&world.call_tool(&token("fifth"), TOOL).await, "200");
}

#[tokio::test]
async fn a_hostile_claims_text_reaches_no_header() {
    let world = World::start().await;
    for claims in ["no json", "[1]", "{\"a\":\"x\r\nSet-Cookie: y\"}", &format!("{{\"a\":\"{}\"}}", "x".repeat(9000))] {
        let fault = EntraError::claims_challenge().with_claims(claims);
        world.emulator.faults().set(Endpoint::Token, Fault::Entra(fault));
        let token = world.emulator.token(User::Alice).claim("uti", claims).build();
        let reply = world.call_tool(&token, TOOL).await;
        let header = reply.headers.get("www-authenticate").map_or(0, http::HeaderValue::len);
        assert!(reply.status == 200 || reply.status == 401, "{}", reply.status);
        assert!(header < 16_000 && !reply.headers.contains_key("set-cookie"), "{header}");
    }
}

#[tokio::test]
async fn missing_consent_is_told_to_the_person() {
    let world = World::start().await;
    let carol = world.emulator.token(User::Carol).claim("scp", "access_as_user MCP.Tools").build();
    let sentence = told(&world.call_tool(&carol, TOOL).await);
    let url = format!("{}/{}/adminconsent?client_id=", world.emulator.base_url(), emulator::TENANT_ID);
    assert!(sentence.contains("administrator") && sentence.contains(&url), "{sentence}");
}

#[tokio::test]
async fn a_client_that_can_show_a_page_is_asked_to_show_the_consent_page() {
    let world = World::start().await;
    let carol = world.emulator.token(User::Carol).claim("scp", "access_as_user MCP.Tools").build();
    let call = |capabilities: Value, answers: Option<Value>| {
        let mut params = json!({ "name": TOOL, "arguments": {} });
        if let Some(answers) = answers {
            params["inputResponses"] = answers;
        }
        crate::world::modern_request_with(&carol, "tools/call", params, &capabilities)
    };
    let shows_pages = json!({ "elicitation": { "url": {} } });
    let asked = world.send(call(shows_pages.clone(), None)).await.json();
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let request = &asked["result"]["inputRequests"]["consent"];
    assert_eq!(
        (request["method"].as_str(), request["params"]["mode"].as_str()),
        (Some("elicitation/create"), Some("url"))
    );
    assert!(request["params"]["url"].as_str().is_some_and(|url| url.contains("/adminconsent?client_id=")));
    // Back without consent: told, not asked again. Back with it: served, whatever was remembered.
    let accepted = json!({ "consent": { "action": "accept" } });
    assert!(told(&world.send(call(shows_pages.clone(), Some(accepted.clone()))).await).contains("administrator"));
    world.emulator.grant(User::Carol, "User.Read");
    let served = world.send(call(shows_pages, Some(accepted))).await;
    assert_eq!(served.structured()["id"], User::Carol.oid());
    // A client that cannot show pages is told.
    let other = World::start().await;
    let carol = other.emulator.token(User::Carol).claim("scp", "access_as_user MCP.Tools").build();
    assert!(told(&other.call_tool(&carol, TOOL).await).contains("/adminconsent?"));
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
    let shared = World::start().await;
    let faults = [
        (Endpoint::Token, Fault::Status { status: 503, retry_after: None }),
        (Endpoint::Token, Fault::Status { status: 429, retry_after: Some("17".to_owned()) }),
        (Endpoint::Token, Fault::Status { status: 429, retry_after: Some("garbage".to_owned()) }),
        (Endpoint::Token, Fault::Reset),
        (Endpoint::Token, Fault::Garbage),
        (Endpoint::Token, Fault::Truncated),
        (Endpoint::Token, Fault::Endless),
        (Endpoint::Token, Fault::Redirect("http://127.0.0.1:1/".to_owned())),
        (Endpoint::Token, Fault::Entra(EntraError::invalid_secret())),
        (Endpoint::GraphMe, Fault::Status { status: 503, retry_after: Some("3".to_owned()) }),
        (Endpoint::GraphMe, Fault::Status { status: 503, retry_after: Some("86400000".to_owned()) }),
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
        // A server of its own for each, so that nothing is cached or remembered.
        let world = World::cold(shared.emulator.clone(), &[]);
        let token = world.emulator.token(User::Alice).build();
        world.emulator.faults().set(endpoint, fault);
        let before = world.emulator.counters();
        let sentence = told(&world.call_tool(&token, TOOL).await);
        assert!(!sentence.is_empty() && !sentence.contains("AADSTS") && sentence.contains(wait), "{label}: {sentence}");
        let after = world.emulator.counters();
        let asked = (after.token_obo - before.token_obo).max(after.graph_me - before.graph_me);
        assert!((1..=3).contains(&asked), "{label}: asked {asked} times");
        world.emulator.faults().clear();
    }
}

#[tokio::test]
async fn what_passes_by_itself_is_waited_for() {
    let shared = World::start().await;
    for endpoint in [Endpoint::Token, Endpoint::GraphMe] {
        for fault in [
            Fault::Status { status: 503, retry_after: None },
            Fault::Status { status: 429, retry_after: Some("1".to_owned()) },
            Fault::Reset,
        ] {
            let world = World::cold(shared.emulator.clone(), &[]);
            world.emulator.faults().times(endpoint, 1, fault);
            check(&world.call_tool(&world.emulator.token(User::Alice).build(), TOOL).await, "200");
        }
    }
}

#[tokio::test]
async fn throttling_of_one_user_does_not_hold_up_another() {
    let world = World::start().await;
    world.emulator.grant(User::Bob, "MCP.Tools");
    let throttled = Fault::Status { status: 429, retry_after: Some("60".to_owned()) };
    world.emulator.faults().times(Endpoint::Token, 1, throttled);
    let alice = |uti: &str| world.emulator.token(User::Alice).claim("uti", uti).build();
    assert!(told(&world.call_tool(&alice("one"), TOOL).await).contains("60 seconds"));
    // Whatever the token, Alice is not tried again before her time; Bob is served at once.
    told(&world.call_tool(&alice("two"), TOOL).await);
    assert_eq!(world.emulator.counters().token_obo, 1);
    check(&world.call_tool(&world.emulator.token(User::Bob).build(), TOOL).await, "200");
}

#[tokio::test]
async fn a_wrong_secret_is_known_to_readiness_and_not_asked_again_for_each_user() {
    let world = World::with(&[("CLIENT_SECRET", "Xx~8Q.not-the-secret")]).await;
    assert_eq!(world.get("/health/ready").await.label(), "200");
    for user in [User::Alice, User::Bob] {
        let token = world.emulator.token(user).claim("scp", "MCP.Tools access_as_user").build();
        assert!(told(&world.call_tool(&token, TOOL).await).contains("not set up correctly"));
    }
    assert_eq!(world.emulator.counters().token_obo, 1);
    let ready = world.get("/health/ready").await;
    assert_eq!(ready.label(), "503");
    assert_eq!(ready.json()["checks"][1]["ok"], false);
}

#[tokio::test]
async fn graphs_claims_challenge_is_answered_once_and_then_passed_on() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).claim("xms_cc", json!(["cp1"])).build();
    check(&world.call_tool(&token, TOOL).await, "200");
    // A Graph that takes a token which answers its challenge: one more exchange, and nobody notices.
    world.emulator.graph_claims_challenge(true);
    check(&world.call_tool(&token, TOOL).await, "200");
    assert_eq!(world.emulator.counters().token_obo, 2);
    check(&world.call_tool(&token, TOOL).await, "200");
    assert_eq!(world.emulator.counters().token_obo, 2, "the new token is the one in the cache");
    // A Graph that is never content: the client is asked.
    let challenge = r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7InZhbHVlIjoiOSJ9fX0=""#;
    let headers = vec![("WWW-Authenticate".to_owned(), challenge.to_owned())];
    world.emulator.faults().document(Endpoint::GraphMe, 401, headers, "{}".to_owned());
    let reply = world.call_tool(&token, TOOL).await;
    check(&reply, "401 insufficient_claims");
    assert!(reply.challenge_param("claims").is_some());
    assert_eq!(world.emulator.counters().token_obo, 3);
}

#[tokio::test]
async fn an_aging_token_is_renewed_while_it_is_still_served() {
    let world = World::start().await;
    // Five minutes before its end it is to be renewed: at once, with a life this short.
    world.emulator.set_downstream_lifetime(290);
    let token = world.emulator.token(User::Alice).build();
    check(&world.call_tool(&token, TOOL).await, "200");
    world.emulator.set_downstream_lifetime(4500);
    world.emulator.faults().times(Endpoint::Token, 1, Fault::Delay(Duration::from_millis(200)));
    // This caller is served from the cache while the renewal is under way.
    check(&world.call_tool(&token, TOOL).await, "200");
    let renewed = async {
        while world.emulator.counters().token_obo < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), renewed).await.expect("a renewal in the background");
    tokio::time::sleep(Duration::from_millis(400)).await;
    check(&world.call_tool(&token, TOOL).await, "200");
    assert_eq!(world.emulator.counters().token_obo, 2, "the renewed token serves on");
}

#[tokio::test]
async fn a_renewal_that_fails_is_not_tried_by_every_call() {
    let world = World::start().await;
    world.emulator.set_downstream_lifetime(290);
    let token = world.emulator.token(User::Alice).build();
    check(&world.call_tool(&token, TOOL).await, "200");
    world.emulator.faults().set(Endpoint::Token, Fault::Status { status: 503, retry_after: None });
    for _ in 0..30 {
        check(&world.call_tool(&token, TOOL).await, "200");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let exchanges = world.emulator.counters().token_obo;
    assert!((2..=4).contains(&exchanges), "{exchanges}: the first, and one renewal with its retries");
}

#[tokio::test]
async fn one_users_many_tokens_do_not_grow_the_cache() {
    let world = World::start().await;
    for at in 0..40 {
        let token = world.emulator.token(User::Alice).claim("uti", format!("session-{at}")).build();
        check(&world.call_tool(&token, TOOL).await, "200");
    }
    let (entries, bytes) = world.process.obo.cache_size();
    assert!(entries <= 16 && bytes < 1024 * 1024, "{entries} entries, {bytes} bytes");
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
