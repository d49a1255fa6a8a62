//! The `Authorization` header.
#![no_main]

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use shared::auth::bearer::BearerToken;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    if BearerToken::from_request(&headers, None).is_ok() {
        assert!(bytes.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer")));
    }
});
