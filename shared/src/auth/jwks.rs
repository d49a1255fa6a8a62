//! Entra's signing keys: a `KeySet` that decides, inside a [`JwksCache`] that fetches.
//!
//! Why a union with a lifetime per key and not the newest set: Entra's replicas disagree for hours, so a key that is
//! still signing may be missing from one answer (signing-key-rollover describes exactly this cache).

mod fetch;
pub(crate) mod key_set;
mod refresh_budget;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rand::Rng as _;
use tracing::{Instrument as _, error, info, info_span, warn};

use super::error::{AuthError, TokenFault};
use crate::background;
use crate::config::Config;
use crate::http::HttpClient;
use crate::moment::Moment;
use crate::single_flight::{Flight, SingleFlight};
use crate::telemetry::metrics::Metrics;
use fetch::{FetchError, KeySource, Survey};
pub use key_set::VerificationKey;
use key_set::{KeySet, Merge};
use refresh_budget::RefreshBudget;

/// How long a request waits for a fetch that it needs.
const REQUEST_WAIT: Duration = Duration::from_secs(2);

/// While there are no keys at all: how far apart the attempts are, so that service resumes within seconds.
const EMPTY_RETRY: Duration = Duration::from_secs(4);

/// While there are keys and fetching fails: the longest pause between attempts.
const LONGEST_RETRY: Duration = Duration::from_mins(5);

/// The longest that a fetch may take, whatever it waits for: one that never ended would keep every later one from starting.
const LONGEST_FETCH: Duration = Duration::from_secs(30);

/// From when on failing refreshes are an error and not only a warning.
const WORRYING_AGE: Duration = Duration::from_hours(2);

/// While the background refresh is overdue: how far apart the attempts are that requests cause instead.
const OVERDUE_RETRY: Duration = Duration::from_mins(1);

/// What callers are told to wait for while keys cannot be had.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The process's key cache. Reading takes one atomic load: no lock, no await.
#[derive(Debug)]
pub struct JwksCache {
    keys: ArcSwap<KeySet>,
    source: KeySource,
    flights: SingleFlight<(), Result<(), FetchError>>,
    budget: Mutex<RefreshBudget>,
    refresh_interval: Duration,
    key_ttl: Duration,
    metrics: Arc<Metrics>,
}

/// What comes of a key that is not at hand.
enum Miss {
    /// It came in the meantime.
    Landed(Arc<VerificationKey>),
    /// A fetch may bring it: the one in the air, or a new one that the budget pays for.
    InFlight(Flight<Result<(), FetchError>>),
    /// Entra has no such key, as far as is known.
    Unknown,
    /// It may exist, but nobody here has seen it.
    Unavailable,
}

/// A fetch under way; how it ended is noted when this is dropped, so whatever becomes of it.
struct Attempt {
    jwks: &'static JwksCache,
    failed: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.jwks.lock_budget().ended(self.failed);
    }
}

/// How the keys stand, for `/health/ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// How many keys can verify now.
    pub usable: usize,
    /// When the last good fetch was.
    pub age: Option<Duration>,
}

impl JwksCache {
    /// An empty cache for the configured tenant. Nothing is fetched yet.
    #[must_use]
    pub fn new(config: &Config, http: HttpClient, metrics: Arc<Metrics>) -> Self {
        Self {
            keys: ArcSwap::from_pointee(KeySet::default()),
            source: KeySource::new(config, http),
            flights: SingleFlight::new(),
            budget: Mutex::new(RefreshBudget::new(Moment::now())),
            refresh_interval: config.jwks_refresh_interval,
            key_ttl: config.jwks_key_ttl,
            metrics,
        }
    }

    /// Starts fetching, now and then every refresh interval, in the background.
    pub fn keep_fresh(&'static self) {
        let longest_silence = 2 * self.refresh_interval.max(LONGEST_RETRY) + LONGEST_FETCH;
        background::keep_going("jwks", longest_silence, Arc::clone(&self.metrics), move |pulse| async move {
            let mut failures: u32 = 0;
            loop {
                pulse.beat();
                let outcome = self.fetch(self.lock_budget()).landed().await;
                failures = if matches!(outcome, Ok(Ok(()))) { 0 } else { failures.saturating_add(1) };
                tokio::time::sleep(self.pause(failures)).await;
            }
        });
    }

