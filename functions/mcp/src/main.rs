//! `POST /mcp` alone, for a Function App of its own behind a gateway. The same contract as the whole: see [`shared::host`].

use std::process::ExitCode;

use mimalloc::MiMalloc;
use shared::host;

/// A call takes and frees some ninety small pieces: see ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    host::run(|process| host::complete(process, mcp::router(process)))
}
