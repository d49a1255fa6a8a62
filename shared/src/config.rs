//! Settings: read once, checked whole, typed from then on.
//!
//! [`Config::from_lookup`] either gives a `Config` in which every field makes sense with every other, or one
//! [`ConfigError`] that lists every fault. A fault names the variable and the way to mend it and never the value.

mod parse;
mod url_settings;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::metadata::{Issuer, ResourceId};
use parse::Settings;

/// Every variable that is read, for tests and for the infrastructure's cross-check.
pub const VARIABLES: &[&str] = &[
    "TENANT_ID",
    "CLIENT_ID",
    "AUDIENCE",
    "CLIENT_SECRET",
    "ALLOW_CLIENT_SECRET_IN_AZURE",
    "MANAGED_IDENTITY_CLIENT_ID",
    "FEDERATED_CREDENTIAL_OID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "CLIENT_CERTIFICATE_PATH",
    "RESOURCE_SERVER_URL",
    "SCOPE_URI",
    "RESOURCE_DOCUMENTATION",
    "AZURE_AUTHORITY_HOST",
    "GRAPH_BASE_URL",
    "ACCEPT_V1_TOKENS",
    "ALLOWED_CLIENT_IDS",
    "ALLOWED_ORIGINS",
    "JWKS_REFRESH_INTERVAL",
    "JWKS_KEY_TTL",
    "OBO_MIN_ASSERTION_TTL",
    "MAX_CONNECTIONS",
    "MAX_HEADER_BYTES",
    "MAX_BODY_BYTES",
    "MAX_BODY_VALUES",
    "HEADER_TIMEOUT",
    "BODY_TIMEOUT",
    "IDLE_TIMEOUT",
    "CALL_TIMEOUT",
    "MAX_REQUESTS_IN_FLIGHT",
    "MAX_REQUESTS_PER_SECOND",
    "MAX_CALLER_REQUESTS_PER_MINUTE",
    "MAX_CALLER_GRAPH_REQUESTS",
    "MAX_CALLER_EXCHANGES",
    "MAX_VERIFIED_TOKENS",
    "HOST",
    "PORT",
    "SERVER_NAME",
    "DEBUG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
];

/// Everything the process needs to know, checked.
#[derive(Debug)]
pub struct Config {
    /// `TENANT_ID`: the directory whose users may call. Lower-case GUID.
    pub tenant_id: String,
    /// `CLIENT_ID`: the application (client) ID of this API's registration; `aud` of every v2.0 token. Lower-case GUID.
    pub client_id: String,
    /// `AUDIENCE`, default `CLIENT_ID`: also accepted as `aud`, but only of v1.0 tokens (v2.0 tokens always carry the
    /// client id: access-token-claims-reference, `aud`).
    pub audience: String,
    /// How this process proves to Entra that it is `CLIENT_ID`.
    pub credential: CredentialConfig,
    /// `RESOURCE_SERVER_URL`: public base URL, without a trailing slash.
    pub base_url: ResourceId,
    /// The MCP endpoint's public URL: `RESOURCE_SERVER_URL` + `/mcp`. The RFC 8707 resource, byte for byte.
    pub mcp_url: ResourceId,
    /// `SCOPE_URI`, default the MCP URL: what stands before a scope's short name where scopes are advertised.
    pub scope_uri: String,
    /// `RESOURCE_DOCUMENTATION`: a page for people who connect a client (RFC 9728 §2, `resource_documentation`).
    pub resource_documentation: Option<String>,
    /// `AZURE_AUTHORITY_HOST`, default `https://login.microsoftonline.com`; without a trailing slash.
    pub authority: String,
    /// `GRAPH_BASE_URL`, default the Graph of the authority's cloud (`https://graph.microsoft.com`); without a trailing slash.
    pub graph_base_url: String,
    /// `ACCEPT_V1_TOKENS`, default false.
    pub accept_v1_tokens: bool,
    /// `ALLOWED_CLIENT_IDS`: the client applications (`azp`) that may call; empty: any that Entra gives a token to.
    pub allowed_client_ids: Vec<String>,
    /// `ALLOWED_ORIGINS`: browser origins that may call; any other `Origin` that is present gets 403.
    pub allowed_origins: Vec<String>,
    /// `JWKS_REFRESH_INTERVAL`, default 1 hour (Entra's own advice: signing-key-rollover).
    pub jwks_refresh_interval: Duration,
    /// `JWKS_KEY_TTL`, default 24 hours: how long a key serves after it was last seen in the key set.
    pub jwks_key_ttl: Duration,
    /// `OBO_MIN_ASSERTION_TTL`, default 5 minutes: the life a caller's token must have left for a *new* exchange.
    pub obo_min_assertion_ttl: Duration,
    /// How much is taken on at once and from one caller.
    pub limits: Limits,
    /// `HOST` and `PORT`, or what the Functions host says: where to listen.
    pub listen: SocketAddr,
    /// `SERVER_NAME`: shown to clients.
    pub server_name: String,
    /// `DEBUG`: readable logs instead of JSON lines.
    pub debug: bool,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the base URL of a collector, without a trailing slash; without one nothing is exported.
    /// `OTEL_EXPORTER_OTLP_PROTOCOL` can only be `http/protobuf`; `OTEL_EXPORTER_OTLP_HEADERS` is checked here and read by
    /// the exporter.
    pub otlp_endpoint: Option<String>,
}

