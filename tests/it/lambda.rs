//! The real `bootstrap` on a Lambda Runtime API of our own: JSON and streamed answers, stages, authentication
//! (Lambda developer guide, "Using the Lambda runtime API for custom runtimes"; "Response streaming").

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{self, Request};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use emulator::{Emulator, User};
use futures::StreamExt as _;
use http::StatusCode;
use serde_json::{Value, json};
use shared::config::Limits;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::sync::{Mutex, mpsc};

use crate::executable::executable;
use crate::world::{self, BASE_URL};

/// A runtime that hands out one event after the other and takes the answers as they come.
struct Runtime {
    events: mpsc::UnboundedSender<Value>,
    answers: mpsc::UnboundedReceiver<Answer>,
    _bootstrap: Child,
}

/// An answer under way.
struct Answer {
    content_type: String,
    streaming: bool,
    chunks: mpsc::UnboundedReceiver<Bytes>,
    seen: Vec<u8>,
}

#[derive(Clone)]
struct Api {
    events: Arc<Mutex<mpsc::UnboundedReceiver<Value>>>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Runtime {
    async fn start(bootstrap: &Path, emulator: &Emulator) -> Self {
        let (events, incoming) = mpsc::unbounded_channel();
        let (outgoing, answers) = mpsc::unbounded_channel();
        let address = serve(Api { events: Arc::new(Mutex::new(incoming)), answers: outgoing }).await;
        let mut settings: HashMap<String, String> = world::settings_for(&emulator.base_url(), &[]);
        for (name, value) in [
            ("AWS_LAMBDA_RUNTIME_API", address.to_string().as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "mcp"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "log"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "log"),
        ] {
            settings.insert(name.to_owned(), value.to_owned());
        }
        let mut command = tokio::process::Command::new(bootstrap);
        command.env_clear().envs(settings).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        Self { events, answers, _bootstrap: command.spawn().unwrap() }
    }

    async fn answer(&mut self, event: Value) -> Answer {
        self.events.send(event).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), self.answers.recv()).await;
        answer.expect("an answer").expect("the runtime runs")
    }
}

impl Answer {
    /// Reads until this text has come, or to the end.
    async fn until(&mut self, text: &str) -> String {
        let reading = async {
            while !String::from_utf8_lossy(&self.seen).contains(text) {
                match self.chunks.recv().await {
                    Some(chunk) => self.seen.extend_from_slice(&chunk),
                    None => break,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the answer goes on");
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Status and headers, which stand before the body, and the body.
    async fn whole(mut self) -> (Value, String) {
        assert!(self.streaming, "the answer says that it streams");
        assert_eq!(self.content_type, "application/vnd.awslambda.http-integration-response");
        let text = self.until("\u{1}never").await;
        let (prelude, body) = text.split_once("\0\0\0\0\0\0\0\0").unwrap();
        (serde_json::from_str(prelude).unwrap(), body.to_owned())
    }
}

async fn serve(api: Api) -> SocketAddr {
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .with_state(api);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(shared::host::serve::until_stopped(listener, router, Limits::default(), std::future::pending()));
    address
}

async fn next(extract::State(api): extract::State<Api>) -> axum::response::Response {
    let Some(event) = api.events.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let headers = [
        ("lambda-runtime-aws-request-id", "request-1"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:mcp"),
        ("content-type", "application/json"),
    ];
    (headers, event.to_string()).into_response()
}

async fn response(extract::State(api): extract::State<Api>, request: Request<Body>) -> StatusCode {
    let (sender, chunks) = mpsc::unbounded_channel();
    let streaming = header(&request, "lambda-runtime-function-response-mode") == "streaming";
    let answer = Answer { content_type: header(&request, "content-type"), streaming, chunks, seen: Vec::new() };
    api.answers.send(answer).unwrap();
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(chunk)) = body.next().await {
        if sender.send(chunk).is_err() {
            break;
        }
    }
    StatusCode::ACCEPTED
}

fn header(request: &Request<Body>, name: &str) -> String {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// What a Function URL or an HTTP API sends (payload format 2.0).
fn event(method: &str, stage: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Value {
    let mut headers = json!({
        "host": BASE_URL.strip_prefix("https://"),
        "x-forwarded-proto": "https",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
    });
    if let Some(token) = token {
        headers["authorization"] = Value::from(format!("Bearer {token}"));
    }
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "abc",
            "domainName": "mcp.contoso.example",
            "domainPrefix": "mcp",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "it",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": stage,
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1_583_348_638_390_u64,
        },
        "body": body.map(Value::to_string),
        "isBase64Encoded": false,
    })
}

/// What a REST API sends (payload format 1.0): the path is without the stage, which the library puts before it.
fn rest_event(method: &str, stage: &str, path: &str) -> Value {
    json!({
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": { "Host": "mcp.contoso.example", "X-Forwarded-Proto": "https" },
        "multiValueHeaders": { "Host": ["mcp.contoso.example"], "X-Forwarded-Proto": ["https"] },
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": { "proxy": path },
        "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc",
            "httpMethod": method,
            "identity": { "sourceIp": "192.0.2.1", "userAgent": "it" },
            "path": format!("/{stage}{path}"),
            "protocol": "HTTP/1.1",
            "requestId": "id",
            "resourceId": "r",
            "resourcePath": "/{proxy+}",
            "stage": stage,
        },
        "body": null,
        "isBase64Encoded": false,
    })
}

fn list() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })
}

