//! The short way to the server for the calls that come all the time.
//!
//! rmcp's transport starts four tasks and three channels for each request, which costs more than all the rest of a call. A
//! request that is regular in every way is read once and handed to the same [`Service::handle_request`] that the transport
//! would hand it to. Whatever is out of the ordinary, in its headers, its envelope or its `_meta`, goes to the transport, which
//! judges it: so the short way needs to know the plainest form only, takes nothing that the transport would refuse, and refuses
//! nothing itself.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures::{sink, stream};
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientRequest, ErrorCode, ErrorData, Implementation,
    InitializeRequestParams, JsonRpcMessage, PaginatedRequestParams, ProtocolVersion, Request, RequestId,
    RequestMetaObject, RequestOptionalParam, ServerJsonRpcMessage,
};
use rmcp::service::{Peer, RequestContext, Service as _, serve_directly};
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::auth::require_bearer::Admitted;

use crate::server::{McpServer, PROTOCOL_VERSIONS, is_modern};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

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
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The parameters of `server/discover`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnlyMeta {
    #[serde(rename = "_meta")]
    meta: Option<RequestMetaObject>,
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
        let (Some(regular), Some(admitted)) = (self.regular(&parts, body), parts.extensions.get::<Admitted>()) else {
            return Err(parts);
        };
        let Regular { id, request, meta, version, peer } = regular;
        let mut context = RequestContext::new(id.clone(), peer.clone());
        context.meta = meta;
        context.extensions.insert(admitted.clone());
        let (status, message) = match self.server.handle_request(request, context).await {
            Ok(result) => (StatusCode::OK, ServerJsonRpcMessage::response(result, id)),
            Err(error) => (status_of(&error, version), JsonRpcMessage::error(error, Some(id))),
        };
        Ok(match serde_json::to_vec(&message) {
            Ok(bytes) => {
                let mut response = Response::new(Body::from(bytes));
                *response.status_mut() = status;
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(cause) => {
                tracing::error!("the answer cannot be written as JSON: {cause}");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        })
    }

    fn regular(&self, parts: &Parts, body: &[u8]) -> Option<Regular<'_>> {
        let headers = &parts.headers;
        let plain = parts.uri.authority().is_none()
            && self.is_known_host(only(headers, &HOST)?)
            && !headers.contains_key(ORIGIN)
            && only(headers, &CONTENT_TYPE)? == "application/json"
            && accepts_both(only(headers, &ACCEPT)?);
        let named = only(headers, &PROTOCOL_VERSION)?;
        let (version, peer) = self.peers.iter().find(|(version, _)| named == version.as_str())?;
        let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
        if !plain || envelope.jsonrpc != "2.0" {
            return None;
        }
        let params = envelope.params.map(RawValue::get);
        let (request, meta, name) = match envelope.method {
            "tools/call" => {
                let mut params: CallToolRequestParams = serde_json::from_str(params?).ok()?;
                let (meta, name) = (params.meta.take(), params.name.to_string());
                (ClientRequest::CallToolRequest(Request::new(params)), meta, Some(name))
            }
            "tools/list" => {
                let params: Option<PaginatedRequestParams> = params.map(serde_json::from_str).transpose().ok()?;
                let (mut request, mut meta) = (RequestOptionalParam::default(), None);
                if let Some(mut params) = params {
                    meta = params.meta.take();
                    request = RequestOptionalParam::with_param(params);
                }
                (ClientRequest::ListToolsRequest(request), meta, None)
            }
            "server/discover" => {
                let OnlyMeta { meta } = serde_json::from_str(params?).ok()?;
                (ClientRequest::DiscoverRequest(Default::default()), meta, None)
            }
            _ => return None,
        };
        let meta = meta.unwrap_or_default();
        if ASKS_FOR_MESSAGES.iter().any(|key| meta.contains_key(*key)) {
            return None;
        }
        let consistent = if is_modern(Some(version)) {
            only(headers, &METHOD)? == envelope.method
                && name.is_none_or(|name| only(headers, &NAME).is_some_and(|header| header == name.as_str()))
                && meta.protocol_version().as_ref() == Some(version)
                && meta.missing_required_keys(version).is_empty()
                && !self.server.takes_headers()
        } else {
            // A revision in `_meta` selects the rules of 2026-07-28, and `server/discover` is one of them.
            meta.protocol_version().is_none() && envelope.method != "server/discover"
        };
        consistent.then_some(Regular { id: envelope.id, request, meta, version, peer })
    }

    /// Whether the `Host` field names us, with any port or none.
    fn is_known_host(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        self.hosts.iter().any(|known| known == name)
    }
}

/// The field's value, if the field is there exactly once and readable.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether both kinds of answer are welcome, said without weights.
fn accepts_both(accept: &str) -> bool {
    let has = |wanted: &str| accept.split(',').any(|kind| kind.trim() == wanted);
    has("application/json") && has("text/event-stream")
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