/// The longest `CALL_TIMEOUT`: the Functions host must never be the one who loses patience (`functionTimeout` in `host.json`).
pub const LONGEST_CALL: Duration = Duration::from_mins(2);

/// How much one process takes on. All per instance: instances do not know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `MAX_CONNECTIONS`, default 10,000: what comes beyond gets 503 and is closed.
    pub connections: usize,
    /// `MAX_HEADER_BYTES`, default 64 KiB: the largest request head; beyond that 431. A token with 200 groups has 11 KiB, and
    /// a token may have 32.
    pub header_bytes: usize,
    /// `MAX_BODY_BYTES`, default 256 KiB: the largest body of a call; beyond that 413.
    pub body_bytes: usize,
    /// `MAX_BODY_VALUES`, default 4,096: the most JSON values in a body; beyond that 413. The protocol's parser takes about two
    /// kilobytes of memory for each, so bytes alone do not bound what a body costs.
    pub body_values: usize,
    /// `HEADER_TIMEOUT`, default 10 seconds: how long a head may take from its first byte to its last.
    pub header_timeout: Duration,
    /// `BODY_TIMEOUT`, default 10 seconds: how long a body may take to arrive; beyond that 408.
    pub body_timeout: Duration,
    /// `IDLE_TIMEOUT`, default 2 minutes: how long a connection may wait for its next request. Longer than proxies keep theirs
    /// (60 to 90 s): who closes first must be the one who sends, or a request meets a connection that is just being closed.
    pub idle_timeout: Duration,
    /// `CALL_TIMEOUT`, default 1 minute: how long a tool call may take. Above Graph's own deadline, far below every proxy's and
    /// the host's `functionTimeout`, after which the Functions host kills the process and everybody's requests with it.
    pub call_timeout: Duration,
    /// `MAX_REQUESTS_IN_FLIGHT`, default 512: calls of `/mcp` under way at once; what comes beyond gets 503 at once.
    pub requests_in_flight: usize,
    /// `MAX_REQUESTS_PER_SECOND`, default 20,000: calls of `/mcp` from everybody, counted before any token is looked at.
    pub requests_per_second: NonZeroU32,
    /// `MAX_CALLER_REQUESTS_PER_MINUTE`, default 12,000: calls of one verified caller. Far more than people and agents
    /// need: it stops a client that runs wild.
    pub caller_requests_per_minute: NonZeroU32,
    /// `MAX_CALLER_GRAPH_REQUESTS`, default 8: requests to Graph under way at once for one caller. Graph throttles the whole
    /// tenant's application, so one user must not use up everybody's share.
    pub caller_graph_requests: usize,
    /// `MAX_CALLER_EXCHANGES`, default 4: on-behalf-of exchanges under way at once for one user, who must not take all the room
    /// by many tokens.
    pub caller_exchanges: usize,
    /// `MAX_VERIFIED_TOKENS`, default 4,096: tokens that need no second signature check within a minute; 0: none.
    pub verified_tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const fn count(number: u32) -> NonZeroU32 {
            NonZeroU32::MIN.saturating_add(number - 1)
        }
        Self {
            connections: 10_000,
            header_bytes: 64 * 1024,
            body_bytes: 256 * 1024,
            body_values: 4_096,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(2),
            call_timeout: Duration::from_mins(1),
            requests_in_flight: 512,
            requests_per_second: count(20_000),
            caller_requests_per_minute: count(12_000),
            caller_graph_requests: 8,
            caller_exchanges: 4,
            verified_tokens: 4_096,
        }
    }
}

/// How the process proves itself at the token endpoint.
#[derive(Debug)]
pub enum CredentialConfig {
    /// `CLIENT_SECRET`: for development.
    Secret(SecretString),
    /// A user-assigned managed identity whose token is the client assertion (federated credential): for production.
    ManagedIdentity(UserAssignedIdentity),
    /// `AZURE_FEDERATED_TOKEN_FILE`: a token that the platform writes (workload identity), as client assertion.
    TokenFile(PathBuf),
    /// `CLIENT_CERTIFICATE_PATH`: a certificate and its private key in one PEM file, for development.
    Certificate(PathBuf),
}

/// Which user-assigned managed identity to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserAssignedIdentity {
    /// `MANAGED_IDENTITY_CLIENT_ID`.
    ClientId(String),
    /// `FEDERATED_CREDENTIAL_OID`: the identity's object (principal) ID.
    ObjectId(String),
}

