//! Stopping, restarting, and leaving nothing behind.

use std::time::Duration;

use emulator::{Endpoint, Fault, User};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::world;

#[tokio::test]
async fn an_outage_is_real_and_ends() {
    let world = world().await;
    let assertion = world.emulator.token(User::Alice).build();
    let address = world.emulator.base_url().replace("http://", "");
    let mut kept_alive = TcpStream::connect(&address).await.unwrap();
    kept_alive.write_all(b"GET /emulator/users HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_ne!(kept_alive.read(&mut [0; 1024]).await.unwrap(), 0);
    world.emulator.stop().await;
    let mut rest = Vec::new();
    // The end of the stream or a reset: either way the connection is gone.
    assert!(matches!(kept_alive.read_to_end(&mut rest).await, Ok(0) | Err(_)) || !rest.is_empty());
    let refused = TcpStream::connect(&address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    world.emulator.stop().await;
    world.emulator.restart().await;
    world.emulator.restart().await;
    assert_eq!(world.on_behalf_of(&assertion, &[]).await.0.as_u16(), 200, "nothing was forgotten");
}

#[tokio::test]
async fn the_last_clone_closes_what_hangs() {
    let world = world().await;
    let clone = world.emulator.clone();
    let address = clone.base_url().replace("http://", "");
    clone.faults().set(Endpoint::GraphMe, Fault::Hang);
    let mut hanging = TcpStream::connect(&address).await.unwrap();
    hanging.write_all(b"GET /v1.0/me HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    drop(world);
    // One clone is left, so the request still hangs.
    let waiting = tokio::time::timeout(Duration::from_millis(50), hanging.read(&mut [0; 16])).await;
    assert!(waiting.is_err());
    drop(clone);
    let closed = tokio::time::timeout(Duration::from_secs(5), hanging.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)));
    assert!(TcpStream::connect(&address).await.is_err());
}
