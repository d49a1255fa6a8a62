//! A valid whole that each test changes one thing in, and a client that hides nothing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use functions_host::{FunctionsHost, HostError, HostOptions, Profile};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const HANDLER: &str = env!("CARGO_BIN_EXE_test-handler");

/// A host.json like ours.
pub(crate) fn host_json() -> Value {
    json!({
        "version": "2.0",
        "extensions": { "http": { "routePrefix": "" } },
        "customHandler": {
            "description": { "defaultExecutablePath": HANDLER },
            "enableProxyingHttpRequest": true,
            "http": { "defaultAuthorizationLevel": "anonymous", "routes": [{ "route": "mcp" }, { "route": "health/{*path}" }] },
        },
    })
}

/// Options with that host.json in a folder of its own.
pub(crate) fn options(host_json: &Value, settings: &[(&str, &str)]) -> HostOptions {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    let script_root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("root-{}-{count}", std::process::id()));
    // A folder of an earlier process with the same id.
    drop(std::fs::remove_dir_all(&script_root));
    std::fs::create_dir_all(&script_root).unwrap();
    std::fs::write(script_root.join("host.json"), host_json.to_string()).unwrap();
    let settings = [("FUNCTIONS_WORKER_RUNTIME", "custom")].iter().chain(settings);
    HostOptions {
        script_root,
        profile: Profile::CoreTools,
        settings: settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        clear_env: true,
    }
}

pub(crate) fn on_flex(host_json: &Value, settings: &[(&str, &str)]) -> HostOptions {
    let mut options = options(host_json, settings);
    // There it comes from the platform.
    options.settings.retain(|(name, _)| name != "FUNCTIONS_WORKER_RUNTIME");
    HostOptions { profile: Profile::Flex, ..options }
}

pub(crate) async fn start(settings: &[(&str, &str)]) -> FunctionsHost {
    FunctionsHost::start(options(&host_json(), settings)).await.unwrap()
}

/// Why a host does not start.
pub(crate) async fn refusal(options: HostOptions) -> HostError {
    match FunctionsHost::start(options).await {
        Err(error) => error,
        Ok(host) => panic!("{} started", host.base_url()),
    }
}

/// A port that no other test gets while the socket lives, and that a listener can be bound to all the same.
pub(crate) fn own_port() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Waits until a port refuses connections. A process that a parallel test is just starting has copies of this one's
/// sockets until it becomes another program, so a closed listener may listen a moment longer.
pub(crate) async fn until_refused(port: u16) {
    until("nobody listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err()).await;
}

pub(crate) async fn connect(host: &FunctionsHost, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host.base_url().replace("http://", "")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The whole answer to a request whose connection ends with it.
pub(crate) async fn ask(host: &FunctionsHost, request: &str) -> String {
    let mut bytes = Vec::new();
    connect(host, request).await.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

pub(crate) async fn get(host: &FunctionsHost, path: &str) -> String {
    ask(host, &format!("GET {path} HTTP/1.1\r\nHost: public.example\r\nConnection: close\r\n\r\n")).await
}

/// The status code of `GET path`.
pub(crate) async fn status(host: &FunctionsHost, path: &str) -> String {
    get(host, path).await.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// What the handler saw of a request: its head in lower case is `head`.
pub(crate) async fn echoed(host: &FunctionsHost, request: &str) -> Value {
    let answer = ask(host, request).await;
    let body = answer.rsplit("\r\n\r\n").find(|part| part.starts_with('{')).unwrap_or_else(|| panic!("{answer}"));
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
}

pub(crate) fn head(echo: &Value) -> Vec<String> {
    echo["head"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_ascii_lowercase()).collect()
}

/// Reads until `text` has come, and gives everything so far.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    let read = async {
        while !seen.contains(text) {
            let length = stream.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0, "the connection ended before '{text}': {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
    seen
}

/// Waits for a condition that another process brings about.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), met).await.unwrap_or_else(|_| panic!("not seen: {what}"));
}

/// Waits for a line of the handler.
pub(crate) async fn until_logged(host: &FunctionsHost, text: &str) {
    until(text, || logged(host, text)).await;
}

pub(crate) fn logged(host: &FunctionsHost, text: &str) -> bool {
    host.log_lines().iter().any(|line| line.text == text)
}

/// Whether any process was started with `variable`, spelled `NAME=value`.
pub(crate) fn any_process_has(variable: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("environ")).ok())
        .any(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes()))
}
