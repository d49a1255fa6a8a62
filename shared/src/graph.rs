//! Microsoft Graph, as far as the tools need it: a fixed base, paths of ours, typed answers. Never a URL from a caller or a
//! document.

mod path;

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};
use uuid::Uuid;

use crate::config::Config;
use crate::http::{self as client, Answer, HttpClient, HttpError, Limits};
use crate::moment::{Moment, Stopwatch};
use crate::obo::cache::AccessToken;
use crate::obo::claims;
use crate::obo::retry::{self, Failure};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace_context;

pub use path::{GraphPath, NotAnIdentifier};

/// One try. A profile has a few hundred bytes.
const TRY: Limits = Limits { total: Duration::from_secs(10), body: 256 * 1024 };

/// All tries of one request together.
const TOTAL: Duration = Duration::from_secs(30);

/// `GET /me` with exactly the fields that are shown: least data (OWASP API3).
const ME: GraphPath =
    GraphPath::new("/v1.0/me?$select=id,displayName,userPrincipalName,mail,jobTitle,officeLocation,preferredLanguage");

/// The Graph client.
#[derive(Debug)]
pub struct GraphClient {
    http: HttpClient,
    base_url: String,
    metrics: Arc<Metrics>,
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
    /// Graph wants a token that answers these claims (app-resilience-continuous-access-evaluation).
    #[error("graph asks for a token with other claims")]
    ClaimsChallenge {
        /// The claims request, as JSON text.
        claims: String,
    },
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
    pub fn new(config: &Config, http: HttpClient, metrics: Arc<Metrics>) -> Self {
        Self { http, base_url: config.graph_base_url.clone(), metrics }
    }

    /// The profile of the user whose token this is (Graph "Get a user", `/me`).
    ///
    /// # Errors
    ///
    /// [`GraphError`], once what passes by itself has been waited for: a short `Retry-After`, a 5xx, a broken connection.
    pub async fn me(&self, token: &AccessToken) -> Result<UserProfile, GraphError> {
        self.read(&ME, token).await
    }

    /// What Graph answers to a GET of this path, at most 256 KiB of JSON.
    ///
    /// # Errors
    ///
    /// As [`GraphClient::me`].
    pub async fn read<T: DeserializeOwned>(&self, path: &GraphPath, token: &AccessToken) -> Result<T, GraphError> {
        let answer = self.get(path, token).await?;
        serde_json::from_slice(&answer.body).map_err(|_| GraphError::Unreadable)
    }

    /// A GET. It changes nothing, so it may be repeated.
    async fn get(&self, path: &GraphPath, token: &AccessToken) -> Result<Answer, GraphError> {
        let started = Moment::now();
        let mut tries = 0;
        loop {
            let error = match self.once(path, token).instrument(span_of_try()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            let left = TOTAL.saturating_sub(Moment::now().since(started));
            match retry::pause(failure_of(&error), tries, left, rand::random()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn once(&self, path: &GraphPath, token: &AccessToken) -> Result<Answer, GraphError> {
        let url = Url::parse(&format!("{}{path}", self.base_url)).map_err(|_| GraphError::Unreadable)?;
        let mut trace = HeaderMap::new();
        trace_context::hand_on(&mut trace);
        let request = self
            .http
            .get(url)
            .bearer_auth(token.expose())
            .header(ACCEPT, "application/json")
            .header("client-request-id", Uuid::new_v4().to_string())
            .headers(trace);
        let started = Stopwatch::start();
        let answer = client::send(request, TRY).await;
        let outcome = answer.as_ref().map(|answer| answer.status.as_u16()).map_err(HttpError::class);
        self.metrics.downstream_request("graph", outcome, started.elapsed());
        match outcome {
            Ok(status) => Span::current().record("http.response.status_code", status),
            Err(class) => Span::current().record("error.type", class),
        };
        let answer = answer?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(refused(&answer)),
            StatusCode::TOO_MANY_REQUESTS => Err(unavailable(&answer)),
            status if status.is_server_error() => Err(unavailable(&answer)),
            status => Err(GraphError::Denied(status.as_u16())),
        }
    }
}

/// One try's span (HTTP conventions, "HTTP client"). The path is not told: it may carry identifiers.
fn span_of_try() -> Span {
    info_span!(
        "graph.request",
        otel.name = "GET graph",
        otel.kind = "client",
        http.request.method = "GET",
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// A 401: with claims where a new token that carries them would do.
fn refused(answer: &Answer) -> GraphError {
    let challenges = answer.headers.get_all(WWW_AUTHENTICATE).iter();
    let claims = challenges.filter_map(|value| value.to_str().ok()).find_map(claims::of_challenge);
    claims.map_or(GraphError::TokenRefused, |claims| GraphError::ClaimsChallenge { claims })
}

fn unavailable(answer: &Answer) -> GraphError {
    GraphError::Unavailable { status: answer.status.as_u16(), retry_after: answer.retry_after(Moment::now()) }
}

/// Whether asking again may help.
fn failure_of(error: &GraphError) -> Failure {
    match error {
        GraphError::Unavailable { retry_after: Some(after), .. } => Failure::ComeBack(*after),
        // Without a time, a 429 is not worth another try: it would only add to the load.
        GraphError::Unavailable { status: 429, .. } => Failure::Final,
        GraphError::Unavailable { .. }
        | GraphError::Http(HttpError::Connect(_) | HttpError::Timeout(_) | HttpError::Broken(_)) => Failure::Transient,
        _ => Failure::Final,
    }
}
