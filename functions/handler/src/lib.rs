//! The one executable of a Function App: every route, on one port, until told to stop.

pub mod serve;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use shared::process::Process;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::error;

/// Every route of the server. What is not here is 404, without a look at credentials.
pub fn app(process: &'static Process) -> Router {
    Router::new()
        .merge(health::router(process))
        .merge(well_known::router(process))
        .merge(mcp::router(process))
        .layer(CatchPanicLayer::custom(|_| panicked()))
}

/// A panic outside of a tool: the request fails, the process lives on, and the cause stays here.
fn panicked() -> Response<Body> {
    error!("a request panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
