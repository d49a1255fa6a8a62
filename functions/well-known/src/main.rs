//! The RFC 9728 metadata alone, for a Function App of its own behind a gateway. The same contract as the whole: see [`shared::host`].

use std::process::ExitCode;

use shared::host;

fn main() -> ExitCode {
    host::run(|process| host::complete(process, well_known::router(process)))
}
