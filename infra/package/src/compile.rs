//! Which build makes an executable that starts on older glibc, and running it.
//!
//! musl first: it asks nothing of the image. Without musl's standard library, cargo-zigbuild links against the symbols of an old
//! glibc, whatever this machine has. A plain build would ask for this machine's glibc, so it is never taken.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::executable::{Architecture, NEWEST_GLIBC};
use crate::host_json::EXECUTABLE;

/// What there is on this machine to build with.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    /// Rust's standard library for musl.
    pub musl_std: bool,
    /// Rust's standard library for glibc.
    pub gnu_std: bool,
    /// cargo-zigbuild, and with it a linker and C compiler for every target.
    pub zigbuild: Option<Zigbuild>,
}

/// cargo-zigbuild.
#[derive(Clone, Debug)]
pub struct Zigbuild {
    /// Its path.
    pub program: PathBuf,
    /// How it comes by zig.
    pub zig: Zig,
}

/// Where zig is.
#[derive(Clone, Debug)]
pub enum Zig {
    /// The package `ziglang` of this Python.
    Python(PathBuf),
    /// `zig` on PATH.
    OnPath,
}

/// A build to run.
#[derive(Debug)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Environment variables to set.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where the executable will be, below the target directory.
    pub executable: PathBuf,
}

/// Why nothing can be built.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No standard library for this architecture.
    #[error("Rust's standard library for {0} is missing; install it: rustup target add {0}-unknown-linux-musl")]
    NoStandardLibrary(Architecture),
    /// Neither musl nor zig.
    #[error(
        "nothing here links for glibc {NEWEST_GLIBC}; install either musl's standard library:\n  \
         rustup target add {0}-unknown-linux-musl && sudo apt-get install musl-tools\n\
         or cargo-zigbuild and zig, on PATH or in target/tools:\n  \
         cargo install --locked cargo-zigbuild && pip install ziglang"
    )]
    NoLinker(Architecture),
    /// The build did not start.
    #[error("cannot run {program}")]
    NotStarted {
        /// What should have run.
        program: PathBuf,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
    /// The build failed; it has said why.
    #[error("the build failed ({0})")]
    Failed(ExitStatus),
}

/// The build to run for this architecture, given these tools.
///
/// # Errors
///
/// [`CompileError`], naming what to install.
pub fn plan(architecture: Architecture, tools: &Tools, target_dir: &Path) -> Result<Plan, CompileError> {
    let libc = match (tools.musl_std, tools.gnu_std, &tools.zigbuild) {
        (true, _, _) => "musl",
        (false, false, _) => return Err(CompileError::NoStandardLibrary(architecture)),
        (false, true, None) => return Err(CompileError::NoLinker(architecture)),
        (false, true, Some(_)) => "gnu",
    };
    let triple = format!("{architecture}-unknown-linux-{libc}");
    let wanted = if tools.musl_std { triple.clone() } else { format!("{triple}.{NEWEST_GLIBC}") };
    let (program, verb) = match &tools.zigbuild {
        Some(zigbuild) => (zigbuild.program.clone(), "zigbuild"),
        // aws-lc then needs musl-gcc, and says so.
        None => (PathBuf::from("cargo"), "build"),
    };
    let mut arguments: Vec<String> =
        [verb, "--release", "--locked", "--package", EXECUTABLE, "--bin", EXECUTABLE].map(str::to_owned).to_vec();
    arguments.extend(["--target".to_owned(), wanted, "--target-dir".to_owned(), target_dir.display().to_string()]);
    let environment = match &tools.zigbuild {
        Some(Zigbuild { zig: Zig::Python(python), .. }) => vec![(PYTHON, python.clone().into_os_string())],
        _ => Vec::new(),
    };
    Ok(Plan { program, arguments, environment, executable: [&triple, "release", EXECUTABLE].iter().collect() })
}

