//! The real executable: starts at once, says what is wrong, exits as documented.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use emulator::{Emulator, User};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::world::{self, Reply};

/// The executables that ship.
const EXECUTABLES: [&str; 5] = ["handler", "bootstrap", "mcp-handler", "well-known-handler", "health-handler"];

/// The one executable of a Function App.
pub(crate) fn handler() -> PathBuf {
    executable("handler")
}

/// An executable of ours, built as the tests themselves were.
pub(crate) fn executable(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    assert!(EXECUTABLES.contains(&name), "{name}");
    FOLDER.get_or_init(build).join(name)
}

/// Builds all; the folder they are in.
fn build() -> PathBuf {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--workspace"]);
    for name in EXECUTABLES {
        command.args(["--bin", name]);
    }
    let release = !cfg!(debug_assertions);
    if release {
        command.arg("--release");
    }
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(status.success(), "cargo build");
    // The test's own executable is in <target>/<profile>/deps.
    let here = std::env::current_exe().unwrap();
    here.parent().and_then(|deps| deps.parent()).unwrap().to_owned()
}

/// A running executable; killed when dropped.
pub(crate) struct Handler {
    pub(crate) child: tokio::process::Child,
    pub(crate) address: SocketAddr,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

impl Handler {
    pub(crate) async fn start(settings: HashMap<String, String>) -> Self {
        Self::start_executable(handler(), settings).await
    }

    pub(crate) async fn start_executable(executable: PathBuf, mut settings: HashMap<String, String>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        settings.insert("PORT".to_owned(), port.to_string());
        let mut command = tokio::process::Command::new(executable);
        command.env_clear().envs(settings).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        // Read all the time: a full pipe would hold the handler up.
        let stdout = tokio::spawn(read_all(child.stdout.take().unwrap()));
        let stderr = tokio::spawn(read_all(child.stderr.take().unwrap()));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listening).await.expect("the handler listens");
        Self { child, address, stdout, stderr }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        world::raw(
            self.address,
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await
    }

    pub(crate) async fn post(&self, token: &str, body: &str) -> Reply {
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: 2025-11-25\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        world::raw(self.address, request.as_bytes()).await
    }

    /// What it wrote to stdout and stderr, once it has ended.
    pub(crate) async fn output(self) -> (String, String) {
        let ended = async { (self.stdout.await.unwrap(), self.stderr.await.unwrap()) };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the handler ends")
    }

    pub(crate) fn terminate(&self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }
}

async fn read_all(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    Command::new(handler()).args(arguments).env_clear().envs(settings.iter().copied()).output().unwrap()
}

#[test]
fn bad_settings_are_all_named_and_the_exit_code_is_78() {
    let output = run(&[], &[("TENANT_ID", "value-that-is-not-shown"), ("CLIENT_SECRET", "Xx~secret-value")]);
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8(output.stderr).unwrap();
    for variable in ["TENANT_ID", "CLIENT_ID", "RESOURCE_SERVER_URL"] {
        assert!(text.contains(variable), "{text}");
    }
    assert!(!text.contains("not-shown") && !text.contains("secret-value"), "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn help_and_version_answer_and_nonsense_is_refused() {
    assert_eq!(run(&["--help"], &[]).status.code(), Some(0));
    let version = run(&["--version"], &[]);
    assert!(String::from_utf8(version.stdout).unwrap().starts_with("handler 0."));
    assert_eq!(run(&["--nonsense"], &[]).status.code(), Some(2));
}

#[tokio::test]
async fn a_port_in_use_is_an_error_and_not_a_quiet_exit() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = world::settings_for("http://127.0.0.1:1", &[]);
    settings.insert("PORT".to_owned(), taken.local_addr().unwrap().port().to_string());
    let pairs: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let output = run(&[], &pairs);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot listen"));
}

#[tokio::test]
async fn it_answers_while_entra_is_unreachable_and_recovers_by_itself() {
    let emulator = Emulator::start().await;
    let token = emulator.token(User::Alice).build();
    emulator.stop().await;
    let handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
    assert_eq!(handler.get("/").await.label(), "204");
    assert_eq!(handler.get("/health/live").await.label(), "200");
    assert_eq!(handler.get("/health/ready").await.label(), "503");
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let reply = handler.post(&token, list).await;
    assert_eq!(reply.label(), "503");
    assert!(reply.headers.contains_key("retry-after"));
    emulator.restart().await;
    let recovered = async {
        while handler.get("/health/ready").await.label() != "200" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), recovered).await.expect("ready again");
    assert_eq!(handler.post(&token, list).await.label(), "200");
}

#[tokio::test]
async fn sigterm_lets_a_request_in_flight_finish_and_exits_0() {
    let emulator = Emulator::start().await;
    let mut handler = Handler::start(world::settings_for(&emulator.base_url(), &[])).await;
    let token = emulator.token(User::Alice).build();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(handler.post(&token, list).await.label(), "200");
    emulator.faults().times(emulator::Endpoint::GraphMe, 1, emulator::Fault::Delay(Duration::from_millis(400)));
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_my_profile"}}"#;
    let (reply, ()) = tokio::join!(handler.post(&token, call), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        handler.terminate();
    });
    assert_eq!(reply.label(), "200");
    assert_eq!(reply.structured()["id"], User::Alice.oid());
    let status = tokio::time::timeout(Duration::from_secs(20), handler.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}
