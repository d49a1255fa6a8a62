//! What every executable does round its routes: read settings, listen, serve, drain. `main` of each is one call.
//!
//! Exit codes of serving: 0 after SIGTERM or Ctrl-C only (the Functions host does not restart after 0), 1 cannot listen or
//! start, 78 settings not usable (`EX_CONFIG` of sysexits.h).

mod paced;
pub mod serve;

use std::convert::Infallible;
use std::process::ExitCode;

use axum::Router;
use axum::extract::Request;
use axum::routing::{Route, get};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::layer::layer_fn;
use tower::service_fn;
use tracing::{error, info};

use crate::config::Config;
use crate::process::Process;
use crate::telemetry::Telemetry;
use crate::telemetry::request::observe;

/// `EX_CONFIG`.
const EXIT_CONFIG: u8 = 78;

/// These routes, `GET /`, and round all of them a guard and the one line a request leaves in the log.
///
/// The Functions host asks `GET /` every 25 ms until anything answers, and later as a ping. A panic outside of a tool fails
/// its request; the process lives on.
pub fn complete(process: &'static Process, routes: Router) -> Router {
    // One plain layer: each `Router::layer` boxes a route and its future once more for each request, and axum's `from_fn` again.
    let observed = layer_fn(move |route: Route| {
        service_fn(move |request: Request| {
            let route = route.clone();
            async move { Ok::<_, Infallible>(observe(process, request, route).await) }
        })
    });
    routes.route("/", get(async || StatusCode::NO_CONTENT)).layer(observed)
}

/// Serves what `app` makes until told to stop. The whole `main` of an executable.
pub fn run(app: impl FnOnce(&'static Process) -> Router) -> ExitCode {
    let Prepared { config, runtime, telemetry } = match prepare() {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let served = runtime.block_on(listen_and_serve(config, &telemetry, app));
    telemetry.finish();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => failed(&cause),
    }
}

/// What an executable starts with.
#[derive(Debug)]
pub struct Prepared {
    /// The checked settings.
    pub config: Config,
    /// The runtime.
    pub runtime: Runtime,
    /// Logs, and what is exported; to be finished before the runtime goes.
    pub telemetry: Telemetry,
}

/// Settings, logs and a runtime; or the exit code, with the reason told.
///
/// # Errors
///
/// [`ExitCode`] 78 where settings are not usable, 1 where the runtime cannot start.
pub fn prepare() -> Result<Prepared, ExitCode> {
    let config = Config::from_lookup(environment).map_err(|faults| {
        eprintln!("handler: {faults}");
        ExitCode::from(EXIT_CONFIG)
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| failed(&format!("cannot start the runtime: {cause}")))?;
    let telemetry = Telemetry::start(&config, environment("RUST_LOG").as_deref(), runtime.handle());
    match telemetry {
        Ok(telemetry) => Ok(Prepared { config, runtime, telemetry }),
        Err(cause) => {
            eprintln!("handler: telemetry cannot start: {cause}");
            Err(ExitCode::from(EXIT_CONFIG))
        }
    }
}

/// Listens before anything else: the host asks at once, and nothing here waits for the network.
async fn listen_and_serve(
    config: Config,
    telemetry: &Telemetry,
    app: impl FnOnce(&'static Process) -> Router,
) -> Result<(), String> {
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|cause| format!("cannot listen on {}: {cause}", config.listen))?;
    info!(server.address = %config.listen, mcp.url = config.mcp_url.as_str(), "listening");
    let process = Process::new(config).map_err(|cause| cause.to_string())?.install();
    process.start();
    telemetry.measure(&process.metrics);
    serve::until_stopped(listener, app(process), process.config.limits, serve::stop_signal()).await;
    Ok(())
}

/// An environment variable. Bytes that are no text stay visible to the checks as replacement characters.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
pub fn environment(variable: &str) -> Option<String> {
    std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned())
}

/// Says why the process ends.
pub fn failed(cause: &str) -> ExitCode {
    error!("{cause}");
    eprintln!("handler: {cause}");
    ExitCode::FAILURE
}
