//! Puts the release handler under load that means harm, on this machine's loopback only, bounded in time and count:
//! `cargo run --release --package load -- [quick]`.
//!
//! Each row sets what well-behaved callers see beside a calm run of the same minutes: wall-clock times are of this machine,
//! ratios are worth more. It fails where a bound that does not depend on the machine is broken: memory, key fetches, answers
//! that should not be there.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a measuring tool: it reads the clock, and what is not as expected must stop it"
)]

mod answers;
mod beside;
mod calm;
mod memory;

use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
Usage: load          a million tokens, then ten seconds of each kind of trouble; about four minutes
       load quick    the same with 20,000 tokens, two seconds each and fewer connections
";

/// How much is done.
#[derive(Clone, Copy, Debug)]
struct Size {
    tokens: u32,
    seconds: Duration,
    idle: usize,
    slow: usize,
}

const WHOLE: Size = Size { tokens: 1_000_000, seconds: Duration::from_secs(10), idle: 10_000, slow: 1_000 };
const QUICK: Size = Size { tokens: 20_000, seconds: Duration::from_secs(2), idle: 500, slow: 100 };

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let size = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => WHOLE,
        ["quick"] => QUICK,
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    // Both ends of the idle connections, and what else is open.
    bench::machine::needs_open_files(u32::try_from(size.idle).unwrap_or(u32::MAX).saturating_mul(2));
    let executable = bench::server::build();
    let calm = calm::Calm::start(&executable).await;
    let mut broken = memory::soak(&executable, size.tokens).await;
    broken.extend(beside::all(&executable, size).await);
    broken.extend(calm.report());
    for bound in &broken {
        println!("BROKEN {bound}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
