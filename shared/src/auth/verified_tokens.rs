//! Tokens that were verified a moment ago: a token that comes again costs its hash and not another signature check.
//!
//! What keeps this safe: the key is SHA-256 over the whole compact token; only successes are kept; `exp` and `nbf` are judged
//! anew on every hit; an entry dies with the signing key that verified it, with the verifier whose settings it was verified by,
//! and after a minute; entries and bytes are bounded.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::caller::Caller;
use super::jwks::{JwksCache, VerificationKey};
use crate::digest::Digest;
use crate::moment::Moment;

/// How long a token is taken at its word before it is verified again.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// What an entry counts for at least, in bytes: more than most tokens and what surrounds them, so that the setting is a number of
/// tokens; a larger one counts for several.
const SHARE: u32 = 4 * 1024;

/// The callers of tokens that were verified lately.
#[derive(Debug)]
pub(super) struct VerifiedTokens(Cache<Digest, Verified>);

#[derive(Clone, Debug)]
struct Verified {
    caller: Arc<Caller>,
    key: Arc<VerificationKey>,
    /// The cache's own time stands still where the machine does.
    at: Moment,
}

impl VerifiedTokens {
    /// At most so many tokens; 0: none.
    pub(super) fn new(most: usize) -> Self {
        let bytes = u64::from(SHARE).saturating_mul(most as u64);
        let weigher = |_: &Digest, verified: &Verified| weight(verified.caller.token_bytes());
        Self(Cache::builder().max_capacity(bytes).weigher(weigher).time_to_live(KEPT_FOR).build())
    }

    /// The caller whose token this is, if nothing has changed since it was verified.
    pub(super) fn hit(&self, digest: &Digest, jwks: &'static JwksCache, now: Moment) -> Option<Arc<Caller>> {
        let Verified { caller, key, at } = self.0.get(digest)?;
        (caller.is_current(now) && now.since(at) < KEPT_FOR && jwks.still_holds(&key, now)).then_some(caller)
    }

    pub(super) fn keep(&self, caller: &Arc<Caller>, key: Arc<VerificationKey>, now: Moment) {
        self.0.insert(*caller.token_digest(), Verified { caller: Arc::clone(caller), key, at: now });
    }

    /// Forgets what is over: the cache by itself does so only while it is used.
    pub(super) fn tidy(&self) {
        self.0.run_pending_tasks();
    }

    #[cfg(test)]
    fn len(&self) -> u64 {
        self.tidy();
        self.0.entry_count()
    }
}

/// The token stands in the caller once, its claims once more.
fn weight(token_bytes: usize) -> u32 {
    u32::try_from(2 * token_bytes).unwrap_or(u32::MAX).max(SHARE)
}

#[cfg(test)]
mod tests {
    use support::settings;

    use super::*;
    use crate::config::Config;
    use crate::digest;
    use crate::http::HttpClient;
    use crate::telemetry::metrics::Metrics;

    const KEY: u8 = 0xC5;

    fn key(kid: &str, byte: u8) -> VerificationKey {
        VerificationKey::imagined(kid, byte)
    }

    /// Keys that hold one, and that one.
    fn keys() -> (&'static JwksCache, Arc<VerificationKey>) {
        let config = Config::from_lookup(settings::minimal).unwrap();
        let jwks = JwksCache::new(&config, HttpClient::new().unwrap(), Arc::new(Metrics::default()));
        jwks.take_in(vec![key("k", KEY)]);
        let jwks: &'static JwksCache = Box::leak(Box::new(jwks));
        let held = jwks.held("k", Moment::now()).unwrap();
        (jwks, held)
    }

    /// A token that is good from an hour ago for an hour.
    fn caller(now: Moment) -> Arc<Caller> {
        let mut caller = Caller::imagined("someone", "token");
        (caller.not_before, caller.expires_at) = (now.unix_seconds() - 3_600, now.unix_seconds() + 3_600);
        Arc::new(caller)
    }

    /// A token that is kept, the keys, and now.
    fn kept() -> (VerifiedTokens, &'static JwksCache, Moment) {
        let ((jwks, key), tokens, now) = (keys(), VerifiedTokens::new(10), Moment::now());
        tokens.keep(&caller(now), key, now);
        (tokens, jwks, now)
    }

    #[test]
    fn a_token_is_found_again_by_its_whole_text_only() {
        let (tokens, jwks, now) = kept();
        assert!(tokens.hit(&digest::of("token"), jwks, now).is_some());
        assert!(tokens.hit(&digest::of("token."), jwks, now).is_none());
        assert!(tokens.hit(&digest::of("Token"), jwks, now).is_none());
    }

    #[test]
    fn times_are_judged_at_every_hit() {
        let (tokens, jwks, now) = kept();
        let hit = |later| {
            let later = now.plus(Duration::from_secs(later));
            tokens.keep(&caller(now), jwks.held("k", now).unwrap(), later);
            tokens.hit(&digest::of("token"), jwks, later).is_some()
        };
        assert!(hit(3_600 + 59), "the leeway of a full check");
        assert!(!hit(3_600 + 62));
        // The wall clock was set back to before `nbf`.
        let mut early = Caller::imagined("someone", "early");
        early.not_before = now.unix_seconds() + 120;
        tokens.keep(&Arc::new(early), jwks.held("k", now).unwrap(), now);
        assert!(tokens.hit(&digest::of("early"), jwks, now).is_none());
    }

    #[test]
    fn a_token_is_taken_at_its_word_for_a_minute_even_if_the_machine_stood_still() {
        let (tokens, jwks, now) = kept();
        let hit = |later| tokens.hit(&digest::of("token"), jwks, now.plus(Duration::from_secs(later))).is_some();
        assert!(hit(59));
        assert!(!hit(60));
    }

    #[test]
    fn an_entry_dies_with_its_key() {
        let (tokens, jwks, now) = kept();
        let hit = |now| tokens.hit(&digest::of("token"), jwks, now).is_some();
        jwks.take_in(vec![key("k", KEY), key("another", 0xB7)]);
        assert!(hit(now), "published once more, and another one beside it");
        let tomorrow = caller(now.plus(Duration::from_hours(25)));
        let expired_key = VerifiedTokens::new(10);
        expired_key.keep(&tomorrow, jwks.held("k", now).unwrap(), now.plus(Duration::from_hours(25)));
        assert!(expired_key.hit(&digest::of("token"), jwks, now.plus(Duration::from_hours(25))).is_none());
        jwks.take_in(vec![key("k", 0xA9)]);
        assert!(!hit(now), "another key under the same name");
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for() {
        for (token_bytes, most) in [(1_300, 100), (32_000, 6)] {
            let tokens = VerifiedTokens::new(100);
            let key = Arc::new(key("k", KEY));
            for number in 0..1_000 {
                let token = format!("{number:0token_bytes$}");
                tokens.keep(&Arc::new(Caller::imagined("someone", &token)), Arc::clone(&key), Moment::now());
            }
            assert!((most / 2..=most).contains(&tokens.len()), "{} of {token_bytes} bytes", tokens.len());
        }
    }

    #[test]
    fn no_room_keeps_none() {
        let (jwks, key) = keys();
        let (tokens, now) = (VerifiedTokens::new(0), Moment::now());
        tokens.keep(&caller(now), key, now);
        assert!(tokens.hit(&digest::of("token"), jwks, now).is_none());
        assert_eq!(tokens.len(), 0);
    }
}
