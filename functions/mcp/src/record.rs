//! One call's line in the audit log: written when the record is dropped, so whatever becomes of the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rmcp::ErrorData;
use rmcp::model::CallToolResponse;
use shared::audit::{Decision, Entry, Outcome};
use shared::auth::caller::Caller;
use shared::auth::require_bearer::{Admitted, RefusalSlot};
use shared::moment::Stopwatch;
use shared::process::Process;
use shared::telemetry::request::RequestLog;
use shared::tool::ToolSpec;

/// How often a call asked Graph.
pub(crate) type DownstreamCalls = Arc<AtomicU32>;

/// A call under way.
pub(crate) struct Record {
    process: &'static Process,
    caller: Arc<Caller>,
    spec: Option<&'static ToolSpec>,
    decision: Decision,
    outcome: Outcome,
    calls: DownstreamCalls,
    started: Stopwatch,
    log: RequestLog,
}

impl Record {
    /// A call on which this was decided. One that is allowed counts as cancelled until it ends otherwise.
    pub(crate) fn new(
        process: &'static Process,
        Admitted { caller, log, .. }: &Admitted,
        spec: Option<&'static ToolSpec>,
        decision: Decision,
    ) -> Self {
        let outcome = if decision == Decision::Allowed { Outcome::Cancelled } else { Outcome::NotRun };
        Self {
            process,
            caller: Arc::clone(caller),
            spec,
            decision,
            outcome,
            calls: Arc::default(),
            started: Stopwatch::start(),
            log: log.clone(),
        }
    }

    /// Where the call counts what it asks of Graph.
    pub(crate) fn downstream_calls(&self) -> DownstreamCalls {
        Arc::clone(&self.calls)
    }

    pub(crate) fn ended(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

/// How an answer counts.
pub(crate) fn outcome_of(answer: &Result<CallToolResponse, ErrorData>, slot: &RefusalSlot) -> Outcome {
    match answer {
        _ if slot.is_refused() => Outcome::Refused,
        Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => Outcome::ToolError,
        Ok(CallToolResponse::Complete(_)) => Outcome::Ok,
        Ok(_) => Outcome::Asked,
        Err(_) => Outcome::Failed,
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let tool = self.spec.map_or("-", |spec| spec.name);
        let duration = self.started.elapsed();
        let (what, failed) = match self.decision {
            Decision::Allowed => (self.outcome.as_str(), !matches!(self.outcome, Outcome::Ok | Outcome::Asked)),
            decision => (decision.as_str(), true),
        };
        self.log.tool_call(tool, what);
        self.process.metrics.tool_call(tool, failed.then_some(what), duration);
        self.process.audit.write(&Entry {
            caller: &self.caller,
            tool,
            decision: self.decision,
            outcome: self.outcome,
            scope: self.spec.map_or("-", |spec| spec.scope),
            downstream: self.spec.map_or(&[], |spec| spec.downstream),
            downstream_calls: self.calls.load(Ordering::Relaxed),
            duration,
        });
    }
}
