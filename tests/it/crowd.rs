//! Many users: one exchange each, nobody's answer in another's hands, nobody held up by another.

use emulator::{Endpoint, Fault, User};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use support::sentinel;

use crate::world::{World, check};

const TOOL: &str = "get_my_profile";

/// So many calls are under way at once.
const AT_ONCE: usize = 32;

/// Members of the crowd, each with a token.
fn members(world: &World, count: u32) -> Vec<(User, String)> {
    let member = |number| {
        let user = User::Member(number);
        // No log line may name them.
        sentinel::register(user.oid());
        (user, world.emulator.token(user).build())
    };
    (0..count).map(member).collect()
}

/// Calls for each of these, many at once; each must get the own profile.
async fn call_all(world: &World, callers: &[&(User, String)]) {
    let calls = callers.iter().map(async |(user, token)| {
        assert_eq!(world.call_tool(token, TOOL).await.structured()["id"], user.oid());
    });
    stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_users_in_two_passes_are_three_hundred_exchanges() {
    let world = World::start().await;
    let members = members(&world, 300);
    for _ in 0..2 {
        call_all(&world, &members.iter().collect::<Vec<_>>()).await;
    }
    let counters = world.emulator.counters();
    assert_eq!((counters.token_obo, counters.graph_me), (300, 600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_users_with_a_hundred_interleaved_calls_each_are_a_hundred_exchanges() {
    let world = World::start().await;
    let members = members(&world, 100);
    let mut calls: Vec<&(User, String)> = (0..100).flat_map(|_| members.iter()).collect();
    calls.shuffle(&mut StdRng::seed_from_u64(7));
    call_all(&world, &calls).await;
    let counters = world.emulator.counters();
    assert_eq!((counters.token_obo, counters.graph_me), (100, 10_000));
}

#[tokio::test]
async fn a_burst_of_fifty_first_calls_is_one_exchange() {
    let world = World::start().await;
    world.emulator.faults().times(Endpoint::Token, 1, Fault::Delay(std::time::Duration::from_millis(200)));
    let token = world.emulator.token(User::Member(1)).build();
    let replies = join_all((0..50).map(|_| world.call_tool(&token, TOOL))).await;
    assert!(replies.iter().all(|reply| reply.structured()["id"] == User::Member(1).oid()));
    assert_eq!(world.emulator.counters().token_obo, 1);
}

#[tokio::test]
async fn one_throttled_user_keeps_none_of_the_others_waiting() {
    let world = World::start().await;
    let members = members(&world, 20);
    let (throttled, others) = members.split_first().unwrap();
    world.emulator.faults().throttle_user(throttled.0, 60, usize::MAX);
    for _ in 0..2 {
        let reply = world.call_tool(&throttled.1, TOOL).await;
        assert_eq!(reply.json()["result"]["isError"], true, "{}", reply.body);
        let others: Vec<&(User, String)> = others.iter().collect();
        call_all(&world, &others).await;
    }
    // The throttled one was asked for once, the others once each.
    assert_eq!(world.emulator.counters().token_obo, 20);
    check(&world.get("/health/ready").await, "200");
}
