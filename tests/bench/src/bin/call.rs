//! So many verified calls in one process and on one thread, without a socket: what callgrind counts.
//!
//! `call <tool> <count>`: log lines go to stdout as they do in service.
#![expect(clippy::expect_used, reason = "a measuring tool")]

use axum::Router;
use bench::connection::in_process;
use bench::servers::ours;
use emulator::{Emulator, User};
use mimalloc::MiMalloc;
use tokio::runtime::Runtime;

/// The handler's own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (tool, count) = (arguments.next().expect("a tool"), arguments.next().expect("a count"));
    let count: u32 = count.parse().expect("a count");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let emulator = runtime.block_on(Emulator::start());
    let (_, app) = runtime.block_on(ours::start(&emulator, None));
    let token = emulator.token(User::Alice).build();
    // The first calls fill caches.
    runtime.block_on(calls(&app, &token, &tool, 10));
    counted(&runtime, &app, &token, &tool, count);
}

/// What callgrind counts, by this name.
#[inline(never)]
fn counted(runtime: &Runtime, app: &Router, token: &str, tool: &str, count: u32) {
    runtime.block_on(calls(app, token, tool, count));
}

async fn calls(app: &Router, token: &str, tool: &str, count: u32) {
    for _ in 0..count {
        let answer = in_process(app, token, bench::connection::body(tool)).await;
        assert!(answer.starts_with(br#"{"jsonrpc":"2.0","id":1,"result":{"#), "{answer:?}");
    }
}
