//! What the host takes from host.json, checked as the host checks it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::configuration::Configuration;
use crate::environment::Environment;
use crate::error::HostError;
use crate::executable;
use crate::routes::AuthorizationLevel;

/// The host's default for `customHandler.initializationTimeout`.
const INITIALIZATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Flex Consumption's default for `functionTimeout`.
const FUNCTION_TIMEOUT: Duration = Duration::from_mins(30);

const EXECUTABLE: &str = "customHandler.description.defaultExecutablePath";
const PROXYING: &str = "customHandler.enableProxyingHttpRequest";
const ROUTES: &str = "customHandler.http.routes";

/// What the host takes from host.json.
#[derive(Debug)]
pub(crate) struct HostJson {
    pub(crate) executable: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) working_directory: PathBuf,
    /// `customHandler.port`; without it the host picks a free one.
    pub(crate) port: Option<u16>,
    pub(crate) initialization_timeout: Duration,
    /// How long an invocation may take: then the host kills the whole handler and starts it anew.
    pub(crate) function_timeout: Duration,
    pub(crate) route_prefix: String,
    /// Template and level, in the order of `customHandler.http.routes`.
    pub(crate) routes: Vec<(String, AuthorizationLevel)>,
}

impl HostJson {
    pub(crate) fn load(script_root: &Path, environment: &Environment) -> Result<Self, HostError> {
        let configuration = Configuration::load(script_root.join("host.json"), environment)?;
        if !configuration.has("customHandler") {
            return Err(HostError::member(
                "customHandler",
                "is missing; runtime custom has nothing to start without it",
            ));
        }
        check_proxying(&configuration)?;
        let routes = read_routes(&configuration)?;
        check_functions(script_root, &routes, &configuration, environment)?;
        let path = configuration
            .get("customHandler:description:defaultExecutablePath")
            .ok_or_else(|| HostError::member(EXECUTABLE, "WorkerDescription DefaultExecutablePath cannot be empty"))?;
        let directory = configuration.get("customHandler:description:workingDirectory").unwrap_or_default();
        Ok(Self {
            executable: executable::resolve(script_root, &environment.expand(path), environment)?,
            arguments: list(&configuration, "customHandler:description:arguments")
                .map(|argument| environment.expand(&argument))
                .collect(),
            working_directory: script_root.join(directory),
            port: read_port(&configuration)?,
            initialization_timeout: read_timeout(
                &configuration,
                "customHandler:initializationTimeout",
                INITIALIZATION_TIMEOUT,
            )?,
            function_timeout: read_timeout(&configuration, "functionTimeout", FUNCTION_TIMEOUT)?,
            route_prefix: read_prefix(&configuration),
            routes,
        })
    }
}

/// Without proxying the host never streams: it posts a JSON envelope, or it buffers.
fn check_proxying(configuration: &Configuration) -> Result<(), HostError> {
    if configuration.is_on("customHandler:enableProxyingHttpRequest")? {
        return Ok(());
    }
    let hint = if configuration.has("customHandler:http:enableProxying") {
        "; customHandler.http.enableProxying is no setting of the host, whatever the documentation says"
    } else if configuration.has("customHandler:enableForwardingHttpRequest") {
        "; customHandler.enableForwardingHttpRequest buffers answers and drops chunked bodies"
    } else {
        ""
    };
    let problem = format!("is not true, so the host would post an envelope to /<functionName> and never stream{hint}");
    Err(HostError::member(PROXYING, problem))
}

fn read_routes(configuration: &Configuration) -> Result<Vec<(String, AuthorizationLevel)>, HostError> {
    let level = |key: &str, default| match configuration.get(key) {
        Some(name) => AuthorizationLevel::parse(name)
            .ok_or_else(|| HostError::member(key_as_member(key), format!("'{name}' is no authorization level"))),
        None => Ok(default),
    };
    let default = level("customHandler:http:defaultAuthorizationLevel", AuthorizationLevel::Function)?;
    let mut routes = Vec::new();
    for at in 0.. {
        let key = format!("customHandler:http:routes:{at}");
        if !configuration.has(&key) {
            break;
        }
        let template = configuration.get(&format!("{key}:route")).unwrap_or_default().to_owned();
        routes.push((template, level(&format!("{key}:authorizationLevel"), default)?));
    }
    Ok(routes)
}

