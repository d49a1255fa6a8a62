//! Measures the release handler on this machine: `cargo run --release --package bench -- start | users`.
//!
//! Wall-clock times are of this machine and this moment; compare within one run.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measuring tool: it reads the clock, and what is not as expected must stop it"
)]

mod start;
mod users;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: bench start            from spawn to the first answers; size and memory at rest
       bench users [<count>]  memory of the handler with so many distinct users (100000)
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["start"] => start::measure().await,
        ["users"] => users::measure(100_000).await,
        ["users", count] if count.parse::<u32>().is_ok_and(|count| count > 0) => {
            users::measure(count.parse().unwrap_or(1)).await;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
