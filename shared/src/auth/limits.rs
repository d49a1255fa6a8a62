//! How much is taken on: so many calls at once, so many a second from everybody, so many a minute from one caller.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::caller::Caller;
use super::error::AuthError;
use crate::config;

/// The most callers whose requests to Graph are counted. Where there are more, some may have more under way.
const MAX_COUNTED_CALLERS: u64 = 10_000;

/// How long a request to Graph waits for the same caller's others.
const GRAPH_WAIT: Duration = Duration::from_secs(10);

/// The limits of a process, and what is used of them.
#[derive(Debug)]
pub struct Limits {
    room: Arc<Semaphore>,
    everybody: DefaultDirectRateLimiter,
    /// By object ID: the one tenant's users and service principals.
    callers: DefaultKeyedRateLimiter<Arc<str>>,
    /// By object ID, too.
    graph: Cache<Arc<str>, Arc<Semaphore>>,
    graph_requests: usize,
    clock: DefaultClock,
}

/// A place among the calls under way, free again when it is dropped.
#[derive(Debug)]
pub struct Place(OwnedSemaphorePermit);

impl Limits {
    pub(crate) fn new(limits: config::Limits) -> Self {
        Self {
            room: Arc::new(Semaphore::new(limits.requests_in_flight)),
            everybody: RateLimiter::direct(Quota::per_second(limits.requests_per_second)),
            callers: RateLimiter::keyed(Quota::per_minute(limits.caller_requests_per_minute)),
            graph: Cache::new(MAX_COUNTED_CALLERS),
            graph_requests: limits.caller_graph_requests,
            clock: DefaultClock::default(),
        }
    }

    /// Forgets the callers who have been quiet.
    pub(crate) fn forget_quiet(&self) {
        self.callers.retain_recent();
        self.callers.shrink_to_fit();
    }

    /// A place for a call, before anybody looks at its token. Never waits.
    ///
    /// # Errors
    ///
    /// [`AuthError::Overloaded`], [`AuthError::TooManyRequests`].
    pub fn enter(&self) -> Result<Place, AuthError> {
        let wait = |not_until: governor::NotUntil<_>| not_until.wait_time_from(self.clock.now());
        self.everybody.check().map_err(|until| AuthError::TooManyRequests("from everybody", wait(until)))?;
        self.place()
    }

    /// A place for a call that gave its first one back. Never waits.
    ///
    /// # Errors
    ///
    /// [`AuthError::Overloaded`].
    pub(super) fn place(&self) -> Result<Place, AuthError> {
        Arc::clone(&self.room).try_acquire_owned().map(Place).map_err(|_| AuthError::Overloaded)
    }

    /// Whether this caller may call once more.
    ///
    /// # Errors
    ///
    /// [`AuthError::TooManyRequests`].
    pub fn admit(&self, caller: &Caller) -> Result<(), AuthError> {
        let wait = |not_until: governor::NotUntil<_>| not_until.wait_time_from(self.clock.now());
        self.callers
            .check_key(caller.object_key())
            .map_err(|until| AuthError::TooManyRequests("from one caller", wait(until)))
    }

    /// A place for one request to Graph, free again when it is dropped; waits a little for the same caller's others. `None`:
    /// they take too long.
    pub async fn graph_place(&self, caller: &Caller) -> Option<OwnedSemaphorePermit> {
        let of_caller =
            self.graph.get_with_by_ref(caller.object_key(), || Arc::new(Semaphore::new(self.graph_requests)));
        tokio::time::timeout(GRAPH_WAIT, of_caller.acquire_owned()).await.ok()?.ok()
    }

    /// How many calls are under way at most, less those that are.
    #[must_use]
    pub fn room(&self) -> usize {
        self.room.available_permits()
    }
}

impl Place {
    /// The answer, keeping its place as long as it streams. One that is there as a whole keeps none.
    #[must_use]
    pub fn until_sent(self, response: Response) -> Response {
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _kept = &self.0;
                frame
            }))
        })
    }
}
