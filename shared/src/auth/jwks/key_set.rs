//! The keys that are known, and every decision about them. Pure: time is an argument.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::signature::{self, Verifier};
use serde_json::Value;

use crate::auth::jws::is_kid;
use crate::moment::Moment;

/// Entra publishes 6 to 14 keys; more than this is no key set of Entra's.
const MAX_KEYS: usize = 100;

/// Modulus sizes in bits: RFC 7518 §3.3 asks for 2048, beyond 4096 a signature check costs too much.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// 65537, the one exponent in use; small ones make padding faults forgeable (CVE-2006-4339).
const EXPONENT: &[u8] = &[1, 0, 1];

/// Members that only a private or symmetric key has. Such a key is nobody's secret any more.
const PRIVATE_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public RSA key that may verify this tenant's tokens.
///
/// A verifier for RS256 (RFC 7518 §3.3) as jsonwebtoken defines it. jsonwebtoken's own one, over the same aws-lc-rs, would make the key
/// anew for each token.
#[derive(Clone)]
pub struct VerificationKey {
    kid: Box<str>,
    modulus: Box<[u8]>,
    parsed: ParsedPublicKey,
}

impl VerificationKey {
    /// The key with that modulus (big-endian, no leading zeros).
    fn new(kid: &str, modulus: &[u8]) -> Result<Self, KeyRejected> {
        let parsed =
            RsaPublicKeyComponents { n: modulus, e: EXPONENT }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)?;
        Ok(Self { kid: kid.into(), modulus: modulus.into(), parsed })
    }

    /// A key that verifies nothing, for unit tests of what comes after.
    #[cfg(test)]
    pub(crate) fn imagined(kid: &str, byte: u8) -> Self {
        Self::new(kid, &[byte; 256]).unwrap()
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }
}

impl Verifier<Vec<u8>> for VerificationKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.parsed.verify_sig(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for VerificationKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VerificationKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A key and when it was last published.
#[derive(Clone, Debug)]
struct Known {
    key: Arc<VerificationKey>,
    last_seen: Moment,
}

/// The union of all fetches, each key for its lifetime.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    known: HashMap<Box<str>, Known>,
    fetched_at: Option<Moment>,
}

/// What a merge changed.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    pub(crate) added: usize,
    /// Key identifiers whose modulus is another than before.
    pub(crate) replaced: Vec<String>,
}

impl KeySet {
    /// The key with that identifier, if it was published within its lifetime.
    pub(crate) fn lookup(&self, kid: &str, now: Moment, ttl: Duration) -> Option<&Arc<VerificationKey>> {
        self.known.get(kid).filter(|known| now.since(known.last_seen) < ttl).map(|known| &known.key)
    }

    /// How many keys are within their lifetime.
    pub(crate) fn usable(&self, now: Moment, ttl: Duration) -> usize {
        self.known.values().filter(|known| now.since(known.last_seen) < ttl).count()
    }

    /// When the last good fetch was.
    pub(crate) fn fetched_at(&self) -> Option<Moment> {
        self.fetched_at
    }

    /// This set and what was just fetched: keys present live on from now, absent ones keep their time, dead ones go.
    pub(crate) fn merged(&self, fetched: Vec<VerificationKey>, now: Moment, ttl: Duration) -> (Self, Merge) {
        let mut known = self.known.clone();
        let mut merge = Merge::default();
        for key in fetched {
            let kid = key.kid.clone();
            match known.get_mut(&kid) {
                Some(held) if held.key.modulus == key.modulus => held.last_seen = now,
                Some(held) => {
                    merge.replaced.push(kid.to_string());
                    *held = Known { key: Arc::new(key), last_seen: now };
                }
                None => {
                    merge.added += 1;
                    known.insert(kid, Known { key: Arc::new(key), last_seen: now });
                }
            }
        }
        known.retain(|_, held| now.since(held.last_seen) < ttl);
        (Self { known, fetched_at: Some(now) }, merge)
    }
}

/// Why a key set document is not usable as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeySetError {
    #[error("the key set is not an object with an array of keys")]
    NotAKeySet,
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooManyKeys,
    #[error("none of the {0} keys is usable")]
    NoUsableKey(usize),
}

/// The usable keys of a key set document (RFC 7517 §5). Keys are judged one by one: an odd one never costs the others.
///
/// `issuers` are the forms in which this tenant's issuer may stand in a key's `issuer`.
pub(crate) fn parse(document: &[u8], tenant_id: &str, issuers: &[String]) -> Result<Vec<VerificationKey>, KeySetError> {
    let document: Value = serde_json::from_slice(document).map_err(|_| KeySetError::NotAKeySet)?;
    let entries = document.get("keys").and_then(Value::as_array).ok_or(KeySetError::NotAKeySet)?;
    if entries.len() > MAX_KEYS {
        return Err(KeySetError::TooManyKeys);
    }
    let mut keys: HashMap<Box<str>, VerificationKey> = HashMap::new();
    let mut ambiguous: HashSet<Box<str>> = HashSet::new();
    for entry in entries {
        match parse_key(entry, tenant_id, issuers) {
            Ok(key) => match keys.get(&key.kid) {
                Some(held) if held.modulus != key.modulus => {
                    ambiguous.insert(key.kid);
                }
                _ => {
                    keys.insert(key.kid.clone(), key);
                }
            },
            Err(reason) => tracing::debug!(reason, "a key of the key set is not usable and left out"),
        }
    }
    // Two keys under one name: neither can be told to be the right one.
    keys.retain(|kid, _| !ambiguous.contains(kid));
    if keys.is_empty() {
        return Err(KeySetError::NoUsableKey(entries.len()));
    }
    Ok(keys.into_values().collect())
}

/// One key, or the reason why it cannot verify this tenant's tokens.
fn parse_key(entry: &Value, tenant_id: &str, issuers: &[String]) -> Result<VerificationKey, &'static str> {
    let members = entry.as_object().ok_or("not an object")?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if text("kty") != Some("RSA") {
        return Err("not an RSA key");
    }
    if members.contains_key("use") && text("use") != Some("sig") {
        return Err("not for signatures");
    }
    if members.contains_key("alg") && text("alg") != Some("RS256") {
        return Err("for another algorithm");
    }
    if let Some(operations) = members.get("key_ops") {
        let operations = operations.as_array().ok_or("key_ops is not an array")?;
        if !operations.iter().any(|operation| operation == "verify") {
            return Err("not for verifying");
        }
    }
    if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
        return Err("its private half is published");
    }
    let kid = text("kid").filter(|kid| is_kid(kid)).ok_or("no usable kid")?;
    // Entra writes the issuer as a template where a key signs for many tenants, literally where it signs for one
    // (access-tokens, "Validate the signing key issuer").
    let issuer = text("issuer").ok_or("no issuer")?.replace("{tenantid}", tenant_id);
    if !issuers.contains(&issuer) {
        return Err("another issuer's");
    }
    let number = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let modulus = number("n").ok_or("no usable modulus")?;
    // One octet for the sign, as ASN.1 writes it, is not of the number; more are no spelling of one (RFC 7518 §2).
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(&modulus);
    let (Some(first @ 1..), Some(last)) = (modulus.first(), modulus.last()) else {
        return Err("no modulus, or leading zeros before it");
    };
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    if !MODULUS_BITS.contains(&bits) || last % 2 == 0 {
        return Err("modulus of another size, or even");
    }
    if number("e").as_deref() != Some(EXPONENT) {
        return Err("exponent is not 65537");
    }
    VerificationKey::new(kid, modulus).map_err(|_| "not taken by aws-lc")
}

#[cfg(test)]
mod tests;
