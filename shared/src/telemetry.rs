//! Logs: one line an event on stdout, JSON in production, readable with `DEBUG=true`. Traces and metrics by OTLP where
//! `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
//!
//! stdout, because the Functions host shows every line on stderr as an error. Never logged, at any level: tokens,
//! assertions, secrets, claims, people's names or addresses, bodies.

mod json_lines;
pub mod metrics;
mod otlp;
pub mod request;
pub mod trace_context;

use std::io;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tracing::{Metadata, error};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{Layer, Registry};

use crate::config::Config;
use json_lines::JsonLines;
use metrics::Metrics;
use otlp::Exporting;
pub use otlp::OtlpError;

/// Crates that write what requests and answers say, held down whatever is asked for: rmcp logs tool arguments and results from `debug`
/// on and values of refused requests from `warn` on, and HTTP/2 its header frames.
const HELD_DOWN: &[(&str, LevelFilter)] = &[("rmcp", LevelFilter::ERROR), ("h2", LevelFilter::INFO)];

/// What is logged: `wanted` in the syntax of `RUST_LOG` (default `info`, with `DEBUG=true` `debug`).
fn filter(wanted: Option<&str>, debug: bool) -> EnvFilter {
    let default = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    EnvFilter::builder().with_default_directive(default.into()).parse_lossy(wanted.unwrap_or_default())
}

/// Whether this may be logged at all. Apart from [`filter`], in which a more exact directive would win.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let source = crate_of(metadata.target());
    HELD_DOWN.iter().all(|(held_down, most)| source != *held_down || metadata.level() <= most)
}

/// The layer that writes log lines to `writer`.
pub fn layer<W>(writer: W, wanted: Option<&str>, debug: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let wanted = filter(wanted, debug);
    if debug {
        let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
        layer.with_filter(wanted.and(filter_fn(may_be_logged))).boxed()
    } else {
        // Spans are for the exporter. Here they would cost each request more than its lines do, and say nothing that those do not.
        let kept = filter_fn(|metadata| metadata.is_event() && may_be_logged(metadata));
        JsonLines::new(writer).with_filter(wanted.and(kept)).boxed()
    }
}

/// What was started for the process, to be finished at its end.
#[derive(Debug)]
pub struct Telemetry {
    exporting: Option<Exporting>,
    panics: Panics,
}

impl Telemetry {
    /// Starts logging to stdout for the rest of the process's life, and exporting where it is asked for. Only the first call
    /// counts.
    ///
    /// # Errors
    ///
    /// [`OtlpError`] where exporting cannot start.
    pub fn start(config: &Config, wanted: Option<&str>, runtime: &Handle) -> Result<Self, OtlpError> {
        use tracing_subscriber::layer::SubscriberExt as _;
        use tracing_subscriber::util::SubscriberInitExt as _;

        let endpoint = config.otlp_endpoint.as_deref();
        let exporting = endpoint.map(|endpoint| Exporting::start(config, endpoint, runtime)).transpose()?;
        let lines = tracing_subscriber::registry().with(layer(io::stdout, wanted, config.debug));
        // A second call (tests build many processes) keeps the first subscriber.
        match &exporting {
            Some(exporting) => {
                let layer = tracing_opentelemetry::layer().with_tracer(exporting.tracer());
                let layer =
                    layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
                // Spans of ours only: log lines go to the log, and other crates' spans may hold anything.
                let spans = layer.with_filter(filter_fn(|metadata| metadata.is_span() && is_ours(metadata.target())));
                drop(lines.with(spans).try_init());
                opentelemetry::global::set_meter_provider(exporting.metrics.clone());
            }
            // No layer instead of one that does nothing: that would have every span made for it.
            None => drop(lines.try_init()),
        }
        let panics = Panics::default();
        panics.count_all();
        Ok(Self { exporting, panics })
    }

    /// Measures what is counted outside of the server's own parts.
    pub fn measure(&self, metrics: &Metrics) {
        let panics = self.panics.clone();
        metrics.observed_counter("panics", move || panics.count());
    }

    /// Exports what is left, within a few seconds. Blocks; the runtime must still be there.
    pub fn finish(&self) {
        if let Some(exporting) = &self.exporting {
            exporting.finish();
        }
    }
}

/// Whether spans of this target are ours to export.
fn is_ours(target: &str) -> bool {
    matches!(crate_of(target), "shared" | "mcp")
}

/// The crate that a target names, as targets are unless somebody wrote another one.
fn crate_of(target: &str) -> &str {
    target.split_once("::").map_or(target, |(name, _)| name)
}

/// How many panics there were, contained ones too.
#[derive(Clone, Debug, Default)]
pub struct Panics(Arc<AtomicU64>);

impl Panics {
    /// From now on each panic of the process counts, and is told as a log line: where, never what it said, which may be
    /// anything.
    pub fn count_all(&self) {
        let count = Arc::clone(&self.0);
        panic::set_hook(Box::new(move |panicked| {
            count.fetch_add(1, Ordering::Relaxed);
            let place = panicked.location().map(ToString::to_string);
            error!(code.location = place, "panicked");
        }));
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contained_panic_counts() {
        let before = panic::take_hook();
        let panics = Panics::default();
        panics.count_all();
        assert!(panic::catch_unwind(|| panic!("on purpose")).is_err());
        panic::set_hook(before);
        // Other tests may panic on purpose at the same time.
        assert!(panics.count() >= 1);
    }
}
