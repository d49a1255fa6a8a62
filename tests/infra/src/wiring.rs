//! Whether the files fit together: names, module paths, parameters, outputs.

use std::collections::BTreeMap;

use crate::Finding;
use crate::bicep::Template;

/// Namespaces that stand before a function's name.
const NAMESPACES: &[&str] = &["az", "sys"];

/// What does not fit.
#[must_use]
pub fn findings(templates: &BTreeMap<String, Template>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, template) in templates {
        let mut say = |problem: String| findings.push(Finding(format!("{file}: {problem}")));
        for line in &template.faults {
            say(format!("line {line} is no Bicep"));
        }
        for name in template.used.difference(&template.declared) {
            if !NAMESPACES.contains(&name.as_str()) {
                say(format!("{name} is not declared"));
            }
        }
        for (parameter, _) in &template.parameters {
            if !template.used.contains(parameter) {
                say(format!("the parameter {parameter} is not used"));
            }
        }
        for module in &template.modules {
            let folder = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let Some(target) = templates.get(&format!("{folder}{}", module.path)) else {
                say(format!("the module {} is not there", module.path));
                continue;
            };
            for given in &module.parameters {
                if !target.parameters.iter().any(|(name, _)| name == given) {
                    say(format!("{} has no parameter {given}", module.path));
                }
            }
            for (name, has_default) in &target.parameters {
                if !has_default && !module.parameters.contains(name) {
                    say(format!("{} is not given {name}", module.path));
                }
            }
            for (_, output) in template.used_outputs.iter().filter(|(symbol, _)| *symbol == module.symbol) {
                if !target.outputs.contains(output) {
                    say(format!("{} has no output {output}", module.path));
                }
            }
        }
    }
    findings
}
