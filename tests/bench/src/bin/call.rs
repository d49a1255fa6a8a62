//! So many verified calls in one process and on one thread, without a socket: what callgrind counts. Log lines go to stdout as
//! they do in service.
#![expect(clippy::expect_used, clippy::panic, reason = "a measuring tool")]

use axum::Router;
use bench::connection::in_process;
use bench::servers::ours;
use emulator::{Emulator, User};
use mimalloc::MiMalloc;
use tokio::runtime::Runtime;

const USAGE: &str = "call <tool> seen|new <count>";

/// The handler's own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tool, tokens, count] = &arguments[..] else { panic!("{USAGE}") };
    let count: u32 = count.parse().expect("a count");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let emulator = runtime.block_on(Emulator::start());
    let (_, app) = runtime.block_on(ours::start(&emulator));
    let token = |number| emulator.token(User::Alice).claim("uti", format!("call-{number}")).build();
    let tokens: Vec<String> = match &**tokens {
        "seen" => vec![token(0); count as usize],
        "new" => (1..=count).map(token).collect(),
        _ => panic!("{USAGE}"),
    };
    // The first calls fill caches.
    runtime.block_on(calls(&app, &vec![token(0); 10], tool));
    counted(&runtime, &app, &tokens, tool);
}

/// What callgrind counts, by this name.
#[inline(never)]
fn counted(runtime: &Runtime, app: &Router, tokens: &[String], tool: &str) {
    runtime.block_on(calls(app, tokens, tool));
}

async fn calls(app: &Router, tokens: &[String], tool: &str) {
    for token in tokens {
        let answer = in_process(app, token, bench::connection::body(tool)).await;
        assert!(answer.starts_with(br#"{"jsonrpc":"2.0","id":1,"result":{"#), "{answer:?}");
    }
}
