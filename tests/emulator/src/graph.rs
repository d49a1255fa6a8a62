//! The bit of Microsoft Graph that is used: `GET /v1.0/me` (Graph reference, "Get user"; "Microsoft Graph error
//! responses").

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use support::unix_now;
use uuid::Uuid;

use crate::clock::timestamp;
use crate::errors::Correlation;
use crate::faults::Endpoint;
use crate::params::Params;
use crate::state::State;
use crate::tenant::{GRAPH_APP_ID, TENANT_ID, User};

/// The signed-in user's profile.
pub(crate) async fn me(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    state.tally.count(|counters| &mut counters.graph_me);
    if let Some(trace) = headers.get("traceparent").and_then(|value| value.to_str().ok()) {
        state.graph_traces().push(trace.to_owned());
    }
    if let Some(answer) = state.faults.strike(Endpoint::GraphMe, &Correlation::of(&headers)).await {
        return answer;
    }
    let ids = Ids::of(&headers);
    let query = Params::parse(query.unwrap_or_default().as_bytes());
    let answer = caller(&state, &headers).and_then(|user| profile(user, &state.base_url, query.get("$select")));
    let mut response = match answer {
        Ok(profile) => Json(profile).into_response(),
        Err(refusal) => refusal.response(&state, &ids),
    };
    for (name, id) in [("request-id", &ids.request), ("client-request-id", &ids.client)] {
        response.headers_mut().insert(name, HeaderValue::from_str(id).expect("a GUID is a header value"));
    }
    response
}

/// Why Graph refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// 401 with this sentence.
    Token(&'static str),
    /// 401 with a claims challenge.
    Claims,
    /// 403: the token lacks the scope.
    Scope,
    /// 400 with this sentence.
    Request(String),
}

fn caller(state: &State, headers: &HeaderMap) -> Result<User, Refusal> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        value.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Refusal::Token("Access token is empty."))?;
    let claims = state.keys.graph_claims(token);
    let claims = claims.ok_or(Refusal::Token("Access token validation failure. Invalid audience."))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("aud") != Some(GRAPH_APP_ID) {
        return Err(Refusal::Token("Access token validation failure. Invalid audience."));
    }
    if claims.get("exp").and_then(Value::as_i64).is_none_or(|exp| exp <= unix_now()) {
        return Err(Refusal::Token("Lifetime validation failed, the token is expired."));
    }
    let issued = text("uti").and_then(|uti| state.downstream().get(uti).copied());
    let issued = issued.ok_or(Refusal::Token("Continuous access evaluation resulted in challenge: token revoked."))?;
    if state.settings.graph_claims_challenge.load(Ordering::SeqCst) && !issued.answers_challenge {
        return Err(Refusal::Claims);
    }
    let Some(scopes) = text("scp") else {
        return Err(Refusal::Request("/me request is only valid with delegated authentication flow.".to_owned()));
    };
    if !scopes.split(' ').any(|scope| scope == "User.Read") {
        return Err(Refusal::Scope);
    }
    text("oid").and_then(User::with_oid).ok_or(Refusal::Token("The user does not exist."))
}

/// The selected properties, or Graph's default set.
fn profile(user: User, base_url: &str, select: Option<&str>) -> Result<Value, Refusal> {
    let all = properties(user);
    let names: Vec<&str> = select.map_or_else(Vec::new, |select| select.split(',').map(str::trim).collect());
    let mut body = Map::new();
    let context = if names.is_empty() { String::new() } else { format!("({})", names.join(",")) };
    body.insert("@odata.context".into(), format!("{base_url}/v1.0/$metadata#users{context}/$entity").into());
    if names.is_empty() {
        body.extend(all);
        return Ok(Value::Object(body));
    }
    for name in names {
        let value = all.get(name).cloned().ok_or_else(|| {
            Refusal::Request(format!("Could not find a property named '{name}' on type 'microsoft.graph.user'."))
        })?;
        body.insert(name.to_owned(), value);
    }
    Ok(Value::Object(body))
}

fn properties(user: User) -> Map<String, Value> {
    let properties = json!({
        "businessPhones": [],
        "displayName": user.name(),
        "givenName": user.given_name(),
        "jobTitle": user.job_title(),
        "mail": user.upn(),
        "mobilePhone": null,
        "officeLocation": "18/2111",
        "preferredLanguage": "en-GB",
        "surname": "Example",
        "userPrincipalName": user.upn(),
        "id": user.oid(),
    });
    properties.as_object().cloned().unwrap_or_default()
}

impl Refusal {
    fn response(&self, state: &State, ids: &Ids) -> Response {
        let (status, code, message) = match self {
            Self::Token(message) => (StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", *message),
            Self::Claims => {
                let message = "Continuous access evaluation resulted in challenge with result: InteractionRequired.";
                (StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
            }
            Self::Scope => {
                let message = "Insufficient privileges to complete the operation.";
                (StatusCode::FORBIDDEN, "Authorization_RequestDenied", message)
            }
            Self::Request(message) => (StatusCode::BAD_REQUEST, "BadRequest", message.as_str()),
        };
        let inner = json!({
            "date": timestamp(unix_now()).trim_end_matches('Z').replace(' ', "T"),
            "request-id": ids.request,
            "client-request-id": ids.client,
        });
        let body = json!({ "error": { "code": code, "message": message, "innerError": inner } });
        let mut response = (status, Json(body)).into_response();
        if let Some(challenge) = self.challenge(&state.base_url) {
            let challenge = HeaderValue::from_str(&challenge).expect("a challenge is ASCII");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// `WWW-Authenticate` in Graph's words (claims-challenge page, "Claims challenge header format").
    fn challenge(&self, base_url: &str) -> Option<String> {
        let plain = format!(
            "Bearer realm=\"\", authorization_uri=\"{base_url}/{TENANT_ID}/oauth2/v2.0/authorize\", \
             client_id=\"{GRAPH_APP_ID}\""
        );
        match self {
            Self::Token(_) => Some(plain),
            Self::Claims => {
                let claims = STANDARD.encode(State::graph_claims());
                Some(format!("{plain}, error=\"insufficient_claims\", claims=\"{claims}\""))
            }
            Self::Scope | Self::Request(_) => None,
        }
    }
}

/// The ids under which Graph logs a request.
struct Ids {
    request: String,
    client: String,
}

impl Ids {
    fn of(headers: &HeaderMap) -> Self {
        let request = Uuid::new_v4().to_string();
        let sent = headers.get("client-request-id").and_then(|value| value.to_str().ok());
        let sent = sent.filter(|id| Uuid::parse_str(id).is_ok());
        Self { client: sent.map_or_else(|| request.clone(), str::to_owned), request }
    }
}
