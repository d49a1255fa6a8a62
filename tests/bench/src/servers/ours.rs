//! The handler's own routes in this process.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use emulator::Emulator;
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

use crate::server::{OPEN, settings};

/// The handler as it serves, log lines to stdout and keys fetched. Once in a program: the log is the program's.
pub async fn start(emulator: &Emulator) -> (&'static Process, Router) {
    let telemetry = Telemetry::start(&config(emulator), None, &Handle::current()).expect("telemetry");
    let (process, app) = start_silently(emulator).await;
    telemetry.measure(&process.metrics);
    (process, app)
}

/// The same without a log.
pub async fn start_silently(emulator: &Emulator) -> (&'static Process, Router) {
    let process = Process::new(config(emulator)).expect("a process").leaked();
    process.start();
    while process.jwks.status().usable == 0 {
        tokio::task::yield_now().await;
    }
    (process, handler::app(process))
}

fn config(emulator: &Emulator) -> Config {
    let settings: HashMap<_, _> =
        settings(emulator).into_iter().chain(OPEN.map(|(name, value)| (name, value.to_owned()))).collect();
    Config::from_lookup(|name| settings.get(name).cloned()).expect("settings")
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
