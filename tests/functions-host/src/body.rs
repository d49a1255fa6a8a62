//! Bodies on their way through: every chunk is passed on as it comes, counted, and keeps the request alive.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::lock;

/// What ends a body before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the other side ended the body")]
    Peer(#[from] hyper::Error),
    #[error("the request body is larger than the host's limit")]
    TooLarge,
    #[error("nothing was sent or received for as long as the host waits")]
    Idle,
    #[error("the invocation took longer than functionTimeout")]
    Overdue,
}

/// Ready when an invocation has taken too long; whatever is to happen then has happened.
pub(crate) struct Overdue {
    sleep: Pin<Box<tokio::time::Sleep>>,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl Overdue {
    pub(crate) fn after(limit: Duration, then: impl FnOnce() + Send + 'static) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(limit)), then: Some(Box::new(then)) }
    }
}

impl Future for Overdue {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let ready = self.sleep.as_mut().poll(context);
        if ready.is_ready()
            && let Some(then) = self.then.take()
        {
            then();
        }
        ready
    }
}

/// When something last went through, in either direction; shared by both bodies of an exchange.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    last: Arc<Mutex<Instant>>,
    limit: Duration,
}

impl Activity {
    pub(crate) fn start(limit: Duration) -> Self {
        Self { last: Arc::new(Mutex::new(Instant::now())), limit }
    }

    pub(crate) fn touch(&self) {
        *lock(&self.last) = Instant::now();
    }

    /// Resolves once nothing has happened for the whole limit.
    pub(crate) async fn expired(self) {
        loop {
            let deadline = *lock(&self.last) + self.limit;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline.into()).await;
        }
    }
}

/// The client's body: counted against the limit.
#[derive(Debug)]
pub(crate) struct RequestBody {
    inner: Incoming,
    activity: Activity,
    left: u64,
    too_large: Arc<AtomicBool>,
}

impl RequestBody {
    /// Sets `too_large` when the body passes `limit` bytes.
    pub(crate) fn new(inner: Incoming, activity: Activity, limit: u64, too_large: Arc<AtomicBool>) -> Self {
        Self { inner, activity, left: limit, too_large }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else { return Poll::Pending };
        self.activity.touch();
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
            let Some(left) = self.left.checked_sub(length) else {
                self.too_large.store(true, Ordering::SeqCst);
                return Poll::Ready(Some(Err(BodyError::TooLarge)));
            };
            self.left = left;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The handler's body: cut off when nothing moves.
pub(crate) struct ResponseBody {
    inner: Incoming,
    activity: Activity,
    expired: Pin<Box<dyn Future<Output = ()> + Send>>,
    overdue: Overdue,
}

impl ResponseBody {
    pub(crate) fn new(inner: Incoming, activity: Activity, overdue: Overdue) -> Self {
        let expired = Box::pin(activity.clone().expired());
        Self { inner, activity, expired, overdue }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.activity.touch();
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)));
        }
        if Pin::new(&mut self.overdue).poll(context).is_ready() {
            return Poll::Ready(Some(Err(BodyError::Overdue)));
        }
        self.expired.as_mut().poll(context).map(|()| Some(Err(BodyError::Idle)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
