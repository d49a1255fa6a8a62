//! The audit log: one line a call, whatever becomes of it, and a chain that shows what was taken out.

use std::time::Duration;

use emulator::{Emulator, Endpoint, Fault, TENANT_ID, User};
use serde_json::{Value, json};
use shared::audit::chained;

use crate::executable::Handler;
use crate::world;

fn call(tool: &str) -> String {
    call_with(tool, &json!({}))
}

fn call_with(tool: &str, arguments: &Value) -> String {
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}

/// The audit lines of a handler that has ended.
async fn lines(handler: Handler) -> Vec<Value> {
    handler.terminate();
    let (log, _) = handler.output().await;
    assert!(!log.contains("argument"), "no line has arguments: {log}");
    log.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["target"] == "audit")
        .collect()
}

#[tokio::test]
async fn every_call_is_one_line_whatever_becomes_of_it() {
    let emulator = Emulator::start().await;
    let handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
    let alice = emulator.token(User::Alice).build();
    handler.post(&alice, &call("whoami")).await;
    handler.post(&alice, &call("get_my_profile")).await;
    // With an argument that there is not.
    handler.post(&alice, &call_with("whoami", &json!({ "secret": "argument" }))).await;
    // Without the scope; a tool that is not there; a list, which is no call.
    handler.post(&emulator.token(User::Bob).build(), &call("get_my_profile")).await;
    handler.post(&alice, &call("drop_tables")).await;
    handler.post(&alice, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    emulator.faults().set(Endpoint::GraphMe, Fault::Status { status: 403, retry_after: None });
    handler.post(&alice, &call("get_my_profile")).await;
    emulator.faults().clear();
    emulator.revoke_downstream_tokens();
    handler.post(&alice, &call("get_my_profile")).await;

    let lines = lines(handler).await;
    let told: Vec<Value> = lines
        .iter()
        .map(|line| json!([line["tool"], line["decision"], line["outcome"], line["downstream_calls"]]))
        .collect();
    assert_eq!(
        Value::from(told),
        json!([
            ["whoami", "allowed", "ok", 0],
            ["get_my_profile", "allowed", "ok", 1],
            ["whoami", "allowed", "tool_error", 0],
            ["get_my_profile", "scope_missing", "-", 0],
            ["-", "no_such_tool", "-", 0],
            ["get_my_profile", "allowed", "tool_error", 1],
            // The token was thrown away and replaced once.
            ["get_my_profile", "allowed", "ok", 2],
        ])
    );
    assert_eq!((&lines[0]["tid"], &lines[0]["oid"]), (&json!(TENANT_ID), &json!(User::Alice.oid())));
    assert_eq!(lines[0]["client"], emulator::PUBLIC_CLIENT_ID);
    assert_eq!((&lines[1]["scope"], &lines[1]["downstream"]), (&json!("MCP.Tools"), &json!("User.Read")));
}

#[tokio::test]
async fn a_line_that_is_changed_or_taken_out_breaks_the_chain() {
    let emulator = Emulator::start().await;
    let handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
    let alice = emulator.token(User::Alice).build();
    for _ in 0..5 {
        handler.post(&alice, &call("whoami")).await;
    }
    let lines = lines(handler).await;
    assert_eq!(lines.len(), 5);
    assert!(is_whole(&lines));
    let mut changed = lines.clone();
    changed[2]["oid"] = json!(User::Bob.oid());
    assert!(!is_whole(&changed));
    let mut shorter = lines.clone();
    shorter.remove(2);
    assert!(!is_whole(&shorter));
    let mut swapped = lines;
    swapped.swap(1, 2);
    assert!(!is_whole(&swapped));
}

/// As whoever keeps the log would check it.
fn is_whole(lines: &[Value]) -> bool {
    let mut chain = String::new();
    lines.iter().enumerate().all(|(at, line)| {
        let text = |name: &str| line[name].as_str().map_or_else(|| line[name].to_string(), str::to_owned);
        let names = [
            "run",
            "sequence",
            "tid",
            "oid",
            "client",
            "token",
            "tool",
            "decision",
            "outcome",
            "scope",
            "downstream",
            "downstream_calls",
            "duration_ms",
        ];
        let fields = names.map(text);
        chain = chained(&chain, &fields.each_ref().map(String::as_str));
        line["sequence"] == at + 1 && line["chain"] == chain
    })
}

#[tokio::test]
async fn a_call_whose_client_went_away_is_a_line_too() {
    let emulator = Emulator::start().await;
    let handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
    emulator.faults().times(Endpoint::GraphMe, 1, Fault::Delay(Duration::from_secs(5)));
    let alice = emulator.token(User::Alice).build();
    let body = call("get_my_profile");
    let gone = tokio::time::timeout(Duration::from_secs(1), handler.post(&alice, &body)).await;
    assert!(gone.is_err(), "the client went away");
    handler.post(&alice, &call("whoami")).await;
    let lines = lines(handler).await;
    let mut outcomes: Vec<&str> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["cancelled", "ok"]);
}
