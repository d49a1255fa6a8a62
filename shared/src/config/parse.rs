//! Reading one variable after the other and collecting every fault on the way.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::{ConfigError, CredentialConfig, Fault, LONGEST_CALL, Limits, UserAssignedIdentity, VARIABLES};

/// The port where nothing says otherwise.
const DEFAULT_PORT: u16 = 9000;

/// Variables that only an Azure host sets: App Service and Functions, Container Apps, any host with managed identity.
const AZURE_MARKERS: &[&str] = &["WEBSITE_INSTANCE_ID", "CONTAINER_APP_NAME", "IDENTITY_ENDPOINT"];

/// Variables that only AWS Lambda sets.
const LAMBDA_MARKERS: &[&str] = &["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME"];

/// The ways to prove who the application is; exactly one is to be set.
const CREDENTIALS: &[&str] = &[
    "MANAGED_IDENTITY_CLIENT_ID",
    "FEDERATED_CREDENTIAL_OID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "CLIENT_CERTIFICATE_PATH",
    "CLIENT_SECRET",
];

pub(super) struct Settings<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<Fault>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, faults: Vec::new() }
    }

    pub(super) fn fault(&mut self, variable: &'static str, problem: impl Into<String>) {
        self.faults.push(Fault { variable, problem: problem.into() });
    }

    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(super) fn into_error(mut self) -> ConfigError {
        let position = |fault: &Fault| VARIABLES.iter().position(|variable| *variable == fault.variable);
        self.faults.sort_by_key(position);
        ConfigError { faults: self.faults }
    }

    /// A variable that is ours or the host's, unless it is not set or empty.
    pub(super) fn raw(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).filter(|value| !value.trim().is_empty())
    }

    /// A value without white space or quotes round it; such things come from copying and change every comparison.
    pub(super) fn text(&mut self, variable: &'static str) -> Option<String> {
        let value = self.raw(variable)?;
        let quoted = value.starts_with(['"', '\'']) || value.ends_with(['"', '\'']);
        if quoted || value.trim() != value || value.chars().any(char::is_control) {
            self.fault(variable, "has white space, quotes or control characters round the value or in it; remove them");
            return None;
        }
        Some(value)
    }

    pub(super) fn in_azure(&self) -> bool {
        AZURE_MARKERS.iter().any(|marker| self.raw(marker).is_some())
    }

    pub(super) fn on_lambda(&self) -> bool {
        LAMBDA_MARKERS.iter().any(|marker| self.raw(marker).is_some())
    }

    pub(super) fn tenant_id(&mut self) -> Option<String> {
        let several = ["common", "organizations", "consumers"];
        if self.raw("TENANT_ID").is_some_and(|value| several.contains(&value.trim().to_ascii_lowercase().as_str())) {
            self.fault(
                "TENANT_ID",
                "names many directories at once; this server serves one: use the GUID of your directory \
                 ('Directory (tenant) ID' on the app registration's Overview page)",
            );
            return None;
        }
        self.guid("TENANT_ID", "the app registration's 'Directory (tenant) ID'")
    }

    /// A required GUID, in lower case.
    pub(super) fn guid(&mut self, variable: &'static str, where_to_find: &str) -> Option<String> {
        if self.raw(variable).is_none() {
            self.fault(
                variable,
                format!("is not set; it is {where_to_find} (Azure portal > App registrations > Overview)"),
            );
            return None;
        }
        self.optional_guid(variable, where_to_find)
    }

    fn optional_guid(&mut self, variable: &'static str, where_to_find: &str) -> Option<String> {
        let value = self.text(variable)?;
        if is_guid(&value) {
            return Some(value.to_ascii_lowercase());
        }
        self.fault(
            variable,
            format!("is not a GUID such as 00001111-aaaa-2222-bbbb-3333cccc4444; it is {where_to_find}"),
        );
        None
    }

    pub(super) fn guid_list(&mut self, variable: &'static str) -> Vec<String> {
        let Some(value) = self.text(variable) else { return Vec::new() };
        let entries: Vec<String> = list(&value).map(str::to_ascii_lowercase).collect();
        if entries.is_empty() || entries.iter().any(|entry| !is_guid(entry)) {
            self.fault(variable, "must be GUIDs (application IDs of clients) separated by commas");
        }
        entries
    }

    pub(super) fn audience(&mut self, tenant_id: &str, client_id: &str) -> String {
        let Some(value) = self.text("AUDIENCE") else { return client_id.to_owned() };
        let last = value.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let names_a_scope = last == ".default" || crate::tool::TOOLS.iter().any(|tool| tool.scope == last);
        if names_a_scope {
            self.fault("AUDIENCE", "ends with a scope or /.default; an audience is the application, without a scope");
        } else if is_guid(&value) && !value.eq_ignore_ascii_case(client_id) {
            self.fault("AUDIENCE", "is a GUID other than CLIENT_ID; leave it unset, or use the Application ID URI");
        } else if !tenant_id.is_empty() && value.to_ascii_lowercase().contains(tenant_id) {
            self.fault(
                "AUDIENCE",
                "contains the tenant's ID; the Application ID URI carries the application's (CLIENT_ID)",
            );
        } else if !is_guid(&value) && !value.contains("://") {
            self.fault(
                "AUDIENCE",
                "must be CLIENT_ID, api://<CLIENT_ID> or another Application ID URI of this application",
            );
        }
        if is_guid(&value) { value.to_ascii_lowercase() } else { value }
    }

    pub(super) fn credential(&mut self, tenant_id: &str, client_id: &str, in_azure: bool) -> Option<CredentialConfig> {
        let allow_secret = self.boolean("ALLOW_CLIENT_SECRET_IN_AZURE");
        let secret = self.client_secret(in_azure && !allow_secret).map(CredentialConfig::Secret);
        let by_client_id = self.identity("MANAGED_IDENTITY_CLIENT_ID", "client ID", tenant_id, client_id);
        let by_object_id = self.identity("FEDERATED_CREDENTIAL_OID", "object (principal) ID", tenant_id, client_id);
        let token_file = self.text("AZURE_FEDERATED_TOKEN_FILE").map(|path| CredentialConfig::TokenFile(path.into()));
        let certificate = self.text("CLIENT_CERTIFICATE_PATH").map(|path| CredentialConfig::Certificate(path.into()));
        let set: Vec<&'static str> =
            CREDENTIALS.iter().copied().filter(|variable| self.raw(variable).is_some()).collect();
        match set.as_slice() {
            [] => self.fault(
                "CLIENT_SECRET",
                "is not set and no managed identity either; set MANAGED_IDENTITY_CLIENT_ID in Azure, \
                 or CLIENT_SECRET for development",
            ),
            [_] => {}
            [first, others @ ..] => {
                for other in others {
                    self.fault(
                        other,
                        format!("is set and {first} too; exactly one credential: keep the one that is meant"),
                    );
                }
            }
        }
        by_client_id
            .map(|id| CredentialConfig::ManagedIdentity(UserAssignedIdentity::ClientId(id)))
            .or(by_object_id.map(|id| CredentialConfig::ManagedIdentity(UserAssignedIdentity::ObjectId(id))))
            .or(token_file)
            .or(certificate)
            .or(secret)
    }

    fn client_secret(&mut self, refused_here: bool) -> Option<SecretString> {
        let value = self.text("CLIENT_SECRET")?;
        if is_guid(&value) {
            self.fault(
                "CLIENT_SECRET",
                "is a GUID, so it is the secret's ID; copy the column 'Value' of the secret instead",
            );
        } else if refused_here {
            self.fault(
                "CLIENT_SECRET",
                "is set on an Azure host; use a managed identity (MANAGED_IDENTITY_CLIENT_ID), \
                 or set ALLOW_CLIENT_SECRET_IN_AZURE=true if it must be",
            );
        }
        Some(SecretString::from(value))
    }

    fn identity(&mut self, variable: &'static str, kind: &str, tenant_id: &str, client_id: &str) -> Option<String> {
        let id = self.optional_guid(variable, &format!("the managed identity's {kind}"))?;
        if id == client_id {
            self.fault(variable, format!("is the same GUID as CLIENT_ID; it must be the managed identity's {kind}"));
        } else if id == tenant_id {
            self.fault(variable, format!("is the same GUID as TENANT_ID; it must be the managed identity's {kind}"));
        } else if self.on_lambda() {
            self.fault(
                variable,
                "is set on AWS Lambda, where Azure's managed identities do not exist; use CLIENT_CERTIFICATE_PATH, \
                 AZURE_FEDERATED_TOKEN_FILE with a token of another issuer, or CLIENT_SECRET",
            );
        }
        Some(id)
    }

    pub(super) fn boolean(&mut self, variable: &'static str) -> bool {
        let Some(value) = self.text(variable) else { return false };
        match value.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => {
                self.fault(variable, "must be true or false");
                false
            }
        }
    }

    pub(super) fn limits(&mut self) -> Limits {
        let default = Limits::default();
        Limits {
            connections: self.count("MAX_CONNECTIONS", default.connections),
            header_bytes: self.number("MAX_HEADER_BYTES", default.header_bytes, 16 * 1024..=1024 * 1024),
            body_bytes: self.number("MAX_BODY_BYTES", default.body_bytes, 1024..=1024 * 1024),
            body_values: self.number("MAX_BODY_VALUES", default.body_values, 64..=100_000),
            header_timeout: self.timeout("HEADER_TIMEOUT", default.header_timeout, 600),
            body_timeout: self.timeout("BODY_TIMEOUT", default.body_timeout, 600),
            idle_timeout: self.timeout("IDLE_TIMEOUT", default.idle_timeout, 3_600),
            call_timeout: self.timeout("CALL_TIMEOUT", default.call_timeout, LONGEST_CALL.as_secs()),
            requests_in_flight: self.count("MAX_REQUESTS_IN_FLIGHT", default.requests_in_flight),
            requests_per_second: self.count("MAX_REQUESTS_PER_SECOND", default.requests_per_second),
            caller_requests_per_minute: self
                .count("MAX_CALLER_REQUESTS_PER_MINUTE", default.caller_requests_per_minute),
            caller_graph_requests: self.count("MAX_CALLER_GRAPH_REQUESTS", default.caller_graph_requests),
            caller_exchanges: self.count("MAX_CALLER_EXCHANGES", default.caller_exchanges),
            verified_tokens: self.number("MAX_VERIFIED_TOKENS", default.verified_tokens, 0..=1_000_000),
        }
    }

    /// A number of things, at least one and at most a million.
    fn count<T: Count>(&mut self, variable: &'static str, default: T) -> T {
        self.number(variable, default, T::ONE..=T::MILLION)
    }

    fn timeout(&mut self, variable: &'static str, default: Duration, most: u64) -> Duration {
        self.seconds(variable, default.as_secs(), 1..=most)
    }

    fn number<T: Count>(&mut self, variable: &'static str, default: T, range: RangeInclusive<T>) -> T {
        let Some(value) = self.text(variable) else { return default };
        match value.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = (range.start(), range.end());
                self.fault(variable, format!("must be a whole number from {least} to {most} (default {default})"));
                default
            }
        }
    }

    pub(super) fn seconds(&mut self, variable: &'static str, default: u64, range: RangeInclusive<u64>) -> Duration {
        let Some(value) = self.text(variable) else { return Duration::from_secs(default) };
        match value.parse::<u64>() {
            Ok(seconds) if range.contains(&seconds) => Duration::from_secs(seconds),
            _ => {
                let (least, most) = (range.start(), range.end());
                self.fault(variable, format!("must be whole seconds from {least} to {most} (default {default})"));
                Duration::from_secs(default)
            }
        }
    }

    /// The Functions host's port wins and binds loopback: the host proxies from the same machine, nobody else may reach
    /// the handler past it.
    pub(super) fn listen(&mut self) -> SocketAddr {
        let host = self.host();
        let own_port = self.port("PORT");
        if self.raw("FUNCTIONS_CUSTOMHANDLER_PORT").is_some() {
            let port = self.port("FUNCTIONS_CUSTOMHANDLER_PORT").unwrap_or(DEFAULT_PORT);
            return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        }
        SocketAddr::new(host, own_port.unwrap_or(DEFAULT_PORT))
    }

    fn host(&mut self) -> IpAddr {
        let Some(value) = self.text("HOST") else { return IpAddr::V4(Ipv4Addr::LOCALHOST) };
        if value.eq_ignore_ascii_case("localhost") {
            return IpAddr::V4(Ipv4Addr::LOCALHOST);
        }
        value.parse().unwrap_or_else(|_| {
            self.fault("HOST", "must be an IP address to listen on, such as 127.0.0.1 or 0.0.0.0");
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        })
    }

    fn port(&mut self, variable: &'static str) -> Option<u16> {
        let value = self.text(variable)?;
        let port = value.parse().ok().filter(|port| *port != 0);
        if port.is_none() {
            self.fault(variable, "must be a port from 1 to 65535");
        }
        port
    }

    pub(super) fn server_name(&mut self) -> String {
        let value = self.text("SERVER_NAME").unwrap_or_else(|| "entra-mcp-server".to_owned());
        if value.chars().count() > 64 {
            self.fault("SERVER_NAME", "must be at most 64 characters");
        }
        value
    }
}

/// What counts things.
trait Count: Copy + PartialOrd + FromStr + Display {
    const ONE: Self;
    const MILLION: Self;
}

impl Count for usize {
    const ONE: Self = 1;
    const MILLION: Self = 1_000_000;
}

impl Count for NonZeroU32 {
    const ONE: Self = Self::MIN;
    const MILLION: Self = Self::MIN.saturating_add(999_999);
}

/// The canonical form of RFC 9562: 8-4-4-4-12 hexadecimal digits, no braces, no `urn:`.
pub(super) fn is_guid(text: &str) -> bool {
    crate::auth::claims::is_guid(text)
}

/// The entries of a comma-separated list, trimmed, empty ones left out.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}
