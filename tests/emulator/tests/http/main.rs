//! The emulator through real HTTP on loopback, as its users see it.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "these tests are a client of their own, with nothing of ours in between"
)]

mod assertions;
mod authorize;
mod control;
mod faults;
mod grants;
mod graph;
mod managed_identity;
mod metadata;
mod outage;

use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, PUBLIC_CLIENT_ID, TENANT_ID, User};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::Value;

/// The MCP URL that is registered as an identifier URI.
const MCP: &str = "http://127.0.0.1:7071/mcp";
/// Where the browser is sent back to.
const CALLBACK: &str = "http://127.0.0.1:33418/callback";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const OBO: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const USER_READ: &str = "https://graph.microsoft.com/User.Read";

/// An emulator and a client that follows no redirect.
struct World {
    emulator: Emulator,
    http: Client,
}

async fn world() -> World {
    let emulator = Emulator::start().await;
    emulator.identifier_uri(MCP);
    let http = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().expect("a client");
    World { emulator, http }
}

/// Replaces or adds parameters.
fn with<'a>(mut base: Vec<(&'a str, &'a str)>, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    for &(name, value) in changes {
        base.retain(|(known, _)| *known != name);
        base.push((name, value));
    }
    base
}

impl World {
    async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.emulator.base_url())).send().await.expect("an answer")
    }

    /// A good authorize request for Alice and both scopes, with changes; an empty value means omitted.
    async fn authorize(&self, changes: &[(&str, &str)]) -> Response {
        let scope = format!("openid offline_access {MCP}/access_as_user {MCP}/MCP.Tools");
        let good = vec![
            ("client_id", PUBLIC_CLIENT_ID),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", &scope),
            ("state", "a state & more"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("resource", MCP),
            ("login_hint", User::Alice.upn()),
        ];
        let url = format!("{}/{TENANT_ID}/oauth2/v2.0/authorize", self.emulator.base_url());
        self.http.get(url).query(&with(good, changes)).send().await.expect("an answer")
    }

    async fn token(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("{}/{TENANT_ID}/oauth2/v2.0/token", self.emulator.base_url());
        let response = self.http.post(url).form(form).send().await.expect("an answer");
        (response.status(), response.json().await.expect("JSON"))
    }

    /// The code of a good request with changes.
    async fn code(&self, changes: &[(&str, &str)]) -> String {
        member(&sent_back(&self.authorize(changes).await), "code").expect("a code")
    }

    /// Redeems a code, with changes.
    async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> (StatusCode, Value) {
        let good = vec![
            ("grant_type", "authorization_code"),
            ("client_id", PUBLIC_CLIENT_ID),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token(&with(good, changes)).await
    }

    /// A good on-behalf-of request, with changes.
    async fn on_behalf_of(&self, assertion: &str, changes: &[(&str, &str)]) -> (StatusCode, Value) {
        let good = vec![
            ("grant_type", OBO),
            ("client_id", API_CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("assertion", assertion),
            ("scope", USER_READ),
            ("requested_token_use", "on_behalf_of"),
        ];
        self.token(&with(good, changes)).await
    }

    /// A good on-behalf-of request proved by a client assertion, with changes.
    async fn on_behalf_of_by(&self, assertion: &str, changes: &[(&str, &str)]) -> (StatusCode, Value) {
        let user = self.emulator.token(User::Alice).build();
        let proof = [("client_secret", ""), ("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)];
        self.on_behalf_of(&user, &with(proof.to_vec(), changes)).await
    }

    /// A client-credentials request for Graph that lacks nothing but a `client_assertion`, with changes.
    async fn probe(&self, changes: &[(&str, &str)]) -> (StatusCode, Value) {
        let good = vec![
            ("grant_type", "client_credentials"),
            ("client_id", API_CLIENT_ID),
            ("client_assertion_type", ASSERTION_TYPE),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        self.token(&with(good, changes)).await
    }

    /// Alice's Graph token.
    async fn graph_token(&self, changes: &[(&str, &str)]) -> String {
        let assertion = self.emulator.token(User::Alice).build();
        let (status, answer) = self.on_behalf_of(&assertion, changes).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["access_token"].as_str().expect("a token").to_owned()
    }
}

/// The parameters with which the browser is sent back.
fn sent_back(response: &Response) -> Url {
    assert_eq!(response.status(), StatusCode::FOUND);
    let location = response.headers()["location"].to_str().expect("ASCII");
    assert!(location.starts_with(CALLBACK), "{location}");
    Url::parse(location).expect("a URL")
}

fn member(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// The claims (part 1) or the header (part 0) of a compact token, unverified.
fn part(token: &Value, part: usize) -> Value {
    use base64::Engine as _;
    let token = token.as_str().expect("a token");
    let part = token.split('.').nth(part).expect("a part");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}
