//! Packages as Flex Consumption mounts them, and what keeps one from starting.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use functions_host::{FunctionsHost, HostOptions, Package, Profile};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::fixture::{HANDLER, echoed, host_json, refusal, until_logged};

/// A fresh path.
fn path(name: &str) -> PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{count}", std::process::id()));
    drop(std::fs::remove_dir_all(&path));
    path
}

/// A host.json whose handler is in the package.
fn packaged() -> Value {
    let mut document = host_json();
    document["customHandler"]["description"] = json!({ "defaultExecutablePath": "handler" });
    document
}

/// A zip of host.json and the handler, with this mode of the handler's, and more.
fn zip(mode: u32, others: &[(&str, u32)]) -> PathBuf {
    let path = path("package").with_extension("zip");
    let mut writer = ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = |mode| SimpleFileOptions::default().unix_permissions(mode);
    writer.start_file("host.json", options(0o644)).unwrap();
    writer.write_all(packaged().to_string().as_bytes()).unwrap();
    writer.start_file("handler", options(mode)).unwrap();
    writer.write_all(&std::fs::read(HANDLER).unwrap()).unwrap();
    for (name, mode) in others {
        writer.start_file(*name, options(*mode)).unwrap();
        writer.write_all(b"{}").unwrap();
    }
    writer.finish().unwrap();
    path
}

fn options(package: &Package, settings: &[(&str, &str)]) -> HostOptions {
    HostOptions {
        script_root: package.root().to_owned(),
        profile: Profile::Flex,
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        clear_env: true,
    }
}

#[tokio::test]
async fn a_package_starts_from_its_read_only_folder_and_leaves_it_alone() {
    let package = Package::mount(&zip(0o755, &[]), &path("mounted")).unwrap();
    for (name, mode) in [("", 0o555), ("handler", 0o555), ("host.json", 0o444)] {
        let metadata = std::fs::metadata(package.root().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}: nobody may write");
    }
    let host = FunctionsHost::start(options(&package, &[])).await.unwrap();
    let echo = echoed(&host, "GET /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let root = std::fs::canonicalize(package.root()).unwrap();
    assert_eq!(echo["directory"], root.to_str().unwrap());
    let running = std::fs::read_link(format!("/proc/{}/exe", host.handler_pid().unwrap())).unwrap();
    assert_eq!(running, root.join("handler"));
    assert_eq!(package.changes(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_handler_that_writes_into_its_folder_is_found_out() {
    for how in ["WRITE_HERE", "MAKE_HERE"] {
        let package = Package::mount(&zip(0o755, &[]), &path("mounted")).unwrap();
        let host = FunctionsHost::start(options(&package, &[(how, "scribble")])).await.unwrap();
        // Root may write in spite of the modes, and leaves a trace; others are kept from it.
        if package.changes().is_empty() {
            until_logged(&host, "written: false").await;
        } else {
            assert_eq!(package.changes(), [package.root().join("scribble")], "{how}");
        }
    }
}

#[test]
fn whatever_is_not_as_it_was_mounted_is_named() {
    let package = Package::mount(&zip(0o755, &[("folder/file", 0o644)]), &path("mounted")).unwrap();
    let at = |name: &str| package.root().join(name);
    assert_eq!(package.changes(), Vec::<PathBuf>::new());
    std::fs::set_permissions(at("handler"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(package.changes(), [at("handler")]);
    // The owner of a file can give itself the right to write.
    std::fs::set_permissions(at("host.json"), Permissions::from_mode(0o644)).unwrap();
    std::fs::write(at("host.json"), "{}").unwrap();
    std::fs::set_permissions(at("host.json"), Permissions::from_mode(0o444)).unwrap();
    assert_eq!(package.changes(), [at("handler"), at("host.json")]);
    std::fs::set_permissions(at("folder"), Permissions::from_mode(0o755)).unwrap();
    std::fs::remove_file(at("folder/file")).unwrap();
    assert_eq!(package.changes(), [at("folder"), at("folder/file"), at("handler"), at("host.json")]);
}

#[tokio::test]
async fn a_handler_without_its_execute_bit_does_not_start() {
    let package = Package::mount(&zip(0o644, &[]), &path("mounted")).unwrap();
    let problem = refusal(options(&package, &[])).await.to_string();
    assert!(problem.contains("no execute permission"), "{problem}");
}

#[tokio::test]
async fn a_package_that_was_not_made_by_unix_has_no_execute_bit() {
    let made = zip(0o755, &[]);
    let mut bytes = std::fs::read(&made).unwrap();
    // In each entry of the central directory: who made it, and the attributes of that system's.
    let entries: Vec<usize> = (0..bytes.len() - 46).filter(|at| bytes[*at..].starts_with(b"PK\x01\x02")).collect();
    for at in entries {
        bytes[at + 5] = 0;
        bytes[at + 38..at + 42].fill(0);
    }
    std::fs::write(&made, bytes).unwrap();
    let package = Package::mount(&made, &path("mounted")).unwrap();
    let problem = refusal(options(&package, &[])).await.to_string();
    assert!(problem.contains("no execute permission"), "{problem}");
}

#[tokio::test]
async fn a_function_json_beside_the_routes_keeps_the_package_from_starting() {
    let package = Package::mount(&zip(0o755, &[("mcp/function.json", 0o644)]), &path("mounted")).unwrap();
    let problem = refusal(options(&package, &[])).await.to_string();
    assert!(problem.contains("exclude each other"), "{problem}");
}

#[test]
fn what_is_no_package_is_not_mounted() {
    let refused = |zip: &PathBuf| Package::mount(zip, &path("mounted")).unwrap_err().to_string();
    let text = path("text");
    std::fs::write(&text, "no zip").unwrap();
    assert!(refused(&text).contains("EOCD"), "{}", refused(&text));
    assert!(refused(&zip(0o755, &[("../outside", 0o644)])).contains("leads out of the package"));
    assert!(refused(&zip(0o755, &[("secret", 0o600)])).contains("not readable for others"));
}
