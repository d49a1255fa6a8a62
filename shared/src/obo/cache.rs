//! Downstream tokens, each for one assertion and one set of permissions, bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};

use crate::auth::caller::UserAssertion;
use crate::digest::{self, Digest};
use crate::moment::Moment;

/// The most that all cached tokens together may take, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The most entries: each counts for at least its share of the bytes.
const MAX_ENTRIES: u64 = 10_000;

/// How long before its end a downstream token is no longer handed out: it must survive the call it is for.
const MARGIN: Duration = Duration::from_mins(1);

/// How long before its end a token is renewed at the latest.
const RENEWAL: Duration = Duration::from_mins(5);

/// The most tokens of one user: one user with many sessions must not push the others out.
const MAX_PER_USER: usize = 16;

/// Names one exchange: SHA-256 over everything that decides about its result.
pub(super) type CacheKey = Digest;

/// A token for a downstream service on one user's behalf. Only an exchange makes one.
#[derive(Clone, Debug)]
pub struct AccessToken(Arc<CachedToken>);

#[derive(Debug)]
struct CachedToken {
    secret: SecretString,
    /// Whose token was exchanged: compared on every hit, so that even a fault in the key crosses no users.
    owner: Owner,
    /// Seconds since 1970 from which on it is renewed while it is still handed out.
    renew_at: u64,
    /// Seconds since 1970 until which it is handed out.
    usable_until: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Owner {
    tid: String,
    oid: String,
    uti: Option<String>,
}

impl Owner {
    fn of(assertion: UserAssertion<'_>) -> Self {
        let caller = assertion.caller();
        Self {
            tid: caller.tenant_id().to_owned(),
            oid: caller.object_id().to_owned(),
            uti: caller.token_id().map(str::to_owned),
        }
    }

    fn is(&self, assertion: UserAssertion<'_>) -> bool {
        let caller = assertion.caller();
        self.tid == caller.tenant_id() && self.oid == caller.object_id() && self.uti.as_deref() == caller.token_id()
    }
}

impl AccessToken {
    /// A token that Entra just issued for `assertion`, good for `lifetime`, but never longer than the assertion.
    ///
    /// It is renewed at `refresh_in` if Entra says so, otherwise in the last fifth of its life and at least five minutes
    /// before its end, a little earlier or later for each token. `random` is from 0 to 1.
    pub(super) fn issued(secret: SecretString, assertion: UserAssertion<'_>, life: Life, now: Moment) -> Self {
        let end = now.unix_seconds().saturating_add(life.lifetime.saturating_sub(MARGIN).as_secs());
        let wanted = life.refresh_in.unwrap_or(life.lifetime.mul_f64(0.8)).min(life.lifetime.saturating_sub(RENEWAL));
        let renew_at = now.unix_seconds().saturating_add(wanted.mul_f64(0.9 + 0.1 * life.random).as_secs());
        let usable_until = end.min(assertion.caller().expires_at());
        Self(Arc::new(CachedToken { secret, owner: Owner::of(assertion), renew_at, usable_until }))
    }

    /// The token itself: for the downstream service's `Authorization` header, and nowhere else.
    pub(crate) fn expose(&self) -> &str {
        self.0.secret.expose_secret()
    }
}

/// What decides about a token's use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) lifetime: Duration,
    pub(super) refresh_in: Option<Duration>,
    pub(super) random: f64,
}

/// A token that was found.
#[derive(Debug)]
pub(super) enum Hit {
    /// Good, with time left.
    Good(AccessToken),
    /// Good, and time to renew it in the background: nobody should wait at its end.
    Aging(AccessToken),
}

/// The process's cache of downstream tokens.
#[derive(Debug)]
pub(super) struct TokenCache {
    tokens: Cache<CacheKey, AccessToken>,
    /// The keys each user's tokens stand under, oldest first.
    of_user: Cache<CacheKey, Arc<Mutex<VecDeque<CacheKey>>>>,
}

impl TokenCache {
    pub(super) fn new() -> Self {
        let tokens = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|_, token: &AccessToken| weight(token.expose().len()))
            .expire_after(UntilUnusable)
            .build();
        Self { tokens, of_user: Cache::new(MAX_ENTRIES) }
    }

    /// The token under `key`, if it is still good and belongs to this very assertion.
    pub(super) fn hit(&self, key: &CacheKey, assertion: UserAssertion<'_>, now: Moment) -> Option<Hit> {
        let token = self.tokens.get(key)?;
        if !token.0.owner.is(assertion) {
            tracing::error!("a cached token belongs to another caller; it is not used");
            self.tokens.invalidate(key);
            return None;
        }
        let seconds = now.unix_seconds();
        if seconds >= token.0.usable_until {
            return None;
        }
        Some(if seconds < token.0.renew_at { Hit::Good(token) } else { Hit::Aging(token) })
    }

    /// Keeps a token; the user's oldest goes where there are too many.
    pub(super) fn insert(&self, key: CacheKey, user: CacheKey, token: AccessToken) {
        let keys = self.of_user.get_with(user, Arc::default);
        let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.contains(&key) {
            keys.push_back(key);
        }
        if keys.len() > MAX_PER_USER
            && let Some(oldest) = keys.pop_front()
        {
            self.tokens.invalidate(&oldest);
        }
        drop(keys);
        self.tokens.insert(key, token);
    }

    pub(super) fn remove(&self, key: &CacheKey) {
        self.tokens.invalidate(key);
    }

    /// How many tokens are kept, and what they weigh in bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        self.tokens.run_pending_tasks();
        (self.tokens.entry_count(), self.tokens.weighted_size())
    }
}

