//! Route templates as the host builds and tries them: one function a route, in the order of their names, first match wins.

use crate::Profile;
use crate::error::HostError;
use crate::host_json::HostJson;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The handler gets it.
    Handler,
    /// The host wants a key for it (`authorizationLevel` function or admin).
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
    CatchAll,
}

/// The functions of host.json, in the order in which the host tries them.
pub(crate) fn build(host_json: &HostJson, profile: Profile) -> Result<Vec<Route>, HostError> {
    let mut routes = Vec::new();
    for (at, (template, level)) in host_json.routes.iter().enumerate() {
        let template = if host_json.route_prefix.is_empty() {
            template.clone()
        } else {
            format!("{}/{template}", host_json.route_prefix)
        };
        // Core Tools ask for no keys unless told to.
        let needs_key = level != "anonymous" && profile == Profile::Flex;
        routes.push(Route { name: format!("http-handler{}", at + 1), segments: parse(&template)?, needs_key });
    }
    for (at, route) in routes.iter().enumerate() {
        if routes.iter().skip(at + 1).any(|other| other.segments == route.segments) {
            return Err(HostError::member("customHandler.http.routes", "two entries have the same route"));
        }
    }
    // http-handler10 comes before http-handler2: names are sorted as text.
    routes.sort_by_key(|route| route.name.to_ascii_lowercase());
    Ok(routes)
}

fn parse(template: &str) -> Result<Vec<Segment>, HostError> {
    let fault = |problem: &str| HostError::member("customHandler.http.routes", format!("'{template}': {problem}"));
    let trimmed = template.trim_matches('/');
    let first = trimmed.split('/').next().unwrap_or_default();
    if first.eq_ignore_ascii_case("admin") || first.eq_ignore_ascii_case("runtime") {
        return Err(fault("the prefixes admin and runtime are the host's own"));
    }
    let texts: Vec<&str> = if trimmed.is_empty() { Vec::new() } else { trimmed.split('/').collect() };
    let mut segments = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let last = at + 1 == texts.len();
        let segment = match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if name.starts_with('*') && last => Segment::CatchAll,
            Some(name) if name.starts_with('*') => return Err(fault("a catch-all parameter must come last")),
            Some(name) if !name.is_empty() && !name.contains(['{', '}']) => Segment::Parameter,
            None if !text.is_empty() && !text.contains(['{', '}', '?', '*']) => {
                Segment::Literal(text.to_ascii_lowercase())
            }
            _ => return Err(fault("is no route template")),
        };
        segments.push(segment);
    }
    Ok(segments)
}

/// The first function whose route fits the path. Methods are never looked at.
pub(crate) fn find(routes: &[Route], path: &str) -> Match {
    let trimmed = path.trim_matches('/').to_ascii_lowercase();
    let parts: Vec<&str> = if trimmed.is_empty() { Vec::new() } else { trimmed.split('/').collect() };
    match routes.iter().find(|route| fits(&route.segments, &parts)) {
        Some(route) if route.needs_key => Match::Unauthorized,
        Some(_) => Match::Handler,
        None => Match::None,
    }
}

fn fits(segments: &[Segment], parts: &[&str]) -> bool {
    match (segments, parts) {
        ([], []) | ([Segment::CatchAll], _) => true,
        ([Segment::Literal(literal), segments @ ..], [part, parts @ ..]) => literal == part && fits(segments, parts),
        ([Segment::Parameter, segments @ ..], [_, parts @ ..]) => fits(segments, parts),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn routes(templates: &[(&str, &str)], profile: Profile) -> Result<Vec<Route>, HostError> {
        let routes = templates.iter().map(|(route, level)| ((*route).to_owned(), (*level).to_owned())).collect();
        let host_json = HostJson {
            executable: PathBuf::new(),
            arguments: Vec::new(),
            initialization_timeout: Duration::ZERO,
            route_prefix: String::new(),
            routes,
        };
        build(&host_json, profile)
    }

    #[test]
    fn our_routes_match_what_clients_ask_for() {
        let routes = routes(
            &[("mcp", "anonymous"), (".well-known/{*path}", "anonymous"), ("health/{*path}", "anonymous")],
            Profile::Flex,
        )
        .unwrap();
        for path in [
            "/mcp",
            "/MCP/",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/mcp",
            "/health",
            "/health/",
            "/health/live",
        ] {
            assert_eq!(find(&routes, path), Match::Handler, "{path}");
        }
        for path in ["/", "/mcp/x", "/other", "/admin"] {
            assert_eq!(find(&routes, path), Match::None, "{path}");
        }
    }

    #[test]
    fn a_route_with_a_key_is_refused_on_flex_and_open_in_core_tools() {
        let one = |profile| routes(&[("mcp", "function")], profile).unwrap();
        assert_eq!(find(&one(Profile::Flex), "/mcp"), Match::Unauthorized);
        assert_eq!(find(&one(Profile::CoreTools), "/mcp"), Match::Handler);
    }

    #[test]
    fn the_tenth_route_is_tried_before_the_second() {
        let templates: Vec<(String, &str)> =
            (1..=10).map(|at| (if at == 10 { "{*all}".to_owned() } else { format!("r{at}") }, "anonymous")).collect();
        let templates: Vec<(&str, &str)> = templates.iter().map(|(route, level)| (route.as_str(), *level)).collect();
        let routes = routes(&templates, Profile::Flex).unwrap();
        assert_eq!(routes[1].name, "http-handler10");
    }

    #[test]
    fn what_the_host_would_not_take_is_refused() {
        for template in ["admin/x", "runtime", "a/{*rest}/b", "{", "a//b", "a/{}"] {
            assert!(routes(&[(template, "anonymous")], Profile::Flex).is_err(), "{template}");
        }
        assert!(routes(&[("mcp", "anonymous"), ("MCP/", "anonymous")], Profile::Flex).is_err());
    }
}
