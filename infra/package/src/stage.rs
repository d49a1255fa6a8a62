//! The package on disk: `stage/` with exactly its files (what `func … publish` takes), and `function.zip`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::archive::{self, Contents};

/// What was written.
#[derive(Debug)]
pub struct Package {
    /// The folder.
    pub stage: PathBuf,
    /// The zip.
    pub zip: PathBuf,
    /// The zip's size in bytes.
    pub zip_size: usize,
}

/// Why the package cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The system's refusal.
    #[error("cannot write {path}")]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A file of someone else's: it would be published too.
    #[error("{folder} has a file that is not of the package: {file:?}; remove it")]
    Foreign {
        /// The staging folder.
        folder: PathBuf,
        /// The file.
        file: OsString,
    },
    /// The zip cannot be made.
    #[error("cannot make the zip")]
    Zip(#[from] zip::result::ZipError),
}

/// Writes `stage/` and `function.zip` into this folder, replacing an earlier package.
///
/// # Errors
///
/// [`StageError`], if a file is in the way.
pub fn write(out: &Path, contents: Contents<'_>) -> Result<Package, StageError> {
    let bytes = archive::zip(contents)?;
    let stage = out.join("stage");
    attempt(&stage, fs::create_dir_all(&stage))?;
    for present in attempt(&stage, fs::read_dir(&stage))? {
        let file = attempt(&stage, present)?.file_name();
        if !contents.entries().iter().any(|entry| file == entry.name) {
            return Err(StageError::Foreign { folder: stage, file });
        }
    }
    for entry in contents.entries() {
        replace(&stage.join(entry.name), entry.bytes, entry.mode)?;
    }
    let zip = out.join("function.zip");
    replace(&zip, &bytes, 0o644)?;
    Ok(Package { stage, zip, zip_size: bytes.len() })
}

/// Removes first: an executable that runs cannot be written to, and a link would be followed.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StageError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => fs::write(path, bytes).and_then(|()| set_mode(path, mode)),
    }
    .map_err(|cause| StageError::Io { path: path.to_owned(), cause })
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

fn attempt<T>(path: &Path, result: io::Result<T>) -> Result<T, StageError> {
    result.map_err(|cause| StageError::Io { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENTS: Contents<'static> = Contents { host_json: b"{}", handler: b"#!/bin/sh\n" };

    #[cfg(unix)]
    #[test]
    fn the_folder_has_exactly_the_packages_files_with_their_modes() {
        use std::os::unix::fs::PermissionsExt as _;
        let out = tempfile::tempdir().unwrap();
        let package = write(out.path(), CONTENTS).unwrap();
        let mut files: Vec<(OsString, u32)> = fs::read_dir(package.stage)
            .unwrap()
            .map(|file| file.unwrap())
            .map(|file| (file.file_name(), file.metadata().unwrap().permissions().mode() & 0o7777))
            .collect();
        files.sort();
        assert_eq!(files, [("handler".into(), 0o755), ("host.json".into(), 0o644)]);
    }

    #[test]
    fn a_second_package_replaces_the_first_with_the_same_bytes() {
        let out = tempfile::tempdir().unwrap();
        let first = fs::read(write(out.path(), CONTENTS).unwrap().zip).unwrap();
        let second = fs::read(write(out.path(), CONTENTS).unwrap().zip).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn a_foreign_file_is_neither_published_nor_deleted() {
        let out = tempfile::tempdir().unwrap();
        let secret = out.path().join("stage/local.settings.json");
        fs::create_dir(out.path().join("stage")).unwrap();
        fs::write(&secret, "{}").unwrap();
        let refusal = write(out.path(), CONTENTS).unwrap_err().to_string();
        assert!(
            refusal.ends_with(r#"has a file that is not of the package: "local.settings.json"; remove it"#),
            "{refusal}"
        );
        assert!(secret.exists());
    }
}
