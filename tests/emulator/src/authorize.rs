//! `GET /{tenant}/oauth2/v2.0/authorize`: the code flow with PKCE (v2-oauth2-auth-code-flow; RFC 6749 §4.1, RFC 7636).

use std::sync::Arc;

use axum::extract::{self, Path, RawQuery};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use support::unix_now;
use url::Url;
use uuid::Uuid;

use crate::errors::{Correlation, EntraError};
use crate::grants::code::Code;
use crate::page;
use crate::params::{Params, asks_cp1};
use crate::scopes::Asked;
use crate::state::{State, opaque};
use crate::tenant::{API_CLIENT_ID, PUBLIC_CLIENT_ID, TENANT_ID, User};

/// Signs a user in, or asks who is there.
pub(crate) async fn authorize(
    extract::State(state): extract::State<Arc<State>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    state.tally.count(|counters| &mut counters.authorize);
    let correlation = Correlation::of(&headers);
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    // Until the redirect URI is known to be the client's, errors are shown and never redirected (RFC 6749 §4.1.2.1).
    let reply = match Reply::to(&tenant, &params) {
        Ok(reply) => reply,
        Err(error) => return page::error(&error, &correlation),
    };
    let issuer = state.issuer();
    match Request::check(&params, &state) {
        Ok(request) => match &request.user {
            Some(user) => match sign_in(&state, &request, *user, &params) {
                Ok(code) => reply.with_code(&code, &issuer),
                Err(error) => reply.with_error(&error, &correlation, &issuer),
            },
            None => page::user_picker(&params, &request.asked),
        },
        Err(error) => reply.with_error(&error, &correlation, &issuer),
    }
}

/// What is asked for, checked; nobody has signed in yet.
struct Request {
    asked: Asked,
    challenge: String,
    cp1: bool,
    user: Option<User>,
}

impl Request {
    fn check(params: &Params, state: &State) -> Result<Self, EntraError> {
        params.refuse_duplicates()?;
        if params.require("response_type")? != "code" {
            let text = "The 'response_type' is not enabled for the application; only 'code' is.";
            return Err(EntraError::new("unsupported_response_type", 700_051, text));
        }
        if !matches!(params.get("response_mode"), None | Some("query" | "fragment")) {
            return Err(EntraError::malformed("Only the response modes 'query' and 'fragment' are supported here."));
        }
        let challenge = challenge(params)?;
        let directory = state.directory();
        let asked = Asked::parse(params.require("scope")?, &directory, &state.base_url)?;
        asked.check_resource(params, &directory)?;
        let user = params.get("login_hint").and_then(User::with_upn);
        if user.is_none() && params.get("prompt") == Some("none") {
            let text = "A silent sign-in request was sent but no user is signed in.";
            return Err(EntraError::new("login_required", 50_058, text));
        }
        Ok(Self { asked, challenge, cp1: asks_cp1(params.get("claims"))?, user })
    }
}

/// Entra lets confidential clients leave PKCE out. Here it is required of everybody, as OAuth 2.1 §7.5.1 and MCP do.
fn challenge(params: &Params) -> Result<String, EntraError> {
    let Some(challenge) = params.get("code_challenge") else {
        let text = "Proof Key for Code Exchange is required for authorization code redemption.";
        return Err(EntraError::new("invalid_request", 9_002_325, text));
    };
    if params.get("code_challenge_method") != Some("S256") {
        let text = "The code_challenge_method must be S256.";
        return Err(EntraError::new("invalid_request", 50_147, text));
    }
    match URL_SAFE_NO_PAD.decode(challenge) {
        Ok(digest) if digest.len() == 32 => Ok(challenge.to_owned()),
        _ => Err(EntraError::new("invalid_request", 501_491, "Invalid size of Code_Challenge parameter.")),
    }
}

