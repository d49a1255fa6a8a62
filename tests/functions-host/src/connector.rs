//! Connections to the handler, patiently made: one that is being started again is waited for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tower::Service;

/// How often the host tries in all (`RetryProxyHandler.MaxRetries`).
const TRIES: u32 = 10;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Tries again when nobody listens. Only connecting is repeated, never a request: its body can be read only once.
#[derive(Clone, Debug)]
pub(crate) struct PatientConnector(HttpConnector);

impl PatientConnector {
    pub(crate) fn new() -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        Self(http)
    }
}

impl Service<Uri> for PatientConnector {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, handler: Uri) -> Self::Future {
        let mut http = self.0.clone();
        Box::pin(async move {
            let mut tried = 1;
            loop {
                match http.call(handler.clone()).await {
                    Err(_) if tried < TRIES => tokio::time::sleep(pause_after(tried)).await,
                    done => return done,
                }
                tried += 1;
            }
        })
    }
}

/// 50, 100, then 250 ms: the host multiplies the pause by the number of the attempt, up to a limit.
fn pause_after(tried: u32) -> Duration {
    let factor: u32 = (1..=tried).product();
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_as_the_hosts_do() {
        let pauses: Vec<u128> = (1..TRIES).map(|tried| pause_after(tried).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 250, 250, 250, 250, 250, 250, 250]);
    }
}
