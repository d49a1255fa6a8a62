//! `handler doctor`: proves the settings against what they name, one check after the other, each with its fix.
//!
//! It reads the same settings as the server, through the same [`Config`], and asks with the same clients. It changes
//! nothing anywhere and shows no secret, no token and nobody's name.

mod authority;
mod credential;
mod public;
mod settings;
mod token;

use secrecy::SecretString;
use serde::Serialize;

use crate::config::Config;
use crate::http::HttpClient;
use crate::process::Process;

/// What to look at.
#[derive(Debug, Default)]
pub struct Options {
    /// Who may be asked.
    pub reach: Reach,
    /// A caller's token to walk through every check.
    pub token: Option<SecretString>,
    /// Exchange that token on the user's behalf, too.
    pub exchange: bool,
}

/// Who may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Everybody: the authority, Graph, and the server itself through its public URL.
    #[default]
    Everybody,
    /// All but the server itself: it is not deployed yet.
    Others,
    /// What a client asks: not for the credential, which may be at hand on the host only.
    AsClient,
    /// Nobody: settings only, and a token without its signature.
    Nobody,
}

/// What was found, in the order in which it was looked at.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing is wrong; warnings are not wrong.
    pub ok: bool,
    /// At least one.
    pub checks: Vec<Check>,
}

/// One line of a report.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at; a name that does not change between versions.
    pub name: &'static str,
    /// How it stands.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Proven.
    Ok,
    /// Not a matter of right or wrong, or not provable from here.
    Info,
    /// Works, or may work, and deserves a look.
    Warning,
    /// Wrong.
    Error,
    /// Not looked at: something before it is wrong, or it was not asked for.
    Skipped,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, detail: detail.into(), fix: None }
    }

    fn info(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Info, detail: detail.into(), fix: None }
    }

    fn warning(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: Status::Warning, detail: detail.into(), fix: Some(fix.into()) }
    }

    fn error(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: Status::Error, detail: detail.into(), fix: Some(fix.into()) }
    }

    fn skipped(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Skipped, detail: detail.into(), fix: None }
    }
}

impl Report {
    fn of(checks: Vec<Check>) -> Self {
        Self { ok: checks.iter().all(|check| check.status != Status::Error), checks }
    }
}

/// Looks at everything. `lookup` is where the settings come from, as for [`Config::from_lookup`].
///
/// Meant for a program of its own: it leaves a [`Process`] behind that lives to the program's end.
pub async fn examine(lookup: impl Fn(&str) -> Option<String>, options: Options) -> Report {
    let config = match Config::from_lookup(&lookup) {
        Ok(config) => config,
        Err(faults) => return Report::of(settings::faults(&faults)),
    };
    let mut checks = settings::look(&config, &lookup);
    let process = match Process::new(config) {
        Ok(process) => process.leaked(),
        Err(cause) => {
            let fix = "install CA certificates in this image (package ca-certificates)";
            checks.push(Check::error("network", cause.to_string(), fix));
            return Report::of(checks);
        }
    };
    if options.reach != Reach::Nobody {
        checks.extend(ask(process, options.reach).await);
    }
    if let Some(pasted) = &options.token {
        checks.extend(token::look(process, pasted, &options).await);
    }
    Report::of(checks)
}

/// Everything that is asked of others.
async fn ask(process: &'static Process, reach: Reach) -> Vec<Check> {
    let Ok(http) = HttpClient::new() else { return Vec::new() };
    let mut checks = authority::look(process, &http).await;
    if reach != Reach::AsClient {
        checks.extend(credential::look(process).await);
    }
    if reach != Reach::Others {
        checks.extend(public::look(&process.config, &http).await);
    }
    checks
}
