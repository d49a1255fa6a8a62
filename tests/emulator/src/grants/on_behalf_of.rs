//! `urn:ietf:params:oauth:grant-type:jwt-bearer` with `requested_token_use=on_behalf_of`
//! (v2-oauth2-on-behalf-of-flow).

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use support::unix_now;

use crate::errors::EntraError;
use crate::params::{Params, asks_cp1};
use crate::scopes::Asked;
use crate::state::{Downstream, State};
use crate::tenant::{Resource, User};
use crate::token::{Client, Issue};

/// What an on-behalf-of request carried, but for its secrets: the assertion and the client's proof are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OboRequest {
    /// The `scope` parameter.
    pub scope: Option<String>,
    /// `oid` of the assertion, unverified.
    pub oid: Option<String>,
    /// The `client-request-id` header.
    pub client_request_id: Option<String>,
    /// The `claims` parameter.
    pub claims: Option<String>,
}

impl OboRequest {
    pub(crate) fn of(params: &Params, headers: &HeaderMap) -> Self {
        let header = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
        Self {
            scope: params.get("scope").map(str::to_owned),
            oid: params.get("assertion").and_then(unverified_oid),
            client_request_id: header("client-request-id").map(str::to_owned),
            claims: params.get("claims").map(str::to_owned),
        }
    }

    /// Whether claims were asked for.
    #[must_use]
    pub fn had_claims(&self) -> bool {
        self.claims.is_some()
    }
}

/// Exchanges a user's token for the API application for that user's token for Graph.
pub(crate) fn exchange(state: &State, params: &Params, client: Client) -> Result<Value, EntraError> {
    client.confidential()?;
    if params.require("requested_token_use")? != "on_behalf_of" {
        return Err(EntraError::malformed("The only 'requested_token_use' is 'on_behalf_of'."));
    }
    let assertion = params.require("assertion")?;
    let claims = state
        .keys
        .claims(assertion)
        .ok_or_else(|| EntraError::new("invalid_grant", 50_013, "Assertion failed signature validation."))?;
    let user = user(&claims, &state.issuer(), client, unix_now())?;
    let asked = Asked::parse(params.require("scope")?, &state.directory(), &state.base_url)?;
    if asked.resource != Resource::Graph || (asked.names.is_empty() && !asked.default) {
        let text = "The provided value for the input parameter 'scope' must name a downstream API.";
        return Err(EntraError::new("invalid_scope", 70_011, text));
    }
    asked.check_resource(params, &state.directory())?;
    // Every scope must have been consented to; there is nobody here who could be asked.
    if !asked.names.is_subset(&state.directory().granted(user, Resource::Graph)) {
        return Err(EntraError::consent_required());
    }
    let claims = params.get("claims");
    Issue {
        user,
        client_id: client.id(),
        asked: &asked,
        nonce: None,
        cp1: asks_cp1(claims)?,
        downstream: Downstream { answers_challenge: asks_nbf(claims) },
    }
    .answer(state)
}

/// The user of a good assertion. A token whose `iss` is not ours cannot come from our keys by Entra's hand, so it is
/// filed with the broken signatures.
fn user(claims: &Value, issuer: &str, client: Client, now: i64) -> Result<User, EntraError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let refuse = |code, text| Err(EntraError::new("invalid_grant", code, text));
    if text("iss") != Some(issuer) {
        return refuse(50_013, "Assertion contains an invalid issuer.");
    }
    if claims.get("exp").and_then(Value::as_i64).is_none_or(|exp| exp <= now) {
        return Err(EntraError::assertion_expired());
    }
    if text("aud") != Some(client.id()) {
        return refuse(500_131, "Assertion audience does not match the Client app presenting the assertion.");
    }
    if text("idtyp") == Some("app") || (text("scp").is_none() && text("oid") == text("sub")) {
        return refuse(7_000_114, "Application is not allowed to make application on-behalf-of calls.");
    }
    if text("scp").is_none() {
        return refuse(
            240_002,
            "Input id_token cannot be used as 'urn:ietf:params:oauth:grant-type:jwt-bearer' grant.",
        );
    }
    match text("oid").and_then(User::with_oid) {
        Some(user) => Ok(user),
        None => refuse(50_034, "The user account does not exist in the directory 'Contoso'."),
    }
}

fn asks_nbf(claims: Option<&str>) -> bool {
    let claims: Option<Value> = claims.and_then(|text| serde_json::from_str(text).ok());
    claims.is_some_and(|claims| claims.pointer("/access_token/nbf").is_some())
}

/// Whom an on-behalf-of request is about, going by what it says.
pub(crate) fn unverified_user(params: &Params) -> Option<User> {
    User::with_oid(&unverified_oid(params.get("assertion")?)?)
}

fn unverified_oid(assertion: &str) -> Option<String> {
    let payload = assertion.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims.get("oid")?.as_str().map(str::to_owned)
}
