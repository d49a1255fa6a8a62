//! `handler`: reads settings, listens, serves, drains.
//!
//! Exit codes: 0 after SIGTERM or Ctrl-C only (the Functions host does not restart after 0), 1 cannot listen or start,
//! 2 wrong arguments, 78 settings not usable (`EX_CONFIG` of sysexits.h).

use std::process::ExitCode;

use handler::{app, serve};
use shared::config::{Config, ConfigError};
use shared::process::Process;
use shared::telemetry;
use tokio::net::TcpListener;
use tracing::{error, info};

/// `EX_CONFIG`.
const EXIT_CONFIG: u8 = 78;

/// `EX_USAGE` would be 64; 2 is what command-line tools commonly use.
const EXIT_USAGE: u8 = 2;

const HELP: &str = "\
handler: an MCP server protected by Microsoft Entra ID

Usage: handler [--help | --version]

Without arguments it serves. Settings are environment variables; see the README.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => start(),
        ["--help" | "-h"] => say(HELP),
        ["--version" | "-V"] => say(concat!("handler ", env!("CARGO_PKG_VERSION"), "\n")),
        _ => {
            eprintln!("handler: unknown arguments; see handler --help");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn say(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

fn start() -> ExitCode {
    let config = match read_settings() {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("handler: {faults}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    telemetry::install(environment("RUST_LOG").as_deref(), config.debug);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return failed(&format!("cannot start the runtime: {cause}")),
    };
    match runtime.block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => failed(&cause),
    }
}

/// Listens before anything else: the host asks at once, and nothing here waits for the network.
async fn run(config: Config) -> Result<(), String> {
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|cause| format!("cannot listen on {}: {cause}", config.listen))?;
    info!(server.address = %config.listen, mcp.url = config.mcp_url.as_str(), "listening");
    let process = Process::new(config).map_err(|cause| cause.to_string())?.install();
    process.start();
    serve::until_stopped(listener, app(process), serve::stop_signal()).await;
    Ok(())
}

fn read_settings() -> Result<Config, ConfigError> {
    Config::from_lookup(environment)
}

#[expect(clippy::disallowed_methods, reason = "main is where the environment is read")]
fn environment(variable: &str) -> Option<String> {
    // Bytes that are no text stay visible to the checks as replacement characters.
    std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned())
}

fn failed(cause: &str) -> ExitCode {
    error!("{cause}");
    eprintln!("handler: {cause}");
    ExitCode::FAILURE
}
