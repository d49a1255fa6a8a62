//! `POST /mcp`: the MCP endpoint behind [`require_bearer`](shared::auth::require_bearer).
//!
//! Stateless Streamable HTTP with JSON replies, protocol 2025-06-18, 2025-11-25 and 2026-07-28 on one endpoint. What a
//! caller may do is decided on the parsed body inside `server`, never on `Mcp-*` headers.

mod body;
mod consent;
mod direct;
mod error;
mod offer;
mod record;
mod server;
mod tools;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::Method;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::request::Parts;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use shared::auth::require_bearer::require_bearer;
use shared::config::{Config, Limits};
use shared::metadata::MCP_PATH;
use shared::process::Process;
use tower::service_fn;

use direct::Direct;

/// Keeps a long answer alive through the Functions host (240 s idle) and Azure's front end (230 s).
const SSE_KEEP_ALIVE: Duration = Duration::from_secs(15);

pub use server::{ExtraTool, McpServer};

/// The MCP route with our tools. Needs a tokio runtime.
pub fn router(process: &'static Process) -> Router {
    router_with(process, Vec::new())
}

/// The MCP route with our tools and these. Needs a tokio runtime.
pub fn router_with(process: &'static Process, extra: Vec<ExtraTool>) -> Router {
    let endpoint = Arc::new(Endpoint::new(process, extra));
    let service = service_fn(move |request: Request| {
        let endpoint = Arc::clone(&endpoint);
        async move {
            let answer = require_bearer(process, request, |request| endpoint.answer(request));
            Ok::<Response, Infallible>(answer.await)
        }
    });
    Router::new().route_service(MCP_PATH, service)
}

/// What answers a request whose caller is known.
struct Endpoint {
    limits: Limits,
    direct: Direct,
    transport: StreamableHttpService<Arc<McpServer>, NeverSessionManager>,
}

impl Endpoint {
    fn new(process: &'static Process, extra: Vec<ExtraTool>) -> Self {
        let server = Arc::new(McpServer::new(process, extra));
        let direct = Direct::new(Arc::clone(&server), allowed_hosts(&process.config));
        let transport = StreamableHttpService::new(
            move || Ok(Arc::clone(&server)),
            Arc::new(NeverSessionManager::default()),
            transport_config(&process.config),
        );
        Self { limits: process.config.limits, direct, transport }
    }

    /// The answer, kept out of caches.
    async fn answer(&self, request: Request) -> Response {
        let mut response = if request.method() == Method::POST {
            self.posted(request).await
        } else {
            self.by_transport(request).await
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn posted(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = match body::collect(self.limits, body).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        // What may be costly to read is walked through first; the rest only if it is out of the ordinary.
        let harmless = body::is_harmless(self.limits, &body);
        let refused = |parts: &Parts| body::refusal(self.limits, &parts.headers, &body);
        if !harmless && let Some(refusal) = refused(&parts) {
            return refusal;
        }
        let parts = match self.direct.answer(parts, &body).await {
            Ok(response) => return response,
            Err(parts) => parts,
        };
        if harmless && let Some(refusal) = refused(&parts) {
            return refusal;
        }
        let was_json = body::is_json(&parts.headers);
        body::settled(self.by_transport(Request::from_parts(parts, Body::from(body))).await, was_json)
    }

    async fn by_transport(&self, request: Request) -> Response {
        // Its future is large, and most requests do not need it.
        Box::pin(self.transport.handle(request)).await.map(Body::new)
    }
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
