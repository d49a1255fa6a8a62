//! The client's side: a user's token here becomes a token for Microsoft Graph (v2-oauth2-on-behalf-of-flow).

mod breaker;
pub mod cache;
mod challenge_guard;
pub(crate) mod claims;
pub mod client;
pub(crate) mod credential;
pub mod error;
mod refusals;
pub(crate) mod retry;
mod throttled_users;
pub(crate) mod wire;

pub(crate) use refusals::is_federation;
