//! `POST /mcp` alone, for a Function App of its own behind a gateway. The same contract as the whole: see [`shared::host`].

use std::process::ExitCode;

use mimalloc::MiMalloc;
use shared::host;

/// Frees and takes small pieces faster than glibc's, and gives memory back to nobody's surprise.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    host::run(|process| host::complete(process, mcp::router(process)))
}
