//! Servers as processes of their own: the release handler, and those it is measured beside.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, TENANT_ID};
use tokio::process::{Child, Command};

use crate::connection::Connection;
use crate::machine;

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens, once it does.
    pub address: SocketAddr,
    /// When it was spawned.
    pub spawned: Instant,
}

impl Server {
    /// The handler with the emulator's Entra and Graph, and these settings; does not wait.
    pub fn handler(executable: &Path, emulator: &Emulator, settings: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(executable), emulator, settings)
    }

    /// The handler on a core of its own.
    pub fn pinned_handler(executable: &Path, emulator: &Emulator, settings: &[(&str, &str)]) -> Self {
        Self::spawn(machine::serving(executable), emulator, settings)
    }

    /// Any server that takes its settings from the handler's variables; does not wait.
    pub fn spawn(mut command: Command, emulator: &Emulator, settings: &[(&str, &str)]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port on 127.0.0.1");
        command.env_clear().stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        command.envs(self::settings(emulator)).env("PORT", address.port().to_string()).envs(settings.iter().copied());
        let spawned = Instant::now();
        Self { child: command.spawn().expect("the server starts"), address, spawned }
    }

    /// Until it answers `request` with `status`; how long after the spawn that was.
    pub async fn until(&self, request: &[u8], status: u16) -> Duration {
        loop {
            if let Ok(mut connection) = Connection::open(self.address).await
                && let Ok(answer) = connection.exchange(request).await
                && answer.status == status
            {
                return self.spawned.elapsed();
            }
            assert!(self.spawned.elapsed() < Duration::from_secs(20), "the server does not answer");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    /// A figure of `/proc/<pid>/status` in MiB: `VmRSS` now, `VmHWM` at its peak.
    pub fn memory(&self, name: &str) -> f64 {
        let line = machine::status(&self.id().to_string(), name);
        let kib = line.strip_suffix(" kB").and_then(|kib| kib.parse::<f64>().ok());
        kib.unwrap_or_else(|| panic!("{name} is {line}")) / 1024.0
    }

    /// The time that all its threads ran so far, in user space and in the kernel (`/proc/<pid>/task/*/schedstat`, ns).
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
        let of_task = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(tasks.filter_map(Result::ok).filter_map(of_task).sum())
    }

    /// The same since it was `before`.
    pub fn cpu_since(&self, before: Duration) -> Duration {
        self.cpu().saturating_sub(before)
    }

    fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }
}

/// The handler's settings for the emulator's Entra and Graph.
pub fn settings(emulator: &Emulator) -> [(&'static str, String); 6] {
    [
        ("TENANT_ID", TENANT_ID.to_owned()),
        ("CLIENT_ID", API_CLIENT_ID.to_owned()),
        ("CLIENT_SECRET", CLIENT_SECRET.to_owned()),
        ("RESOURCE_SERVER_URL", "https://mcp.contoso.example".to_owned()),
        ("AZURE_AUTHORITY_HOST", emulator.base_url()),
        ("GRAPH_BASE_URL", emulator.base_url()),
    ]
}

/// Settings without which the load itself would be limited.
pub const OPEN: [(&str, &str); 2] =
    [("MAX_CALLER_REQUESTS_PER_MINUTE", "1000000"), ("MAX_REQUESTS_PER_SECOND", "1000000")];

/// Builds the release handler; where it is.
pub fn build() -> PathBuf {
    build_all("handler", &["handler"]).remove(0)
}

/// Builds these release executables of a package; where they are.
pub fn build_all(package: &str, names: &[&str]) -> Vec<PathBuf> {
    build_with("release", package, names)
}

/// Builds an executable as cargo would for release without any settings of this workspace; where it is.
pub fn build_by_defaults(package: &str, name: &str) -> PathBuf {
    build_with("by-defaults", package, &[name]).remove(0)
}

fn build_with(profile: &str, package: &str, names: &[&str]) -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository").to_owned();
    let mut command = std::process::Command::new(cargo);
    command.args(["build", "--quiet", "--profile", profile, "--package", package, "--message-format=json"]);
    command.args(names.iter().flat_map(|name| ["--bin", name]));
    let output = command.current_dir(root).stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo build");
    let messages: Vec<serde_json::Value> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let executable = |name: &&str| {
        let mut of_name = messages.iter().filter(|message| message["target"]["name"] == *name);
        let path = of_name.find_map(|message| message["executable"].as_str());
        PathBuf::from(path.expect("cargo names the executable"))
    };
    names.iter().map(executable).collect()
}
