//! What the server tells about its work: one line a request, traces and metrics for a collector; and that neither costs a
//! request anything when the collector is ill.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use emulator::{Emulator, Endpoint, Fault, User};
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};
use support::sentinel;
use tokio::net::TcpListener;

use crate::executable::Handler;
use crate::world::{self, Reply, check};

/// Of the W3C's own examples: the trace that a proxy names in headers, and the one that the client names in `_meta`.
const OF_PROXY: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OF_CLIENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a collector was sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Collected {
    spans: Vec<Span>,
    /// The newest of each series: instrument and attributes → value, or count of a histogram.
    series: BTreeMap<String, f64>,
    resources: Vec<Resource>,
    keys: Vec<String>,
    /// Every byte, for the search for secrets.
    raw: String,
}

impl Collector {
    /// A collector, and its base URL.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let app = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .with_state(collector.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        (collector, url)
    }

    fn received(&self, headers: &HeaderMap, body: &Bytes) -> std::sync::MutexGuard<'_, Collected> {
        let mut collected = self.0.lock().unwrap();
        collected.keys.push(headers["api-key"].to_str().unwrap().to_owned());
        collected.raw.push_str(&String::from_utf8_lossy(body));
        collected
    }

    fn span(&self, name: &str) -> Span {
        let collected = self.0.lock().unwrap();
        let names: Vec<&str> = collected.spans.iter().map(|span| span.name.as_str()).collect();
        collected.spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {names:?}")).clone()
    }

    fn value(&self, series: &str) -> f64 {
        let collected = self.0.lock().unwrap();
        *collected.series.get(series).unwrap_or_else(|| panic!("{series}: {:#?}", collected.series))
    }
}

async fn traces(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) {
    let mut collected = collector.received(&headers, &body);
    for traces in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        collected.resources.extend(traces.resource);
        collected.spans.extend(traces.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
}

async fn metrics(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) {
    let mut collected = collector.received(&headers, &body);
    for metrics in ExportMetricsServiceRequest::decode(body).unwrap().resource_metrics {
        collected.resources.extend(metrics.resource);
        for metric in metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            for (attributes, value) in points(metric.data.unwrap()) {
                collected.series.insert(format!("{}{attributes}", metric.name), value);
            }
        }
    }
}

/// The points of an instrument: attributes in order, and the value or the count.
fn points(data: Data) -> Vec<(String, f64)> {
    let number = |value: Option<Number>| match value.unwrap() {
        Number::AsDouble(value) => value,
        Number::AsInt(value) => f64::from(i32::try_from(value).unwrap()),
    };
    match data {
        Data::Gauge(gauge) => gauge.data_points.into_iter().map(|p| (text(&p.attributes), number(p.value))).collect(),
        Data::Sum(sum) => sum.data_points.into_iter().map(|p| (text(&p.attributes), number(p.value))).collect(),
        Data::Histogram(histogram) => histogram
            .data_points
            .into_iter()
            .map(|p| (text(&p.attributes), f64::from(u32::try_from(p.count).unwrap())))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn text(attributes: &[KeyValue]) -> String {
    let sorted: BTreeMap<&str, String> =
        attributes.iter().map(|pair| (pair.key.as_str(), plain(pair.value.as_ref()))).collect();
    let pairs: Vec<String> = sorted.iter().map(|(key, value)| format!(" {key}={value}")).collect();
    pairs.concat()
}

fn plain(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.clone()) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn attribute(span: &Span, key: &str) -> String {
    plain(span.attributes.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// Settings that export to this URL soon after something happened.
fn exporting(emulator: &Emulator, url: &str) -> HashMap<String, String> {
    world::settings_for(
        &emulator.base_url(),
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=key-of-the-collector"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
            ("SERVER_NAME", "documents"),
        ],
    )
}

/// A call that is part of two traces.
async fn traced_call(handler: &Handler, token: &str, tool: &str) -> Reply {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "it", "version": "0" },
        "io.modelcontextprotocol/clientCapabilities": {},
        "traceparent": OF_CLIENT,
        "tracestate": "vendor=1",
        "baggage": "userId=somebody",
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "_meta": meta } });
    let body = body.to_string();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\
         Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\ntraceparent: {OF_PROXY}\r\nbaggage: userId=somebody\r\n\
         X-Azure-Functions-InvocationId: 6F9619FF-8B86-D011-B42D-00CF4FC964FF\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    world::raw(handler.address, request.as_bytes()).await
}

