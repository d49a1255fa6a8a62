//! The server as clients reach it: its own metadata and its own refusal, asked through `RESOURCE_SERVER_URL`. What lies in
//! between (Easy Auth, a gateway, another deployment) shows here.

use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::Url;
use serde_json::Value;

use super::Check;
use crate::config::Config;
use crate::http::{self as client, Answer, HttpClient, HttpError, Limits};
use crate::metadata::{MCP_PATH, ProtectedResourceMetadata, ResourceId, WELL_KNOWN_PATH, metadata_url};

/// A cold start may lie in between.
const LIMITS: Limits = Limits { total: Duration::from_secs(20), body: 64 * 1024 };

pub(super) async fn look(config: &Config, http: &HttpClient) -> Vec<Check> {
    let base = config.base_url.as_str();
    let mcp = get(http, &format!("{base}{WELL_KNOWN_PATH}{MCP_PATH}")).await;
    if let Err(cause @ HttpError::Connect(_)) = &mcp {
        return vec![unreachable(config, cause)];
    }
    let root = get(http, &format!("{base}{WELL_KNOWN_PATH}")).await;
    vec![
        metadata("metadata", config, &config.mcp_url, mcp),
        metadata("metadata-root", config, &config.base_url, root),
        challenge(config, http).await,
    ]
}

/// Nothing listens: at home it is only not started yet.
fn unreachable(config: &Config, cause: &HttpError) -> Check {
    let detail = format!("nothing answers at {}: {cause}", config.base_url.as_str());
    if config.base_url.as_str().starts_with("http://") {
        Check::warning("metadata", detail, "start the server (func start), then run doctor again")
    } else {
        Check::error("metadata", detail, "check RESOURCE_SERVER_URL, DNS and that the app is deployed and running")
    }
}

async fn get(http: &HttpClient, url: &str) -> Result<Answer, HttpError> {
    let url = Url::parse(url).map_err(|_| HttpError::Broken("not a URL".to_owned()))?;
    client::send(http.get(url).header(ACCEPT, "application/json"), LIMITS).await
}

/// A metadata document, byte for byte as these settings make it (RFC 9728 §3.3).
fn metadata(name: &'static str, config: &Config, resource: &ResourceId, answer: Result<Answer, HttpError>) -> Check {
    let expected = serde_json::to_value(ProtectedResourceMetadata::new(config, resource)).unwrap_or_default();
    let bytes = serde_json::to_vec(&ProtectedResourceMetadata::new(config, resource)).unwrap_or_default();
    let answer = match answer {
        Ok(answer) => answer,
        Err(cause) => {
            return Check::error(name, cause.to_string(), "see whether the app is running and what its log says");
        }
    };
    if answer.status != StatusCode::OK {
        return Check::error(name, format!("status {}", answer.status), status_fix(answer.status));
    }
    if answer.body == bytes {
        return Check::ok(name, format!("clients read resource {}", resource.as_str()));
    }
    let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if found.get("resource").is_none() {
        let fix = "RESOURCE_SERVER_URL leads to something else than this server";
        return Check::error(name, "the answer is no protected-resource metadata", fix);
    }
    let differing: Vec<&str> = expected
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(member, value)| found.get(member.as_str()) != Some(*value))
        .map(|(member, _)| member.as_str())
        .collect();
    Check::error(
        name,
        format!("the answer differs from these settings in {}", or(&differing.join(", "), "its bytes")),
        "the server that answers runs with other settings: deploy these, or run doctor with the server's; clients need \
         `resource` equal to the Application ID URI to the letter (AADSTS9010010)",
    )
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

fn status_fix(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "metadata must be public: turn App Service authentication (Easy Auth) off and set route authorization levels \
             to anonymous"
        }
        StatusCode::NOT_FOUND => {
            "the path does not reach the server: check host.json's routes (\".well-known/{*path}\", empty routePrefix) or \
             the gateway's"
        }
        status if status.is_redirection() => "RESOURCE_SERVER_URL redirects: use the URL that it leads to",
        _ => "see what the app's log says",
    }
}

/// The refusal of a call without a token: it starts every client's sign-in (RFC 9728 §5.1).
async fn challenge(config: &Config, http: &HttpClient) -> Check {
    const NAME: &str = "challenge";
    let Ok(url) = Url::parse(config.mcp_url.as_str()) else { return Check::skipped(NAME, "not a URL") };
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let request = http
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream")
        .body(body);
    let answer = match client::send(request, LIMITS).await {
        Ok(answer) => answer,
        Err(cause) => {
            return Check::error(NAME, cause.to_string(), "see whether the app is running and what its log says");
        }
    };
    let expected = format!("resource_metadata=\"{}\"", metadata_url(config));
    let challenges = answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let named = challenges.into_iter().any(|challenge| challenge.contains(&expected));
    match (answer.status, named) {
        (StatusCode::UNAUTHORIZED, true) => Check::ok(NAME, "a call without a token gets 401 and the way to sign in"),
        (StatusCode::UNAUTHORIZED, false) => Check::error(
            NAME,
            "401, but not this server's: the challenge does not name the metadata",
            "something in front answers: turn App Service authentication (Easy Auth) off, or let the gateway pass the \
             WWW-Authenticate header",
        ),
        (StatusCode::OK, _) => Check::error(
            NAME,
            "a call without a token is answered",
            "RESOURCE_SERVER_URL leads to another server: this one never does that",
        ),
        (status, _) => Check::error(NAME, format!("status {status} instead of 401"), status_fix(status)),
    }
}
