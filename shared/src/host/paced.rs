//! A connection on which a request's head, once begun, must come within a time: slow clients (slowloris) hold connections
//! otherwise. Waiting for the next request is another matter and takes another limit, hyper's own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Nothing of a request has come yet.
const WAITING: u8 = 0;
/// A head has begun.
const HEAD_BEGUN: u8 = 1;
/// The head was read: the request is being served.
const SERVING: u8 = 2;

/// Where a connection stands; its stream and its service share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase(Arc<AtomicU8>);

impl Phase {
    /// The head was read.
    pub(super) fn serving(&self) {
        self.0.store(SERVING, Ordering::Release);
    }

    /// The answer is there: the next request may begin.
    pub(super) fn waiting(&self) {
        self.0.store(WAITING, Ordering::Release);
    }

    fn now(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}

/// The stream under hyper.
pub(super) struct Paced<S> {
    stream: S,
    phase: Phase,
    limit: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    /// A head may take as long as `limit` from its first byte to its last.
    pub(super) fn new(stream: S, phase: Phase, limit: Duration) -> Self {
        Self { stream, phase, limit, deadline: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.phase.now() {
            HEAD_BEGUN => {
                let limit = this.limit;
                let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
                if deadline.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the head took too long")));
                }
            }
            _ => this.deadline = None,
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before && this.phase.now() == WAITING {
            this.phase.0.store(HEAD_BEGUN, Ordering::Release);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn paced(phase: &Phase) -> (tokio::io::DuplexStream, Paced<tokio::io::DuplexStream>) {
        let (client, server) = tokio::io::duplex(64);
        (client, Paced::new(server, phase.clone(), Duration::from_millis(50)))
    }

    #[tokio::test]
    async fn a_head_that_never_ends_breaks_the_connection() {
        let phase = Phase::default();
        let (mut client, mut server) = paced(&phase);
        client.write_all(b"GET").await.unwrap();
        let mut bytes = [0; 3];
        server.read_exact(&mut bytes).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn neither_waiting_nor_a_body_counts_as_a_slow_head() {
        let phase = Phase::default();
        let (mut client, mut server) = paced(&phase);
        let idle = tokio::time::timeout(Duration::from_millis(150), server.read_u8()).await;
        assert!(idle.is_err(), "still waiting");
        client.write_all(b"GET").await.unwrap();
        server.read_exact(&mut [0; 3]).await.unwrap();
        phase.serving();
        let body = tokio::time::timeout(Duration::from_millis(150), server.read_u8()).await;
        assert!(body.is_err(), "a slow body is for others to judge");
        phase.waiting();
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
