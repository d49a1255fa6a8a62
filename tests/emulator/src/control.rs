//! The control surface for tests that are not written in Rust, under `/emulator/`. No CORS header is sent and every
//! changing request with a body must be JSON, so that no web page can reach it by accident.

use std::sync::Arc;

use axum::extract::{self, Path};
use axum::http::StatusCode;
use axum::{Json, Router, routing};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::counters::Counters;
use crate::credentials::FederatedCredential;
use crate::faults::{Endpoint, Fault};
use crate::state::State;
use crate::tenant::User;

/// The routes.
pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/emulator/counters", routing::get(counters))
        .route("/emulator/users", routing::get(users))
        .route("/emulator/rotate-keys", routing::post(rotate_keys))
        .route("/emulator/faults", routing::post(set_fault).delete(clear_faults))
        .route("/emulator/identifier-uris", routing::post(identifier_uri))
        .route("/emulator/grants", routing::post(grant))
        .route("/emulator/federated-credential", routing::post(federate).delete(unfederate))
        .route("/emulator/discovery/{member}", routing::put(discovery_member))
}

type Shared = extract::State<Arc<State>>;

async fn counters(extract::State(state): Shared) -> Json<Counters> {
    Json(state.tally.read())
}

async fn users() -> Json<Value> {
    let user =
        |user: User| json!({ "name": user.name(), "upn": user.upn(), "oid": user.oid(), "rights": user.rights() });
    Json(User::ALL.into_iter().map(user).collect())
}

async fn rotate_keys(extract::State(state): Shared) -> Json<Value> {
    Json(json!({ "kid": state.keys.rotate().kid() }))
}

/// `{"endpoint": "token", "fault": {"status": {"status": 503}}, "times": 2}`; for ever where `times` is absent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFault {
    endpoint: Endpoint,
    fault: Fault,
    #[serde(default)]
    times: Option<usize>,
}

async fn set_fault(extract::State(state): Shared, Json(wanted): Json<SetFault>) -> StatusCode {
    match wanted.times {
        Some(times) => state.faults.times(wanted.endpoint, times, wanted.fault),
        None => state.faults.set(wanted.endpoint, wanted.fault),
    }
    StatusCode::NO_CONTENT
}

async fn clear_faults(extract::State(state): Shared) -> StatusCode {
    state.faults.clear();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentifierUri {
    uri: String,
}

async fn identifier_uri(extract::State(state): Shared, Json(wanted): Json<IdentifierUri>) -> StatusCode {
    state.directory().add_identifier_uri(&wanted.uri);
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    user: String,
    scope: String,
}

async fn grant(extract::State(state): Shared, Json(wanted): Json<Grant>) -> StatusCode {
    let Some(user) = User::with_upn(&wanted.user) else { return StatusCode::NOT_FOUND };
    state.directory().grant(user, &wanted.scope);
    StatusCode::NO_CONTENT
}

async fn federate(extract::State(state): Shared, Json(wanted): Json<FederatedCredential>) -> StatusCode {
    state.credentials().federate(Some(wanted));
    StatusCode::NO_CONTENT
}

async fn unfederate(extract::State(state): Shared) -> StatusCode {
    state.credentials().federate(None);
    StatusCode::NO_CONTENT
}

async fn discovery_member(
    extract::State(state): Shared,
    Path(member): Path<String>,
    Json(value): Json<Value>,
) -> Json<Map<String, Value>> {
    state.faults.discovery_member(&member, value);
    Json(state.faults.discovery_members())
}
