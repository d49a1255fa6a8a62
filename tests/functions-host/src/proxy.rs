//! Requests through the host: what it answers itself, and the rest to the handler and back, unbuffered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Profile;
use crate::body::{Activity, BodyError, Overdue, RequestBody, ResponseBody};
use crate::connector::PatientConnector;
use crate::cors::{self, Cors};
use crate::environment::Environment;
use crate::error::HostError;
use crate::headers;
use crate::path;
use crate::process::HandlerProcess;
use crate::routes::{self, Match, Route};

/// The largest request body the host passes on, unless `FUNCTIONS_REQUEST_BODY_SIZE_LIMIT` says otherwise.
const MAX_BODY: u64 = 104_857_600;

/// How long an exchange may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Without anything moving.
    pub(crate) idle: Duration,
    /// As a whole (`functionTimeout`).
    pub(crate) function: Duration,
}

type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Everything a request needs.
pub(crate) struct Proxy {
    routes: Vec<Route>,
    handler: Arc<HandlerProcess>,
    upstream: Client<PatientConnector, RequestBody>,
    profile: Profile,
    limits: Limits,
    max_body: u64,
    homepage: bool,
    /// On Flex only.
    cors: Option<Cors>,
}

impl Proxy {
    pub(crate) fn new(
        routes: Vec<Route>,
        handler: Arc<HandlerProcess>,
        profile: Profile,
        limits: Limits,
        environment: &Environment,
    ) -> Result<Self, HostError> {
        let cors = (profile == Profile::Flex).then(|| Cors::of(environment)).transpose()?;
        let limit = environment.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT").and_then(|limit| limit.parse().ok());
        let no_homepage =
            environment.get("AzureWebJobsDisableHomepage").is_some_and(|on| on.eq_ignore_ascii_case("true"));
        Ok(Self {
            routes,
            handler,
            upstream: Client::builder(TokioExecutor::new()).build(PatientConnector::new()),
            profile,
            limits,
            max_body: limit.unwrap_or(MAX_BODY),
            homepage: !no_homepage,
            cors,
        })
    }

    /// Accepts connections until the host stops itself or the task is aborted; then all of them are closed.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let handler = Arc::clone(&self.handler);
        let proxy = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = handler.until_stopped() => return,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => {
                    let Ok((stream, peer)) = accepted else { continue };
                    let proxy = Arc::clone(&proxy);
                    let service = service_fn(move |request| {
                        let proxy = Arc::clone(&proxy);
                        async move { Ok::<_, std::convert::Infallible>(proxy.answer(request, peer).await) }
                    });
                    connections.spawn(async move {
                        // Small chunks must not wait for one another.
                        drop(stream.set_nodelay(true));
                        // A client that goes away ends its connection and with it the request; the host only logs that.
                        drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                    });
                }
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let Some(cors) = &self.cors else { return self.route(request, peer).await };
        if cors::is_preflight(&request) {
            // Whether the origin is known or not: the handler never sees one.
            let mut response = empty(StatusCode::NO_CONTENT);
            cors.allow_preflight(request.headers(), response.headers_mut());
            return response;
        }
        let origin = request.headers().get(header::ORIGIN).cloned();
        let mut response = self.route(request, peer).await;
        if let Some(origin) = origin {
            cors.allow(&origin, response.headers_mut());
        }
        response
    }

    async fn route(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let decoded = path::decode(request.uri().path());
        if routes::belongs_to_host(&decoded) {
            // They want the master key, but for Core Tools; none of them is played here.
            return empty(if self.profile == Profile::Flex { StatusCode::UNAUTHORIZED } else { StatusCode::NOT_FOUND });
        }
        match routes::find(&self.routes, &decoded) {
            Match::None if decoded == "/" => return self.homepage(),
            Match::None => return empty(StatusCode::NOT_FOUND),
            Match::Unauthorized => return empty(StatusCode::UNAUTHORIZED),
            Match::Handler => {}
        }
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.max_body) {
            return empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        self.forward(request, peer, &decoded).await
    }

    async fn forward(&self, request: Request<Incoming>, peer: SocketAddr, decoded: &str) -> Response<Body> {
        let port = self.handler.port();
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let target = format!("http://127.0.0.1:{port}{}{query}", path::encode(decoded));
        let Ok(target) = Uri::try_from(target) else { return empty(StatusCode::BAD_REQUEST) };
        let (mut parts, body) = request.into_parts();
        parts.uri = target;
        parts.version = http::Version::HTTP_11;
        headers::to_handler(&mut parts.headers, self.profile, peer.ip(), port);

        let handler = Arc::clone(&self.handler);
        let mut overdue = Overdue::after(self.limits.function, move || handler.restart());
        let activity = Activity::start(self.limits.idle);
        let too_large = Arc::new(AtomicBool::new(false));
        let body = RequestBody::new(body, activity.clone(), self.max_body, Arc::clone(&too_large));
        let answer = tokio::select! {
            answer = self.upstream.request(Request::from_parts(parts, body)) => answer.ok(),
            () = activity.clone().expired() => None,
            () = &mut overdue => None,
        };
        match answer {
            Some(mut response) => {
                activity.touch();
                headers::drop_hop_by_hop(response.headers_mut());
                response.map(|body| ResponseBody::new(body, activity, overdue).boxed_unsync())
            }
            None if too_large.load(Ordering::SeqCst) => empty(StatusCode::PAYLOAD_TOO_LARGE),
            // The proxy's own 502 or 504 never leaves: the host's exception middleware makes it a 500.
            None => empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// What `GET /` shows when no function has it.
    fn homepage(&self) -> Response<Body> {
        if !self.homepage {
            return empty(StatusCode::NO_CONTENT);
        }
        let page = Bytes::from_static(b"<!DOCTYPE html><title>Your Azure Function App is up and running.</title>");
        let mut response = Response::new(Full::new(page).map_err(|never| match never {}).boxed_unsync());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        response
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}
