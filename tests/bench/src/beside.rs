//! The handler beside a bare axum handler and a plain rmcp server: the same call, the same token, one after the other, each on
//! a core of its own with the load on the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, TENANT_ID, User};

use bench::connection::{Connection, body, request};
use bench::figures::{microseconds, milliseconds, number};
use bench::machine;
use bench::server::{self, OPEN, Server};
use bench::wrk::{self, Call, Load};

use crate::users::Callers;

const CONNECTIONS: [u32; 4] = [1, 16, 64, 256];

/// Where CPU time is compared.
const COMPARED: u32 = 64;

/// Each server is loaded for a second as often as this, in turn with the others. Of a server's figures the best counts: what else the
/// machine does can only make it worse. Of ratios the median: what slows one server in a round slows the one before it, too.
const ROUNDS: usize = 4;

/// How long [`load`] loads.
const SECONDS: u64 = 1;

/// Tokens that go round: where one is remembered, each is new each time.
const MANY: u32 = 4_000;

/// A server, and what it is asked.
struct Entrant<'a> {
    name: &'static str,
    server: Server,
    call: &'a Call,
}

/// One server's figures.
struct Row {
    name: &'static str,
    /// CPU per request, and the load: for each of [`CONNECTIONS`], for each round.
    rounds: Vec<Vec<(Duration, Load)>>,
    /// Resident after the first call and at the end, in MiB.
    memory: (f64, f64),
}

/// What a row shows: the less, the better.
type Figure = fn(&(Duration, Load)) -> Duration;

const CPU: Figure = |(cpu, _)| *cpu;
const EACH: Figure = |(_, load)| load.each();
const P50: Figure = |(_, load)| load.p50;
const P99: Figure = |(_, load)| load.p99;

impl Row {
    /// The best of all rounds.
    fn best(&self, at: usize, figure: Figure) -> Duration {
        self.rounds[at].iter().map(figure).min().unwrap_or_default()
    }

