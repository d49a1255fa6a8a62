//! A deployment package, mounted as Flex Consumption does: unpacked with the modes that the zip gives, and read-only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::error::HostError;

/// A mounted package; taken away when dropped.
#[derive(Debug)]
pub struct Package {
    root: PathBuf,
    /// Everything below the root, as it was mounted.
    entries: BTreeMap<PathBuf, Entry>,
}

/// One file or folder.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    /// A file's; folders have none.
    content: Option<Vec<u8>>,
}

impl Package {
    /// Unpacks the zip into `root`, a folder that does not exist yet.
    ///
    /// # Errors
    ///
    /// [`HostError::Package`]: no zip, an entry that leads out of the folder, or a file that its mode keeps from being read.
    pub fn mount(zip: &Path, root: &Path) -> Result<Self, HostError> {
        let fault = |problem: String| HostError::Package { path: zip.to_owned(), problem };
        let file = fs::File::open(zip).map_err(|cause| fault(cause.to_string()))?;
        let mut archive = ZipArchive::new(file).map_err(|cause| fault(cause.to_string()))?;
        for at in 0..archive.len() {
            let entry = archive.by_index(at).map_err(|cause| fault(cause.to_string()))?;
            let Some(name) = entry.enclosed_name() else {
                return Err(fault(format!("the entry {at} leads out of the package")));
            };
            // The host runs as another user than the one that unpacks.
            if entry.unix_mode().is_some_and(|mode| mode & 0o004 == 0) {
                return Err(fault(format!("{} is not readable for others (Permission denied)", name.display())));
            }
        }
        archive.extract(root).map_err(|cause| fault(cause.to_string()))?;
        protect(root, true);
        Ok(Self { root: root.to_owned(), entries: read(root) })
    }

    /// The app's root: what a host takes as its script root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is not as it was mounted: files and folders made, changed (their modes as well) or gone. For root, and tests
    /// often run as root, modes are no obstacle, so this is how a handler is found out that writes where it cannot on
    /// Flex Consumption. A file that was made and taken away again leaves no trace.
    #[must_use]
    pub fn changes(&self) -> Vec<PathBuf> {
        let now = read(&self.root);
        let differs = |path: &&PathBuf| now.get(*path) != self.entries.get(*path);
        let mut changed: Vec<PathBuf> = now.keys().chain(self.entries.keys()).filter(differs).cloned().collect();
        changed.sort();
        changed.dedup();
        changed
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        protect(&self.root, false);
        drop(fs::remove_dir_all(&self.root));
    }
}

/// Everything below the folder.
fn read(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let content = if path.is_dir() {
            entries.extend(read(&path));
            None
        } else {
            Some(fs::read(&path).unwrap_or_default())
        };
        entries.insert(path.clone(), Entry { mode: mode(&path), content });
    }
    entries
}

/// 0 where there are none.
fn mode(path: &Path) -> u32 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).map(|metadata| metadata.permissions().mode()).unwrap_or_default()
    }
    #[cfg(not(unix))]
    {
        _ = path;
        0
    }
}

/// Takes the right to write away from everything below, or gives it back to the owner.
fn protect(path: &Path, protected: bool) {
    let Ok(metadata) = fs::metadata(path) else { return };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = mode(path);
        let mode = if protected { mode & !0o222 } else { mode | 0o200 };
        drop(fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            protect(&entry.path(), protected);
        }
    }
}
