//! [`AuthError`] → status and `WWW-Authenticate`. The one place that builds a refusal.
//!
//! RFC 6750 §3 for the form, RFC 9728 §5.1 for `resource_metadata`, MCP 2026-07-28 Authorization for when which is sent,
//! Microsoft's claims-challenge page for `insufficient_claims`.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::error::{AuthError, TokenFault};
use crate::config::Config;
use crate::{metadata, tool};

/// Builds every refusal, from settings alone.
#[derive(Debug)]
pub struct Challenges {
    resource_metadata: String,
    scope_uri: String,
    authorization_uri: String,
}

/// What the caller is told, in the body too: some clients show it to people.
#[derive(Serialize)]
struct RefusalBody {
    error: &'static str,
    error_description: &'static str,
}

impl Challenges {
    /// Challenges that point to the configured resource.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            resource_metadata: metadata::metadata_url(config),
            scope_uri: config.scope_uri.clone(),
            authorization_uri: format!("{}/{}/oauth2/v2.0/authorize", config.authority, config.tenant_id),
        }
    }

    /// The HTTP answer to a refusal.
    #[must_use]
    pub fn refuse(&self, refusal: &AuthError) -> Response {
        let (status, code) = match refusal {
            // Nothing was sent, so there is no error to name: RFC 6750 §3.1.
            AuthError::MissingToken => (StatusCode::UNAUTHORIZED, None),
            AuthError::AmbiguousCredentials(_) => (StatusCode::BAD_REQUEST, Some("invalid_request")),
            AuthError::InvalidToken(_) => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            AuthError::InteractionRequired { .. } => (StatusCode::UNAUTHORIZED, Some("insufficient_claims")),
            AuthError::InsufficientScope { .. } => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            // Ours to mend: a 401 would make clients throw good tokens away.
            AuthError::KeysUnavailable { .. } | AuthError::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, None),
            // RFC 6585 §4. No challenge: another token would change nothing.
            AuthError::TooManyRequests(..) => (StatusCode::TOO_MANY_REQUESTS, None),
        };
        let description = description(refusal);
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("WWW-Authenticate"));
        match retry_after(refusal) {
            Some(wait) => headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1))),
            None => headers.insert(WWW_AUTHENTICATE, self.header(refusal, code, description)),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = RefusalBody { error: code.unwrap_or(default_code(status)), error_description: description };
        (status, headers, serde_json::to_vec(&body).unwrap_or_default()).into_response()
    }

    fn header(&self, refusal: &AuthError, code: Option<&'static str>, description: &str) -> HeaderValue {
        let mut challenge = Challenge::default();
        if let AuthError::InteractionRequired { claims } = refusal {
            challenge.param("realm", "");
            challenge.param("authorization_uri", &self.authorization_uri);
            challenge.param("claims", &STANDARD.encode(claims));
        }
        if let Some(code) = code {
            challenge.param("error", code);
            challenge.param("error_description", description);
        }
        challenge.param("scope", &self.scope_list(refusal));
        challenge.param("resource_metadata", &self.resource_metadata);
        challenge.into_value()
    }

    /// The scopes a client should ask for: all that the refused operation needs, otherwise what is advertised.
    fn scope_list(&self, refusal: &AuthError) -> String {
        let names = match refusal {
            AuthError::InsufficientScope { needed } => needed.clone(),
            _ => tool::advertised_scopes(),
        };
        let qualified: Vec<String> = names.into_iter().map(|name| format!("{}/{name}", self.scope_uri)).collect();
        qualified.join(" ")
    }
}

/// When to come back, where a token has nothing to do with the refusal.
fn retry_after(refusal: &AuthError) -> Option<Duration> {
    match refusal {
        AuthError::KeysUnavailable { retry_after } | AuthError::TooManyRequests(_, retry_after) => Some(*retry_after),
        AuthError::Overloaded => Some(Duration::from_secs(1)),
        AuthError::MissingToken
        | AuthError::AmbiguousCredentials(_)
        | AuthError::InvalidToken(_)
        | AuthError::InsufficientScope { .. }
        | AuthError::InteractionRequired { .. } => None,
    }
}

