//! The release handler as a process of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, TENANT_ID};
use tokio::process::Child;

use crate::connection::Connection;

/// A running handler; killed when dropped.
#[derive(Debug)]
pub struct Handler {
    child: Child,
    /// Where it listens, once it does.
    pub address: SocketAddr,
    /// When it was spawned.
    pub spawned: Instant,
}

impl Handler {
    /// Spawns it and does not wait.
    pub fn spawn(executable: &Path, emulator: &Emulator) -> Self {
        Self::spawn_with(executable, emulator, &[])
    }

    /// The same with other settings.
    pub fn spawn_with(executable: &Path, emulator: &Emulator, settings: &[(&str, &str)]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port on 127.0.0.1");
        let mut command = tokio::process::Command::new(executable);
        command.env_clear().stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        for (name, value) in [
            ("TENANT_ID", TENANT_ID),
            ("CLIENT_ID", API_CLIENT_ID),
            ("CLIENT_SECRET", CLIENT_SECRET),
            ("RESOURCE_SERVER_URL", "https://mcp.contoso.example"),
            ("AZURE_AUTHORITY_HOST", &emulator.base_url()),
            ("GRAPH_BASE_URL", &emulator.base_url()),
            ("PORT", &address.port().to_string()),
        ] {
            command.env(name, value);
        }
        command.envs(settings.iter().copied());
        let spawned = Instant::now();
        Self { child: command.spawn().expect("the handler starts"), address, spawned }
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
            assert!(self.spawned.elapsed() < Duration::from_secs(20), "the handler does not answer");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    /// A figure of `/proc/<pid>/status` in MiB: `VmRSS` now, `VmHWM` at its peak.
    pub fn memory(&self, name: &str) -> f64 {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let kib =
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1024.0)
    }
}

/// Builds the release handler; where it is.
pub fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository").to_owned();
    let arguments =
        ["build", "--quiet", "--release", "--package", "handler", "--bin", "handler", "--message-format=json"];
    let output = Command::new(cargo).args(arguments).current_dir(root).stderr(Stdio::inherit()).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "cargo build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from));
    executable.expect("cargo names the executable")
}
