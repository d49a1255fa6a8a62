//! What is needed of the machine, asked for before anything is measured.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where there are two cores or more: one for the server, one for whoever loads it.
#[derive(Debug)]
struct Cores {
    serving: String,
    loading: String,
}

/// The first two cores this process may run on, as they were before anything moved; none where there is only one.
fn cores() -> Option<&'static Cores> {
    static CORES: OnceLock<Option<Cores>> = OnceLock::new();
    CORES
        .get_or_init(|| {
            let mut allowed = of_list(&status("self", "Cpus_allowed_list")).into_iter();
            let (serving, loading) = (allowed.next()?, allowed.next()?);
            Some(Cores { serving: serving.to_string(), loading: loading.to_string() })
        })
        .as_ref()
}

/// A list of cores as the kernel writes it: `0-3,8`.
fn of_list(list: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("a list of cores: {list}"));
    let part = |part: &str| match part.split_once('-') {
        Some((from, to)) => (number(from)..=number(to)).collect::<Vec<_>>(),
        None => vec![number(part)],
    };
    list.split(',').flat_map(part).collect()
}

/// A line of `/proc/<pid>/status`.
pub(crate) fn status(pid: &str, name: &str) -> String {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}; Linux is needed"));
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{path} has no {name}")).trim().to_owned()
}

/// The command on the core of servers; where there is only one core, as it is.
pub fn serving(program: &Path) -> tokio::process::Command {
    on(cores().map(|cores| &*cores.serving), program)
}

/// The command on the core of those who load servers.
pub(crate) fn loading(program: &Path) -> tokio::process::Command {
    on(cores().map(|cores| &*cores.loading), program)
}

fn on(core: Option<&str>, program: &Path) -> tokio::process::Command {
    let Some(core) = core else { return tokio::process::Command::new(program) };
    let mut command = tokio::process::Command::new("taskset");
    command.args(["--cpu-list", core]).arg(program);
    command
}

/// Moves this process, and with it an emulator that runs in it, to the core of the load.
pub fn leave_the_serving_core() {
    let Some(Cores { loading, .. }) = cores() else { return };
    run("taskset", &["--all-tasks", "--cpu-list", "--pid", loading, &std::process::id().to_string()]);
    assert_eq!(status("self", "Cpus_allowed_list"), *loading, "this process moved");
}

/// That wrk is there.
pub fn needs_wrk() {
    let there = Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(there, "wrk is needed: apt-get install wrk");
}

/// Room for so many open files, in this process and in those it starts.
pub fn needs_open_files(count: u32) {
    run("prlimit", &["--pid", &std::process::id().to_string(), &format!("--nofile={count}:")]);
}

/// Runs a program of util-linux.
fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} (util-linux) {arguments:?}");
}
