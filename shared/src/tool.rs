//! The one declaration of each tool: what it needs from a caller and what it reaches.
//!
//! It drives `tools/list`, the 403 step-up, the on-behalf-of exchange and the metadata's `scopes_supported`. Adding a tool
//! is one constant here and one file under `functions/mcp/src/tools/`.

/// The scope that lets a client connect, list the tools and call `whoami`.
pub const CONNECT_SCOPE: &str = "access_as_user";

/// The scope of read-only tools that reach Microsoft Graph.
pub const TOOLS_SCOPE: &str = "MCP.Tools";

/// What a tool needs and does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolSpec {
    /// The tool's name in `tools/list`.
    pub name: &'static str,
    /// The delegated permission (`scp`) a user's token must carry: the short name, as it stands in `scp`.
    pub scope: &'static str,
    /// The application permission (`roles`, with `idtyp=app`) that lets an app-only caller in; `None`: users only.
    pub app_role: Option<&'static str>,
    /// The Graph permissions the on-behalf-of exchange asks for; empty: the tool reaches nothing.
    pub downstream: &'static [&'static str],
    /// Whether the tool leaves everything as it was. Scopes of other tools are never advertised, only asked for in a 403.
    pub read_only: bool,
}

/// `whoami`: who the caller is, from the verified token alone.
pub const WHOAMI: ToolSpec =
    ToolSpec { name: "whoami", scope: CONNECT_SCOPE, app_role: None, downstream: &[], read_only: true };

/// `get_my_profile`: the caller's profile from Microsoft Graph, on the caller's behalf.
pub const GET_MY_PROFILE: ToolSpec = ToolSpec {
    name: "get_my_profile",
    scope: TOOLS_SCOPE,
    app_role: None,
    downstream: &["User.Read"],
    read_only: true,
};

/// Every tool this server has, in the order of `tools/list`.
pub const TOOLS: &[ToolSpec] = &[GET_MY_PROFILE, WHOAMI];

/// The short names of the scopes a client should ask for at first, as one consent: the one to connect with and those of
/// the read-only tools (MCP 2026-07-28, Authorization, "Scope Selection Strategy": the minimal set).
#[must_use]
pub fn advertised_scopes() -> Vec<&'static str> {
    let mut scopes = vec![CONNECT_SCOPE];
    for tool in TOOLS.iter().filter(|tool| tool.read_only) {
        if !scopes.contains(&tool.scope) {
            scopes.push(tool.scope);
        }
    }
    scopes
}

/// Whether holding `held` is enough where `needed` is asked for.
///
/// A scope includes the narrower ones below it: `MCP.Tools` includes `MCP.Tools.Read` (MCP 2026-07-28, Authorization: a
/// server must account for scope hierarchies). Names are compared exactly, as Entra issues them.
#[must_use]
pub fn scope_includes(held: &str, needed: &str) -> bool {
    held == needed || needed.strip_prefix(held).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wider_scope_includes_the_narrower_and_not_the_other_way() {
        assert!(scope_includes("MCP.Tools", "MCP.Tools"));
        assert!(scope_includes("MCP.Tools", "MCP.Tools.Read"));
        assert!(!scope_includes("MCP.Tools.Read", "MCP.Tools"));
        assert!(!scope_includes("MCP.Tools", "MCP.ToolsX"));
        assert!(!scope_includes("mcp.tools", "MCP.Tools"));
        assert!(!scope_includes("", "MCP.Tools"));
    }

    #[test]
    fn only_what_reading_needs_is_advertised() {
        assert_eq!(advertised_scopes(), ["access_as_user", "MCP.Tools"]);
    }

    #[test]
    fn tool_names_are_unique_and_sorted() {
        assert!(TOOLS.windows(2).all(|pair| matches!(pair, [a, b] if a.name < b.name)));
    }
}
