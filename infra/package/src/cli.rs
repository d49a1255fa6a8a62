//! The command line: what is asked for, and nothing done yet.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt as _};

use crate::executable::Architecture;

/// What `--help` says.
pub const HELP: &str = "\
Builds the Function App's package: target/package/function.zip, and the same files in target/package/stage.

Usage: cargo package-function [--target x86_64|aarch64] [--out DIR] [--prove]

  --target  the machine it is for; Flex Consumption is x86_64, the default
  --out     where to write, instead of target/package
  --prove   start the package as the Functions host would, and ask it
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `--help`.
    Help,
    /// Make a package.
    Package(Options),
}

/// Which package, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// `--target`.
    pub architecture: Architecture,
    /// `--out`; `target/package` otherwise.
    pub out: Option<PathBuf>,
    /// `--prove`.
    pub prove: bool,
}

/// The command in these arguments (without the program's own name).
///
/// # Errors
///
/// [`lexopt::Error`], fit to be shown.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = Parser::from_args(arguments);
    let mut options = Options { architecture: Architecture::X86_64, out: None, prove: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("target") => {
                let name = parser.value()?.string()?;
                options.architecture = Architecture::named(&name)
                    .ok_or_else(|| format!("--target {name:?}: must be x86_64 or aarch64"))?;
            }
            Arg::Long("out") => options.out = Some(parser.value()?.into()),
            Arg::Long("prove") => options.prove = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Package(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &str) -> Result<Command, String> {
        parse(arguments.split_whitespace().map(OsString::from)).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn nothing_said_is_what_flex_consumption_runs() {
        let options = Options { architecture: Architecture::X86_64, out: None, prove: false };
        assert_eq!(parsed(""), Ok(Command::Package(options)));
    }

    #[test]
    fn everything_can_be_said() {
        let options = Options { architecture: Architecture::Aarch64, out: Some("there".into()), prove: true };
        assert_eq!(parsed("--target aarch64 --out there --prove"), Ok(Command::Package(options)));
    }

    #[test]
    fn help_goes_before_the_rest() {
        assert_eq!(parsed("--prove --help"), Ok(Command::Help));
    }

    #[test]
    fn another_machine_is_refused() {
        assert_eq!(parsed("--target arm"), Err(r#"--target "arm": must be x86_64 or aarch64"#.to_owned()));
    }
}
