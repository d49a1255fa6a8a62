//! The Azure Functions host in front of a custom handler, as far as a handler can tell: host.json, routes, environment,
//! readiness, proxying. For tests and for `cargo demo`; it listens on 127.0.0.1 only.
//!
//! Built from the host's published source and documentation; where the real host fails, this one fails with the same
//! cause in its message.
//!
//! | Job | File |
//! |---|---|
//! | host.json, its profile, its overrides; what is read from it | `configuration.rs`, `host_json.rs` |
//! | which file is run, with which environment | `executable.rs`, `environment.rs` |
//! | route templates, order, matching; what becomes of a path | `routes.rs`, `path.rs` |
//! | a deployment package, mounted as Flex Consumption does | `package.rs` |
//! | the handler's process: one start; its lives, exit codes, its end; its lines | `launch.rs`, `process.rs`, `log.rs` |
//! | requests through the host: decisions, header rules, streaming, retries | `proxy.rs`, `cors.rs`, `headers.rs`, `body.rs`, `connector.rs` |
#![expect(
    clippy::disallowed_methods,
    reason = "a host of its own: it reads its environment and the clock, and shares no code with the server"
)]
#![expect(clippy::indexing_slicing, reason = "reading a JSON value by name gives null where it is absent")]

mod body;
mod configuration;
mod connector;
mod cors;
mod environment;
mod error;
mod executable;
mod headers;
mod host_json;
mod launch;
mod log;
mod package;
mod path;
mod process;
mod proxy;
mod routes;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;

use environment::Environment;
pub use error::HostError;
use host_json::HostJson;
use launch::Launch;
pub use log::{Level, LogLine, Stream};
pub use package::Package;
use process::HandlerProcess;
pub use process::HostState;
use proxy::{Limits, Proxy};

/// How long nothing may move in an exchange before the host cuts it off (`ActivityTimeout` of its proxy).
const IDLE_TIMEOUT: Duration = Duration::from_mins(4);

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
    /// App settings: `Values` of local.settings.json, or an app's configuration in Azure. `AzureFunctionsJobHost__a__b`
    /// overrides host.json. Core Tools let this process's own variables win, where `clear_env` leaves any.
    pub settings: Vec<(String, String)>,
    /// Whether the handler starts with no more of this process's environment than `PATH` and `HOME`.
    pub clear_env: bool,
}

/// A port that is already the host's, before the handler is started: its settings need the URL.
#[derive(Debug)]
pub struct Reservation {
    listener: TcpListener,
    port: u16,
    idle_timeout: Duration,
}

impl Reservation {
    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same with another idle timeout than the host's 240 s, for tests that cannot wait for that.
    #[must_use]
    pub fn idle_timeout(self, idle_timeout: Duration) -> Self {
        Self { idle_timeout, ..self }
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
        Ok(Reservation { listener, port, idle_timeout: IDLE_TIMEOUT })
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
        let Reservation { listener, port, idle_timeout } = reservation;
        let environment = Environment::of_host(&options, port);
        let host_json = HostJson::load(&options.script_root, &environment)?;
        let routes = routes::build(&host_json, options.profile)?;
        let limits = Limits { idle: idle_timeout, function: host_json.function_timeout };
        let launch = Launch::new(host_json, &options, &environment)?;
        // Requests that come now wait: the port is bound, but nothing is accepted before the handler is ready.
        let handler = Arc::new(HandlerProcess::start(launch).await?);
        let proxy = Proxy::new(routes, Arc::clone(&handler), options.profile, limits, &environment)?;
        let server = tokio::spawn(proxy.serve(listener));
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

    /// The handler's process, while it runs and has answered.
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

/// A lock whose holder panicked still guards what it held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
