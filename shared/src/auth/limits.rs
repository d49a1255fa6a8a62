//! How much is taken on: so many calls at once, so many a second from everybody, so many a minute from one caller.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::caller::Caller;
use super::error::AuthError;
use crate::config;

/// How often callers who have been quiet are forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// The limits of a process, and what is used of them.
#[derive(Debug)]
pub struct Limits {
    room: Arc<Semaphore>,
    everybody: DefaultDirectRateLimiter,
    /// By object ID: the one tenant's users and service principals.
    callers: DefaultKeyedRateLimiter<String>,
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
            clock: DefaultClock::default(),
        }
    }

    /// Forgets quiet callers from time to time, in the background.
    pub(crate) fn keep_small(&'static self) {
        tokio::spawn(async {
            loop {
                tokio::time::sleep(FORGET_EVERY).await;
                self.callers.retain_recent();
                self.callers.shrink_to_fit();
            }
        });
    }

    /// A place for a call, before anybody looks at its token. Never waits.
    ///
    /// # Errors
    ///
    /// [`AuthError::Overloaded`], [`AuthError::TooManyRequests`].
    pub fn enter(&self) -> Result<Place, AuthError> {
        let wait = |not_until: governor::NotUntil<_>| not_until.wait_time_from(self.clock.now());
        self.everybody.check().map_err(|until| AuthError::TooManyRequests("from everybody", wait(until)))?;
        Arc::clone(&self.room).try_acquire_owned().map(Place).map_err(|_| AuthError::Overloaded)
    }

    /// Whether this caller may call once more.
    ///
    /// # Errors
    ///
    /// [`AuthError::TooManyRequests`].
    pub fn admit(&self, caller: &Caller) -> Result<(), AuthError> {
        let wait = |not_until: governor::NotUntil<_>| not_until.wait_time_from(self.clock.now());
        let key = caller.object_id().to_owned();
        self.callers.check_key(&key).map_err(|until| AuthError::TooManyRequests("from one caller", wait(until)))
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
