//! Logs: one line an event on stdout, JSON in production, readable with `DEBUG=true`.
//!
//! stdout, because the Functions host shows every line on stderr as an error. Never logged, at any level: tokens,
//! assertions, secrets, claims, people's names or addresses, bodies.

use std::io;

use tracing_subscriber::filter::{Directive, EnvFilter, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{Layer, Registry};

/// Crates that write request or response contents at their chattier levels, held down whatever is asked for: rmcp logs
/// tool arguments and results from `debug` on, and HTTP/2 its header frames.
/// Of rmcp's service even warnings, which repeat what this server logs about a refusal.
const HELD_DOWN: &[(&str, LevelFilter)] =
    &[("rmcp", LevelFilter::WARN), ("rmcp::service", LevelFilter::ERROR), ("h2", LevelFilter::INFO)];

/// What is logged: `wanted` in the syntax of `RUST_LOG` (default `info`, with `DEBUG=true` `debug`), less what must
/// never be.
#[must_use]
pub fn filter(wanted: Option<&str>, debug: bool) -> EnvFilter {
    let default = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let filter = EnvFilter::builder().with_default_directive(default.into()).parse_lossy(wanted.unwrap_or_default());
    HELD_DOWN.iter().fold(filter, |filter, (target, level)| {
        format!("{target}={level}")
            .parse::<Directive>()
            .map_or_else(|_| EnvFilter::new("off"), |limit| filter.add_directive(limit))
    })
}

/// The layer that writes log lines to `writer`.
pub fn layer<W>(writer: W, wanted: Option<&str>, debug: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    if debug {
        layer.with_ansi(false).with_filter(filter(wanted, debug)).boxed()
    } else {
        layer.json().flatten_event(true).with_current_span(false).with_filter(filter(wanted, debug)).boxed()
    }
}

/// Starts logging to stdout for the rest of the process's life. Only the first call counts.
pub fn install(wanted: Option<&str>, debug: bool) {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

    // A second call (tests build many processes) keeps the first subscriber.
    drop(tracing_subscriber::registry().with(layer(io::stdout, wanted, debug)).try_init());
}
