//! CORS as the host does it on Flex Consumption (`JobHostCorsMiddleware`): before routes and keys, for every answer. Core Tools
//! without `--cors` leave it to the handler.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};

use crate::environment::Environment;
use crate::error::HostError;

const ORIGINS: &str = "WEBSITE_CORS_ALLOWED_ORIGINS";

/// The policy from `WEBSITE_CORS_ALLOWED_ORIGINS`, which the platform writes from `siteConfig.cors`. There is one even
/// where the list is empty.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<String>,
}

impl Cors {
    pub(crate) fn of(environment: &Environment) -> Result<Self, HostError> {
        let list = environment.get(ORIGINS).filter(|list| !list.trim().is_empty()).unwrap_or("[]");
        let fault = |cause: serde_json::Error| HostError::Setting {
            name: ORIGINS,
            problem: format!("is no JSON list of strings, and the host throws: {cause}"),
        };
        let origins: Vec<String> = serde_json::from_str(list).map_err(fault)?;
        // `CorsPolicyBuilder` does no more than that: a trailing slash stays, and no origin ever fits.
        Ok(Self { origins: origins.into_iter().map(|origin| origin.to_lowercase()).collect() })
    }

    /// Adds to an ordinary answer what the policy says of this origin. It takes the place of what the handler said.
    pub(crate) fn allow(&self, origin: &HeaderValue, answer: &mut HeaderMap) {
        let any = self.origins == ["*"];
        if any {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else if self.origins.iter().any(|known| known.as_bytes() == origin.as_bytes()) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            if self.origins.len() > 1 {
                answer.append(header::VARY, HeaderValue::from_static("Origin"));
            }
        }
    }

    /// Adds to the answer to a preflight what is asked for, all of it or nothing.
    pub(crate) fn allow_preflight(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        let Some(origin) = asked.get(header::ORIGIN) else { return };
        self.allow(origin, answer);
        if !answer.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        for (request, grant) in [
            (header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_ALLOW_METHODS),
            (header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCESS_CONTROL_ALLOW_HEADERS),
        ] {
            if let Some(value) = asked.get(request) {
                answer.insert(grant, value.clone());
            }
        }
    }
}

pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    let has = |name: HeaderName| request.headers().contains_key(name);
    request.method() == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}
