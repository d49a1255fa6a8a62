//! No change of a valid token is accepted, wherever it is.

use emulator::User;
use proptest::prelude::*;
use shared::auth::bearer::BearerToken;
use shared::moment::Moment;
use tokio::runtime::Runtime;

use crate::world::World;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=.~ \"";

/// Whether the verifier accepts the text, with keys in memory. What no header can carry is not accepted.
fn accepted(runtime: &Runtime, world: &World, text: &str) -> bool {
    let Ok(value) = http::HeaderValue::try_from(format!("Bearer {text}")) else { return false };
    let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
    let Ok(token) = BearerToken::from_request(&headers, None) else { return false };
    runtime.block_on(world.process.verifier.authenticate(token, &world.process.jwks, Moment::now())).is_ok()
}

fn world() -> (Runtime, World, String) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let world = runtime.block_on(World::start());
    let token = world.emulator.token(User::Alice).build();
    assert!(accepted(&runtime, &world, &token));
    (runtime, world, token)
}

#[test]
fn every_position_with_another_character_is_refused() {
    let (runtime, world, token) = world();
    for at in 0..token.len() {
        let original = token.as_bytes()[at];
        // Two substitutes for each place: a neighbour in the alphabet, which changes the fewest bits, and a far one.
        for step in [1, 31] {
            let position = ALPHABET.iter().position(|byte| *byte == original).unwrap();
            let mut bytes = token.clone().into_bytes();
            bytes[at] = ALPHABET[(position + step) % ALPHABET.len()];
            let changed = String::from_utf8(bytes).unwrap();
            // White space at the very end is not part of the field's value.
            if changed.trim_end() != changed || changed == token {
                continue;
            }
            assert!(!accepted(&runtime, &world, &changed), "accepted with another character at {at}");
        }
    }
}

#[test]
fn insertions_deletions_swaps_and_splices_are_refused() {
    let (runtime, world, token) = world();
    let other = world.emulator.token(User::Bob).build();
    let length = token.len();
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 2_000, ..ProptestConfig::default() });
    let strategy = (0..4_u8, 0..length, 0..length, 0..ALPHABET.len());
    runner
        .run(&strategy, |(kind, at, to, character)| {
            let mut bytes = token.clone().into_bytes();
            match kind {
                0 => bytes.insert(at, ALPHABET[character]),
                1 => {
                    bytes.remove(at);
                }
                2 => bytes.swap(at, to),
                _ => {
                    let cut = at.min(other.len());
                    bytes = [&token.as_bytes()[..at], &other.as_bytes()[cut..]].concat();
                }
            }
            let changed = String::from_utf8(bytes).unwrap();
            let same = changed.trim() == token || changed == other || token == changed;
            prop_assert!(same || !accepted(&runtime, &world, &changed), "accepted: kind {kind} at {at}");
            Ok(())
        })
        .unwrap();
}
