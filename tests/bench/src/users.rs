//! Memory with many distinct users: each signs in, calls a tool that reaches Graph, and is kept in the token cache as long as
//! there is room.

use emulator::{Emulator, User};
use futures::future::join_all;

use bench::connection::{Connection, call};
use bench::server::{self, Server};

/// Connections that call at once.
const CONNECTIONS: usize = 16;

/// So many requests at once: all of a large count would weigh more than what is measured.
const PART: u32 = 1_000;

pub(crate) async fn measure(count: u32) {
    let executable = server::build();
    let emulator = Emulator::start().await;
    let handler = Server::handler(&executable, &emulator, &[]);
    let alice = call(&emulator.token(User::Alice).build(), "whoami");
    handler.until(&alice, 200).await;
    println!("  users   resident MiB   peak MiB   exchanges");
    row(0, &handler, &emulator);
    let mut callers = Callers::connect(&handler).await;
    let mut done = 0;
    while done < count {
        // 1,000, 2,000, 5,000, 10,000 and so on, and the last.
        let next = steps().find(|step| *step > done).unwrap_or(count).min(count);
        callers.call_as(done..next, &emulator).await;
        done = next;
        row(done, &handler, &emulator);
    }
}

fn steps() -> impl Iterator<Item = u32> {
    (3..9).flat_map(|power| [1, 2, 5].map(|first| first * 10_u32.pow(power)))
}

/// A call of each of these users, with a new token.
pub(crate) fn requests(users: std::ops::Range<u32>, emulator: &Emulator) -> Vec<(User, Vec<u8>)> {
    let request = |user| (user, call(&emulator.token(user).build(), "get_my_profile"));
    users.map(|number| request(User::Member(number))).collect()
}

/// Connections over which many users call.
pub(crate) struct Callers(Vec<Connection>);

impl Callers {
    pub(crate) async fn connect(server: &Server) -> Self {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(server.address).await.expect("the handler accepts"));
        }
        Self(connections)
    }

    /// One call of each of these users, with a new token.
    pub(crate) async fn call_as(&mut self, users: std::ops::Range<u32>, emulator: &Emulator) {
        let mut begin = users.start;
        while begin < users.end {
            let end = users.end.min(begin + PART);
            self.send(&requests(begin..end, emulator)).await;
            begin = end;
        }
    }

    /// Sends these, some at once.
    pub(crate) async fn send(&mut self, requests: &[(User, Vec<u8>)]) {
        let lanes = self.0.iter_mut().enumerate().map(async |(lane, connection)| {
            for (user, request) in requests.iter().skip(lane).step_by(CONNECTIONS) {
                let answer = connection.exchange(request).await.expect("the handler answers");
                assert!(answer.status == 200 && answer.body.contains(user.oid()), "{} {}", answer.status, answer.body);
            }
        });
        join_all(lanes).await;
    }
}

fn row(users: u32, handler: &Server, emulator: &Emulator) {
    let (now, peak) = (handler.memory("VmRSS"), handler.memory("VmHWM"));
    println!("{users:>7}   {now:>12.1}   {peak:>8.1}   {:>9}", emulator.counters().token_obo);
}
