//! `bootstrap`, the name AWS Lambda's custom runtimes start.

use std::process::ExitCode;

use shared::host;
use shared::process::Process;

fn main() -> ExitCode {
    let (config, runtime) = match host::prepare() {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let process = match Process::new(config) {
        Ok(process) => process.install(),
        Err(cause) => return host::failed(&cause.to_string()),
    };
    let served = runtime.block_on(async {
        // In the background: Lambda freezes the process between events, and a stale key set catches up by itself.
        process.start();
        lambda::serve(handler::app(process)).await
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => host::failed(&cause.to_string()),
    }
}
