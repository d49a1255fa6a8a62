//! Health: `/health`, `/health/live` answer at once and from nothing; `/health/ready` says what is missing.
//! Anonymous, so it never shows a secret, and it never calls Graph.

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, extract::State};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde::Serialize;
use shared::process::Process;

/// The health routes.
pub fn router(process: &'static Process) -> Router {
    Router::new()
        .route("/health", get(live))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .with_state(process)
}

/// How the process stands.
#[derive(Debug, Serialize)]
struct Readiness {
    status: &'static str,
    checks: [Check; 2],
}

/// One thing that must be in place before callers can be served.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Liveness {
    status: &'static str,
}

async fn live() -> Response {
    no_store(Json(Liveness { status: "live" }).into_response())
}

async fn ready(State(process): State<&'static Process>) -> Response {
    let checks = [keys(process), credential(process).await];
    let ready = checks.iter().all(|check| check.ok);
    let (code, status) = if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    no_store((code, Json(Readiness { status, checks })).into_response())
}

fn keys(process: &Process) -> Check {
    let status = process.jwks.status();
    let detail = match (status.usable, status.age) {
        (0, None) => "no signing keys fetched yet; is the authority reachable from here?".to_owned(),
        (0, Some(_)) => "all signing keys are past their lifetime; is the authority reachable from here?".to_owned(),
        (count, Some(age)) => format!("{count} signing keys, fetched {} s ago", age.as_secs()),
        (count, None) => format!("{count} signing keys"),
    };
    Check { name: "keys", ok: status.usable > 0, detail }
}

async fn credential(process: &'static Process) -> Check {
    match process.obo.check_credential().await {
        Ok(()) => Check { name: "credential", ok: true, detail: "the client credential is at hand".to_owned() },
        Err(error) => Check { name: "credential", ok: false, detail: error.to_string() },
    }
}

fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