async fn until_ready(handler: &Handler) {
    let ready = async {
        while handler.get("/health/ready").await.label() != "200" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ready).await.expect("keys arrive");
}

#[tokio::test]
async fn a_collector_gets_the_traces_and_metrics_of_a_call() {
    let emulator = Emulator::start().await;
    let (collector, url) = Collector::start().await;
    for user in User::ALL {
        for claim in [user.name(), user.upn(), user.oid()] {
            sentinel::register(claim);
        }
    }
    let handler = Handler::start(exporting(&emulator, &url)).await;
    until_ready(&handler).await;
    let alice = emulator.token(User::Alice).build();
    check(&traced_call(&handler, &alice, "get_my_profile").await, "200");
    check(&traced_call(&handler, &alice, "get_my_profile").await, "200");
    check(
        &handler.post(&alice, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none"}}"#).await,
        "200",
    );
    check(&handler.post(&emulator.token(User::Alice).claim("aud", "another").build(), "{}").await, "401 invalid_token");
    check(&handler.get("/nowhere").await, "404");
    let collected = async {
        while collector.0.lock().unwrap().spans.iter().filter(|span| span.name == "GET graph").count() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), collected).await.expect("spans while the server runs");
    handler.terminate();
    let (_, errors) = handler.output().await;
    assert_eq!(errors, "");

    // Traces: the proxy's holds the HTTP request, the client's the tool call and what it asked of Graph.
    let [http, tool, graph] = ["POST /mcp", "tools/call get_my_profile", "GET graph"].map(|name| collector.span(name));
    let [proxy_trace, client_trace] = [OF_PROXY, OF_CLIENT].map(|parent| parent.split('-').nth(1).unwrap());
    assert_eq!((hex(&http.trace_id).as_str(), hex(&http.parent_span_id).as_str()), (proxy_trace, "00f067aa0ba902b7"));
    assert_eq!((hex(&tool.trace_id).as_str(), hex(&tool.parent_span_id).as_str()), (client_trace, "b7ad6b7169203331"));
    assert_eq!(tool.links.iter().map(|link| hex(&link.trace_id)).collect::<Vec<_>>(), [proxy_trace]);
    assert_eq!((hex(&graph.trace_id).as_str(), &graph.parent_span_id), (client_trace, &tool.span_id));
    assert_eq!([http.kind, tool.kind, graph.kind], [2, 2, 3], "server, server, client");
    assert_eq!(attribute(&http, "http.response.status_code"), "200");
    assert_eq!(attribute(&http, "http.route"), "/mcp");
    assert_eq!(attribute(&tool, "mcp.method.name"), "tools/call");
    assert_eq!(attribute(&tool, "mcp.protocol.version"), "2026-07-28");
    assert_eq!(attribute(&tool, "gen_ai.tool.name"), "get_my_profile");
    assert_eq!(attribute(&graph, "http.response.status_code"), "200");
    for name in ["auth.verify", "obo.acquire_token", "jwks.fetch"] {
        collector.span(name);
    }
    // Graph is told of the same trace, with the span that asked it as parent.
    let told = emulator.graph_traces();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], format!("00-{client_trace}-{}-01", hex(&graph.span_id)));

    // Metrics.
    let call = "mcp.server.operation.duration gen_ai.operation.name=execute_tool gen_ai.tool.name=get_my_profile mcp.method.name=tools/call";
    for (series, value) in [
        (call, 2.0),
        (
            "mcp.server.operation.duration error.type=no_such_tool gen_ai.operation.name=execute_tool gen_ai.tool.name=- mcp.method.name=tools/call",
            1.0,
        ),
        ("http.server.request.duration http.request.method=POST http.response.status_code=200 http.route=/mcp", 3.0),
        (
            "http.server.request.duration error.type=token_audience http.request.method=POST http.response.status_code=401 http.route=/mcp",
            1.0,
        ),
        ("http.server.request.duration http.request.method=GET http.response.status_code=404 http.route=-", 1.0),
        ("http.server.active_requests http.route=/mcp", 0.0),
        ("http.client.request.duration http.response.status_code=200 peer.service=graph", 2.0),
        ("auth.refusals error.type=token_audience", 1.0),
        ("jwks.fetches outcome=ok", 1.0),
        ("jwks.keys", 2.0),
        ("obo.exchanges outcome=ok", 1.0),
        ("obo.cache.lookups outcome=miss", 1.0),
        ("obo.cache.lookups outcome=hit", 1.0),
        ("obo.cache.entries", 1.0),
        ("obo.breaker.open", 0.0),
        ("panics", 0.0),
    ] {
        assert!((collector.value(series) - value).abs() < f64::EPSILON, "{series}: {}", collector.value(series));
    }
    assert!(collector.value("jwks.age") < 60.0);

    let collected = collector.0.lock().unwrap();
    assert!(
        collected.resources.iter().all(|of| text(&of.attributes).contains(" service.name=documents")),
        "whose they are"
    );
    assert!(collected.keys.iter().all(|key| key == "key-of-the-collector"));
    assert_eq!(sentinel::leak_in(&collected.raw), None);
    assert!(!collected.raw.contains("somebody"), "baggage stays where it is");
}

