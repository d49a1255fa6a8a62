//! The token verifier: [`BearerToken`] and key → [`Caller`].
//!
//! Order: shape and header (`jws`), key, signature, times, then what Entra's tokens must say (claims-validation). Every row has its test in `tests/it/vectors/tokens.json`.

use std::sync::Arc;

use jsonwebtoken::signature::Verifier as _;
use secrecy::SecretString;

use super::bearer::BearerToken;
use super::caller::{Caller, Permissions, pseudonym};
use super::claims::{AccessTokenClaims, is_guid};
use super::error::{AuthError, TokenFault};
use super::jwks::{JwksCache, VerificationKey};
use super::jws::{self, UnverifiedJws};
use super::verified_tokens::VerifiedTokens;
use crate::config::Config;
use crate::moment::Moment;

/// How far our clock and Entra's may differ, in seconds. Microsoft's own libraries allow 300; hosts today keep time.
const LEEWAY: u64 = 60;

/// The longest life of a token: continuous access evaluation sessions reach 28 hours (access-tokens, "Token lifetime").
const MAX_LIFETIME: u64 = 30 * 3_600;

/// Decides whether a token is one of this tenant's for this application. No I/O: the key is handed in.
#[derive(Debug)]
pub struct TokenVerifier {
    tenant_id: String,
    client_id: String,
    audience: String,
    issuer: String,
    v1_issuer: Option<String>,
    allowed_client_ids: Vec<String>,
    verified: VerifiedTokens,
}

impl TokenVerifier {
    /// A verifier for the configured tenant and application.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let issuer = config.issuer().as_str().to_owned();
        let v1_issuer = config.accept_v1_tokens.then(|| config.v1_issuer().as_str().to_owned());

        Self {
            tenant_id: config.tenant_id.clone(),
            client_id: config.client_id.clone(),
            audience: config.audience.clone(),
            issuer,
            v1_issuer,
            allowed_client_ids: config.allowed_client_ids.clone(),
            verified: VerifiedTokens::new(config.limits.verified_tokens),
        }
    }

    /// Verifies a token against the keys of `now`, unless it was verified a moment ago; asks for new keys only if the key is
    /// unknown and the token looks like one of ours in every other way.
    ///
    /// # Errors
    ///
    /// [`AuthError::InvalidToken`] with what is wrong, [`AuthError::KeysUnavailable`] where the key cannot be had.
    pub async fn authenticate(
        &self,
        token: BearerToken<'_>,
        jwks: &'static JwksCache,
        now: Moment,
    ) -> Result<Arc<Caller>, AuthError> {
        if let Some(caller) = self.verified.hit(token.digest(), jwks, now) {
            return Ok(caller);
        }
        let unverified = jws::parse(token.expose()).map_err(AuthError::InvalidToken)?;
        let looks_like_ours = || self.looks_like_ours(&unverified, now);
        let key = jwks.key(&unverified.unverified_kid, now, looks_like_ours).await?;
        // The key may have been waited for, and the token's end reached.
        let now = Moment::now();
        let caller = Arc::new(self.caller(&token, unverified, &key, now).map_err(AuthError::InvalidToken)?);
        self.verified.keep(&caller, key, now);
        Ok(caller)
    }

    /// Forgets the tokens that were verified too long ago.
    pub(crate) fn forget_old(&self) {
        self.verified.tidy();
    }

    /// The caller whose token this is.
    ///
    /// # Errors
    ///
    /// [`TokenFault`]: the first check that fails.
    pub fn verify(&self, token: &BearerToken<'_>, key: &VerificationKey, now: Moment) -> Result<Caller, TokenFault> {
        self.caller(token, jws::parse(token.expose())?, key, now)
    }

    /// The caller whose token this is, which is made of these parts.
    fn caller(
        &self,
        token: &BearerToken<'_>,
        unverified: UnverifiedJws<'_>,
        key: &VerificationKey,
        now: Moment,
    ) -> Result<Caller, TokenFault> {
        if !is_signed(&unverified, key) {
            return Err(TokenFault::Signature);
        }
        let claims = unverified.unverified_claims?;
        check_now(&claims, now)?;
        self.check_origin(&claims)?;
        check_times(&claims, now)?;
        if !is_guid(&claims.oid) {
            return Err(TokenFault::ObjectId);
        }
        if claims.cnf {
            return Err(TokenFault::KeyBound);
        }
        let answers_challenges = claims.client_answers_challenges();
        let client = client_of(&claims).map(str::to_owned);
        self.check_client(client.as_deref())?;
        Ok(Caller {
            permissions: permissions(claims.scp.as_deref(), claims.roles, claims.idtyp.as_deref())?,
            pseudonym: pseudonym(&claims.tid, &claims.oid),
            tid: claims.tid,
            oid: claims.oid.into(),
            client,
            uti: claims.uti,
            not_before: claims.nbf,
            expires_at: claims.exp,
            answers_challenges,
            token_digest: *token.digest(),
            token: SecretString::from(token.expose()),
        })
    }

    /// Issuer, tenant, version and audience, bound together: Entra signs all tenants' tokens with the same keys, so these
    /// are what keeps other tenants' users out (access-tokens, "Validate the issuer").
    fn check_origin(&self, claims: &AccessTokenClaims) -> Result<(), TokenFault> {
        let version = self.check_issuer(claims)?;
        self.check_tenant(claims)?;
        check_version(claims, version)?;
        self.check_audience(claims, version)
    }

    /// The version whose issuer this is.
    pub(super) fn check_issuer(&self, claims: &AccessTokenClaims) -> Result<Version, TokenFault> {
        if claims.iss == self.issuer {
            Ok(Version::V2)
        } else if self.v1_issuer.as_deref() == Some(&claims.iss) {
            Ok(Version::V1)
        } else {
            Err(if claims.ver == Version::V1.as_str() { TokenFault::Version } else { TokenFault::Issuer })
        }
    }

    pub(super) fn check_tenant(&self, claims: &AccessTokenClaims) -> Result<(), TokenFault> {
        if claims.tid == self.tenant_id { Ok(()) } else { Err(TokenFault::Tenant) }
    }

    pub(super) fn check_audience(&self, claims: &AccessTokenClaims, version: Version) -> Result<(), TokenFault> {
        let fits = match version {
            Version::V2 => claims.aud == self.client_id,
            // The client id or an Application ID URI, with or without a trailing slash.
            Version::V1 => claims.aud == self.client_id || without_slash(&claims.aud) == without_slash(&self.audience),
        };
        if fits { Ok(()) } else { Err(TokenFault::Audience) }
    }

    pub(super) fn check_client(&self, client: Option<&str>) -> Result<(), TokenFault> {
        let allowed = self.allowed_client_ids.is_empty()
            || client.is_some_and(|client| self.allowed_client_ids.iter().any(|allowed| allowed == client));
        if allowed { Ok(()) } else { Err(TokenFault::Client) }
    }

    /// Whether a token under an unknown key is worth a question to Entra: everything but the signature fits. This keeps
    /// strangers from spending the refresh budget with any text at hand.
    fn looks_like_ours(&self, unverified: &UnverifiedJws<'_>, now: Moment) -> bool {
        let fits = |claims: &AccessTokenClaims| {
            self.check_origin(claims).and_then(|()| check_times(claims, now)).and_then(|()| check_now(claims, now))
        };
        unverified.unverified_claims.as_ref().is_ok_and(|claims| fits(claims).is_ok())
    }
}

