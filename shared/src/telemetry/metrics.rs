//! What is counted and measured. Names of OpenTelemetry's conventions where there is one (HTTP, MCP), else ours.
//!
//! | Instrument | Unit | Attributes | What |
//! |---|---|---|---|
//! | `http.server.request.duration` | s | `http.request.method`, `http.route`, `http.response.status_code`, `error.type` | every request |
//! | `http.server.active_requests` | | `http.route` | requests under way |
//! | `mcp.server.operation.duration` | s | `mcp.method.name`, `gen_ai.tool.name`, `error.type` | every tool call |
//! | `http.client.request.duration` | s | `peer.service`, `http.response.status_code`, `error.type` | every try at Graph |
//! | `auth.refusals` | | `error.type` | refused requests, by class |
//! | `jwks.fetches` | | `outcome` | fetches of the signing keys |
//! | `jwks.keys`, `jwks.age` | , s | | keys that verify; since the last good fetch |
//! | `obo.exchanges` | | `outcome` | requests for a token on behalf of a user, by result |
//! | `obo.cache.lookups` | | `outcome` | `hit`, `aging` (a hit that is renewed), `miss` |
//! | `obo.cache.entries`, `obo.cache.size` | , By | | downstream tokens that are kept |
//! | `obo.breaker.open` | | | 1 while nobody asks the token endpoint |
//! | `panics` | | | panics, contained ones too |
//! | `background.restarts` | | `task` | background work that broke off or stood still |
//!
//! While nothing is exported, each is a call that does nothing; those of every request do not even make their attributes.

use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};
use opentelemetry::{KeyValue, global};

use crate::config::Config;

/// Boundaries of HTTP durations, in seconds (HTTP metrics conventions).
const HTTP_BOUNDARIES: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Boundaries of MCP durations, in seconds (MCP metrics conventions).
const MCP_BOUNDARIES: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// The instruments of a process.
#[derive(Debug)]
pub struct Metrics {
    /// Whether anybody collects.
    exported: bool,
    meter: Meter,
    requests: Histogram<f64>,
    active_requests: UpDownCounter<i64>,
    operations: Histogram<f64>,
    downstream_requests: Histogram<f64>,
    refusals: Counter<u64>,
    key_fetches: Counter<u64>,
    exchanges: Counter<u64>,
    lookups: Counter<u64>,
    restarts: Counter<u64>,
}

/// A request that was answered, or whose client went away before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnsweredRequest<'a> {
    pub(crate) method: &'static str,
    pub(crate) route: &'a str,
    /// `None`: nobody was there to take the answer.
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<&'static str>,
    pub(crate) duration: Duration,
}

#[cfg(test)]
impl Default for Metrics {
    /// Instruments that nobody collects, for unit tests of what counts.
    fn default() -> Self {
        Self::instruments(false)
    }
}

impl Metrics {
    /// Instruments of the process's meter provider: the one that exports, where these settings name a collector.
    pub(crate) fn new(config: &Config) -> Self {
        Self::instruments(config.otlp_endpoint.is_some())
    }

    fn instruments(exported: bool) -> Self {
        let meter = global::meter(env!("CARGO_PKG_NAME"));
        let seconds = |name: &'static str, boundaries: &[f64]| {
            meter.f64_histogram(name).with_unit("s").with_boundaries(boundaries.to_vec()).build()
        };
        let count = |name: &'static str| meter.u64_counter(name).build();
        Self {
            requests: seconds("http.server.request.duration", HTTP_BOUNDARIES),
            active_requests: meter.i64_up_down_counter("http.server.active_requests").build(),
            operations: seconds("mcp.server.operation.duration", MCP_BOUNDARIES),
            downstream_requests: seconds("http.client.request.duration", HTTP_BOUNDARIES),
            refusals: count("auth.refusals"),
            key_fetches: count("jwks.fetches"),
            exchanges: count("obo.exchanges"),
            lookups: count("obo.cache.lookups"),
            restarts: count("background.restarts"),
            exported,
            meter,
        }
    }

    /// A value that is looked up whenever measurements are collected.
    pub(crate) fn gauge(
        &self,
        name: &'static str,
        unit: &'static str,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        let gauge = self.meter.u64_observable_gauge(name).with_unit(unit).with_callback(move |observer| {
            if let Some(value) = read() {
                observer.observe(value, &[]);
            }
        });
        let _registered = gauge.build();
    }

    /// A count that is kept elsewhere.
    pub(crate) fn observed_counter(&self, name: &'static str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        let counter = self.meter.u64_observable_counter(name);
        let _registered = counter.with_callback(move |observer| observer.observe(read(), &[])).build();
    }

    pub(crate) fn request_began(&self, route: &str) {
        if !self.exported {
            return;
        }
        self.active_requests.add(1, &[KeyValue::new("http.route", route.to_owned())]);
    }

    pub(crate) fn request_ended(&self, answered: AnsweredRequest<'_>) {
        if !self.exported {
            return;
        }
        let route = || KeyValue::new("http.route", answered.route.to_owned());
        self.active_requests.add(-1, &[route()]);
        let mut attributes = vec![KeyValue::new("http.request.method", answered.method), route()];
        attributes.extend(answered.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
        attributes.extend(answered.error.map(|error| KeyValue::new("error.type", error)));
        self.requests.record(answered.duration.as_secs_f64(), &attributes);
    }

    /// A tool call; `error` where it did not succeed.
    pub fn tool_call(&self, tool: &'static str, error: Option<&'static str>, duration: Duration) {
        if !self.exported {
            return;
        }
        let mut attributes = vec![
            KeyValue::new("mcp.method.name", "tools/call"),
            KeyValue::new("gen_ai.tool.name", tool),
            KeyValue::new("gen_ai.operation.name", "execute_tool"),
        ];
        attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
        self.operations.record(duration.as_secs_f64(), &attributes);
    }

    /// One try at a downstream service: the status it answered with, or why there was no answer.
    pub(crate) fn downstream_request(
        &self,
        service: &'static str,
        status: Result<u16, &'static str>,
        duration: Duration,
    ) {
        let outcome = match status {
            Ok(status) => KeyValue::new("http.response.status_code", i64::from(status)),
            Err(error) => KeyValue::new("error.type", error),
        };
        self.downstream_requests.record(duration.as_secs_f64(), &[KeyValue::new("peer.service", service), outcome]);
    }

    pub(crate) fn refused(&self, class: &'static str) {
        self.refusals.add(1, &[KeyValue::new("error.type", class)]);
    }

    pub(crate) fn keys_fetched(&self, outcome: &'static str) {
        self.key_fetches.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn exchanged(&self, outcome: &'static str) {
        self.exchanges.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn looked_up(&self, outcome: &'static str) {
        self.lookups.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn restarted(&self, task: &'static str) {
        self.restarts.add(1, &[KeyValue::new("task", task)]);
    }
}
