//! The one line that each request leaves in the log, and its span and measurements.
//!
//! | Field | Meaning |
//! |---|---|
//! | `request_id` | ours, random |
//! | `invocation_id` | the Functions host's (`X-Azure-Functions-InvocationId`), where it has the form of a GUID |
//! | `http.request.method`, `http.route`, `http.response.status_code` | the HTTP side; no status: the client went away |
//! | `outcome` | `ok`, `refused`, `failed`, `cancelled`, or how the tool call ended (see [`crate::audit`]) |
//! | `error.type`, `refusal` | class and cause of a refusal |
//! | `mcp.method.name`, `gen_ai.tool.name` | what was asked for |
//! | `caller` | SHA-256 over `tid` and `oid`, shortened: the same person is the same value, and no name |
//! | `verify_ms`, `exchange_ms`, `graph_ms`, `duration_ms` | token check, on-behalf-of exchange, Graph, all |
//! | `obo.cache` | where the downstream token came from: `hit`, `aging`, `miss` |
//! | `graph_requests` | how often Graph was asked |
//!
//! The target is `request`. Level `info`; `warn` where the answer is a 5xx; `debug` for pings and for what nobody vouches
//! for beyond a few lines a second, whatever the answer, because one line for each request of a flood would be a second flood.

use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::Route;
use data_encoding::HEXLOWER;
use futures::FutureExt as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{Extensions, HeaderMap, HeaderName, Method, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, debug, error, info, info_span, warn};

use super::metrics::AnsweredRequest;
use super::trace_context;
use crate::auth::caller::Caller;
use crate::auth::claims::is_guid;
use crate::auth::error::AuthError;
use crate::moment::Stopwatch;
use crate::process::Process;

/// The most lines a second at `info`, and at `warn`, about requests that nobody vouches for.
const UNVERIFIED_LINES: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

const INVOCATION_ID: HeaderName = HeaderName::from_static("x-azure-functions-invocationid");

/// What the parts of the server find out about one request. Cheap to clone; a request that is not observed has one, too.
#[derive(Clone, Debug, Default)]
pub struct RequestLog(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    caller: Option<Arc<Caller>>,
    method: Option<&'static str>,
    tool: Option<&'static str>,
    outcome: Option<&'static str>,
    refusal: Option<(&'static str, String)>,
    downstream_token: Option<&'static str>,
    verify: Option<Duration>,
    exchange: Option<Duration>,
    graph: Option<Duration>,
    graph_requests: u32,
}

impl RequestLog {
    /// The request's own, as `observe` left it.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// The token was checked, with this result, in this time.
    pub(crate) fn verified(&self, caller: Option<&Arc<Caller>>, took: Duration) {
        let mut facts = self.facts();
        facts.verify = Some(took);
        facts.caller = caller.map(Arc::clone);
    }

    /// The request is refused.
    pub(crate) fn refused(&self, refusal: &AuthError) {
        self.facts().refusal = Some((refusal.class(), refusal.to_string()));
    }

    /// What is asked for: an MCP method that we know.
    pub fn asks(&self, method: &'static str) {
        self.facts().method = Some(method);
    }

    /// A tool call and how it ended.
    pub fn tool_call(&self, tool: &'static str, outcome: &'static str) {
        let mut facts = self.facts();
        facts.tool = Some(tool);
        facts.outcome = Some(outcome);
    }

    /// A downstream token was asked for: where it came from, if there is one, and how long that took.
    pub fn exchanged(&self, from: Option<&'static str>, took: Duration) {
        let mut facts = self.facts();
        facts.downstream_token = from.or(facts.downstream_token);
        add(&mut facts.exchange, took);
    }

    /// Graph was asked.
    pub fn asked_graph(&self, took: Duration) {
        let mut facts = self.facts();
        facts.graph_requests += 1;
        add(&mut facts.graph, took);
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(sum: &mut Option<Duration>, more: Duration) {
    *sum = Some(sum.unwrap_or_default() + more);
}

/// How many lines about unverified requests may still be written this second. What failed has its own, or strangers' refusals would
/// hide it.
#[derive(Debug)]
pub(crate) struct LineBudget {
    failed: DefaultDirectRateLimiter,
    others: DefaultDirectRateLimiter,
}

impl LineBudget {
    fn allow(&self, failed: bool) -> bool {
        let lines = if failed { &self.failed } else { &self.others };
        lines.check().is_ok()
    }
}

impl Default for LineBudget {
    fn default() -> Self {
        let lines = || RateLimiter::direct(Quota::per_second(UNVERIFIED_LINES));
        Self { failed: lines(), others: lines() }
    }
}

/// Watches a request from its head to its answer: span, measurements, the one line. A panic is answered, too: with 500.
pub async fn observe(process: &'static Process, mut request: Request, route: Route) -> Response {
    let (method, log) = (known(request.method()), RequestLog::default());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let path = matched.as_ref().map_or("-", MatchedPath::as_str);
    let span = info_span!(
        "http.request",
        otel.name = %format_args!("{method} {path}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = path,
        http.response.status_code = Empty,
        error.type = Empty,
    );
    trace_context::adopt(&span, request.headers());
    process.metrics.request_began(path);
    let mut ending = Ending {
        process,
        span: span.clone(),
        method,
        invocation: invocation_id(request.headers()),
        matched,
        status: None,
        started: Stopwatch::start(),
        log: log.clone(),
    };
    request.extensions_mut().insert(log);
    let answered = async {
        let answer = AssertUnwindSafe(route.oneshot(request)).catch_unwind().await;
        answer.unwrap_or_else(|_| {
            error!("a request panicked");
            Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        })
    };
    let Ok(response) = answered.instrument(span).await;
    ending.status = Some(response.status());
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    // One that streams has ended when its body has.
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _kept = &ending;
            frame
        }))
    })
}

