//! The signing keys: which one signs, which ones are published, and the check of a signature.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use support::base64url;
use support::keys::SigningKey;

/// A compact token, taken apart (RFC 7515 §7.1). Nothing in it is verified before [`Jws::is_signed_by`].
#[derive(Clone, Debug)]
pub(crate) struct Jws {
    header: Value,
    pub(crate) claims: Value,
    input: String,
    signature: Vec<u8>,
}

impl Jws {
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let (input, signature) = token.rsplit_once('.')?;
        let (header, claims) = input.split_once('.')?;
        Some(Self {
            header: json_part(header)?,
            claims: json_part(claims)?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            input: input.to_owned(),
        })
    }

    /// A member of the header, where it is a text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// A claim, where it is a text.
    pub(crate) fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    pub(crate) fn is_signed_by(&self, algorithm: &'static RsaParameters, public_key_der: &[u8]) -> bool {
        UnparsedPublicKey::new(algorithm, public_key_der).verify(self.input.as_bytes(), &self.signature).is_ok()
    }
}

/// The keys of the tenant.
#[derive(Debug)]
pub(crate) struct KeyRing(Mutex<Keys>);

#[derive(Clone, Debug)]
struct Keys {
    signing: Arc<SigningKey>,
    published: Vec<Arc<SigningKey>>,
}

impl KeyRing {
    /// Two keys, as Entra always publishes the next one beside the one in use.
    pub(crate) fn new() -> Self {
        let signing = new_key();
        let published = vec![Arc::clone(&signing), new_key()];
        Self(Mutex::new(Keys { signing, published }))
    }

    pub(crate) fn signing(&self) -> Arc<SigningKey> {
        self.with(|keys| Arc::clone(&keys.signing))
    }

    pub(crate) fn published(&self) -> Vec<Arc<SigningKey>> {
        self.with(|keys| keys.published.clone())
    }

    /// A new key signs from now on; all the others stay published.
    pub(crate) fn rotate(&self) -> Arc<SigningKey> {
        let key = new_key();
        self.with(|keys| {
            keys.signing = Arc::clone(&key);
            keys.published.push(Arc::clone(&key));
        });
        key
    }

    /// Publishes exactly `published`; what signs does not change.
    pub(crate) fn publish(&self, published: &[Arc<SigningKey>]) {
        self.with(|keys| keys.published = published.to_vec());
    }

    /// The claims of a compact token that one of our keys signed with RS256.
    pub(crate) fn claims(&self, token: &str) -> Option<Value> {
        let jws = Jws::parse(token)?;
        let key = self.key(jws.header("kid")?)?;
        if jws.header("alg") != Some("RS256") || !jws.is_signed_by(&RSA_PKCS1_2048_8192_SHA256, &key.public_der()) {
            return None;
        }
        Some(jws.claims)
    }

    /// The key with this `kid`, if it is published. The key that signs now counts even while it is not: a lagging
    /// replica of the key set does not change what the issuer itself knows.
    pub(crate) fn key(&self, kid: &str) -> Option<Arc<SigningKey>> {
        self.with(|keys| keys.published.iter().chain([&keys.signing]).find(|key| key.kid() == kid).cloned())
    }

    /// The same for a Graph token: what was signed holds the hash of the header's `nonce`. That is why nobody but
    /// Graph can check the signature of a Graph token (access-tokens page: Graph tokens are not for you to validate).
    pub(crate) fn graph_claims(&self, token: &str) -> Option<Value> {
        let (header, rest) = token.split_once('.')?;
        let nonce = json_part(header)?.get("nonce")?.as_str()?.to_owned();
        self.claims(&format!("{}.{rest}", with_nonce(header, &hashed(&nonce))?))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Keys) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The SHA-256 of `text`, base64url.
pub(crate) fn hashed(text: &str) -> String {
    base64url(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// An encoded header with its `nonce` replaced.
pub(crate) fn with_nonce(header: &str, nonce: &str) -> Option<String> {
    let mut header = json_part(header)?;
    header.as_object_mut()?.insert("nonce".into(), nonce.into());
    Some(base64url(header.to_string()))
}

fn json_part(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// A key under a `kid` that looks like Entra's: 20 bytes, base64url.
fn new_key() -> Arc<SigningKey> {
    SigningKey::generate(base64url(rand::random::<[u8; 20]>()))
}

#[cfg(test)]
mod tests {
    use support::keys::Signing;
    use support::token::TokenBuilder;

    use super::*;

    #[test]
    fn only_our_signatures_pass() {
        let ring = KeyRing::new();
        let token = TokenBuilder::delegated("iss", "tid", "aud", &ring.signing());
        assert!(ring.claims(&token.build()).is_some());
        for signing in [Signing::Rs256OtherKey, Signing::None, Signing::Random, Signing::Hs256PublicPem] {
            assert!(ring.claims(&token.clone().signing(signing).build()).is_none(), "{signing:?}");
        }
        let stranger = SigningKey::generate("stranger");
        assert!(ring.claims(&token.key(&stranger).build()).is_none());
    }

    #[test]
    fn a_withdrawn_key_is_refused_but_the_signing_key_never_is() {
        let ring = KeyRing::new();
        let old = TokenBuilder::delegated("iss", "tid", "aud", &ring.signing()).build();
        let new = TokenBuilder::delegated("iss", "tid", "aud", &ring.rotate()).build();
        ring.publish(&[]);
        assert!(ring.claims(&old).is_none());
        assert!(ring.claims(&new).is_some());
    }
}
