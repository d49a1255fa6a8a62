//! One emulator, one server, and ways to talk to it.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, TENANT_ID, User};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use shared::config::Config;
use shared::process::Process;
use support::{sentinel, vector::Placeholders};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

pub(crate) const BASE_URL: &str = "https://mcp.contoso.example";
pub(crate) const MCP_URL: &str = "https://mcp.contoso.example/mcp";

/// A server whose Entra and Graph are an emulator.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) process: &'static Process,
    app: Router,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl World {
    /// A world whose server has fetched its keys.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::with_on(Emulator::start().await, settings).await
    }

    /// A server of its own at this emulator.
    pub(crate) async fn with_on(emulator: Emulator, settings: &[(&str, &str)]) -> Self {
        let world = Self::cold(emulator, settings);
        world.process.start();
        world.until_keys_are_there().await;
        world
    }

    /// A server that has not yet asked for keys.
    pub(crate) fn cold(emulator: Emulator, settings: &[(&str, &str)]) -> Self {
        watch_the_logs();
        emulator.identifier_uri(MCP_URL);
        let config = config(&emulator.base_url(), settings);
        let process = Process::new(config).unwrap().leaked();
        Self { app: handler::app(process), emulator, process }
    }

    /// Other routes for the same process.
    pub(crate) fn serve(&mut self, app: Router) {
        self.app = app;
    }

    pub(crate) async fn until_keys_are_there(&self) {
        let wait = async {
            while self.process.jwks.status().usable == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("keys arrive");
    }

    pub(crate) fn placeholders(&self) -> Placeholders {
        Placeholders::new([
            ("tid", TENANT_ID.to_owned()),
            ("cid", API_CLIENT_ID.to_owned()),
            ("iss", self.emulator.issuer()),
            ("authority", self.emulator.base_url()),
            ("kid", self.emulator.signing_key().kid().to_owned()),
            ("mcp", MCP_URL.to_owned()),
        ])
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).header("host", "127.0.0.1").body(Body::empty()).unwrap()).await
    }

    /// A JSON-RPC request of the 2025-11-25 revision.
    pub(crate) async fn legacy(&self, token: &str, body: &Value) -> Reply {
        self.send(rpc(token, "2025-11-25", &[], body)).await
    }

    pub(crate) async fn list_tools(&self, token: &str) -> Reply {
        self.legacy(token, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await
    }

    pub(crate) async fn call_tool(&self, token: &str, tool: &str) -> Reply {
        self.call_tool_as(token, tool, json!(1)).await
    }

    pub(crate) async fn call_tool_as(&self, token: &str, tool: &str, id: Value) -> Reply {
        let params = json!({ "name": tool, "arguments": {} });
        self.legacy(token, &json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })).await
    }

    /// A JSON-RPC request of the 2026-07-28 revision, with the headers and `_meta` it asks for.
    pub(crate) async fn modern(&self, token: &str, method: &str, params: Value) -> Reply {
        self.send(modern_request(token, method, params)).await
    }

    /// Serves on a real socket; the address to talk to.
    pub(crate) async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = self.process.config.limits;
        tokio::spawn(shared::host::serve::until_stopped(listener, self.app.clone(), limits, std::future::pending()));
        address
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let leaks = LEAKS.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::thread::panicking() {
            assert!(leaks.is_empty(), "log lines carry secrets: {leaks:#?}");
        }
    }
}

impl Reply {
    /// `401 invalid_token`: the status, and the challenge's error where there is one.
    pub(crate) fn label(&self) -> String {
        match self.challenge_param("error") {
            Some(error) => format!("{} {error}", self.status.as_u16()),
            None => self.status.as_u16().to_string(),
        }
    }

    /// A parameter of the one challenge.
    pub(crate) fn challenge_param(&self, name: &str) -> Option<String> {
        let challenge = self.headers.get("www-authenticate")?.to_str().ok()?;
        let start = challenge.find(&format!("{name}=\""))? + name.len() + 2;
        challenge[start..].split('"').next().map(str::to_owned)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.body))
    }

    /// What the tool returned, which must have succeeded.
    pub(crate) fn structured(&self) -> Value {
        let body = self.json();
        assert_ne!(body["result"]["isError"], json!(true), "{body}");
        body["result"]["structuredContent"].clone()
    }
}

