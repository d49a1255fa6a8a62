//! How often each endpoint was asked, failures included.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// The requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Requests for the discovery document.
    pub discovery: u64,
    /// Requests for the key set.
    pub keys: u64,
    /// Requests to the authorize endpoint, the user picker's page included.
    pub authorize: u64,
    /// Token requests with an authorization code.
    pub token_code: u64,
    /// Token requests with a refresh token.
    pub token_refresh: u64,
    /// On-behalf-of requests.
    pub token_obo: u64,
    /// Client-credentials requests, whatever the client proved itself with.
    pub token_client_credentials: u64,
    /// Requests for a managed identity's token, to either endpoint.
    pub managed_identity: u64,
    /// Requests to `GET /v1.0/me`.
    pub graph_me: u64,
}

/// The counters behind their lock.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counters>);

impl Tally {
    /// Counts one request.
    pub(crate) fn count(&self, field: impl FnOnce(&mut Counters) -> &mut u64) {
        *field(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)) += 1;
    }

    pub(crate) fn read(&self) -> Counters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
