//! What stands in front of every protected route: bearer → keys → verifier → [`Caller`], or a refusal.
//!
//! It decides before the body is read. Behind it there is an [`Admitted`] in the request's extensions and no `Authorization`
//! header any more: the inbound token must never travel on (MCP 2026-07-28, Authorization, "Token Handling").

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use futures::poll;
use http::header::{AUTHORIZATION, CONNECTION, EXPECT, HeaderValue};
use http_body_util::{BodyExt as _, Limited};
use tracing::{Instrument as _, info_span};

use super::bearer::BearerToken;
use super::caller::Caller;
use super::error::AuthError;
use super::limits::Place;
use crate::moment::Moment;
use crate::process::Process;
use crate::telemetry::request::RequestLog;

/// How much of a refused request's body is read and thrown away.
const DISCARDED_BYTES: usize = 64 * 1024;

/// For how long.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(250);

/// Who was let in, and what goes with the request from here on.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The verified caller.
    pub caller: Arc<Caller>,
    /// Where a refusal is left.
    pub slot: RefusalSlot,
    /// What the request's line says.
    pub log: RequestLog,
}

/// Where code behind [`require_bearer`] leaves a refusal that must become an HTTP status: MCP's own errors cannot carry one.
#[derive(Clone, Debug, Default)]
pub struct RefusalSlot(Arc<OnceLock<AuthError>>);

impl RefusalSlot {
    /// Refuses the request. The first refusal counts.
    pub fn refuse(&self, refusal: AuthError) {
        // A second refusal of the same request adds nothing.
        drop(self.0.set(refusal));
    }

    /// Whether the request is refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.0.get().is_some()
    }

    fn taken(&self) -> Option<&AuthError> {
        self.0.get()
    }
}

/// Lets a request pass to `next` with an [`Admitted`], or refuses it.
pub async fn require_bearer<Answer>(
    process: &'static Process,
    mut request: Request,
    next: impl FnOnce(Request) -> Answer,
) -> Response
where
    Answer: Future<Output = Response>,
{
    let log = RequestLog::of(request.extensions());
    let refused = |refusal: &AuthError| {
        log.refused(refusal);
        process.challenges.refuse(refusal)
    };
    let place = match process.limits.enter() {
        Ok(place) => place,
        Err(refusal) => return without_body(refused(&refusal), request).await,
    };
    let now = Moment::now();
    let token = BearerToken::from_request(request.headers(), request.uri().query());
    let verified = authenticate(process, token, now, place).await;
    log.verified(verified.as_ref().ok().map(|(caller, _)| caller), now.stopwatch().elapsed());
    let (caller, place) = match verified {
        Ok(verified) => verified,
        Err(refusal) => return without_body(refused(&refusal), request).await,
    };
    let place = place.map_or_else(|| process.limits.place(), Ok);
    let place = match place.and_then(|place| process.limits.admit(&caller).map(|()| place)) {
        Ok(place) => place,
        Err(refusal) => return without_body(refused(&refusal), request).await,
    };
    request.headers_mut().remove(AUTHORIZATION);
    let slot = RefusalSlot::default();
    request.extensions_mut().insert(Admitted { caller, slot: slot.clone(), log: log.clone() });
    let response = next(request).await;
    match slot.taken() {
        Some(refusal) => refused(refusal),
        None => place.until_sent(response),
    }
}

/// The refusal of a request whose body nobody looks at. It is read to its end all the same, if that is near: a client goes on over
/// the same connection at once (to the metadata that the 401 names), and a connection with a rest of a body in it is closed.
/// Otherwise the answer says that it will be (RFC 9112 §9.6). Whoever waits for it here must hold no place among the calls.
async fn without_body(mut refusal: Response, request: Request) -> Response {
    // Who waits for leave to send its body does not get it.
    let waits = request.headers().contains_key(EXPECT);
    let mut body = Limited::new(request.into_body(), DISCARDED_BYTES);
    let discarding = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    let is_read = !waits && tokio::time::timeout(DISCARD_TIMEOUT, discarding).await.unwrap_or(false);
    if !is_read {
        refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    refusal
}

/// The caller, and its place if it kept that. Nothing is ever waited for here but keys, and who waits for those has not been vouched
/// for: it holds no place meanwhile.
async fn authenticate(
    process: &'static Process,
    token: Result<BearerToken<'_>, AuthError>,
    now: Moment,
    place: Place,
) -> Result<(Arc<Caller>, Option<Place>), AuthError> {
    let verifying = async { process.verifier.authenticate(token?, &process.jwks, now).await };
    let mut verifying = pin!(verifying.instrument(info_span!("auth.verify")));
    match poll!(verifying.as_mut()) {
        Poll::Ready(verified) => Ok((verified?, Some(place))),
        Poll::Pending => {
            drop(place);
            Ok((verifying.await?, None))
        }
    }
}