/// Checks an answer's label.
#[track_caller]
pub(crate) fn check(reply: &Reply, expected: &str) {
    assert_eq!(reply.label(), expected, "{}", reply.body);
}

pub(crate) fn config(emulator_url: &str, settings: &[(&str, &str)]) -> Config {
    let variables = settings_for(emulator_url, settings);
    Config::from_lookup(|name| variables.get(name).cloned()).unwrap()
}

pub(crate) fn settings_for(emulator_url: &str, settings: &[(&str, &str)]) -> HashMap<String, String> {
    let defaults = [
        ("TENANT_ID", TENANT_ID),
        ("CLIENT_ID", API_CLIENT_ID),
        ("CLIENT_SECRET", CLIENT_SECRET),
        ("RESOURCE_SERVER_URL", BASE_URL),
        ("AZURE_AUTHORITY_HOST", emulator_url),
        ("GRAPH_BASE_URL", emulator_url),
        // Tests of many calls are about something else.
        ("MAX_CALLER_REQUESTS_PER_MINUTE", "1000000"),
    ];
    defaults.into_iter().chain(settings.iter().copied()).map(|(name, value)| (name.into(), value.into())).collect()
}

pub(crate) fn rpc(token: &str, version: &str, headers: &[(&str, &str)], body: &Value) -> Request<Body> {
    let mut request = Request::post("/mcp")
        .header("host", "mcp.contoso.example")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", version);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_string())).unwrap()
}

pub(crate) fn modern_request(token: &str, method: &str, params: Value) -> Request<Body> {
    modern_request_with(token, method, params, &json!({}))
}

/// The same of a client with these capabilities.
pub(crate) fn modern_request_with(token: &str, method: &str, mut params: Value, capabilities: &Value) -> Request<Body> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "it", "version": "0" },
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    let mut headers = vec![("mcp-method", method.to_owned())];
    if let Some(name) = params["name"].as_str() {
        headers.push(("mcp-name", name.to_owned()));
    }
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    rpc(token, "2026-07-28", &headers, &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
}

/// Sends bytes as they are and reads until the server closes.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> Reply {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        // A server that refuses early may reset the connection after its answer.
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    };
    let bytes = tokio::time::timeout(Duration::from_secs(15), exchange).await.expect("an answer");
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    Reply { status, headers, body: body.to_owned() }
}

static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LOGS: Once = Once::new();

/// From now on every log line at trace level is searched for secrets and control characters.
pub(crate) fn watch_the_logs() {
    use tracing_subscriber::layer::SubscriberExt as _;
    LOGS.call_once(|| {
        for user in User::ALL {
            for claim in [user.name(), user.upn(), user.oid()] {
                sentinel::register(claim);
            }
        }
        sentinel::register(CLIENT_SECRET);
        let layer = shared::telemetry::layer(|| Watch, Some("trace"), false);
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    });
}

/// A line of the audit log says who called: that is what it is for. Nothing else of it may name anybody.
pub(crate) fn without_who(line: &str) -> String {
    let (marks, quoted) = if line.contains("\"target\":\"audit\"") {
        (true, "\"oid\":\"")
    } else {
        (line.contains(" audit: "), " oid=\"")
    };
    let who = marks.then(|| line.split_once(quoted)).flatten();
    match who.and_then(|(before, after)| Some((before, after.split_once('"')?.1))) {
        Some((before, after)) => format!("{before}{after}"),
        None => line.to_owned(),
    }
}

struct Watch;

impl Write for Watch {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = without_who(&String::from_utf8_lossy(line));
        let control = text.trim_end_matches('\n').chars().any(char::is_control);
        let leak = sentinel::leak_in(&text).or_else(|| control.then(|| "a raw control character".to_owned()));
        if let Some(leak) = leak {
            let target: String = text.split("\"target\":").nth(1).unwrap_or(&text).chars().take(60).collect();
            LEAKS.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{leak} in {target}"));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
