//! Listening on loopback, and stopping for good: an outage must be real for kept-alive connections too.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router, middleware, routing};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt as _;

use crate::faults::HangUp;
use crate::state::State;
use crate::{authorize, control, discovery, graph, managed_identity, token};

/// The listener and all its connections. Dropping it closes them.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    Listening {
        task: JoinHandle<()>,
        stop: oneshot::Sender<()>,
    },
    /// Bound but not listening: connections are refused, and nobody else can take the port meanwhile.
    Stopped(TcpSocket),
    /// Between two phases.
    Changing,
}

impl Server {
    /// Binds the port, 0 for any free one. Nothing is answered before [`Server::serve`].
    pub(crate) fn bind(port: u16) -> io::Result<Self> {
        let socket = bound(port)?;
        let port = socket.local_addr()?.port();
        Ok(Self { port, phase: Mutex::new(Phase::Stopped(socket)) })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Listens and answers; nothing happens where it does already.
    pub(crate) fn serve(&self, state: &Arc<State>) -> io::Result<()> {
        match self.change() {
            Phase::Stopped(socket) => {
                let listener = socket.listen(BACKLOG)?;
                let (stop, stopped) = oneshot::channel();
                let task = tokio::spawn(accept(listener, app(Arc::clone(state)), stopped));
                self.put(Phase::Listening { task, stop });
            }
            other => self.put(other),
        }
        Ok(())
    }

    /// Closes every connection and refuses new ones. When it returns, it is done.
    pub(crate) async fn stop(&self) -> io::Result<()> {
        match self.change() {
            Phase::Listening { task, stop } => {
                // The receiver is gone only if the task has ended, which is what is asked for.
                let _ended = stop.send(());
                let _cancelled = task.await;
                self.put(Phase::Stopped(bound(self.port)?));
            }
            other => self.put(other),
        }
        Ok(())
    }

    fn change(&self) -> Phase {
        std::mem::replace(&mut *self.phase.lock().unwrap_or_else(PoisonError::into_inner), Phase::Changing)
    }

    fn put(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Phase::Listening { task, .. } = self.change() {
            task.abort();
        }
    }
}

fn bound(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Without it the port of a stopped server could not be taken again for a minute (connections in TIME_WAIT).
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// Accepts until told to stop. The connections live in a set of their own, so none outlives this task.
async fn accept(listener: TcpListener, app: Router, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // An error is either the order to stop or a dropped server: both end the loop.
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, app.clone()));
                }
                // Out of file descriptors, most likely: trying again at once would only burn the processor.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, app: Router) {
    // Small answers must not wait for the delayed acknowledgement of the one before.
    let _best_effort = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let app = app.clone();
        async move { answer(app, request.map(axum::body::Body::new)).await }
    });
    // A broken connection is the client's business, or the fault that a test asked for.
    let _closed = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// An error makes hyper close the connection without writing anything.
async fn answer(app: Router, request: Request) -> Result<Response, io::Error> {
    let response = match app.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.extensions().get::<HangUp>().is_some() {
        return Err(io::Error::other("closed on purpose"));
    }
    Ok(response)
}

fn app(state: Arc<State>) -> Router {
    let open_to_browsers = Router::new()
        .route(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            routing::get(discovery::configuration).options(discovery::preflight),
        )
        .route("/{tenant}/discovery/v2.0/keys", routing::get(discovery::keys).options(discovery::preflight))
        .route(
            "/{tenant}/oauth2/v2.0/token",
            routing::post(token::token).options(discovery::preflight).fallback(token::not_post),
        )
        .layer(middleware::map_response(discovery::allow_any_origin));
    Router::new()
        .route("/{tenant}/oauth2/v2.0/authorize", routing::get(authorize::authorize))
        .route("/v1.0/me", routing::get(graph::me))
        .route(managed_identity::APP_SERVICE_PATH, routing::get(managed_identity::app_service))
        .route(managed_identity::IMDS_PATH, routing::get(managed_identity::imds))
        .merge(open_to_browsers)
        .merge(control::routes())
        .fallback(not_found)
        .with_state(state)
}

/// Among others for the metadata addresses of RFC 8414 that clients try first: Entra does not have them.
async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": "not_found" }))).into_response()
}

const BACKLOG: u32 = 1024;
