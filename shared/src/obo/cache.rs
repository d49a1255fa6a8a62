//! Downstream tokens, each for one assertion and one set of permissions, bounded in number and bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use moka::Expiry;
use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};

use crate::auth::caller::UserAssertion;
use crate::moment::Moment;

/// The most that all cached tokens together may take, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The most entries: each counts for at least its share of the bytes.
const MAX_ENTRIES: u64 = 10_000;

/// How long before its end a downstream token is no longer handed out: it must survive the call it is for.
const MARGIN: Duration = Duration::from_mins(1);

/// Names one exchange: SHA-256 over everything that decides about its result.
pub(super) type CacheKey = [u8; 32];

/// A token for a downstream service on one user's behalf. Only an exchange makes one.
#[derive(Clone, Debug)]
pub struct AccessToken(Arc<CachedToken>);

#[derive(Debug)]
struct CachedToken {
    secret: SecretString,
    /// Whose token was exchanged: compared on every hit, so that even a fault in the key crosses no users.
    owner: Owner,
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
    pub(super) fn issued(secret: SecretString, assertion: UserAssertion<'_>, lifetime: Duration, now: Moment) -> Self {
        let end = now.unix_seconds().saturating_add(lifetime.saturating_sub(MARGIN).as_secs());
        let usable_until = end.min(assertion.caller().expires_at());
        Self(Arc::new(CachedToken { secret, owner: Owner::of(assertion), usable_until }))
    }

    /// The token itself: for the downstream service's `Authorization` header, and nowhere else.
    pub(crate) fn expose(&self) -> &str {
        self.0.secret.expose_secret()
    }
}

/// The process's cache of downstream tokens.
#[derive(Debug)]
pub(super) struct TokenCache(Cache<CacheKey, AccessToken>);

impl TokenCache {
    pub(super) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|_, token: &AccessToken| weight(token.expose().len()))
            .expire_after(UntilUnusable)
            .build();
        Self(cache)
    }

    /// The token under `key`, if it is still good and belongs to this very assertion.
    pub(super) fn hit(&self, key: &CacheKey, assertion: UserAssertion<'_>, now: Moment) -> Option<AccessToken> {
        let token = self.0.get(key)?;
        if !token.0.owner.is(assertion) {
            tracing::error!("a cached token belongs to another caller; it is not used");
            self.0.invalidate(key);
            return None;
        }
        (now.unix_seconds() < token.0.usable_until).then_some(token)
    }

    pub(super) fn insert(&self, key: CacheKey, token: AccessToken) {
        self.0.insert(key, token);
    }

    pub(super) fn remove(&self, key: &CacheKey) {
        self.0.invalidate(key);
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
    let mut sorted: Vec<&str> = scopes.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let assertion_digest: Digest = digest(&SHA256, assertion.expose().as_bytes());
    let capabilities: &[u8] = if assertion.answers_challenges() { b"cp1" } else { b"" };

    let mut context = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        // Length first, or ("ab", "c") and ("a", "bc") would be one key.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    };
    add(b"obo1");
    add(token_endpoint.as_bytes());
    add(client_id.as_bytes());
    add(assertion_digest.as_ref());
    add(capabilities);
    for scope in sorted {
        add(scope.as_bytes());
    }
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}
