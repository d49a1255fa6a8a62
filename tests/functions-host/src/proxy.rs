//! Requests through the host: which headers it changes, and bodies that stream both ways.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::process::HandlerProcess;
use crate::routes::{self, Match, Route};

/// The largest request body the host passes on (`FUNCTIONS_REQUEST_BODY_SIZE_LIMIT`).
const MAX_BODY: u64 = 104_857_600;

/// How often the host tries to connect to a handler that is not there, and how long it waits in between at most.
const CONNECT_TRIES: u32 = 10;
const CONNECT_PAUSE: Duration = Duration::from_millis(250);

/// The version the host claims to be.
const HOST_VERSION: &str = "4.1054.250.0";

/// Hop-by-hop fields that the proxy drops in both directions (its transformer's list).
const DROPPED: &[&str] = &[
    "connection",
    "transfer-encoding",
    "keep-alive",
    "upgrade",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-features",
    "proxy-instruction",
    "security-scheme",
    "te",
    "http2-settings",
    "upgrade-insecure-requests",
    "alt-svc",
    "close",
];

type Body = BoxBody<Bytes, hyper::Error>;
type Upstream = Client<HttpConnector, Incoming>;

/// Accepts connections until the task is aborted.
pub(crate) async fn serve(listener: TcpListener, routes: Arc<Vec<Route>>, handler: Arc<HandlerProcess>) {
    let upstream: Upstream = Client::builder(TokioExecutor::new()).build_http();
    while let Ok((stream, peer)) = listener.accept().await {
        let (routes, handler, upstream) = (Arc::clone(&routes), Arc::clone(&handler), upstream.clone());
        let service = service_fn(move |request| {
            let (routes, handler, upstream) = (Arc::clone(&routes), Arc::clone(&handler), upstream.clone());
            async move { Ok::<_, std::convert::Infallible>(answer(request, peer, &routes, &handler, &upstream).await) }
        });
        tokio::spawn(async move {
            // A client that goes away ends its connection; the host only logs that.
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    routes: &[Route],
    handler: &HandlerProcess,
    upstream: &Upstream,
) -> Response<Body> {
    match routes::find(routes, request.uri().path()) {
        Match::None => return empty(StatusCode::NOT_FOUND),
        Match::Unauthorized => return empty(StatusCode::UNAUTHORIZED),
        Match::Handler => {}
    }
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BODY) {
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    }
    until_connectable(handler.port()).await;
    let Some(forwarded) = transform(request, peer, handler.port()) else { return empty(StatusCode::BAD_REQUEST) };
    match upstream.request(forwarded).await {
        Ok(mut response) => {
            drop_hop_by_hop(response.headers_mut());
            response.map(BodyExt::boxed)
        }
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// A handler that is being started again is waited for; a body that was sent cannot be sent twice, so this comes first.
async fn until_connectable(port: u16) {
    for attempt in 1..=CONNECT_TRIES {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return;
        }
        tokio::time::sleep((Duration::from_millis(50) * attempt).min(CONNECT_PAUSE)).await;
    }
}

/// The request as the handler gets it.
fn transform(request: Request<Incoming>, peer: SocketAddr, port: u16) -> Option<Request<Incoming>> {
    let (mut parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    parts.uri = Uri::try_from(format!("http://127.0.0.1:{port}{target}")).ok()?;
    parts.version = http::Version::HTTP_11;
    let headers = &mut parts.headers;
    drop_hop_by_hop(headers);
    // The platform's front end hides the public host here; the host puts it back before it proxies.
    let public = headers.get("disguised-host").or_else(|| headers.get(header::HOST)).cloned();
    headers.remove(header::FORWARDED);
    headers.remove("x-forwarded-prefix");
    set(headers, "x-forwarded-for", &peer.ip().to_string());
    set(headers, "x-forwarded-proto", "http");
    headers.remove("x-forwarded-host");
    if let Some(public) = public {
        headers.insert("x-forwarded-host", public);
    }
    set(headers, "host", &format!("127.0.0.1:{port}"));
    let invocation = Uuid::new_v4().to_string();
    set(headers, "x-azure-functions-invocationid", &invocation);
    set(headers, "x-azure-functions-hostversion", HOST_VERSION);
    set(headers, "x-ms-invocation-id", &invocation);
    Some(Request::from_parts(parts, body))
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    for name in DROPPED {
        headers.remove(*name);
    }
}

/// Replaces every field of that name.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
}
