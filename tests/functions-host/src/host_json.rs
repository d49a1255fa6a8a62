//! host.json with its profile and the `AzureFunctionsJobHost__a__b` overrides, checked as the host checks it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::HostOptions;
use crate::error::HostError;

/// Settings of this prefix replace members of host.json; `__` separates names (ASP.NET Core configuration).
const OVERRIDE_PREFIX: &str = "AzureFunctionsJobHost__";

/// The host's default for `customHandler.initializationTimeout`.
const INITIALIZATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What the host takes from host.json.
#[derive(Debug)]
pub(crate) struct HostJson {
    pub(crate) executable: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) initialization_timeout: Duration,
    pub(crate) route_prefix: String,
    /// Template and authorization level, in the order of `customHandler.http.routes`.
    pub(crate) routes: Vec<(String, String)>,
}

impl HostJson {
    pub(crate) fn load(options: &HostOptions) -> Result<Self, HostError> {
        let path = options.script_root.join("host.json");
        let text =
            std::fs::read_to_string(&path).map_err(|cause| HostError::HostJson(path.clone(), cause.to_string()))?;
        let mut document: Value =
            serde_json::from_str(&text).map_err(|cause| HostError::HostJson(path.clone(), cause.to_string()))?;
        if !document.is_object() {
            return Err(HostError::HostJson(path, "is not a JSON object".to_owned()));
        }
        if document["version"] != "2.0" {
            return Err(HostError::member("version", "must be \"2.0\""));
        }
        apply_profile(&mut document)?;
        for (name, value) in &options.settings {
            apply_override(&mut document, name, value);
        }
        read(&document, options)
    }
}

/// `configurationProfile` gives defaults below what host.json says itself.
fn apply_profile(document: &mut Value) -> Result<(), HostError> {
    let Some(profile) = document.get("configurationProfile").and_then(Value::as_str) else { return Ok(()) };
    if !matches!(profile, "mcp-custom-handler" | "web-app-custom-handler") {
        return Err(HostError::member("configurationProfile", format!("the host knows no profile '{profile}'")));
    }
    let mut defaults = json!({
        "extensions": { "http": { "routePrefix": "" } },
        "customHandler": { "enableProxyingHttpRequest": true, "http": { "routes": [{ "route": "{*route}" }] } },
    });
    overlay(&mut defaults, document);
    *document = defaults;
    Ok(())
}

