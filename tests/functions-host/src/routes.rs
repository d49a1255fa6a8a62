//! Route templates as the host builds and tries them: one function a route, in the order of their names, first match wins.

use crate::Profile;
use crate::error::HostError;
use crate::host_json::HostJson;

const ROUTES: &str = "customHandler.http.routes";

/// Who may call a function, as the host decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthorizationLevel {
    Anonymous,
    User,
    Function,
    System,
    Admin,
}

impl AuthorizationLevel {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "anonymous" => Self::Anonymous,
            "user" => Self::User,
            "function" => Self::Function,
            "system" => Self::System,
            "admin" => Self::Admin,
            _ => return None,
        })
    }
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The handler gets it.
    Handler,
    /// The host wants a key for it.
    Unauthorized,
    /// No function has that route: an empty 404, without asking the handler.
    None,
}

#[derive(Debug)]
pub(crate) struct Route {
    name: String,
    segments: Vec<Segment>,
    needs_key: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter,
    Optional,
    CatchAll,
}

/// The functions of host.json, in the order in which the host tries them.
pub(crate) fn build(host_json: &HostJson, profile: Profile) -> Result<Vec<Route>, HostError> {
    let mut routes = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    for (at, (template, level)) in host_json.routes.iter().enumerate() {
        let name = format!("http-handler{}", at + 1);
        // A function without a route is reachable by its name.
        let template = if template.trim().is_empty() { &name } else { template };
        let folded = template.trim_matches('/').to_lowercase();
        if folded.starts_with("admin") || folded.starts_with("runtime") {
            let problem = format!("'{template}': The specified route conflicts with one or more built in routes.");
            return Err(HostError::member(ROUTES, problem));
        }
        // Every function of http.routes has all methods, so the same text is always a conflict.
        if let Some(other) = taken.iter().position(|known| *known == folded) {
            let problem = format!(
                "The route specified conflicts with the route defined by function 'http-handler{}' ('{template}')",
                other + 1
            );
            return Err(HostError::member(ROUTES, problem));
        }
        taken.push(folded);
        let full = format!("{}/{}", host_json.route_prefix, template.trim_start_matches('/'));
        // Core Tools ask for no keys unless told to.
        let needs_key = *level != AuthorizationLevel::Anonymous && profile == Profile::Flex;
        routes.push(Route { name, segments: parse(full.trim_start_matches('/'))?, needs_key });
    }
    // http-handler10 comes before http-handler2: names are sorted as text.
    routes.sort_by_key(|route| route.name.to_ascii_lowercase());
    Ok(routes)
}

/// ASP.NET Core's templates, without constraints, defaults and segments of several parts: those are refused, for a
/// stand-in that takes them and matches something else would be worse. (The real host skips a route it cannot read,
/// logs an error and starts without it.)
fn parse(template: &str) -> Result<Vec<Segment>, HostError> {
    let fault = |problem: &str| HostError::member(ROUTES, format!("'{template}': {problem}"));
    let texts: Vec<&str> = template.trim_end_matches('/').split('/').collect();
    let mut names: Vec<String> = Vec::new();
    let mut segments = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let last = at + 1 == texts.len();
        let Some(parameter) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            if text.is_empty() || text.contains('?') || text.starts_with('~') {
                return Err(fault("is no route template"));
            }
            if text.contains(['{', '}']) {
                return Err(fault("is no route template, or one of several parts, which this stand-in does not match"));
            }
            segments.push(Segment::Literal((*text).to_owned()));
            continue;
        };
        let name = parameter.trim_start_matches('*').trim_end_matches('?');
        if parameter.contains([':', '=']) {
            return Err(fault("constraints and defaults are not matched by this stand-in"));
        }
        if name.is_empty() || name.contains(['{', '}', '*', '?']) {
            return Err(fault("is no route template: a parameter needs a name"));
        }
        if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(fault("a parameter appears twice"));
        }
        names.push(name.to_owned());
        let segment = match (parameter.starts_with('*'), parameter.ends_with('?')) {
            (false, false) => Segment::Parameter,
            (true, false) => Segment::CatchAll,
            (false, true) => Segment::Optional,
            (true, true) => return Err(fault("a catch-all parameter cannot be optional")),
        };
        if segment != Segment::Parameter && !last {
            return Err(fault("a catch-all or optional parameter must come last"));
        }
        segments.push(segment);
    }
    Ok(segments)
}

/// The first function whose route fits the (decoded) path. Methods are never looked at.
pub(crate) fn find(routes: &[Route], path: &str) -> Match {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let parts: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
    match routes.iter().find(|route| fits(&route.segments, &parts)) {
        Some(route) if route.needs_key => Match::Unauthorized,
        Some(_) => Match::Handler,
        None => Match::None,
    }
}

/// The host's own endpoints come before every function, a catch-all included.
pub(crate) fn belongs_to_host(path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').split('/').map(str::to_ascii_lowercase);
    match parts.next().as_deref() {
        Some("admin") => parts.next().is_some(),
        Some("runtime") => parts.next().as_deref() == Some("webhooks"),
        _ => false,
    }
}

