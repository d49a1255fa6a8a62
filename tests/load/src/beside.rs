//! What well-behaved callers see while others mean harm.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bench::connection::{Connection, call};
use bench::figures::milliseconds;
use bench::server::Server;
use emulator::{Emulator, Endpoint, Fault, User};
use futures::future::join_all;
use support::keys::Signing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Size;
use crate::answers::Answers;
use crate::memory::too_many_fetches;

/// Well-behaved traffic: so many connections, each calling at this pace.
const GOOD_CONNECTIONS: u32 = 4;
const GOOD_PACE: Duration = Duration::from_millis(10);

/// A flood's pace on each of its connections: together 2,000 a second.
const FLOOD_CONNECTIONS: u32 = 20;
const FLOOD_PACE: Duration = Duration::from_millis(10);

/// Fewer answers than this say nothing.
const LEAST_ANSWERS: usize = 100;

/// How soon a refusal should be there.
const SOON: Duration = Duration::from_millis(50);

/// The overload: calls that each wait a tenth of a second for Graph, as many at once as are let in, and five times as many
/// that come.
const ROOM: u32 = 40;
const GRAPH: Duration = Duration::from_millis(100);

/// Every kind of trouble, one after the other.
pub(crate) async fn all(executable: &Path, size: Size) -> Vec<String> {
    let mut report = Report { broken: Vec::new() };
    println!("\nwhoami of {GOOD_CONNECTIONS} callers, 100 a second each, calm and beside trouble");
    println!("{:<34} {:>9} {:>9} {:>8}   others' answers", "", "p50 ms", "p99 ms", "p99 / calm");
    slow_heads(executable, size, &mut report).await;
    idle(executable, size, &mut report).await;
    unknown_keys(executable, size, &mut report).await;
    strangers(executable, size, &mut report).await;
    overload(executable, size, &mut report).await;
    report.broken
}

struct Report {
    broken: Vec<String>,
}

impl Report {
    /// A row: how well-behaved callers fared in calm and beside trouble, and what the others got, which must be one of these
    /// statuses and nothing else.
    fn add(&mut self, name: &str, [calm, good]: [&Answers; 2], others: &Answers, statuses: &[u16]) {
        let p99 = |answers: &Answers| answers.percentile(200, 99).unwrap_or_default();
        let p50 = good.percentile(200, 50).unwrap_or_default();
        let ratio = p99(good).as_secs_f64() / p99(calm).as_secs_f64();
        println!(
            "{name:<34} {:>9.2} {:>9.2} {ratio:>10.1}   {}",
            milliseconds(p50),
            milliseconds(p99(good)),
            others.summary()
        );
        for status in others.statuses().into_iter().filter(|status| *status != 200) {
            if others.percentile(status, 99).is_some_and(|p99| p99 > SOON) {
                println!("  note: refusals with {status} take longer than {SOON:?}");
            }
        }
        self.expect_only(name, "well-behaved callers in calm", calm, &[200]);
        self.expect_only(name, "well-behaved callers", good, &[200]);
        if !statuses.is_empty() {
            self.expect_only(name, "the others", others, statuses);
        }
    }

    /// Answers with other statuses, none at all, or lost ones are broken.
    fn expect_only(&mut self, name: &str, who: &str, answers: &Answers, statuses: &[u16]) {
        if answers.total() < LEAST_ANSWERS {
            self.broken.push(format!("{name}: {who} got {} answers, too few to say anything", answers.total()));
        }
        if answers.lost() > 0 {
            self.broken.push(format!("{name}: {who} lost {} connections", answers.lost()));
        }
        for status in answers.statuses().into_iter().filter(|status| !statuses.contains(status)) {
            self.broken.push(format!("{name}: {who} got {status} {} times", answers.count(status)));
        }
    }
}

/// A world of its own for each kind of trouble, with its own calm run first.
async fn world(executable: &Path, settings: &[(&str, &str)]) -> (Emulator, Server) {
    let emulator = Emulator::start().await;
    let handler = Server::handler(executable, &emulator, settings);
    handler.until(&call(&emulator.token(User::Alice).build(), "whoami"), 200).await;
    (emulator, handler)
}

