//! The host's contract, with a handler that shows what it was given.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests: helpers stop them too")]

use std::path::PathBuf;
use std::time::Duration;

use functions_host::{FunctionsHost, HostError, HostOptions, HostState, Level, Profile};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HANDLER: &str = env!("CARGO_BIN_EXE_test-handler");

/// A host.json like ours, in a folder of its own.
fn host_json() -> Value {
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

fn options(host_json: &Value, settings: &[(&str, &str)]) -> HostOptions {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let script_root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("root-{}-{count}", std::process::id()));
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

async fn start(settings: &[(&str, &str)]) -> FunctionsHost {
    FunctionsHost::start(options(&host_json(), settings)).await.unwrap()
}

async fn connect(host: &FunctionsHost, request: &str) -> TcpStream {
    let address = host.base_url().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn ask(host: &FunctionsHost, request: &str) -> String {
    let mut text = String::new();
    connect(host, request).await.read_to_string(&mut text).await.unwrap();
    text
}

/// The head of the request as the handler saw it, in lower case.
async fn echoed(host: &FunctionsHost, request: &str) -> Vec<String> {
    let answer = ask(host, request).await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_else(|| panic!("{answer}"));
    let echo: Value = serde_json::from_str(body.trim()).unwrap_or_else(|_| panic!("{answer}"));
    echo["head"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_ascii_lowercase()).collect()
}

#[tokio::test]
async fn the_handler_sees_the_hosts_headers_and_none_that_a_client_made_up() {
    let host = start(&[]).await;
    let head = echoed(
        &host,
        "POST /mcp?x=%20y HTTP/1.1\r\nHost: public.example\r\nAuthorization: Bearer t\r\nMcp-Method: tools/list\r\n\
         X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: host=evil\r\n\
         X-Forwarded-Prefix: /evil\r\nX-Ms-Invocation-Id: forged\r\nX-Azure-Functions-InvocationId: forged\r\n\
         Cookie: a=1\r\nTE: trailers\r\nProxy-Authorization: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    )
    .await;
    let has = |line: &str| head.iter().any(|seen| seen == line);
    assert_eq!(head[0], "post /mcp?x=%20y http/1.1");
    assert!(has(&format!("host: 127.0.0.1:{}", host.handler_port())), "{head:?}");
    assert!(
        has("x-forwarded-for: 127.0.0.1") && has("x-forwarded-host: public.example") && has("x-forwarded-proto: http")
    );
    assert!(has("authorization: bearer t") && has("mcp-method: tools/list") && has("cookie: a=1"));
    for gone in ["forwarded:", "x-forwarded-prefix:", "te:", "proxy-authorization:"] {
        assert!(!head.iter().any(|seen| seen.starts_with(gone)), "{gone}");
    }
    assert!(!head.iter().any(|seen| seen.contains("forged") || seen.contains("evil")), "{head:?}");
    assert_eq!(head.iter().filter(|seen| seen.starts_with("x-azure-functions-")).count(), 2);
}

#[tokio::test]
async fn answers_keep_their_headers_but_for_hop_by_hop_ones() {
    let host = start(&[]).await;
    let answer = ask(&host, "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let lower = answer.to_ascii_lowercase();
    assert!(lower.contains("www-authenticate: bearer x") && !lower.contains("keep-alive"), "{answer}");
}

#[tokio::test]
async fn a_stream_arrives_chunk_by_chunk() {
    let host = start(&[]).await;
    let mut stream = connect(&host, "GET /health/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("one") {
        let length = stream.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(!seen.contains("six"), "the last chunk came with the first: {seen}");
    stream.read_to_string(&mut seen).await.unwrap();
    assert!(seen.contains("six"), "{seen}");
}

#[tokio::test]
async fn what_no_route_matches_never_reaches_the_handler() {
    let host = start(&[("EXIT_ON", "/other")]).await;
    let answer = ask(&host, "GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert_eq!(host.state(), HostState::Running);
    assert_eq!(host.restarts(), 0);
}

#[tokio::test]
async fn log_lines_have_the_severity_the_host_gives_them() {
    let host = start(&[]).await;
    let both = async {
        while host.log_lines().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    let mut levels: Vec<(Level, String)> = host.log_lines().into_iter().map(|line| (line.level, line.text)).collect();
    levels.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(levels[0].0, Level::Warning);
    assert_eq!(levels[1], (Level::Information, "listening".to_owned()));
}

#[tokio::test]
async fn exit_codes_mean_what_they_mean_to_the_host() {
    let leave = "GET /health/leave HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let after = async |code: &str, times: usize| {
        let host = start(&[("EXIT_ON", "/health/leave"), ("EXIT_CODE", code)]).await;
        for time in 1..=times {
            ask(&host, leave).await;
            let noticed = async {
                while host.restarts() < time && host.state() == HostState::Running {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                while host.state() == HostState::Running && host.handler_pid().is_none() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), noticed).await.unwrap();
        }
        (host.state(), host.restarts())
    };
    assert_eq!(after("0", 1).await, (HostState::HandlerExitedZero, 0));
    assert_eq!(after("200", 4).await, (HostState::Running, 4));
    assert_eq!(after("1", 2).await, (HostState::Running, 2));
    assert!(matches!(after("1", 3).await, (HostState::Stopped { .. }, 2)));
}

#[tokio::test]
async fn a_handler_that_ends_at_once_is_quoted() {
    let error = FunctionsHost::start(options(&host_json(), &[("EXIT_AT_START", "78")])).await.unwrap_err();
    assert!(matches!(&error, HostError::Ended { last_words, .. } if last_words == "cannot go on"), "{error}");
}

#[tokio::test]
async fn settings_override_host_json_whatever_their_case() {
    let mut broken = host_json();
    broken["customHandler"]["description"]["defaultExecutablePath"] = json!("no-such-handler");
    let path = ("azurefunctionsjobhost__CustomHandler__Description__DefaultExecutablePath", HANDLER);
    assert!(FunctionsHost::start(options(&broken, &[path])).await.is_ok());
    let error = FunctionsHost::start(options(&broken, &[])).await.unwrap_err();
    assert!(matches!(error, HostError::Executable { .. }), "{error}");
}

/// What the message must name, and the change that breaks a good host.json.
type Broken = (&'static str, fn(&mut Value));

#[tokio::test]
async fn every_rule_of_host_json_has_a_broken_form_that_is_refused() {
    let broken: [Broken; 9] = [
        ("version", |json| json["version"] = json!("1.0")),
        ("configurationProfile", |json| json["configurationProfile"] = json!("no-such-profile")),
        ("customHandler.enableProxyingHttpRequest", |json| {
            json["customHandler"]["enableProxyingHttpRequest"] = json!(false);
        }),
        ("customHandler.http.enableProxying", |json| {
            json["customHandler"]["enableProxyingHttpRequest"] = json!(null);
            json["customHandler"]["http"]["enableProxying"] = json!(true);
        }),
        ("customHandler.http.routes", |json| json["customHandler"]["http"]["routes"] = json!([])),
        ("customHandler.http.routes", |json| json["customHandler"]["http"]["routes"][0]["route"] = json!("admin/x")),
        ("authorization level", |json| {
            json["customHandler"]["http"]["routes"][0]["authorizationLevel"] = json!("open");
        }),
        ("defaultExecutablePath", |json| json["customHandler"]["description"] = json!({})),
        ("initializationTimeout", |json| json["customHandler"]["initializationTimeout"] = json!("soon")),
    ];
    for (named, change) in broken {
        let mut changed = host_json();
        change(&mut changed);
        let error = FunctionsHost::start(options(&changed, &[])).await.unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
    let mut wrong_runtime = options(&host_json(), &[]);
    wrong_runtime.settings = vec![("FUNCTIONS_WORKER_RUNTIME".to_owned(), "node".to_owned())];
    let error = FunctionsHost::start(wrong_runtime).await.unwrap_err().to_string();
    assert!(error.contains("worker runtime: custom"), "{error}");
    let both = options(&host_json(), &[]);
    std::fs::create_dir_all(both.script_root.join("mcp")).unwrap();
    std::fs::write(both.script_root.join("mcp/function.json"), "{}").unwrap();
    let error = FunctionsHost::start(both).await.unwrap_err().to_string();
    assert!(error.contains("exclude each other"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn an_executable_without_its_x_bit_is_named() {
    let mut changed = host_json();
    changed["customHandler"]["description"]["defaultExecutablePath"] = json!("handler");
    let options = options(&changed, &[]);
    std::fs::write(options.script_root.join("handler"), "no program").unwrap();
    let error = FunctionsHost::start(options).await.unwrap_err().to_string();
    assert!(error.contains("0755"), "{error}");
}

#[tokio::test]
async fn the_repositorys_host_json_is_one_the_host_takes() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("host.json")).unwrap();
    let ours: Value = serde_json::from_str(&text).unwrap();
    let executable = ("AzureFunctionsJobHost__customHandler__description__defaultExecutablePath", HANDLER);
    let host = FunctionsHost::start(options(&ours, &[executable])).await.unwrap();
    for path in ["/mcp", "/.well-known/oauth-protected-resource/mcp", "/health", "/health/ready"] {
        let answer = ask(&host, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}