/// The version of an access token: the resource's own choice (access-tokens, "Token formats").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

impl Version {
    /// As `ver` spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        }
    }
}

/// `ver` must say what the issuer says.
pub(super) fn check_version(claims: &AccessTokenClaims, version: Version) -> Result<(), TokenFault> {
    if claims.ver == version.as_str() { Ok(()) } else { Err(TokenFault::Version) }
}

/// The client application: v1.0 tokens name it otherwise.
pub(super) fn client_of(claims: &AccessTokenClaims) -> Option<&str> {
    if claims.ver == Version::V2.as_str() { claims.azp.as_deref() } else { claims.appid.as_deref() }
}

/// Whether the key's owner signed exactly this header and these claims (RFC 7515 §5.2).
pub(super) fn is_signed(unverified: &UnverifiedJws<'_>, key: &VerificationKey) -> bool {
    key.verify(unverified.signing_input, &unverified.unverified_signature).is_ok()
}

/// Whether the token is good now (RFC 7519 §4.1.4 and §4.1.5).
fn check_now(claims: &AccessTokenClaims, now: Moment) -> Result<(), TokenFault> {
    if is_past(claims.exp, now) {
        return Err(TokenFault::Expired);
    }
    if !is_reached(claims.nbf, now) {
        return Err(TokenFault::Times("not valid yet"));
    }
    Ok(())
}

/// Whether the token's times make sense together, as Entra gives them.
pub(super) fn check_times(claims: &AccessTokenClaims, now: Moment) -> Result<(), TokenFault> {
    if claims.iat > now.unix_seconds() + LEEWAY {
        return Err(TokenFault::Times("issued in the future"));
    }
    match claims.exp.checked_sub(claims.iat) {
        Some(lifetime) if lifetime <= MAX_LIFETIME => {}
        _ => return Err(TokenFault::Times("lifetime beyond what Entra issues")),
    }
    if claims.nbf > claims.exp {
        return Err(TokenFault::Times("starts after it ends"));
    }
    Ok(())
}

/// The token's permissions, or none at all: an ID token, or an application that nobody gave a role. Entra issues app-only
/// tokens to any application of the tenant, so "neither" must be refused (access-tokens, "Validate permissions").
pub(super) fn permissions(
    scp: Option<&str>,
    roles: Option<Vec<String>>,
    idtyp: Option<&str>,
) -> Result<Permissions, TokenFault> {
    // RFC 6749 §3.3: scopes are separated by U+0020, nothing else. Agent tokens carry "/" for "none".
    let scopes: Vec<String> =
        scp.unwrap_or_default().split(' ').filter(|scope| !matches!(*scope, "" | "/")).map(str::to_owned).collect();
    let roles = roles.unwrap_or_default();
    match idtyp {
        None | Some("user") if !scopes.is_empty() => Ok(Permissions::Delegated { scopes, roles }),
        Some("app") if scopes.is_empty() && !roles.is_empty() => Ok(Permissions::Application { roles }),
        None | Some("user" | "app") => Err(TokenFault::NoPermissions),
        Some(_) => Err(TokenFault::Claims),
    }
}

/// Whether `exp` is past.
pub(super) fn is_past(exp: u64, now: Moment) -> bool {
    exp.saturating_add(LEEWAY) < now.unix_seconds()
}

/// Whether `nbf` is reached.
pub(super) fn is_reached(nbf: u64, now: Moment) -> bool {
    nbf <= now.unix_seconds() + LEEWAY
}

fn without_slash(text: &str) -> &str {
    text.strip_suffix('/').unwrap_or(text)
}