/// One public sentence per class: what exactly is wrong stays in the log, or it would help whoever forges tokens.
fn description(refusal: &AuthError) -> &'static str {
    match refusal {
        AuthError::MissingToken => "Sign in: this resource needs a bearer token.",
        AuthError::AmbiguousCredentials(_) => "Send the token once, in one Authorization header.",
        AuthError::InvalidToken(TokenFault::Expired | TokenFault::AboutToExpire | TokenFault::Revoked) => {
            "The token has expired or is about to; get a new one."
        }
        AuthError::InvalidToken(_) => "The token is not valid for this resource.",
        AuthError::InsufficientScope { .. } => "The token lacks a permission that this operation needs.",
        AuthError::InteractionRequired { .. } => "The organization asks for another sign-in step.",
        AuthError::TooManyRequests(..) => "Too many requests; slow down.",
        AuthError::Overloaded => "This server is busy; try again shortly.",
        AuthError::KeysUnavailable { .. } => "Tokens cannot be checked at the moment; try again shortly.",
    }
}

/// What the body names as the error where the challenge must not name one.
fn default_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        _ => "unauthorized",
    }
}

/// A `Bearer` challenge under construction: parameters as quoted strings (RFC 9110 §5.6.4, §11.6.1).
#[derive(Default)]
struct Challenge(String);

impl Challenge {
    fn param(&mut self, name: &str, value: &str) {
        self.0.push_str(if self.0.is_empty() { "Bearer " } else { ", " });
        self.0.push_str(name);
        self.0.push_str("=\"");
        // Only visible ASCII fits into a header; the two characters with a meaning are escaped.
        for character in value.chars().filter(|character| matches!(character, ' '..='~')) {
            if matches!(character, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(character);
        }
        self.0.push('"');
    }

    fn into_value(self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn challenges() -> Challenges {
        Challenges {
            resource_metadata: "https://mcp.example/.well-known/oauth-protected-resource/mcp".to_owned(),
            scope_uri: "https://mcp.example/mcp".to_owned(),
            authorization_uri: "https://login.example/t/oauth2/v2.0/authorize".to_owned(),
        }
    }

    fn show(refusal: &AuthError) -> String {
        let response = challenges().refuse(refusal);
        let header = |name| response.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
        format!("{} {:?} {:?}", response.status().as_u16(), header(WWW_AUTHENTICATE), header(RETRY_AFTER))
    }

    #[test]
    fn without_a_token_no_error_is_named() {
        insta::assert_snapshot!(show(&AuthError::MissingToken), @r#"401 Some("Bearer scope=\"https://mcp.example/mcp/access_as_user https://mcp.example/mcp/MCP.Tools\", resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\"") None"#);
    }

    #[test]
    fn a_bad_token_is_named_by_its_class_only() {
        insta::assert_snapshot!(show(&AuthError::InvalidToken(TokenFault::Signature)), @r#"401 Some("Bearer error=\"invalid_token\", error_description=\"The token is not valid for this resource.\", scope=\"https://mcp.example/mcp/access_as_user https://mcp.example/mcp/MCP.Tools\", resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\"") None"#);
        assert_eq!(
            show(&AuthError::InvalidToken(TokenFault::Signature)),
            show(&AuthError::InvalidToken(TokenFault::Tenant))
        );
    }

    #[test]
    fn a_missing_scope_names_all_that_the_operation_needs() {
        insta::assert_snapshot!(show(&AuthError::InsufficientScope { needed: vec!["MCP.Tools"] }), @r#"403 Some("Bearer error=\"insufficient_scope\", error_description=\"The token lacks a permission that this operation needs.\", scope=\"https://mcp.example/mcp/MCP.Tools\", resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\"") None"#);
    }

    #[test]
    fn without_keys_the_caller_is_asked_to_wait_and_not_to_sign_in() {
        let refusal = AuthError::KeysUnavailable { retry_after: Duration::from_secs(5) };
        insta::assert_snapshot!(show(&refusal), @r#"503 None Some("5")"#);
    }

    #[test]
    fn a_claims_challenge_carries_the_claims_in_base64() {
        let refusal = AuthError::InteractionRequired { claims: r#"{"access_token":{}}"#.to_owned() };
        let shown = show(&refusal);
        assert!(shown.contains(r#"claims=\"eyJhY2Nlc3NfdG9rZW4iOnt9fQ==\""#), "{shown}");
        assert!(shown.contains(r#"error=\"insufficient_claims\""#), "{shown}");
    }

    #[test]
    fn a_value_cannot_break_out_of_its_quotes() {
        let mut challenge = Challenge::default();
        challenge.param("scope", "a\" evil=\"b\\\r\nX: y");
        assert_eq!(challenge.into_value(), r#"Bearer scope="a\" evil=\"b\\X: y""#);
    }
}
