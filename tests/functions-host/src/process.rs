//! The handler's process: how it is started, when it counts as ready, what its end means.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::error::HostError;
use crate::host_json::HostJson;
use crate::{HostOptions, Profile};

/// How often readiness is asked for.
const POLL: Duration = Duration::from_millis(25);

/// Ends other than 0 and 200 after which the host gives up.
const MAX_ERRORS: usize = 3;

/// Severity as the host logs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A line on stdout.
    Information,
    /// A line on stderr that contains "warn".
    Warning,
    /// Any other line on stderr.
    Error,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that the handler wrote.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// Severity as the host logs it.
    pub level: Level,
    /// Where it came from.
    pub stream: Stream,
    /// The line.
    pub text: String,
}

/// How the host stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostState {
    /// The handler runs.
    Running,
    /// The handler ended with 0: the host does nothing, the app is dead until the instance is recycled.
    HandlerExitedZero,
    /// The host stopped itself.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// The one handler of a host. Killed when dropped.
#[derive(Debug)]
pub(crate) struct HandlerProcess {
    shared: Arc<Shared>,
    watcher: tokio::task::JoinHandle<()>,
}

/// What the watcher writes and the host reads.
#[derive(Debug)]
struct Shared {
    launch: Launch,
    logs: Mutex<Vec<LogLine>>,
    pid: Mutex<Option<u32>>,
    state: Mutex<HostState>,
    restarts: AtomicUsize,
}

/// How the handler is started, each time.
#[derive(Debug)]
struct Launch {
    executable: PathBuf,
    arguments: Vec<String>,
    script_root: PathBuf,
    environment: HashMap<String, String>,
    clear_env: bool,
    port: u16,
    timeout: Duration,
}

impl HandlerProcess {
    /// Starts the handler and waits until it answers.
    pub(crate) async fn start(host_json: &HostJson, options: &HostOptions, host_port: u16) -> Result<Self, HostError> {
        let port = free_port().await.map_err(HostError::Listen)?;
        let launch = Launch {
            executable: host_json.executable.clone(),
            arguments: host_json.arguments.clone(),
            script_root: options.script_root.clone(),
            environment: environment(options, host_port, port),
            clear_env: options.clear_env,
            port,
            timeout: host_json.initialization_timeout,
        };
        let shared = Arc::new(Shared {
            launch,
            logs: Mutex::default(),
            pid: Mutex::default(),
            state: Mutex::new(HostState::Running),
            restarts: AtomicUsize::new(0),
        });
        let child = shared.run().await?;
        let watcher = tokio::spawn(watch(Arc::clone(&shared), child));
        Ok(Self { shared, watcher })
    }

    pub(crate) fn port(&self) -> u16 {
        self.shared.launch.port
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        *lock(&self.shared.pid)
    }

    pub(crate) fn log_lines(&self) -> Vec<LogLine> {
        lock(&self.shared.logs).clone()
    }

    pub(crate) fn restarts(&self) -> usize {
        self.shared.restarts.load(Ordering::SeqCst)
    }

    pub(crate) fn state(&self) -> HostState {
        lock(&self.shared.state).clone()
    }

    /// SIGKILL: dropping the child is enough.
    pub(crate) fn kill(&self) {
        self.watcher.abort();
    }
}

impl Drop for HandlerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Follows the handler to its end and decides what the end means.
async fn watch(shared: Arc<Shared>, mut child: Child) {
    let mut errors = 0;
    loop {
        let code = child.wait().await.ok().and_then(|status| status.code());
        *lock(&shared.pid) = None;
        match code {
            Some(0) => {
                *lock(&shared.state) = HostState::HandlerExitedZero;
                return;
            }
            Some(200) => {}
            _ => errors += 1,
        }
        let started = if errors >= MAX_ERRORS {
            Err("Exceeded http worker restart retry count".to_owned())
        } else {
            shared.restarts.fetch_add(1, Ordering::SeqCst);
            shared.run().await.map_err(|cause| cause.to_string())
        };
        match started {
            Ok(next) => child = next,
            Err(reason) => {
                *lock(&shared.state) = HostState::Stopped { reason };
                return;
            }
        }
    }
}

