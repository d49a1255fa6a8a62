//! [`bench::servers::bare`] as a process.
//!
//! `PORT`, `REPLY`: where to listen, what to answer. `GRAPH`, `GRAPH_TOKEN`: what to ask for before, with which token.
#![expect(clippy::disallowed_methods, clippy::expect_used, reason = "a measuring tool")]

use bench::servers::{bare, serve};

#[tokio::main]
async fn main() {
    let setting = |name| std::env::var(name).ok();
    let graph = setting("GRAPH").map(|url| bare::Graph {
        client: reqwest::Client::new(),
        url,
        token: setting("GRAPH_TOKEN").expect("GRAPH_TOKEN"),
    });
    serve(&setting("PORT").expect("PORT"), bare::app(setting("REPLY").expect("REPLY"), graph)).await;
}