/// An entry's share: its bytes and what surrounds them, at least a ten-thousandth of all.
fn weight(token_bytes: usize) -> u32 {
    const OVERHEAD: usize = 512;
    const LEAST: u64 = MAX_BYTES.div_ceil(MAX_ENTRIES);
    let bytes = u32::try_from(token_bytes.saturating_add(OVERHEAD)).unwrap_or(u32::MAX);
    bytes.max(u32::try_from(LEAST).unwrap_or(u32::MAX))
}

/// Lets the cache drop an entry when it is of no use any more.
struct UntilUnusable;

impl Expiry<CacheKey, AccessToken> for UntilUnusable {
    fn expire_after_create(&self, _: &CacheKey, token: &AccessToken, _: Instant) -> Option<Duration> {
        Some(Duration::from_secs(token.0.usable_until.saturating_sub(Moment::now().unix_seconds())))
    }

    fn expire_after_update(
        &self,
        key: &CacheKey,
        token: &AccessToken,
        at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, token, at)
    }
}

/// The key of an exchange: the assertion itself (by its digest: it carries how the user signed in, so two assertions of
/// one user are two entries), where it is exchanged, by whom, for what, with which capabilities.
pub(super) fn cache_key(
    token_endpoint: &str,
    client_id: &str,
    assertion: UserAssertion<'_>,
    scopes: &[String],
) -> CacheKey {
    let capabilities: &[u8] = if assertion.answers_challenges() { b"cp1" } else { b"" };
    let fixed =
        [b"obo1", token_endpoint.as_bytes(), client_id.as_bytes(), assertion.caller().token_digest(), capabilities];
    digest::of_parts(fixed.into_iter().chain(sorted(scopes)))
}

/// Names a user and a set of permissions, whatever the token: what throttling is about.
pub(super) fn user_key(assertion: UserAssertion<'_>, scopes: &[String]) -> CacheKey {
    let caller = assertion.caller();
    let fixed: [&[u8]; 3] = [b"user1", caller.tenant_id().as_bytes(), caller.object_id().as_bytes()];
    digest::of_parts(fixed.into_iter().chain(sorted(scopes)))
}

/// Names an exchange that answers a claims challenge.
pub(super) fn challenge_key(key: &CacheKey, claims: &str) -> CacheKey {
    digest::of_parts([b"claims1", key.as_slice(), claims.as_bytes()])
}

/// Scopes in an order of their own, so that the caller's does not matter.
fn sorted(scopes: &[String]) -> impl Iterator<Item = &[u8]> {
    let mut sorted: Vec<&[u8]> = scopes.iter().map(String::as_bytes).collect();
    sorted.sort_unstable();
    sorted.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::caller::Caller;

    const LIFE: Life = Life { lifetime: Duration::from_hours(1), refresh_in: None, random: 0.5 };

    fn keep(cache: &TokenCache, caller: &Caller, token_bytes: usize) -> CacheKey {
        let assertion = caller.assertion().unwrap();
        let key = cache_key("https://login.example/token", "client", assertion, &[]);
        let token = AccessToken::issued(SecretString::from("x".repeat(token_bytes)), assertion, LIFE, Moment::now());
        cache.insert(key, user_key(assertion, &[]), token);
        key
    }

    #[test]
    fn a_hundred_thousand_users_take_no_more_room_than_there_is() {
        let cache = TokenCache::new();
        for user in 0..100_000 {
            let name = format!("user {user}");
            keep(&cache, &Caller::imagined(&name, &name), 2_500);
            if user % 10_000 == 0 {
                let (entries, bytes) = cache.size();
                assert!(entries <= MAX_ENTRIES && bytes <= MAX_BYTES, "{entries} entries, {bytes} bytes");
            }
        }
        let (entries, bytes) = cache.size();
        assert!((MAX_ENTRIES / 2..=MAX_ENTRIES).contains(&entries), "{entries} entries: the room is used");
        assert!(bytes <= MAX_BYTES, "{bytes} bytes");
        cache.of_user.run_pending_tasks();
        assert!(cache.of_user.entry_count() <= MAX_ENTRIES);
    }

    #[test]
    fn large_tokens_are_counted_by_their_bytes() {
        let cache = TokenCache::new();
        for user in 0..2_000 {
            let name = format!("user {user}");
            keep(&cache, &Caller::imagined(&name, &name), 60_000);
        }
        let (entries, bytes) = cache.size();
        assert!(bytes <= MAX_BYTES && entries <= MAX_BYTES / 60_000, "{entries} entries, {bytes} bytes");
    }

    #[test]
    fn one_user_keeps_the_newest_sixteen() {
        let cache = TokenCache::new();
        let sessions: Vec<Caller> =
            (0..20).map(|session| Caller::imagined("one", &format!("token {session}"))).collect();
        let keys: Vec<CacheKey> = sessions.iter().map(|session| keep(&cache, session, 100)).collect();
        let kept: Vec<bool> = keys
            .iter()
            .zip(&sessions)
            .map(|(key, session)| cache.hit(key, session.assertion().unwrap(), Moment::now()).is_some())
            .collect();
        assert_eq!(kept.iter().position(|kept| *kept), Some(4));
        assert!(kept.iter().skip(4).all(|kept| *kept));
    }

    #[test]
    fn a_token_of_another_user_is_not_given_out_even_under_the_same_key() {
        let cache = TokenCache::new();
        let (alice, bob) = (Caller::imagined("alice", "token"), Caller::imagined("bob", "token"));
        let key = keep(&cache, &alice, 100);
        assert!(cache.hit(&key, bob.assertion().unwrap(), Moment::now()).is_none());
        assert!(cache.hit(&key, alice.assertion().unwrap(), Moment::now()).is_none(), "and it is gone");
    }
}
