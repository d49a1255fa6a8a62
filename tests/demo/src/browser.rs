//! The person at the sign-in page: played, or a real one in a browser.

use std::process::{Command, Stdio};
use std::time::Duration;

use emulator::User;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use crate::client::http_client;

/// How long a real person may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// Where the authorization server sends the browser back to: a loopback port (RFC 8252 §7.3).
pub(crate) struct Redirect {
    uri: String,
    /// Listens only if a real browser will come.
    listener: Option<TcpListener>,
}

impl Redirect {
    pub(crate) async fn new(browser: bool) -> Result<Self, String> {
        Self::at("127.0.0.1:0", browser).await
    }

    /// The redirect that an authorization URL already names.
    pub(crate) async fn of(authorization_url: &str, browser: bool) -> Result<Self, String> {
        let url = Url::parse(authorization_url).map_err(|cause| cause.to_string())?;
        let uri = url.query_pairs().find(|(name, _)| name == "redirect_uri").map(|(_, value)| value.into_owned());
        let uri = uri.and_then(|uri| Url::parse(&uri).ok()).ok_or("the authorization URL has no redirect_uri")?;
        Self::at(&format!("127.0.0.1:{}", uri.port().unwrap_or(0)), browser).await
    }

    async fn at(address: &str, browser: bool) -> Result<Self, String> {
        let listener = TcpListener::bind(address).await.map_err(|cause| cause.to_string())?;
        let port = listener.local_addr().map_err(|cause| cause.to_string())?.port();
        Ok(Self { uri: format!("http://127.0.0.1:{port}/callback"), listener: browser.then_some(listener) })
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Visits the sign-in page and gives back the URL the browser is sent to.
    pub(crate) async fn follow(self, authorization_url: &str, user: User) -> Result<String, String> {
        match &self.listener {
            Some(listener) => {
                println!(
                    "     sign in as {} in your browser; if it does not open:\n     {authorization_url}",
                    user.name()
                );
                open(authorization_url);
                let waited = tokio::time::timeout(PATIENCE, arrival(listener)).await;
                let target = waited.map_err(|_| "nobody signed in within five minutes")??;
                Ok(format!("http://127.0.0.1{target}"))
            }
            None => play(authorization_url, user).await,
        }
    }
}

/// Does what a browser does when the person picks this account.
#[expect(clippy::disallowed_methods, reason = "the demo plays a browser")]
async fn play(authorization_url: &str, user: User) -> Result<String, String> {
    let mut url = Url::parse(authorization_url).map_err(|cause| cause.to_string())?;
    url.query_pairs_mut().append_pair("login_hint", user.upn());
    let answer = http_client()?.get(url).send().await.map_err(|cause| cause.to_string())?;
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
    location.map(str::to_owned).ok_or_else(|| format!("the sign-in page answered {} and no redirect", answer.status()))
}

/// Waits for the browser, thanks it, and gives back the request's target.
async fn arrival(listener: &TcpListener) -> Result<String, String> {
    loop {
        let (mut stream, _) = listener.accept().await.map_err(|cause| cause.to_string())?;
        let mut head = vec![0; 16 * 1024];
        let length = stream.read(&mut head).await.map_err(|cause| cause.to_string())?;
        let text = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
        let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let found = target.starts_with("/callback?");
        let (status, body) = if found { ("200 OK", "Done. You can close this page.") } else { ("404 Not Found", "") };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.map_err(|cause| cause.to_string())?;
        if found {
            return Ok(target);
        }
    }
}

/// Opens a page with whatever this system has for it. The URL is printed anyway, so a failure needs no answer.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    drop(Command::new(program).arg(url).stdout(Stdio::null()).stderr(Stdio::null()).spawn());
}
