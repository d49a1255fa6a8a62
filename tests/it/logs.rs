//! The executable's own log at trace level carries no secret, whatever happens.

use emulator::{CLIENT_SECRET, Emulator, Endpoint, EntraError, Fault, User};
use support::sentinel;

use crate::executable::Handler;
use crate::world;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_my_profile"}}"#;

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
        let settings = [("RUST_LOG", "trace"), ("DEBUG", debug)];
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
        handler.post(&emulator.token(user).build(), CALL).await;
    }
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
