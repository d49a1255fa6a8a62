//! The on-behalf-of client: cache first, then the life left in the caller's token, then one exchange for all who wait.

mod probe;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::ACCEPT;
use moka::sync::Cache;
use reqwest::Url;
use tokio::sync::Semaphore;
use tracing::{Instrument as _, error, info_span, warn};
use uuid::Uuid;

use super::breaker::Breaker;
use super::cache::{AccessToken, CacheKey, Hit, Life, TokenCache, cache_key, challenge_key, user_key};
use super::challenge_guard::ChallengeGuard;
use super::claims;
use super::credential::{ClientCredential, wire_value};
use super::error::OboError;
use super::refusals::{Reach, Refusals, is_federation};
use super::retry::{self, Failure};
use super::throttled_users::ThrottledUsers;
use super::wire::{self, TokenResponse};
use crate::auth::caller::{Caller, UserAssertion};
use crate::background;
use crate::config::Config;
use crate::http::{self as client, HttpClient, Limits};
use crate::moment::Moment;
use crate::single_flight::SingleFlight;
use crate::telemetry::metrics::Metrics;

/// One try at the token endpoint. Token answers have a few KB.
const TRY: Limits = Limits { total: Duration::from_secs(4), body: 64 * 1024 };

/// All tries of one exchange together.
const EXCHANGE: Duration = Duration::from_secs(10);

/// How long one caller waits for an exchange, whoever started it.
const CALLER_WAIT: Duration = Duration::from_secs(12);

/// The most exchanges under way at once. More would only queue up at Entra.
const MAX_EXCHANGES: usize = 64;

/// The most users whose exchanges are counted. Where there are more, some may have more exchanges under way than that.
const MAX_COUNTED_USERS: u64 = 10_000;

/// How often the credential is looked at when nobody uses it: a managed identity's token is renewed at half its life,
/// which is hours.
const CREDENTIAL_WATCH: Duration = Duration::from_mins(5);

/// An aging token is renewed only while the caller's own token has this much life left.
const RENEWAL_NEEDS: Duration = Duration::from_mins(1);

/// How far apart renewals of one token are tried.
const RENEWAL_SPACING: Duration = Duration::from_secs(30);

/// What is remembered for everybody stands under this key; no exchange hashes to it.
const EVERYBODY: CacheKey = [0; 32];

/// That Entra throttles this server, and not one user, stands under this key: it says nothing about the credential.
const THROTTLED: CacheKey = [1; 32];

/// The longest time for which everybody is kept from asking because many were throttled.
const LONGEST_THROTTLE: Duration = Duration::from_mins(1);

/// Exchanges verified callers' tokens for tokens of a downstream service.
#[derive(Debug)]
pub struct OboClient {
    http: HttpClient,
    token_endpoint: String,
    client_id: String,
    graph_base_url: String,
    admin_consent_url: String,
    credential: ClientCredential,
    cache: TokenCache,
    refusals: Refusals,
    breaker: Mutex<Breaker>,
    room: Semaphore,
    room_of_user: Cache<CacheKey, Arc<Semaphore>>,
    guard: Mutex<ChallengeGuard>,
    throttled_users: Mutex<ThrottledUsers>,
    flights: SingleFlight<CacheKey, Result<AccessToken, OboError>>,
    min_assertion_ttl: Duration,
    exchanges_of_user: usize,
    metrics: Arc<Metrics>,
}

/// Where a downstream token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The cache.
    Cache,
    /// The cache; it is being renewed.
    AgingInCache,
    /// An exchange: our own, or one that another call had begun.
    Exchange,
}

impl Origin {
    /// As logs and metrics spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "hit",
            Self::AgingInCache => "aging",
            Self::Exchange => "miss",
        }
    }
}

/// What one exchange is about.
struct Exchange {
    caller: Arc<Caller>,
    scopes: Vec<String>,
    /// The challenge it answers, if any.
    challenge: Option<String>,
    key: CacheKey,
    user: CacheKey,
}