    /// The median of what it was in each round, divided by the other's in the same round.
    fn ratio(&self, other: &Self, at: usize, figure: Figure) -> f64 {
        let pairs = self.rounds[at].iter().zip(&other.rounds[at]);
        let mut ratios: Vec<f64> =
            pairs.map(|(this, other)| figure(this).as_secs_f64() / figure(other).as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        let middle = ratios.len() / 2;
        f64::midpoint(ratios[middle], ratios[(ratios.len() - 1) / 2])
    }
}

pub(crate) async fn measure() {
    let (servers, emulator) = (Servers::build(), prepare().await);
    let whoami = Call { body: body("whoami"), tokens: vec![emulator.token(User::Alice).build()] };
    let profile = Call { body: body("get_my_profile"), tokens: whoami.tokens.clone() };
    let many = many(&emulator);

    let reply = servers.reply(&emulator, &whoami).await;
    let profile_reply = servers.reply(&emulator, &profile).await;
    let graph = format!("{}/v1.0/me?{}", emulator.base_url(), graph_query());
    let graph_token = graph_token(&emulator, &profile.tokens[0]).await;

    println!(
        "\ntools/call whoami, tokens of {} bytes; each server on one core, wrk on the other",
        whoami.tokens[0].len()
    );
    let entrants = [
        Entrant { name: "bare axum handler", server: servers.bare(&emulator, &[("REPLY", &reply)]), call: &whoami },
        Entrant { name: "handler, token seen before", server: servers.ours(&emulator, &[]), call: &whoami },
        Entrant { name: "handler, one of 4,000, each new", server: servers.ours(&emulator, &[FORGETFUL]), call: &many },
        Entrant { name: "plain rmcp, cargo's defaults", server: servers.plain(&emulator), call: &whoami },
        Entrant { name: "plain rmcp, built as the handler", server: servers.plain_tuned(&emulator), call: &whoami },
    ];
    show(&rows(&entrants).await);
    drop(entrants);

    first_sight(&servers, &emulator).await;

    println!("\ntools/call get_my_profile, downstream token in the cache");
    let with_graph = [("REPLY", &*profile_reply), ("GRAPH", &*graph), ("GRAPH_TOKEN", &*graph_token)];
    let entrants = [
        Entrant {
            name: "bare axum handler that asks Graph",
            server: servers.bare(&emulator, &with_graph),
            call: &profile,
        },
        Entrant { name: "handler", server: servers.ours(&emulator, &[]), call: &profile },
    ];
    let rows = rows(&entrants).await;
    show(&rows);
    let above = |at: usize| {
        let [bare, handler] = [&rows[0], &rows[1]].map(|row| microseconds(row.best(at, CPU)));
        format!("{:.1} at {}", handler - bare, CONNECTIONS[at])
    };
    println!(
        "us CPU of the handler above the bare one: {}",
        (0..CONNECTIONS.len()).map(above).collect::<Vec<_>>().join(", ")
    );
}

/// What it costs to see a token for the first time: many new ones, and then the very same once more, each part of them as it was on
/// the server that did it best. A part takes some milliseconds, which is shorter than most of what disturbs.
async fn first_sight(servers: &Servers, emulator: &Emulator) {
    const SERVERS: usize = 5;
    const PART: usize = 256;
    let requests: Vec<_> =
        many(emulator).tokens.iter().map(|token| (User::Alice, request(token, &body("whoami")))).collect();
    let (warm_up, requests) = requests.split_at(requests.len() / 4);
    let parts = || vec![Duration::MAX; requests.len().div_ceil(PART)];
    let mut passes = [parts(), parts()];
    for _ in 0..SERVERS {
        let server = servers.ours(emulator, &[]);
        server.until(&warm_up[0].1, 200).await;
        let mut callers = Callers::connect(&server).await;
        callers.send(warm_up).await;
        let mut before = server.cpu();
        for parts in &mut passes {
            for (part, least) in requests.chunks(PART).zip(parts) {
                callers.send(part).await;
                let after = server.cpu();
                *least = after.saturating_sub(before).min(*least);
                before = after;
            }
        }
    }
    let [first, again] =
        passes.map(|parts| microseconds(parts.iter().sum::<Duration>()) / number(requests.len() as u64));
    println!(
        "us CPU for the first sight of a token: {:.1} more, {first:.1} instead of {again:.1}; each part at its best of {SERVERS}",
        first - again
    );
}

/// Each token is verified each time.
const FORGETFUL: (&str, &str) = ("MAX_VERIFIED_TOKENS", "1");

/// CPU per call of several builds of the handler, beside the bare one.
pub(crate) async fn compare(executables: &[&str]) {
    let (mut servers, emulator) = (Servers::build(), prepare().await);
    let call = Call { body: body("whoami"), tokens: vec![emulator.token(User::Alice).build()] };
    let reply = servers.reply(&emulator, &call).await;
    let floor = burdened(&servers.bare(&emulator, &[("REPLY", &reply)]), &call).await;
    let say = |(cpu, load): (Duration, Load), name: &str| {
        let ratio = microseconds(cpu) / microseconds(floor.0);
        println!("{:>6.1} us CPU a call ({ratio:.1}x), {:>7.0} calls/s  {name}", microseconds(cpu), load.per_second());
    };
    say(floor, "bare axum handler");
    for executable in executables {
        servers.handler = (*executable).into();
        say(burdened(&servers.ours(&emulator, &[]), &call).await, executable);
    }
}

/// CPU per request, and the load, at [`COMPARED`] connections.
async fn burdened(server: &Server, call: &Call) -> (Duration, Load) {
    expect_answer(server, call).await;
    wrk::load(server.address, call, COMPARED, 1).await;
    load(server, call, COMPARED).await
}

/// CPU per request, and the load.
pub(crate) async fn load(server: &Server, call: &Call, connections: u32) -> (Duration, Load) {
    let before = server.cpu();
    let load = wrk::load(server.address, call, connections, SECONDS).await;
    (server.cpu_since(before).div_f64(number(load.requests)), load)
}

/// The handler beside servers on other people's frameworks, with the same token; see `tests/bench/peers`.
pub(crate) async fn peers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let (python, node) = (folder.join(".cache/venv/bin/python"), folder.join(".cache/node"));
    assert!(python.exists() && node.exists(), "run tests/bench/peers/install first");
    let (servers, emulator) = (Servers::build(), prepare().await);
    let call = Call { body: body("whoami"), tokens: vec![emulator.token(User::Alice).build()] };
    let script = |program: &Path, script: &str| {
        let mut command = machine::serving(program);
        command.arg(folder.join(script));
        let keys = format!("{}/{TENANT_ID}/discovery/v2.0/keys", emulator.base_url());
        let issuer = emulator.issuer();
        Server::spawn(command, &emulator, &[("JWKS_URI", &keys), ("ISSUER", &issuer), ("AUDIENCE", API_CLIENT_ID)])
    };
    println!("\ntools/call whoami; each server on one core, wrk on the other");
    let many = many(&emulator);
    let entrants = [
        Entrant { name: "handler, token seen before", server: servers.ours(&emulator, &[]), call: &call },
        Entrant { name: "handler, one of 4,000, each new", server: servers.ours(&emulator, &[FORGETFUL]), call: &many },
        Entrant { name: "plain rmcp, cargo's defaults", server: servers.plain(&emulator), call: &call },
        Entrant { name: "TypeScript SDK", server: script(&node, "typescript/server.mjs"), call: &call },
        Entrant { name: "FastMCP", server: script(&python, "fastmcp/server.py"), call: &call },
    ];
    show(&rows(&entrants).await);
}

