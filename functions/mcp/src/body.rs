//! What a request body must be before rmcp sees it: small, complete in time, one JSON object.
//!
//! rmcp answers bad JSON with 415 and the parser's text; JSON-RPC 2.0 §5.1 has codes for it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize as _;
use serde::de::IgnoredAny;
use serde_json::json;

/// The largest body. rmcp's parser needs about a thousand times the time and memory of the bytes it reads in the worst
/// case, so this is small.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// How long a body may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// JSON-RPC 2.0 §5.1.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0 §5.1.
const INVALID_REQUEST: i32 = -32600;

/// Reads and checks the body of a POST, hands it on whole, and keeps answers out of caches.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    let mut response =
        if request.method() == Method::POST { checked(request, next).await } else { next.run(request).await };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn checked(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = match read(body).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal,
    };
    let is_json = parts
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"application/json"));
    if is_json {
        match first_byte_of_json(&bytes) {
            None => return rpc_error(StatusCode::BAD_REQUEST, PARSE_ERROR, "Parse error"),
            Some(b'{') => {}
            Some(b'[') => {
                return rpc_error(
                    StatusCode::BAD_REQUEST,
                    INVALID_REQUEST,
                    "Batches are not supported: send one request",
                );
            }
            Some(_) => return rpc_error(StatusCode::BAD_REQUEST, INVALID_REQUEST, "The body must be one JSON object"),
        }
    }
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if is_json && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        // JSON, but no JSON-RPC message: rmcp has no other status for it.
        return rpc_error(StatusCode::BAD_REQUEST, INVALID_REQUEST, "The body is not a JSON-RPC request");
    }
    response
}

async fn read(body: Body) -> Result<Bytes, Response> {
    let reading = Limited::new(body, MAX_BYTES).collect();
    match tokio::time::timeout(READ_TIMEOUT, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(rpc_error(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "The body is larger than 256 KiB"))
        }
        Ok(Err(_)) => Err(rpc_error(StatusCode::BAD_REQUEST, PARSE_ERROR, "The body broke off")),
        Err(_) => Err(rpc_error(StatusCode::REQUEST_TIMEOUT, PARSE_ERROR, "The body took too long to arrive")),
    }
}

/// The first byte of the JSON value, if the bytes are exactly one JSON value in UTF-8.
pub(crate) fn first_byte_of_json(bytes: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parser = serde_json::Deserializer::from_str(text);
    IgnoredAny::deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    text.trim_ascii_start().bytes().next()
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
        assert_eq!(first_byte_of_json(b" {\"a\":1} "), Some(b'{'));
        assert_eq!(first_byte_of_json(b"[]"), Some(b'['));
        for bytes in [&b""[..], b"{", b"{} {}", b"\xEF\xBB\xBF{}", b"{\"a\":\xFF}", b"{'a':1}"] {
            assert_eq!(first_byte_of_json(bytes), None, "{bytes:?}");
        }
    }
}
