//! The floor: an axum handler that answers every call with the same bytes. It reads the body and nothing else; with a [`Graph`] it
//! asks that first, as a tool does.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

struct Answer {
    reply: Bytes,
    graph: Option<Graph>,
}

/// What is asked before each answer.
#[derive(Debug)]
pub struct Graph {
    /// A client of the handler's kind.
    pub client: reqwest::Client,
    /// What to ask for.
    pub url: String,
    /// With which token.
    pub token: String,
}

/// The one route.
pub fn app(reply: String, graph: Option<Graph>) -> Router {
    Router::new().route("/mcp", post(answer)).with_state(Arc::new(Answer { reply: reply.into(), graph }))
}

async fn answer(State(answer): State<Arc<Answer>>, _: Bytes) -> Response {
    if let Some(Graph { client, url, token }) = &answer.graph {
        let found = client.get(url).bearer_auth(token).send().await.expect("Graph answers");
        assert!(found.status().is_success(), "{}", found.status());
        let _profile: serde_json::Value = found.json().await.expect("JSON");
    }
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], answer.reply.clone()).into_response()
}
