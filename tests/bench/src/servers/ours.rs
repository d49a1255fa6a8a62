//! The handler's own routes in this process.

use std::sync::Arc;

use axum::Router;
use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, TENANT_ID};
use mcp::ExtraTool;
use rmcp::handler::server::router::tool::ToolRoute;
use rmcp::model::{CallToolResult, ContentBlock, Tool};
use serde_json::{Map, json};
use shared::config::Config;
use shared::host;
use shared::process::Process;
use shared::telemetry::Telemetry;
use shared::tool::{CONNECT_SCOPE, ToolSpec};
use tokio::runtime::Handle;

/// The handler as it serves, keys fetched; `log` as in `RUST_LOG`, to stdout.
pub async fn start(emulator: &Emulator, log: Option<&str>) -> (&'static Process, Router) {
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
    let telemetry = Telemetry::start(&config, log, &Handle::current()).expect("telemetry");
    let process = Process::new(config).expect("a process").install();
    process.start();
    telemetry.measure(&process.metrics);
    while process.jwks.status().usable == 0 {
        tokio::task::yield_now().await;
    }
    (process, handler::app(process))
}

/// The MCP route with this many tools in all.
pub fn with_tools(process: &'static Process, count: usize) -> Router {
    let extra = (shared::tool::TOOLS.len()..count).map(another_tool).collect();
    host::complete(process, mcp::router_with(process, extra))
}

/// A tool with an input of some size.
fn another_tool(number: usize) -> ExtraTool {
    let spec: &'static ToolSpec = Box::leak(Box::new(ToolSpec {
        name: Box::leak(format!("search_{number:03}").into_boxed_str()),
        scope: CONNECT_SCOPE,
        app_role: None,
        downstream: &[],
        read_only: true,
    }));
    let property =
        |name: &str| (name.to_owned(), json!({ "type": "string", "description": format!("The {name} to look for.") }));
    let properties: Map<_, _> = ["text", "folder", "author", "language"].into_iter().map(property).collect();
    let schema = Map::from_iter([("type".to_owned(), json!("object")), ("properties".to_owned(), properties.into())]);
    let tool = Tool::new(spec.name, "Looks for documents and says where they are.", Arc::new(schema));
    let found = || Ok(CallToolResult::success(vec![ContentBlock::text("nothing")]).into());
    ExtraTool { spec, route: ToolRoute::new_dyn(tool, move |_| Box::pin(async move { found() })) }
}
