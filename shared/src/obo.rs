//! The client's side: a user's token here becomes a token for Microsoft Graph (v2-oauth2-on-behalf-of-flow).

pub mod cache;
pub mod client;
mod credential;
pub mod error;
mod wire;
