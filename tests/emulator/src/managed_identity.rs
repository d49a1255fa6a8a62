//! The managed identities of the host: the App Service endpoint (overview-managed-identity, "REST endpoint reference";
//! Azure Functions and Container Apps have the same) and the virtual machines' IMDS (how-to-use-vm-token).
//!
//! Every request gets a new token, where the platform repeats one token for hours.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use support::unix_now;
use uuid::Uuid;

use crate::clock::timestamp;
use crate::errors::Correlation;
use crate::faults::Endpoint;
use crate::params::Params;
use crate::state::State;
use crate::tenant::{
    IDENTITY_CLIENT_ID, IDENTITY_PRINCIPAL_ID, IDENTITY_RESOURCE_ID, SYSTEM_CLIENT_ID, SYSTEM_PRINCIPAL_ID,
    TOKEN_EXCHANGE_APP_ID, TOKEN_EXCHANGE_URI,
};

/// `GET /msi/token`.
pub(crate) async fn app_service(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    state.tally.count(|counters| &mut counters.managed_identity);
    if let Some(answer) = state.faults.strike(Endpoint::ManagedIdentity, &Correlation::of(&headers)).await {
        return answer;
    }
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let sent = headers.get("x-identity-header").and_then(|value| value.to_str().ok());
    match app_service_token(&state, &params, sent) {
        Ok(answer) => Json(answer).into_response(),
        Err((status, message)) => {
            let correlation = Uuid::new_v4().to_string();
            let body = json!({ "statusCode": status.as_u16(), "message": message, "correlationId": correlation });
            (status, Json(body)).into_response()
        }
    }
}

/// `GET /metadata/identity/oauth2/token`.
pub(crate) async fn imds(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    state.tally.count(|counters| &mut counters.managed_identity);
    if let Some(answer) = state.faults.strike(Endpoint::ManagedIdentity, &Correlation::of(&headers)).await {
        return answer;
    }
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let metadata = headers.get("metadata").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    match imds_token(&state, &params, metadata) {
        Ok(answer) => Json(answer).into_response(),
        Err(body) => (StatusCode::BAD_REQUEST, Json(body)).into_response(),
    }
}

/// An identity of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    UserAssigned,
    SystemAssigned,
}

impl Identity {
    /// The identity that is asked for, by at most one of the parameters `names` for its client, principal and resource
    /// id. `None`: there is no such identity.
    fn asked(params: &Params, names: [&[&str]; 3]) -> Option<Self> {
        let ids = [IDENTITY_CLIENT_ID, IDENTITY_PRINCIPAL_ID, IDENTITY_RESOURCE_ID];
        let sent: Vec<(&str, &str)> = names
            .into_iter()
            .zip(ids)
            .flat_map(|(names, id)| names.iter().filter_map(move |name| Some((params.get(name)?, id))))
            .collect();
        match sent.as_slice() {
            [] => Some(Self::SystemAssigned),
            [(sent, id)] if sent.eq_ignore_ascii_case(id) => Some(Self::UserAssigned),
            _ => None,
        }
    }

    pub(crate) fn client_id(self) -> &'static str {
        match self {
            Self::UserAssigned => IDENTITY_CLIENT_ID,
            Self::SystemAssigned => SYSTEM_CLIENT_ID,
        }
    }

    pub(crate) fn principal_id(self) -> &'static str {
        match self {
            Self::UserAssigned => IDENTITY_PRINCIPAL_ID,
            Self::SystemAssigned => SYSTEM_PRINCIPAL_ID,
        }
    }
}

