//! What every test needs to speak Entra's wire formats: real RSA keys, tokens built by hand, hostile
//! variations of them read from data files, and a list of every secret that must never reach a log.
//!
//! **Architecture Invariant:** nothing here imports `shared`. A test that mints its tokens with the code under test
//! proves nothing.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    reason = "test support: a broken fixture must stop the test at once, with the place in the message"
)]

pub mod keys;
pub mod sentinel;
pub mod settings;
pub mod token;
pub mod vector;

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z, now.
#[must_use]
pub fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_secs()).expect("seconds fit into i64")
}

/// Base64url without padding, as JOSE spells it (RFC 7515 §2).
#[must_use]
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
