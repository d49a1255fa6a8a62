//! What is remembered of failed exchanges, so that a failure is not asked for again and again.

use std::time::Duration;

use moka::sync::Cache;

use super::cache::CacheKey;
use super::error::OboError;
use crate::moment::Moment;

/// The most refusals that are remembered.
const MOST: u64 = 10_000;

/// For whom a refusal counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// For this very exchange: one caller's token and one set of permissions.
    Exchange,
    /// For this user and these permissions, whatever the token: throttling.
    User,
    /// For everybody: our own credential is at fault.
    Everybody,
}

#[derive(Clone, Debug)]
struct Remembered {
    error: OboError,
    until: Moment,
    at: Moment,
}

/// The memory. Bounded; each entry has its own end.
#[derive(Debug)]
pub(super) struct Refusals(Cache<CacheKey, Remembered>);

impl Refusals {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST))
    }

    /// A refusal that still counts under one of the keys. A time to come back is given as what is left of it.
    pub(super) fn remembered(&self, keys: &[CacheKey], now: Moment) -> Option<OboError> {
        keys.iter().filter_map(|key| self.0.get(key)).find_map(|remembered| {
            let left = remembered.until.since(now);
            if left.is_zero() {
                return None;
            }
            Some(match remembered.error {
                OboError::Unavailable { reason, retry_after: Some(after), .. } => {
                    let waited = now.since(remembered.at);
                    OboError::Unavailable { reason, retry_after: Some(after.saturating_sub(waited)), transient: false }
                }
                error => error,
            })
        })
    }

    /// Whether this is the first time within `spacing` that this is asked for `key`. It counts as asked.
    pub(super) fn first_within(&self, key: CacheKey, spacing: Duration, now: Moment) -> bool {
        let first = self.remembered(&[key], now).is_none();
        if first {
            let error =
                OboError::Unavailable { reason: "asked a moment ago".to_owned(), retry_after: None, transient: false };
            self.0.insert(key, Remembered { error, until: now.plus(spacing), at: now });
        }
        first
    }

    /// Forgets what stands under the key.
    pub(super) fn forget(&self, key: &CacheKey) {
        self.0.invalidate(key);
    }

    /// Remembers a refusal under the key that its reach names, for as long as such a refusal counts.
    pub(super) fn remember(&self, key: impl FnOnce(Reach) -> CacheKey, error: &OboError, now: Moment) {
        if let Some((reach, lifetime)) = memory(error) {
            self.remember_for(key(reach), error, lifetime, now);
        }
    }

    /// Remembers a refusal under this key for this long.
    pub(super) fn remember_for(&self, key: CacheKey, error: &OboError, lifetime: Duration, now: Moment) {
        self.0.insert(key, Remembered { error: error.clone(), until: now.plus(lifetime), at: now });
    }
}

/// How long and for whom a failure counts. `None`: the next caller asks again.
fn memory(error: &OboError) -> Option<(Reach, Duration)> {
    match error {
        OboError::InteractionRequired { .. } => Some((Reach::Exchange, Duration::from_mins(1))),
        // 50196, "loop detected": Entra itself asks to stop.
        OboError::AssertionRejected { .. } | OboError::Configuration { code: 50196, .. } => {
            Some((Reach::Exchange, Duration::from_mins(5)))
        }
        // A new federated credential takes minutes to be known everywhere, so asking again soon is worth it.
        OboError::Configuration { code, .. } if is_federation(*code) => {
            Some((Reach::Everybody, Duration::from_secs(10)))
        }
        OboError::Configuration { error, .. } if error == "invalid_client" => {
            Some((Reach::Everybody, Duration::from_secs(30)))
        }
        OboError::ConsentRequired { .. } | OboError::Configuration { .. } => {
            Some((Reach::Exchange, Duration::from_secs(30)))
        }
        OboError::Unavailable { retry_after: Some(after), .. } => {
            Some((Reach::User, (*after).min(Duration::from_hours(1))))
        }
        OboError::Unavailable { retry_after: None, .. }
        | OboError::Credential(_)
        | OboError::AssertionAboutToExpire => None,
    }
}

/// Numbers for a federated assertion that the application's credentials do not match (reference-error-codes).
pub(crate) fn is_federation(code: u32) -> bool {
    matches!(
        code,
        70021 | 7_000_272 | 700_211 | 700_212 | 700_213 | 700_214 | 7_002_137 | 7_002_138 | 700_229 | 700_024 | 700_027
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: CacheKey = [1; 32];

    fn remembered(error: &OboError, later: Duration) -> Option<OboError> {
        let now = Moment::now();
        let refusals = Refusals::new();
        refusals.remember(|_| KEY, error, now);
        refusals.remembered(&[[0; 32], KEY], now.plus(later))
    }

    #[test]
    fn each_refusal_counts_for_its_own_time() {
        let claims = OboError::InteractionRequired { code: 50076, claims: "{}".to_owned() };
        assert!(remembered(&claims, Duration::from_secs(59)).is_some());
        assert!(remembered(&claims, Duration::from_mins(1)).is_none());
        let secret = OboError::Configuration { error: "invalid_client".to_owned(), code: 7_000_215 };
        assert!(remembered(&secret, Duration::from_secs(29)).is_some());
        assert!(remembered(&secret, Duration::from_secs(30)).is_none());
        let down = OboError::Unavailable { reason: String::new(), retry_after: None, transient: true };
        assert!(remembered(&down, Duration::ZERO).is_none());
    }

    #[test]
    fn the_time_to_come_back_runs_down() {
        let throttled = OboError::Unavailable {
            reason: String::new(),
            retry_after: Some(Duration::from_secs(17)),
            transient: false,
        };
        let later = remembered(&throttled, Duration::from_secs(10));
        assert!(matches!(later, Some(OboError::Unavailable { retry_after: Some(left), .. }) if left.as_secs() == 7));
    }

    #[test]
    fn our_own_fault_counts_for_everybody_and_throttling_for_one() {
        let reach = |error: &OboError| memory(error).unwrap().0;
        assert_eq!(
            reach(&OboError::Configuration { error: "invalid_client".to_owned(), code: 7_000_215 }),
            Reach::Everybody
        );
        assert_eq!(reach(&OboError::Configuration { error: "x".to_owned(), code: 700_213 }), Reach::Everybody);
        let throttled = OboError::Unavailable {
            reason: String::new(),
            retry_after: Some(Duration::from_secs(1)),
            transient: false,
        };
        assert_eq!(reach(&throttled), Reach::User);
    }
}
