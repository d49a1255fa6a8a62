//! The short way to the server for the calls that come all the time.
//!
//! rmcp's transport starts four tasks and three channels for each request, which costs more than all the rest of a call. A
//! request that is regular in every way is read once and handed to the same `Service::handle_request` that the transport
//! would hand it to. Whatever is out of the ordinary, in its headers, its envelope or its `_meta`, goes to the transport, which
//! judges it: so the short way needs to know the plainest form only, takes nothing that the transport would refuse, and refuses
//! nothing itself.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures::{sink, stream};
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientRequest, ErrorCode, ErrorData, Implementation,
    InitializeRequestParams, JsonObject, JsonRpcMessage, PaginatedRequestParams, ProtocolVersion, Request, RequestId,
    RequestMetaObject, RequestOptionalParam, ServerJsonRpcMessage,
};
use rmcp::service::{Peer, RequestContext, Service as _, serve_directly};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::server::{McpServer, PROTOCOL_VERSIONS, is_modern};

const JSON: &str = "application/json";
/// How most clients accept both kinds of answer.
const USUAL_ACCEPT: &str = "application/json, text/event-stream";
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// How an encoded header value begins (MCP 2026-07-28, Streamable HTTP: `=?base64?…?=`).
const ENCODED: &str = "=?";

/// Room for most answers.
const USUAL_BYTES: usize = 1_024;

/// The `_meta` keys with which a request asks for messages before its result, which only a stream can carry (MCP 2026-07-28,
/// Base Protocol, `_meta`).
const ASKS_FOR_MESSAGES: [&str; 2] = ["progressToken", "io.modelcontextprotocol/logLevel"];

/// The short way.
pub(crate) struct Direct {
    server: Arc<McpServer>,
    /// The names by which a request may call this host, without ports.
    hosts: Vec<String>,
    /// Who asks, as far as the protocol's revision goes.
    peers: Vec<(ProtocolVersion, Peer<RoleServer>)>,
}

/// A request in its plainest form: these members and no others, each once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    jsonrpc: &'a str,
    id: RequestId,
    method: &'a str,
    params: Option<Object<Params>>,
}

/// The parameters of all that takes the short way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    name: Option<String>,
    arguments: Option<JsonObject>,
    cursor: Option<String>,
    #[serde(rename = "_meta")]
    meta: Option<RequestMetaObject>,
}

/// What is read of a JSON object, and of nothing else: serde takes arrays for structs, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

impl Envelope<'_> {
    /// The request and its `_meta`, if it is one of those that come all the time.
    fn request(self) -> Option<(ClientRequest, RequestMetaObject)> {
        if self.jsonrpc != "2.0" {
            return None;
        }
        let params = self.params.map(|Object(params)| params);
        let (request, meta) = match (self.method, params) {
            ("tools/call", Some(Params { name: Some(name), arguments, cursor: None, meta })) => {
                let mut params = CallToolRequestParams::new(name);
                params.arguments = arguments;
                (ClientRequest::CallToolRequest(Request::new(params)), meta)
            }
            ("tools/list", None) => (ClientRequest::ListToolsRequest(RequestOptionalParam::default()), None),
            ("tools/list", Some(Params { name: None, arguments: None, cursor, meta })) => {
                let params = PaginatedRequestParams::default().with_cursor(cursor);
                (ClientRequest::ListToolsRequest(RequestOptionalParam::with_param(params)), meta)
            }
            ("server/discover", Some(Params { name: None, arguments: None, cursor: None, meta })) => {
                (ClientRequest::DiscoverRequest(Request::default()), meta)
            }
            _ => return None,
        };
        Some((request, meta.unwrap_or_default()))
    }
}

/// A request that takes the short way.
struct Regular<'a> {
    id: RequestId,
    request: ClientRequest,
    meta: RequestMetaObject,
    version: &'a ProtocolVersion,
    peer: &'a Peer<RoleServer>,
}

impl Direct {
    /// Needs a tokio runtime.
    pub(crate) fn new(server: Arc<McpServer>, hosts: Vec<String>) -> Self {
        let peers = PROTOCOL_VERSIONS.iter().map(|version| (version.clone(), lone_peer(&server, version))).collect();
        Self { server, hosts, peers }
    }

