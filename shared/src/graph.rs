//! Microsoft Graph, as far as the tools need it: a fixed base, fixed paths, typed answers. Never a URL from a caller or a
//! document.

use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, RETRY_AFTER};
use reqwest::Url;
use serde::Deserialize;
use tracing::{Instrument as _, info_span};
use uuid::Uuid;

use crate::config::Config;
use crate::http::{self as client, HttpClient, HttpError, Limits};
use crate::obo::cache::AccessToken;

/// A profile has a few hundred bytes.
const LIMITS: Limits = Limits { total: Duration::from_secs(30), body: 256 * 1024 };

/// `GET /me` with exactly the fields that are shown: least data (OWASP API3).
const ME: &str = "/v1.0/me?$select=id,displayName,userPrincipalName,mail,jobTitle,officeLocation,preferredLanguage";

/// The Graph client.
#[derive(Debug)]
pub struct GraphClient {
    http: HttpClient,
    base_url: String,
}

/// The signed-in user (Graph `user` resource, as far as selected).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UserProfile {
    /// The user's object ID.
    pub id: String,
    /// Name for display.
    pub display_name: Option<String>,
    /// Sign-in name.
    pub user_principal_name: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
    /// Job title.
    pub job_title: Option<String>,
    /// Office.
    pub office_location: Option<String>,
    /// Language, such as `en-GB`.
    pub preferred_language: Option<String>,
}

/// Why Graph gave no answer that can be used. `Display` is for our log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GraphError {
    /// Graph refuses the token: revoked, or expired meanwhile.
    #[error("graph refuses the token")]
    TokenRefused,
    /// The user may not see this, or it does not exist: the caller learns no difference.
    #[error("graph denies it (status {0})")]
    Denied(u16),
    /// Throttled or down.
    #[error("graph is not able to answer (status {status})")]
    Unavailable {
        /// The status.
        status: u16,
        /// When to try again, as far as Graph says.
        retry_after: Option<Duration>,
    },
    /// The answer is not what Graph documents.
    #[error("graph's answer is not readable")]
    Unreadable,
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl GraphClient {
    /// A client for the configured Graph.
    #[must_use]
    pub fn new(config: &Config, http: HttpClient) -> Self {
        Self { http, base_url: config.graph_base_url.clone() }
    }

    /// The profile of the user whose token this is (Graph "Get a user", `/me`).
    ///
    /// # Errors
    ///
    /// [`GraphError`]; nothing is retried.
    pub async fn me(&self, token: &AccessToken) -> Result<UserProfile, GraphError> {
        let fetch = async {
            let url = Url::parse(&format!("{}{ME}", self.base_url)).map_err(|_| GraphError::Unreadable)?;
            let request = self
                .http
                .get(url)
                .bearer_auth(token.expose())
                .header(ACCEPT, "application/json")
                .header("client-request-id", Uuid::new_v4().to_string());
            let answer = client::send(request, LIMITS).await?;
            match answer.status {
                StatusCode::OK => serde_json::from_slice(&answer.body).map_err(|_| GraphError::Unreadable),
                StatusCode::UNAUTHORIZED => Err(GraphError::TokenRefused),
                StatusCode::TOO_MANY_REQUESTS => Err(unavailable(&answer)),
                status if status.is_server_error() => Err(unavailable(&answer)),
                status => Err(GraphError::Denied(status.as_u16())),
            }
        };
        fetch.instrument(info_span!("graph.request")).await
    }
}

fn unavailable(answer: &client::Answer) -> GraphError {
    let seconds =
        answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    GraphError::Unavailable { status: answer.status.as_u16(), retry_after: seconds.map(Duration::from_secs) }
}
