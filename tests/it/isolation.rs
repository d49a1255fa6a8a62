//! Two users at once: no answer crosses.

use emulator::User;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_interleaved_calls_with_the_same_ids_never_cross() {
    let world = World::start().await;
    world.emulator.grant(User::Bob, "MCP.Tools");
    let users = [User::Alice, User::Bob].map(|user| {
        let token = world.emulator.token(user).claim("scp", "access_as_user MCP.Tools").build();
        (user.oid(), token)
    });
    for _ in 0..10 {
        let calls = (0..100).map(|at: usize| {
            let (oid, token) = &users[at % 2];
            // Both users count alike, so each id is in use by both at the same time.
            let id = at / 2;
            let tool = if at % 4 < 2 { "get_my_profile" } else { "whoami" };
            let world = &world;
            async move {
                let reply = world.call_tool_as(token, tool, json!(id)).await;
                let body: Value = reply.json();
                assert_eq!(body["id"], id);
                let told = &body["result"]["structuredContent"];
                let told = if tool == "whoami" { &told["objectId"] } else { &told["id"] };
                assert_eq!(told, oid, "{body}");
            }
        });
        join_all(calls).await;
    }
    assert_eq!(world.emulator.counters().token_obo, 2);
}

#[tokio::test]
async fn even_tokens_that_share_their_identifier_do_not_share_a_downstream_token() {
    let world = World::start().await;
    let token = |user: User| {
        world.emulator.token(user).claim("scp", "MCP.Tools access_as_user").claim("uti", "same").claim("sid", "same")
    };
    world.emulator.grant(User::Bob, "MCP.Tools");
    let alice = world.call_tool(&token(User::Alice).build(), "get_my_profile").await.structured();
    let bob = world.call_tool(&token(User::Bob).build(), "get_my_profile").await.structured();
    assert_eq!((alice["id"].as_str(), bob["id"].as_str()), (Some(User::Alice.oid()), Some(User::Bob.oid())));
}
