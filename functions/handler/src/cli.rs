//! The command line: what is asked for, and nothing done yet.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt as _};
use shared::doctor::Reach;

/// What `handler --help` says.
pub const HELP: &str = "\
handler: an MCP server protected by Microsoft Entra ID

Usage: handler                       serve; settings are environment variables, see the README
       handler doctor [options]      prove the settings, one line each with the fix; exit 1 if any is wrong
       handler explain <code>        what one of Entra's AADSTS codes means here, and what mends it
       handler health                ask a running handler on this machine whether it lives; exit 1 if not
       handler --help | --version

Options of doctor:
  --settings <file>   read settings from a local.settings.json (environment variables fill the gaps)
  --offline           ask nobody
  --before-deploy     do not ask the server itself: it is not there yet
  --as-client         only what a client sees: not the credential, which may be at hand on the host only
  --token -           walk a caller's access token, read from standard input, through every check
  --obo               exchange that token for Graph on the user's behalf, too
  --json              a JSON document instead of lines
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// No arguments: serve.
    Serve,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// `doctor`.
    Doctor(DoctorOptions),
    /// `health`.
    Health,
    /// `explain`, with all that follows it.
    Explain(String),
}

/// What `doctor` shall look at, and how it reports.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DoctorOptions {
    /// `--settings`.
    pub settings: Option<PathBuf>,
    /// `--offline`, `--before-deploy`, `--as-client`; the last one counts.
    pub reach: Reach,
    /// `--token -`.
    pub token: bool,
    /// `--obo`.
    pub exchange: bool,
    /// `--json`.
    pub json: bool,
}

/// Arguments that make no command.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Not an argument of this command.
    #[error("{0}; see handler --help")]
    Arguments(#[from] lexopt::Error),
    /// `--token` takes no token: it would show in the list of processes and in the shell's history.
    #[error(
        "--token takes `-` only: the token is read from standard input, so that no process list or history shows it"
    )]
    TokenOnCommandLine,
    /// `--obo` has nothing to exchange.
    #[error("--obo needs a token to exchange: add --token -")]
    NothingToExchange,
    /// Both at once.
    #[error("--obo asks Entra, --offline asks nobody: choose one")]
    OfflineExchange,
    /// `explain` without a code.
    #[error("explain needs a code, such as AADSTS9010010")]
    NoCode,
}

/// The command in these arguments (without the program's own name).
///
/// # Errors
///
/// [`UsageError`], fit to be shown.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(arguments);
    let Some(first) = parser.next()? else { return Ok(Command::Serve) };
    let command = match first {
        Arg::Short('h') | Arg::Long("help") => Command::Help,
        Arg::Short('V') | Arg::Long("version") => Command::Version,
        Arg::Value(word) if word == "doctor" => return doctor(&mut parser),
        Arg::Value(word) if word == "explain" => return explain(&mut parser),
        Arg::Value(word) if word == "health" => Command::Health,
        other => return Err(other.unexpected().into()),
    };
    match parser.next()? {
        None => Ok(command),
        Some(other) => Err(other.unexpected().into()),
    }
}

fn doctor(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut options = DoctorOptions::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("settings") => options.settings = Some(parser.value()?.into()),
            Arg::Long("offline") => options.reach = Reach::Nobody,
            Arg::Long("token") => {
                options.token = parser.value()? == "-";
                if !options.token {
                    return Err(UsageError::TokenOnCommandLine);
                }
            }
            Arg::Long("before-deploy") => options.reach = Reach::Others,
            Arg::Long("as-client") => options.reach = Reach::AsClient,
            Arg::Long("obo") => options.exchange = true,
            Arg::Long("json") => options.json = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    match options {
        DoctorOptions { exchange: true, token: false, .. } => Err(UsageError::NothingToExchange),
        DoctorOptions { exchange: true, reach: Reach::Nobody, .. } => Err(UsageError::OfflineExchange),
        options => Ok(Command::Doctor(options)),
    }
}

fn explain(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut words = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if words.is_empty() { Err(UsageError::NoCode) } else { Ok(Command::Explain(words.join(" "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn no_arguments_serve() {
        assert_eq!(command(""), Ok(Command::Serve));
        assert_eq!(command("-h"), Ok(Command::Help));
        assert_eq!(command("--version"), Ok(Command::Version));
        assert_eq!(command("health"), Ok(Command::Health));
    }

    #[test]
    fn doctor_takes_its_options_in_any_order() {
        let all = DoctorOptions {
            settings: Some("local.settings.json".into()),
            token: true,
            exchange: true,
            json: true,
            ..DoctorOptions::default()
        };
        let line = "doctor --json --obo --token - --settings local.settings.json";
        assert_eq!(command(line), Ok(Command::Doctor(all)));
        assert_eq!(command("doctor"), Ok(Command::Doctor(DoctorOptions::default())));
        assert_eq!(command("doctor --help"), Ok(Command::Help));
    }

    #[test]
    fn a_token_never_stands_on_the_command_line_nor_in_the_message() {
        let error = command("doctor --token eyJsecret").unwrap_err();
        assert!(error.contains("standard input") && !error.contains("eyJsecret"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in ["serve", "--debug", "--help now", "doctor --obo", "doctor --token - --obo --offline", "explain"] {
            assert!(command(line).is_err(), "{line}");
        }
        assert_eq!(command("explain AADSTS50011 more"), Ok(Command::Explain("AADSTS50011 more".to_owned())));
    }
}
