//! Memory under tokens that were never seen before: good ones, forged ones, ones under keys that nobody published.

use std::path::Path;

use bench::connection::{Connection, call};
use bench::server::Server;
use emulator::{Emulator, User};
use futures::StreamExt as _;
use futures::stream;
use support::keys::Signing;

const CONNECTIONS: u32 = 16;

/// What the process may weigh, in MiB.
const MOST: f64 = 256.0;

/// By how much it may still grow in the second half, in MiB: the caches are full long before.
const GROWTH: f64 = 8.0;

/// One token of ten is good: signing takes longer than checking.
pub(crate) async fn soak(executable: &Path, count: u32) -> Vec<String> {
    let emulator = Emulator::start().await;
    let handler = Server::handler(executable, &emulator, &[]);
    handler.until(&call(&emulator.token(User::Alice).build(), "whoami"), 200).await;
    println!("{count} tokens, each new: 1 of 10 good, 5 forged, 4 under an unknown kid");
    println!("   tokens   resident MiB   peak MiB   key fetches");
    let mut resident = Vec::new();
    for part in 0..10 {
        send(count / 10 * part..count / 10 * (part + 1), &handler, &emulator).await;
        let (now, peak) = (handler.memory("VmRSS"), handler.memory("VmHWM"));
        println!("{:>9}   {now:>12.1}   {peak:>8.1}   {:>11}", count / 10 * (part + 1), emulator.counters().keys);
        resident.push(now);
    }
    let mut broken = Vec::new();
    let peak = handler.memory("VmHWM");
    if peak > MOST {
        broken.push(format!("memory: {peak:.1} MiB, more than {MOST}"));
    }
    if let (Some(half), Some(end)) = (resident.get(4), resident.last())
        && end - half > GROWTH
    {
        broken.push(format!("memory: grows by {:.1} MiB in the second half, more than {GROWTH}", end - half));
    }
    broken.extend(too_many_fetches(&emulator));
    broken
}

/// The first fetch, three for unknown keys, and the few that a slow run may be granted.
pub(crate) fn too_many_fetches(emulator: &Emulator) -> Option<String> {
    const MOST_FETCHES: u64 = 6;
    let fetches = emulator.counters().keys;
    (fetches > MOST_FETCHES).then(|| format!("keys: {fetches} fetches, more than {MOST_FETCHES}"))
}

async fn send(numbers: std::ops::Range<u32>, handler: &Server, emulator: &Emulator) {
    let lanes = (0..CONNECTIONS).map(async |lane| {
        let mut connection = Connection::open(handler.address).await.expect("the handler accepts");
        for number in numbers.clone().filter(|number| number % CONNECTIONS == lane) {
            let (token, expected) = token(number, emulator);
            let answer = connection.exchange(&call(&token, "whoami")).await.expect("the handler answers");
            assert_eq!(answer.status, expected, "token {number}: {}", answer.body);
        }
    });
    stream::iter(lanes).buffer_unordered(CONNECTIONS as usize).collect::<Vec<()>>().await;
}

/// The token of this number, and the status it deserves.
fn token(number: u32, emulator: &Emulator) -> (String, u16) {
    let token = emulator.token(User::Member(number)).claim("uti", format!("soak-{number}"));
    match number % 10 {
        0 => (token.build(), 200),
        1..6 => (token.signing(Signing::Zeros).build(), 401),
        _ => (token.header("kid", format!("unknown-{number}")).signing(Signing::Zeros).build(), 401),
    }
}