/// An emulator out of the way of the servers.
async fn prepare() -> Emulator {
    machine::needs_wrk();
    let emulator = Emulator::start().await;
    machine::leave_the_serving_core();
    emulator
}

/// Calls of one person, with as many tokens.
fn many(emulator: &Emulator) -> Call {
    let token = |number| emulator.token(User::Alice).claim("uti", format!("bench-{number}")).build();
    Call { body: body("whoami"), tokens: (0..MANY).map(token).collect() }
}

/// The executables of what is compared.
struct Servers {
    handler: PathBuf,
    bare: PathBuf,
    /// As one gets it from `cargo build --release`.
    plain: PathBuf,
    plain_tuned: PathBuf,
}

impl Servers {
    fn build() -> Self {
        let [bare, plain_tuned] = server::build_all("bench", &["bare", "plain"]).try_into().expect("two");
        Self { handler: server::build(), bare, plain: server::build_by_defaults("bench", "plain"), plain_tuned }
    }

    fn ours(&self, emulator: &Emulator, settings: &[(&str, &str)]) -> Server {
        let settings = [&OPEN, settings].concat();
        Server::pinned_handler(&self.handler, emulator, &settings)
    }

    fn bare(&self, emulator: &Emulator, settings: &[(&str, &str)]) -> Server {
        Server::spawn(machine::serving(&self.bare), emulator, settings)
    }

    fn plain(&self, emulator: &Emulator) -> Server {
        Server::spawn(machine::serving(&self.plain), emulator, &[])
    }

    fn plain_tuned(&self, emulator: &Emulator) -> Server {
        Server::spawn(machine::serving(&self.plain_tuned), emulator, &[])
    }

    /// What the handler answers.
    async fn reply(&self, emulator: &Emulator, call: &Call) -> String {
        expect_answer(&self.ours(emulator, &[]), call).await
    }
}

