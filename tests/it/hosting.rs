//! Behind the emulated Functions host: streaming, clients that go away, being told to stop under load; and each route's own
//! executable.

use std::path::{Path, PathBuf};
use std::time::Duration;

use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, IDENTITY_CLIENT_ID, TENANT_ID, User};
use functions_host::{FunctionsHost, HostOptions, Package, Profile};
use futures::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::executable::{Handler, executable};
use crate::world;

/// The repository: where host.json is.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The repository's own host.json, with this executable behind it.
async fn host(emulator: &Emulator, executable: &Path) -> FunctionsHost {
    let reservation = FunctionsHost::reserve(0).await.unwrap();
    let settings = [
        ("FUNCTIONS_WORKER_RUNTIME", "custom"),
        ("AzureFunctionsJobHost__customHandler__description__defaultExecutablePath", executable.to_str().unwrap()),
        ("TENANT_ID", TENANT_ID),
        ("CLIENT_ID", API_CLIENT_ID),
        ("CLIENT_SECRET", CLIENT_SECRET),
        ("RESOURCE_SERVER_URL", &reservation.base_url()),
        ("AZURE_AUTHORITY_HOST", &emulator.base_url()),
        ("GRAPH_BASE_URL", &emulator.base_url()),
    ];
    let options = HostOptions {
        script_root: repository(),
        profile: Profile::CoreTools,
        settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        clear_env: true,
    };
    FunctionsHost::start_on(reservation, options).await.unwrap()
}

/// A call of `count` through a host, whose answer is read as it comes.
struct Counting {
    stream: TcpStream,
    seen: String,
    gate: String,
}

