//! The floor: an axum handler that answers every call with the same bytes. It reads the body and nothing else; with `GRAPH` it
//! asks Graph first, as a tool does.
//!
//! `PORT`, `REPLY`: where to listen, what to answer. `GRAPH`, `GRAPH_TOKEN`: what to ask for before, with which token.
#![expect(clippy::disallowed_methods, clippy::expect_used, reason = "a measuring tool")]

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

struct Answer {
    reply: Bytes,
    graph: Option<Graph>,
}

struct Graph {
    client: reqwest::Client,
    url: String,
    token: String,
}

async fn answer(State(answer): State<Arc<Answer>>, _: Bytes) -> Response {
    if let Some(Graph { client, url, token }) = &answer.graph {
        let found = client.get(url).bearer_auth(token).send().await.expect("Graph answers");
        assert!(found.status().is_success(), "{}", found.status());
        let _profile: serde_json::Value = found.json().await.expect("JSON");
    }
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], answer.reply.clone()).into_response()
}

#[tokio::main]
async fn main() {
    let setting = |name| std::env::var(name).ok();
    let port = setting("PORT").expect("PORT");
    let graph = setting("GRAPH").map(|url| Graph {
        client: reqwest::Client::new(),
        url,
        token: setting("GRAPH_TOKEN").expect("GRAPH_TOKEN"),
    });
    let state = Arc::new(Answer { reply: Bytes::from(setting("REPLY").expect("REPLY")), graph });
    let app = Router::new().route("/mcp", post(answer)).with_state(state);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("the port is free");
    // Small answers are sent at once.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await.expect("it serves");
}
