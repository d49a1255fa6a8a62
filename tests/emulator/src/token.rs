//! `POST /{tenant}/oauth2/v2.0/token`: who asks, with which grant, and the answer's shape.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{self, Path};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::unix_now;

use crate::credentials::Verifier;
use crate::errors::{Correlation, EntraError};
use crate::faults::Endpoint;
use crate::grants::{client_credentials, code, on_behalf_of, refresh};
use crate::params::Params;
use crate::scopes::Asked;
use crate::state::{Downstream, State, opaque};
use crate::tenant::{API_CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID, Resource, TENANT_ID, User};

/// Answers a token request.
pub(crate) async fn token(
    extract::State(state): extract::State<Arc<State>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let correlation = Correlation::of(&headers);
    // A body of another type holds no parameters (RFC 6749 §4.1.3).
    let params = Params::parse(if is_form(&headers) { &body } else { b"" });
    count(&state, &params, &headers);
    if let Some(answer) = state.faults.strike(Endpoint::Token, &correlation).await {
        return answer;
    }
    if params.get("grant_type") == Some(ON_BEHALF_OF)
        && let Some(answer) = state.faults.throttle(on_behalf_of::unverified_user(&params), &correlation)
    {
        return answer;
    }
    if tenant != TENANT_ID {
        return EntraError::unknown_tenant(&tenant).response(&correlation);
    }
    match grant(&state, &params, &headers) {
        Ok(answer) => correlation.stamp(Json(answer).into_response()),
        Err(error) => error.response(&correlation),
    }
}

/// Answers any method but POST.
pub(crate) async fn not_post(headers: HeaderMap) -> Response {
    let text = "The endpoint only accepts POST requests.";
    EntraError::new("invalid_request", 900_561, text).response(&Correlation::of(&headers))
}

fn grant(state: &State, params: &Params, headers: &HeaderMap) -> Result<Value, EntraError> {
    let grant_type = params.require("grant_type")?;
    params.refuse_duplicates()?;
    let client = Client::authenticate(state, params, headers)?;
    match grant_type {
        CODE => code::redeem(state, params, client),
        REFRESH => refresh::redeem(state, params, client),
        ON_BEHALF_OF => on_behalf_of::exchange(state, params, client),
        CLIENT_CREDENTIALS => client_credentials::issue(state, params, client),
        other => {
            let text = format!("The app requested an unsupported grant type '{other}'.");
            Err(EntraError::new("unsupported_grant_type", 70_003, &text))
        }
    }
}

fn count(state: &State, params: &Params, headers: &HeaderMap) {
    match params.get("grant_type") {
        Some(CODE) => state.tally.count(|counters| &mut counters.token_code),
        Some(REFRESH) => state.tally.count(|counters| &mut counters.token_refresh),
        Some(ON_BEHALF_OF) => {
            state.tally.count(|counters| &mut counters.token_obo);
            state.obo_requests().push(on_behalf_of::OboRequest::of(params, headers));
        }
        Some(CLIENT_CREDENTIALS) => state.tally.count(|counters| &mut counters.token_client_credentials),
        _ => {}
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// What a client shows of itself besides its id.
#[derive(Clone, Copy)]
enum Proof<'a> {
    Nothing,
    Secret(&'a str),
    Assertion(&'a str),
}

/// A client that proved itself as its kind must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The public client: it has no secret.
    Public,
    /// The API application: it showed its secret, or an assertion that one of its credentials accepts.
    Api,
}

impl Client {
    fn authenticate(state: &State, params: &Params, headers: &HeaderMap) -> Result<Self, EntraError> {
        let basic = basic(headers);
        let (id, secret) = match &basic {
            Some((id, secret)) => (id.as_str(), Some(secret.as_str())),
            None => (params.require("client_id")?, params.get("client_secret")),
        };
        let proof = match (secret, params.get("client_assertion")) {
            (None, None) => Proof::Nothing,
            (Some(secret), None) => Proof::Secret(secret),
            (None, Some(assertion)) => Proof::Assertion(assertion),
            // One proof a request (RFC 6749 §2.3).
            (Some(_), Some(_)) => {
                let why = "Only one of 'client_assertion' and 'client_secret' may be presented.";
                return Err(EntraError::malformed(why));
            }
        };
        match (id, proof) {
            (PUBLIC_CLIENT_ID, Proof::Nothing) => Ok(Self::Public),
            (PUBLIC_CLIENT_ID, _) => {
                let text = "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.";
                Err(EntraError::new("invalid_client", 700_025, text))
            }
            (API_CLIENT_ID, Proof::Secret(CLIENT_SECRET)) => Ok(Self::Api),
            (API_CLIENT_ID, Proof::Secret(_)) => Err(EntraError::invalid_secret()),
            (API_CLIENT_ID, Proof::Assertion(assertion)) => {
                if params.require("client_assertion_type")? != ASSERTION_TYPE {
                    return Err(EntraError::malformed("The only 'client_assertion_type' is jwt-bearer."));
                }
                let verifier = Verifier {
                    keys: &state.keys,
                    issuer: &state.issuer(),
                    token_endpoint: &state.token_endpoint(),
                    now: unix_now(),
                };
                // A copy: nobody waits while a signature is checked.
                let credentials = state.credentials().clone();
                credentials.prove(assertion, verifier).map(|()| Self::Api)
            }
            (API_CLIENT_ID, Proof::Nothing) => Err(secret_missing()),
            (other, _) => Err(EntraError::unknown_client(other)),
        }
    }

    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Public => PUBLIC_CLIENT_ID,
            Self::Api => API_CLIENT_ID,
        }
    }

    /// Refuses the public client, where a grant is for confidential ones only.
    pub(crate) fn confidential(self) -> Result<(), EntraError> {
        match self {
            Self::Public => Err(secret_missing()),
            Self::Api => Ok(()),
        }
    }
}

