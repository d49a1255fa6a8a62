//! The tools, one a file, and what each call is handed.

mod get_my_profile;
mod whoami;

use std::sync::Arc;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::CallToolResult;
use shared::auth::caller::Caller;
use shared::auth::require_bearer::RefusalSlot;
use shared::graph::{GraphClient, GraphError};
use shared::obo::cache::AccessToken;
use shared::process::Process;
use shared::tool::ToolSpec;

use crate::error::Failure;
use crate::server::{McpServer, settle};

impl McpServer {
    /// Every tool. A new one adds its router here and its declaration to `shared::tool`.
    pub(crate) fn tools() -> ToolRouter<Self> {
        Self::whoami_router() + Self::get_my_profile_router()
    }
}

/// One allowed call: who calls, and the token for what the tool declared to reach.
#[derive(Clone)]
pub(crate) struct ToolCall {
    process: &'static Process,
    spec: &'static ToolSpec,
    caller: Arc<Caller>,
    downstream: Option<AccessToken>,
    slot: RefusalSlot,
}

impl ToolCall {
    pub(crate) fn new(
        process: &'static Process,
        spec: &'static ToolSpec,
        caller: Arc<Caller>,
        downstream: Option<AccessToken>,
        slot: RefusalSlot,
    ) -> Self {
        Self { process, spec, caller, downstream, slot }
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Asks Graph on the caller's behalf. If Graph refuses the token, it is thrown away and one new one is tried: a cached
    /// token that was revoked must not fail every call until it expires.
    pub(crate) async fn graph<T>(
        &self,
        ask: impl AsyncFn(&GraphClient, &AccessToken) -> Result<T, GraphError>,
    ) -> Result<T, Failure> {
        let Some(token) = &self.downstream else {
            return Err(Failure::tell("This tool does not declare what it reaches."));
        };
        match ask(&self.process.graph, token).await {
            Err(GraphError::TokenRefused) => {
                self.process.obo.forget(&self.caller, self.spec.downstream);
                let token = self.process.obo.acquire_token(&self.caller, self.spec.downstream).await?;
                Ok(ask(&self.process.graph, &token).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// The result of a call that failed.
    pub(crate) fn fail(&self, failure: Failure) -> CallToolResult {
        settle(failure, &self.slot)
    }
}

#[cfg(test)]
mod tests {
    use shared::tool::TOOLS;

    use super::*;

    #[test]
    fn every_declared_tool_exists_and_every_tool_is_declared() {
        let names: Vec<String> = McpServer::tools().list_all().into_iter().map(|tool| tool.name.into_owned()).collect();
        let declared: Vec<&str> = TOOLS.iter().map(|spec| spec.name).collect();
        assert_eq!(names, declared);
    }

    #[test]
    fn every_tool_describes_its_result() {
        for tool in McpServer::tools().list_all() {
            let schema = tool.output_schema.expect("an output schema");
            assert_eq!(schema.get("type").and_then(|value| value.as_str()), Some("object"), "{}", tool.name);
        }
    }
}