    /// The key with that identifier.
    ///
    /// An unknown identifier is worth one question to Entra within this very request if `looks_like_ours` says so and the
    /// budget allows; everything else is answered from memory, as it is `now`.
    ///
    /// # Errors
    ///
    /// [`AuthError::KeysUnavailable`] while there are no keys, or if asking failed, now or the last time; [`TokenFault::UnknownKey`]
    /// otherwise.
    pub async fn key(
        &'static self,
        unverified_kid: &str,
        now: Moment,
        looks_like_ours: impl FnOnce() -> bool,
    ) -> Result<Arc<VerificationKey>, AuthError> {
        let keys = self.keys.load();
        if let Some(key) = keys.lookup(unverified_kid, now, self.key_ttl) {
            let key = Arc::clone(key);
            self.catch_up(keys.fetched_at(), now);
            return Ok(key);
        }
        let empty = keys.usable(now, self.key_ttl) == 0;
        drop(keys);

        let unknown = || AuthError::InvalidToken(TokenFault::UnknownKey);
        let unavailable = || AuthError::KeysUnavailable { retry_after: RETRY_AFTER };
        if !empty && !looks_like_ours() {
            return Err(unknown());
        }
        let flight = match self.after_a_miss(unverified_kid, empty, now) {
            Miss::Landed(key) => return Ok(key),
            Miss::Unknown => return Err(unknown()),
            Miss::Unavailable => return Err(unavailable()),
            Miss::InFlight(flight) => flight,
        };
        match tokio::time::timeout(REQUEST_WAIT, flight.landed()).await {
            Ok(Ok(Ok(()))) => self.held(unverified_kid, Moment::now()).ok_or_else(unknown),
            _ => Err(unavailable()),
        }
    }

    /// The key with that identifier, if it is at hand.
    pub(super) fn held(&self, kid: &str, now: Moment) -> Option<Arc<VerificationKey>> {
        self.keys.load().lookup(kid, now, self.key_ttl).map(Arc::clone)
    }

    /// Whether this very key still verifies tokens.
    pub(crate) fn still_holds(&'static self, key: &Arc<VerificationKey>, now: Moment) -> bool {
        let keys = self.keys.load();
        let holds = keys.lookup(key.kid(), now, self.key_ttl).is_some_and(|held| Arc::ptr_eq(held, key));
        if holds {
            self.catch_up(keys.fetched_at(), now);
        }
        holds
    }

    /// How the keys stand.
    #[must_use]
    pub fn status(&self) -> KeyStatus {
        let (keys, now) = (self.keys.load(), Moment::now());
        KeyStatus {
            usable: keys.usable(now, self.key_ttl),
            age: keys.fetched_at().map(|fetched_at| now.since(fetched_at)),
        }
    }

    /// Asks the authority everything anew, and keeps the keys it publishes. For `handler doctor`: it spends no budget.
    pub(crate) async fn survey(&self) -> Survey {
        let survey = self.source.survey(Moment::now()).await;
        if let Some(Ok(keys)) = &survey.keys {
            self.take_in(keys.clone());
        }
        survey
    }

    /// What comes of a miss. Decided at one moment: the budget is locked while a fetch begins, and is told how it ended before it
    /// counts as landed.
    fn after_a_miss(&'static self, unverified_kid: &str, empty: bool, now: Moment) -> Miss {
        let mut budget = self.lock_budget();
        if let Some(flight) = self.flights.in_flight(&()) {
            return Miss::InFlight(flight);
        }
        if let Some(key) = self.held(unverified_kid, now) {
            return Miss::Landed(key);
        }
        let granted = if empty { budget.is_due(now, EMPTY_RETRY) } else { budget.take(now) };
        if granted {
            Miss::InFlight(self.fetch(budget))
        } else if empty || budget.is_failing() {
            Miss::Unavailable
        } else {
            Miss::Unknown
        }
    }

