//! A verified caller, and what may be done with having verified one.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};

use super::verifier::{is_past, is_reached};
use crate::digest::{self, Digest};
use crate::moment::Moment;
use crate::tool::scope_includes;

/// A verified caller. Only [`super::verifier::TokenVerifier::verify`] builds one, so holding it is the proof.
#[derive(Debug)]
pub struct Caller {
    pub(super) tid: String,
    pub(super) oid: Arc<str>,
    pub(super) pseudonym: String,
    pub(super) permissions: Permissions,
    pub(super) client: Option<String>,
    pub(super) uti: Option<String>,
    pub(super) not_before: u64,
    pub(super) expires_at: u64,
    pub(super) answers_challenges: bool,
    pub(super) token_digest: Digest,
    pub(super) token: SecretString,
}

/// What the token allows. Delegated and application permissions are two sets and never merge: an application role named
/// like a scope grants nothing (claims-validation, "Validate the actor").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// A signed-in user through a client: `scp`, beside the user's own app roles.
    Delegated {
        /// Delegated permissions, short names.
        scopes: Vec<String>,
        /// The user's app roles; for display, they grant nothing here.
        roles: Vec<String>,
    },
    /// An application by itself: `roles` with `idtyp=app`.
    Application {
        /// Application permissions.
        roles: Vec<String>,
    },
}

impl Caller {
    /// A signed-in user nobody has verified, for unit tests of what comes after.
    #[cfg(test)]
    pub(crate) fn imagined(oid: &str, token: &str) -> Self {
        let tid = "aaaabbbb-0000-cccc-1111-dddd2222eeee".to_owned();
        Self {
            pseudonym: pseudonym(&tid, oid),
            tid,
            oid: oid.into(),
            permissions: Permissions::Delegated { scopes: vec!["access_as_user".to_owned()], roles: Vec::new() },
            client: None,
            uti: None,
            not_before: 0,
            expires_at: u64::MAX,
            answers_challenges: false,
            token_digest: digest::of(token),
            token: SecretString::from(token),
        }
    }

    /// The tenant (`tid`).
    #[must_use]
    pub fn tenant_id(&self) -> &str {
        &self.tid
    }

    /// The user's or service principal's object in the tenant (`oid`).
    #[must_use]
    pub fn object_id(&self) -> &str {
        &self.oid
    }

    /// The same, to be kept as a key.
    pub(crate) fn object_key(&self) -> &Arc<str> {
        &self.oid
    }

    /// Stands for the caller where nobody is to be named: the same person is always the same 16 hexadecimal digits, 64 bits of
    /// SHA-256 over `tid` and `oid`.
    #[must_use]
    pub fn pseudonym(&self) -> &str {
        &self.pseudonym
    }

    /// Whether `nbf` is reached and `exp` not past.
    pub(super) fn is_current(&self, now: Moment) -> bool {
        is_reached(self.not_before, now) && !is_past(self.expires_at, now)
    }

    /// SHA-256 over the token.
    pub(crate) fn token_digest(&self) -> &Digest {
        &self.token_digest
    }

    pub(super) fn token_bytes(&self) -> usize {
        self.token.expose_secret().len()
    }

    /// The client application (`azp`, in v1.0 tokens `appid`).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// The token's own identifier (`uti`).
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.uti.as_deref()
    }

    /// What the token allows.
    #[must_use]
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// When the token ends (`exp`), in seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// Whether the token carries the delegated permission, or one that includes it. False for applications.
    #[must_use]
    pub fn has_scope(&self, needed: &str) -> bool {
        match &self.permissions {
            Permissions::Delegated { scopes, .. } => scopes.iter().any(|held| scope_includes(held, needed)),
            Permissions::Application { .. } => false,
        }
    }

    /// Whether the caller is an application with that permission. False for users, whatever their roles.
    #[must_use]
    pub fn has_app_role(&self, needed: &str) -> bool {
        match &self.permissions {
            Permissions::Delegated { .. } => false,
            Permissions::Application { roles } => roles.iter().any(|held| held == needed),
        }
    }

    /// What starts an on-behalf-of exchange: only a signed-in user has one (v2-oauth2-on-behalf-of-flow: the flow works
    /// for user principals only, AADSTS7000114).
    #[must_use]
    pub fn assertion(&self) -> Option<UserAssertion<'_>> {
        match &self.permissions {
            Permissions::Delegated { .. } => Some(UserAssertion(self)),
            Permissions::Application { .. } => None,
        }
    }
}

/// Object IDs are random, so a part of a hash tells callers apart and leads to nobody.
pub(super) fn pseudonym(tid: &str, oid: &str) -> String {
    let mut text = HEXLOWER.encode(&digest::of(format!("{tid}/{oid}")));
    text.truncate(16);
    text
}

/// A signed-in user's verified token, as it stands in for the user at the token endpoint.
#[derive(Clone, Copy, Debug)]
pub struct UserAssertion<'a>(&'a Caller);

impl UserAssertion<'_> {
    /// The user.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        self.0
    }

    /// Whether the client can answer a claims challenge (`xms_cc` has `cp1`).
    #[must_use]
    pub fn answers_challenges(&self) -> bool {
        self.0.answers_challenges
    }

    /// The token itself: for the token endpoint, and nowhere else.
    pub(crate) fn expose(&self) -> &str {
        self.0.token.expose_secret()
    }
}