/// Id and secret of `Authorization: Basic`; both are form-encoded first (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let text = String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |part: &str| {
        let pair = format!("value={part}");
        url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    Some((decoded(id)?, decoded(secret)?))
}

fn secret_missing() -> EntraError {
    let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
    EntraError::new("invalid_client", 7_000_218, text)
}

/// Tokens for a user who signed in: what a code, a refresh token or an assertion is worth.
#[derive(Clone, Debug)]
pub(crate) struct Issue<'a> {
    pub(crate) user: User,
    pub(crate) client_id: &'static str,
    pub(crate) asked: &'a Asked,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) cp1: bool,
    pub(crate) downstream: Downstream,
}

impl Issue<'_> {
    /// The token answer (v2-oauth2-auth-code-flow, "Successful response"). Consent was given earlier or it is missing
    /// now: the token endpoint asks nobody.
    pub(crate) fn answer(self, state: &State) -> Result<Value, EntraError> {
        let (user, asked) = (self.user, self.asked);
        let granted = state.directory().granted(user, asked.resource);
        let wanted = asked.wanted();
        let consented =
            if asked.default { !granted.is_empty() } else { wanted.is_empty() || !granted.is_disjoint(&wanted) };
        if !consented {
            return Err(EntraError::consent_required());
        }
        let (access_token, lifetime) = match asked.resource {
            Resource::Api => {
                let token = state.access_token(user, self.client_id, &granted);
                let token = if self.cp1 { token.claim("xms_cc", json!(["cp1"])) } else { token };
                (token.build(), state.settings.access_token_lifetime())
            }
            Resource::Graph => {
                let openid = ["openid", "profile", "email"].map(str::to_owned);
                let scopes = granted.iter().cloned().chain(openid).collect();
                let token = state.graph_token(user, self.client_id, &scopes, self.cp1, self.downstream);
                (token, state.settings.downstream_lifetime())
            }
        };
        let mut answer = json!({
            "token_type": "Bearer",
            "scope": asked.answer(&granted),
            "expires_in": lifetime.max(0),
            "ext_expires_in": lifetime.max(0),
            "access_token": access_token,
        });
        let mut add =
            |name: &str, value: Value| answer.as_object_mut().map(|members| members.insert(name.into(), value));
        if lifetime >= 7200 {
            // Entra names a time for renewal only for tokens that live long.
            add("refresh_in", (lifetime / 2).into());
        }
        if asked.openid {
            add("id_token", state.id_token(user, self.client_id, self.nonce).build().into());
        }
        if asked.offline_access {
            let secret = opaque("1.AXkArefresh");
            let session = refresh::Session { client_id: self.client_id, user, asked: asked.clone(), cp1: self.cp1 };
            state.sessions().insert(secret.clone(), session);
            add("refresh_token", secret.into());
        }
        Ok(answer)
    }
}

const CODE: &str = "authorization_code";
const REFRESH: &str = "refresh_token";
const ON_BEHALF_OF: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const CLIENT_CREDENTIALS: &str = "client_credentials";
