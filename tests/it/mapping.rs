//! What each of Entra's refusals becomes, row by row: a status the client can act on, or a calm sentence; what readiness
//! says of it; how often Entra is asked.

use std::time::Duration;

use emulator::{Emulator, Endpoint, EntraError, Fault, User};
use futures::future::join_all;

use crate::world::{World, check};

const TOOL: &str = "get_my_profile";

/// A refusal of Entra's and what must come of it.
struct Row {
    refusal: EntraError,
    /// `401 invalid_token`, or a part of the sentence.
    becomes: &'static str,
    /// How often Entra is asked within the call.
    asked: u64,
    /// Whether the server still calls itself ready.
    ready: bool,
}

const STEP_UP: &str = "401 insufficient_claims";
const SIGN_IN: &str = "401 invalid_token";
const CONSENT: &str = "An administrator can allow it here";
const SET_UP: &str = "not set up correctly";
const BUSY: &str = "not answering at the moment";

fn rows() -> Vec<Row> {
    let claims = r#"{"access_token":{"polids":{"essential":true,"values":["x"]}}}"#;
    let plain = |codes: &[u32], error: &str, becomes: &'static str, asked: u64, ready: bool| -> Vec<Row> {
        let row = |code: &u32| Row { refusal: EntraError::new(error, *code, "x"), becomes, asked, ready };
        codes.iter().map(row).collect()
    };
    let with_claims = |code: &u32| Row {
        refusal: EntraError::new("interaction_required", *code, "x").with_claims(claims),
        becomes: STEP_UP,
        asked: 1,
        ready: true,
    };
    let suberror = |suberror: &str, becomes: &'static str| Row {
        refusal: EntraError::new("invalid_grant", 50_000, "x").with_suberror(suberror),
        becomes,
        asked: 1,
        ready: true,
    };
    let mut rows: Vec<Row> =
        [50076, 50079, 50074, 50158, 53000, 53001, 53002, 53003, 530_034].iter().map(with_claims).collect();
    rows.extend(["consent_required"].map(|name| suberror(name, CONSENT)));
    rows.extend(["token_expired", "bad_token", "user_password_expired"].map(|name| suberror(name, SIGN_IN)));
    rows.extend(plain(&[65001], "invalid_grant", CONSENT, 1, true));
    // The assertion or the session is over.
    rows.extend(plain(&[500_133, 50013, 70043, 700_082, 50173, 50057], "invalid_grant", SIGN_IN, 1, true));
    // This server's registration or settings.
    rows.extend(plain(&[500_131, 7_000_114, 240_002, 50196], "invalid_grant", SET_UP, 1, true));
    rows.extend(plain(&[700_016], "unauthorized_client", SET_UP, 1, true));
    rows.extend(plain(&[90002], "invalid_tenant", SET_UP, 1, true));
    rows.extend(plain(&[70011, 28000, 650_053], "invalid_scope", SET_UP, 1, true));
    rows.extend(plain(&[7_000_215, 7_000_222], "invalid_client", SET_UP, 1, false));
    let federation = [70021, 700_211, 700_212, 700_213, 7_002_137, 7_002_138, 700_214, 700_229, 700_024, 700_027];
    rows.extend(plain(&federation, "invalid_client", SET_UP, 1, false));
    // What passes by itself is tried three times.
    rows.extend(plain(&[90033, 90024], "temporarily_unavailable", BUSY, 3, true));
    // Throttled without a time: asking again would only add to it.
    rows.extend(plain(&[90055], "temporarily_unavailable", BUSY, 1, true));
    rows
}

#[tokio::test]
async fn every_refusal_of_entras_becomes_what_its_row_names() {
    let emulator = Emulator::start().await;
    let rows = rows();
    assert!(rows.len() > 35);
    for Row { refusal, becomes, asked, ready } in rows {
        let label = format!("{refusal:?}");
        // A server of its own for each, so that nothing is remembered.
        let world = World::with_on(emulator.clone(), &[]).await;
        emulator.faults().set(Endpoint::Token, Fault::Entra(refusal));
        let before = emulator.counters().token_obo;
        let reply = world.call_tool(&emulator.token(User::Alice).build(), TOOL).await;
        if becomes.starts_with("401") {
            assert_eq!(reply.label(), becomes, "{label}");
        } else {
            assert_eq!(reply.label(), "200", "{label}");
            let body = reply.json();
            assert_eq!(body["result"]["isError"], true, "{label}");
            let sentence = body["result"]["content"][0]["text"].as_str().unwrap();
            assert!(sentence.contains(becomes) && !sentence.contains("AADSTS"), "{label}: {sentence}");
        }
        assert_eq!(emulator.counters().token_obo - before, asked, "{label}");
        assert_eq!(world.get("/health/ready").await.label(), if ready { "200" } else { "503" }, "{label}");
        emulator.faults().clear();
    }
}

#[tokio::test]
async fn one_user_with_many_tokens_takes_four_exchanges_at_once_and_leaves_room_for_others() {
    let world = World::start().await;
    world.emulator.grant(User::Bob, "MCP.Tools");
    world.emulator.faults().times(Endpoint::Token, 4, Fault::Hang);
    let tokens: Vec<String> =
        (0..12).map(|number| world.emulator.token(User::Alice).claim("uti", format!("t{number}")).build()).collect();
    let alice = join_all(tokens.iter().map(|token| world.call_tool(token, TOOL)));
    let bob = async {
        while world.emulator.counters().token_obo < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        check(&world.call_tool(&world.emulator.token(User::Bob).build(), TOOL).await, "200");
        // Four of Alice's hang, eight wait for them; Bob's is the fifth.
        assert_eq!(world.emulator.counters().token_obo, 5);
    };
    let (replies, ()) = tokio::join!(alice, bob);
    // The four are tried again, and then everybody is served.
    for reply in replies {
        assert_eq!(reply.structured()["id"], User::Alice.oid());
    }
}

#[tokio::test]
async fn where_entra_throttles_five_users_it_throttles_this_server_and_nobody_is_sent_there() {
    let world = World::start().await;
    let throttled = Fault::Status { status: 429, retry_after: Some("30".to_owned()) };
    world.emulator.faults().set(Endpoint::Token, throttled);
    for user in 0..8 {
        let oid = format!("eeeeeeee-0000-1111-2222-{user:012}");
        let token = world.emulator.token(User::Alice).claim("oid", oid).build();
        let body = world.call_tool(&token, TOOL).await.json();
        let sentence = body["result"]["content"][0]["text"].as_str().unwrap();
        assert!(sentence.contains("busy"), "{sentence}");
    }
    assert_eq!(world.emulator.counters().token_obo, 5);
    // Nothing is wrong with this server: it stays in rotation.
    assert_eq!(world.get("/health/ready").await.label(), "200");
}