    /// Starts a refresh that nobody waits for, if the background one is overdue: timers stand still while an instance is
    /// frozen, and the first request afterwards must not pay for that.
    fn catch_up(&'static self, fetched_at: Option<Moment>, now: Moment) {
        let overdue = self.refresh_interval + self.refresh_interval / 5;
        if fetched_at.is_some_and(|fetched_at| now.since(fetched_at) > overdue) {
            let budget = self.lock_budget();
            if budget.is_due(now, OVERDUE_RETRY) {
                drop(self.fetch(budget));
            }
        }
    }

    fn lock_budget(&self) -> MutexGuard<'_, RefreshBudget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fetch in the air, or a new one. It ends in a task of its own, which never waits for the budget while it holds another lock.
    fn fetch(&'static self, mut budget: MutexGuard<'_, RefreshBudget>) -> Flight<Result<(), FetchError>> {
        budget.attempted(Moment::now());
        self.flights.join((), || {
            let fetch = async move {
                let mut attempt = Attempt { jwks: self, failed: true };
                let fetch = tokio::time::timeout(LONGEST_FETCH, self.source.fetch(Moment::now()));
                match fetch.await.unwrap_or(Err(FetchError::Stuck)) {
                    Ok(keys) => {
                        self.metrics.keys_fetched("ok");
                        self.take_in(keys);
                        attempt.failed = false;
                        Ok(())
                    }
                    Err(error) => {
                        self.metrics.keys_fetched("failed");
                        self.report(&error);
                        Err(error)
                    }
                }
            };
            fetch.instrument(info_span!("jwks.fetch"))
        })
    }

    pub(super) fn take_in(&self, fetched: Vec<VerificationKey>) {
        let now = Moment::now();
        // Only fetches write, and there is one fetch at a time, so nothing is lost between load and store.
        let (merged, Merge { added, replaced }) = self.keys.load().merged(fetched, now, self.key_ttl);
        for kid in &replaced {
            error!(jwks.kid = kid, "a signing key changed its modulus under the same kid; the newer one is used");
        }
        info!(jwks.keys = merged.usable(now, self.key_ttl), jwks.added = added, "signing keys fetched");
        self.keys.store(Arc::new(merged));
    }

    fn report(&self, error: &FetchError) {
        let KeyStatus { usable, age } = self.status();
        let age_seconds = age.map(|age| age.as_secs());
        let serious = usable == 0 || age.is_some_and(|age| age > WORRYING_AGE);
        if serious {
            error!(jwks.keys = usable, jwks.age_seconds = age_seconds, %error, "signing keys cannot be fetched");
        } else {
            warn!(jwks.keys = usable, jwks.age_seconds = age_seconds, %error, "signing keys cannot be fetched; the known ones serve on");
        }
    }

    /// The pause before the next background fetch: the interval ± 10 % so that instances spread, after failures a
    /// doubling pause with full jitter, and a short one while there are no keys at all.
    fn pause(&self, failures: u32) -> Duration {
        let random: f64 = rand::rng().random();
        if failures == 0 {
            return spread(self.refresh_interval, random);
        }
        if self.status().usable == 0 {
            return EMPTY_RETRY.mul_f64(0.25 + 0.75 * random);
        }
        let doubled = Duration::from_secs(5) * 2_u32.saturating_pow(failures.min(7));
        Duration::from_secs(1) + doubled.min(LONGEST_RETRY).mul_f64(random)
    }
}

/// The interval, a tenth shorter to a tenth longer: instances that started together do not ask together. `random` is from 0 to 1.
fn spread(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_instances_that_start_together_do_not_refresh_together() {
        const HOUR: Duration = Duration::from_hours(1);
        let mut random = rand::rng();
        let mut in_each_half_minute = std::collections::HashMap::new();
        for _ in 0..1_000 {
            let pause = spread(HOUR, random.random());
            assert!((HOUR * 9 / 10..=HOUR * 11 / 10).contains(&pause), "{pause:?}");
            *in_each_half_minute.entry(pause.as_secs() / 30).or_insert(0) += 1;
        }
        // 1,000 over 12 minutes are 42 in each half minute.
        assert!(in_each_half_minute.values().all(|count| *count < 100), "{in_each_half_minute:?}");
    }
}
