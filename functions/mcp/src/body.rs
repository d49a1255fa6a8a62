//! What a request body must be before rmcp sees it: small, complete in time, one JSON object of not too many values.
//!
//! rmcp's parser needs about two kilobytes of memory and two microseconds for each value, however short: a body of 256 KiB can
//! cost 70 MB. So values are counted, too, in a walk that keeps nothing.
//!
//! rmcp answers bad JSON with 415 and the parser's text; JSON-RPC 2.0 §5.1 has codes for it.

use std::borrow::Cow;
use std::fmt;
use std::pin::pin;
use std::task::Poll;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::poll;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use memchr::{memchr2, memmem};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::json;
use shared::config::Limits;

/// JSON-RPC 2.0 §5.1.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0 §5.1.
const INVALID_REQUEST: i32 = -32600;

/// How names begin that mean something to `serde_json` itself: under one of them it would read a string as JSON once more, past
/// all that was counted and past the bound on depth.
const RESERVED: &str = "$serde_json::private::";

/// How one of [`RESERVED`]'s characters can be written otherwise.
const ESCAPED: &str = r"\u00";

/// Whether a body may be read without a look at all its values: it is too short for too many, a value taking a byte at least, and
/// has no reserved name.
pub(crate) fn is_harmless(limits: Limits, body: &[u8]) -> bool {
    let has = |text: &str| memmem::find(body, text.as_bytes()).is_some();
    let may_have = memchr2(b'$', b'\\', body).is_some();
    body.len() <= limits.body_values && !(may_have && (has(RESERVED) || has(ESCAPED)))
}

/// The refusal of what is said to be JSON and is not, or not as we read it.
pub(crate) fn refusal(limits: Limits, headers: &HeaderMap, body: &[u8]) -> Option<Response> {
    if !is_json(headers) {
        return None;
    }
    let (status, code, message) = match kind_of(body, limits.body_values) {
        Ok(Kind::Object) => return None,
        Ok(Kind::Array) => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "Batches are not supported: send one request"),
        Ok(Kind::Other) => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "The body must be one JSON object"),
        Err(Unreadable::NoJson) => (StatusCode::BAD_REQUEST, PARSE_ERROR, "Parse error"),
        Err(Unreadable::ReservedName) => {
            (StatusCode::BAD_REQUEST, INVALID_REQUEST, "The body has a member name that this server does not read")
        }
        Err(Unreadable::TooManyValues) => {
            (StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "The body has more values than this server reads")
        }
    };
    Some(rpc_error(status, code, message))
}

/// The transport's answer, or ours where it has no better status than 415 for JSON that is no JSON-RPC message.
pub(crate) fn settled(response: Response, was_json: bool) -> Response {
    if was_json && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return rpc_error(StatusCode::BAD_REQUEST, INVALID_REQUEST, "The body is not a JSON-RPC request");
    }
    response
}

/// Whether the body is said to be JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    const JSON: &[u8] = b"application/json";
    // At least all that rmcp takes for JSON: the text before a semicolon, trimmed.
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes().trim_ascii_start());
    value.and_then(|value| value.get(..JSON.len())).is_some_and(|start| start.eq_ignore_ascii_case(JSON))
}

/// The body of a request, whole.
///
/// # Errors
///
/// The answer to a request whose body is too large, too slow or broken off.
pub(crate) async fn collect(limits: Limits, body: Body) -> Result<Bytes, Response> {
    let mut reading = pin!(Limited::new(body, limits.body_bytes).collect());
    let read = match poll!(reading.as_mut()) {
        // It came with its head.
        Poll::Ready(read) => Ok(read),
        Poll::Pending => tokio::time::timeout(limits.body_timeout, reading).await,
    };
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(rpc_error(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "The body is larger than this server reads"))
        }
        Ok(Err(_)) => Err(rpc_error(StatusCode::BAD_REQUEST, PARSE_ERROR, "The body broke off")),
        Err(_) => Err(rpc_error(StatusCode::REQUEST_TIMEOUT, PARSE_ERROR, "The body took too long to arrive")),
    }
}

