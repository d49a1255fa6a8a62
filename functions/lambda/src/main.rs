//! `bootstrap`, the name AWS Lambda's custom runtimes start.

use std::process::ExitCode;

use shared::host;
use shared::process::Process;

fn main() -> ExitCode {
    let (config, runtime) = match host::prepare() {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    match Process::new(config) {
        Ok(process) => lambda::run(process.install(), &runtime, handler::app),
        Err(cause) => host::failed(&cause.to_string()),
    }
}
