//! Accepting connections, and draining them when told to stop.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use http::Request;
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use super::paced::{Paced, Phase};
use crate::config::Limits;

/// How long requests in flight may go on after the signal to stop: less than the 30 s that container hosts give.
const DRAIN: Duration = Duration::from_secs(25);

/// How long a connection without a request yet may still send its first one after the signal to stop.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// The answer to a connection too many.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The pause after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves within these limits until `stop` is ready, then lets requests in flight finish. A connection too many is told so.
pub async fn until_stopped(listener: TcpListener, app: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let connections = Connections::new(app, limits);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => connections.serve(stream),
            Err(cause) => {
                warn!("cannot accept a connection: {cause}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Who has connected but was not accepted yet would be reset when the listener goes: they are in flight, too.
    while let Poll::Ready(Ok((stream, _))) = poll_fn(|context| Poll::Ready(listener.poll_accept(context))).await {
        connections.serve(stream);
    }
    drop(listener);
    info!("stopping: requests in flight may finish");
    connections.stopping.cancel();
    connections.tasks.close();
    if tokio::time::timeout(DRAIN, connections.tasks.wait()).await.is_err() {
        warn!("stopping: some requests did not finish within {DRAIN:?}");
    }
}

/// How a connection is served, and who is connected.
struct Connections {
    app: Router,
    builder: http1::Builder,
    limits: Limits,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Connections {
    fn new(app: Router, limits: Limits) -> Self {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(limits.idle_timeout).max_buf_size(limits.header_bytes);
        Self { app, builder, limits, tasks: TaskTracker::new(), stopping: CancellationToken::new() }
    }

    fn serve(&self, stream: TcpStream) {
        // Answers are small and complete: waiting to fill a segment only delays them.
        drop(stream.set_nodelay(true));
        if self.tasks.len() >= self.limits.connections {
            // Small enough for the socket's own buffer: written at once or not at all.
            drop(stream.try_write(FULL));
            return;
        }
        let phase = Phase::default();
        let begun = CancellationToken::new();
        let stream = TokioIo::new(Paced::new(stream, phase.clone(), self.limits.header_timeout));
        let (app, first, is_first) = (self.app.clone(), begun.clone(), AtomicBool::new(true));
        let service = service_fn(move |request: Request<Incoming>| {
            phase.serving();
            if is_first.swap(false, Ordering::Relaxed) {
                first.cancel();
            }
            let chunked = request.headers().contains_key(TRANSFER_ENCODING);
            let (served, phase) = (app.clone().oneshot(request), phase.clone());
            async move {
                let mut answer = served.await;
                phase.waiting();
                if chunked && let Ok(answer) = &mut answer {
                    // With a Content-Length beside it, where this request ends is a matter of opinion, and hyper does not say
                    // whether there was one: whatever follows on this connection is not read (RFC 9112 §6.1, §11.2).
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                answer
            }
        });
        let connection = self.builder.serve_connection(stream, service);
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let told = async {
                stopping.cancelled().await;
                // hyper closes a connection on which nothing was read yet, even if the request is already on its way.
                drop(tokio::time::timeout(FIRST_REQUEST, begun.cancelled()).await);
            };
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = told => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(cause) = ended {
                debug!("a connection ended early: {cause}");
            }
        });
    }
}

/// Ready at SIGTERM (containers) or SIGINT (Ctrl-C). The Functions host sends SIGKILL, which nothing can wait for.
pub async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            },
            Err(cause) => {
                warn!("cannot listen for SIGTERM: {cause}");
                drop(interrupt.await);
            }
        }
    }
    #[cfg(not(unix))]
    drop(interrupt.await);
}