impl Counting {
    async fn start(host: &FunctionsHost, token: &str, steps: u64) -> Self {
        let gate = format!("{}/gate-{:x}", env!("CARGO_TARGET_TMPDIR"), rand::random::<u64>());
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {
                "name": "count",
                "arguments": { "steps": steps, "gate": gate },
                "_meta": {
                    "progressToken": "p",
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": { "name": "it", "version": "0" },
                    "io.modelcontextprotocol/clientCapabilities": {},
                },
            },
        })
        .to_string();
        let authority = host.base_url().strip_prefix("http://").unwrap().to_owned();
        let mut stream = TcpStream::connect(&authority).await.unwrap();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: count\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, seen: String::new(), gate }
    }

    /// Reads until this text has come.
    async fn until(&mut self, text: &str) {
        let reading = async {
            let mut bytes = [0; 4096];
            while !self.seen.contains(text) {
                let count = self.stream.read(&mut bytes).await.unwrap();
                assert!(count > 0, "the answer ended before {text}: {}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), reading).await;
        assert!(waited.is_ok(), "waited in vain for {text}: {}", self.seen);
    }

    /// Lets the tool take this step.
    fn open(&self, step: u64) {
        std::fs::write(format!("{}.{step}", self.gate), "").unwrap();
    }
}

#[tokio::test]
async fn progress_reaches_the_client_step_by_step_through_the_host() {
    let emulator = Emulator::start().await;
    let host = host(&emulator, Path::new(env!("CARGO_BIN_EXE_progress-handler"))).await;
    let token = emulator.token(User::Alice).build();
    let mut counting = Counting::start(&host, &token, 4).await;
    for step in 1..=4 {
        counting.until(&format!("\"progress\":{step}")).await;
        // The next step waits for us, so what has come so far cannot have waited for the end.
        assert!(!counting.seen.contains("counted") || step == 4, "{}", counting.seen);
        counting.open(step + 1);
    }
    counting.until("counted").await;
    assert!(counting.seen.to_ascii_lowercase().contains("content-type: text/event-stream"), "{}", counting.seen);
    for step in 2..=5 {
        std::fs::remove_file(format!("{}.{step}", counting.gate)).unwrap();
    }
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_tool() {
    let emulator = Emulator::start().await;
    let host = host(&emulator, Path::new(env!("CARGO_BIN_EXE_progress-handler"))).await;
    let token = emulator.token(User::Alice).build();
    let mut counting = Counting::start(&host, &token, 2).await;
    counting.until("\"progress\":1").await;
    drop(counting);
    let stopped = async {
        while !host.log_lines().iter().any(|line| line.text.contains("counting was stopped")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), stopped).await.expect("the tool is stopped");
}

#[tokio::test]
async fn told_to_stop_under_load_every_request_that_was_accepted_is_answered() {
    const RUNS: usize = 20;
    const REQUESTS: usize = 50;
    let emulator = Emulator::start().await;
    let token = emulator.token(User::Alice).build();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let mut unanswered = Vec::new();
    for run in 0..RUNS {
        let mut handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
        // Once, so that keys are there.
        assert_eq!(handler.post(&token, list).await.label(), "200");
        let connected = join_all((0..REQUESTS).map(|_| TcpStream::connect(handler.address))).await;
        let requests = join_all(connected.into_iter().enumerate().map(async |(number, stream)| {
            // Some have sent everything when the signal comes, some have not yet begun.
            tokio::time::sleep(Duration::from_micros(u64::try_from(number).unwrap() * 200)).await;
            let request = format!(
                "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
                 MCP-Protocol-Version: 2025-11-25\r\nContent-Length: {}\r\n\r\n{list}",
                list.len()
            );
            let mut stream = stream.unwrap();
            let mut answer = Vec::new();
            let sent = stream.write_all(request.as_bytes()).await;
            let read = stream.read_to_end(&mut answer).await;
            (sent.is_ok() && read.is_ok() && answer.starts_with(b"HTTP/1.1 200")).then_some(()).ok_or(number)
        }));
        let stop = async {
            tokio::time::sleep(Duration::from_micros(500 * u64::try_from(run).unwrap())).await;
            handler.terminate();
        };
        let (answers, ()) = tokio::join!(requests, stop);
        unanswered.extend(answers.into_iter().filter_map(Result::err).map(|number| (run, number)));
        let status = tokio::time::timeout(Duration::from_secs(30), handler.child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0));
    }
    assert!(unanswered.is_empty(), "of {} requests, lost (run, request): {unanswered:?}", RUNS * REQUESTS);
}

#[tokio::test]
async fn each_route_has_an_executable_of_its_own_under_the_same_contract() {
    let emulator = Emulator::start().await;
    let token = emulator.token(User::Alice).build();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for (name, own, others) in [
        ("mcp-handler", "401", ["404", "404"]),
        ("well-known-handler", "404", ["200", "404"]),
        ("health-handler", "404", ["404", "200"]),
    ] {
        let handler = Handler::start_executable(executable(name), world::settings_for(&emulator.base_url(), &[])).await;
        assert_eq!(handler.get("/").await.label(), "204", "{name}: the host's readiness probe");
        assert_eq!(handler.get("/mcp").await.label(), own, "{name}");
        let paths = ["/.well-known/oauth-protected-resource/mcp", "/health/live"];
        for (path, expected) in paths.into_iter().zip(others) {
            assert_eq!(handler.get(path).await.label(), expected, "{name} {path}");
        }
        let call = handler.post(&token, list).await.label();
        assert_eq!(call, if name == "mcp-handler" { "200" } else { "404" }, "{name}");
        handler.terminate();
        let (_, errors) = handler.output().await;
        assert_eq!(errors, "", "{name}");
    }
}

#[tokio::test]
async fn a_container_asks_the_executable_itself_whether_it_lives() {
    let emulator = Emulator::start().await;
    let handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
    let port = handler.address.port().to_string();
    let ask = async || {
        let mut command = tokio::process::Command::new(executable("handler"));
        command.arg("health").env_clear().env("PORT", &port).output().await.unwrap().status.code()
    };
    assert_eq!(ask().await, Some(0));
    handler.terminate();
    handler.output().await;
    assert_eq!(ask().await, Some(1));
}

/// A package of the repository's host.json and this executable, as `cargo package-function` makes it of the release.
fn package(executable: &Path) -> Package {
    let base = format!("{}/package-{:x}", env!("CARGO_TARGET_TMPDIR"), rand::random::<u64>());
    let zip = PathBuf::from(format!("{base}.zip"));
    let mut writer = ZipWriter::new(std::fs::File::create(&zip).unwrap());
    for (name, path, mode) in
        [("host.json", repository().join("host.json"), 0o644), ("handler", executable.to_owned(), 0o755)]
    {
        writer.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        std::io::copy(&mut std::fs::File::open(path).unwrap(), &mut writer).unwrap();
    }
    writer.finish().unwrap();
    let package = Package::mount(&zip, Path::new(&base)).unwrap();
    std::fs::remove_file(&zip).unwrap();
    package
}

#[tokio::test]
async fn the_handler_starts_from_a_mounted_package_on_flex() {
    let emulator = Emulator::start().await;
    let package = package(&executable("handler"));
    let (endpoint, header) = emulator.identity_endpoint();
    // No secret, and no public URL either: the platform says the app's name.
    let settings = [
        ("TENANT_ID", TENANT_ID),
        ("CLIENT_ID", API_CLIENT_ID),
        ("MANAGED_IDENTITY_CLIENT_ID", IDENTITY_CLIENT_ID),
        ("AZURE_AUTHORITY_HOST", &emulator.base_url()),
        ("GRAPH_BASE_URL", &emulator.base_url()),
        ("IDENTITY_ENDPOINT", &endpoint),
        ("IDENTITY_HEADER", &header),
    ];
    let options = HostOptions {
        script_root: package.root().to_owned(),
        profile: Profile::Flex,
        settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        clear_env: true,
    };
    let host = FunctionsHost::start(options).await.unwrap();
    let address = host.base_url().strip_prefix("http://").unwrap().parse().unwrap();
    let get = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        world::raw(address, request.as_bytes()).await
    };
    let ready = async {
        while get("/health/ready").await.label() != "200" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ready).await.expect("keys and identity are there");
    let metadata = get("/.well-known/oauth-protected-resource/mcp").await;
    assert!(metadata.body.contains("https://emulated-app.azurewebsites.net/mcp"), "{}", metadata.body);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_my_profile"}}"#;
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: emulated-app.azurewebsites.net\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2025-11-25\r\nContent-Length: {}\r\n\r\n{body}",
        emulator.token(User::Alice).build(),
        body.len()
    );
    let reply = world::raw(address, request.as_bytes()).await;
    assert_eq!(reply.label(), "200");
    assert!(reply.body.contains(User::Alice.oid()), "{}", reply.body);
    assert_eq!(package.changes(), Vec::<PathBuf>::new());
    let errors: Vec<_> =
        host.log_lines().into_iter().filter(|line| line.stream == functions_host::Stream::Stderr).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn our_own_deadline_comes_before_the_hosts() {
    let text = std::fs::read_to_string(repository().join("host.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let timeout = document["functionTimeout"].as_str().unwrap();
    let parts: Vec<u64> = timeout.split(':').map(|part| part.parse().unwrap()).collect();
    let host = Duration::from_secs(parts[0] * 3600 + parts[1] * 60 + parts[2]);
    assert!(shared::config::LONGEST_CALL * 2 < host, "{host:?}");
}
