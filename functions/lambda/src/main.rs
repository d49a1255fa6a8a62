//! `bootstrap`, the name AWS Lambda's custom runtimes start.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use shared::host::{self, Prepared};
use shared::process::Process;

/// A call takes and frees some ninety small pieces: see ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let Prepared { config, runtime, telemetry } = match host::prepare() {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    match Process::new(config) {
        Ok(process) => {
            let process = process.install();
            telemetry.measure(&process.metrics);
            let code = lambda::run(process, &runtime, handler::app);
            telemetry.finish();
            code
        }
        Err(cause) => host::failed(&cause.to_string()),
    }
}
