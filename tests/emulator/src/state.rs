//! Everything that one emulator holds, shared by its request handlers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use support::sentinel;
use uuid::Uuid;

use crate::counters::Tally;
use crate::credentials::Credentials;
use crate::faults::Faults;
use crate::grants::code::Code;
use crate::grants::on_behalf_of::OboRequest;
use crate::grants::refresh::Session;
use crate::keys::KeyRing;
use crate::tenant::{CLIENT_SECRET, Directory, TENANT_ID};

/// Not `Debug`: it holds codes and refresh tokens.
pub(crate) struct State {
    pub(crate) base_url: String,
    pub(crate) keys: KeyRing,
    pub(crate) tally: Tally,
    pub(crate) faults: Faults,
    pub(crate) settings: Settings,
    /// What the host puts into `IDENTITY_HEADER`: whoever knows it gets the managed identity's tokens.
    pub(crate) identity_header: String,
    directory: Mutex<Directory>,
    credentials: Mutex<Credentials>,
    codes: Mutex<HashMap<String, Code>>,
    sessions: Mutex<HashMap<String, Session>>,
    downstream: Mutex<HashMap<String, Downstream>>,
    obo_requests: Mutex<Vec<OboRequest>>,
    graph_traces: Mutex<Vec<String>>,
}

/// A Graph token that was issued and not revoked, by its `uti`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Downstream {
    /// Whether it was asked for with a `nbf` claims request, so that it answers Graph's claims challenge.
    pub(crate) answers_challenge: bool,
}

/// What tests may turn.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) access_token_lifetime: AtomicI64,
    pub(crate) downstream_lifetime: AtomicI64,
    pub(crate) identity_token_lifetime: AtomicI64,
    pub(crate) advertise_pkce: AtomicBool,
    pub(crate) graph_claims_challenge: AtomicBool,
}

impl State {
    pub(crate) fn new(base_url: String) -> Self {
        sentinel::register(CLIENT_SECRET);
        let identity_header = Uuid::new_v4().to_string();
        sentinel::register(&identity_header);
        Self {
            credentials: Mutex::new(Credentials::new(&issuer(&base_url))),
            base_url,
            identity_header,
            keys: KeyRing::new(),
            tally: Tally::default(),
            faults: Faults::default(),
            settings: Settings {
                access_token_lifetime: AtomicI64::new(TYPICAL_LIFETIME),
                downstream_lifetime: AtomicI64::new(TYPICAL_LIFETIME),
                identity_token_lifetime: AtomicI64::new(IDENTITY_LIFETIME),
                advertise_pkce: AtomicBool::new(false),
                graph_claims_challenge: AtomicBool::new(false),
            },
            directory: Mutex::new(Directory::new()),
            codes: Mutex::default(),
            sessions: Mutex::default(),
            downstream: Mutex::default(),
            obo_requests: Mutex::default(),
            graph_traces: Mutex::default(),
        }
    }

    pub(crate) fn issuer(&self) -> String {
        issuer(&self.base_url)
    }

    /// The address of the token endpoint: the audience of a client assertion that the client signed itself.
    pub(crate) fn token_endpoint(&self) -> String {
        format!("{}/{TENANT_ID}/oauth2/v2.0/token", self.base_url)
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    pub(crate) fn credentials(&self) -> MutexGuard<'_, Credentials> {
        lock(&self.credentials)
    }

    pub(crate) fn codes(&self) -> MutexGuard<'_, HashMap<String, Code>> {
        lock(&self.codes)
    }

    pub(crate) fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        lock(&self.sessions)
    }

    pub(crate) fn downstream(&self) -> MutexGuard<'_, HashMap<String, Downstream>> {
        lock(&self.downstream)
    }

    pub(crate) fn obo_requests(&self) -> MutexGuard<'_, Vec<OboRequest>> {
        lock(&self.obo_requests)
    }

    pub(crate) fn graph_traces(&self) -> MutexGuard<'_, Vec<String>> {
        lock(&self.graph_traces)
    }
}

impl Settings {
    pub(crate) fn access_token_lifetime(&self) -> i64 {
        self.access_token_lifetime.load(Ordering::SeqCst)
    }

    pub(crate) fn downstream_lifetime(&self) -> i64 {
        self.downstream_lifetime.load(Ordering::SeqCst)
    }

    pub(crate) fn identity_token_lifetime(&self) -> i64 {
        self.identity_token_lifetime.load(Ordering::SeqCst)
    }
}

/// An opaque code or refresh token, registered as a secret.
pub(crate) fn opaque(prefix: &str) -> String {
    let secret = format!("{prefix}{}", support::base64url(rand::random::<[u8; 36]>()));
    sentinel::register(&secret);
    secret
}

fn issuer(base_url: &str) -> String {
    format!("{base_url}/{TENANT_ID}/v2.0")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds: the mean of Entra's random 60 to 90 minutes (access-tokens page, "Token lifetime").
const TYPICAL_LIFETIME: i64 = 75 * 60;
/// Seconds: about what managed identities' tokens are observed to live.
const IDENTITY_LIFETIME: i64 = 24 * 60 * 60;