/// Well-behaved traffic for this long.
async fn good(address: SocketAddr, emulator: &Emulator, seconds: Duration) -> Answers {
    let lanes = (0..GOOD_CONNECTIONS).map(async |lane| {
        let request = call(&emulator.token(User::Member(lane)).build(), "whoami");
        let mut connection = Connection::open(address).await.expect("the handler accepts");
        let mut answers = Answers::default();
        let mut pace = tokio::time::interval(GOOD_PACE);
        let end = Instant::now() + seconds;
        while Instant::now() < end {
            // From when it was due: what waits behind a slow answer waits, too.
            let due = pace.tick().await;
            let answer = connection.exchange(&request).await.expect("well-behaved callers are answered");
            answers.add(answer.status, due.elapsed());
        }
        answers
    });
    merged(join_all(lanes).await)
}

fn merged(parts: Vec<Answers>) -> Answers {
    parts.into_iter().fold(Answers::default(), |mut all, part| {
        all.merge(part);
        all
    })
}

/// A flood: each connection sends what `request` makes of a running number, at its pace, until told to stop.
struct Flood {
    stop: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<Answers>>,
}

impl Flood {
    fn start<F>(address: SocketAddr, connections: u32, pace: Duration, request: F) -> Self
    where
        F: Fn(u32) -> Vec<u8> + Send + Sync + 'static,
    {
        let (stop, request, number) =
            (Arc::new(AtomicBool::new(false)), Arc::new(request), Arc::new(AtomicU32::new(0)));
        let lane = |_| {
            let (stop, request, number) = (Arc::clone(&stop), Arc::clone(&request), Arc::clone(&number));
            tokio::spawn(async move {
                let mut answers = Answers::default();
                let mut connection = Connection::open(address).await.expect("the handler accepts");
                let mut pace = tokio::time::interval(pace);
                while !stop.load(Ordering::Relaxed) {
                    pace.tick().await;
                    let request = request(number.fetch_add(1, Ordering::Relaxed));
                    let began = Instant::now();
                    if let Ok(answer) = connection.exchange(&request).await {
                        answers.add(answer.status, began.elapsed());
                    } else {
                        answers.add_lost();
                        connection = Connection::open(address).await.expect("the handler accepts");
                    }
                }
                answers
            })
        };
        Self { lanes: (0..connections).map(lane).collect(), stop }
    }

    async fn stop(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        merged(join_all(self.lanes).await.into_iter().map(|lane| lane.expect("the flood went on")).collect())
    }
}

async fn slow_heads(executable: &Path, size: Size, report: &mut Report) {
    let (emulator, handler) = world(executable, &[]).await;
    let calm = good(handler.address, &emulator, size.seconds).await;
    let (address, counts) = (handler.address, [(); 3].map(|()| Arc::new(AtomicU32::new(0))));
    let slow: Vec<JoinHandle<()>> = (0..size.slow)
        .map(|number| {
            let [cut, refused, whole] = counts.clone();
            tokio::spawn(async move {
                loop {
                    match drip(address, number).await {
                        Head::Cut => cut.fetch_add(1, Ordering::Relaxed),
                        Head::Refused => refused.fetch_add(1, Ordering::Relaxed),
                        Head::Whole => whole.fetch_add(1, Ordering::Relaxed),
                    };
                }
            })
        })
        .collect();
    // Long enough for the first ones to be cut.
    let beside = good(handler.address, &emulator, size.seconds + Duration::from_secs(4)).await;
    slow.iter().for_each(JoinHandle::abort);
    report.add(&format!("{} slow heads", size.slow), [&calm, &beside], &Answers::default(), &[]);
    let [cut, refused, whole] = counts.map(|count| count.load(Ordering::Relaxed));
    println!("  {cut} of them were cut off");
    if whole > 0 || refused > 0 || size.seconds >= Duration::from_secs(10) && cut == 0 {
        report.broken.push(format!("slow heads: {cut} were cut off, {whole} not, {refused} could not connect"));
    }
}

/// How a slow head ended.
enum Head {
    Cut,
    Refused,
    Whole,
}

