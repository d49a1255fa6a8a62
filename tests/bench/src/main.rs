//! Measures the release handler on this machine, beside others: `cargo bench-all`.
//!
//! Wall-clock times are of this machine and this moment; ratios within one run are worth more.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measuring tool: it reads the clock, and what is not as expected must stop it"
)]

mod beside;
mod growth;
mod instructions;
mod parts;
mod start;
mod users;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use mimalloc::MiMalloc;

/// The handler's own: parts of it are measured in this process.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const USAGE: &str = "\
Usage: bench                   start, beside, allocations, parts and growth, in under five minutes once it is built
       bench start             from spawn to the first answers; size and memory at rest
       bench beside            requests, latency, CPU and memory beside a bare axum handler and a plain rmcp server
       bench allocations       allocations a call of these three
       bench growth [<users>]  how cost grows, with up to so many cached users (1000); draws the README's picture
       bench parts             what the parts of a call cost, by criterion
       bench peers             beside servers on other people's frameworks; tests/bench/peers/install first
       bench compare <path>…   CPU a call of several builds of the handler
       bench users [<count>]   memory of the handler with so many distinct users (100000)
       bench instructions      instructions a call, compared with those written down; `bless` writes them down
";

/// Users in the run of everything: the caches' own limits come much later, and take minutes.
const SOME_USERS: u32 = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => return everything().await,
        ["start"] => start::measure().await,
        ["beside"] => beside::measure().await,
        ["allocations"] => allocations(),
        ["growth"] => return growth(SOME_USERS, &growth::in_the_readme()).await,
        ["growth", users] if is_count(users) => {
            return growth(users.parse().unwrap_or(1), &growth::in_the_readme()).await;
        }
        ["parts"] => parts(),
        ["peers"] => beside::peers().await,
        ["compare", paths @ ..] if !paths.is_empty() => beside::compare(paths).await,
        ["users"] => users::measure(100_000).await,
        ["users", count] if is_count(count) => users::measure(count.parse().unwrap_or(1)).await,
        ["instructions"] => return instructions::check(false),
        ["instructions", "bless"] => return instructions::check(true),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

async fn everything() -> ExitCode {
    start::measure().await;
    beside::measure().await;
    allocations();
    parts();
    // Not the README's picture: that one has many more users.
    growth(SOME_USERS, &std::env::temp_dir().join("growth.svg")).await
}

async fn growth(users: u32, picture: &Path) -> ExitCode {
    if growth::measure(users, picture).await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// In a process of its own: it counts in its allocator.
fn allocations() {
    let [executable] = bench::server::build_all("bench", &["allocations"]).try_into().expect("one");
    println!("\nallocations of one call of whoami, from the accepted connection on");
    let status = Command::new(executable).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "allocations");
}

/// On a thread of its own: it brings its own runtime.
fn parts() {
    println!("\nthe parts of a call");
    std::thread::spawn(parts::measure).join().expect("they are measured");
}

fn is_count(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|count| count > 0)
}
