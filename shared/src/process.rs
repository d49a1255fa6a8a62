//! The one process: everything that lives as long as it does.

use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::audit::AuditLog;
use crate::auth::challenge::Challenges;
use crate::auth::jwks::JwksCache;
use crate::auth::limits::Limits;
use crate::auth::verifier::TokenVerifier;
use crate::background;
use crate::config::Config;
use crate::graph::GraphClient;
use crate::http::{HttpClient, HttpClientError};
use crate::obo::client::OboClient;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::request::LineBudget;

/// How often what is over is forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// The workspace's only static: the key cache and the on-behalf-of cache must be one per process.
static PROCESS: OnceCell<Process> = OnceCell::new();

/// Settings, caches and clients of a process.
#[derive(Debug)]
pub struct Process {
    /// The checked settings.
    pub config: Config,
    /// Entra's signing keys.
    pub jwks: JwksCache,
    /// Decides about tokens.
    pub verifier: TokenVerifier,
    /// How much is taken on.
    pub limits: Limits,
    /// Builds refusals.
    pub challenges: Challenges,
    /// Tokens for Graph on a user's behalf.
    pub obo: OboClient,
    /// What was called by whom.
    pub audit: AuditLog,
    /// Microsoft Graph.
    pub graph: GraphClient,
    /// What is counted and measured.
    pub metrics: Arc<Metrics>,
    pub(crate) lines: LineBudget,
}

impl Process {
    /// A process for these settings. Does nothing yet: no I/O, no task.
    ///
    /// # Errors
    ///
    /// [`HttpClientError`] where TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, HttpClientError> {
        let http = HttpClient::new()?;
        let metrics = Arc::new(Metrics::new(&config));
        Ok(Self {
            jwks: JwksCache::new(&config, http.clone(), Arc::clone(&metrics)),
            verifier: TokenVerifier::new(&config),
            limits: Limits::new(config.limits),
            challenges: Challenges::new(&config),
            obo: OboClient::new(&config, http.clone(), Arc::clone(&metrics)),
            audit: AuditLog::default(),
            graph: GraphClient::new(&config, http, Arc::clone(&metrics)),
            config,
            metrics,
            lines: LineBudget::default(),
        })
    }

    /// Makes this the process's one `Process`. Only `main` calls this; a second call gets the first one back.
    pub fn install(self) -> &'static Self {
        PROCESS.get_or_init(|| self)
    }

    /// A process that lives to the end of the program without being *the* one: for tests, which build many.
    #[must_use]
    pub fn leaked(self) -> &'static Self {
        Box::leak(Box::new(self))
    }

    /// Starts what runs in the background. Needs a tokio runtime; waits for nothing.
    pub fn start(&'static self) {
        self.jwks.keep_fresh();
        self.obo.keep_ready();
        self.keep_small();
        self.measure();
    }

    /// Forgets what is over, from time to time: quiet callers, tokens verified too long ago.
    fn keep_small(&'static self) {
        background::keep_going("forget", 2 * FORGET_EVERY, Arc::clone(&self.metrics), move |pulse| async move {
            loop {
                pulse.beat();
                tokio::time::sleep(FORGET_EVERY).await;
                self.limits.forget_quiet();
                self.verifier.forget_old();
            }
        });
    }

    /// What is looked at whenever measurements are collected.
    fn measure(&'static self) {
        let metrics = &self.metrics;
        metrics.gauge("jwks.keys", "{key}", || Some(self.jwks.status().usable as u64));
        metrics.gauge("jwks.age", "s", || self.jwks.status().age.map(|age| age.as_secs()));
        metrics.gauge("obo.cache.entries", "{token}", || Some(self.obo.cache_size().0));
        metrics.gauge("obo.cache.size", "By", || Some(self.obo.cache_size().1));
        metrics.gauge("obo.breaker.open", "1", || Some(self.obo.breaker_is_open().into()));
    }
}
