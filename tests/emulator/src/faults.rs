//! Faults on purpose: what a test switches on to see how its subject copes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::errors::{Correlation, EntraError};

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
}

#[derive(Clone, Debug)]
struct Switch {
    answer: Answer,
    left: Option<usize>,
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

    /// Replaces one member of the discovery document.
    pub fn discovery_member(&self, name: &str, value: Value) {
        self.discovery.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value);
    }

    /// Heals everything.
    pub fn clear(&self) {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.discovery.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The replaced members of the discovery document.
    pub(crate) fn discovery_members(&self) -> Map<String, Value> {
        self.discovery.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

    fn put(&self, endpoint: Endpoint, switch: Switch) {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint, switch);
    }

    fn take(&self, endpoint: Endpoint) -> Option<Answer> {
        let mut switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
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

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
