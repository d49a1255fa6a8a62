//! `POST /mcp`: the MCP endpoint behind [`require_bearer`](shared::auth::require_bearer).
//!
//! Stateless Streamable HTTP with JSON replies, protocol 2025-06-18, 2025-11-25 and 2026-07-28 on one endpoint. What a
//! caller may do is decided on the parsed body inside `server`, never on `Mcp-*` headers.

mod body;
mod consent;
mod error;
mod offer;
mod record;
mod server;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use shared::auth::require_bearer::require_bearer;
use shared::config::Config;
use shared::metadata::MCP_PATH;
use shared::process::Process;

/// Keeps a long answer alive through the Functions host (240 s idle) and Azure's front end (230 s).
const SSE_KEEP_ALIVE: Duration = Duration::from_secs(15);

pub use server::{ExtraTool, McpServer};

/// The MCP route with our tools.
pub fn router(process: &'static Process) -> Router {
    router_with(process, Vec::new())
}

/// The MCP route with our tools and these.
pub fn router_with(process: &'static Process, extra: Vec<ExtraTool>) -> Router {
    let server = Arc::new(McpServer::new(process, extra));
    let service = StreamableHttpService::new(
        move || Ok(Arc::clone(&server)),
        Arc::new(NeverSessionManager::default()),
        transport_config(&process.config),
    );
    Router::new()
        .route_service(MCP_PATH, service)
        .route_layer(middleware::from_fn_with_state(process.config.limits, body::check))
        .route_layer(middleware::from_fn_with_state(process, require_bearer))
}

fn transport_config(config: &Config) -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(Some(SSE_KEEP_ALIVE))
        .with_max_request_body_bytes(config.limits.body_bytes)
        .with_allowed_hosts(allowed_hosts(config))
        .with_allowed_origins(config.allowed_origins.iter().cloned())
        .enforce_origin_validation()
}

/// The hosts a request may name: the public one, and this machine's, for the Functions host rewrites `Host` to
/// `127.0.0.1:<port>`.
fn allowed_hosts(config: &Config) -> Vec<String> {
    let base = config.base_url.as_str();
    let public = base.split_once("://").map_or(base, |(_, authority)| authority);
    // Without its port: a proxy in front may drop or change it.
    let name = match public.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => public,
    };
    [name, "localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
}

/// For the fuzz targets: what counts as one JSON object is one for `serde_json`, too.
#[cfg(fuzzing)]
pub fn fuzzing_body(bytes: &[u8]) {
    if body::kind_of(bytes, 4_096) == Ok(body::Kind::Object) {
        // Depth may still be refused; another kind of value may not come out.
        assert!(serde_json::from_slice::<serde_json::Value>(bytes).map_or(true, |value| value.is_object()));
    }
}
