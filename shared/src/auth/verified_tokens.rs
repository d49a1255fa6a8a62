//! Tokens that were verified a moment ago: a token that comes again costs its hash and not another signature check.
//!
//! What keeps this safe: the key is SHA-256 over the whole compact token; only successes are kept; `exp` and `nbf` are judged
//! anew on every hit; an entry dies with the signing key that verified it, with the verifier whose settings it was verified by,
//! and after a minute; entries and bytes are bounded.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use moka::sync::Cache;

use super::caller::Caller;
use super::jwks::{JwksCache, VerificationKey};
use crate::moment::Moment;

/// How long a token is taken at its word before it is verified again.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// What an entry counts for at least, in bytes: more than most tokens and what surrounds them, so that the setting is a number of
/// tokens; a larger one counts for several.
const SHARE: u32 = 4 * 1024;

/// SHA-256 over a compact token.
pub(crate) type TokenDigest = [u8; 32];

pub(super) fn digest_of(token: &str) -> TokenDigest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

/// The callers of tokens that were verified lately.
#[derive(Debug)]
pub(super) struct VerifiedTokens(Cache<TokenDigest, Verified>);

#[derive(Clone, Debug)]
struct Verified {
    caller: Arc<Caller>,
    key: Arc<VerificationKey>,
}

impl VerifiedTokens {
    /// At most so many tokens; 0: none.
    pub(super) fn new(most: usize) -> Self {
        let bytes = u64::from(SHARE).saturating_mul(most as u64);
        let weigher = |_: &TokenDigest, verified: &Verified| weight(verified.caller.token_bytes());
        Self(Cache::builder().max_capacity(bytes).weigher(weigher).time_to_live(KEPT_FOR).build())
    }

    /// The caller whose token this is, if nothing has changed since it was verified.
    pub(super) fn hit(&self, digest: &TokenDigest, jwks: &'static JwksCache, now: Moment) -> Option<Arc<Caller>> {
        let Verified { caller, key } = self.0.get(digest)?;
        (caller.is_current(now) && jwks.still_holds(&key, now)).then_some(caller)
    }

    pub(super) fn keep(&self, caller: &Arc<Caller>, key: Arc<VerificationKey>) {
        self.0.insert(*caller.token_digest(), Verified { caller: Arc::clone(caller), key });
    }

    #[cfg(test)]
    fn len(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }
}

/// The token stands in the caller once, its claims once more.
fn weight(token_bytes: usize) -> u32 {
    u32::try_from(2 * token_bytes).unwrap_or(u32::MAX).max(SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_there_is_room_for() {
        let key = || Arc::new(VerificationKey::imagined("k"));
        for (token_bytes, most) in [(1_300, 100), (32_000, 6)] {
            let tokens = VerifiedTokens::new(100);
            for number in 0..1_000 {
                let token = format!("{number:0token_bytes$}");
                tokens.keep(&Arc::new(Caller::imagined("someone", &token)), key());
            }
            assert!((most / 2..=most).contains(&tokens.len()), "{} of {token_bytes} bytes", tokens.len());
        }
    }

    #[test]
    fn no_room_keeps_none() {
        let tokens = VerifiedTokens::new(0);
        tokens.keep(&Arc::new(Caller::imagined("someone", "token")), Arc::new(VerificationKey::imagined("k")));
        assert_eq!(tokens.len(), 0);
    }
}
