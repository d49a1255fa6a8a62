//! The discovery document and the key set, in Entra's shape (v2-protocols-oidc, "Fetch the `OpenID` configuration
//! document"; access-tokens, "Signing key"), and the CORS headers that browser clients need.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{self, Path};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::errors::{Correlation, EntraError};
use crate::faults::Endpoint;
use crate::state::State;
use crate::tenant::TENANT_ID;

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`.
pub(crate) async fn configuration(
    extract::State(state): extract::State<Arc<State>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response {
    state.tally.count(|counters| &mut counters.discovery);
    let correlation = Correlation::of(&headers);
    if let Some(answer) = state.faults.strike(Endpoint::Discovery, &correlation).await {
        return answer;
    }
    if tenant != TENANT_ID {
        return EntraError::unknown_tenant(&tenant).response(&correlation);
    }
    cacheable(document(&state))
}

/// `GET /{tenant}/discovery/v2.0/keys`.
pub(crate) async fn keys(
    extract::State(state): extract::State<Arc<State>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response {
    state.tally.count(|counters| &mut counters.keys);
    let correlation = Correlation::of(&headers);
    if let Some(answer) = state.faults.strike(Endpoint::Keys, &correlation).await {
        return answer;
    }
    if tenant != TENANT_ID {
        return EntraError::unknown_tenant(&tenant).response(&correlation);
    }
    let issuer = state.issuer();
    let keys: Vec<Value> = state.keys.published().iter().map(|key| key.jwk(&issuer)).collect();
    cacheable(json!({ "keys": keys }))
}

/// Answers a browser's preflight request (Fetch standard, "CORS-preflight request").
pub(crate) async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*, Authorization"),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Lets any web page read the answer: clients such as MCP Inspector sign in from a page.
pub(crate) async fn allow_any_origin(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn document(state: &State) -> Value {
    let base = &state.base_url;
    let mut document = json!({
        "token_endpoint": state.token_endpoint(),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{base}/{TENANT_ID}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": state.issuer(),
        "request_uri_parameter_supported": false,
        "authorization_endpoint": format!("{base}/{TENANT_ID}/oauth2/v2.0/authorize"),
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
            "msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid",
            "ver", "at_hash", "c_hash", "email"
        ],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
        "rbac_url": "https://pas.windows.net",
    });
    if let Some(members) = document.as_object_mut() {
        if state.settings.advertise_pkce.load(Ordering::SeqCst) {
            members.insert("code_challenge_methods_supported".into(), json!(["S256"]));
        }
        members.extend(state.faults.discovery_members());
    }
    document
}

fn cacheable(document: Value) -> Response {
    ([(header::CACHE_CONTROL, "max-age=86400, private")], Json(document)).into_response()
}
