//! `handler doctor`: settings from the environment or a file, a token from standard input, the report as lines or JSON.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::Read as _;
use std::path::Path;

use secrecy::SecretString;
use serde_json::Value;
use shared::doctor::{Options, Report, Status, examine};

use crate::cli::DoctorOptions;

/// The longest standard input that is read: a token has 32 KiB at most.
const MAX_INPUT: u64 = 64 * 1024;

/// Why nothing could be examined. Fit to be shown.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The file of settings cannot be read.
    #[error("--settings: the file cannot be read: {0}")]
    SettingsUnreadable(std::io::Error),
    /// The file of settings has another form.
    #[error("--settings: not a local.settings.json: {0}")]
    SettingsForm(&'static str),
    /// Standard input cannot be read.
    #[error("--token -: standard input cannot be read: {0}")]
    Input(std::io::Error),
}

/// Examines, and gives the report's text and whether all is well.
///
/// # Errors
///
/// [`DoctorError`] where there is nothing to examine.
pub async fn run(
    options: &DoctorOptions,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<(String, bool), DoctorError> {
    let file = options.settings.as_deref().map(read_settings).transpose()?.unwrap_or_default();
    let lookup = |variable: &str| file.get(variable).cloned().or_else(|| environment(variable));
    let token = if options.token { Some(read_token()?) } else { None };
    let wanted = Options { reach: options.reach, token, exchange: options.exchange };
    let report = examine(lookup, wanted).await;
    let text = if options.json {
        let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
        text.push('\n');
        text
    } else {
        Lines(&report).to_string()
    };
    Ok((text, report.ok))
}

/// The `Values` of a `local.settings.json`, as Core Tools reads it: texts only.
fn read_settings(path: &Path) -> Result<HashMap<String, String>, DoctorError> {
    let text = std::fs::read(path).map_err(DoctorError::SettingsUnreadable)?;
    let document: Value = serde_json::from_slice(&text).map_err(|_| DoctorError::SettingsForm("no JSON"))?;
    if document.get("IsEncrypted") == Some(&Value::Bool(true)) {
        return Err(DoctorError::SettingsForm("it is encrypted; run func settings decrypt"));
    }
    let values = document.get("Values").and_then(Value::as_object);
    let values = values.ok_or(DoctorError::SettingsForm("it has no object Values"))?;
    let mut settings = HashMap::new();
    for (name, value) in values {
        let value = value.as_str().ok_or(DoctorError::SettingsForm("a value is no text"))?;
        settings.insert(name.clone(), value.to_owned());
    }
    Ok(settings)
}

fn read_token() -> Result<SecretString, DoctorError> {
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text).map_err(DoctorError::Input)?;
    Ok(SecretString::from(text))
}

/// A report as lines for people.
struct Lines<'a>(&'a Report);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = &self.0.checks;
        let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        for check in checks {
            writeln!(out, "{:7}  {:width$}  {}", word(check.status), check.name, check.detail)?;
            if let Some(fix) = &check.fix {
                writeln!(out, "{:7}  {:width$}  fix: {fix}", "", "")?;
            }
        }
        let count = |status| checks.iter().filter(|check| check.status == status).count();
        let (errors, warnings) = (count(Status::Error), count(Status::Warning));
        let mut summary = String::new();
        match errors {
            0 => summary.push_str("Nothing is wrong"),
            1 => summary.push_str("1 thing is wrong"),
            more => write!(summary, "{more} things are wrong")?,
        }
        match warnings {
            0 => {}
            1 => summary.push_str(", 1 deserves a look"),
            more => write!(summary, ", {more} deserve a look")?,
        }
        writeln!(out, "\n{summary}.")
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Info => "info",
        Status::Warning => "warning",
        Status::Error => "ERROR",
        Status::Skipped => "skipped",
    }
}
