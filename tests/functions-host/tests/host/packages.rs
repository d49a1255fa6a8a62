//! Packages as Flex Consumption mounts them, and what keeps one from starting.

use std::io::Write as _;
use std::path::PathBuf;

use functions_host::{FunctionsHost, HostOptions, Package, Profile};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::fixture::{HANDLER, host_json, refusal, status, until_logged};

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
    let host = FunctionsHost::start(options(&package, &[])).await.unwrap();
    assert_eq!(status(&host, "/mcp").await, "200");
    assert_eq!(package.changes(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_handler_that_writes_into_its_folder_is_found_out() {
    let package = Package::mount(&zip(0o755, &[]), &path("mounted")).unwrap();
    let host = FunctionsHost::start(options(&package, &[("WRITE_HERE", "scribble")])).await.unwrap();
    // Root may write in spite of the modes, and leaves a trace; others are kept from it.
    if package.changes().is_empty() {
        until_logged(&host, "written: false").await;
    } else {
        assert_eq!(package.changes(), [package.root().join("scribble")]);
    }
}

#[tokio::test]
async fn a_handler_without_its_execute_bit_does_not_start() {
    let package = Package::mount(&zip(0o644, &[]), &path("mounted")).unwrap();
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
