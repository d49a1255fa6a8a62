//! `cargo demo`: the whole product on one machine, without an account anywhere.
//!
//! An emulated Entra and Graph, an emulated Functions host, the real `handler` executable behind it, and a real MCP client
//! that discovers, signs in, calls, steps up. Exit code 0 only if every step did what it should.
#![expect(clippy::print_stdout, reason = "the demo talks to a person")]
#![expect(clippy::indexing_slicing, reason = "reading a JSON value by name gives null where it is absent")]

mod browser;
mod client;
mod stage;
mod story;

use std::process::ExitCode;

use stage::Stage;

const HELP: &str = "\
cargo demo: try the MCP server without an Azure account

Usage: cargo demo [-- --browser | --help]

Without arguments every step runs by itself and the demo ends.
  --browser   opens the sign-in page in your browser, uses fixed ports, and keeps everything
              running afterwards for VS Code, MCP Inspector or your own client. Ctrl-C ends it.
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let browser = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["--browser"] => true,
        ["--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("demo: unknown arguments\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(browser).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("\ndemo failed: {cause}");
            ExitCode::FAILURE
        }
    }
}

async fn run(browser: bool) -> Result<(), String> {
    let stage = Stage::set(browser).await?;
    let outcome = story::tell(&stage, browser).await;
    if browser && outcome.is_ok() {
        stage.invite();
        tokio::signal::ctrl_c().await.map_err(|cause| cause.to_string())?;
    }
    stage.clear().await;
    outcome
}