impl OboClient {
    /// A client with an empty cache for the configured application.
    #[must_use]
    pub fn new(config: &Config, http: HttpClient, metrics: Arc<Metrics>) -> Self {
        Self {
            http,
            token_endpoint: config.token_endpoint(),
            client_id: config.client_id.clone(),
            graph_base_url: config.graph_base_url.clone(),
            admin_consent_url: format!(
                "{}/{}/adminconsent?client_id={}",
                config.authority, config.tenant_id, config.client_id
            ),
            credential: ClientCredential::new(config),
            cache: TokenCache::new(),
            refusals: Refusals::new(),
            breaker: Mutex::default(),
            room: Semaphore::new(MAX_EXCHANGES),
            room_of_user: Cache::new(MAX_COUNTED_USERS),
            guard: Mutex::default(),
            throttled_users: Mutex::default(),
            flights: SingleFlight::new(),
            min_assertion_ttl: config.obo_min_assertion_ttl,
            exchanges_of_user: config.limits.caller_exchanges,
            metrics,
        }
    }

    /// Obtains a credential that must be fetched now, and from then on before it runs out, in the background: no user
    /// waits for it, and a set-up that does not work shows in the log at start.
    pub fn keep_ready(&'static self) {
        if !self.credential.is_fetched() {
            return;
        }
        background::keep_going(
            "credential",
            2 * CREDENTIAL_WATCH,
            Arc::clone(&self.metrics),
            move |pulse| async move {
                loop {
                    pulse.beat();
                    if let Err(cause) = self.credential.form_fields().await {
                        error!("{cause}");
                    }
                    tokio::time::sleep(CREDENTIAL_WATCH).await;
                }
            },
        );
    }

    /// A Graph token on the caller's behalf with these permissions (short names such as `User.Read`).
    ///
    /// A cached token is good whatever life the caller's token has left; only a *new* exchange asks for
    /// `OBO_MIN_ASSERTION_TTL`. However many ask for the same at once, Entra is asked once, and a caller who goes away
    /// does not stop the exchange for the others. A token near its end is renewed while it is still handed out.
    ///
    /// # Errors
    ///
    /// [`OboError`], by what can be done about it.
    pub async fn acquire_token(
        &'static self,
        caller: &Arc<Caller>,
        permissions: &[&str],
    ) -> Result<(AccessToken, Origin), OboError> {
        let assertion = assertion_of(caller)?;
        let exchange = self.exchange_for(caller, assertion, permissions, None);
        let now = Moment::now();
        match self.cache.hit(&exchange.key, assertion, now) {
            Some(Hit::Good(token)) => {
                self.metrics.looked_up(Origin::Cache.as_str());
                return Ok((token, Origin::Cache));
            }
            Some(Hit::Aging(token)) => {
                self.metrics.looked_up(Origin::AgingInCache.as_str());
                if life_left(caller, now) > RENEWAL_NEEDS && self.may_renew(&exchange, now) {
                    drop(self.start(exchange.key, exchange, now));
                }
                return Ok((token, Origin::AgingInCache));
            }
            None => {}
        }
        self.metrics.looked_up(Origin::Exchange.as_str());
        let token = self.exchange_now(exchange.key, exchange, now).await?;
        Ok((token, Origin::Exchange))
    }

    /// A new Graph token that answers a claims challenge of Graph's. It replaces the one in the cache.
    ///
    /// # Errors
    ///
    /// As [`Self::acquire_token`].
    pub async fn answer_challenge(
        &'static self,
        caller: &Arc<Caller>,
        permissions: &[&str],
        challenge: &str,
    ) -> Result<AccessToken, OboError> {
        let exchange = self.exchange_for(caller, assertion_of(caller)?, permissions, Some(challenge));
        self.exchange_now(challenge_key(&exchange.key, challenge), exchange, Moment::now()).await
    }

