//! The resource server's side: from an `Authorization` header to a verified caller, or to a refusal.

pub mod bearer;
pub mod caller;
pub mod challenge;
pub mod claims;
pub mod error;
pub mod examine;
pub mod jwks;
pub(crate) mod jws;
pub mod limits;
pub mod require_bearer;
mod verified_tokens;
pub mod verifier;
