//! Failures behind a tool → what the caller gets: an HTTP refusal where the client can act on it, otherwise a tool error
//! with a calm sentence. Causes stay in the log.

use rmcp::model::{CallToolResult, ContentBlock};
use shared::auth::caller::Caller;
use shared::auth::error::{AuthError, TokenFault};
use shared::graph::GraphError;
use shared::obo::client::OboClient;
use shared::obo::error::OboError;
use tracing::{error, warn};

/// How a call ends that did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An HTTP status with a challenge: the client signs in again and the call then works.
    Refuse(AuthError),
    /// Consent is missing: a page for the person, through the client where it can show one.
    AskForConsent {
        /// Where to consent.
        url: String,
    },
    /// A tool error: `isError` with a sentence for the model and the person.
    Tell(String),
}

impl Failure {
    pub(crate) fn tell(sentence: &str) -> Self {
        Self::Tell(sentence.to_owned())
    }
}

impl Failure {
    /// What a failed exchange means for this caller.
    pub(crate) fn of_exchange(cause: OboError, obo: &OboClient, caller: &Caller) -> Self {
        match cause {
            // The client refreshes its token and repeats the call: nobody notices.
            OboError::AssertionAboutToExpire => Self::Refuse(AuthError::InvalidToken(TokenFault::AboutToExpire)),
            OboError::AssertionRejected { .. } => {
                warn!("{cause}");
                Self::Refuse(AuthError::InvalidToken(TokenFault::Revoked))
            }
            OboError::InteractionRequired { code, claims } => {
                warn!(entra.code = code, "entra asks for a step-up");
                Self::challenge(claims, obo, caller)
            }
            // Signing in again without a consent page would loop, so this is for a person to read.
            OboError::ConsentRequired { .. } => {
                warn!("{cause}");
                Self::AskForConsent { url: obo.admin_consent_url().to_owned() }
            }
            OboError::Configuration { .. } | OboError::Credential(_) => {
                error!("{cause}");
                Self::tell("This server is not set up correctly; its operators have been told. Try again later.")
            }
            OboError::Unavailable { retry_after, .. } => {
                warn!("{cause}");
                Self::Tell(later("The sign-in service", retry_after))
            }
        }
    }

    /// What Graph's refusal means for this caller.
    pub(crate) fn of_graph(cause: GraphError, obo: &OboClient, caller: &Caller) -> Self {
        warn!("{cause}");
        match cause {
            GraphError::TokenRefused => Self::Refuse(AuthError::InvalidToken(TokenFault::Revoked)),
            GraphError::ClaimsChallenge { claims } => Self::challenge(claims, obo, caller),
            GraphError::Denied(_) => {
                Self::tell("Microsoft Graph does not give you access to this, or it does not exist.")
            }
            GraphError::Unavailable { retry_after, .. } => Self::Tell(later("Microsoft Graph", retry_after)),
            GraphError::Unreadable | GraphError::Http(_) => Self::Tell(later("Microsoft Graph", None)),
        }
    }

    /// A claims challenge for the client, unless it got this one already: then the person must help.
    fn challenge(claims: String, obo: &OboClient, caller: &Caller) -> Self {
        if obo.may_challenge(caller, &claims) {
            return Self::Refuse(AuthError::InteractionRequired { claims });
        }
        warn!("the client did not answer the claims challenge it was sent");
        Self::tell(
            "Your organization asks for another sign-in step, such as multi-factor authentication, and your client did not \
             do it. Sign out of this server in your client and sign in again.",
        )
    }
}

/// The sentence for a person whose client cannot show the page.
pub(crate) fn consent_sentence(url: &str) -> String {
    format!(
        "Your organization has not yet allowed this server to read your Microsoft 365 data for you. An administrator can \
         allow it here: {url}"
    )
}

fn later(who: &str, retry_after: Option<std::time::Duration>) -> String {
    match retry_after {
        Some(wait) => format!("{who} is busy. Try again in {} seconds.", wait.as_secs().max(1)),
        None => format!("{who} is not answering at the moment. Try again shortly."),
    }
}

/// A tool error (MCP 2026-07-28, Tools, "Error Handling": what the model should see).
pub(crate) fn tool_error(sentence: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(sentence)])
}
