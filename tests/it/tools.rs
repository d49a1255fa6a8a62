//! What the tools tell, and who may call them.

use emulator::{TENANT_ID, User};
use serde_json::json;

use crate::world::{World, check};

#[tokio::test]
async fn whoami_tells_what_the_token_says() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).claim("roles", json!(["Reader"])).times(60, 600).build();
    let who = world.call_tool(&token, "whoami").await.structured();
    assert_eq!(who["tenantId"], TENANT_ID);
    assert_eq!(who["objectId"], User::Alice.oid());
    assert_eq!(who["clientId"], emulator::PUBLIC_CLIENT_ID);
    let scopes: Vec<&str> = who["scopes"].as_array().unwrap().iter().filter_map(|scope| scope.as_str()).collect();
    assert!(scopes.contains(&"access_as_user") && scopes.contains(&"MCP.Tools"), "{scopes:?}");
    assert_eq!(who["roles"], json!(["Reader"]));
    let left = who["tokenExpiresInSeconds"].as_u64().unwrap();
    assert!((590..=600).contains(&left), "{left}");
    assert_eq!(world.emulator.counters().token_obo, 0);
}

#[tokio::test]
async fn get_my_profile_reads_graph_as_the_user() {
    let world = World::start().await;
    let profile = world.call_tool(&world.emulator.token(User::Alice).build(), "get_my_profile").await.structured();
    assert_eq!(profile["id"], User::Alice.oid());
    assert_eq!(profile["displayName"], User::Alice.name());
    assert_eq!(profile["userPrincipalName"], User::Alice.upn());
    let counters = world.emulator.counters();
    assert_eq!((counters.token_obo, counters.graph_me), (1, 1));
}

#[tokio::test]
async fn a_caller_without_the_scope_is_told_which_to_ask_for() {
    let world = World::start().await;
    let bob = world.emulator.token(User::Bob).build();
    check(&world.call_tool(&bob, "whoami").await, "200");
    let reply = world.call_tool(&bob, "get_my_profile").await;
    check(&reply, "403 insufficient_scope");
    assert_eq!(reply.challenge_param("scope").unwrap(), "https://mcp.contoso.example/mcp/MCP.Tools");
    assert!(reply.challenge_param("resource_metadata").is_some());
    assert_eq!(world.emulator.counters().token_obo, 0);

    let stepped_up = world.emulator.token(User::Bob).claim("scp", "MCP.Tools access_as_user").build();
    check(&world.call_tool(&stepped_up, "get_my_profile").await, "200");
}

#[tokio::test]
async fn the_step_up_is_a_403_in_both_eras() {
    let world = World::start().await;
    let bob = world.emulator.token(User::Bob).build();
    let call = json!({ "name": "get_my_profile", "arguments": {} });
    check(&world.modern(&bob, "tools/call", call).await, "403 insufficient_scope");
}

#[tokio::test]
async fn scopes_and_roles_never_stand_in_for_each_other() {
    let world = World::start().await;
    let bob = || world.emulator.token(User::Bob);
    // A user whose app role is named like the scope.
    let roles = bob().claim("roles", json!(["MCP.Tools"])).build();
    check(&world.call_tool(&roles, "get_my_profile").await, "403 insufficient_scope");
    // Short names only, exact, separated by U+0020 only.
    for scp in
        ["access_as_user\tMCP.Tools", "access_as_user\u{a0}MCP.Tools", "mcp.tools", "MCP.Tools.Read", "XMCP.Tools"]
    {
        let token = bob().claim("scp", scp).build();
        check(&world.call_tool(&token, "get_my_profile").await, "403 insufficient_scope");
    }
    // The scope alone is enough for the tool that needs it, and not for the one that needs another.
    let only_tools = bob().claim("scp", "MCP.Tools").build();
    check(&world.call_tool(&only_tools, "get_my_profile").await, "200");
    check(&world.call_tool(&only_tools, "whoami").await, "403 insufficient_scope");
    // A stranger to all of our scopes learns all that the operation needs, at once.
    let stranger = bob().claim("scp", "Files.Read").build();
    let reply = world.call_tool(&stranger, "get_my_profile").await;
    assert_eq!(reply.challenge_param("scope").unwrap(), "https://mcp.contoso.example/mcp/MCP.Tools");
    check(&world.list_tools(&stranger).await, "403 insufficient_scope");
}

#[tokio::test]
async fn applications_are_kept_out_and_never_reach_the_exchange() {
    let world = World::start().await;
    let application = world.emulator.app_only_token().build();
    check(&world.list_tools(&application).await, "403 insufficient_scope");
    check(&world.call_tool(&application, "whoami").await, "403 insufficient_scope");
    check(&world.call_tool(&application, "get_my_profile").await, "403 insufficient_scope");
    assert_eq!(world.emulator.counters().token_obo, 0);
}

#[tokio::test]
async fn forged_platform_headers_change_nothing() {
    let world = World::start().await;
    let forged = [
        ("x-ms-client-principal-id", User::Bob.oid()),
        ("x-ms-client-principal", "eyJ1c2VyIjoiYm9iIn0="),
        ("x-ms-token-aad-access-token", "something"),
        ("x-forwarded-user", "bob"),
    ];
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "whoami" } });
    let request = crate::world::rpc(&world.emulator.token(User::Alice).build(), "2025-11-25", &forged, &call);
    assert_eq!(world.send(request).await.structured()["objectId"], User::Alice.oid());
}

#[tokio::test]
async fn arguments_that_no_tool_declares_are_refused_before_anything_is_asked() {
    let world = World::start().await;
    let alice = world.emulator.token(User::Alice).build();
    let listed = world.modern(&alice, "tools/list", json!({})).await.json();
    for tool in listed["result"]["tools"].as_array().unwrap() {
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
    }
    let call = json!({ "name": "get_my_profile", "arguments": { "user": "<script>bob@contoso.example" } });
    let answer = world.modern(&alice, "tools/call", call).await.json();
    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(answer["result"]["content"][0]["text"], "get_my_profile takes no arguments. Call it again without any.");
    assert_eq!(world.emulator.counters().token_obo, 0);
}