    /// Forgets a token that the downstream service refused.
    pub fn forget(&self, caller: &Caller, permissions: &[&str]) {
        if let Some(assertion) = caller.assertion() {
            self.cache.remove(&cache_key(&self.token_endpoint, &self.client_id, assertion, &self.scopes(permissions)));
        }
    }

    /// Forgets a refusal of this caller's exchange, so that the next call asks Entra again.
    pub fn forget_refusal(&self, caller: &Caller, permissions: &[&str]) {
        if let Some(assertion) = caller.assertion() {
            self.refusals.forget(&cache_key(
                &self.token_endpoint,
                &self.client_id,
                assertion,
                &self.scopes(permissions),
            ));
        }
    }

    /// Whether a claims challenge may be sent to the caller's client: once for each token and claims, and only so often to
    /// one user. It counts as sent.
    pub fn may_challenge(&self, caller: &Caller, claims: &str) -> bool {
        let Some(assertion) = caller.assertion() else { return false };
        let token = cache_key(&self.token_endpoint, &self.client_id, assertion, &[]);
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        guard.admit(user_key(assertion, &[]), challenge_key(&token, claims), Moment::now())
    }

    /// Whether the token endpoint is not asked, because it fails too often.
    #[must_use]
    pub fn breaker_is_open(&self) -> bool {
        self.lock_breaker().is_open()
    }

    /// Where an administrator consents for the whole organization (v2-admin-consent).
    #[must_use]
    pub fn admin_consent_url(&self) -> &str {
        &self.admin_consent_url
    }

    /// Whether the credential can be used at all, for `/health/ready`: nothing is known to be wrong with it, and a managed
    /// identity answers.
    ///
    /// # Errors
    ///
    /// [`OboError::Credential`] or [`OboError::Configuration`] with the cause.
    pub async fn check_credential(&self) -> Result<(), OboError> {
        if let Some(known) = self.refusals.remembered(&[EVERYBODY], Moment::now()) {
            return Err(known);
        }
        self.credential.form_fields().await.map(drop)
    }

    /// How many downstream tokens are kept, and what they weigh in bytes.
    #[must_use]
    pub fn cache_size(&self) -> (u64, u64) {
        self.cache.size()
    }

    fn scopes(&self, permissions: &[&str]) -> Vec<String> {
        permissions.iter().map(|permission| format!("{}/{permission}", self.graph_base_url)).collect()
    }

    fn exchange_for(
        &self,
        caller: &Arc<Caller>,
        assertion: UserAssertion<'_>,
        permissions: &[&str],
        challenge: Option<&str>,
    ) -> Exchange {
        let scopes = self.scopes(permissions);
        Exchange {
            caller: Arc::clone(caller),
            key: cache_key(&self.token_endpoint, &self.client_id, assertion, &scopes),
            user: user_key(assertion, &scopes),
            challenge: challenge.map(str::to_owned),
            scopes,
        }
    }

    /// Whether a renewal may be tried now: nothing speaks against an exchange, and none was tried a moment ago. The token in
    /// hand is good meanwhile.
    fn may_renew(&self, exchange: &Exchange, now: Moment) -> bool {
        let refused = self.refusals.remembered(&[exchange.key, exchange.user, EVERYBODY, THROTTLED], now).is_some();
        !refused && self.refusals.first_within(challenge_key(&exchange.key, "renewal"), RENEWAL_SPACING, now)
    }

    /// The result of the exchange under `flight`, joined or started, unless something already says that it is of no use.
    async fn exchange_now(
        &'static self,
        flight: CacheKey,
        exchange: Exchange,
        now: Moment,
    ) -> Result<AccessToken, OboError> {
        if life_left(&exchange.caller, now) < self.min_assertion_ttl {
            return Err(OboError::AssertionAboutToExpire);
        }
        if self.flights.in_flight(&flight).is_none()
            && let Some(refusal) = self.refusals.remembered(&[flight, exchange.user, EVERYBODY, THROTTLED], now)
        {
            return Err(refusal);
        }
        let landed = self.start(flight, exchange, now).landed();
        match tokio::time::timeout(CALLER_WAIT, landed).await {
            Ok(outcome) => outcome.map_err(|_| lost("the exchange broke off"))?,
            Err(_) => Err(lost("the exchange took too long")),
        }
    }