/// Measures them side by side.
async fn rows(entrants: &[Entrant<'_>]) -> Vec<Row> {
    let mut idle = Vec::new();
    for Entrant { server, call, .. } in entrants {
        expect_answer(server, call).await;
        idle.push(server.memory("VmRSS"));
        wrk::load(server.address, call, COMPARED, 1).await;
    }
    let mut measured: Vec<Vec<Vec<(Duration, Load)>>> =
        entrants.iter().map(|_| vec![Vec::new(); CONNECTIONS.len()]).collect();
    for _ in 0..ROUNDS {
        for (at, connections) in CONNECTIONS.into_iter().enumerate() {
            for (Entrant { server, call, .. }, measured) in entrants.iter().zip(&mut measured) {
                measured[at].push(load(server, call, connections).await);
            }
        }
    }
    let mut rows = Vec::new();
    for ((Entrant { name, server, call }, rounds), idle) in entrants.iter().zip(measured).zip(idle) {
        expect_answer(server, call).await;
        rows.push(Row { name, rounds, memory: (idle, server.memory("VmRSS")) });
    }
    rows
}

/// Waits for the server, and makes sure that it answers what was asked: about Alice.
async fn expect_answer(server: &Server, call: &Call) -> String {
    let request = request(&call.tokens[0], &call.body);
    server.until(&request, 200).await;
    let mut connection = Connection::open(server.address).await.expect("it accepts");
    let answer = connection.exchange(&request).await.expect("it answers").body;
    let json: serde_json::Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let result = &json["result"];
    let content = &result["structuredContent"];
    let about = content["objectId"].as_str().or(content["id"].as_str());
    assert!(about == Some(User::Alice.oid()) && result["isError"] != true, "{answer}");
    answer
}

fn show(rows: &[Row]) {
    let bare = &rows[0];
    let cells = |cell: &dyn Fn(usize) -> String| {
        (0..CONNECTIONS.len()).map(|at| format!("{:>24}", cell(at))).collect::<Vec<_>>().concat()
    };
    println!("{:<36} {}", "connections", cells(&|at| CONNECTIONS[at].to_string()));
    println!("CPU us a call, and as a multiple of the first row's");
    for row in rows {
        let cell = |at: usize| format!("{:.1} ({:.1}x)", microseconds(row.best(at, CPU)), row.ratio(bare, at, CPU));
        println!("  {:<34} {}", row.name, cells(&cell));
    }
    println!("calls a second");
    for row in rows {
        let per_second = |at: usize| 1.0 / row.best(at, EACH).as_secs_f64();
        let cell = |at: usize| format!("{:.0} ({:.2}x)", per_second(at), bare.ratio(row, at, EACH));
        println!("  {:<34} {}", row.name, cells(&cell));
    }
    println!("p50 / p99 in ms, and p99 as a multiple");
    for row in rows {
        let [p50, p99] = [P50, P99].map(|figure| move |at: usize| milliseconds(row.best(at, figure)));
        let cell = |at: usize| format!("{:.2} / {:.2} ({:.1}x)", p50(at), p99(at), row.ratio(bare, at, P99));
        println!("  {:<34} {}", row.name, cells(&cell));
    }
    println!("MiB resident after the first call, and after 256 connections");
    for row in rows {
        println!("  {:<34} {:>24}", row.name, format!("{:.1}, {:.1}", row.memory.0, row.memory.1));
    }
}

/// What the handler asks of `/me`.
fn graph_query() -> &'static str {
    "$select=id,displayName,userPrincipalName,mail,jobTitle,officeLocation,preferredLanguage"
}

/// A token for Graph, by an exchange of our own.
async fn graph_token(emulator: &Emulator, assertion: &str) -> String {
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&requested_token_use=on_behalf_of&client_id={API_CLIENT_ID}\
         &client_secret={CLIENT_SECRET}&assertion={assertion}&scope={}/User.Read",
        emulator.base_url()
    );
    let authority = emulator.base_url();
    let address = authority.trim_start_matches("http://").parse().expect("an address");
    let request = format!(
        "POST /{TENANT_ID}/oauth2/v2.0/token HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let mut connection = Connection::open(address).await.expect("the emulator accepts");
    let answer = connection.exchange(request.as_bytes()).await.expect("the emulator answers");
    let answer: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}
