//! Why a request is refused. [`crate::auth::challenge`] turns each into an HTTP answer.

use std::time::Duration;

/// A refusal. `Display` is for our log; the caller gets a fixed sentence per class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No bearer credentials were sent.
    #[error("no bearer token was sent")]
    MissingToken,
    /// The request carries credentials in more than one place or field (RFC 6750 §2, §3.1).
    #[error("the credentials are ambiguous: {0}")]
    AmbiguousCredentials(&'static str),
    /// A token was sent and is not good for this server.
    #[error("the token is refused: {0}")]
    InvalidToken(TokenFault),
    /// The caller is known and may not do this with this token.
    #[error("the caller lacks a permission: {needed:?}")]
    InsufficientScope {
        /// Short names of *all* delegated permissions the operation needs.
        needed: Vec<&'static str>,
    },
    /// Entra wants the user to do something before it gives a token for the downstream service: the claims go back to
    /// the client, which asks Entra for a token with them (claims-challenge).
    #[error("entra asks for a step-up of the caller's sign-in")]
    InteractionRequired {
        /// The claims request, as the JSON text that Entra sent.
        claims: String,
    },
    /// This caller, or all callers together, send more than is taken on.
    #[error("too many requests: {0}")]
    TooManyRequests(&'static str, Duration),
    /// As much is under way as this process takes on.
    #[error("too many requests under way")]
    Overloaded,
    /// The signing key to check with is not at hand and cannot be fetched: ours to mend, not the caller's.
    #[error("the signing key cannot be had at the moment")]
    KeysUnavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

impl AuthError {
    /// The refusal's class, for metrics and the log: one word, the same for every refusal of its kind.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::AmbiguousCredentials(_) => "ambiguous_credentials",
            Self::InvalidToken(fault) => fault.class(),
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::InteractionRequired { .. } => "interaction_required",
            Self::TooManyRequests(..) => "too_many_requests",
            Self::Overloaded => "overloaded",
            Self::KeysUnavailable { .. } => "keys_unavailable",
        }
    }
}

impl TokenFault {
    fn class(self) -> &'static str {
        match self {
            Self::NotBearer => "token_not_bearer",
            Self::TooLong => "token_too_long",
            Self::Malformed(_) => "token_malformed",
            Self::Header(_) => "token_header",
            Self::ForGraph => "token_for_graph",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Claims => "token_claims",
            Self::Expired => "token_expired",
            Self::Times(_) => "token_times",
            Self::Issuer => "token_issuer",
            Self::KeyIssuer => "token_key_issuer",
            Self::Tenant => "token_tenant",
            Self::Audience => "token_audience",
            Self::Version => "token_version",
            Self::ObjectId => "token_object_id",
            Self::KeyBound => "token_key_bound",
            Self::NoPermissions => "token_no_permissions",
            Self::Client => "token_client",
            Self::Revoked => "token_revoked",
            Self::AboutToExpire => "token_about_to_expire",
        }
    }
}

/// What exactly is wrong with a token: for the log, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// The `Authorization` value is not `Bearer` and one b64token.
    #[error("the header value is not one b64token")]
    NotBearer,
    /// Longer than 32 KiB.
    #[error("longer than the limit")]
    TooLong,
    /// Not three canonical base64url parts that hold two JSON objects with unique member names.
    #[error("not a compact JWS: {0}")]
    Malformed(&'static str),
    /// The header asks for something that is not accepted: `alg`, `typ`, `crit`, key material.
    #[error("header not acceptable: {0}")]
    Header(&'static str),
    /// The token is meant for Microsoft Graph: the client asked for a Graph scope.
    #[error("a Microsoft Graph token (nonce in the header); the client must ask for this API's scopes")]
    ForGraph,
    /// No key of that `kid` is known, even after asking.
    #[error("unknown kid")]
    UnknownKey,
    /// The signature does not fit the key.
    #[error("bad signature")]
    Signature,
    /// A required claim is missing or has the wrong type.
    #[error("claims not readable")]
    Claims,
    /// `exp` is past.
    #[error("expired")]
    Expired,
    /// `nbf` or `iat` lie ahead, or the lifetime is beyond what Entra issues.
    #[error("times not acceptable: {0}")]
    Times(&'static str),
    /// `iss` is not our tenant's.
    #[error("another issuer")]
    Issuer,
    /// The signing key belongs to another issuer.
    #[error("signed with a key of another issuer")]
    KeyIssuer,
    /// `tid` is not our tenant.
    #[error("another tenant")]
    Tenant,
    /// `aud` is not this application.
    #[error("another audience")]
    Audience,
    /// `ver` does not fit the issuer, or v1.0 tokens are not accepted.
    #[error("token version not accepted; set requestedAccessTokenVersion to 2 on the app registration")]
    Version,
    /// `oid` is missing or not a GUID.
    #[error("no usable oid")]
    ObjectId,
    /// The token is bound to a key of the client's (`cnf`), so it must not serve as a bearer token.
    #[error("bound to a client key (cnf); the client must send a plain bearer token")]
    KeyBound,
    /// Neither `scp` nor `roles` of an application: an ID token, or an application nobody gave a permission.
    #[error("neither delegated nor application permissions")]
    NoPermissions,
    /// The client application is not on the list.
    #[error("client application not allowed")]
    Client,
    /// Entra itself refused the token as assertion: expired or revoked meanwhile.
    #[error("refused by the authorization server")]
    Revoked,
    /// Too little life left for an on-behalf-of exchange.
    #[error("about to expire")]
    AboutToExpire,
}
