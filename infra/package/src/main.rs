//! `cargo package-function`: builds the release, checks it, writes the package.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use package_function::archive::Contents;
use package_function::cli::{self, Command, Options};
use package_function::executable::{self, NEWEST_GLIBC};
use package_function::{compile, host_json, prove, stage};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            print!("{}", cli::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::Package(options)) => match package(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(cause) => failed(cause.as_ref()),
        },
        Err(cause) => {
            eprintln!("package-function: {cause}; see cargo package-function --help");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn package(options: &Options) -> Result<(), Box<dyn Error>> {
    let root = root();
    let host_json = read(&root.join("host.json"))?;
    host_json::check(&host_json)?;

    let target_dir = root.join("target");
    let tools = compile::find_tools(&root, options.architecture, environment);
    let plan = compile::plan(options.architecture, &tools, &target_dir)?;
    compile::run(&plan, &root, &cargo_home())?;

    let handler = read(&target_dir.join(&plan.executable))?;
    let found = executable::check(&handler, options.architecture, NEWEST_GLIBC)?;
    let out = options.out.clone().unwrap_or_else(|| target_dir.join("package"));
    let package = stage::write(&out, Contents { host_json: &host_json, handler: &handler })?;
    println!("handler  {} bytes, {}, {}", handler.len(), found.architecture, found.linkage);
    println!("stage    {}", package.stage.display());
    println!("package  {}, {} bytes", package.zip.display(), package.zip_size);
    if options.prove {
        prove::prove(&package.zip)?;
        println!("proved   starts from a read-only folder and answers GET / with 204");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|cause| format!("cannot read {}: {cause}", path.display()))
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
