//! Fetching the discovery document and the key set, and believing no more of them than needed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::ACCEPT;
use reqwest::Url;
use serde::Deserialize;

use super::key_set::{self, KeySetError, VerificationKey};
use crate::config::Config;
use crate::http::{self as client, Answer, HttpClient, HttpError, Limits};
use crate::moment::Moment;

/// Entra's key sets have 10 to 22 KB.
const LIMITS: Limits = Limits { total: Duration::from_secs(5), body: 256 * 1024 };

/// How long a discovery document is good for.
const DISCOVERY_TTL: Duration = Duration::from_hours(24);

/// Where the keys come from: this tenant's discovery document says where they are.
#[derive(Debug)]
pub(crate) struct KeySource {
    http: HttpClient,
    discovery_url: String,
    authority: String,
    tenant_id: String,
    issuer: String,
    /// The forms this tenant's issuer may take in a key: v2.0, and v1.0 where such tokens are accepted.
    key_issuers: Vec<String>,
    keys_url: Mutex<Option<(Url, Moment)>>,
}

/// Why keys could not be fetched. Nothing that was fetched before is given up for it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{document}: {cause}")]
    Http { document: &'static str, cause: HttpError },
    #[error("{document}: status {status}")]
    Status { document: &'static str, status: StatusCode },
    #[error("the discovery document is not readable JSON")]
    Discovery,
    #[error("the discovery document names another issuer; check TENANT_ID and AZURE_AUTHORITY_HOST")]
    Issuer,
    #[error("the discovery document points to keys on another host")]
    KeysElsewhere,
    #[error("the fetch stood still")]
    Stuck,
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

/// What the authority says about itself, for `handler doctor`.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) discovery: Result<Discovered, FetchError>,
    /// The keys, once the discovery document says where they are.
    pub(crate) keys: Option<Result<Vec<VerificationKey>, FetchError>>,
}

/// What a good discovery document and its answer tell.
#[derive(Debug)]
pub(crate) struct Discovered {
    keys_url: Url,
    /// The host of this cloud's Graph (`msgraph_host`).
    pub(crate) graph_host: Option<String>,
    /// By how many seconds our clock is ahead of the authority's.
    pub(crate) clock_ahead: Option<i64>,
}

/// The members of the discovery document that are used (`OpenID` Connect Discovery §3; `msgraph_host` is Entra's own).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    #[serde(default)]
    msgraph_host: Option<String>,
}

impl KeySource {
    pub(crate) fn new(config: &Config, http: HttpClient) -> Self {
        let issuer = config.issuer().as_str().to_owned();
        let mut key_issuers = vec![issuer.clone()];
        if config.accept_v1_tokens {
            key_issuers.push(config.v1_issuer().as_str().to_owned());
        }
        Self {
            http,
            discovery_url: config.discovery_url(),
            authority: config.authority.clone(),
            tenant_id: config.tenant_id.clone(),
            issuer,
            key_issuers,
            keys_url: Mutex::new(None),
        }
    }

    /// The keys that Entra publishes now.
    pub(crate) async fn fetch(&self, now: Moment) -> Result<Vec<VerificationKey>, FetchError> {
        let url = match self.known_keys_url(now) {
            Some(url) => url,
            None => self.discover(now).await?.keys_url,
        };
        let keys = self.keys_at(url).await;
        if keys.is_err() {
            // The keys may have moved: ask the discovery document again next time.
            *self.keys_url.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        keys
    }

    /// Asks the authority everything anew and tells each answer apart.
    pub(crate) async fn survey(&self, now: Moment) -> Survey {
        let discovery = self.discover(now).await;
        let keys = match &discovery {
            Ok(discovered) => Some(self.keys_at(discovered.keys_url.clone()).await),
            Err(_) => None,
        };
        Survey { discovery, keys }
    }

    async fn keys_at(&self, url: Url) -> Result<Vec<VerificationKey>, FetchError> {
        let answer = self.get("key set", url).await?;
        Ok(key_set::parse(&answer.body, &self.tenant_id, &self.key_issuers)?)
    }

    fn known_keys_url(&self, now: Moment) -> Option<Url> {
        let known = self.keys_url.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(_, read_at)| now.since(*read_at) < DISCOVERY_TTL).map(|(url, _)| url.clone())
    }

    async fn discover(&self, now: Moment) -> Result<Discovered, FetchError> {
        let discovery_url = Url::parse(&self.discovery_url).map_err(|_| FetchError::Discovery)?;
        let answer = self.get("discovery document", discovery_url).await?;
        let discovery: Discovery = serde_json::from_slice(&answer.body).map_err(|_| FetchError::Discovery)?;
        if discovery.issuer != self.issuer {
            return Err(FetchError::Issuer);
        }
        let keys_url = Url::parse(&discovery.jwks_uri).map_err(|_| FetchError::KeysElsewhere)?;
        let authority = Url::parse(&self.authority).map_err(|_| FetchError::KeysElsewhere)?;
        if keys_url.origin() != authority.origin() || !keys_url.username().is_empty() {
            return Err(FetchError::KeysElsewhere);
        }
        *self.keys_url.lock().unwrap_or_else(PoisonError::into_inner) = Some((keys_url.clone(), now));
        let theirs = answer.date().and_then(|theirs| i64::try_from(theirs).ok());
        let ours = i64::try_from(now.unix_seconds()).unwrap_or(i64::MAX);
        Ok(Discovered { keys_url, graph_host: discovery.msgraph_host, clock_ahead: theirs.map(|theirs| ours - theirs) })
    }

    async fn get(&self, document: &'static str, url: Url) -> Result<Answer, FetchError> {
        let request = self.http.get(url).header(ACCEPT, "application/json");
        let answer = client::send(request, LIMITS).await.map_err(|cause| FetchError::Http { document, cause })?;
        if answer.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(FetchError::Status { document, status: answer.status })
        }
    }
}
