//! Property names, required ones, and values, against what Azure publishes about its resource types (`types.json`,
//! written by `regenerate-types.py`).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Finding;
use crate::bicep::{Resource, Template};

/// Resource types that the tool which knows the others does not know.
const UNKNOWN: &[&str] = &[
    "Microsoft.Graph/applications",
    "Microsoft.Graph/applications/federatedIdentityCredentials",
    "Microsoft.Graph/servicePrincipals",
    "Microsoft.Insights/actionGroups",
    "Microsoft.Insights/scheduledQueryRules",
    "Microsoft.Network/privateDnsZones",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    "Microsoft.Network/virtualNetworks/subnets",
    "Microsoft.Storage/storageAccounts/blobServices",
    // Any name, any text.
    "Microsoft.Web/sites/config",
];

/// Properties that are newer than the published types.
const NEWER: &[(&str, &str)] = &[
    ("Microsoft.Web/sites", "properties.functionAppConfig.siteUpdateStrategy"),
    // A logger takes any credentials by name; a connection string needs no instrumentation key any more.
    ("Microsoft.ApiManagement/service/loggers", "properties.credentials"),
];

/// What Bicep itself takes in a resource.
const BICEPS: &[&str] = &["name", "parent", "scope", "dependsOn"];

/// A resource type.
#[derive(Debug, Deserialize)]
struct Kind {
    version: String,
    /// Properties and their types; `(Required)` and `(ReadOnly)` behind them.
    body: BTreeMap<String, String>,
    objects: BTreeMap<String, BTreeMap<String, String>>,
}

/// What does not fit the published types.
#[must_use]
pub fn findings(templates: &BTreeMap<String, Template>) -> Vec<Finding> {
    let kinds: BTreeMap<String, Kind> =
        serde_json::from_str(include_str!("../types.json")).expect("types.json is readable");
    let mut findings = Vec::new();
    for (file, template) in templates {
        for resource in &template.resources {
            let mut say =
                |problem: String| findings.push(Finding(format!("{file}: {}: {problem}", resource.full_kind)));
            let Some(kind) = kinds.get(&resource.full_kind) else {
                if !UNKNOWN.contains(&resource.full_kind.as_str()) {
                    say("no such type is known".to_owned());
                }
                continue;
            };
            if resource.version.as_ref().is_some_and(|version| *version != kind.version) {
                say(format!("is not of version {}", kind.version));
            }
            if !resource.existing && !kind.body.is_empty() {
                kind.check(resource, &mut say);
            }
        }
    }
    findings
}

impl Kind {
    fn check(&self, resource: &Resource, say: &mut impl FnMut(String)) {
        for (path, value) in &resource.properties {
            let newer = |(kind, prefix): &(&str, &str)| *kind == resource.full_kind && path.starts_with(prefix);
            let first = path.split('.').next().unwrap_or_default();
            if path.is_empty() || BICEPS.contains(&first) || NEWER.iter().any(newer) {
                continue;
            }
            match self.resolve(path) {
                Resolved::NoSuch(name) => say(format!("{path}: there is no {name}")),
                Resolved::Open => {}
                Resolved::Type(text) => self.check_value(path, value, text, resource, say),
            }
        }
        required(&self.body, "", resource, say);
    }

    fn check_value(&self, path: &str, value: &str, text: &str, resource: &Resource, say: &mut impl FnMut(String)) {
        if text.contains("(ReadOnly)") {
            say(format!("{path} cannot be set"));
        }
        let plain = bare(text);
        let choices: Vec<&str> = plain.split(" | ").collect();
        let literal = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
        if let Some(literal) = literal.filter(|literal| choices.len() > 1 && !literal.contains("${"))
            && !choices.contains(&literal)
        {
            say(format!("{path}: {literal} is none of {}", choices.join(", ")));
        }
        if let Some(object) = self.objects.get(plain)
            && value.starts_with('{')
        {
            required(object, path, resource, say);
        }
    }

    /// The type of what stands at this path.
    fn resolve(&self, path: &str) -> Resolved<'_> {
        let mut object = &self.body;
        let mut text = "";
        for part in path.split('.') {
            if part.bytes().all(|byte| byte.is_ascii_digit()) {
                let Some(element) = bare(text).strip_suffix("[]") else { return Resolved::Open };
                text = element;
            } else if object.is_empty() {
                // A dictionary: names are free.
                return Resolved::Open;
            } else {
                match object.get(part) {
                    Some(found) => text = found,
                    None => return Resolved::NoSuch(part.to_owned()),
                }
            }
            match self.objects.get(bare(text)) {
                Some(found) => object = found,
                None if path.ends_with(part) || bare(text).ends_with("[]") => {}
                None => return Resolved::Open,
            }
        }
        Resolved::Type(text)
    }
}

/// Says which required properties the object at this path lacks.
fn required(object: &BTreeMap<String, String>, path: &str, resource: &Resource, say: &mut impl FnMut(String)) {
    for (name, text) in object.iter().filter(|(_, text)| text.contains("(Required)") && !text.contains("(ReadOnly)")) {
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if resource.get(&full).is_none() {
            say(format!("{full} ({}) is required", bare(text)));
        }
    }
}

enum Resolved<'a> {
    NoSuch(String),
    /// Anything may stand there.
    Open,
    Type(&'a str),
}

/// A type without its flags.
fn bare(text: &str) -> &str {
    text.split(" (").next().unwrap_or_default().trim_matches(['(', ')'])
}
