//! Which file the host runs, and whether it can.

use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::HostError;

/// The executable below the script root, or else the first of that name on `PATH`.
pub(crate) fn resolve(script_root: &Path, executable: &str, environment: &Environment) -> Result<PathBuf, HostError> {
    let path = script_root.join(executable);
    let on_path = || {
        let folders = std::env::split_paths(environment.get("PATH").unwrap_or_default());
        folders.map(|folder| folder.join(executable)).find(|path| path.is_file())
    };
    let found = if path.is_file() { Some(path.clone()) } else { on_path() };
    let missing = || HostError::Executable {
        path,
        problem: "is not there, nor on PATH; build it, or set customHandler.description.defaultExecutablePath"
            .to_owned(),
    };
    found.ok_or_else(missing).and_then(runnable)
}

/// A package on Flex is read-only, so the host's own `chmod` does not help there; Core Tools do not even try.
fn runnable(path: PathBuf) -> Result<PathBuf, HostError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
        if mode & 0o111 == 0 {
            let problem =
                "has no execute permission (the host says: Permission denied); ship it with mode 0755".to_owned();
            return Err(HostError::Executable { path, problem });
        }
    }
    Ok(path)
}