    /// The answer to a regular request; any other comes back.
    pub(crate) async fn answer(&self, parts: Parts, body: &[u8]) -> Result<Response, Parts> {
        let Some(regular) = self.regular(&parts, body) else { return Err(parts) };
        let Regular { id, request, meta, version, peer } = regular;
        let mut context = RequestContext::new(id.clone(), peer.clone());
        context.meta = meta;
        // As the transport does it: tools find the caller in there.
        context.extensions.insert(parts);
        // Its future is large, and would be copied with each that is built round it.
        let (status, message) = match Box::pin(self.server.handle_request(request, context)).await {
            Ok(result) => (StatusCode::OK, ServerJsonRpcMessage::response(result, id)),
            Err(error) => (status_of(&error, version), JsonRpcMessage::error(error, Some(id))),
        };
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        Ok(match serde_json::to_writer(&mut bytes, &message) {
            Ok(()) => {
                let mut response = Response::new(Body::from(bytes));
                *response.status_mut() = status;
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
                response
            }
            Err(cause) => {
                tracing::error!("the answer cannot be written as JSON: {cause}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        })
    }

    /// The request, if it is regular.
    fn regular(&self, parts: &Parts, body: &[u8]) -> Option<Regular<'_>> {
        let headers = &parts.headers;
        if parts.uri.authority().is_some() || !self.is_plain(headers)? {
            return None;
        }
        let named = only(headers, &PROTOCOL_VERSION)?;
        let (version, peer) = self.peers.iter().find(|(version, _)| named == version.as_str())?;
        let Object(envelope): Object<Envelope<'_>> = serde_json::from_slice(body).ok()?;
        let (id, method) = (envelope.id.clone(), envelope.method);
        let (request, meta) = envelope.request()?;
        if ASKS_FOR_MESSAGES.iter().any(|key| meta.contains_key(*key)) {
            return None;
        }
        let consistent = if is_modern(Some(version)) {
            let same_name = match &request {
                // A name that looks encoded is the transport's to decode.
                ClientRequest::CallToolRequest(call) => {
                    only(headers, &NAME)? == call.params.name && !call.params.name.starts_with(ENCODED)
                }
                _ => true,
            };
            same_name
                && only(headers, &METHOD)? == method
                && meta.protocol_version().as_ref() == Some(version)
                && meta.missing_required_keys(version).is_empty()
                && !self.server.takes_headers()
        } else {
            // A revision in `_meta` selects the rules of 2026-07-28, and `server/discover` is one of them.
            meta.protocol_version().is_none() && !matches!(request, ClientRequest::DiscoverRequest(_))
        };
        consistent.then_some(Regular { id, request, meta, version, peer })
    }

    /// Whether the header fields that every request has are each there once and say the usual.
    fn is_plain(&self, headers: &HeaderMap) -> Option<bool> {
        let plain = self.is_known_host(only(headers, &HOST)?)
            && !headers.contains_key(ORIGIN)
            && only(headers, &CONTENT_TYPE)? == JSON
            && accepts_both(only(headers, &ACCEPT)?);
        Some(plain)
    }

    /// Whether the `Host` field names us, with any port or none. An IPv6 address is not looked at.
    fn is_known_host(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        !name.contains(':') && self.hosts.iter().any(|known| known == name)
    }
}

/// The field's value, if the field is there exactly once and readable.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether both kinds of answer are welcome, said without weights or quotes.
fn accepts_both(accept: &str) -> bool {
    let has = |wanted: &str| accept.split(',').any(|kind| kind.trim() == wanted);
    accept == USUAL_ACCEPT || (has(JSON) && has("text/event-stream") && !accept.contains('"'))
}

/// The HTTP status of an error: always 200 before 2026-07-28; from then on some have their own (MCP 2026-07-28, Streamable
/// HTTP, "Server Validation").
fn status_of(error: &ErrorData, version: &ProtocolVersion) -> StatusCode {
    match error.code {
        _ if !is_modern(Some(version)) => StatusCode::OK,
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
        | ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY
        | ErrorCode::HEADER_MISMATCH => StatusCode::BAD_REQUEST,
        ErrorCode::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// A peer that speaks this revision and that nothing can be sent to: its connection has ended before it began.
fn lone_peer(server: &Arc<McpServer>, version: &ProtocolVersion) -> Peer<RoleServer> {
    let asks = InitializeRequestParams::new(ClientCapabilities::default(), Implementation::default())
        .with_protocol_version(version.clone());
    let nowhere = (sink::drain(), stream::empty());
    serve_directly(Arc::clone(server), nowhere, Some(asks)).peer().clone()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::config::Config;
    use shared::process::Process;
    use support::settings;

    use super::*;

    fn direct() -> Direct {
        let config = Config::from_lookup(settings::minimal).unwrap();
        let process = Process::new(config).unwrap().leaked();
        let hosts = ["mcp.contoso.example", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        Direct::new(Arc::new(McpServer::new(process, Vec::new())), hosts)
    }

    fn head(version: &'static str, more: &[(&'static str, &'static str)]) -> Parts {
        let mut request = http::Request::post("/mcp")
            .header("host", "mcp.contoso.example")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", version);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn meta(version: &str) -> Value {
        json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "0" },
            "io.modelcontextprotocol/clientCapabilities": {},
        })
    }

    fn rpc(method: &str, params: &Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
    }

    const OLD: &str = "2025-11-25";
    const NEW: &str = "2026-07-28";
    const CALL: [(&str, &str); 2] = [("mcp-method", "tools/call"), ("mcp-name", "whoami")];

    #[track_caller]
    fn check(direct: &Direct, parts: &Parts, body: &impl ToString, expected: bool) {
        let body = body.to_string();
        assert_eq!(direct.regular(parts, body.as_bytes()).is_some(), expected, "{parts:?} {body}");
    }

    #[tokio::test]
    async fn plain_requests_of_every_revision_take_the_short_way() {
        let direct = direct();
        let call = |meta: Option<Value>| match meta {
            Some(meta) => rpc("tools/call", &json!({ "name": "whoami", "arguments": {}, "_meta": meta })),
            None => rpc("tools/call", &json!({ "name": "whoami" })),
        };
        for version in ["2025-06-18", OLD] {
            check(&direct, &head(version, &[]), &call(None), true);
            check(&direct, &head(version, &[]), &json!({ "jsonrpc": "2.0", "id": "a", "method": "tools/list" }), true);
        }
        check(&direct, &head(NEW, &CALL), &call(Some(meta(NEW))), true);
        check(
            &direct,
            &head(NEW, &[("mcp-method", "tools/list")]),
            &rpc("tools/list", &json!({ "_meta": meta(NEW) })),
            true,
        );
        let discover = rpc("server/discover", &json!({ "_meta": meta(NEW) }));
        check(&direct, &head(NEW, &[("mcp-method", "server/discover")]), &discover, true);
    }

    #[tokio::test]
    async fn whatever_is_out_of_the_ordinary_does_not() {
        let direct = direct();
        let plain = rpc("tools/call", &json!({ "name": "whoami" }));
        for more in [
            ("origin", "https://mcp.contoso.example"),
            ("host", "mcp.contoso.example"),
            ("content-type", "application/json"),
            ("accept", "text/html"),
            ("mcp-protocol-version", OLD),
        ] {
            check(&direct, &head(OLD, &[more]), &plain, false);
        }
        let without = |name: &str| {
            let mut parts = head(OLD, &[]);
            parts.headers.remove(name);
            parts
        };
        for name in ["host", "content-type", "accept", "mcp-protocol-version"] {
            check(&direct, &without(name), &plain, false);
        }
        let with = |name: &'static str, value: &'static str| {
            let mut parts = head(OLD, &[]);
            parts.headers.insert(name, HeaderValue::from_static(value));
            parts
        };
        for (name, value) in [
            ("host", "evil.example"),
            ("host", "mcp.contoso.example.evil.example"),
            ("host", "mcp.contoso.example:"),
            ("host", "::1:80"),
            ("accept", "a;b=\", application/json, text/event-stream, \""),
            ("host", "evil.example:80@mcp.contoso.example"),
            ("content-type", "text/plain"),
            ("accept", "application/json"),
            ("accept", "application/json;q=0, text/event-stream"),
            ("accept", "*/*"),
            ("mcp-protocol-version", "2024-11-05"),
            ("mcp-protocol-version", "2025-03-26"),
        ] {
            check(&direct, &with(name, value), &plain, false);
        }
        let mut absolute = head(OLD, &[]);
        absolute.uri = "http://mcp.contoso.example/mcp".parse().unwrap();
        check(&direct, &absolute, &plain, false);
    }

    #[tokio::test]
    async fn nor_does_an_odd_body() {
        let direct = direct();
        let parts = head(OLD, &[]);
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","name":"get_my_profile"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"},"extra":1}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"whoami"}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"whoami"}}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"whoami"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools\u002fcall","params":{"name":"whoami"}}"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#,
            r#"["2.0",1,"tools/call",{"name":"whoami"}]"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["whoami",null,null,null]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[null,null,null,null]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":1e999}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"\ud800"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":"whoami"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","cursor":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"} {}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}"#,
            "",
            "{",
        ] {
            check(&direct, &parts, &body, false);
        }
        for key in ["progressToken", "io.modelcontextprotocol/logLevel", "io.modelcontextprotocol/protocolVersion"] {
            check(&direct, &parts, &rpc("tools/call", &json!({ "name": "whoami", "_meta": { key: NEW } })), false);
        }
    }

    #[tokio::test]
    async fn nor_does_a_2026_07_28_request_that_is_not_at_one_with_itself() {
        let direct = direct();
        let call = |meta: &Value| rpc("tools/call", &json!({ "name": "whoami", "_meta": meta }));
        check(&direct, &head(NEW, &[]), &call(&meta(NEW)), false);
        check(&direct, &head(NEW, &[("mcp-method", "tools/call")]), &call(&meta(NEW)), false);
        let other = [("mcp-method", "tools/call"), ("mcp-name", "get_my_profile")];
        check(&direct, &head(NEW, &other), &call(&meta(NEW)), false);
        let twice = [CALL[0], CALL[1], CALL[1]];
        check(&direct, &head(NEW, &twice), &call(&meta(NEW)), false);
        check(&direct, &head(NEW, &CALL), &call(&meta(OLD)), false);
        check(&direct, &head(NEW, &CALL), &call(&json!({})), false);
        let encoded = "=?base64?d2hvYW1p?=";
        let call_encoded = rpc("tools/call", &json!({ "name": encoded, "_meta": meta(NEW) }));
        check(&direct, &head(NEW, &[CALL[0], ("mcp-name", encoded)]), &call_encoded, false);
        let mut incomplete = meta(NEW);
        incomplete.as_object_mut().unwrap().remove("io.modelcontextprotocol/clientCapabilities");
        check(&direct, &head(NEW, &CALL), &call(&incomplete), false);
    }
}