fn sign_in(state: &State, request: &Request, user: User, params: &Params) -> Result<String, EntraError> {
    let asked = &request.asked;
    state.directory().ask(user, asked.resource, &asked.wanted())?;
    let text = |name| params.get(name).map(str::to_owned);
    let code = opaque("1.AXkA");
    let issued = Code {
        client_id: text("client_id").unwrap_or_default(),
        redirect_uri: text("redirect_uri").unwrap_or_default(),
        challenge: request.challenge.clone(),
        asked: asked.clone(),
        user,
        nonce: text("nonce"),
        cp1: request.cp1,
        issued_at: unix_now(),
        redeemed: false,
    };
    state.codes().insert(code.clone(), issued);
    Ok(code)
}

/// Where the browser goes back to.
struct Reply {
    uri: Url,
    state: Option<String>,
    fragment: bool,
}

impl Reply {
    fn to(tenant: &str, params: &Params) -> Result<Self, EntraError> {
        if tenant != TENANT_ID {
            return Err(EntraError::unknown_tenant(tenant));
        }
        let client_id = params.require("client_id")?;
        if client_id != PUBLIC_CLIENT_ID && client_id != API_CLIENT_ID {
            return Err(EntraError::unknown_client(client_id));
        }
        let sent = params.require("redirect_uri")?;
        let uri = redirect_uri(sent).ok_or_else(|| {
            let text = format!(
                "The redirect URI '{sent}' specified in the request does not match the redirect URIs configured for \
                 the application '{client_id}'."
            );
            EntraError::new("invalid_request", 50_011, &text)
        })?;
        let state = params.get("state").map(str::to_owned);
        Ok(Self { uri, state, fragment: params.get("response_mode") == Some("fragment") })
    }

    fn with_code(self, code: &str, issuer: &str) -> Response {
        let session = Uuid::new_v4().to_string();
        self.redirect(&[("code", code), ("session_state", &session), ("iss", issuer)])
    }

    fn with_error(self, error: &EntraError, correlation: &Correlation, issuer: &str) -> Response {
        let description = error.description(correlation);
        self.redirect(&[("error", &error.error), ("error_description", &description), ("iss", issuer)])
    }

    /// RFC 6749 §4.1.2, with `iss` of RFC 9207 so that a client can tell which server answered.
    fn redirect(mut self, pairs: &[(&str, &str)]) -> Response {
        let state = self.state.as_deref().map(|state| ("state", state));
        let pairs = pairs.iter().copied().chain(state);
        if self.fragment {
            let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            self.uri.set_fragment(Some(&text));
        } else {
            self.uri.query_pairs_mut().extend_pairs(pairs);
        }
        let location = HeaderValue::from_str(self.uri.as_str()).expect("a URL is ASCII");
        (StatusCode::FOUND, [(header::LOCATION, location), (header::CACHE_CONTROL, NO_STORE)]).into_response()
    }
}

/// The registered redirect URIs. For loopback Entra ignores the port (reply-url page, "Localhost exceptions"; RFC 8252
/// §7.3); any path will do here.
fn redirect_uri(sent: &str) -> Option<Url> {
    let uri = Url::parse(sent).ok()?;
    let plain = uri.username().is_empty() && uri.password().is_none() && uri.fragment().is_none();
    let loopback = uri.scheme() == "http" && matches!(uri.host_str(), Some("localhost" | "127.0.0.1"));
    (plain && (loopback || sent == "https://vscode.dev/redirect")).then_some(uri)
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store, no-cache");

#[cfg(test)]
mod tests {
    use super::redirect_uri;

    #[test]
    fn only_loopback_and_vscode_are_redirected_to() {
        for good in ["http://localhost:1234/callback", "http://127.0.0.1/", "https://vscode.dev/redirect"] {
            assert!(redirect_uri(good).is_some(), "{good}");
        }
        for bad in [
            "https://evil.example/",
            "http://localhost.evil.example/",
            "http://localhost@evil.example/",
            "http://user@localhost/",
            "https://localhost/",
            "http://127.0.0.1/#fragment",
            "https://vscode.dev/redirect/more",
            "javascript:alert(1)",
            "/callback",
        ] {
            assert!(redirect_uri(bad).is_none(), "{bad}");
        }
    }
}
