//! The handler beside a bare axum handler and a plain rmcp server: the same call, the same token, one after the other, each on
//! a core of its own with the load on the other.

use std::path::Path;
use std::time::Duration;

use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, TENANT_ID, User};

use bench::connection::{Connection, body};
use bench::server::{self, Server};
use bench::wrk::{self, Call, Load};
use tokio::process::Command;

const CONNECTIONS: [u32; 4] = [1, 16, 64, 256];

/// Where CPU time is compared.
const COMPARED: u32 = 64;

const SECONDS: u64 = 3;

/// Tokens that go round: as many as are remembered, or with one remembered each is new each time. Against the same number of
/// known ones, because so much text that changes costs even the kernel more than one request that is always the same.
const MANY: u32 = 4_000;

/// Settings without which the load itself would be limited.
pub(crate) const OPEN: [(&str, &str); 2] =
    [("MAX_CALLER_REQUESTS_PER_MINUTE", "1000000"), ("MAX_REQUESTS_PER_SECOND", "1000000")];

/// One server's figures.
struct Row {
    name: &'static str,
    loads: Vec<Load>,
    /// CPU per request at [`COMPARED`] connections.
    cpu: Duration,
    idle: f64,
    loaded: f64,
}

pub(crate) async fn measure() {
    assert!(wrk::is_installed(), "wrk is needed: apt-get install wrk");
    let handler = server::build();
    let [other] = server::build_all("bench", &["other"]).try_into().expect("one");
    let emulator = Emulator::start().await;
    stay_out_of_the_way();

    let alice = emulator.token(User::Alice).build();
    let whoami = Call { body: body("whoami"), tokens: vec![alice.clone()] };
    let profile = Call { body: body("get_my_profile"), tokens: vec![alice] };
    let many = (0..MANY).map(|number| emulator.token(User::Alice).claim("uti", format!("bench-{number}")).build());
    let many = Call { body: body("whoami"), tokens: many.collect() };

    let reply = reply(&handler, &emulator, &whoami).await;
    let profile_reply = self::reply(&handler, &emulator, &profile).await;
    let graph = format!("{}/v1.0/me?{}", emulator.base_url(), graph_query());
    let graph_token = graph_token(&emulator, &profile.tokens[0]).await;

    println!(
        "\ntools/call whoami, tokens of {} bytes; each server on one core, wrk on the other",
        whoami.tokens[0].len()
    );
    let start = |command: Command, settings: &[(&str, &str)]| {
        Server::spawn(command, &emulator, &[&OPEN[..], settings].concat())
    };
    let (ours, bare, plain) =
        (|| server::pinned(&handler), || pinned_other(&other, "bare"), || pinned_other(&other, "plain"));
    let rows = [
        row("bare axum handler", start(bare(), &[("REPLY", &reply)]), &whoami).await,
        row("handler, token seen before", start(ours(), &[]), &whoami).await,
        row("handler, one of 4,000 seen before", start(ours(), &[]), &many).await,
        row("handler, one of 4,000, each new", start(ours(), &[("MAX_VERIFIED_TOKENS", "1")]), &many).await,
        row("plain rmcp and jsonwebtoken", start(plain(), &[]), &whoami).await,
    ];
    show(&rows);

    println!("\ntools/call get_my_profile, downstream token in the cache");
    let with_graph = [("REPLY", &*profile_reply), ("GRAPH", &*graph), ("GRAPH_TOKEN", &*graph_token)];
    let rows = [
        row("bare axum handler that asks Graph", start(bare(), &with_graph), &profile).await,
        row("handler", start(ours(), &[]), &profile).await,
    ];
    show(&rows);
}

/// CPU per call of several builds of the handler, beside the bare one.
pub(crate) async fn compare(executables: &[&str]) {
    let [other] = server::build_all("bench", &["other"]).try_into().expect("one");
    let emulator = Emulator::start().await;
    stay_out_of_the_way();
    let call = Call { body: body("whoami"), tokens: vec![emulator.token(User::Alice).build()] };
    let reply = reply(Path::new(executables[0]), &emulator, &call).await;
    let mut floor = f64::NAN;
    for executable in [other.as_path()].into_iter().chain(executables.iter().map(Path::new)) {
        let settings = [&OPEN[..], &[("REPLY", &reply)]].concat();
        let command = if executable == other { pinned_other(&other, "bare") } else { server::pinned(executable) };
        let server = Server::spawn(command, &emulator, &settings);
        server.until(&bench::connection::request(&call.tokens[0], &call.body), 200).await;
        wrk::load(server.address, &call, COMPARED, 1).await;
        let before = server.cpu();
        let load = wrk::load(server.address, &call, COMPARED, SECONDS).await;
        let cpu = server.cpu_since(before).div_f64(number(load.requests)).as_secs_f64() * 1e6;
        floor = if floor.is_nan() { cpu } else { floor };
        println!(
            "{cpu:>6.1} us CPU a call ({:.1}x), {:>7.0} calls/s  {}",
            cpu / floor,
            load.per_second(),
            executable.display()
        );
    }
}

