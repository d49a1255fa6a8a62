//! Measures the release handler on this machine, beside others: `cargo bench-all`.
//!
//! Wall-clock times are of this machine and this moment; ratios within one run are worth more.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measuring tool: what is not as expected must stop it"
)]

mod beside;
mod start;
mod users;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: bench                  everything but `users`, in under five minutes once it is built
       bench beside           requests, latency, CPU and memory beside a bare axum handler and a plain rmcp server
       bench compare <path>…  the same call on several builds of the handler, in turn
       bench start            from spawn to the first answers; size and memory at rest
       bench users [<count>]  memory of the handler with so many distinct users (100000)
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            start::measure().await;
            beside::measure().await;
        }
        ["beside"] => beside::measure().await,
        ["compare", paths @ ..] if !paths.is_empty() => beside::compare(paths).await,
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
