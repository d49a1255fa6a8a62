//! What the handler is measured beside, and with.

pub mod bare;
pub mod ours;
pub mod plain;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

/// Serves on this port of 127.0.0.1, small answers sent at once, for ever.
pub async fn serve(port: &str, app: Router) {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("the port is free");
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await.expect("it serves");
}
