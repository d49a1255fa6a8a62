//! What the handler is measured beside, as a process: `other bare` or `other plain`, see [`bench::servers`].
//!
//! `PORT`: where to listen. `REPLY`, `GRAPH`, `GRAPH_TOKEN`: what `bare` answers, and what it asks for before, with which token.
//! `TENANT_ID`, `CLIENT_ID`, `AZURE_AUTHORITY_HOST`: whose tokens `plain` takes.
#![expect(clippy::disallowed_methods, clippy::expect_used, clippy::panic, reason = "a measuring tool")]

use bench::servers::{bare, plain, serve};

#[tokio::main]
async fn main() {
    let optional = |name: &str| std::env::var(name).ok();
    let setting = |name: &str| optional(name).unwrap_or_else(|| panic!("{name} is not set"));
    let app = match std::env::args().nth(1).as_deref() {
        Some("bare") => {
            let graph = optional("GRAPH").map(|url| bare::Graph {
                client: reqwest::Client::new(),
                url,
                token: setting("GRAPH_TOKEN"),
            });
            bare::app(setting("REPLY"), graph)
        }
        Some("plain") => {
            plain::app(&setting("AZURE_AUTHORITY_HOST"), &setting("TENANT_ID"), &setting("CLIENT_ID")).await
        }
        _ => panic!("other bare | plain"),
    };
    serve(&optional("PORT").expect("PORT"), app).await;
}
