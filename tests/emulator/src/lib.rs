//! Microsoft Entra ID v2 and the bit of Microsoft Graph that is used, on loopback: for the demo and for the tests.
//!
//! It is a real authorization server in small: real RSA signatures, PKCE, consent, single-use codes, rotating refresh
//! tokens, the on-behalf-of grant, federated credentials and certificates, the host's managed identities, and RFC 8707
//! as Entra enforces it. What it cannot show is what Entra really does: each public item names the page it was built
//! from.
//!
//! | Path | File |
//! |---|---|
//! | `GET /{tenant}/v2.0/.well-known/openid-configuration`, `GET /{tenant}/discovery/v2.0/keys` | `discovery.rs` |
//! | `GET /{tenant}/oauth2/v2.0/authorize` | `authorize.rs`, its HTML in `page.rs` |
//! | `POST /{tenant}/oauth2/v2.0/token` | `token.rs`, a grant a file under `grants/` |
//! | `GET /msi/token`, `GET /metadata/identity/oauth2/token` | `managed_identity.rs` |
//! | `GET /v1.0/me` | `graph.rs` |
//! | `/emulator/…`, for tests not written in Rust | `control.rs` |
//!
//! `tenant.rs` has the ids, the people and their consents; `credentials.rs` what the API application proves itself
//! with; `mint.rs` every token; `faults.rs` every way to fail.
//!
//! **Architecture Invariant:** nothing here imports `shared`; it listens on 127.0.0.1 only.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "test support: a broken fixture must stop the test at once, with the place in the message"
)]

mod authorize;
mod clock;
mod control;
mod counters;
mod credentials;
mod crowd;
mod discovery;
mod errors;
mod faults;
mod grants;
mod graph;
mod keys;
mod managed_identity;
mod mint;
mod page;
mod params;
mod scopes;
mod server;
mod state;
mod tenant;
mod token;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use support::keys::SigningKey;
use support::token::TokenBuilder;

pub use crate::counters::Counters;
use crate::credentials::FederatedCredential;
pub use crate::errors::EntraError;
pub use crate::faults::{Endpoint, Fault, Faults};
pub use crate::grants::on_behalf_of::OboRequest;
use crate::managed_identity::{APP_SERVICE_PATH, Identity};
use crate::server::Server;
use crate::state::State;
use crate::tenant::Resource;
pub use crate::tenant::{
    ACCESS_AS_USER, API_CLIENT_ID, API_PRINCIPAL_ID, CLIENT_SECRET, GRAPH_APP_ID, IDENTITY_CLIENT_ID,
    IDENTITY_PRINCIPAL_ID, IDENTITY_RESOURCE_ID, MCP_TOOLS, PUBLIC_CLIENT_ID, SYSTEM_PRINCIPAL_ID, TENANT_ID,
    TOKEN_EXCHANGE_APP_ID, TOKEN_EXCHANGE_URI, User,
};

/// A running emulator. Clones are the same emulator; it stops when the last of them is dropped.
#[derive(Clone)]
pub struct Emulator {
    state: Arc<State>,
    // The request handlers hold the state and never the server, so that the last handle really is the last.
    server: Arc<Server>,
}

impl Emulator {
    /// Starts on a free port.
    pub async fn start() -> Self {
        Self::start_on(0).await.expect("a free port on 127.0.0.1")
    }

