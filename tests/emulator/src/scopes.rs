//! The `scope` and `resource` parameters: which application is asked for what.

use std::collections::BTreeSet;

use crate::errors::EntraError;
use crate::params::Params;
use crate::tenant::{API_CLIENT_ID, API_SCOPES, Directory, GRAPH_APP_ID, GRAPH_SCOPES, Resource};

/// A `scope` parameter, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The one application that owns the scopes; Graph where only `OpenID` scopes are asked for, as in Entra.
    pub(crate) resource: Resource,
    /// What stood before the scopes' short names, with its slash; empty for bare names.
    pub(crate) prefix: String,
    /// The short names.
    pub(crate) names: BTreeSet<String>,
    /// Whether `/.default` was asked for: everything the application may have.
    pub(crate) default: bool,
    /// Whether an ID token is wanted.
    pub(crate) openid: bool,
    /// Whether a refresh token is wanted.
    pub(crate) offline_access: bool,
}

impl Asked {
    /// Resolves `text`. A bare name belongs to Graph (v2 permissions page, "Scopes and permissions").
    pub(crate) fn parse(text: &str, directory: &Directory, base_url: &str) -> Result<Self, EntraError> {
        let mut asked = Self {
            resource: Resource::Graph,
            prefix: String::new(),
            names: BTreeSet::new(),
            default: false,
            openid: false,
            offline_access: false,
        };
        let mut owner: Option<Resource> = None;
        for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
            match scope {
                "openid" => asked.openid = true,
                "offline_access" => asked.offline_access = true,
                "profile" | "email" => {}
                _ => {
                    let (resource, prefix, name) = resolve(scope, directory, base_url)?;
                    if owner.is_some_and(|known| known != resource) {
                        return Err(two_resources(text));
                    }
                    owner = Some(resource);
                    asked.resource = resource;
                    prefix.clone_into(&mut asked.prefix);
                    match name {
                        ".default" => asked.default = true,
                        _ => {
                            asked.names.insert(name.to_owned());
                        }
                    }
                }
            }
        }
        if asked.default && !asked.names.is_empty() {
            return Err(invalid_scope(text));
        }
        Ok(asked)
    }

    /// The short names wanted: all that the resource exposes for `.default`, where `all` says so.
    pub(crate) fn wanted(&self) -> BTreeSet<String> {
        match (self.default, self.resource) {
            (true, Resource::Api) => API_SCOPES.iter().map(|&name| name.to_owned()).collect(),
            (true, Resource::Graph) | (false, _) => self.names.clone(),
        }
    }

    /// RFC 8707 as Entra enforces it since 2026: every `resource` must be, byte for byte, an identifier URI of the
    /// application that owns the scopes (AADSTS9010010).
    pub(crate) fn check_resource(&self, params: &Params, directory: &Directory) -> Result<(), EntraError> {
        let owns = |uri: &str| match self.resource {
            Resource::Api => directory.owns(uri),
            Resource::Graph => uri == GRAPH_URI || uri == GRAPH_APP_ID,
        };
        if params.all("resource").filter(|uri| !uri.is_empty()).all(owns) {
            Ok(())
        } else {
            Err(EntraError::resource_mismatch())
        }
    }

    /// `scope` of a token answer: the names as the client spelled them.
    pub(crate) fn answer(&self, granted: &BTreeSet<String>) -> String {
        let names: Vec<String> = granted.iter().map(|name| format!("{}{name}", self.prefix)).collect();
        names.join(" ")
    }
}

/// The owner, the prefix with its slash, and the short name of one scope.
fn resolve<'a>(
    scope: &'a str,
    directory: &Directory,
    base_url: &str,
) -> Result<(Resource, &'a str, &'a str), EntraError> {
    let Some(slash) = scope.rfind('/') else {
        return if GRAPH_SCOPES.contains(&scope) {
            Ok((Resource::Graph, "", scope))
        } else {
            Err(no_such_graph_scope(scope))
        };
    };
    let (prefix, name) = scope.split_at(slash + 1);
    let uri = prefix.trim_end_matches('/');
    if uri.len() + 1 == prefix.len() && (directory.owns(uri) || uri == API_CLIENT_ID) {
        return if name == ".default" || API_SCOPES.contains(&name) {
            Ok((Resource::Api, prefix, name))
        } else {
            Err(invalid_scope(scope))
        };
    }
    if uri == GRAPH_URI || uri == GRAPH_APP_ID || uri == base_url {
        return if name == ".default" || GRAPH_SCOPES.contains(&name) {
            Ok((Resource::Graph, prefix, name))
        } else {
            Err(no_such_graph_scope(name))
        };
    }
    Err(no_such_resource(uri))
}

