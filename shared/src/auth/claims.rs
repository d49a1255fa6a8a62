//! The only claims struct: what an Entra access token says, typed strictly and flat.
//!
//! Flat, because `#[serde(flatten)]` lets the last of two members with one name win. Claims that decide nothing are not
//! read at all, so they may have any shape.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::jws::{present, typed};

/// Claims of an Entra access token, v1.0 or v2.0 (access-token-claims-reference). Times in seconds since 1970 (UTC).
#[derive(Debug, Deserialize)]
pub(crate) struct AccessTokenClaims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) exp: u64,
    pub(crate) nbf: u64,
    pub(crate) iat: u64,
    pub(crate) tid: String,
    pub(crate) ver: String,
    pub(crate) oid: String,
    /// Delegated permissions, short names, separated by one space each.
    #[serde(default, deserialize_with = "typed")]
    pub(crate) scp: Option<String>,
    /// The user's app roles in a delegated token, the application's permissions in an app-only one.
    #[serde(default, deserialize_with = "typed")]
    pub(crate) roles: Option<Vec<String>>,
    /// `app` in app-only tokens, `user` in others where the optional claim is on (optional-claims-reference).
    #[serde(default, deserialize_with = "typed")]
    pub(crate) idtyp: Option<String>,
    /// The client application, v2.0.
    #[serde(default, deserialize_with = "typed")]
    pub(crate) azp: Option<String>,
    /// The client application, v1.0.
    #[serde(default, deserialize_with = "typed")]
    pub(crate) appid: Option<String>,
    /// The token's own identifier.
    #[serde(default, deserialize_with = "typed")]
    pub(crate) uti: Option<String>,
    /// Client capabilities; `cp1`: the client can answer a claims challenge (claims-challenge).
    #[serde(default)]
    pub(crate) xms_cc: ClientCapabilities,
    /// A key the token is bound to (RFC 7800, RFC 8705, RFC 9449).
    #[serde(default, deserialize_with = "present")]
    pub(crate) cnf: bool,
}

impl AccessTokenClaims {
    /// Whether the client said that it can answer a claims challenge.
    pub(crate) fn client_answers_challenges(&self) -> bool {
        let ClientCapabilities::List(capabilities) = &self.xms_cc else { return false };
        capabilities
            .iter()
            .any(|capability| matches!(capability, Capability::Name(name) if name.eq_ignore_ascii_case("cp1")))
    }
}

/// `xms_cc`: a list of names; anything else says nothing. Not a `Value`: that would read a string as JSON once more under a name
/// that `serde_json` reserves, deeper than any bound, and before the token is verified.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ClientCapabilities {
    List(Vec<Capability>),
    Other(IgnoredAny),
}

impl Default for ClientCapabilities {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Capability {
    Name(String),
    Other(IgnoredAny),
}

/// The canonical form of RFC 9562: 8-4-4-4-12 hexadecimal digits, no braces, no `urn:`.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_a_list_of_names_whatever_else_is_said() {
        let says = |xms_cc: &str| {
            let claims = format!(r#"{{"iss":"","aud":"","exp":1,"nbf":1,"iat":1,"tid":"","ver":"","oid":""{xms_cc}}}"#);
            serde_json::from_str::<AccessTokenClaims>(&claims).map(|claims| claims.client_answers_challenges())
        };
        for yes in [r#","xms_cc":["cp1"]"#, r#","xms_cc":[1,{"a":[]},"CP1"]"#] {
            assert!(says(yes).unwrap(), "{yes}");
        }
        for no in ["", r#","xms_cc":[]"#, r#","xms_cc":"cp1""#, r#","xms_cc":null"#, r#","xms_cc":{"cp1":1e9}"#] {
            assert!(!says(no).unwrap(), "{no}");
        }
        let deeper_than_any_stack = (0..9).fold("[]".to_owned(), |inner, _| {
            let nested = serde_json::to_string(&format!("{}{inner}{}", "[".repeat(100), "]".repeat(100))).unwrap();
            format!(r#"{{"$serde_json::private::RawValue":{nested}}}"#)
        });
        assert!(!says(&format!(r#","xms_cc":{deeper_than_any_stack}"#)).unwrap());
    }

    #[test]
    fn only_the_canonical_form_is_a_guid() {
        assert!(is_guid("00001111-aaaa-2222-BBBB-3333cccc4444"));
        for text in ["", "00001111aaaa2222bbbb3333cccc4444", "{0001111-aaaa-2222-bbbb-3333cccc4444}", "é"] {
            assert!(!is_guid(text), "{text}");
        }
    }
}