/// What is here to build with: cargo-zigbuild from `target/tools` before the one on PATH, since that is the pinned one.
pub fn find_tools(root: &Path, architecture: Architecture, lookup: impl Fn(&str) -> Option<OsString>) -> Tools {
    let tools = root.join("target/tools");
    let mut folders = vec![tools.join("bin"), tools.join("zig/bin")];
    folders.extend(lookup("PATH").iter().flat_map(std::env::split_paths));
    let name = format!("cargo-zigbuild{}", std::env::consts::EXE_SUFFIX);
    let program = folders.iter().map(|folder| folder.join(name.as_str())).find(|program| program.is_file());
    let pythons = lookup(PYTHON).map(PathBuf::from).into_iter().chain([tools.join("zig/bin/python"), "python3".into()]);
    let zig = || {
        pythons
            .clone()
            .find(|python| succeeds(Command::new(python).args(["-m", "ziglang", "version"])))
            .map(Zig::Python)
            .or_else(|| succeeds(Command::new("zig").arg("version")).then_some(Zig::OnPath))
    };
    let has_std = |libc| has_standard_library(root, &format!("{architecture}-unknown-linux-{libc}"));
    Tools {
        musl_std: has_std("musl"),
        gnu_std: has_std("gnu"),
        zigbuild: program.and_then(|program| Some(Zigbuild { program, zig: zig()? })),
    }
}

/// Builds, in `root`, and shows what the build says. No path of this machine stays in the executable.
///
/// # Errors
///
/// [`CompileError`], if it does not start or fails.
pub fn run(plan: &Plan, root: &Path, cargo_home: &Path) -> Result<(), CompileError> {
    let flags = [(cargo_home, "/cargo"), (root, "/src")]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .join("\x1f");
    let status = Command::new(&plan.program)
        .args(&plan.arguments)
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .current_dir(root)
        .status()
        .map_err(|cause| CompileError::NotStarted { program: plan.program.clone(), cause })?;
    if status.success() { Ok(()) } else { Err(CompileError::Failed(status)) }
}

/// Where cargo-zigbuild looks for the Python that has zig.
const PYTHON: &str = "CARGO_ZIGBUILD_PYTHON_PATH";

fn has_standard_library(root: &Path, triple: &str) -> bool {
    // rustc names the folder whether or not it is there.
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", triple]).current_dir(root).stderr(Stdio::null());
    let Ok(output) = rustc.output() else { return false };
    let folder = String::from_utf8_lossy(&output.stdout);
    output.status.success() && Path::new(folder.trim_end()).is_dir()
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zigbuild() -> Zigbuild {
        Zigbuild { program: "/tools/cargo-zigbuild".into(), zig: Zig::Python("/tools/python".into()) }
    }

    /// What would be run, or why nothing.
    fn planned(architecture: Architecture, tools: &Tools) -> String {
        match plan(architecture, tools, Path::new("target")) {
            Ok(plan) => format!("{} {}", plan.program.display(), plan.arguments.join(" ")),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn musl_goes_first() {
        let tools = Tools { musl_std: true, gnu_std: true, zigbuild: None };
        assert_eq!(
            planned(Architecture::X86_64, &tools),
            "cargo build --release --locked --package handler --bin handler --target x86_64-unknown-linux-musl --target-dir target"
        );
    }

    #[test]
    fn zig_compiles_the_c_of_a_musl_build_too() {
        let tools = Tools { musl_std: true, gnu_std: true, zigbuild: Some(zigbuild()) };
        assert!(planned(Architecture::X86_64, &tools).starts_with("/tools/cargo-zigbuild zigbuild --release"));
    }

    #[test]
    fn without_musl_the_build_is_for_an_old_glibc() {
        let tools = Tools { musl_std: false, gnu_std: true, zigbuild: Some(zigbuild()) };
        let plan = plan(Architecture::Aarch64, &tools, Path::new("target")).unwrap();
        assert!(plan.arguments.contains(&"aarch64-unknown-linux-gnu.2.31".to_owned()));
        assert_eq!(plan.executable, Path::new("aarch64-unknown-linux-gnu/release/handler"));
        assert_eq!(plan.environment, [(PYTHON, OsString::from("/tools/python"))]);
    }

    #[test]
    fn without_either_the_message_says_what_to_install() {
        let message = planned(Architecture::X86_64, &Tools { gnu_std: true, ..Tools::default() });
        for command in [
            "rustup target add x86_64-unknown-linux-musl",
            "cargo install --locked cargo-zigbuild",
            "pip install ziglang",
        ] {
            assert!(message.contains(command), "{command} is not in: {message}");
        }
    }

    #[test]
    fn without_a_standard_library_zig_does_not_help() {
        let message = planned(Architecture::Aarch64, &Tools { zigbuild: Some(zigbuild()), ..Tools::default() });
        assert!(message.ends_with("rustup target add aarch64-unknown-linux-musl"), "{message}");
    }
}
