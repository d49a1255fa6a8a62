//! What every route and every host share: settings, keys, token verification, on-behalf-of, Graph.
//!
//! ```text
//! request ── require_bearer ── bearer ─> jwks ─> verifier ──> Caller ── tool ── OboClient ─> AccessToken ─> GraphClient
//! refusal <── challenge <── AuthError
//! ```
//!
//! # Invariants
//!
//! - **Proof is a type.** Only [`auth::verifier::TokenVerifier`] builds a [`auth::caller::Caller`]; only a `Caller` yields a
//!   `UserAssertion`; only a `UserAssertion` starts an on-behalf-of exchange. No exchange can start from a string.
//! - **Metadata and challenges come from settings only**: no header of a request ever reaches them.
//! - **`auth` never sees `obo`**; `obo` sees only `auth::caller`.
//! - **Reading keys neither locks nor waits.** A fetch happens in a task of its own; requests join it with a deadline.
//! - **No secret has a `Debug` or `Display` form.** What is kept of tokens and secrets lives in [`secrecy::SecretString`].
//! - **One static**: [`process::Process`]. Everything else takes references.

pub mod audit;
pub mod auth;
mod background;
pub mod config;
mod digest;
pub mod doctor;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod graph;
pub mod host;
pub mod http;
pub mod metadata;
pub mod moment;
pub mod obo;
pub mod process;
mod single_flight;
pub mod telemetry;
pub mod tool;
