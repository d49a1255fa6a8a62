//! What the fuzz targets reach into; only there when they are built (`--cfg fuzzing`).

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::Url;

use crate::auth::bearer::BearerToken;
use crate::auth::examine::Outcome;
use crate::auth::jwks::key_set;
use crate::auth::jws;
use crate::auth::verifier::TokenVerifier;
use crate::config::Config;
use crate::graph::GraphPath;
use crate::http::Answer;
use crate::moment::Moment;
use crate::obo::{claims, wire};

const TENANT: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";

/// A compact token: shape and header. What is taken for one has three parts and a harmless `kid`.
pub fn jws(token: &str) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    if let Ok(unverified) = jws::parse(token) {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("{} parts", parts.len()) };
        assert!(jws::is_kid(&unverified.unverified_kid));
        assert_eq!(unverified.signing_input, format!("{header}.{claims}").as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(&unverified.unverified_signature), signature);
        assert!(URL_SAFE_NO_PAD.decode(claims).is_ok_and(|text| text.trim_ascii_start().starts_with(b"{")));
    }
}

/// Claims, in a token that nobody signed: every check but the signature.
pub fn claims(text: &str) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"k"}"#);
    let token = format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode([1; 256]));
    let Ok(field) = HeaderValue::try_from(format!("Bearer {token}")) else { return };
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, field)]);
    let Ok(token) = BearerToken::from_request(&headers, None) else { return };
    let verifier = verifier();
    let examined = std::pin::pin!(verifier.examine(&token, None, Moment::now()));
    // Without keys nothing is waited for.
    let Poll::Ready(rows) = examined.poll(&mut Context::from_waker(Waker::noop())) else { unreachable!() };
    for row in rows {
        assert!(row.seen.chars().all(|character| !character.is_control()), "{:?}", row.seen);
        if row.check == "token.aud" && row.outcome == Outcome::Passed {
            assert_eq!(row.seen, "00001111-aaaa-2222-bbbb-3333cccc4444");
        }
    }
}

/// A key set document. What is taken from it verifies signatures of this tenant's alone.
pub fn key_set(document: &[u8]) {
    let issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    if let Ok(keys) = key_set::parse(document, TENANT, &[issuer]) {
        assert!(!keys.is_empty() && keys.len() <= 100);
    }
}

/// An identifier. What is taken for one stays one segment below the same base.
pub fn graph_id(id: &str) {
    let Ok(path) = GraphPath::new("/v1.0/drives").id(id) else { return };
    let Ok(url) = Url::parse(&format!("https://graph.microsoft.com{path}?$select=id")) else { unreachable!("{id:?}") };
    assert_eq!(url.as_str(), format!("https://graph.microsoft.com/v1.0/drives/{id}?$select=id"));
    assert_eq!(url.path_segments().map(Iterator::count), Some(3));
}

/// A challenge of Graph's. The claims in it are a JSON object and travel as such.
pub fn challenge(header: &str) {
    if let Some(found) = claims::of_challenge(header) {
        assert!(serde_json::from_str::<serde_json::Value>(&found).is_ok_and(|value| value.is_object()));
        assert_eq!(claims::normalized(&found).as_deref(), Some(found.as_str()));
    }
}

/// An answer of the token endpoint's: the first two bytes are the status.
pub fn token_answer(bytes: &[u8]) {
    let Some((status, body)) = bytes.split_at_checked(2) else { return };
    let status = u16::from_be_bytes([status.first().copied().unwrap_or(0), status.last().copied().unwrap_or(0)]);
    let Ok(status) = StatusCode::from_u16(status) else { return };
    let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body) };
    match wire::read(&answer) {
        Ok(token) => assert!(status.is_success() && token.expires_in > 0),
        Err(refusal) => assert!(!refusal.to_string().chars().any(char::is_control)),
    }
}

fn verifier() -> TokenVerifier {
    let config = Config::from_lookup(|name| {
        let value = match name {
            "TENANT_ID" => TENANT,
            "CLIENT_ID" => "00001111-aaaa-2222-bbbb-3333cccc4444",
            "CLIENT_SECRET" => "Xx~8Q.secret-value",
            "RESOURCE_SERVER_URL" => "https://mcp.contoso.example",
            _ => return None,
        };
        Some(value.to_owned())
    });
    config.map(|config| TokenVerifier::new(&config)).unwrap_or_else(|faults| unreachable!("{faults}"))
}
