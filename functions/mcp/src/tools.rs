//! The tools, one a file, and what each call is handed.

mod get_my_profile;
mod json;
mod whoami;

use std::sync::atomic::Ordering;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::CallToolResult;
use shared::auth::caller::Caller;
use shared::auth::require_bearer::Admitted;
use shared::graph::{GraphClient, GraphError};
use shared::moment::Stopwatch;
use shared::obo::cache::AccessToken;
use shared::process::Process;
use shared::tool::ToolSpec;

use crate::error::Failure;
use crate::record::DownstreamCalls;
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
    identity: Admitted,
    downstream: Option<AccessToken>,
    calls: DownstreamCalls,
}

impl ToolCall {
    pub(crate) fn new(
        process: &'static Process,
        spec: &'static ToolSpec,
        identity: Admitted,
        downstream: Option<AccessToken>,
        calls: DownstreamCalls,
    ) -> Self {
        Self { process, spec, identity, downstream, calls }
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.identity.caller
    }

    /// Asks Graph on the caller's behalf. A token that Graph refuses is replaced once: by a new one where it was revoked (or
    /// every call would fail until it expires), by one that answers Graph's claims challenge where there is one.
    pub(crate) async fn graph<T>(
        &self,
        ask: impl AsyncFn(&GraphClient, &AccessToken) -> Result<T, GraphError>,
    ) -> Result<T, Failure> {
        let Some(token) = &self.downstream else {
            return Err(Failure::tell("This tool does not declare what it reaches."));
        };
        let (obo, permissions) = (&self.process.obo, self.spec.downstream);
        let Admitted { caller, log, .. } = &self.identity;
        let refused = match self.ask(&ask, token).await? {
            Ok(value) => return Ok(value),
            Err(refused) => refused,
        };
        let started = Stopwatch::start();
        let replaced = match refused {
            GraphError::TokenRefused => {
                obo.forget(caller, permissions);
                obo.acquire_token(caller, permissions).await.map(|(token, _)| token)
            }
            GraphError::ClaimsChallenge { claims } => obo.answer_challenge(caller, permissions, &claims).await,
            cause => return Err(Failure::of_graph(cause, obo, caller)),
        };
        log.exchanged(None, started.elapsed());
        let token = replaced.map_err(|cause| Failure::of_exchange(cause, obo, caller))?;
        self.ask(&ask, &token).await?.map_err(|cause| {
            if matches!(cause, GraphError::TokenRefused | GraphError::ClaimsChallenge { .. }) {
                // A second refusal: this token is of no use to the next call either.
                obo.forget(caller, permissions);
            }
            Failure::of_graph(cause, obo, caller)
        })
    }

    /// Asks Graph once, in the caller's turn.
    async fn ask<T>(
        &self,
        ask: &impl AsyncFn(&GraphClient, &AccessToken) -> Result<T, GraphError>,
        token: &AccessToken,
    ) -> Result<Result<T, GraphError>, Failure> {
        let Some(_place) = self.process.limits.graph_place(&self.identity.caller).await else {
            return Err(Failure::tell("Microsoft Graph is still busy with your other requests. Try again shortly."));
        };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let started = Stopwatch::start();
        let answer = ask(&self.process.graph, token).await;
        self.identity.log.asked_graph(started.elapsed());
        Ok(answer)
    }

    /// The result of a call that failed.
    pub(crate) fn fail(&self, failure: Failure) -> CallToolResult {
        settle(failure, &self.identity.slot)
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
