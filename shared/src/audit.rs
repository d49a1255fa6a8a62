//! The audit log: one line for each tool call, and nothing else. Who called what, by which client, what was decided, how it
//! ended, what it reached. Never arguments, never content, never names of people.
//!
//! | Field | Meaning |
//! |---|---|
//! | `run`, `sequence` | the process (random), and the line's number in it, from 1 |
//! | `chain` | SHA-256 over the line before's `chain` and this line's fields: a line taken out or changed breaks it |
//! | `tid`, `oid` | tenant, and the user's or application's object in it |
//! | `client` | the client application (`azp`) |
//! | `token` | the token's own identifier (`uti`): leads to Entra's sign-in log |
//! | `tool` | the tool's name; `-` where there is no such tool for this caller |
//! | `decision` | `allowed`, `scope_missing`, `no_such_tool` |
//! | `outcome` | `ok`, `tool_error`, `asked` (the person, for consent), `refused`, `failed`, `timed_out`, `cancelled`; `-` where it did not run |
//! | `scope` | the permission that the tool needs |
//! | `downstream`, `downstream_calls` | what it may ask of Graph, and how often it did |
//! | `duration_ms` | from the decision to the end |
//!
//! The target is `audit`, so that the lines can be kept apart and longer (`RUST_LOG=info,audit=info`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use tracing::info;
use uuid::Uuid;

use crate::auth::caller::Caller;
use crate::digest;

/// The log of one process.
#[derive(Debug)]
pub struct AuditLog {
    run: String,
    last: Mutex<Last>,
}

/// Where the chain stands.
#[derive(Debug, Default)]
struct Last {
    sequence: u64,
    chain: String,
}

/// What is said of one call.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// The tool's name, as declared; `-` for none.
    pub tool: &'static str,
    /// Whether it may run.
    pub decision: Decision,
    /// How it ended.
    pub outcome: Outcome,
    /// The permission the tool needs.
    pub scope: &'static str,
    /// What the tool may ask of Graph.
    pub downstream: &'static [&'static str],
    /// How often it did.
    pub downstream_calls: u32,
    /// From the decision to the end.
    pub duration: Duration,
}

/// Whether a call may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed,
    /// The caller's token lacks the permission.
    ScopeMissing,
    /// There is no such tool for a caller of this kind.
    NoSuchTool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did not run.
    NotRun,
    /// With a result.
    Ok,
    /// With a tool error.
    ToolError,
    /// The person is asked for consent first.
    Asked,
    /// With an HTTP refusal: sign in again, or step up.
    Refused,
    /// It panicked, or broke otherwise.
    Failed,
    /// It took too long.
    TimedOut,
    /// The client went away.
    Cancelled,
}

impl Decision {
    /// As the log spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ScopeMissing => "scope_missing",
            Self::NoSuchTool => "no_such_tool",
        }
    }
}

impl Outcome {
    /// As the log spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRun => "-",
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::Asked => "asked",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Default for AuditLog {
    fn default() -> Self {
        Self { run: Uuid::new_v4().simple().to_string(), last: Mutex::default() }
    }
}

impl AuditLog {
    /// Writes the line. In order: the next one's chain begins with this one's.
    pub fn write(&self, entry: &Entry<'_>) {
        let downstream = entry.downstream.join(" ");
        let (decision, outcome) = (entry.decision.as_str(), entry.outcome.as_str());
        let calls = entry.downstream_calls.to_string();
        let duration_ms = u64::try_from(entry.duration.as_millis()).unwrap_or(u64::MAX);
        let duration = duration_ms.to_string();
        let caller = entry.caller;
        let (client, token) = (caller.client_id().unwrap_or("-"), caller.token_id().unwrap_or("-"));
        let (tid, oid) = (caller.tenant_id(), caller.object_id());

        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.sequence += 1;
        let sequence = last.sequence.to_string();
        let fields = [
            &self.run,
            &sequence,
            tid,
            oid,
            client,
            token,
            entry.tool,
            decision,
            outcome,
            entry.scope,
            &downstream,
            &calls,
            &duration,
        ];
        last.chain = chained(&last.chain, &fields);
        info!(
            target: "audit",
            run = self.run,
            sequence = last.sequence,
            chain = last.chain,
            tid,
            oid,
            client,
            token,
            tool = entry.tool,
            decision,
            outcome,
            scope = entry.scope,
            downstream,
            downstream_calls = entry.downstream_calls,
            duration_ms,
            "tool call"
        );
    }
}

/// SHA-256, in hexadecimal digits, over the chain so far and each field with its length before it.
#[must_use]
pub fn chained(before: &str, fields: &[&str]) -> String {
    HEXLOWER.encode(&digest::of_parts(std::iter::once(&before).chain(fields).map(|part| part.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_depends_on_every_field_and_on_what_came_before() {
        let first = chained("", &["a", "b"]);
        assert_eq!(first.len(), 64);
        assert_ne!(first, chained("", &["ab", ""]));
        assert_ne!(first, chained("x", &["a", "b"]));
        assert_ne!(chained(&first, &["c"]), chained(&first, &["d"]));
    }
}
