//! Entra's error answers (reference-error-codes; the shape: v2-oauth2-auth-code-flow, "Error response").

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use support::unix_now;
use uuid::Uuid;

use crate::clock::timestamp;

/// An error as the token endpoint answers it and as the authorize endpoint redirects with it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EntraError {
    /// The OAuth code: `invalid_grant`, `invalid_client`, …
    pub error: String,
    /// The AADSTS number.
    pub code: u32,
    /// Entra's finer code: `consent_required`, `bad_token`, `basic_action`, …
    #[serde(default)]
    pub suberror: Option<String>,
    /// The claims the client must ask for, as JSON text.
    #[serde(default)]
    pub claims: Option<String>,
    /// The text after `AADSTSn: `.
    #[serde(default)]
    pub description: String,
}

impl EntraError {
    /// Any error.
    #[must_use]
    pub fn new(error: &str, code: u32, description: &str) -> Self {
        Self { error: error.into(), code, suberror: None, claims: None, description: description.into() }
    }

    /// `invalid_grant` with any number.
    #[must_use]
    pub fn any_code(code: u32) -> Self {
        Self::new("invalid_grant", code, "An error of the emulator's choosing.")
    }

    /// The same error with a suberror.
    #[must_use]
    pub fn with_suberror(self, suberror: &str) -> Self {
        Self { suberror: Some(suberror.into()), ..self }
    }

    /// The same error with a claims challenge.
    #[must_use]
    pub fn with_claims(self, claims: &str) -> Self {
        Self { claims: Some(claims.into()), ..self }
    }

    /// Multi-factor authentication is due. On the wire it is `invalid_grant` with `basic_action` and `claims`, not the
    /// `interaction_required` of the documentation (microsoft-authentication-library-for-js#5491).
    #[must_use]
    pub fn claims_challenge() -> Self {
        let claims =
            r#"{"access_token":{"capolids":{"essential":true,"values":["cccc2222-dddd-3333-eeee-4444ffff5555"]}}}"#;
        let text = "Due to a configuration change made by your administrator, or because you moved to a new location, \
                    you must use multi-factor authentication to access '00000003-0000-0000-c000-000000000000'.";
        Self::new("invalid_grant", 50076, text).with_suberror("basic_action").with_claims(claims)
    }

    /// The user has not consented to the downstream scope.
    #[must_use]
    pub fn consent_required() -> Self {
        let text = "The user or administrator has not consented to use the application with ID \
                    '00001111-aaaa-2222-bbbb-3333cccc4444' named 'mcp-server'. Send an interactive authorization \
                    request for this user and resource.";
        Self::new("invalid_grant", 65001, text).with_suberror("consent_required")
    }

    /// The assertion of an on-behalf-of request has expired.
    #[must_use]
    pub fn assertion_expired() -> Self {
        let text = "Assertion is not within its valid time range. Ensure that the access token is not expired before \
                    using it for user assertion, or request a new token.";
        Self::new("invalid_grant", 500_133, text)
    }

    /// The client secret is wrong.
    #[must_use]
    pub fn invalid_secret() -> Self {
        let text = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                    value, not the client secret ID, for a secret added to app \
                    '00001111-aaaa-2222-bbbb-3333cccc4444'.";
        Self::new("invalid_client", 7_000_215, text)
    }

    /// The client secret has expired.
    #[must_use]
    pub fn expired_secret() -> Self {
        let text = "The provided client secret keys for app '00001111-aaaa-2222-bbbb-3333cccc4444' are expired.";
        Self::new("invalid_client", 7_000_222, text)
    }

    /// Entra is too busy (HTTP 503).
    #[must_use]
    pub fn temporarily_unavailable() -> Self {
        Self::new("temporarily_unavailable", 90_033, "A transient error has occurred. Please try again.")
    }

    /// The tenant does not exist.
    #[must_use]
    pub fn unknown_tenant(tenant: &str) -> Self {
        let text = format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
        Self::new("invalid_tenant", 90_002, &text)
    }

    pub(crate) fn missing_parameter(name: &str) -> Self {
        let text = format!("The request body must contain the following parameter: '{name}'.");
        Self::new("invalid_request", 900_144, &text)
    }

    pub(crate) fn duplicate_parameter(name: &str) -> Self {
        let text = format!("The request is not properly formatted. The parameter '{name}' is duplicated.");
        Self::new("invalid_request", 9_000_411, &text)
    }