fn fits(segments: &[Segment], parts: &[&str]) -> bool {
    match (segments, parts) {
        ([] | [Segment::Optional], []) | ([Segment::CatchAll], _) => true,
        ([Segment::Literal(literal), segments @ ..], [part, parts @ ..]) => {
            literal.eq_ignore_ascii_case(part) && fits(segments, parts)
        }
        ([Segment::Parameter | Segment::Optional, segments @ ..], [part, parts @ ..]) => {
            !part.is_empty() && fits(segments, parts)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    const ANONYMOUS: AuthorizationLevel = AuthorizationLevel::Anonymous;

    fn build_all(prefix: &str, level: AuthorizationLevel, templates: &[&str]) -> Result<Vec<Route>, HostError> {
        let host_json = HostJson {
            executable: PathBuf::new(),
            arguments: Vec::new(),
            working_directory: PathBuf::new(),
            port: None,
            initialization_timeout: Duration::ZERO,
            function_timeout: Duration::ZERO,
            route_prefix: prefix.to_owned(),
            routes: templates.iter().map(|template| ((*template).to_owned(), level)).collect(),
        };
        build(&host_json, Profile::Flex)
    }

    /// The first of `templates` that gets `path`, without a prefix.
    fn taker(templates: &[&str], path: &str) -> Option<String> {
        let mut routes = build_all("", ANONYMOUS, templates).unwrap();
        while !routes.is_empty() {
            let first = routes.remove(0);
            let name = first.name.clone();
            if find(&[first], path) == Match::Handler {
                return Some(name);
            }
        }
        None
    }

    #[test]
    fn our_routes_match_what_clients_ask_for() {
        let ours = ["mcp", ".well-known/{*path}", "health/{*path}"];
        for (path, name) in [
            ("/mcp", "http-handler1"),
            ("/MCP/", "http-handler1"),
            ("/.well-known/oauth-protected-resource", "http-handler2"),
            ("/.well-known/oauth-protected-resource/mcp", "http-handler2"),
            ("/health", "http-handler3"),
            ("/health/", "http-handler3"),
            ("/Health/live", "http-handler3"),
            ("/health//live", "http-handler3"),
        ] {
            assert_eq!(taker(&ours, path).as_deref(), Some(name), "{path}");
        }
        for path in ["/", "/mcp/x", "//mcp", "/other", "/well-known", "/mcp%2Fx", "*"] {
            assert_eq!(taker(&ours, path), None, "{path}");
        }
    }

    #[test]
    fn parameters_take_one_part_and_optional_ones_none_too() {
        assert!(taker(&["a/{x}/c"], "/a/b/c").is_some() && taker(&["a/{x}/c"], "/a//c").is_none());
        assert!(taker(&["a/{x}"], "/a").is_none() && taker(&["a/{x}"], "/a/b/c").is_none());
        assert!(taker(&["a/{x?}"], "/a").is_some() && taker(&["a/{x?}"], "/a/b").is_some());
        assert!(taker(&["{*all}"], "/").is_some() && taker(&["{**all}"], "/a/b/c").is_some());
        assert!(taker(&["/mcp/"], "/mcp").is_some() && taker(&[""], "/http-handler1").is_some());
    }

    #[test]
    fn names_decide_the_order_and_no_route_is_more_specific() {
        assert_eq!(taker(&["{*all}", "mcp"], "/mcp").as_deref(), Some("http-handler1"));
        let ten = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "{*all}"];
        assert_eq!(taker(&ten, "/a").as_deref(), Some("http-handler1"));
        assert_eq!(taker(&ten, "/b").as_deref(), Some("http-handler10"));
    }

    #[test]
    fn the_prefix_comes_before_every_route() {
        let routes = build_all("api", ANONYMOUS, &["mcp"]).unwrap();
        assert_eq!(find(&routes, "/api/mcp"), Match::Handler);
        assert_eq!(find(&routes, "/mcp"), Match::None);
    }

    #[test]
    fn every_level_but_anonymous_needs_a_key() {
        for name in ["User", "function", "SYSTEM", "admin"] {
            let routes = build_all("", AuthorizationLevel::parse(name).unwrap(), &["mcp"]).unwrap();
            assert_eq!(find(&routes, "/mcp"), Match::Unauthorized, "{name}");
        }
        assert_eq!(AuthorizationLevel::parse("open"), None);
    }

    #[test]
    fn what_the_host_would_not_take_is_refused() {
        for (template, named) in [
            ("admin/x", "built in routes"),
            ("/Runtime", "built in routes"),
            ("administrators", "built in routes"),
            ("a/{*rest}/b", "must come last"),
            ("a/{x?}/b", "must come last"),
            ("{*x?}", "cannot be optional"),
            ("{", "no route template"),
            ("a//b", "no route template"),
            ("a?b", "no route template"),
            ("~/a", "no route template"),
            ("a/{}", "needs a name"),
            ("{x}/{X}", "twice"),
            ("{x:int}", "constraints"),
            ("{x=1}", "constraints"),
            ("a{x}", "several parts"),
        ] {
            let error = build_all("", ANONYMOUS, &[template]).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("customHandler.http.routes"), "{template}: {error}");
        }
        let error = build_all("", ANONYMOUS, &["mcp", "MCP/"]).unwrap_err().to_string();
        assert!(error.contains("http-handler1"), "{error}");
    }
}
