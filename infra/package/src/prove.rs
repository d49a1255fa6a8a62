//! Starts the package as the Functions host on Flex Consumption does: unpacked from the zip, read-only, port in a variable,
//! `GET /` until something answers. Nothing leaves this machine: Entra is a closed port.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use zip::ZipArchive;

use crate::host_json::EXECUTABLE;

/// Why the package does not start.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The zip cannot be unpacked.
    #[error("the zip cannot be unpacked")]
    Zip(#[from] zip::result::ZipError),
    /// The system's refusal.
    #[error("the packaged executable cannot be tried")]
    Io(#[from] io::Error),
    /// No execute bit, or for another machine.
    #[error("the packaged executable does not start")]
    NotStarted(#[source] io::Error),
    /// It ended.
    #[error("the packaged executable ended before it answered ({0})")]
    Ended(ExitStatus),
    /// It listens elsewhere, or hangs.
    #[error("the packaged executable did not answer GET / within {}", seconds(PATIENCE))]
    Silent,
    /// Another answer than the one that readiness asks for.
    #[error("the packaged executable answered GET / with {0:?}, not with 204")]
    Answer(String),
    /// It wrote into its own folder, which Flex Consumption does not allow.
    #[error("the packaged executable wrote into its folder: {0:?}")]
    Wrote(Vec<PathBuf>),
}

/// Starts the package in this zip, and ends it once it has answered.
///
/// # Errors
///
/// [`ProveError`]: what went wrong.
pub fn prove(zip: &Path) -> Result<(), ProveError> {
    let scratch = tempfile::tempdir()?;
    let root = scratch.path().join("wwwroot");
    ZipArchive::new(fs::File::open(zip)?)?.extract(&root)?;
    let before = files(&root)?;
    allow_writing(&root, false)?;
    let outcome = start_and_ask(&root);
    allow_writing(&root, true)?;
    outcome?;
    let after = files(&root)?;
    if before == after { Ok(()) } else { Err(ProveError::Wrote(after)) }
}

fn start_and_ask(root: &Path) -> Result<(), ProveError> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = Command::new(root.join(EXECUTABLE));
    command.current_dir(root).env_clear().envs(SETTINGS).env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut handler = Running(command.spawn().map_err(ProveError::NotStarted)?);
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        if let Some(status) = handler.0.try_wait()? {
            return Err(ProveError::Ended(status));
        }
        match ask((Ipv4Addr::LOCALHOST, port).into()) {
            Ok(answer) if answer.starts_with("HTTP/1.1 204 ") => return Ok(()),
            Ok(answer) => return Err(ProveError::Answer(answer)),
            Err(_) => thread::sleep(POLL),
        }
    }
    Err(ProveError::Silent)
}

/// The status line of `GET /`.
fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, POLL)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

/// A process that does not outlive its use.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// For root, who may write anyway, the comparison of files before and after must do.
fn allow_writing(folder: &Path, allowed: bool) -> io::Result<()> {
    for path in files(folder)?.iter().map(PathBuf::as_path).chain([folder]) {
        let mut permissions = fs::metadata(path)?.permissions();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = permissions.mode();
            permissions.set_mode(if allowed { mode | 0o200 } else { mode & !0o222 });
        }
        #[cfg(not(unix))]
        permissions.set_readonly(!allowed);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// As often as the Functions host asks.
const POLL: Duration = Duration::from_millis(25);

/// A third of what the Functions host allows.
const PATIENCE: Duration = Duration::from_secs(10);

/// Valid, and leading nowhere: port 1 refuses.
const SETTINGS: [(&str, &str); 5] = [
    ("TENANT_ID", "aaaabbbb-0000-cccc-1111-dddd2222eeee"),
    ("CLIENT_ID", "00001111-aaaa-2222-bbbb-3333cccc4444"),
    ("CLIENT_SECRET", "not-used"),
    ("RESOURCE_SERVER_URL", "https://mcp.example.com"),
    ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1"),
];

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::archive::{self, Contents};

    /// Why a package with this script as executable does not start.
    fn refusal(script: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let zip = folder.path().join("function.zip");
        fs::write(&zip, archive::zip(Contents { host_json: b"{}", handler: script }).unwrap()).unwrap();
        prove(&zip).unwrap_err().to_string()
    }

    #[test]
    fn an_executable_that_ends_is_no_server() {
        assert_eq!(
            refusal(b"#!/bin/sh\nexit 78\n"),
            "the packaged executable ended before it answered (exit status: 78)"
        );
    }

    #[test]
    fn what_is_no_executable_does_not_start() {
        assert_eq!(refusal(b"\x7fELF"), "the packaged executable does not start");
    }
}
