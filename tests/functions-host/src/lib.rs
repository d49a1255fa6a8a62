//! The Azure Functions host in front of a custom handler, as far as a handler can tell: host.json, routes, environment,
//! readiness, proxying. For tests and for `cargo demo`; it listens on 127.0.0.1 only.
//!
//! Built from the host's published source and documentation; where the real host fails, this one fails with the same
//! cause in its message.
//!
//! | Job | File |
//! |---|---|
//! | host.json and its overrides | `host_json.rs` |
//! | route templates, order, matching | `routes.rs` |
//! | the handler's process: environment, readiness, exit codes, log lines | `process.rs` |
//! | requests through the host: header rules, streaming | `proxy.rs` |
#![expect(
    clippy::disallowed_methods,
    reason = "a host of its own: it reads its environment and the clock, and shares no code with the server"
)]
#![expect(clippy::indexing_slicing, reason = "reading a JSON value by name gives null where it is absent")]

mod error;
mod host_json;
mod process;
mod proxy;
mod routes;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use error::HostError;
use host_json::HostJson;
use process::HandlerProcess;
pub use process::{HostState, Level, LogLine, Stream};

/// Which host is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// `func start` on a developer's machine.
    #[default]
    CoreTools,
    /// A Flex Consumption instance.
    Flex,
}

/// What a host is started with.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// The folder with host.json.
    pub script_root: PathBuf,
    /// Which host is played.
    pub profile: Profile,
    /// App settings: `Values` of local.settings.json, or an app's configuration in Azure.
    pub settings: Vec<(String, String)>,
    /// Whether the handler starts with no more of this process's environment than `PATH` and `HOME`.
    pub clear_env: bool,
}

/// A port that is already the host's, before the handler is started: its settings need the URL.
#[derive(Debug)]
pub struct Reservation {
    listener: TcpListener,
    port: u16,
}

impl Reservation {
    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A running host. Its handler is killed when the host is dropped.
#[derive(Debug)]
pub struct FunctionsHost {
    port: u16,
    handler: Arc<HandlerProcess>,
    server: tokio::task::JoinHandle<()>,
}

impl FunctionsHost {
    /// Takes a port on 127.0.0.1; 0: any free one.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub async fn reserve(port: u16) -> io::Result<Reservation> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        Ok(Reservation { listener, port })
    }

    /// Starts on a free port.
    ///
    /// # Errors
    ///
    /// [`HostError`]: whatever keeps the real host from starting.
    pub async fn start(options: HostOptions) -> Result<Self, HostError> {
        let reservation = Self::reserve(0).await.map_err(HostError::Listen)?;
        Self::start_on(reservation, options).await
    }

    /// Reads host.json, starts the handler, waits until it answers, and serves.
    ///
    /// # Errors
    ///
    /// [`HostError`]: whatever keeps the real host from starting.
    pub async fn start_on(reservation: Reservation, options: HostOptions) -> Result<Self, HostError> {
        let Reservation { listener, port } = reservation;
        let host_json = HostJson::load(&options)?;
        let routes = routes::build(&host_json, options.profile)?;
        let handler = Arc::new(HandlerProcess::start(&host_json, &options, port).await?);
        let server = tokio::spawn(proxy::serve(listener, Arc::new(routes), Arc::clone(&handler)));
        Ok(Self { port, handler, server })
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port the handler was told to listen on.
    #[must_use]
    pub fn handler_port(&self) -> u16 {
        self.handler.port()
    }

    /// The handler's process, while it runs.
    #[must_use]
    pub fn handler_pid(&self) -> Option<u32> {
        self.handler.pid()
    }

    /// What the handler wrote, as the host would log it.
    #[must_use]
    pub fn log_lines(&self) -> Vec<LogLine> {
        self.handler.log_lines()
    }

    /// How often the handler was started again after it ended.
    #[must_use]
    pub fn restarts(&self) -> usize {
        self.handler.restarts()
    }

    /// How the host stands.
    #[must_use]
    pub fn state(&self) -> HostState {
        self.handler.state()
    }

    /// Stops as the real host does: SIGKILL, no grace.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for FunctionsHost {
    fn drop(&mut self) {
        self.server.abort();
        self.handler.kill();
    }
}
