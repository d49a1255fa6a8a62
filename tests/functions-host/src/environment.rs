//! The environment: what the host runs in, and what the handler inherits from it.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{HostOptions, Profile};

/// The host's environment; the handler gets all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// This process's variables (or `PATH` and `HOME` alone), the app's settings, and what the kind of host adds.
    pub(crate) fn of_host(options: &HostOptions, host_port: u16) -> Self {
        let mut variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !options.clear_env || name == "PATH" || name == "HOME")
            .collect();
        for (name, value) in options.settings.iter().cloned() {
            match options.profile {
                // `func start` leaves alone what the shell has already set.
                Profile::CoreTools => drop(variables.entry(name).or_insert(value)),
                Profile::Flex => drop(variables.insert(name, value)),
            }
        }
        for (name, value) in added_by_host(options, host_port) {
            variables.entry(name.to_owned()).or_insert(value);
        }
        Self(variables)
    }

    /// The same with the five variables that the host sets for its handler, and no others.
    pub(crate) fn of_handler(&self, options: &HostOptions, port: u16) -> Self {
        let mut variables = self.0.clone();
        let id = Uuid::new_v4().to_string();
        for (name, value) in [
            ("FUNCTIONS_HTTPWORKER_PORT", port.to_string()),
            ("FUNCTIONS_HTTPWORKER_ID", id.clone()),
            ("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string()),
            ("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", id),
            ("FUNCTIONS_APP_ROOT_PATH", options.script_root.to_string_lossy().into_owned()),
        ] {
            variables.insert(name.to_owned(), value);
        }
        Self(variables)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `%NAME%` stands for the variable of that name; an unknown one stays as it is.
    pub(crate) fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            expanded.push_str(before);
            rest = after;
            if let Some((Some(value), after)) = after.split_once('%').map(|(name, after)| (self.get(name), after)) {
                expanded.push_str(value);
                rest = after;
            } else {
                expanded.push('%');
            }
        }
        expanded + rest
    }
}

/// What neither the app's settings nor the shell have set already.
fn added_by_host(options: &HostOptions, host_port: u16) -> Vec<(&'static str, String)> {
    match options.profile {
        Profile::CoreTools => vec![
            ("WEBSITE_HOSTNAME", format!("localhost:{host_port}")),
            ("AzureWebJobsScriptRoot", options.script_root.to_string_lossy().into_owned()),
            ("AZURE_FUNCTIONS_ENVIRONMENT", "Development".to_owned()),
        ],
        Profile::Flex => vec![
            ("WEBSITE_HOSTNAME", "emulated-app.azurewebsites.net".to_owned()),
            ("WEBSITE_SITE_NAME", "emulated-app".to_owned()),
            ("WEBSITE_SKU", "FlexConsumption".to_owned()),
            ("WEBSITE_INSTANCE_ID", Uuid::new_v4().simple().to_string()),
            ("AZURE_FUNCTIONS_ENVIRONMENT", "Production".to_owned()),
            ("FUNCTIONS_EXTENSION_VERSION", "~4".to_owned()),
            // From `functionAppConfig.runtime.name`; an app must not set it itself.
            ("FUNCTIONS_WORKER_RUNTIME", "custom".to_owned()),
            // Set once an app has an identity. Nothing answers there but our 404: settings name a real stand-in.
            ("IDENTITY_ENDPOINT", format!("http://127.0.0.1:{host_port}/msi/token")),
            ("IDENTITY_HEADER", Uuid::new_v4().to_string()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_names_are_replaced_once_and_unknown_ones_stay() {
        let pairs = [("A", "%B%"), ("B", "b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment(pairs.into());
        for (text, expanded) in
            [("x/%B%/y", "x/b/y"), ("%A%", "%B%"), ("%C%-%B%", "%C%-b"), ("100%", "100%"), ("", ""), ("%%B%", "%b")]
        {
            assert_eq!(environment.expand(text), expanded, "{text}");
        }
    }
}
