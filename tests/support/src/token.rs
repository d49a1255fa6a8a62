//! Access tokens as Entra shapes them (access-token-claims-reference), and any deviation from that shape.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::keys::{Signing, SigningKey};
use crate::{base64url, sentinel, unix_now};

/// A token under construction: a valid one, until a test changes one thing in it.
#[derive(Clone, Debug)]
pub struct TokenBuilder {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    key: Arc<SigningKey>,
    signing: Signing,
    header_text: Option<String>,
    claims_text: Option<String>,
}

impl TokenBuilder {
    /// A valid v2.0 token for a signed-in user, as an application registered with
    /// `requestedAccessTokenVersion: 2` gets it: `aud` is the client id, `scp` has short names.
    ///
    /// `issuer` is `https://<authority>/<tid>/v2.0`; lifetime 75 minutes, issued now.
    #[must_use]
    pub fn delegated(issuer: &str, tid: &str, audience: &str, key: &Arc<SigningKey>) -> Self {
        let now = unix_now();
        let claims = json!({
            "aud": audience,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + 75 * 60,
            "aio": "AXQAi/8TAAAAexampleaioexampleaioexample",
            "azp": "11112222-bbbb-3333-cccc-4444dddd5555",
            "azpacr": "0",
            "name": "Alice Example",
            "oid": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
            "preferred_username": "alice@contoso.example",
            "rh": "0.AXkAexample",
            "scp": "MCP.Tools access_as_user",
            "sid": "00aa00aa-bb11-cc22-dd33-44ee44ee44ee",
            "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
            "tid": tid,
            "uti": "xbXxuJTkMEGexampleAAA",
            "ver": "2.0",
        });
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": key.kid() });
        Self {
            header: header.as_object().cloned().unwrap_or_default(),
            claims: claims.as_object().cloned().unwrap_or_default(),
            key: Arc::clone(key),
            signing: Signing::Rs256,
            header_text: None,
            claims_text: None,
        }
    }

    /// Sets a claim, whatever its type.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a claim.
    #[must_use]
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a member of the header, whatever its type.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a member of the header.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Sets the time claims so that the token was issued `age` seconds ago and lives `left` seconds more.
    #[must_use]
    pub fn times(self, age: i64, left: i64) -> Self {
        let now = unix_now();
        self.claim("iat", now - age).claim("nbf", now - age).claim("exp", now + left)
    }

    /// Signs with another key, whose `kid` then stands in the header.
    #[must_use]
    pub fn key(mut self, key: &Arc<SigningKey>) -> Self {
        self.key = Arc::clone(key);
        self.header("kid", key.kid())
    }

    /// Signs in another way; the header's `alg` is not touched.
    #[must_use]
    pub fn signing(mut self, signing: Signing) -> Self {
        self.signing = signing;
        self
    }

    /// Replaces the header's text, byte for byte.
    #[must_use]
    pub fn header_text(mut self, text: impl Into<String>) -> Self {
        self.header_text = Some(text.into());
        self
    }

    /// Replaces the claims' text, byte for byte.
    #[must_use]
    pub fn claims_text(mut self, text: impl Into<String>) -> Self {
        self.claims_text = Some(text.into());
        self
    }

    /// The header as JSON text, as it would be signed.
    #[must_use]
    pub fn header_json(&self) -> String {
        self.header_text.clone().unwrap_or_else(|| Value::Object(self.header.clone()).to_string())
    }

    /// The claims as JSON text, as they would be signed.
    #[must_use]
    pub fn claims_json(&self) -> String {
        self.claims_text.clone().unwrap_or_else(|| Value::Object(self.claims.clone()).to_string())
    }

    /// The compact token (RFC 7515 §7.1), signed and registered as a secret.
    #[must_use]
    pub fn build(&self) -> String {
        let input = format!("{}.{}", base64url(self.header_json()), base64url(self.claims_json()));
        let signature = self.key.sign(self.signing, input.as_bytes());
        let token = format!("{input}.{}", base64url(signature));
        sentinel::register(&token);
        token
    }
}