    /// Starts on this port of 127.0.0.1.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let server = Arc::new(Server::bind(port)?);
        let base_url = format!("http://127.0.0.1:{}", server.port());
        // Two RSA keys take a tenth of a second: not on a thread that others wait for.
        let state = tokio::task::spawn_blocking(move || State::new(base_url)).await.map_err(io::Error::other)?;
        let emulator = Self { state: Arc::new(state), server };
        emulator.server.serve(&emulator.state)?;
        Ok(emulator)
    }

    /// `http://127.0.0.1:<port>`: what both `AZURE_AUTHORITY_HOST` and `GRAPH_BASE_URL` take.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.state.base_url.clone()
    }

    /// The v2.0 issuer: `<base url>/<tenant id>/v2.0`.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.state.issuer()
    }

    /// Adds an Application ID URI to the API application, for example the MCP URL. Scopes under it and the `resource`
    /// parameter equal to it are accepted from then on (`identifierUris` of the application manifest).
    pub fn identifier_uri(&self, uri: &str) {
        self.state.directory().add_identifier_uri(uri);
    }

    /// An administrator consents for `user` to a scope of the API application or of Graph, by its short name
    /// (whatever stands before the last `/` is left out).
    pub fn grant(&self, user: User, scope: &str) {
        let name = scope.rsplit('/').next().unwrap_or(scope);
        self.state.directory().grant(user, name);
    }

    /// The key that signs now.
    #[must_use]
    pub fn signing_key(&self) -> Arc<SigningKey> {
        self.state.keys.signing()
    }

    /// A valid access token for the API application as the public client gets it: with `access_as_user`, with
    /// `MCP.Tools` for Alice, and with whatever the user has consented to or was granted here.
    #[must_use]
    pub fn token(&self, user: User) -> TokenBuilder {
        let mut scopes = self.state.directory().granted(user, Resource::Api);
        scopes.insert(ACCESS_AS_USER.to_owned());
        if user == User::Alice {
            scopes.insert(MCP_TOOLS.to_owned());
        }
        self.state.access_token(user, PUBLIC_CLIENT_ID, &scopes)
    }

    /// A valid app-only access token for the API application, as the client-credentials grant gives it.
    #[must_use]
    pub fn app_only_token(&self) -> TokenBuilder {
        self.state.app_only_token()
    }

    /// `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`, as App Service, Functions and Container Apps set them. The host has a
    /// user-assigned identity ([`IDENTITY_CLIENT_ID`]) and a system-assigned one ([`SYSTEM_PRINCIPAL_ID`]).
    #[must_use]
    pub fn identity_endpoint(&self) -> (String, String) {
        (format!("{}{APP_SERVICE_PATH}", self.state.base_url), self.state.identity_header.clone())
    }

    /// A valid token of the user-assigned managed identity for [`TOKEN_EXCHANGE_URI`], as its endpoints give it.
    #[must_use]
    pub fn identity_token(&self) -> TokenBuilder {
        self.state.identity_token(Identity::UserAssigned)
    }

    /// Replaces the API application's only federated credential. At first it trusts the user-assigned managed identity:
    /// [`Emulator::issuer`], [`IDENTITY_PRINCIPAL_ID`], [`TOKEN_EXCHANGE_URI`]. Tokens of another issuer must be signed
    /// by a published key of the emulator's as well: nothing is fetched.
    pub fn federated_credential(&self, issuer: &str, subject: &str, audience: &str) {
        let [issuer, subject, audience] = [issuer, subject, audience].map(str::to_owned);
        self.state.credentials().federate(Some(FederatedCredential { issuer, subject, audience }));
    }

    /// Takes the federated credential away.
    pub fn no_federated_credential(&self) {
        self.state.credentials().federate(None);
    }

    /// Adds a certificate to the API application: its `SubjectPublicKeyInfo` in DER form, and the SHA-256 of the whole
    /// certificate, base64url without padding, as `x5t#S256` has it.
    pub fn register_certificate(&self, public_key_der: &[u8], x5t_s256: &str) {
        self.state.credentials().add_certificate(public_key_der, x5t_s256);
    }

    /// A new key signs from now on; the old ones stay published (signing-key-rollover page).
    #[expect(clippy::must_use_candidate, reason = "most tests only want the rotation")]
    pub fn rotate_keys(&self) -> Arc<SigningKey> {
        self.state.keys.rotate()
    }

    /// Publishes exactly these keys; what signs does not change. Plays a withdrawal, or a replica that lags behind.
    pub fn publish(&self, keys: &[Arc<SigningKey>]) {
        self.state.keys.publish(keys);
    }

    /// Whether discovery names `code_challenge_methods_supported`. Entra's does not, hence neither does this one
    /// unless told to; some clients then refuse to sign in.
    pub fn advertise_pkce(&self, advertise: bool) {
        self.state.settings.advertise_pkce.store(advertise, Ordering::SeqCst);
    }

    /// How long new access tokens for the API application live; 4500 at first, may be negative.
    pub fn set_access_token_lifetime(&self, seconds: i64) {
        self.state.settings.access_token_lifetime.store(seconds, Ordering::SeqCst);
    }

    /// How long new Graph tokens live; 4500 at first, may be negative. From 7200 on `refresh_in` is named as well.
    pub fn set_downstream_lifetime(&self, seconds: i64) {
        self.state.settings.downstream_lifetime.store(seconds, Ordering::SeqCst);
    }

    /// How long new tokens of managed identities live; 86,400 at first, may be negative.
    pub fn set_identity_token_lifetime(&self, seconds: i64) {
        self.state.settings.identity_token_lifetime.store(seconds, Ordering::SeqCst);
    }

    /// Graph refuses every token issued so far.
    pub fn revoke_downstream_tokens(&self) {
        self.state.downstream().clear();
    }

    /// Whether Graph answers with a claims challenge. A token for which `nbf` was asked in the `claims` parameter
    /// answers the challenge and passes; [`Faults::document`] on [`Endpoint::GraphMe`] plays a Graph that challenges
    /// even that (app-resilience-continuous-access-evaluation).
    pub fn graph_claims_challenge(&self, challenge: bool) {
        self.state.settings.graph_claims_challenge.store(challenge, Ordering::SeqCst);
    }

    /// How often each endpoint was asked, failures included.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state.tally.read()
    }

    /// The faults to switch on.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.state.faults
    }

    /// What the on-behalf-of grant was sent, oldest first.
    #[must_use]
    pub fn obo_requests(&self) -> Vec<OboRequest> {
        self.state.obo_requests().clone()
    }

    /// The `traceparent` (W3C Trace Context) of each request to Graph that had one, oldest first.
    #[must_use]
    pub fn graph_traces(&self) -> Vec<String> {
        self.state.graph_traces().clone()
    }

    /// An outage: closes every connection and refuses new ones from now on. The port stays reserved.
    pub async fn stop(&self) {
        self.server.stop().await.expect("the port can be kept");
    }

    /// Ends the outage, on the same port and with nothing forgotten.
    #[expect(clippy::unused_async, reason = "the counterpart of `stop`; it needs the runtime")]
    pub async fn restart(&self) {
        self.server.serve(&self.state).expect("the port was kept");
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Emulator").field("base_url", &self.state.base_url).finish_non_exhaustive()
    }
}