impl Shared {
    /// Starts the process and waits until it answers anything at all on `/`.
    async fn run(self: &Arc<Self>) -> Result<Child, HostError> {
        let (mut child, words) = self.spawn()?;
        let deadline = Instant::now() + self.launch.timeout;
        while !answers(self.launch.port).await {
            if let Ok(Some(status)) = child.try_wait() {
                // Its last words may still be in the pipe.
                drop(words.await);
                return Err(self.ended(status));
            }
            if Instant::now() >= deadline {
                return Err(HostError::NotReady { port: self.launch.port, limit: self.launch.timeout });
            }
            tokio::time::sleep(POLL).await;
        }
        *lock(&self.pid) = child.id();
        Ok(child)
    }

    /// The process, and the end of its stderr.
    fn spawn(self: &Arc<Self>) -> Result<(Child, tokio::task::JoinHandle<()>), HostError> {
        let launch = &self.launch;
        let mut command = Command::new(&launch.executable);
        command.args(&launch.arguments).current_dir(&launch.script_root).kill_on_drop(true);
        if launch.clear_env {
            command.env_clear();
            command.envs(["PATH", "HOME"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        command.envs(&launch.environment).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let cannot = |cause: std::io::Error| HostError::Executable {
            path: launch.executable.clone(),
            problem: format!("cannot be started: {cause}"),
        };
        let mut child = command.spawn().map_err(cannot)?;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(Arc::clone(self).collect(Stream::Stdout, stdout));
        }
        let stderr = child.stderr.take();
        let handler = Arc::clone(self);
        let words = tokio::spawn(async move {
            if let Some(stderr) = stderr {
                handler.collect(Stream::Stderr, stderr).await;
            }
        });
        Ok((child, words))
    }

    async fn collect(self: Arc<Self>, stream: Stream, pipe: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(text)) = lines.next_line().await {
            let level = match stream {
                Stream::Stdout => Level::Information,
                Stream::Stderr if text.to_ascii_lowercase().contains("warn") => Level::Warning,
                Stream::Stderr => Level::Error,
            };
            lock(&self.logs).push(LogLine { level, stream, text });
        }
    }

    /// The host quotes the last three lines on stderr.
    fn ended(&self, status: ExitStatus) -> HostError {
        let logs = lock(&self.logs);
        let mut words: Vec<&str> = logs
            .iter()
            .rev()
            .filter(|line| line.stream == Stream::Stderr)
            .take(3)
            .map(|line| line.text.as_str())
            .collect();
        words.reverse();
        HostError::Ended { status: status.to_string(), last_words: words.join(" | ") }
    }
}

/// The handler's environment: the app's settings, what the kind of host adds, and the host's own five variables.
fn environment(options: &HostOptions, host_port: u16, port: u16) -> HashMap<String, String> {
    let root = options.script_root.to_string_lossy().into_owned();
    let mut environment: HashMap<String, String> = options.settings.iter().cloned().collect();
    let kind = match options.profile {
        Profile::CoreTools => vec![
            ("WEBSITE_HOSTNAME", format!("localhost:{host_port}")),
            ("AzureWebJobsScriptRoot", root.clone()),
            ("AZURE_FUNCTIONS_ENVIRONMENT", "Development".to_owned()),
        ],
        Profile::Flex => vec![
            ("WEBSITE_HOSTNAME", "emulated-app.azurewebsites.net".to_owned()),
            ("WEBSITE_INSTANCE_ID", Uuid::new_v4().simple().to_string()),
            ("AZURE_FUNCTIONS_ENVIRONMENT", "Production".to_owned()),
        ],
    };
    for (name, value) in kind {
        environment.entry(name.to_owned()).or_insert(value);
    }
    let id = Uuid::new_v4().to_string();
    for name in ["FUNCTIONS_HTTPWORKER_PORT", "FUNCTIONS_CUSTOMHANDLER_PORT"] {
        environment.insert(name.to_owned(), port.to_string());
    }
    for name in ["FUNCTIONS_HTTPWORKER_ID", "FUNCTIONS_CUSTOMHANDLER_WORKER_ID"] {
        environment.insert(name.to_owned(), id.clone());
    }
    environment.insert("FUNCTIONS_APP_ROOT_PATH".to_owned(), root);
    environment
}

/// Any answer counts; only a refused connection keeps the host waiting.
async fn answers(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await?;
        let mut first = [0; 1];
        stream.read_exact(&mut first).await
    };
    ask.await.is_ok()
}

async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port())
}

/// A lock whose holder panicked still guards what it held.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
