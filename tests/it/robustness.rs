//! A panic costs one request: not the process, and nobody else's call.

use std::sync::Arc;

use ::mcp::ExtraTool;
use axum::Router;
use axum::routing::get;
use emulator::User;
use futures::future::join_all;
use rmcp::handler::server::router::tool::ToolRoute;
use rmcp::model::Tool;
use serde_json::Map;
use shared::host;
use shared::tool::{CONNECT_SCOPE, ToolSpec};

use crate::world::{World, check};

static BROKEN: ToolSpec =
    ToolSpec { name: "broken", scope: CONNECT_SCOPE, app_role: None, downstream: &[], read_only: true };

#[tokio::test]
async fn a_tool_that_panics_fails_its_own_call_and_no_other() {
    let mut world = World::start().await;
    let tool = Tool::new(BROKEN.name, "Panics.", Arc::new(Map::new()));
    let route = ToolRoute::new_dyn(tool, |_| Box::pin(async { panic!("a tool of the test's") }));
    let extra = vec![ExtraTool { spec: &BROKEN, route }];
    world.serve(host::complete(world.process, ::mcp::router_with(world.process, extra)));

    let (alice, bob) = (world.emulator.token(User::Alice).build(), world.emulator.token(User::Bob).build());
    let (broken, whole) = tokio::join!(
        join_all((0..20).map(|_| world.call_tool(&alice, "broken"))),
        join_all((0..20).map(|_| world.call_tool(&bob, "whoami"))),
    );
    for reply in broken {
        assert_eq!(reply.json()["error"]["message"], "the tool failed", "{reply:?}");
    }
    for reply in whole {
        check(&reply, "200");
        assert_eq!(reply.json()["result"]["structuredContent"]["objectId"], User::Bob.oid(), "{reply:?}");
    }
    // No place is lost on the way.
    assert_eq!(world.process.limits.room(), world.process.config.limits.requests_in_flight);
}

#[tokio::test]
async fn a_panic_outside_of_a_tool_is_a_500_without_a_word_about_it() {
    let mut world = World::start().await;
    let broken = Router::new().route("/broken", get(async || -> &'static str { panic!("a route of the test's") }));
    world.serve(host::complete(world.process, broken.merge(health::router(world.process))));
    let reply = world.get("/broken").await;
    check(&reply, "500");
    assert_eq!(reply.body, "");
    check(&world.get("/health/live").await, "200");
}
