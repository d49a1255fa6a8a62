//! The executable's own log at trace level carries no secret, whatever happens.

use emulator::{CLIENT_SECRET, Emulator, Endpoint, EntraError, Fault, User};
use serde_json::json;
use support::sentinel;

use crate::executable::Handler;
use crate::world;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_my_profile"}}"#;

/// The same by rmcp's transport, which answers where progress is asked for.
const CALL_WITH_PROGRESS: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_my_profile","_meta":{"progressToken":1}}}"#;

/// What a body says and rmcp refuses: another revision than the header's.
const SAID: &str = "words-of-a-body";

/// All there is, by directives that are more exact than any of the server's own.
const EVERYTHING: &str =
    "trace,rmcp::transport=trace,rmcp::service=trace,rmcp::handler=trace,h2::proto=trace,h2::codec=trace";

#[tokio::test]
async fn no_log_line_carries_a_token_a_secret_or_a_claim() {
    for debug in ["false", "true"] {
        let emulator = Emulator::start().await;
        for user in User::ALL {
            for claim in [user.name(), user.upn(), user.oid()] {
                sentinel::register(claim);
            }
        }
        sentinel::register(CLIENT_SECRET);
        sentinel::register(SAID);
        let settings = [("RUST_LOG", EVERYTHING), ("DEBUG", debug)];
        let handler = Handler::start(world::settings_for(&emulator.base_url(), &settings)).await;
        exercise(&emulator, &handler).await;
        handler.terminate();
        let (text, errors) = handler.output().await;
        assert_eq!(errors, "", "nothing goes to stderr in normal work");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() > 50 && sentinel::count() > 10, "{} lines, {} secrets", lines.len(), sentinel::count());
        for line in lines {
            assert_eq!(sentinel::leak_in(&world::without_who(line)), None, "in a line of {} characters", line.len());
            assert!(!line.chars().any(char::is_control), "a raw control character in {line:?}");
            if debug == "false" {
                assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON: {line}");
            }
        }
    }
}

/// Good calls, refused ones and failing ones.
async fn exercise(emulator: &Emulator, handler: &Handler) {
    for user in User::ALL {
        for call in [CALL, CALL_WITH_PROGRESS] {
            let reply = handler.post(&emulator.token(user).build(), call).await;
            assert!(user != User::Alice || reply.body.contains(user.name()), "{}", reply.body);
        }
    }
    let client = json!({ "name": SAID, "version": "1" });
    let params = json!({ "protocolVersion": SAID, "capabilities": {}, "clientInfo": client });
    let refused = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string();
    assert_eq!(handler.post(&emulator.token(User::Alice).build(), &refused).await.status, 400);
    let alice = || emulator.token(User::Alice);
    let evil = "evil\u{1b}[31m kid";
    let refused = [
        alice().claim("aud", "another").build(),
        alice().claim("exp", 1).build(),
        alice().header("kid", "unknown").build(),
        alice().header("kid", evil).build(),
        alice().signing(support::keys::Signing::Random).build(),
        emulator.app_only_token().build(),
        "no-token-at-all-but-secret".to_owned(),
    ];
    for token in refused {
        sentinel::register(&token);
        handler.post(&token, CALL).await;
    }
    for fault in [
        Fault::Entra(EntraError::claims_challenge()),
        Fault::Entra(EntraError::invalid_secret()),
        Fault::Entra(EntraError::consent_required()),
        Fault::Garbage,
        Fault::Reset,
    ] {
        emulator.faults().set(Endpoint::Token, fault);
        handler.post(&alice().claim("uti", format!("uti-{:08x}", rand::random::<u32>())).build(), CALL).await;
        emulator.faults().clear();
    }
}
