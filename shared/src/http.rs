//! The one HTTP client: TLS, no redirects, deadlines, and a limit on what is read.

use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Url};

use crate::moment::Moment;

/// How long a connection may take to come up, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an idle connection is kept: shorter than the services' own limit, so that a dead one is seldom reused.
const POOL_IDLE: Duration = Duration::from_mins(1);

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte sent to the last byte read.
    pub total: Duration,
    /// The largest body that is read, in bytes.
    pub body: usize,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// The status, whatever it says.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, at most [`Limits::body`] bytes.
    pub body: Bytes,
}

impl Answer {
    /// How long `Retry-After` asks to wait: seconds or a date (RFC 9110 §10.2.3), a day at most.
    pub(crate) fn retry_after(&self, now: Moment) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let until = || Some(seconds_of(text)?.saturating_sub(now.unix_seconds()));
        let seconds = text.parse().ok().or_else(until)?;
        Some(Duration::from_secs(seconds.min(86_400)))
    }

    /// When the sender says it answered (`Date`, RFC 9110 §6.6.1), in seconds since 1970.
    pub(crate) fn date(&self) -> Option<u64> {
        seconds_of(self.headers.get(DATE)?.to_str().ok()?)
    }
}

/// An HTTP date (RFC 9110 §5.6.7) in seconds since 1970.
fn seconds_of(date: &str) -> Option<u64> {
    Some(httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// Why there is no answer. Carries no URL: token endpoints and Graph paths may hold identifiers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection could not be made: DNS, TCP or TLS.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The deadline passed.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The body is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke, or the answer is not HTTP.
    #[error("the exchange broke off: {0}")]
    Broken(String),
}

impl HttpError {
    /// The error's class, for metrics: one word.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Timeout(_) => "timeout",
            Self::TooLarge(_) => "too_large",
            Self::Broken(_) => "broken",
        }
    }
}

/// The client could not be built: no usable TLS roots.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot start; are CA certificates installed in this image?")]
pub struct HttpClientError(#[source] reqwest::Error);

/// The process's one client; cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient(reqwest::Client);

impl HttpClient {
    /// A client with a pool of its own.
    ///
    /// # Errors
    ///
    /// [`HttpClientError`] where TLS cannot be set up.
    #[expect(clippy::disallowed_methods, reason = "the one place that builds the client")]
    pub fn new() -> Result<Self, HttpClientError> {
        reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .user_agent(concat!("mcp-server/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(HttpClientError)
    }

    /// A GET request for `url`, to be completed and sent.
    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.0.get(url)
    }

    /// A POST request for `url`, to be completed and sent.
    pub(crate) fn post(&self, url: Url) -> RequestBuilder {
        self.0.post(url)
    }
}

/// Sends the request and reads the answer whole, within the limits.
///
/// # Errors
///
/// [`HttpError`]; an answer with any status is not an error.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that sends: every request gets a deadline and a size limit"
)]
pub(crate) async fn send(request: RequestBuilder, limits: Limits) -> Result<Answer, HttpError> {
    let exchange = async {
        let mut response = request.send().await.map_err(|error| describe(&error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
            if body.len() + chunk.len() > limits.body {
                return Err(HttpError::TooLarge(limits.body));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    };
    tokio::time::timeout(limits.total, exchange).await.unwrap_or(Err(HttpError::Timeout(limits.total)))
}

/// The innermost cause, without the URL.
fn describe(error: &reqwest::Error) -> HttpError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = if std::ptr::addr_eq(std::ptr::from_ref(cause), std::ptr::from_ref(error)) {
        "unreadable answer".to_owned()
    } else {
        cause.to_string()
    };
    if error.is_connect() {
        HttpError::Connect(text)
    } else if error.is_timeout() {
        HttpError::Timeout(CONNECT_TIMEOUT)
    } else {
        HttpError::Broken(text)
    }
}