#[tokio::test]
async fn a_collector_that_hangs_harms_no_call() {
    let emulator = Emulator::start().await;
    // Takes connections and never answers.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", deaf.local_addr().unwrap());
    let connections = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = deaf.accept().await {
            kept.push(stream);
        }
    });
    let handler = Handler::start(exporting(&emulator, &url)).await;
    until_ready(&handler).await;
    let alice = emulator.token(User::Alice).build();
    // More spans than the exporter's queue of 2,048 holds.
    for _ in 0..800 {
        let reply = traced_call(&handler, &alice, "get_my_profile").await;
        check(&reply, "200");
    }
    handler.terminate();
    let (log, errors) = handler.output().await;
    assert_eq!(errors, "");
    let lines = |target: &str| log.lines().filter(|line| line.contains(&format!("\"target\":\"{target}\""))).count();
    assert!(lines("request") >= 800 && lines("audit") == 800);
    connections.abort();
}

#[tokio::test]
async fn a_collector_that_is_away_is_told_of_once() {
    let emulator = Emulator::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let handler = Handler::start(exporting(&emulator, &url)).await;
    until_ready(&handler).await;
    let alice = emulator.token(User::Alice).build();
    for _ in 0..10 {
        check(&traced_call(&handler, &alice, "whoami").await, "200");
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    handler.terminate();
    let (log, errors) = handler.output().await;
    assert_eq!(errors, "");
    // Once for traces, once for metrics.
    assert_eq!(log.matches("telemetry cannot be exported").count(), 2, "{log}");
}

#[tokio::test]
async fn each_request_is_one_line() {
    let emulator = Emulator::start().await;
    let handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
    until_ready(&handler).await;
    let alice = emulator.token(User::Alice).build();
    traced_call(&handler, &alice, "whoami").await;
    traced_call(&handler, &alice, "get_my_profile").await;
    traced_call(&handler, &alice, "get_my_profile").await;
    // Refused by scope, by its audience, by nothing at all; by Graph; a method that is not there; another route.
    traced_call(&handler, &emulator.token(User::Bob).build(), "get_my_profile").await;
    traced_call(&handler, &emulator.token(User::Alice).claim("aud", "another").build(), "whoami").await;
    handler.get("/mcp").await;
    emulator.faults().set(Endpoint::GraphMe, Fault::Status { status: 403, retry_after: None });
    traced_call(&handler, &alice, "get_my_profile").await;
    handler.post(&alice, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    handler.get("/.well-known/oauth-protected-resource/mcp").await;
    handler.terminate();
    let (log, errors) = handler.output().await;
    assert_eq!(errors, "");

    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["target"] == "request" && line["http.route"] != "/health/ready")
        .collect();
    let told: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!([
                line["http.route"],
                line["http.response.status_code"],
                line["gen_ai.tool.name"],
                line["outcome"],
                line["error.type"],
                line["obo.cache"],
                line["graph_requests"]
            ])
        })
        .collect();
    let n = Value::Null;
    assert_eq!(
        Value::from(told),
        json!([
            ["/mcp", 200, "whoami", "ok", n, n, n],
            ["/mcp", 200, "get_my_profile", "ok", n, "miss", 1],
            ["/mcp", 200, "get_my_profile", "ok", n, "hit", 1],
            ["/mcp", 403, "get_my_profile", "refused", "insufficient_scope", n, n],
            ["/mcp", 401, n, "refused", "token_audience", n, n],
            ["/mcp", 401, n, "refused", "missing_token", n, n],
            ["/mcp", 200, "get_my_profile", "tool_error", n, "hit", 1],
            ["/mcp", 200, n, "ok", n, n, n],
            ["/.well-known/oauth-protected-resource/mcp", 200, n, "ok", n, n, n],
        ])
    );
    for line in &lines {
        let part = |name: &str| line[name].as_f64().unwrap_or_default();
        let parts = part("verify_ms") + part("exchange_ms") + part("graph_ms");
        assert!(part("duration_ms") > 0.0 && parts <= part("duration_ms"), "{line}");
        assert_eq!(line["verify_ms"].is_number(), line["http.route"] == "/mcp", "{line}");
        assert_eq!(line["graph_ms"].is_number(), line["graph_requests"].is_number(), "{line}");
        assert_eq!(line["request_id"].as_str().map(str::len), Some(32), "{line}");
    }
    assert_eq!(lines[0]["invocation_id"], "6f9619ff-8b86-d011-b42d-00cf4fc964ff");
    assert_eq!(lines[7]["mcp.method.name"], "tools/list");
    // The same person is the same value, another one another; neither is an object ID.
    let callers: Vec<&str> = lines.iter().filter_map(|line| line["caller"].as_str()).collect();
    assert_eq!(callers.len(), 6, "those whose token is good");
    assert!(callers[0] == callers[1] && callers[0] != callers[3] && callers[0].len() == 16, "{callers:?}");
    let ids: std::collections::BTreeSet<&str> = lines.iter().filter_map(|line| line["request_id"].as_str()).collect();
    assert_eq!(ids.len(), lines.len());
}

#[tokio::test]
async fn a_flood_of_strangers_is_not_a_flood_of_lines() {
    let emulator = Emulator::start().await;
    let handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
    until_ready(&handler).await;
    for _ in 0..300 {
        check(&handler.get("/mcp").await, "401");
    }
    assert_few_lines(handler, "missing_token").await;
}

#[tokio::test]
async fn nor_is_it_while_they_are_answered_with_an_error_of_ours() {
    let emulator = Emulator::start().await;
    let token = emulator.token(User::Alice).build();
    emulator.stop().await;
    let handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
    for _ in 0..300 {
        check(&handler.post(&token, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await, "503");
    }
    assert_few_lines(handler, "keys_unavailable").await;
}

/// Ends the handler: of 300 refusals of that class in a row some left a line, and not all.
async fn assert_few_lines(handler: Handler, class: &str) {
    handler.terminate();
    let (log, _) = handler.output().await;
    let lines = log.matches(class).count();
    assert!((20..300).contains(&lines), "{lines}");
}
