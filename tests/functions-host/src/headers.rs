//! Which headers the host drops, overwrites and adds; everything else goes through as it came, repeated ones repeated.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::Profile;

/// The version the host claims to be.
const HOST_VERSION: &str = "4.1054.250.0";

/// Hop-by-hop fields that the proxy drops in both directions (`RequestUtilities._headersToExclude` of YARP).
const DROPPED: [&str; 17] = [
    "connection",
    "transfer-encoding",
    "keep-alive",
    "upgrade",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-features",
    "proxy-instruction",
    "security-scheme",
    "alpn",
    "close",
    "http2-settings",
    "upgrade-insecure-requests",
    "te",
    "alt-svc",
];

pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    for name in DROPPED {
        headers.remove(name);
    }
}

/// A request's headers as the handler gets them.
pub(crate) fn to_handler(headers: &mut HeaderMap, profile: Profile, peer: IpAddr, handler_port: u16) {
    drop_hop_by_hop(headers);
    let (host, scheme) = public_origin(headers, profile);
    for name in ["forwarded", "x-forwarded-prefix", "x-forwarded-host"] {
        headers.remove(name);
    }
    set(headers, "x-forwarded-for", &peer.to_string());
    headers.insert("x-forwarded-proto", scheme);
    if let Some(host) = host {
        headers.insert("x-forwarded-host", host);
    }
    set(headers, "host", &format!("127.0.0.1:{handler_port}"));
    let invocation = Uuid::new_v4().to_string();
    set(headers, "x-azure-functions-invocationid", &invocation);
    set(headers, "x-azure-functions-hostversion", HOST_VERSION);
    set(headers, "x-ms-invocation-id", &invocation);
}

/// Host and scheme as the host understands the request. In Azure the front end hides the public ones in two headers and
/// the host puts them back (`AppServiceHeaderFixupMiddleware`); Core Tools take the request as it is.
fn public_origin(headers: &HeaderMap, profile: Profile) -> (Option<HeaderValue>, HeaderValue) {
    let http = HeaderValue::from_static("http");
    let host = headers.get(header::HOST);
    match profile {
        Profile::CoreTools => (host.cloned(), http),
        Profile::Flex => {
            let scheme = headers.get("x-forwarded-proto").filter(|scheme| !scheme.is_empty());
            (headers.get("disguised-host").or(host).cloned(), scheme.cloned().unwrap_or(http))
        }
    }
}

/// Replaces every field of that name.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
