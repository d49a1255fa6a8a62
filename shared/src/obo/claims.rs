//! Claims requests: what a challenge asks for, joined with what this server always asks for (claims-challenge).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

/// The largest claims request that is taken in: it travels in a header later.
const MAX_BYTES: usize = 8 * 1024;

/// The claims request of a `WWW-Authenticate` value of Graph's: `claims="<base64>"` in a Bearer challenge with
/// `error="insufficient_claims"` (app-resilience-continuous-access-evaluation).
pub(crate) fn of_challenge(header: &str) -> Option<String> {
    let (_, rest) = header.split_once("claims=\"")?;
    let (encoded, _) = rest.split_once('"')?;
    if encoded.len() > MAX_BYTES {
        return None;
    }
    let decoders = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
    let text = decoders.into_iter().find_map(|decoder| String::from_utf8(decoder.decode(encoded).ok()?).ok())?;
    normalized(&text)
}

/// A claims request as minimal JSON text, if it is one: a JSON object of sensible size.
pub(crate) fn normalized(text: &str) -> Option<String> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    value.is_object().then(|| value.to_string())
}

/// The `claims` parameter of an exchange: the challenge's members, and client capability `cp1` where the inbound token has
/// it: only then can the client answer the next challenge.
pub(super) fn parameter(challenge: Option<&str>, answers_challenges: bool) -> Option<String> {
    let mut request = challenge.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| json!({}));
    if answers_challenges
        && let Some(members) = request.as_object_mut()
        && let Some(token) = members.entry("access_token").or_insert_with(|| Value::Object(Map::new())).as_object_mut()
    {
        token.insert("xms_cc".to_owned(), json!({ "values": ["cp1"] }));
    }
    let empty = request.as_object().is_none_or(Map::is_empty);
    (!empty).then(|| request.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn capabilities_and_challenge_are_joined() {
        assert_eq!(parameter(None, false), None);
        assert_eq!(parameter(None, true).unwrap(), r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#);
        let challenge = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;
        assert_eq!(parameter(Some(challenge), false).unwrap(), challenge);
        let both: Value = serde_json::from_str(&parameter(Some(challenge), true).unwrap()).unwrap();
        assert_eq!(both["access_token"]["nbf"]["value"], "1");
        assert_eq!(both["access_token"]["xms_cc"]["values"][0], "cp1");
    }

    #[test]
    fn graphs_challenge_is_read() {
        let header = r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
        assert_eq!(of_challenge(header).unwrap(), r#"{"access_token":{}}"#);
        assert_eq!(of_challenge(r#"Bearer error="invalid_token""#), None);
        assert_eq!(of_challenge(r#"Bearer claims="W10=""#), None, "an array");
        assert_eq!(of_challenge(r#"Bearer claims="***""#), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(text in ".{0,200}") {
            let _ = of_challenge(&text);
            let _ = of_challenge(&format!("Bearer claims=\"{text}\""));
        }
    }
}