    /// The exchange under `flight` in a task of its own: the one under way, or a new one.
    fn start(
        &'static self,
        flight: CacheKey,
        exchange: Exchange,
        now: Moment,
    ) -> crate::single_flight::Flight<Result<AccessToken, OboError>> {
        self.flights.join(flight, || {
            let work = async move {
                let outcome = match self.landed_meanwhile(&exchange) {
                    Some(token) => return Ok(token),
                    None => tokio::time::timeout(EXCHANGE, self.run(&exchange, now)).await,
                };
                let outcome = outcome.unwrap_or_else(|_| Err(lost("the exchange took too long")));
                self.metrics.exchanged(outcome.as_ref().map_or_else(OboError::class, |_| "ok"));
                match &outcome {
                    Ok(token) => self.cache.insert(exchange.key, exchange.user, token.clone()),
                    Err(refusal) => self.remember(&exchange, flight, refusal, Moment::now()),
                }
                outcome
            };
            work.instrument(info_span!("obo.acquire_token"))
        })
    }

    /// Remembers a failed exchange for whom it concerns.
    fn remember(&self, exchange: &Exchange, flight: CacheKey, refusal: &OboError, now: Moment) {
        let key = |reach| match reach {
            Reach::Exchange => flight,
            Reach::User => exchange.user,
            Reach::Everybody => EVERYBODY,
        };
        self.refusals.remember(key, refusal, now);
        if let OboError::Unavailable { retry_after: Some(after), .. } = refusal
            && let Some(assertion) = exchange.caller.assertion()
        {
            let mut users = self.throttled_users.lock().unwrap_or_else(PoisonError::into_inner);
            let many = users.are_many_with(user_key(assertion, &[]), now);
            drop(users);
            if many {
                warn!("entra throttles many users at once: nobody is exchanged for a while");
                self.refusals.remember_for(THROTTLED, refusal, (*after).min(LONGEST_THROTTLE), now);
            }
        }
    }

    /// The token of an exchange that ended between a caller's look into the cache and the start of the next one.
    fn landed_meanwhile(&self, exchange: &Exchange) -> Option<AccessToken> {
        if exchange.challenge.is_some() {
            return None;
        }
        match self.cache.hit(&exchange.key, exchange.caller.assertion()?, Moment::now()) {
            Some(Hit::Good(token)) => Some(token),
            Some(Hit::Aging(_)) | None => None,
        }
    }

    /// One exchange with its retries, within [`EXCHANGE`]; asked at all only if the endpoint is worth asking.
    async fn run(&self, exchange: &Exchange, started: Moment) -> Result<AccessToken, OboError> {
        let open = |wait| OboError::Unavailable {
            reason: "not asked: failing".to_owned(),
            retry_after: Some(wait),
            transient: false,
        };
        let mut renewed = false;
        let mut tries = 0;
        loop {
            self.lock_breaker().admit(Moment::now()).map_err(open)?;
            let outcome = self.once(exchange).await;
            let now = Moment::now();
            let refusal = match outcome {
                Ok(token) => {
                    self.lock_breaker().record(false, now);
                    return self.issued(exchange, token, now);
                }
                Err(refusal) => refusal,
            };
            let failure = failure_of(&refusal);
            if !matches!(refusal, OboError::Credential(_)) {
                self.lock_breaker().record(failure == Failure::Transient, now);
            }
            if let OboError::Configuration { code, .. } = refusal
                && is_federation(code)
            {
                if !renewed && self.credential.renew() {
                    renewed = true;
                    continue;
                }
                self.advise(code);
            }
            tries += 1;
            let left = EXCHANGE.saturating_sub(now.since(started));
            match retry::pause(failure, tries, left, rand::random()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(refusal),
            }
        }
    }

