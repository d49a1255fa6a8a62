//! `cargo package-function`: builds the release, checks it, writes the package.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::{Arg, Parser, ValueExt as _};
use package_function::archive::Contents;
use package_function::executable::{self, Architecture, NEWEST_GLIBC};
use package_function::{compile, host_json, prove, stage};

const HELP: &str = "\
Builds the Function App's package: target/package/function.zip, and the same files in target/package/stage.

Usage: cargo package-function [--target x86_64|aarch64] [--out DIR] [--prove]

  --target  the machine it is for; Flex Consumption is x86_64, the default
  --out     where to write, instead of target/package
  --prove   start the package as the Functions host would, and ask it
";

/// What is asked for.
struct Options {
    architecture: Architecture,
    out: PathBuf,
    prove: bool,
}

fn main() -> ExitCode {
    match parse(Parser::from_env()) {
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Some(options)) => match package(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(cause) => failed(cause.as_ref()),
        },
        Err(cause) => {
            eprintln!("package-function: {cause}; see cargo package-function --help");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// None: help is asked for.
fn parse(mut parser: Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options { architecture: Architecture::X86_64, out: root().join("target/package"), prove: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("target") => {
                let name = parser.value()?.string()?;
                options.architecture = Architecture::named(&name)
                    .ok_or_else(|| format!("--target {name:?}: must be x86_64 or aarch64"))?;
            }
            Arg::Long("out") => options.out = parser.value()?.into(),
            Arg::Long("prove") => options.prove = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

fn package(options: &Options) -> Result<(), Box<dyn Error>> {
    let root = root();
    let host_json = fs::read(root.join("host.json"))?;
    host_json::check(&host_json)?;

    let target_dir = root.join("target");
    let tools = compile::find_tools(&root, options.architecture, environment);
    let plan = compile::plan(options.architecture, &tools, &target_dir)?;
    compile::run(&plan, &root, &cargo_home())?;

    let handler = fs::read(target_dir.join(&plan.executable))?;
    let found = executable::check(&handler, options.architecture, NEWEST_GLIBC)?;
    let package = stage::write(&options.out, Contents { host_json: &host_json, handler: &handler })?;
    println!("handler  {} bytes, {}, {}", handler.len(), found.architecture, found.linkage);
    println!("stage    {}", package.stage.display());
    println!("package  {}, {} bytes", package.zip.display(), package.zip_size);
    if options.prove {
        prove::prove(&package.zip)?;
        println!("proved   starts from a read-only folder and answers GET / with 204");
    }
    Ok(())
}

/// The workspace: cargo runs this program where it was compiled.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

fn cargo_home() -> PathBuf {
    let default = || Some(PathBuf::from(environment("HOME")?).join(".cargo"));
    environment("CARGO_HOME").map(PathBuf::from).or_else(default).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "main is where the environment is read")]
fn environment(variable: &str) -> Option<OsString> {
    std::env::var_os(variable)
}

/// Says what went wrong, with all its causes.
fn failed(error: &dyn Error) -> ExitCode {
    eprint!("package-function: {error}");
    let mut cause = error.source();
    while let Some(deeper) = cause {
        eprint!(": {deeper}");
        cause = deeper.source();
    }
    eprintln!();
    ExitCode::FAILURE
}

/// Wrong arguments.
const EXIT_USAGE: u8 = 2;
