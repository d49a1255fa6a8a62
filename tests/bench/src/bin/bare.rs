//! [`bench::servers::bare`] as a process. `PORT`: where to listen. `REPLY`, `GRAPH`, `GRAPH_TOKEN`: what it answers, and what it
//! asks for before, with which token.
#![expect(clippy::disallowed_methods, clippy::panic, reason = "a measuring tool")]

use bench::servers::{bare, serve};
use mimalloc::MiMalloc;

/// The handler's own, so that allocators are not what is compared.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() {
    let optional = |name: &str| std::env::var(name).ok();
    let setting = |name: &str| optional(name).unwrap_or_else(|| panic!("{name} is not set"));
    let graph =
        optional("GRAPH").map(|url| bare::Graph { client: reqwest::Client::new(), url, token: setting("GRAPH_TOKEN") });
    serve(&setting("PORT"), bare::app(setting("REPLY"), graph)).await;
}
