//! The on-behalf-of client: cache first, then the life left in the caller's token, then one exchange for all who wait.

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use reqwest::Url;
use tracing::{Instrument as _, debug, info_span};
use uuid::Uuid;

use super::cache::{AccessToken, CacheKey, TokenCache, cache_key};
use super::credential::{ClientCredential, wire_value};
use super::error::OboError;
use super::wire;
use crate::auth::caller::{Caller, UserAssertion};
use crate::config::Config;
use crate::http::{self as client, HttpClient, Limits};
use crate::moment::Moment;
use crate::single_flight::SingleFlight;

/// One try at the token endpoint. Token answers have a few KB.
const LIMITS: Limits = Limits { total: Duration::from_secs(10), body: 64 * 1024 };

/// Asks for client capability `cp1` downstream: only where the inbound token has it too, for only then can the client
/// answer the challenge that may follow (claims-challenge).
const CP1_CLAIMS: &str = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;

/// Exchanges verified callers' tokens for tokens of a downstream service.
#[derive(Debug)]
pub struct OboClient {
    http: HttpClient,
    token_endpoint: String,
    client_id: String,
    graph_base_url: String,
    credential: ClientCredential,
    cache: TokenCache,
    flights: SingleFlight<CacheKey, Result<AccessToken, OboError>>,
    min_assertion_ttl: Duration,
}

impl OboClient {
    /// A client with an empty cache for the configured application.
    #[must_use]
    pub fn new(config: &Config, http: HttpClient) -> Self {
        Self {
            http,
            token_endpoint: config.token_endpoint(),
            client_id: config.client_id.clone(),
            graph_base_url: config.graph_base_url.clone(),
            credential: ClientCredential::new(config),
            cache: TokenCache::new(),
            flights: SingleFlight::new(),
            min_assertion_ttl: config.obo_min_assertion_ttl,
        }
    }

    /// A Graph token on the caller's behalf with these permissions (short names such as `User.Read`).
    ///
    /// A cached token is good whatever life the caller's token has left; only a *new* exchange asks for
    /// `OBO_MIN_ASSERTION_TTL`. However many ask for the same at once, Entra is asked once, and a caller who goes away
    /// does not stop the exchange for the others.
    ///
    /// # Errors
    ///
    /// [`OboError`], by what can be done about it.
    pub async fn acquire_token(
        &'static self,
        caller: &Arc<Caller>,
        permissions: &[&str],
    ) -> Result<AccessToken, OboError> {
        let Some(assertion) = caller.assertion() else {
            // Unreachable through the tools: applications are refused before. AADSTS7000114 is what Entra would say.
            return Err(OboError::Configuration { error: "application_caller".to_owned(), code: 7_000_114 });
        };
        let scopes = self.scopes(permissions);
        let key = cache_key(&self.token_endpoint, &self.client_id, assertion, &scopes);
        let now = Moment::now();
        if let Some(token) = self.cache.hit(&key, assertion, now) {
            debug!(obo.cache = "hit", "downstream token");
            return Ok(token);
        }
        let left = caller.expires_at().saturating_sub(now.unix_seconds());
        if left < self.min_assertion_ttl.as_secs() {
            return Err(OboError::AssertionAboutToExpire);
        }
        let caller = Arc::clone(caller);
        let flight = self.flights.join(key, || {
            let exchange = async move {
                let assertion = caller.assertion().ok_or(OboError::AssertionAboutToExpire)?;
                let token = self.exchange(assertion, &scopes).await?;
                self.cache.insert(key, token.clone());
                Ok(token)
            };
            exchange.instrument(info_span!("obo.acquire_token"))
        });
        let lost = |_| OboError::Unavailable { reason: "the exchange broke off".to_owned(), retry_after: None };
        flight.landed().await.map_err(lost)?
    }

    /// Forgets a token that the downstream service refused.
    pub fn forget(&self, caller: &Caller, permissions: &[&str]) {
        if let Some(assertion) = caller.assertion() {
            let key = cache_key(&self.token_endpoint, &self.client_id, assertion, &self.scopes(permissions));
            self.cache.remove(&key);
        }
    }

    fn scopes(&self, permissions: &[&str]) -> Vec<String> {
        permissions.iter().map(|permission| format!("{}/{permission}", self.graph_base_url)).collect()
    }

    /// The request of v2-oauth2-on-behalf-of-flow. Never asks for `offline_access`: nothing here needs a refresh token.
    async fn exchange(&self, assertion: UserAssertion<'_>, scopes: &[String]) -> Result<AccessToken, OboError> {
        let proof = self.credential.form_fields().await?;
        let scope = scopes.join(" ");
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("client_id", &self.client_id),
            ("assertion", assertion.expose()),
            ("scope", &scope),
            ("requested_token_use", "on_behalf_of"),
        ];
        form.extend(proof.iter().map(wire_value));
        if assertion.answers_challenges() {
            form.push(("claims", CP1_CLAIMS));
        }
        let url = Url::parse(&self.token_endpoint)
            .map_err(|_| OboError::Configuration { error: "token_endpoint".to_owned(), code: 0 })?;
        let request = self
            .http
            .post(url)
            .header(ACCEPT, "application/json")
            .header("client-request-id", Uuid::new_v4().to_string())
            .header("return-client-request-id", "true")
            .form(&form);
        let answer = client::send(request, LIMITS).await?;
        let token = wire::read(&answer)?;
        let lifetime = Duration::from_secs(token.expires_in);
        Ok(AccessToken::issued(token.access_token, assertion, lifetime, Moment::now()))
    }

    /// Whether the credential can be used at all, for `/health/ready`: a secret is at hand, a managed identity answers.
    ///
    /// # Errors
    ///
    /// [`OboError::Credential`] with the cause.
    pub async fn check_credential(&self) -> Result<(), OboError> {
        self.credential.form_fields().await.map(drop)
    }
}
