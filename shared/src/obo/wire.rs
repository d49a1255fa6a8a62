//! The token endpoint's JSON and its meaning (RFC 6749 §5, v2-oauth2-on-behalf-of-flow, reference-error-codes).

use secrecy::SecretString;
use serde::Deserialize;

use super::claims;
use super::error::OboError;
use crate::http::Answer;
use crate::moment::Moment;

/// A good answer.
#[derive(Deserialize)]
pub(crate) struct TokenResponse {
    pub(crate) token_type: String,
    pub(crate) access_token: SecretString,
    /// Seconds.
    pub(crate) expires_in: u64,
    /// Seconds after which Entra would like the token to be renewed.
    #[serde(default)]
    pub(crate) refresh_in: Option<u64>,
}

/// A refusal. Descriptions may name people and are not read.
#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
    #[serde(default)]
    error_codes: Vec<u32>,
    #[serde(default)]
    suberror: Option<String>,
    #[serde(default)]
    claims: Option<String>,
}

/// Numbers for a session that is over: signed out, password changed, account disabled, sign-in frequency, assertion
/// expired.
const SESSION_OVER: &[u32] = &[50057, 50173, 70043, 700_082, 500_133, 50013];

/// Numbers for what passes by itself.
const TRANSIENT: &[u32] = &[90055, 90033, 90024];

/// Reads the token endpoint's answer.
pub(crate) fn read(answer: &Answer) -> Result<TokenResponse, OboError> {
    if answer.status.is_success() {
        let token: TokenResponse = serde_json::from_slice(&answer.body)
            .map_err(|_| unavailable(answer, "an unreadable token answer", false))?;
        if !token.token_type.eq_ignore_ascii_case("Bearer") || token.expires_in == 0 {
            return Err(unavailable(answer, "an unusable token answer", false));
        }
        return Ok(token);
    }
    if answer.status.is_server_error() || answer.status.as_u16() == 429 {
        return Err(unavailable(answer, "throttled or down", answer.status.is_server_error()));
    }
    match serde_json::from_slice::<ErrorResponse>(&answer.body) {
        Ok(refusal) => Err(meaning(&refusal, answer)),
        Err(_) => Err(unavailable(answer, "an unreadable refusal", false)),
    }
}

/// What a refusal means. Decided on `claims`, `suberror` and `error` first: the wire shows `invalid_grant` where the
/// documents say `interaction_required`, and Microsoft asks not to rely on numbers alone.
fn meaning(refusal: &ErrorResponse, answer: &Answer) -> OboError {
    let code = refusal.error_codes.first().copied().unwrap_or_default();
    let suberror = refusal.suberror.as_deref().unwrap_or_default();
    if let Some(claims) = refusal.claims.as_deref().and_then(claims::normalized) {
        return OboError::InteractionRequired { code, claims };
    }
    if suberror == "consent_required" || code == 65001 {
        return OboError::ConsentRequired { code };
    }
    if matches!(suberror, "token_expired" | "bad_token" | "user_password_expired") || SESSION_OVER.contains(&code) {
        return OboError::AssertionRejected { code };
    }
    if TRANSIENT.contains(&code) || refusal.error == "temporarily_unavailable" {
        return unavailable(answer, "temporarily not able", true);
    }
    OboError::Configuration { error: printable(&refusal.error), code }
}

/// The error's name as far as OAuth allows it characters (RFC 6749 §5.2), so that it can stand in a log.
fn printable(error: &str) -> String {
    error.chars().filter(|character| character.is_ascii_alphanumeric() || *character == '_').take(40).collect()
}

fn unavailable(answer: &Answer, reason: &str, transient: bool) -> OboError {
    OboError::Unavailable {
        reason: format!("{reason} (status {})", answer.status.as_u16()),
        retry_after: answer.retry_after(Moment::now()),
        transient,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::{Value, json};

    use super::*;

    fn refusal(status: u16, body: &Value) -> OboError {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers: HeaderMap::new(), body: body.to_string().into() };
        read(&answer).err().unwrap()
    }

    #[test]
    fn claims_win_over_everything_else() {
        let body =
            json!({ "error": "invalid_grant", "suberror": "basic_action", "error_codes": [50076], "claims": "{}" });
        assert!(matches!(refusal(400, &body), OboError::InteractionRequired { code: 50076, .. }));
    }

    #[test]
    fn each_class_of_refusal_is_told_apart() {
        let body = |code: u32| json!({ "error": "invalid_grant", "error_codes": [code] });
        assert!(matches!(refusal(400, &body(65001)), OboError::ConsentRequired { .. }));
        assert!(matches!(refusal(400, &body(500_133)), OboError::AssertionRejected { .. }));
        assert!(matches!(refusal(401, &body(7_000_215)), OboError::Configuration { code: 7_000_215, .. }));
        assert!(matches!(refusal(400, &body(90033)), OboError::Unavailable { .. }));
        assert!(matches!(refusal(503, &json!("down")), OboError::Unavailable { .. }));
        assert!(matches!(refusal(400, &json!("<html>")), OboError::Unavailable { .. }));
    }

    #[test]
    fn a_token_that_is_already_over_is_no_token() {
        let body = json!({ "token_type": "Bearer", "access_token": "x", "expires_in": 0 });
        assert!(matches!(refusal(200, &body), OboError::Unavailable { .. }));
    }
}