/// One setting at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong and what to do about it. Never the value.
    pub problem: String,
}

/// Every setting at fault, in the order of [`VARIABLES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        let noun = if count == 1 { "setting is" } else { "settings are" };
        write!(formatter, "{count} {noun} not usable:")?;
        for fault in &self.faults {
            write!(formatter, "\n  {}: {}", fault.variable, fault.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The checked settings.
    ///
    /// `lookup` gives a variable's value, or nothing where it is not set; an empty value counts as not set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting at fault.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(&lookup);
        let in_azure = settings.in_azure();

        let tenant_id = settings.tenant_id();
        let client_id = settings.guid("CLIENT_ID", "the app registration's 'Application (client) ID'");
        if tenant_id.is_some() && tenant_id == client_id {
            settings.fault(
                "CLIENT_ID",
                "is the same GUID as TENANT_ID; TENANT_ID is the 'Directory (tenant) ID', CLIENT_ID the \
                 'Application (client) ID', both on the app registration's Overview page",
            );
        }
        let tenant_id = tenant_id.unwrap_or_default();
        let client_id = client_id.unwrap_or_default();

        let audience = settings.audience(&tenant_id, &client_id);
        let credential = settings.credential(&tenant_id, &client_id, in_azure);
        let base_url = settings.resource_server_url(in_azure).unwrap_or_default();
        let mcp_url = format!("{base_url}/mcp");
        let scope_uri = settings.scope_uri(&tenant_id).unwrap_or_else(|| mcp_url.clone());
        let resource_documentation = settings.documentation_url();
        let authority = settings.service_base("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com");
        let graph_base_url = settings.graph_base_url(&authority);
        let accept_v1_tokens = settings.boolean("ACCEPT_V1_TOKENS");
        let allowed_client_ids = settings.guid_list("ALLOWED_CLIENT_IDS");
        let allowed_origins = settings.origins();
        let jwks_refresh_interval = settings.seconds("JWKS_REFRESH_INTERVAL", 3_600, 60..=86_400);
        let jwks_key_ttl = settings.seconds("JWKS_KEY_TTL", 86_400, 3_600..=604_800);
        if jwks_key_ttl < jwks_refresh_interval {
            settings
                .fault("JWKS_KEY_TTL", "is shorter than JWKS_REFRESH_INTERVAL: keys would expire before each refresh");
        }
        let obo_min_assertion_ttl = settings.seconds("OBO_MIN_ASSERTION_TTL", 300, 0..=3_600);
        let limits = settings.limits();
        let listen = settings.listen();
        let server_name = settings.server_name();
        let debug = settings.boolean("DEBUG");
        let otlp_endpoint = settings.otlp_endpoint();

        let (Some(credential), []) = (credential, settings.faults()) else {
            return Err(settings.into_error());
        };
        Ok(Self {
            tenant_id,
            client_id,
            audience,
            credential,
            base_url: ResourceId::new(base_url),
            mcp_url: ResourceId::new(mcp_url),
            scope_uri,
            resource_documentation,
            authority,
            graph_base_url,
            accept_v1_tokens,
            allowed_client_ids,
            allowed_origins,
            jwks_refresh_interval,
            jwks_key_ttl,
            obo_min_assertion_ttl,
            limits,
            listen,
            server_name,
            debug,
            otlp_endpoint,
        })
    }

    /// The issuer of v2.0 tokens: `https://<authority>/<tenant>/v2.0` (access-tokens, "Token formats").
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        Issuer::new(format!("{}/{}/v2.0", self.authority, self.tenant_id))
    }

    /// The issuer of v1.0 tokens, which does not follow the authority's host (access-tokens, "Token formats").
    #[must_use]
    pub fn v1_issuer(&self) -> Issuer {
        let china = self.authority.contains("login.partner.microsoftonline.cn")
            || self.authority.contains("login.chinacloudapi.cn");
        let host = if china { "sts.chinacloudapi.cn" } else { "sts.windows.net" };
        Issuer::new(format!("https://{host}/{}/", self.tenant_id))
    }

    /// The `OpenID` Connect discovery document of this tenant's v2.0 endpoint.
    #[must_use]
    pub fn discovery_url(&self) -> String {
        format!("{}/{}/v2.0/.well-known/openid-configuration", self.authority, self.tenant_id)
    }

    /// The token endpoint of this tenant (v2-oauth2-on-behalf-of-flow: never `/common`).
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.authority, self.tenant_id)
    }

    /// A scope's short name as clients must ask for it: fully qualified, or Entra looks for it at Graph (AADSTS650053).
    #[must_use]
    pub fn qualified_scope(&self, short_name: &str) -> String {
        format!("{}/{short_name}", self.scope_uri)
    }
}

#[cfg(test)]
mod tests;