/// The member at fault, as host.json names it.
fn key_as_member(key: &str) -> &'static str {
    if key.ends_with("defaultAuthorizationLevel") { "customHandler.http.defaultAuthorizationLevel" } else { ROUTES }
}

/// Functions come from host.json or from folders, never from both; and a process is started only if there are any.
fn check_functions(
    script_root: &Path,
    routes: &[(String, AuthorizationLevel)],
    configuration: &Configuration,
    environment: &Environment,
) -> Result<(), HostError> {
    if routes.is_empty() {
        return Err(HostError::member(ROUTES, "is empty: the host finds no function and starts nothing"));
    }
    // Only folders right below the script root count.
    let folders = std::fs::read_dir(script_root).into_iter().flatten().flatten();
    if let Some(folder) = folders.map(|entry| entry.path()).find(|path| path.join("function.json").exists()) {
        let problem = format!("and {}/function.json exclude each other", folder.display());
        return Err(HostError::member(ROUTES, problem));
    }
    let runtime = environment.get("FUNCTIONS_WORKER_RUNTIME").unwrap_or_default();
    if !runtime.eq_ignore_ascii_case("custom") && !configuration.has("configurationProfile") {
        let problem =
            "Routes configuration is only allowed for worker runtime: custom; set FUNCTIONS_WORKER_RUNTIME=custom";
        return Err(HostError::member(ROUTES, problem));
    }
    Ok(())
}

fn read_port(configuration: &Configuration) -> Result<Option<u16>, HostError> {
    let Some(text) = configuration.get("customHandler:port") else { return Ok(None) };
    match text.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(HostError::member("customHandler.port", format!("'{text}' is no port"))),
    }
}

/// `routePrefix` is `api` only where nothing is said; an empty one means none.
fn read_prefix(configuration: &Configuration) -> String {
    match configuration.get("extensions:http:routePrefix") {
        Some(prefix) => prefix.trim_matches('/').to_owned(),
        None if configuration.has("extensions:http:routePrefix") => String::new(),
        None => "api".to_owned(),
    }
}

/// The strings `key:0`, `key:1`, …
fn list(configuration: &Configuration, key: &str) -> impl Iterator<Item = String> {
    (0..).map_while(move |at| {
        let key = format!("{key}:{at}");
        configuration.has(&key).then(|| configuration.get(&key).unwrap_or_default().to_owned())
    })
}

/// .NET's `[d.]hh:mm:ss[.fraction]`.
fn read_timeout(configuration: &Configuration, key: &'static str, default: Duration) -> Result<Duration, HostError> {
    let Some(text) = configuration.get(key) else { return Ok(default) };
    let fault = || HostError::member(key, format!("'{text}' is no time span; write hh:mm:ss"));
    parse_time_span(text).ok_or_else(fault)
}

fn parse_time_span(text: &str) -> Option<Duration> {
    let mut parts = text.splitn(3, ':');
    let (first, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let (days, hours) = first.split_once('.').unwrap_or(("0", first));
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let number = |text: &str, limit: u64| {
        let digits = !text.is_empty() && text.len() <= 7 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|number| digits && *number < limit)
    };
    let whole = number(days, 10_000_000)? * 86_400 + number(hours, 24)? * 3600;
    let whole = whole + number(minutes, 60)? * 60 + number(seconds, 60)?;
    // Ticks: seven places.
    let ticks = number(&format!("{fraction:0<7}"), 10_000_000)?;
    Some(Duration::from_secs(whole) + Duration::from_nanos(ticks * 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_read_as_dotnet_reads_them() {
        for (text, milliseconds) in
            [("00:00:30", 30_000), ("00:10:00", 600_000), ("1.00:00:00", 86_400_000), ("00:00:00.25", 250)]
        {
            assert_eq!(parse_time_span(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["soon", "30", "00:60:00", "24:00:00", "00:00:-1", "00:00:00.12345678", "::", ""] {
            assert_eq!(parse_time_span(text), None, "{text}");
        }
    }
}
