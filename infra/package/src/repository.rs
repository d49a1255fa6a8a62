//! What editors, Docker and VS Code read from this repository fits together.

use std::path::Path;

use serde_json::Value;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{name}: {cause}"))
}

/// Strict JSON: VS Code would take comments, other tools that read these files do not.
fn json(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap_or_else(|cause| panic!("{name}: {cause}"))
}

/// The texts that `pointer` gives in each element of the array `list`.
fn each<'document>(document: &'document Value, list: &str, pointer: &str) -> Vec<&'document str> {
    document[list].as_array().unwrap().iter().filter_map(|element| element.pointer(pointer)?.as_str()).collect()
}

#[test]
fn the_editors_files_are_strict_json() {
    for name in ["extensions", "launch", "mcp", "tasks"] {
        json(&format!(".vscode/{name}.json"));
    }
}

#[test]
fn launching_names_tasks_that_exist() {
    let tasks = json(".vscode/tasks.json");
    let labels = each(&tasks, "tasks", "/label");
    let launch = json(".vscode/launch.json");
    let mut named = each(&tasks, "tasks", "/dependsOn");
    named.extend(each(&launch, "configurations", "/preLaunchTask"));
    named.extend(each(&launch, "configurations", "/postDebugTask"));
    named.extend(each(&tasks, "inputs", "/args"));
    assert!(named.len() >= 4, "{named:?}");
    for task in named {
        assert!(labels.contains(&task), "no task {task:?}");
    }
}

#[test]
fn the_host_is_ready_when_it_lists_the_last_route() {
    let routes = json("host.json").pointer("/customHandler/http/routes").unwrap().as_array().unwrap().len();
    let tasks = json(".vscode/tasks.json");
    let ends = each(&tasks, "tasks", "/problemMatcher/background/endsPattern");
    assert_eq!(ends, [format!("http-handler{routes}:")]);
}

#[test]
fn the_debugger_attaches_to_what_core_tools_starts() {
    let settings = json("local.settings.json.example");
    let executable = "AzureFunctionsJobHost__customHandler__description__defaultExecutablePath";
    let started = settings["Values"][executable].as_str().unwrap();
    let launch = json(".vscode/launch.json");
    assert_eq!(each(&launch, "configurations", "/program"), [format!("${{workspaceFolder}}/{started}")]);
}

#[test]
fn the_editors_mcp_client_calls_what_the_settings_announce() {
    let settings = json("local.settings.json.example");
    let base = settings["Values"]["RESOURCE_SERVER_URL"].as_str().unwrap();
    assert_eq!(json(".vscode/mcp.json")["servers"]["entra-mcp-local"]["url"], format!("{base}/mcp"));
}

#[test]
fn the_image_is_built_with_the_pinned_toolchain() {
    let channel = file("rust-toolchain.toml");
    let channel = channel.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let dockerfile = file("Dockerfile");
    assert!(dockerfile.contains(&format!("FROM rust:{channel}-slim-bookworm ")));
    assert!(dockerfile.contains(&format!("RUSTUP_TOOLCHAIN={channel}\n")));
}

/// cargo reads every member's manifest, whichever it builds.
#[test]
fn the_images_build_sees_every_member_of_the_workspace() {
    let manifest = file("Cargo.toml");
    let members = manifest.lines().skip_while(|line| *line != "members = [").skip(1).take_while(|line| *line != "]");
    let ignore = file(".dockerignore");
    let allowed: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let mut count = 0;
    for member in members {
        let folder = member.trim().trim_matches([',', '"']).split('/').next().unwrap();
        assert!(allowed.contains(&folder), ".dockerignore hides {member}");
        count += 1;
    }
    assert!(count > 5, "only {count} members found");
}

#[test]
fn the_images_build_sees_no_secrets() {
    let ignore = file(".dockerignore");
    let mut rules = ignore.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(rules.next(), Some("*"), "everything is hidden that is not named");
    assert_eq!(rules.next_back(), Some("**/local.settings.json"));
}
