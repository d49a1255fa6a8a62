//! The token of a user-assigned managed identity, as client assertion (federated credential).
//!
//! `azure_identity` asks the host for it; everything round that is decided here, because the library retries for over a
//! minute and holds a lock while it does: no retries of its own, a deadline, one request in flight, renewal at half-life.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, RetryOptions, StatusCode};
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use secrecy::{ExposeSecret, SecretString};
use tracing::{Instrument as _, info, info_span, warn};

use super::federation::Federation;
use crate::config::UserAssignedIdentity;
use crate::moment::Moment;
use crate::obo::error::OboError;
use crate::single_flight::SingleFlight;

/// All requests for one token together: the endpoint is on this machine or one hop away.
const TOTAL: Duration = Duration::from_secs(5);

/// One request.
const TRY: Duration = Duration::from_millis(1_500);

/// The most requests for one token, and the pause between them.
const MOST_TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// How long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_mins(5);

/// How far apart renewals of a token that is still good are tried.
const RENEWAL_SPACING: Duration = Duration::from_secs(30);

/// How long "no such identity" is believed without asking again.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// The user-assigned managed identity that the application's federated credential trusts.
#[derive(Debug)]
pub(in crate::obo) struct ManagedIdentity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    identity: UserAssignedIdentity,
    audience: &'static str,
    /// Whether the object ID turned out to be a client ID: found once, remembered.
    is_client_id: AtomicBool,
    held: Mutex<Option<Held>>,
    /// When a renewal was last tried.
    renewal_tried: Mutex<Option<Moment>>,
    /// When the host last said that it knows no such identity.
    unknown_since: Mutex<Option<Moment>>,
    flights: SingleFlight<(), Result<SecretString, OboError>>,
}

/// A token and its life.
#[derive(Clone, Debug)]
struct Held {
    token: SecretString,
    since: Moment,
    life: Duration,
    federation: Option<Federation>,
}

/// Why the host gave no token.
enum Refused {
    /// It does not know the identity under that id.
    Unknown,
    /// Anything else; asking again may help.
    Failed(&'static str),
}

impl ManagedIdentity {
    pub(super) fn new(identity: UserAssignedIdentity, authority: &str) -> Self {
        Self(Arc::new(Shared {
            identity,
            audience: exchange_audience(authority),
            is_client_id: AtomicBool::new(false),
            held: Mutex::new(None),
            renewal_tried: Mutex::new(None),
            unknown_since: Mutex::new(None),
            flights: SingleFlight::new(),
        }))
    }

    /// The identity's token: from memory in the first half of its life; in the second half too, while a new one is fetched
    /// in the background; otherwise fetched now, once for all who ask.
    pub(super) async fn token(&self) -> Result<SecretString, OboError> {
        let now = Moment::now();
        if let Some(held) = self.held() {
            let age = now.since(held.since);
            if age + MARGIN < held.life {
                if age * 2 > held.life && self.may_renew(now) {
                    drop(self.fetch());
                }
                return Ok(held.token);
            }
        }
        if self.0.is_unknown(now) {
            return Err(unknown());
        }
        let lost = |_| OboError::Credential("the managed-identity request broke off".to_owned());
        self.fetch().landed().await.map_err(lost)?
    }

    /// Whether no renewal was tried a moment ago. It counts as tried.
    fn may_renew(&self, now: Moment) -> bool {
        let mut tried = self.0.renewal_tried.lock().unwrap_or_else(PoisonError::into_inner);
        let due = tried.is_none_or(|tried| now.since(tried) >= RENEWAL_SPACING);
        if due {
            *tried = Some(now);
        }
        due
    }

