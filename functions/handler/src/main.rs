//! `handler` serves; `handler doctor` and `handler explain` help to set it up.
//!
//! Exit codes of serving: see [`shared::host`]. `doctor`: 0 nothing is wrong, 1 something is. `explain`: 1 not a known code.
//! All: 2 wrong arguments.

use std::process::ExitCode;

use handler::cli::{self, Command};
use handler::{app, doctor, explain};
use shared::host;

/// `EX_USAGE` would be 64; 2 is what command-line tools commonly use.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve) => host::run(app),
        Ok(Command::Help) => say(cli::HELP),
        Ok(Command::Version) => say(concat!("handler ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Doctor(options)) => examine(&options),
        Ok(Command::Explain(text)) => match explain::find(&text) {
            Ok(explanation) => say(&explanation.to_string()),
            Err(unknown) => {
                eprintln!("handler: {unknown}");
                ExitCode::FAILURE
            }
        },
        Err(cause) => misused(&cause.to_string()),
    }
}

/// Text for people or for a pipe, whose reader may have gone.
fn say(text: &str) -> ExitCode {
    use std::io::Write as _;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn misused(cause: &str) -> ExitCode {
    eprintln!("handler: {cause}");
    ExitCode::from(EXIT_USAGE)
}

fn examine(options: &cli::DoctorOptions) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return host::failed(&format!("cannot start the runtime: {cause}")),
    };
    match runtime.block_on(doctor::run(options, host::environment)) {
        Ok((report, true)) => say(&report),
        Ok((report, false)) => {
            say(&report);
            ExitCode::FAILURE
        }
        Err(cause) => misused(&cause.to_string()),
    }
}
