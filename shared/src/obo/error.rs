//! Why there is no downstream token, by what can be done about it.

use std::time::Duration;

use crate::http::HttpError;

/// A failed exchange. `Display` is for our log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OboError {
    /// The caller's token has too little life left for a new exchange: the client should refresh it.
    #[error("the caller's token is about to expire")]
    AssertionAboutToExpire,
    /// Entra refuses the caller's token: expired, revoked, session ended.
    #[error("entra refuses the caller's token (AADSTS{code})")]
    AssertionRejected {
        /// Entra's error number.
        code: u32,
    },
    /// Entra wants the user to do something first (conditional access, multi-factor authentication).
    #[error("entra asks for a step-up (AADSTS{code})")]
    InteractionRequired {
        /// Entra's error number.
        code: u32,
        /// The claims request to hand to the client, as JSON text.
        claims: String,
    },
    /// The user or an administrator has not consented to the downstream permission.
    #[error("consent to the downstream permission is missing (AADSTS{code})")]
    ConsentRequired {
        /// Entra's error number.
        code: u32,
    },
    /// This server's registration or settings are at fault.
    #[error("the on-behalf-of set-up is at fault: {error} (AADSTS{code})")]
    Configuration {
        /// The OAuth error.
        error: String,
        /// Entra's error number.
        code: u32,
    },
    /// The credential that proves who we are cannot be obtained.
    #[error("the client credential is not available: {0}")]
    Credential(String),
    /// Entra is throttling or down.
    #[error("entra is not able to answer: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// When to try again, as far as known.
        retry_after: Option<Duration>,
        /// Whether asking again at once may help: no connection, no answer, a 5xx.
        transient: bool,
    },
}

impl OboError {
    /// The error's class, for metrics: one word.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::AssertionAboutToExpire => "about_to_expire",
            Self::AssertionRejected { .. } => "assertion_rejected",
            Self::InteractionRequired { .. } => "interaction_required",
            Self::ConsentRequired { .. } => "consent_required",
            Self::Configuration { .. } => "configuration",
            Self::Credential(_) => "credential",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

impl From<HttpError> for OboError {
    fn from(cause: HttpError) -> Self {
        Self::Unavailable { reason: cause.to_string(), retry_after: None, transient: true }
    }
}