/// A request under way; what is known of it is written when this is dropped, so whatever becomes of it.
struct Ending {
    process: &'static Process,
    span: Span,
    method: &'static str,
    invocation: Option<String>,
    matched: Option<MatchedPath>,
    status: Option<StatusCode>,
    started: Stopwatch,
    log: RequestLog,
}

/// The line, at a level that is known at run time.
macro_rules! line {
    ($level:ident, $ending:expr, $facts:expr, $outcome:expr, $took:expr) => {
        $level!(
            target: "request",
            request_id = HEXLOWER.encode(&rand::random::<[u8; 16]>()),
            invocation_id = $ending.invocation,
            http.request.method = $ending.method,
            http.route = $ending.route(),
            http.response.status_code = $ending.status.map(|status| status.as_u16()),
            outcome = $outcome,
            error.type = $facts.refusal.as_ref().map(|(class, _)| *class),
            refusal = $facts.refusal.as_ref().map(|(_, cause)| cause.as_str()),
            mcp.method.name = $facts.method,
            gen_ai.tool.name = $facts.tool,
            caller = $facts.caller.as_ref().map(|caller| caller.pseudonym()),
            verify_ms = $facts.verify.map(milliseconds),
            exchange_ms = $facts.exchange.map(milliseconds),
            graph_ms = $facts.graph.map(milliseconds),
            graph_requests = $facts.graph.map(|_| $facts.graph_requests),
            obo.cache = $facts.downstream_token,
            duration_ms = milliseconds($took),
            "request"
        )
    };
}

impl Ending {
    fn route(&self) -> &str {
        self.matched.as_ref().map_or("-", MatchedPath::as_str)
    }

    /// Whether this is one of the pings that come all the time.
    fn is_ping(&self) -> bool {
        let route = self.route();
        (route == "/" || route.starts_with("/health")) && self.status.is_some_and(|status| status.is_success())
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let facts = std::mem::take(&mut *self.log.facts());
        let failed = self.status.is_some_and(|status| status.is_server_error());
        let outcome = match (&facts, self.status) {
            (_, None) => "cancelled",
            (Facts { refusal: Some(_), .. }, _) => "refused",
            (Facts { outcome: Some(outcome), .. }, _) => outcome,
            (_, Some(status)) if status.is_client_error() => "refused",
            _ if failed => "failed",
            _ => "ok",
        };
        let error = facts.refusal.as_ref().map(|(class, _)| *class).or(failed.then_some("failed"));
        if let Some((class, _)) = &facts.refusal {
            self.process.metrics.refused(class);
        }
        self.process.metrics.request_ended(AnsweredRequest {
            method: self.method,
            route: self.route(),
            status: self.status.map(|status| status.as_u16()),
            error,
            duration: took,
        });
        if let Some(status) = self.status {
            self.span.record("http.response.status_code", status.as_u16());
        }
        if let Some(error) = error {
            self.span.record("error.type", error);
        }
        let _in_span = self.span.enter();
        if self.is_ping() || (facts.caller.is_none() && !self.process.lines.allow(failed)) {
            line!(debug, self, facts, outcome, took);
        } else if failed {
            line!(warn, self, facts, outcome, took);
        } else {
            line!(info, self, facts, outcome, took);
        }
    }
}

/// The method, where HTTP defines it; anything else may be anything.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "_OTHER",
    }
}

fn invocation_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(INVOCATION_ID)?.to_str().ok()?;
    is_guid(id).then(|| id.to_ascii_lowercase())
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
