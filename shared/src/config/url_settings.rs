//! The settings that are URLs. Their text is kept as configured: `Url` would add a slash, and Entra compares bytes.

use std::net::IpAddr;

use http::HeaderName;
use url::{Host, Url};

use super::parse::{Settings, list};

impl Settings<'_> {
    /// `RESOURCE_SERVER_URL`, or what the host itself says about its public name.
    pub(super) fn resource_server_url(&mut self, in_azure: bool) -> Option<String> {
        const VARIABLE: &str = "RESOURCE_SERVER_URL";
        let value = match (self.raw(VARIABLE), self.raw("WEBSITE_HOSTNAME")) {
            (Some(_), _) => self.text(VARIABLE)?,
            (None, Some(hostname)) if in_azure => format!("https://{}", hostname.trim()),
            // `func start` names its own port: localhost:7071.
            (None, Some(hostname)) if hostname.starts_with("localhost") => format!("http://{}", hostname.trim()),
            (None, _) => {
                self.fault(VARIABLE, "is not set; it is the public base URL, e.g. https://your-app.azurewebsites.net");
                return None;
            }
        };
        let url = self.absolute_url(VARIABLE, &value)?;
        if value.ends_with('/') {
            self.fault(VARIABLE, "ends with a slash; remove it: Entra and clients compare the URL byte for byte");
        }
        if value.trim_end_matches('/').ends_with("/mcp") {
            self.fault(VARIABLE, "ends with /mcp; it is the base URL, the MCP endpoint's /mcp is added to it");
        } else if url.path() != "/" {
            self.fault(VARIABLE, "has a path; give scheme and host only: RFC 9728 metadata lives at the host's root");
        }
        if value.chars().any(|character| character.is_ascii_uppercase()) && url.as_str().trim_end_matches('/') != value
        {
            self.fault(
                VARIABLE,
                "has upper-case letters in the scheme or host; write them in lower case, as clients will",
            );
        }
        if (in_azure || self.on_lambda()) && names_this_machine(&url) {
            self.fault(VARIABLE, "names localhost although this is a host in the cloud; use the app's public URL");
        }
        Some(value)
    }

    pub(super) fn scope_uri(&mut self, tenant_id: &str) -> Option<String> {
        let value = self.text("SCOPE_URI")?;
        if !tenant_id.is_empty() && value.to_ascii_lowercase().contains(tenant_id) {
            self.fault(
                "SCOPE_URI",
                "contains the tenant's ID, so every scope would too; the Application ID URI carries the application's \
                 (api://<CLIENT_ID>) or is the MCP URL",
            );
        }
        if value.ends_with('/') {
            self.fault("SCOPE_URI", "ends with a slash; remove it: scopes are this URI, a slash and the scope's name");
        }
        if Url::parse(&value).is_err() || !value.contains("://") {
            self.fault("SCOPE_URI", "must be an Application ID URI: the MCP URL or api://<CLIENT_ID>");
        }
        if value.ends_with("/.default")
            || crate::tool::TOOLS.iter().any(|tool| value.ends_with(&format!("/{}", tool.scope)))
        {
            self.fault("SCOPE_URI", "ends with a scope; give only what stands before the scope's name");
        }
        Some(value)
    }

    pub(super) fn documentation_url(&mut self) -> Option<String> {
        let value = self.text("RESOURCE_DOCUMENTATION")?;
        if Url::parse(&value).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host()) {
            return Some(value);
        }
        self.fault("RESOURCE_DOCUMENTATION", "must be the URL of a page for people, e.g. https://docs.example.com/mcp");
        None
    }

    /// Where telemetry goes (OpenTelemetry, "OTLP Exporter Configuration"). A collector may be a neighbour in the same network,
    /// so `http` is fine.
    pub(super) fn otlp_endpoint(&mut self) -> Option<String> {
        const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let value = self.text(VARIABLE)?;
        if self.text("OTEL_EXPORTER_OTLP_PROTOCOL").is_some_and(|protocol| protocol != "http/protobuf") {
            self.fault(
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "must be http/protobuf, or unset: nothing else is spoken here; collectors take it on port 4318",
            );
        }
        // The exporter would leave out what it cannot read.
        let headers = self.text("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
        let readable =
            |header: &str| header.split_once('=').is_some_and(|(name, _)| HeaderName::try_from(name.trim()).is_ok());
        if !list(&headers).all(readable) {
            self.fault("OTEL_EXPORTER_OTLP_HEADERS", "must be name=value pairs separated by commas");
        }
        let plain = Url::parse(&value).is_ok_and(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !plain {
            self.fault(
                VARIABLE,
                "must be a collector's base URL such as http://localhost:4318; credentials go into \
                 OTEL_EXPORTER_OTLP_HEADERS",
            );
        } else if value.ends_with("/v1/traces") || value.ends_with("/v1/metrics") {
            self.fault(VARIABLE, "ends with a signal's path; give what stands before /v1/traces");
        }
        Some(value.trim_end_matches('/').to_owned())
    }

    /// The base URL of a Microsoft service: scheme and host, nothing else.
    pub(super) fn service_base(&mut self, variable: &'static str, default: &str) -> String {
        let Some(value) = self.text(variable) else { return default.to_owned() };
        let value = value.strip_suffix('/').unwrap_or(&value).to_owned();
        if let Some(url) = self.absolute_url(variable, &value)
            && url.path() != "/"
        {
            self.fault(variable, format!("has a path; give scheme and host only, e.g. {default}"));
        }
        value
    }

    /// `GRAPH_BASE_URL`, by default the Graph of the authority's cloud: the tokens of one cloud are refused by the other's
    /// Graph (authentication-national-cloud). Hosts that are none of Microsoft's are not judged.
    pub(super) fn graph_base_url(&mut self, authority: &str) -> String {
        const VARIABLE: &str = "GRAPH_BASE_URL";
        let cloud = CLOUDS.iter().find(|cloud| cloud.has(authority));
        let default = cloud.or(CLOUDS.first()).and_then(|cloud| cloud.graph.first()).copied().unwrap_or_default();
        let value = self.service_base(VARIABLE, default);
        let others = CLOUDS.iter().find(|other| other.has(&value));
        if let (Some(cloud), Some(other)) = (cloud, others)
            && cloud != other
        {
            self.fault(VARIABLE, "is the Graph of another cloud than AZURE_AUTHORITY_HOST's; leave it unset");
        }
        value
    }

    pub(super) fn origins(&mut self) -> Vec<String> {
        let Some(value) = self.text("ALLOWED_ORIGINS") else { return Vec::new() };
        let mut origins = Vec::new();
        for entry in list(&value) {
            let ascii = Url::parse(entry).map(|url| url.origin().ascii_serialization());
            match ascii {
                Ok(origin) if origin == entry.to_ascii_lowercase() && origin != "null" => {
                    origins.push(with_port(entry));
                }
                _ => self.fault(
                    "ALLOWED_ORIGINS",
                    "must be origins such as https://app.example.com separated by commas: scheme, host and port, \
                     no path, no *",
                ),
            }
        }
        origins
    }

    /// An absolute `https` URL without user, query or fragment; `http` only for this machine.
    fn absolute_url(&mut self, variable: &'static str, value: &str) -> Option<Url> {
        let Ok(url) = Url::parse(value) else {
            self.fault(variable, "is not a URL; write scheme and host, e.g. https://your-app.azurewebsites.net");
            return None;
        };
        match url.scheme() {
            "https" => {}
            "http" if names_this_machine(&url) => {}
            "http" => self.fault(variable, "is http; use https (http is for localhost and 127.0.0.1 only)"),
            _ => self.fault(variable, "has a scheme other than https"),
        }
        if url.query().is_some() || url.fragment().is_some() {
            self.fault(variable, "has a query or a fragment; remove it");
        }
        if !url.username().is_empty() || url.password().is_some() {
            self.fault(variable, "has a user name or password in it; remove them");
        }
        url.has_host().then_some(url)
    }
}

/// A cloud's addresses for sign-in and Graph; the usual one first.
#[derive(PartialEq)]
struct Cloud {
    authority: &'static [&'static str],
    graph: &'static [&'static str],
}

impl Cloud {
    fn has(&self, url: &str) -> bool {
        self.authority.contains(&url) || self.graph.contains(&url)
    }
}

const CLOUDS: [Cloud; 3] = [
    Cloud { authority: &["https://login.microsoftonline.com"], graph: &["https://graph.microsoft.com"] },
    Cloud {
        authority: &["https://login.microsoftonline.us"],
        graph: &["https://graph.microsoft.us", "https://dod-graph.microsoft.us"],
    },
    Cloud {
        authority: &["https://login.partner.microsoftonline.cn", "https://login.chinacloudapi.cn"],
        graph: &["https://microsoftgraph.chinacloudapi.cn"],
    },
];

/// Whether the URL points to the machine itself.
fn names_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => is_this_machine(address.into()),
        Some(Host::Ipv6(address)) => is_this_machine(address.to_canonical()),
        None => false,
    }
}

fn is_this_machine(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

/// The origin with its port spelled out: an entry without one would match any port in rmcp's check.
fn with_port(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    match Url::parse(&origin) {
        Ok(url) if url.port().is_none() => match url.port_or_known_default() {
            Some(port) => format!("{origin}:{port}"),
            None => origin,
        },
        _ => origin,
    }
}
