//! The server with two tools more: one reports progress step by step, for tests of streaming; one says what it was told, for
//! scanners that follow their own words. As any executable of ours it serves under the Functions host's contract, or on AWS
//! Lambda where that runtime starts it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use mcp::{ExtraTool, McpServer};
use rmcp::ErrorData;
use rmcp::handler::server::router::tool::ToolRoute;
use rmcp::handler::server::tool::ToolCallContext;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, ProgressNotificationParam, Tool};
use serde_json::{Map, Value, json};
use shared::host::{self, Prepared};
use shared::process::Process;
use shared::tool::{CONNECT_SCOPE, ToolSpec};
use tracing::info;

/// `count`: as many steps as `steps` says. Before each but the first it waits for the file `<gate>.<step>`: whoever calls
/// decides when it goes on, so that a test sees what arrived in between.
static COUNT: ToolSpec =
    ToolSpec { name: "count", scope: CONNECT_SCOPE, app_role: None, downstream: &[], read_only: true };

/// `echo`: what `text` says.
static ECHO: ToolSpec =
    ToolSpec { name: "echo", scope: CONNECT_SCOPE, app_role: None, downstream: &[], read_only: true };

fn main() -> ExitCode {
    if host::environment("AWS_LAMBDA_RUNTIME_API").is_none() {
        return host::run(app);
    }
    let Prepared { config, runtime, .. } = match host::prepare() {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    match Process::new(config) {
        Ok(process) => lambda::run(process.install(), &runtime, app),
        Err(cause) => host::failed(&cause.to_string()),
    }
}

fn app(process: &'static Process) -> Router {
    let takes = |names: &[&str]| {
        let properties: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        Arc::new(Map::from_iter([("properties".to_owned(), properties.into())]))
    };
    let count = Tool::new(COUNT.name, "Counts, and tells how far it is.", takes(&["steps", "gate"]));
    let echo = Tool::new(ECHO.name, "Says what it was told.", takes(&["text"]));
    let extra = vec![
        ExtraTool { spec: &COUNT, route: ToolRoute::new_dyn(count, |context| Box::pin(run(context))) },
        ExtraTool { spec: &ECHO, route: ToolRoute::new_dyn(echo, |context| Box::pin(async move { Ok(say(context)) })) },
    ];
    let others = Router::new().merge(health::router(process)).merge(well_known::router(process));
    host::complete(process, others.merge(mcp::router_with(process, extra)))
}

fn say(context: ToolCallContext<'_, McpServer>) -> CallToolResponse {
    let arguments = context.arguments.unwrap_or_default();
    let text = arguments.get("text").and_then(Value::as_str).unwrap_or_default();
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

/// Says so when the call is dropped before its end.
struct Unfinished;

impl Drop for Unfinished {
    fn drop(&mut self) {
        info!("counting was stopped");
    }
}

async fn run(context: ToolCallContext<'_, McpServer>) -> Result<CallToolResponse, ErrorData> {
    let arguments = context.arguments.unwrap_or_default();
    let steps = arguments.get("steps").and_then(Value::as_u64).unwrap_or(1);
    let gate = arguments.get("gate").and_then(Value::as_str).unwrap_or_default().to_owned();
    let token = context.request_context.meta.get_progress_token();
    let unfinished = Unfinished;
    for step in 1..=steps {
        if step > 1 {
            wait_for(PathBuf::from(format!("{gate}.{step}"))).await;
        }
        if let Some(token) = token.clone() {
            #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
            let progress = ProgressNotificationParam::new(token, step as f64).with_total(steps as f64);
            // A client that has gone is noticed by the server.
            drop(context.request_context.peer.notify_progress(progress).await);
        }
    }
    std::mem::forget(unfinished);
    Ok(CallToolResult::success(vec![ContentBlock::text("counted")]).into())
}

async fn wait_for(file: PathBuf) {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