/// The handler beside servers on other people's frameworks, with the same token; see `tests/bench/peers`.
pub(crate) async fn peers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let (python, node) = (folder.join(".cache/venv/bin/python"), folder.join(".cache/node"));
    assert!(python.exists() && node.exists(), "run tests/bench/peers/install first");
    let handler = server::build();
    let [other] = server::build_all("bench", &["other"]).try_into().expect("one");
    let emulator = Emulator::start().await;
    stay_out_of_the_way();
    let call = Call { body: body("whoami"), tokens: vec![emulator.token(User::Alice).build()] };
    let script = |program: &Path, script: &str| {
        let mut command = server::pinned(program);
        command.arg(folder.join(script));
        let keys = format!("{}/{TENANT_ID}/discovery/v2.0/keys", emulator.base_url());
        let issuer = emulator.issuer();
        Server::spawn(command, &emulator, &[("JWKS_URI", &keys), ("ISSUER", &issuer), ("AUDIENCE", API_CLIENT_ID)])
    };
    println!("\ntools/call whoami, the same token; each server on one core, wrk on the other");
    let rows = [
        row("handler", Server::spawn(server::pinned(&handler), &emulator, &OPEN), &call).await,
        row("plain rmcp and jsonwebtoken", Server::spawn(pinned_other(&other, "plain"), &emulator, &[]), &call).await,
        row("TypeScript SDK 1.32.2", script(&node, "typescript/server.mjs"), &call).await,
        row("FastMCP 4.1.6", script(&python, "fastmcp/server.py"), &call).await,
    ];
    show(&rows);
}

async fn row(name: &'static str, server: Server, call: &Call) -> Row {
    let first = bench::connection::request(call.tokens.first().map_or("", String::as_str), &call.body);
    server.until(&first, 200).await;
    let idle = server.memory("VmRSS");
    wrk::load(server.address, call, COMPARED, 1).await;
    let (mut loads, mut cpu) = (Vec::new(), Duration::ZERO);
    for connections in CONNECTIONS {
        let before = server.cpu();
        let load = wrk::load(server.address, call, connections, SECONDS).await;
        if connections == COMPARED {
            cpu = server.cpu_since(before).div_f64(number(load.requests));
        }
        loads.push(load);
    }
    Row { name, loads, cpu, idle, loaded: server.memory("VmRSS") }
}

fn show(rows: &[Row]) {
    let bare = &rows[0];
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let ratio = |ours: f64, theirs: f64| ours / theirs;
    println!("{:<36} {:>11} {:>14} {:>14} {:>16}", "", "CPU us/call", "MiB idle", "MiB loaded", "calls/s at 64");
    for row in rows {
        let (rate, bare_rate) = (row.loads[2].per_second(), bare.loads[2].per_second());
        println!(
            "{:<36} {:>5.1} ({:>3.1}x) {:>14.1} {:>14.1} {:>9.0} ({:.2}x)",
            row.name,
            micros(row.cpu),
            ratio(micros(row.cpu), micros(bare.cpu)),
            row.idle,
            row.loaded,
            rate,
            ratio(rate, bare_rate),
        );
    }
    println!("{:<36} {}", "p50 / p99 in ms, and p99 as a", CONNECTIONS.map(|count| format!("{count:>24}")).concat());
    println!("{:<36} {:>24}", "multiple of the first row's, at", "connections");
    for row in rows {
        let cells = row.loads.iter().zip(&bare.loads).map(|(load, bare)| {
            let (p50, p99) = (micros(load.p50) / 1e3, micros(load.p99) / 1e3);
            let cell = format!("{p50:.2} / {p99:.2} ({:.1}x)", ratio(micros(load.p99), micros(bare.p99)));
            format!("{cell:>24}")
        });
        println!("{:<36} {}", row.name, cells.collect::<String>());
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of requests")]
fn number(count: u64) -> f64 {
    count as f64
}

/// One of the servers beside which the handler is measured.
fn pinned_other(executable: &Path, which: &str) -> Command {
    let mut command = server::pinned(executable);
    command.arg(which);
    command
}

/// What the handler answers.
async fn reply(handler: &Path, emulator: &Emulator, call: &Call) -> String {
    let server = Server::handler(handler, emulator, &[]);
    let request = bench::connection::request(&call.tokens[0], &call.body);
    server.until(&request, 200).await;
    let mut connection = Connection::open(server.address).await.expect("it accepts");
    connection.exchange(&request).await.expect("it answers").body
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

/// Moves this process, and with it the emulator, to the core of the load.
fn stay_out_of_the_way() {
    if std::thread::available_parallelism().map_or(1, usize::from) > 1 {
        let pid = std::process::id().to_string();
        let mut command = std::process::Command::new("taskset");
        let moved = command.args(["--all-tasks", "--cpu-list", "--pid", server::LOADING_CORE, &pid]);
        let status = moved.stdout(std::process::Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "taskset (util-linux) is needed");
    }
}
