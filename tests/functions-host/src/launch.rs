//! One start of the handler: the command, its environment, and the question whether it answers yet.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

use crate::HostOptions;
use crate::environment::Environment;
use crate::error::HostError;
use crate::host_json::HostJson;

/// How often readiness is asked for.
const POLL: Duration = Duration::from_millis(25);

/// How often a start is tried again while the executable is still open for writing somewhere.
const MAX_BUSY: u32 = 40;

/// How the handler is started, each time.
#[derive(Debug)]
pub(crate) struct Launch {
    executable: PathBuf,
    arguments: Vec<String>,
    working_directory: PathBuf,
    environment: Environment,
    pub(crate) port: u16,
    /// Keeps the port for the handler; never read.
    _held: Option<TcpSocket>,
    pub(crate) timeout: Duration,
}

impl Launch {
    pub(crate) fn new(
        host_json: HostJson,
        options: &HostOptions,
        environment: &Environment,
    ) -> Result<Self, HostError> {
        let (port, held) = match host_json.port {
            Some(port) => hold(port)
                .map_err(|cause| HostError::member("customHandler.port", format!("{port} cannot be bound: {cause}")))?,
            None => hold(0).map_err(HostError::Listen)?,
        };
        Ok(Self {
            executable: host_json.executable,
            arguments: host_json.arguments,
            working_directory: host_json.working_directory,
            environment: environment.of_handler(options, port),
            port,
            _held: held,
            timeout: host_json.initialization_timeout,
        })
    }

    /// Starts the process. It dies with its handle.
    pub(crate) fn spawn(&self) -> Result<Child, HostError> {
        let mut busy = 0;
        let child = loop {
            match self.command().spawn() {
                // Another thread has started a process meanwhile, and until that becomes a program of its own it holds every
                // file open that was being written, a freshly unpacked executable as well.
                Err(cause) if cause.kind() == ErrorKind::ExecutableFileBusy && busy < MAX_BUSY => {
                    busy += 1;
                    std::thread::sleep(POLL);
                }
                child => break child,
            }
        };
        child.map_err(|cause| HostError::Executable {
            path: self.executable.clone(),
            problem: format!("cannot be started in {}: {cause}", self.working_directory.display()),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .args(&self.arguments)
            .current_dir(&self.working_directory)
            .env_clear()
            .envs(self.environment.iter())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Waits until `GET /` is taken. Any answer counts, a broken one too; only a refused connection keeps the host waiting.
    pub(crate) async fn until_ready(&self) {
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", self.port)).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
        let request = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", self.port);
        if stream.write_all(request.as_bytes()).await.is_ok() {
            drop(stream.read(&mut [0; 1024]).await);
        }
    }
}

/// Binds a port of 127.0.0.1 for the handler; 0: any free one.
///
/// The real host lets it go again, and whoever is quicker than the handler gets it; with many hosts at once, as in tests,
/// that happens. On Linux a socket that is bound but does not listen keeps others away from the port, while the handler
/// can still take it (both have `SO_REUSEADDR`, as every server of Rust's does); connections are refused until it does.
fn hold(port: u16) -> std::io::Result<(u16, Option<TcpSocket>)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((std::net::Ipv4Addr::LOCALHOST, port).into())?;
    let port = socket.local_addr()?.port();
    Ok((port, cfg!(target_os = "linux").then_some(socket)))
}