    pub(crate) fn malformed(why: &str) -> Self {
        Self::new("invalid_request", 9_002_313, &format!("Invalid request. Request is malformed or invalid. {why}"))
    }

    pub(crate) fn unknown_client(client_id: &str) -> Self {
        let text = format!("Application with identifier '{client_id}' was not found in the directory 'Contoso'.");
        Self::new("unauthorized_client", 700_016, &text)
    }

    /// A client assertion, ours to prove the application with, is expired, not valid yet, or lives for too long.
    pub(crate) fn client_assertion_expired(now: i64, not_before: i64, expires: i64) -> Self {
        let time = |unix| timestamp(unix).replace(' ', "T");
        let text = format!(
            "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry \
             time of assertion {}. Review the documentation at \
             https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
            time(now),
            time(not_before),
            time(expires)
        );
        Self::new("invalid_client", 700_024, &text)
    }

    pub(crate) fn throttled() -> Self {
        let text = "There are too many incoming requests. Please try again later.";
        Self::new("temporarily_unavailable", 90_055, text)
    }

    pub(crate) fn admin_consent_required() -> Self {
        let text = "mcp-server needs permission to access resources in your organization that only an admin can \
                    grant. Please ask an admin to grant permission to this app before you can use it.";
        Self::new("access_denied", 90_094, text)
    }

    pub(crate) fn consent_declined() -> Self {
        Self::new("access_denied", 65_004, "User declined to consent to access the app.")
    }

    pub(crate) fn resource_mismatch() -> Self {
        let text = "The resource parameter provided in the request doesn't match with the requested scopes.";
        Self::new("invalid_target", 9_010_010, text)
    }

    /// Entra answers 401 where the client failed to prove itself, 400 for nearly everything else.
    pub(crate) fn status(&self) -> StatusCode {
        match (self.error.as_str(), self.code) {
            (_, 90_055) => StatusCode::TOO_MANY_REQUESTS,
            // A scope that does not exist is filed under `invalid_client`, yet is not about the client's proof.
            ("invalid_client", code) if code != 650_053 => StatusCode::UNAUTHORIZED,
            ("temporarily_unavailable", _) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// `error_description`: what people paste into bug reports.
    pub(crate) fn description(&self, correlation: &Correlation) -> String {
        format!(
            "AADSTS{}: {} Trace ID: {} Correlation ID: {} Timestamp: {}",
            self.code,
            self.description,
            correlation.trace_id,
            correlation.id,
            timestamp(unix_now())
        )
    }

    /// The JSON answer.
    pub(crate) fn response(&self, correlation: &Correlation) -> Response {
        let mut body = Map::new();
        body.insert("error".into(), self.error.clone().into());
        body.insert("error_description".into(), self.description(correlation).into());
        body.insert("error_codes".into(), Value::from(vec![self.code]));
        body.insert("timestamp".into(), timestamp(unix_now()).into());
        body.insert("trace_id".into(), correlation.trace_id.clone().into());
        body.insert("correlation_id".into(), correlation.id.clone().into());
        body.insert("error_uri".into(), format!("https://login.microsoftonline.com/error?code={}", self.code).into());
        for (name, member) in [("suberror", &self.suberror), ("claims", &self.claims)] {
            if let Some(text) = member {
                body.insert(name.into(), text.clone().into());
            }
        }
        correlation.stamp((self.status(), Json(Value::Object(body))).into_response())
    }
}

/// The two ids by which a request is found in Entra's logs.
#[derive(Clone, Debug)]
pub(crate) struct Correlation {
    id: String,
    trace_id: String,
    echo: bool,
}

impl Correlation {
    /// The client's own id where it sent a GUID in `client-request-id`; a new one else.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let sent = text("client-request-id").filter(|id| Uuid::parse_str(id).is_ok());
        Self {
            id: sent.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned),
            trace_id: Uuid::new_v4().to_string(),
            echo: text("return-client-request-id").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        }
    }

    /// Adds the headers that every answer of Entra's carries.
    pub(crate) fn stamp(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        let mut set = |name: &'static str, value: &str| {
            headers.insert(name, HeaderValue::from_str(value).expect("a GUID or a constant is a header value"));
        };
        set("x-ms-request-id", &self.trace_id);
        set("cache-control", "no-store, no-cache");
        set("pragma", "no-cache");
        if self.echo {
            set("client-request-id", &self.id);
        }
        response
    }
}
