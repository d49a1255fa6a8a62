//! `GET /.well-known/oauth-protected-resource[/mcp]`: where clients learn where to sign in (RFC 9728). Anonymous.
//!
//! Both documents are built once, from settings, and served from memory: `Host` and forwarded headers are attacker input.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use shared::config::Config;
use shared::metadata::{MCP_PATH, ProtectedResourceMetadata, ResourceId, WELL_KNOWN_PATH};
use shared::process::Process;

/// The metadata routes.
pub fn router(process: &'static Process) -> Router {
    let config = &process.config;
    let mcp = document(config, &config.mcp_url);
    let base = document(config, &config.base_url);
    Router::new()
        .route(WELL_KNOWN_PATH, get(serve).options(preflight).with_state(base))
        .route(&format!("{WELL_KNOWN_PATH}{MCP_PATH}"), get(serve).options(preflight).with_state(mcp))
}

/// The document about `resource`, as bytes.
fn document(config: &Config, resource: &ResourceId) -> Bytes {
    // Strings and arrays of strings always serialize.
    serde_json::to_vec(&ProtectedResourceMetadata::new(config, resource)).unwrap_or_default().into()
}

async fn serve(State(document): State<Bytes>) -> Response {
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
        // Public by design, and browser-based clients read it before they can sign in.
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]);
    (headers, document).into_response()
}

/// Browser-based clients send `MCP-Protocol-Version` along, so the browser asks first. Where a platform answers preflights
/// itself, this is never reached.
async fn preflight() -> Response {
    let headers = HeaderMap::from_iter([
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD")),
        (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*")),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600")),
    ]);
    (StatusCode::NO_CONTENT, headers).into_response()
}
