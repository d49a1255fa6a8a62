//! The protected-resource metadata documents (RFC 9728) and the identifiers in them.

use serde::Serialize;

use crate::config::Config;
use crate::tool;

/// Where RFC 9728 §3.1 puts the metadata, before the resource's own path.
pub const WELL_KNOWN_PATH: &str = "/.well-known/oauth-protected-resource";

/// The path of the MCP endpoint.
pub const MCP_PATH: &str = "/mcp";

/// An authorization server's issuer identifier, as configured: issuers compare byte for byte (RFC 8414 §3.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Issuer(String);

impl Issuer {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The issuer's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A protected resource's identifier, as configured: Entra compares `resource` with the Application ID URI byte for byte
/// (AADSTS9010010).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ResourceId(String);

impl ResourceId {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The resource's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// OAuth 2.0 Protected Resource Metadata (RFC 9728 §2).
#[derive(Debug, Serialize)]
pub struct ProtectedResourceMetadata<'a> {
    /// The resource the document is about: equal to the URL it was asked for (RFC 9728 §3.3).
    pub resource: &'a ResourceId,
    /// Where tokens come from: this tenant's v2.0 endpoint and nothing else.
    pub authorization_servers: [Issuer; 1],
    /// Fully qualified and minimal; never `offline_access` (MCP 2026-07-28, Authorization, "Refresh Tokens").
    pub scopes_supported: Vec<String>,
    /// Tokens travel in the `Authorization` header only.
    pub bearer_methods_supported: [&'static str; 1],
    /// The server's name, for people.
    pub resource_name: &'a str,
    /// A page for people who connect a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<&'a str>,
}

impl<'a> ProtectedResourceMetadata<'a> {
    /// The document about `resource`, from settings alone.
    #[must_use]
    pub fn new(config: &'a Config, resource: &'a ResourceId) -> Self {
        Self {
            resource,
            authorization_servers: [config.issuer()],
            scopes_supported: tool::advertised_scopes()
                .into_iter()
                .map(|scope| config.qualified_scope(scope))
                .collect(),
            bearer_methods_supported: ["header"],
            resource_name: &config.server_name,
            resource_documentation: config.resource_documentation.as_deref(),
        }
    }
}

/// The URL of the MCP endpoint's metadata: what a challenge's `resource_metadata` says (RFC 9728 §5.1).
#[must_use]
pub fn metadata_url(config: &Config) -> String {
    format!("{}{WELL_KNOWN_PATH}{MCP_PATH}", config.base_url.as_str())
}