/// Which kind of JSON value a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Other,
}

/// Why a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    NoJson,
    ReservedName,
    TooManyValues,
}

/// The kind of the JSON value, if the bytes are exactly one JSON value in UTF-8 that is made of at most so many values.
pub(crate) fn kind_of(bytes: &[u8], most: usize) -> Result<Kind, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::NoJson)?;
    let mut walk = Walk { left: Some(most), reserved: false };
    let mut parser = serde_json::Deserializer::from_str(text);
    match Counted(&mut walk).deserialize(&mut parser).and_then(|()| parser.end()) {
        Ok(()) => Ok(match text.trim_ascii_start().bytes().next() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            _ => Kind::Other,
        }),
        Err(_) if walk.reserved => Err(Unreadable::ReservedName),
        Err(_) if walk.left.is_none() => Err(Unreadable::TooManyValues),
        Err(_) => Err(Unreadable::NoJson),
    }
}

/// How many values may still come; whether there was a reserved name.
struct Walk {
    left: Option<usize>,
    reserved: bool,
}

/// Walks through a value, keeps nothing, and takes one from what is left for each value in it.
struct Counted<'a>(&'a mut Walk);

impl Counted<'_> {
    fn take<E: de::Error>(&mut self) -> Result<(), E> {
        self.0.left = self.0.left.and_then(|left| left.checked_sub(1));
        self.0.left.map(|_| ()).ok_or_else(|| E::custom("too many values"))
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        self.take()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_element_seed(Counted(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = members.next_key()? {
            if name.starts_with(RESERVED) {
                self.0.reserved = true;
                return Err(de::Error::custom("a reserved name"));
            }
            members.next_value_seed(Counted(self.0))?;
        }
        Ok(())
    }
}

fn rpc_error(status: StatusCode, code: i32, message: &str) -> Response {
    // The id is not known where the request cannot be read: JSON-RPC 2.0 §5.
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } });
    (status, axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_json_value_counts() {
        assert_eq!(kind_of(b" {\"a\":1} ", 9), Ok(Kind::Object));
        assert_eq!(kind_of(b"[]", 9), Ok(Kind::Array));
        assert_eq!(kind_of(b"\"{\"", 9), Ok(Kind::Other));
        for bytes in [&b""[..], b"{", b"{} {}", b"\xEF\xBB\xBF{}", b"{\"a\":\xFF}", b"{'a':1}"] {
            assert_eq!(kind_of(bytes, 9), Err(Unreadable::NoJson), "{bytes:?}");
        }
    }

    #[test]
    fn every_value_counts_wherever_it_stands() {
        let values = br#"{"a":[1,"b",null,{"c":{}}],"d":-1.5,"e":true}"#;
        assert_eq!(kind_of(values, 9), Ok(Kind::Object));
        assert_eq!(kind_of(values, 8), Err(Unreadable::TooManyValues));
    }

    #[test]
    fn whatever_the_transport_reads_as_json_is_looked_at() {
        let said = |value: &'static str| {
            is_json(&HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static(value))]))
        };
        for json in ["application/json", " application/json", "Application/JSON ; charset=utf-8", "\tapplication/json"]
        {
            assert!(said(json), "{json:?}");
        }
        assert!(!said("text/plain; application/json"));
    }

    #[test]
    fn no_name_makes_the_parser_read_a_string_as_json() {
        let spellings = [
            r"$serde_json::private::RawValue",
            r"\u0024serde_json::private::RawValue",
            r"$serde\u005fjson::private::X",
        ];
        for name in spellings {
            let body = format!(r#"{{"a":[{{"{name}":"[0,0,0]"}}]}}"#);
            assert!(!is_harmless(Limits::default(), body.as_bytes()), "{body}");
            assert_eq!(kind_of(body.as_bytes(), 99), Err(Unreadable::ReservedName), "{body}");
        }
        let as_a_value = br#"{"a":"$serde_json::private::RawValue"}"#;
        assert_eq!(kind_of(as_a_value, 99), Ok(Kind::Object));
    }
}
