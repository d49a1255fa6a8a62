//! `Authorization` header → [`BearerToken`] (RFC 6750 §2.1).

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::error::{AuthError, TokenFault};
use crate::digest::{self, Digest};

/// The longest token that is looked at. A token with 200 groups has 11 KiB; beyond that Entra leaves groups out
/// (access-token-claims-reference, "Groups overage claim").
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// A token as it came, not yet verified. Nothing can be done with it but to verify it.
pub struct BearerToken<'a> {
    text: &'a str,
    digest: Digest,
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BearerToken").finish_non_exhaustive()
    }
}

impl<'a> BearerToken<'a> {
    /// The one bearer token of a request.
    ///
    /// Exactly one `Authorization` field, the scheme `Bearer` in any case, spaces, one b64token. A token anywhere else is
    /// not looked at, and beside a good header it makes the request ambiguous.
    ///
    /// # Errors
    ///
    /// - [`AuthError::MissingToken`]: no field, or another scheme.
    /// - [`AuthError::AmbiguousCredentials`]: two fields, or a second token in the query.
    /// - [`AuthError::InvalidToken`]: the value is not a b64token, or too long.
    pub fn from_request(headers: &'a HeaderMap, query: Option<&str>) -> Result<Self, AuthError> {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let Some(field) = fields.next() else { return Err(AuthError::MissingToken) };
        if fields.next().is_some() {
            return Err(AuthError::AmbiguousCredentials("two Authorization fields"));
        }
        let bytes = field.as_bytes();
        let scheme_length = bytes.iter().position(|byte| !is_token_char(*byte)).unwrap_or(bytes.len());
        let (scheme, rest) = bytes.split_at(scheme_length);
        if !scheme.eq_ignore_ascii_case(b"Bearer") {
            return Err(AuthError::MissingToken);
        }
        let spaces_only = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).all(|byte| *byte == b' ');
        if rest.is_empty() || !spaces_only {
            return Err(AuthError::InvalidToken(TokenFault::NotBearer));
        }
        // White space round a field value is not part of it (RFC 9110 §5.5).
        let token = Self::from_b64token(rest.trim_ascii())?;
        if query_has_token(query) {
            return Err(AuthError::AmbiguousCredentials("a second token in the query"));
        }
        Ok(token)
    }

    /// A token as a person pasted it: white space round it, and perhaps `Bearer` before it.
    ///
    /// # Errors
    ///
    /// [`AuthError::InvalidToken`]: not a b64token, or too long.
    pub(crate) fn pasted(text: &'a str) -> Result<Self, AuthError> {
        let text = text.trim();
        let bare = match text.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("Bearer ") => text.get(7..).unwrap_or_default().trim(),
            _ => text,
        };
        Self::from_b64token(bare.as_bytes())
    }

    fn from_b64token(bytes: &'a [u8]) -> Result<Self, AuthError> {
        if !is_b64token(bytes) {
            return Err(AuthError::InvalidToken(TokenFault::NotBearer));
        }
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::InvalidToken(TokenFault::TooLong));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { text, digest: digest::of(text) }),
            Err(_) => Err(AuthError::InvalidToken(TokenFault::NotBearer)),
        }
    }

    pub(super) fn expose(&self) -> &'a str {
        self.text
    }

    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// `tchar` of RFC 9110 §5.6.2, of which scheme names are made.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 6750 §2.1).
fn is_b64token(bytes: &[u8]) -> bool {
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let Some(body) = bytes.get(..bytes.len() - padding) else { return false };
    // Without a way out in between: so it is done for many bytes at once, and what nearly always comes is a good token.
    !body.is_empty() && body.iter().fold(true, |all, byte| all & is_b64token_char(*byte))
}

fn is_b64token_char(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    let mark = |mark: u8| byte == mark;
    letter | digit | mark(b'-') | mark(b'.') | mark(b'_') | mark(b'~') | mark(b'+') | mark(b'/')
}

/// RFC 6750 §2.3's query parameter, by its decoded name.
fn query_has_token(query: Option<&str>) -> bool {
    query.is_some_and(|query| url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parse(values: &[&str]) -> Result<String, AuthError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        BearerToken::from_request(&headers, None).map(|token| token.expose().to_owned())
    }

    #[test]
    fn the_scheme_may_be_spelled_in_any_case_and_the_token_may_not_be_cut() {
        assert_eq!(parse(&["Bearer abc.def-_~+/=="]).unwrap(), "abc.def-_~+/==");
        assert_eq!(parse(&["bEARER   x"]).unwrap(), "x");
    }

    #[test]
    fn everything_else_is_refused() {
        assert_eq!(parse(&[]), Err(AuthError::MissingToken));
        assert_eq!(parse(&["Basic abc"]), Err(AuthError::MissingToken));
        assert_eq!(parse(&["Bearerabc"]), Err(AuthError::MissingToken));
        for value in ["Bearer", "Bearer a b", "Bearer a,b", "Bearer \"a\"", "Bearer =", "Bearer a=b", "Bearer\ta"] {
            assert_eq!(parse(&[value]), Err(AuthError::InvalidToken(TokenFault::NotBearer)), "{value}");
        }
        assert!(matches!(parse(&["Bearer a", "Bearer a"]), Err(AuthError::AmbiguousCredentials(_))));
    }

    #[test]
    fn the_characters_of_a_b64token_are_those_of_the_grammar() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_b64token_char(byte), expected, "{byte}");
        }
    }

    proptest! {
        #[test]
        fn no_header_value_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(AUTHORIZATION, value);
                let _ = BearerToken::from_request(&headers, None);
            }
        }
    }
}
