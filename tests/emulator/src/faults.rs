//! Faults on purpose: what a test switches on to see how its subject copes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::errors::{Correlation, EntraError};
use crate::tenant::User;

/// Where a fault may sit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// The discovery document.
    Discovery,
    /// The key set.
    Keys,
    /// The token endpoint, whatever the grant.
    Token,
    /// Both endpoints for a managed identity's token.
    ManagedIdentity,
    /// `GET /v1.0/me`.
    GraphMe,
}

/// What goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// This status, with an empty body.
    Status {
        /// The HTTP status.
        status: u16,
        /// The value of `Retry-After`, if one is sent.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Accepts the request and never answers.
    Hang,
    /// Closes the connection without an answer.
    Reset,
    /// Answers as usual, but only after this long (on the control surface: milliseconds).
    #[serde(deserialize_with = "milliseconds")]
    Delay(Duration),
    /// 200 with a page of HTML, as captive portals and proxies answer.
    Garbage,
    /// 200 with fewer bytes than `Content-Length` announces, then the connection closes.
    Truncated,
    /// 200 with a body that never ends.
    Endless,
    /// 302 to this address.
    Redirect(String),
    /// An error in Entra's shape.
    Entra(EntraError),
}

/// The switches. A fault stays until it is replaced, cleared, or used up.
#[derive(Debug, Default)]
pub struct Faults {
    switches: Mutex<HashMap<Endpoint, Switch>>,
    discovery: Mutex<Map<String, Value>>,
    throttled: Mutex<HashMap<User, Throttle>>,
}

#[derive(Clone, Debug)]
struct Switch {
    answer: Answer,
    left: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Throttle {
    retry_after_seconds: u64,
    left: usize,
}

#[derive(Clone, Debug)]
enum Answer {
    Fault(Fault),
    Document(StatusCode, Vec<(HeaderName, HeaderValue)>, String),
}

/// Marks a response that must not be written: the server closes the connection instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HangUp;

impl Faults {
    /// From now on `endpoint` fails in this way.
    pub fn set(&self, endpoint: Endpoint, fault: Fault) {
        self.put(endpoint, Switch { answer: Answer::Fault(fault), left: None });
    }

    /// The next `n` requests to `endpoint` fail in this way; then it is healed.
    pub fn times(&self, endpoint: Endpoint, n: usize, fault: Fault) {
        self.put(endpoint, Switch { answer: Answer::Fault(fault), left: Some(n) });
    }

    /// A fixed answer. Its content type is JSON unless `headers` says otherwise.
    pub fn document(&self, endpoint: Endpoint, status: u16, headers: Vec<(String, String)>, body: String) {
        let status = StatusCode::from_u16(status).expect("an HTTP status");
        let pair = |(name, value): (String, String)| {
            let name = HeaderName::try_from(name).expect("a header name");
            (name, HeaderValue::try_from(value).expect("a header value"))
        };
        let headers = headers.into_iter().map(pair).collect();
        self.put(endpoint, Switch { answer: Answer::Document(status, headers, body), left: None });
    }

    /// The next `times` on-behalf-of requests for this user get 429; everybody else's are answered as usual. Whom a
    /// request is about is read from its assertion before anything is verified. A fault on [`Endpoint::Token`] comes
    /// first.
    pub fn throttle_user(&self, user: User, retry_after_seconds: u64, times: usize) {
        lock(&self.throttled).insert(user, Throttle { retry_after_seconds, left: times });
    }

    /// Replaces one member of the discovery document.
    pub fn discovery_member(&self, name: &str, value: Value) {
        lock(&self.discovery).insert(name.to_owned(), value);
    }

    /// Heals everything.
    pub fn clear(&self) {
        lock(&self.switches).clear();
        lock(&self.discovery).clear();
        lock(&self.throttled).clear();
    }

    /// The replaced members of the discovery document.
    pub(crate) fn discovery_members(&self) -> Map<String, Value> {
        lock(&self.discovery).clone()
    }

    /// The answer that a fault gives in place of the real one, if a fault is on.
    pub(crate) async fn strike(&self, endpoint: Endpoint, correlation: &Correlation) -> Option<Response> {
        let fault = match self.take(endpoint)? {
            Answer::Fault(fault) => fault,
            Answer::Document(status, headers, body) => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                response.headers_mut().extend(headers);
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().entry(header::CONTENT_TYPE).or_insert(json);
                return Some(response);
            }
        };
        match fault {
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                None
            }
            Fault::Hang => std::future::pending().await,
            fault => Some(response(fault, correlation)),
        }
    }

    /// The 429 that this user's on-behalf-of request gets, if there is one left.
    pub(crate) fn throttle(&self, user: Option<User>, correlation: &Correlation) -> Option<Response> {
        let seconds = {
            let mut throttled = lock(&self.throttled);
            let throttle = throttled.get_mut(&user?)?;
            throttle.left = throttle.left.checked_sub(1)?;
            throttle.retry_after_seconds
        };
        let mut response = EntraError::throttled().response(correlation);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        Some(response)
    }

    fn put(&self, endpoint: Endpoint, switch: Switch) {
        lock(&self.switches).insert(endpoint, switch);
    }

    fn take(&self, endpoint: Endpoint) -> Option<Answer> {
        let mut switches = lock(&self.switches);
        let switch = switches.get_mut(&endpoint)?;
        match &mut switch.left {
            Some(0) => {
                switches.remove(&endpoint);
                return None;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Some(switch.answer.clone())
    }
}

fn response(fault: Fault, correlation: &Correlation) -> Response {
    match fault {
        Fault::Status { status, retry_after } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = status.into_response();
            if let Some(value) = retry_after.and_then(|value| HeaderValue::try_from(value).ok()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        Fault::Garbage => {
            axum::response::Html("<!doctype html><title>Welcome</title><p>Please sign in.").into_response()
        }
        Fault::Truncated => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_LENGTH, "4096")];
            // The pause lets the first bytes leave before the body ends too early.
            let parts = stream::unfold(0, |part| async move {
                if part == 0 {
                    return Some((Ok(Bytes::from_static(b"{\"keys\":[")), 1));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                (part == 1).then(|| (Err(std::io::Error::other("cut off on purpose")), 2))
            });
            (headers, Body::from_stream(parts)).into_response()
        }
        Fault::Endless => {
            let filler = Bytes::from(vec![b' '; 16 * 1024]);
            let parts = stream::repeat_with(move || Ok::<_, std::io::Error>(filler.clone()));
            ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(parts)).into_response()
        }
        Fault::Redirect(location) => {
            let location = HeaderValue::try_from(location).expect("an address is a header value");
            (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
        }
        Fault::Entra(error) => error.response(correlation),
        Fault::Reset | Fault::Hang | Fault::Delay(_) => {
            let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
            response.extensions_mut().insert(HangUp);
            response
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
