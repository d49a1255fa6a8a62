//! Memory with many distinct users: each signs in, calls a tool that reaches Graph, and is kept in the token cache as long as
//! there is room.

use emulator::{Emulator, User};
use futures::StreamExt as _;
use futures::stream;

use bench::connection::{Connection, call};
use bench::server::{self, Server};

/// Connections that call at once.
const CONNECTIONS: u32 = 16;

pub(crate) async fn measure(count: u32) {
    let executable = server::build();
    let emulator = Emulator::start().await;
    let handler = Server::handler(&executable, &emulator, &[]);
    let alice = call(&emulator.token(User::Alice).build(), "whoami");
    handler.until(&alice, 200).await;
    println!("  users   resident MiB   peak MiB   exchanges");
    row(0, &handler, &emulator);
    let mut done = 0;
    while done < count {
        // 1,000, 2,000, 5,000, 10,000 and so on, and the last.
        let next = steps().find(|step| *step > done).unwrap_or(count).min(count);
        call_as(done..next, &handler, &emulator).await;
        done = next;
        row(done, &handler, &emulator);
    }
}

fn steps() -> impl Iterator<Item = u32> {
    (3..9).flat_map(|power| [1, 2, 5].map(|first| first * 10_u32.pow(power)))
}

/// One call of each of these users.
pub(crate) async fn call_as(users: std::ops::Range<u32>, handler: &Server, emulator: &Emulator) {
    let lanes = (0..CONNECTIONS).map(async |lane| {
        let mut connection = Connection::open(handler.address).await.expect("the handler accepts");
        for number in users.clone().filter(|number| number % CONNECTIONS == lane) {
            let user = User::Member(number);
            let request = call(&emulator.token(user).build(), "get_my_profile");
            let answer = connection.exchange(&request).await.expect("the handler answers");
            assert!(answer.status == 200 && answer.body.contains(user.oid()), "{} {}", answer.status, answer.body);
        }
    });
    stream::iter(lanes).buffer_unordered(CONNECTIONS as usize).collect::<Vec<()>>().await;
}

fn row(users: u32, handler: &Server, emulator: &Emulator) {
    let (now, peak) = (handler.memory("VmRSS"), handler.memory("VmHWM"));
    println!("{users:>7}   {now:>12.1}   {peak:>8.1}   {:>9}", emulator.counters().token_obo);
}
