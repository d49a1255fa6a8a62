//! host.json as the host sees it: flat, keys without case, the profile's defaults below it, settings above it.
//!
//! The host reads host.json through ASP.NET Core's configuration, so `customHandler:HTTP:routes:0:route` and
//! `AzureFunctionsJobHost__customhandler__http__routes__0__route` name the same value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::environment::Environment;
use crate::error::HostError;

/// Settings of this prefix replace members of host.json; `__` separates names.
const OVERRIDE_PREFIX: &str = "AzureFunctionsJobHost__";

/// Values by their path, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Configuration(BTreeMap<String, String>);

impl Configuration {
    /// Reads `path`, puts its profile below it and the settings above it.
    pub(crate) fn load(path: PathBuf, environment: &Environment) -> Result<Self, HostError> {
        let text =
            std::fs::read_to_string(&path).map_err(|cause| HostError::HostJson(path.clone(), cause.to_string()))?;
        let document: Value =
            serde_json::from_str(&text).map_err(|cause| HostError::HostJson(path.clone(), cause.to_string()))?;
        if !document.is_object() {
            return Err(HostError::HostJson(path, "is not a JSON object".to_owned()));
        }
        match document["version"].as_str() {
            Some("2.0") => {}
            Some(other) => {
                let problem =
                    format!("'{other}' is an invalid value for host.json 'version' property; it must be \"2.0\"");
                return Err(HostError::member("version", problem));
            }
            None => return Err(HostError::member("version", "is missing; it must be the string \"2.0\"")),
        }
        let mut configuration = Self::default();
        if let Some(defaults) = profile_defaults(&document)? {
            configuration.put("", &defaults);
        }
        configuration.put("", &document);
        for (name, value) in environment.iter() {
            if let Some((prefix, rest)) = name.split_at_checked(OVERRIDE_PREFIX.len())
                && prefix.eq_ignore_ascii_case(OVERRIDE_PREFIX)
            {
                configuration.0.insert(rest.replace("__", ":").to_lowercase(), value.to_owned());
            }
        }
        Ok(configuration)
    }

    /// The value at `key`; an empty one counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(&key.to_lowercase()).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether `key` is there, or anything below it.
    pub(crate) fn has(&self, key: &str) -> bool {
        let (key, below) = (key.to_lowercase(), format!("{}:", key.to_lowercase()));
        self.0.keys().any(|known| *known == key || known.starts_with(&below))
    }

    /// The value at `key` as a switch; absent is off.
    pub(crate) fn is_on(&self, key: &'static str) -> Result<bool, HostError> {
        match self.get(key).map(str::to_lowercase).as_deref() {
            Some("true") => Ok(true),
            Some("false") | None => Ok(false),
            Some(other) => Err(HostError::member(key, format!("'{other}' is neither true nor false"))),
        }
    }

    fn put(&mut self, key: &str, value: &Value) {
        let below =
            |name: &str| if key.is_empty() { name.to_lowercase() } else { format!("{key}:{}", name.to_lowercase()) };
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| self.put(&below(name), value)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, value)| self.put(&below(&at.to_string()), value));
            }
            Value::Null => drop(self.0.insert(key.to_owned(), String::new())),
            Value::String(text) => drop(self.0.insert(key.to_owned(), text.clone())),
            Value::Bool(_) | Value::Number(_) => drop(self.0.insert(key.to_owned(), value.to_string())),
        }
    }
}

/// What `configurationProfile` puts below host.json; it also settles the runtime.
fn profile_defaults(document: &Value) -> Result<Option<Value>, HostError> {
    match &document["configurationProfile"] {
        Value::Null => Ok(None),
        Value::String(name) if name == "mcp-custom-handler" || name == "web-app-custom-handler" => Ok(Some(json!({
            "extensions": { "http": { "routePrefix": "" } },
            "customHandler": { "enableProxyingHttpRequest": true, "http": { "routes": [{ "route": "{*route}" }] } },
        }))),
        other => Err(HostError::member("configurationProfile", format!("the host knows no profile {other}"))),
    }
}
