//! So many verified calls in one process and on one thread, without a socket: what callgrind counts.
//!
//! `call <tool> <count>`: log lines go to stdout as they do in service.
#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "a measuring tool")]

use axum::Router;
use axum::body::Body;
use bench::connection::body;
use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, TENANT_ID, User};
use http::Request;
use http_body_util::BodyExt as _;
use shared::config::Config;
use shared::process::Process;
use shared::telemetry::Telemetry;
use tokio::runtime::{Handle, Runtime};
use tower::ServiceExt as _;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (tool, count) = (arguments.next().expect("a tool"), arguments.next().expect("a count"));
    let count: u32 = count.parse().expect("a count");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let emulator = runtime.block_on(Emulator::start());
    let app = runtime.block_on(serving(&emulator, runtime.handle()));
    let token = emulator.token(User::Alice).build();
    // The first calls fill caches.
    runtime.block_on(calls(&app, &token, &tool, 10));
    counted(&runtime, &app, &token, &tool, count);
}

/// What callgrind counts, by this name.
#[inline(never)]
fn counted(runtime: &Runtime, app: &Router, token: &str, tool: &str, count: u32) {
    runtime.block_on(calls(app, token, tool, count));
}

async fn serving(emulator: &Emulator, runtime: &Handle) -> Router {
    let base = emulator.base_url();
    let config = Config::from_lookup(|name| {
        let value = match name {
            "TENANT_ID" => TENANT_ID,
            "CLIENT_ID" => API_CLIENT_ID,
            "CLIENT_SECRET" => CLIENT_SECRET,
            "RESOURCE_SERVER_URL" => "https://mcp.contoso.example",
            "AZURE_AUTHORITY_HOST" | "GRAPH_BASE_URL" => &base,
            "MAX_CALLER_REQUESTS_PER_MINUTE" | "MAX_REQUESTS_PER_SECOND" => "1000000",
            _ => return None,
        };
        Some(value.to_owned())
    });
    let config = config.expect("settings");
    let telemetry = Telemetry::start(&config, None, runtime).expect("telemetry");
    let process = Process::new(config).expect("a process").install();
    process.start();
    telemetry.measure(&process.metrics);
    let app = handler::app(process);
    while process.jwks.status().usable == 0 {
        tokio::task::yield_now().await;
    }
    app
}

async fn calls(app: &Router, token: &str, tool: &str, count: u32) {
    for _ in 0..count {
        let request = Request::post("/mcp")
            .header("host", "127.0.0.1")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .body(Body::from(body(tool)))
            .expect("a request");
        let response = app.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let answer = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(answer.starts_with(br#"{"jsonrpc":"2.0","id":1,"result":{"#), "{answer:?}");
    }
}