    /// One request, as v2-oauth2-on-behalf-of-flow has it. Never asks for `offline_access`: nothing here needs a refresh
    /// token.
    async fn once(&self, exchange: &Exchange) -> Result<TokenResponse, OboError> {
        let assertion = assertion_of(&exchange.caller)?;
        let of_user =
            self.room_of_user.get_with(user_key(assertion, &[]), || Arc::new(Semaphore::new(self.exchanges_of_user)));
        let closed = |_| lost("shutting down");
        let _room_of_user = of_user.acquire().await.map_err(closed)?;
        let _room = self.room.acquire().await.map_err(closed)?;
        let proof = self.credential.form_fields().await?;
        let scope = exchange.scopes.join(" ");
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("client_id", &self.client_id),
            ("assertion", assertion.expose()),
            ("scope", &scope),
            ("requested_token_use", "on_behalf_of"),
        ];
        form.extend(proof.iter().map(wire_value));
        let claims = claims::parameter(exchange.challenge.as_deref(), assertion.answers_challenges());
        form.extend(claims.as_deref().map(|claims| ("claims", claims)));
        self.ask(&form).await
    }

    /// A request to the token endpoint and its answer's meaning.
    async fn ask(&self, form: &[(&str, &str)]) -> Result<TokenResponse, OboError> {
        let url = Url::parse(&self.token_endpoint)
            .map_err(|_| OboError::Configuration { error: "token_endpoint".to_owned(), code: 0 })?;
        let request = self
            .http
            .post(url)
            .header(ACCEPT, "application/json")
            .header("client-request-id", Uuid::new_v4().to_string())
            .header("return-client-request-id", "true")
            .form(form);
        wire::read(&client::send(request, TRY).await?)
    }

    #[expect(clippy::unused_self, reason = "reads as what the client does with an answer")]
    fn issued(&self, exchange: &Exchange, token: TokenResponse, now: Moment) -> Result<AccessToken, OboError> {
        let life = Life {
            lifetime: Duration::from_secs(token.expires_in),
            refresh_in: token.refresh_in.map(Duration::from_secs),
            random: rand::random(),
        };
        Ok(AccessToken::issued(token.access_token, assertion_of(&exchange.caller)?, life, now))
    }

    /// Tells the operator exactly what to register, once Entra has refused the federated assertion twice.
    fn advise(&self, code: u32) {
        let advice = self.credential.federation();
        error!(
            entra.code = code,
            federation.issuer = advice.as_ref().map(|advice| advice.issuer.as_str()),
            federation.subject = advice.as_ref().map(|advice| advice.subject.as_str()),
            federation.audience = advice.as_ref().map(|advice| advice.audience.as_str()),
            "the application does not trust this identity: register exactly this federated credential on it"
        );
    }

    fn lock_breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The assertion of a caller, which only a signed-in user has. Applications are refused before they get here;
/// AADSTS7000114 is what Entra would say.
fn assertion_of(caller: &Caller) -> Result<UserAssertion<'_>, OboError> {
    caller
        .assertion()
        .ok_or_else(|| OboError::Configuration { error: "application_caller".to_owned(), code: 7_000_114 })
}

fn lost(reason: &str) -> OboError {
    OboError::Unavailable { reason: reason.to_owned(), retry_after: None, transient: false }
}

fn life_left(caller: &Caller, now: Moment) -> Duration {
    Duration::from_secs(caller.expires_at().saturating_sub(now.unix_seconds()))
}

/// Whether asking again may help.
fn failure_of(refusal: &OboError) -> Failure {
    match refusal {
        OboError::Unavailable { retry_after: Some(after), .. } => Failure::ComeBack(*after),
        OboError::Unavailable { transient: true, .. } => Failure::Transient,
        _ => Failure::Final,
    }
}