fn no_such_graph_scope(scope: &str) -> EntraError {
    let text = format!(
        "The application 'mcp-client' asked for scope '{scope}' that doesn't exist on the resource '{GRAPH_APP_ID}'. \
         Contact the app vendor."
    );
    EntraError::new("invalid_client", 650_053, &text)
}

fn no_such_resource(uri: &str) -> EntraError {
    let text = format!(
        "The resource principal named {uri} was not found in the tenant named Contoso. This can happen if the \
         application has not been installed by the administrator of the tenant."
    );
    EntraError::new("invalid_resource", 500_011, &text)
}

fn invalid_scope(scope: &str) -> EntraError {
    let text = format!(
        "The provided request must include a 'scope' input parameter. The provided value for the input parameter \
         'scope' is not valid. The scope '{scope}' does not exist."
    );
    EntraError::new("invalid_scope", 70_011, &text)
}

fn two_resources(scopes: &str) -> EntraError {
    let text = format!(
        "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope \
         {scopes} is not valid."
    );
    EntraError::new("invalid_request", 28_000, &text)
}

const GRAPH_URI: &str = "https://graph.microsoft.com";

#[cfg(test)]
mod tests {
    use super::*;

    const MCP: &str = "http://127.0.0.1:7071/mcp";

    #[track_caller]
    fn check(scope: &str, expect: Result<(Resource, &[&str]), u32>) {
        let mut directory = Directory::new();
        directory.add_identifier_uri(MCP);
        let asked = Asked::parse(scope, &directory, "http://127.0.0.1:8400");
        let got = asked.map(|asked| (asked.resource, asked.names.into_iter().collect::<Vec<_>>()));
        let expect = expect.map(|(resource, names)| (resource, names.iter().map(|n| (*n).to_owned()).collect()));
        assert_eq!(got.map_err(|error| error.code), expect, "{scope}");
    }

    #[test]
    fn scopes_resolve_as_in_entra() {
        check("openid offline_access", Ok((Resource::Graph, &[])));
        check("http://127.0.0.1:7071/mcp/access_as_user", Ok((Resource::Api, &["access_as_user"])));
        check("api://00001111-aaaa-2222-bbbb-3333cccc4444/MCP.Tools openid", Ok((Resource::Api, &["MCP.Tools"])));
        check("https://graph.microsoft.com/User.Read", Ok((Resource::Graph, &["User.Read"])));
        check("http://127.0.0.1:8400/User.Read", Ok((Resource::Graph, &["User.Read"])));
        check("User.Read", Ok((Resource::Graph, &["User.Read"])));
        check("access_as_user", Err(650_053));
        check("http://127.0.0.1:7071/mcp/No.Such", Err(70_011));
        check("http://127.0.0.1:7071/mcp//MCP.Tools", Err(500_011));
        check("https://elsewhere.example/mcp/access_as_user", Err(500_011));
        check("http://127.0.0.1:7071/mcp/access_as_user User.Read", Err(28_000));
    }

    #[test]
    fn resource_is_compared_byte_for_byte() {
        let mut directory = Directory::new();
        directory.add_identifier_uri(MCP);
        let asked = Asked::parse(&format!("{MCP}/access_as_user"), &directory, "").unwrap();
        let check = |query: &str| asked.check_resource(&Params::parse(query.as_bytes()), &directory).is_ok();
        assert!(check(""));
        assert!(check("resource=http://127.0.0.1:7071/mcp"));
        assert!(!check("resource=http://127.0.0.1:7071/mcp/"));
        assert!(!check("resource=http://127.0.0.1:7071/mcp&resource=https://graph.microsoft.com"));
        assert!(check("resource="), "without a value it counts as omitted, RFC 6749 §3.1");
    }
}