/// A request whose head comes one byte every half second, until the server has enough of it.
async fn drip(address: SocketAddr, number: usize) -> Head {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        tokio::time::sleep(Duration::from_millis(500)).await;
        return Head::Refused;
    };
    let mut answer = [0; 64];
    let head = format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow-{number}: {}", "a".repeat(200));
    for byte in head.bytes() {
        let cut = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut answer)).await;
        if cut.is_ok() || stream.write_all(&[byte]).await.is_err() {
            return Head::Cut;
        }
    }
    Head::Whole
}

async fn idle(executable: &Path, size: Size, report: &mut Report) {
    let most = (size.idle + 100).to_string();
    let (emulator, handler) = world(executable, &[("MAX_CONNECTIONS", &most)]).await;
    let calm = good(handler.address, &emulator, size.seconds).await;
    let mut connections = Vec::with_capacity(size.idle);
    for _ in 0..size.idle {
        connections.push(TcpStream::connect(handler.address).await.expect("the handler accepts"));
    }
    let beside = good(handler.address, &emulator, size.seconds).await;
    report.add(&format!("{} idle connections", size.idle), [&calm, &beside], &Answers::default(), &[]);
    println!("  resident {:.1} MiB with all of them", handler.memory("VmRSS"));
    drop(connections);
}

async fn unknown_keys(executable: &Path, size: Size, report: &mut Report) {
    let (emulator, handler) = world(executable, &[]).await;
    let calm = good(handler.address, &emulator, size.seconds).await;
    let before = emulator.counters().keys;
    let template = emulator.token(User::Alice).signing(Signing::Zeros);
    let flood = Flood::start(handler.address, FLOOD_CONNECTIONS, FLOOD_PACE, move |number| {
        call(&template.clone().header("kid", format!("unknown-{number}")).build(), "whoami")
    });
    let beside = good(handler.address, &emulator, size.seconds).await;
    let others = flood.stop().await;
    report.add("unknown kids, 2,000 a second", [&calm, &beside], &others, &[401, 429]);
    println!("  key fetches: {before} before, {} under the flood", emulator.counters().keys - before);
    report.broken.extend(too_many_fetches(&emulator));
}

async fn strangers(executable: &Path, size: Size, report: &mut Report) {
    let (emulator, handler) = world(executable, &[]).await;
    let calm = good(handler.address, &emulator, size.seconds).await;
    let requests = [call("", "whoami"), call("not-a-token", "whoami"), call(&"a.".repeat(8_000), "whoami")];
    let flood = Flood::start(handler.address, FLOOD_CONNECTIONS, FLOOD_PACE, move |number| {
        let at = number as usize % requests.len();
        requests.get(at).cloned().unwrap_or_default()
    });
    let beside = good(handler.address, &emulator, size.seconds).await;
    let others = flood.stop().await;
    report.add("garbage, 2,000 a second", [&calm, &beside], &others, &[401, 429]);
}

async fn overload(executable: &Path, size: Size, report: &mut Report) {
    let room = ROOM.to_string();
    let (emulator, handler) =
        world(executable, &[("MAX_REQUESTS_IN_FLIGHT", &room), ("MAX_CALLER_GRAPH_REQUESTS", "40")]).await;
    emulator.faults().set(Endpoint::GraphMe, Fault::Delay(GRAPH));
    let requests: Vec<Vec<u8>> =
        (0..ROOM * 5).map(|number| call(&emulator.token(User::Member(number)).build(), "get_my_profile")).collect();
    let fits = {
        let requests = requests.clone();
        Flood::start(handler.address, ROOM / 2, GRAPH, move |number| pick(&requests, number))
    };
    tokio::time::sleep(size.seconds).await;
    let calm = fits.stop().await;
    let flood = Flood::start(handler.address, ROOM * 5, GRAPH, move |number| pick(&requests, number));
    tokio::time::sleep(size.seconds).await;
    let others = flood.stop().await;
    // Who is let in should be served as on a calm day; who is not hears so at once.
    let let_in = others.only(200);
    report.add("5 times what is let in", [&calm, &let_in], &others, &[200, 503]);
    if others.count(503) == 0 {
        report.broken.push(format!("overload: {}", others.summary()));
    }
}

fn pick(requests: &[Vec<u8>], number: u32) -> Vec<u8> {
    requests.get(number as usize % requests.len()).cloned().unwrap_or_default()
}
