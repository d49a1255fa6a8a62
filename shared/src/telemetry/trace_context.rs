//! W3C Trace Context: taken from a request's headers or from MCP's `_meta`, handed on to Graph. Baggage is left alone: it
//! may hold anything, and Graph is somebody else's.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// What a caller's `_meta` says of its trace (MCP 2026-07-28, Base Protocol, `_meta`).
struct InMeta<'a> {
    traceparent: Option<&'a str>,
    tracestate: Option<&'a str>,
}

impl Extractor for InMeta<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent,
            "tracestate" => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// Makes `span` part of the trace that the headers name, if they name one.
pub(crate) fn adopt(span: &Span, headers: &HeaderMap) {
    if !span.is_disabled() && headers.contains_key("traceparent") {
        take_as_parent(span, &HeaderExtractor(headers));
    }
}

/// Makes `span` part of the trace that `_meta` names, if it names one, with a link to the HTTP request that carried it:
/// proxies on the way may belong to another trace (MCP conventions, "Context propagation").
pub fn adopt_meta(span: &Span, traceparent: Option<&str>, tracestate: Option<&str>) {
    if traceparent.is_none() {
        return;
    }
    let carrier = Span::current().context().span().span_context().clone();
    if take_as_parent(span, &InMeta { traceparent, tracestate }) && carrier.is_valid() {
        span.add_link(carrier);
    }
}

/// Adds the current trace to a request's headers, where there is one.
pub(crate) fn hand_on(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut HeaderInjector(headers));
}

/// Whether what is found there is a trace, and the span's parent now.
fn take_as_parent(span: &Span, found: &dyn Extractor) -> bool {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), found);
    // Fails where nothing is exported: then there is no trace to be part of.
    context.span().span_context().is_valid() && span.set_parent(context).is_ok()
}