/// Puts `upper` over `lower`, member by member.
fn overlay(lower: &mut Value, upper: &Value) {
    match (lower, upper) {
        (Value::Object(lower), Value::Object(upper)) => {
            for (name, value) in upper {
                overlay(lower.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (lower, upper) => *lower = upper.clone(),
    }
}

fn apply_override(document: &mut Value, name: &str, value: &str) {
    let Some(prefix) = name.get(..OVERRIDE_PREFIX.len()) else { return };
    if !prefix.eq_ignore_ascii_case(OVERRIDE_PREFIX) {
        return;
    }
    let mut place = document;
    for segment in name.get(OVERRIDE_PREFIX.len()..).unwrap_or_default().split("__") {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(members) = place.as_object_mut() else { return };
        // Configuration keys have no case.
        let known = members.keys().find(|known| known.eq_ignore_ascii_case(segment)).cloned();
        place = members.entry(known.unwrap_or_else(|| segment.to_owned())).or_insert(Value::Null);
    }
    *place = match value.to_ascii_lowercase().as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::String(value.to_owned()),
    };
}

fn read(document: &Value, options: &HostOptions) -> Result<HostJson, HostError> {
    let handler = &document["customHandler"];
    if handler["enableProxyingHttpRequest"] != true {
        let hint = if handler["http"].get("enableProxying").is_some() {
            "; customHandler.http.enableProxying is no setting of the host"
        } else {
            ""
        };
        let problem =
            format!("is not true, so the host would post an envelope to /<functionName> and never stream{hint}");
        return Err(HostError::member("customHandler.enableProxyingHttpRequest", problem));
    }
    let routes = read_routes(handler)?;
    check_functions(options, &routes)?;
    let description = &handler["description"];
    let executable = description["defaultExecutablePath"].as_str().unwrap_or_default();
    if executable.is_empty() {
        return Err(HostError::member("customHandler.description.defaultExecutablePath", "is missing"));
    }
    let arguments = description["arguments"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(HostJson {
        executable: resolve(&options.script_root, &expand(executable, &options.settings))?,
        arguments: arguments.iter().filter_map(Value::as_str).map(|text| expand(text, &options.settings)).collect(),
        initialization_timeout: read_timeout(&handler["initializationTimeout"])?,
        route_prefix: document["extensions"]["http"]["routePrefix"]
            .as_str()
            .unwrap_or("api")
            .trim_matches('/')
            .to_owned(),
        routes,
    })
}

fn read_routes(handler: &Value) -> Result<Vec<(String, String)>, HostError> {
    const MEMBER: &str = "customHandler.http.routes";
    let default_level = handler["http"]["defaultAuthorizationLevel"].as_str().unwrap_or("function");
    let entries = handler["http"]["routes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut routes = Vec::new();
    for entry in entries {
        let template = entry["route"].as_str().ok_or_else(|| HostError::member(MEMBER, "an entry has no route"))?;
        let level = entry["authorizationLevel"].as_str().unwrap_or(default_level).to_ascii_lowercase();
        if !matches!(level.as_str(), "anonymous" | "function" | "admin") {
            return Err(HostError::member(MEMBER, format!("'{level}' is no authorization level")));
        }
        routes.push((template.to_owned(), level));
    }
    Ok(routes)
}

/// Functions come from host.json or from folders, never from both; and a process is started only if there are any.
fn check_functions(options: &HostOptions, routes: &[(String, String)]) -> Result<(), HostError> {
    const MEMBER: &str = "customHandler.http.routes";
    let folders = std::fs::read_dir(&options.script_root).into_iter().flatten().flatten();
    let folder = folders.map(|entry| entry.path()).find(|path| path.join("function.json").exists());
    match (routes.is_empty(), folder) {
        (false, Some(folder)) => {
            return Err(HostError::member(
                MEMBER,
                format!("and {}/function.json exclude each other", folder.display()),
            ));
        }
        (true, _) => return Err(HostError::member(MEMBER, "is empty: the host finds no function and starts nothing")),
        (false, None) => {}
    }
    // In Azure the platform derives the runtime from the app; Core Tools take the setting.
    let runtime = options.settings.iter().find(|(name, _)| name == "FUNCTIONS_WORKER_RUNTIME").map(|(_, value)| value);
    if options.profile == crate::Profile::CoreTools && runtime.map(String::as_str) != Some("custom") {
        return Err(HostError::member(MEMBER, "Routes configuration is only allowed for worker runtime: custom"));
    }
    Ok(())
}

/// `%NAME%` stands for the setting of that name.
fn expand(text: &str, settings: &[(String, String)]) -> String {
    settings.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("%{name}%"), value))
}

/// The executable below the script root, or else the first of that name on `PATH`.
fn resolve(script_root: &Path, executable: &str) -> Result<PathBuf, HostError> {
    let path = script_root.join(executable);
    if path.is_file() {
        return runnable(path);
    }
    let on_path = std::env::var_os("PATH")
        .and_then(|dirs| std::env::split_paths(&dirs).map(|dir| dir.join(executable)).find(|path| path.is_file()));
    let missing = HostError::Executable {
        path,
        problem: "is not there; build it, or set customHandler.description.defaultExecutablePath".to_owned(),
    };
    on_path.ok_or(missing).and_then(runnable)
}

/// The package on Flex is read-only, so the host cannot add a missing x-bit.
fn runnable(path: PathBuf) -> Result<PathBuf, HostError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
        if mode & 0o111 == 0 {
            let problem = "has no execute permission; ship it with mode 0755".to_owned();
            return Err(HostError::Executable { path, problem });
        }
    }
    Ok(path)
}

/// `hh:mm:ss`.
fn read_timeout(value: &Value) -> Result<Duration, HostError> {
    let Some(text) = value.as_str() else { return Ok(INITIALIZATION_TIMEOUT) };
    let parts: Option<Vec<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        Some([hours, minutes, seconds]) => Ok(Duration::from_secs(hours * 3600 + minutes * 60 + seconds)),
        _ => Err(HostError::member("customHandler.initializationTimeout", "must be hh:mm:ss")),
    }
}