#[tokio::test]
async fn on_lambda_a_call_is_authenticated_and_answered_in_json() {
    let emulator = Emulator::start().await;
    let mut runtime = Runtime::start(&executable("bootstrap"), &emulator).await;
    let (prelude, _) = runtime.answer(event("POST", "$default", "/mcp", None, Some(&list()))).await.whole().await;
    assert_eq!(prelude["statusCode"], 401);
    let challenge = prelude["headers"]["www-authenticate"].as_str().unwrap();
    assert!(challenge.contains("https://mcp.contoso.example/.well-known/oauth-protected-resource/mcp"), "{challenge}");

    let token = emulator.token(User::Alice).build();
    let answer = runtime.answer(event("POST", "$default", "/mcp", Some(&token), Some(&list()))).await;
    let (prelude, body) = answer.whole().await;
    assert_eq!(
        (&prelude["statusCode"], &prelude["headers"]["content-type"]),
        (&json!(200), &json!("application/json"))
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["result"]["tools"].as_array().map(Vec::len), Some(2));

    let forged = format!("{}x", emulator.token(User::Alice).build());
    let answer = runtime.answer(event("POST", "$default", "/mcp", Some(&forged), Some(&list()))).await;
    assert_eq!(answer.whole().await.0["statusCode"], 401);

    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "get_my_profile" } });
    let answer = runtime.answer(event("POST", "$default", "/mcp", Some(&token), Some(&call))).await;
    let body: Value = serde_json::from_str(&answer.whole().await.1).unwrap();
    assert_eq!(body["result"]["structuredContent"]["id"], *User::Alice.oid());
}

#[tokio::test]
async fn on_lambda_a_stage_does_not_change_the_routes() {
    let emulator = Emulator::start().await;
    let mut runtime = Runtime::start(&executable("bootstrap"), &emulator).await;
    let metadata = "/.well-known/oauth-protected-resource/mcp";
    let events = [
        event("GET", "$default", metadata, None, None),
        event("GET", "prod", &format!("/prod{metadata}"), None, None),
        event("GET", "prod", metadata, None, None),
        rest_event("GET", "prod", metadata),
    ];
    for event in events {
        let (prelude, body) = runtime.answer(event.clone()).await.whole().await;
        assert_eq!(prelude["statusCode"], 200, "{event}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["resource"], "https://mcp.contoso.example/mcp", "from settings, whatever the event says");
    }
    let (prelude, _) = runtime.answer(event("GET", "prod", "/prod/nothing", None, None)).await.whole().await;
    assert_eq!(prelude["statusCode"], 404);
}

#[tokio::test]
async fn on_lambda_progress_streams_step_by_step() {
    let emulator = Emulator::start().await;
    let mut runtime = Runtime::start(Path::new(env!("CARGO_BIN_EXE_progress-handler")), &emulator).await;
    let token = emulator.token(User::Alice).build();
    let gate = format!("{}/gate-{:x}", env!("CARGO_TARGET_TMPDIR"), rand::random::<u64>());
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {
            "name": "count", "arguments": { "steps": 3, "gate": gate }, "_meta": { "progressToken": "p" },
        },
    });
    let mut answer = runtime.answer(event("POST", "$default", "/mcp", Some(&token), Some(&call))).await;
    for step in 1..=3 {
        let seen = answer.until(&format!("\"progress\":{step}")).await;
        assert!(step == 3 || !seen.contains("counted"), "{seen}");
        std::fs::write(format!("{gate}.{}", step + 1), "").unwrap();
    }
    let (prelude, body) = answer.whole().await;
    assert_eq!(prelude["headers"]["content-type"], "text/event-stream");
    assert!(body.contains("counted"), "{body}");
    for step in 2..=4 {
        std::fs::remove_file(format!("{gate}.{step}")).unwrap();
    }
}
