//! `handler` serves; `handler doctor`, `handler explain` and `handler health` help to set it up and to watch it.
//!
//! Exit codes of serving: see [`shared::host`]. `doctor`: 1 where something is wrong. `explain`: 1 where the code is not known.
//! `health`: 1 where nothing lives. All: 2 for wrong arguments.

use std::process::ExitCode;

use handler::cli::{self, Command};
use handler::{app, doctor, explain, health_check};
use mimalloc::MiMalloc;
use shared::host;

/// A call takes and frees some ninety small pieces: see ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `EX_USAGE` would be 64; 2 is what command-line tools commonly use.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve) => host::run(app),
        Ok(Command::Help) => say(cli::HELP),
        Ok(Command::Version) => say(concat!("handler ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Doctor(options)) => examine(&options),
        Ok(Command::Health) => match health_check::ask(host::environment("PORT").as_deref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(cause) => failed(&cause.to_string()),
        },
        Ok(Command::Explain(text)) => match explain::find(&text) {
            Ok(explanation) => say(&explanation.to_string()),
            Err(unknown) => failed(&unknown.to_string()),
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

fn failed(cause: &str) -> ExitCode {
    eprintln!("handler: {cause}");
    ExitCode::FAILURE
}

fn misused(cause: &str) -> ExitCode {
    eprintln!("handler: {cause}");
    ExitCode::from(EXIT_USAGE)
}

fn examine(options: &cli::DoctorOptions) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return failed(&format!("cannot start the runtime: {cause}")),
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