    /// Gives up the held token: Entra refused it.
    pub(super) fn forget(&self) {
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What to register, as the last token has it.
    pub(super) fn federation(&self) -> Option<Federation> {
        self.held()?.federation
    }

    fn held(&self) -> Option<Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fetch(&self) -> crate::single_flight::Flight<Result<SecretString, OboError>> {
        let shared = Arc::clone(&self.0);
        self.0.flights.join((), || {
            let work = async move {
                let fetched = tokio::time::timeout(TOTAL, shared.fetch()).await;
                fetched.unwrap_or_else(|_| Err(unavailable("it does not answer in time")))
            };
            work.instrument(info_span!("identity.fetch"))
        })
    }
}

impl Shared {
    async fn fetch(&self) -> Result<SecretString, OboError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ask(self.id()).await {
                Ok(held) => return Ok(self.keep(held)),
                Err(Refused::Unknown) if self.may_be_client_id() => {
                    warn!(
                        "the host knows no managed identity with FEDERATED_CREDENTIAL_OID as its object ID; \
                         trying it as client ID (then better set MANAGED_IDENTITY_CLIENT_ID)"
                    );
                    self.is_client_id.store(true, Ordering::SeqCst);
                }
                Err(Refused::Unknown) => {
                    self.is_client_id.store(false, Ordering::SeqCst);
                    *self.unknown_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Moment::now());
                    return Err(unknown());
                }
                Err(Refused::Failed(_)) if tries < MOST_TRIES => tokio::time::sleep(PAUSE * tries).await,
                Err(Refused::Failed(reason)) => return Err(unavailable(reason)),
            }
        }
    }

    fn is_unknown(&self, now: Moment) -> bool {
        let unknown_since = self.unknown_since.lock().unwrap_or_else(PoisonError::into_inner);
        unknown_since.is_some_and(|since| now.since(since) < UNKNOWN_FOR)
    }

    fn keep(&self, held: Held) -> SecretString {
        if let Some(federation) = &held.federation {
            info!(
                federation.issuer = federation.issuer,
                federation.subject = federation.subject,
                federation.audience = federation.audience,
                "managed identity obtained; the application must have this federated credential"
            );
        }
        let token = held.token.clone();
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        token
    }

    fn id(&self) -> UserAssignedId {
        match &self.identity {
            UserAssignedIdentity::ObjectId(id) if !self.is_client_id.load(Ordering::SeqCst) => {
                UserAssignedId::ObjectId(id.clone())
            }
            UserAssignedIdentity::ObjectId(id) | UserAssignedIdentity::ClientId(id) => {
                UserAssignedId::ClientId(id.clone())
            }
        }
    }

    fn may_be_client_id(&self) -> bool {
        matches!(self.identity, UserAssignedIdentity::ObjectId(_)) && !self.is_client_id.load(Ordering::SeqCst)
    }

    /// One request. The credential is made anew each time: the library's own cache would give the same token until shortly
    /// before its end.
    async fn ask(&self, id: UserAssignedId) -> Result<Held, Refused> {
        let client_options = ClientOptions { retry: RetryOptions::none(), ..ClientOptions::default() };
        let options = ManagedIdentityCredentialOptions { user_assigned_id: Some(id), client_options };
        let credential = ManagedIdentityCredential::new(Some(options))
            .map_err(|_| Refused::Failed("this host offers no managed identity that is supported"))?;
        let scope = format!("{}/.default", self.audience);
        let since = Moment::now();
        match tokio::time::timeout(TRY, credential.get_token(&[&scope], None)).await {
            Err(_) => Err(Refused::Failed("it does not answer in time")),
            Ok(Err(cause)) if is_bad_request(&cause) => Err(Refused::Unknown),
            // The library's text carries the endpoint's answer: it stays out of the log.
            Ok(Err(_)) => Err(Refused::Failed("it fails or cannot be reached")),
            Ok(Ok(token)) => {
                let ends = u64::try_from(token.expires_on.unix_timestamp()).unwrap_or_default();
                let life = Duration::from_secs(ends.saturating_sub(since.unix_seconds()));
                let token = SecretString::from(token.token.secret());
                Ok(Held { federation: Federation::of(token.expose_secret(), Some(self.audience)), token, since, life })
            }
        }
    }
}

fn unknown() -> OboError {
    unavailable("it knows no such identity on this host; is it assigned to the app?")
}

fn unavailable(reason: &str) -> OboError {
    OboError::Credential(format!("the managed-identity endpoint: {reason}"))
}

/// Both kinds of endpoint answer 400 to an identity they do not know.
fn is_bad_request(error: &azure_core::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(error) = current.downcast_ref::<azure_core::Error>()
            && matches!(error.kind(), ErrorKind::HttpResponse { status: StatusCode::BadRequest, .. })
        {
            return true;
        }
        cause = current.source();
    }
    false
}

/// The audience a federated credential expects, by cloud (workload-identity-federation-config-app-trust-managed-identity).
fn exchange_audience(authority: &str) -> &'static str {
    if authority.ends_with("login.microsoftonline.us") {
        "api://AzureADTokenExchangeUSGov"
    } else if authority.ends_with("login.partner.microsoftonline.cn") || authority.ends_with("login.chinacloudapi.cn") {
        "api://AzureADTokenExchangeChina"
    } else {
        "api://AzureADTokenExchange"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_its_own_exchange_audience() {
        assert_eq!(exchange_audience("https://login.microsoftonline.com"), "api://AzureADTokenExchange");
        assert_eq!(exchange_audience("https://login.microsoftonline.us"), "api://AzureADTokenExchangeUSGov");
        assert_eq!(exchange_audience("https://login.chinacloudapi.cn"), "api://AzureADTokenExchangeChina");
    }
}
