//! What the documents list is what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use shared::config::VARIABLES;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

/// The names in a manifest's `[dependencies]`.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let manifest = text(manifest);
    let section = manifest.split("[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The names in the first column of the table under a heading.
fn first_column(document: &str, heading: &str) -> BTreeSet<String> {
    let document = text(document);
    let section = document.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split(',')).map(|name| name.trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn every_dependency_of_what_ships_has_its_reason_and_no_other() {
    let ours = ["handler", "health", "lambda", "mcp", "shared", "well-known"];
    let shipped = [
        "shared",
        "functions/handler",
        "functions/health",
        "functions/lambda",
        "functions/mcp",
        "functions/well-known",
    ];
    let used: BTreeSet<String> = shipped
        .iter()
        .flat_map(|folder| dependencies(&format!("{folder}/Cargo.toml")))
        .filter(|name| !ours.contains(&name.as_str()))
        .collect();
    assert!(used.len() > 30, "{used:?}");
    assert_eq!(first_column("SECURITY.md", "\n## Dependencies\n"), used);
}

#[test]
fn every_setting_stands_in_the_readme() {
    let listed = first_column("README.md", "\n## Settings\n");
    let known: BTreeSet<String> = VARIABLES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(listed, known);
}