/// The messages of 400 (identity) and 500 are App Service's own; the others stand for texts that are not on record.
fn app_service_token(
    state: &State,
    params: &Params,
    header: Option<&str>,
) -> Result<Value, (StatusCode, &'static str)> {
    if header != Some(state.identity_header.as_str()) {
        return Err((StatusCode::UNAUTHORIZED, "The X-IDENTITY-HEADER header is missing or wrong."));
    }
    if !params.get("api-version").is_some_and(|version| APP_SERVICE_VERSIONS.contains(&version)) {
        return Err((StatusCode::BAD_REQUEST, "The api-version parameter is missing or unsupported."));
    }
    let resource = params.get("resource").ok_or((StatusCode::BAD_REQUEST, "The resource parameter is missing."))?;
    // App Service knows nothing of `msi_res_id`: sent, it would mean the system-assigned identity.
    let identity =
        Identity::asked(params, [&["client_id"], &["principal_id", "object_id"], &["mi_res_id"]]).ok_or((
            StatusCode::BAD_REQUEST,
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
        ))?;
    if !is_exchange(resource) {
        return Err((StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occured while fetching the AAD Token."));
    }
    Ok(answer(state, identity, resource))
}

fn imds_token(state: &State, params: &Params, metadata: bool) -> Result<Value, Value> {
    let invalid = |text: &str| json!({ "error": "invalid_request", "error_description": text });
    if !metadata {
        return Err(invalid("Required metadata header not specified"));
    }
    // Versions are dates, so the older one is the smaller text.
    if params.get("api-version").is_none_or(|version| version < OLDEST_IMDS_VERSION) {
        let text = "Bad request. api-version is invalid or was not specified in the request. For more information \
                    refer to aka.ms/azureimds";
        return Err(json!({ "error": text, "newest-versions": ["2019-08-01", OLDEST_IMDS_VERSION] }));
    }
    let resource = params.get("resource").ok_or_else(|| invalid("Required query variable 'resource' is missing"))?;
    let identity = Identity::asked(params, [&["client_id"], &["object_id"], &["msi_res_id", "mi_res_id"]])
        .ok_or_else(|| invalid("Identity not found"))?;
    if !is_exchange(resource) {
        let text = format!(
            "AADSTS500011: The resource principal named {resource} was not found in the tenant named Contoso. This can \
             happen if the application has not been installed by the administrator of the tenant. Timestamp: {}",
            timestamp(unix_now())
        );
        return Err(json!({ "error": "invalid_resource", "error_description": text, "error_codes": [500_011] }));
    }
    let mut answer = answer(state, identity, resource);
    let left = state.settings.identity_token_lifetime().to_string();
    if let Some(members) = answer.as_object_mut() {
        members.insert("expires_in".into(), left.clone().into());
        members.insert("ext_expires_in".into(), left.into());
    }
    Ok(answer)
}

/// Only the token exchange has tokens for the identities. It is a resource: with `/.default` at its end, as a scope has
/// it, the platform finds nothing (AzureAD/microsoft-identity-web#2793); the client libraries cut that off.
fn is_exchange(resource: &str) -> bool {
    resource == TOKEN_EXCHANGE_URI || resource == TOKEN_EXCHANGE_APP_ID
}

/// Both endpoints' answer; all its times are texts.
fn answer(state: &State, identity: Identity, resource: &str) -> Value {
    let token = state.identity_token(identity);
    let claims: Value = serde_json::from_str(&token.claims_json()).unwrap_or_default();
    let time = |name: &str| claims.get(name).map(Value::to_string);
    json!({
        "access_token": token.build(),
        "client_id": identity.client_id(),
        "expires_on": time("exp"),
        "not_before": time("nbf"),
        "resource": resource,
        "token_type": "Bearer",
    })
}

/// Where a host of the App Service kind answers.
pub(crate) const APP_SERVICE_PATH: &str = "/msi/token";
/// Where a virtual machine's metadata service answers.
pub(crate) const IMDS_PATH: &str = "/metadata/identity/oauth2/token";
const APP_SERVICE_VERSIONS: [&str; 2] = ["2019-08-01", "2025-03-30"];
const OLDEST_IMDS_VERSION: &str = "2018-02-01";
