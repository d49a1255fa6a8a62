//! Accepting connections, and draining them when told to stop.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tracing::{debug, info, warn};

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests in flight may go on after the signal to stop: less than the 30 s that container hosts give.
const DRAIN: Duration = Duration::from_secs(25);

/// The largest request head: a token with 200 groups has 11 KiB, and a token may have 32.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The pause after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is ready, then lets requests in flight finish.
pub async fn until_stopped(listener: TcpListener, app: Router, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small and complete: waiting to fill a segment only delays them.
                drop(stream.set_nodelay(true));
                let service = TowerToHyperService::new(app.clone());
                let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
                tokio::spawn(async move {
                    if let Err(cause) = connection.await {
                        debug!("a connection ended early: {cause}");
                    }
                });
            }
            Err(cause) => {
                warn!("cannot accept a connection: {cause}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    info!("stopping: requests in flight may finish");
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("stopping: some requests did not finish within {DRAIN:?}");
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
