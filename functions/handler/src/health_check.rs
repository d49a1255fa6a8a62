//! `handler health`: asks a running handler on this machine whether it lives. For containers without a shell or curl.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// For connecting and for each read: less than the time-out of any container's probe.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Why the handler is not known to live. Fit to be shown.
#[derive(Debug, thiserror::Error)]
pub enum NotLive {
    /// `PORT` is set to something else.
    #[error("PORT is not a port")]
    Port,
    /// Nothing answers there.
    #[error("nothing answers on port {0}: {1}")]
    Silent(u16, io::Error),
    /// Something answers, with another status than 200.
    #[error("the answer is not 200")]
    Status,
}

/// Asks `GET /health/live` on 127.0.0.1. `port` is the setting `PORT`, as it stands.
///
/// # Errors
///
/// [`NotLive`].
pub fn ask(port: Option<&str>) -> Result<(), NotLive> {
    let port = port.filter(|port| !port.is_empty()).unwrap_or("9000").parse().map_err(|_| NotLive::Port)?;
    let head = exchange(port).map_err(|cause| NotLive::Silent(port, cause))?;
    if head.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err(NotLive::Status) }
}

/// The answer's first bytes.
fn exchange(port: u16) -> io::Result<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    stream.take(16).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// One connection that is answered with this.
    fn answering(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        port.to_string()
    }

    #[test]
    fn only_a_200_is_life() {
        assert!(ask(Some(&answering(b"HTTP/1.1 200 OK\r\n\r\n"))).is_ok());
        assert!(matches!(ask(Some(&answering(b"HTTP/1.1 503 No\r\n\r\n"))), Err(NotLive::Status)));
        assert!(matches!(ask(Some(&answering(b""))), Err(NotLive::Status)));
        assert!(matches!(ask(Some("http")), Err(NotLive::Port)));
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        assert!(matches!(ask(Some(&free.to_string())), Err(NotLive::Silent(..))));
    }
}
