//! Checks of `infra/`, for there is no Bicep compiler here: files parse, names resolve, modules fit together, and what must
//! or must not be in a deployment is or is not.
//!
//! Property names and values are held against a snapshot of Azure's published types; `az bicep build` in the template's own
//! workflow has the last word.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "test support: a broken fixture must stop the test"
)]

pub mod bicep;
pub mod policy;
pub mod types;
pub mod wiring;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bicep::Template;

/// Every Bicep file below `infra/`, by its path from there.
#[derive(Clone, Debug)]
pub struct Files(BTreeMap<String, String>);

/// Something that is wrong, in a sentence that names the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding(pub String);

impl Files {
    /// The repository's own.
    #[must_use]
    pub fn of_the_repository() -> Self {
        let root = folder();
        let mut files = BTreeMap::new();
        for folder in [root.clone(), root.join("modules")] {
            for entry in std::fs::read_dir(folder).expect("infra is there").flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "bicep") {
                    let name = path.strip_prefix(&root).expect("below infra").to_string_lossy().into_owned();
                    files.insert(name, std::fs::read_to_string(&path).expect("a text file"));
                }
            }
        }
        Self(files)
    }

    /// The same with one text in one file replaced: a broken sample.
    #[must_use]
    pub fn with(&self, file: &str, old: &str, new: &str) -> Self {
        let mut files = self.0.clone();
        let text = files.get_mut(file).expect("the file is there");
        assert!(text.contains(old), "{file} has no {old:?}");
        *text = text.replacen(old, new, 1);
        Self(files)
    }

    /// Each file, parsed.
    #[must_use]
    pub fn templates(&self) -> BTreeMap<String, Template> {
        self.0.iter().map(|(name, text)| (name.clone(), Template::parse(text))).collect()
    }

    /// Everything that is wrong with them.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let templates = self.templates();
        let mut findings = wiring::findings(&templates);
        findings.extend(policy::findings(&templates));
        findings.extend(types::findings(&templates));
        findings
    }
}

/// `infra/`.
#[must_use]
pub fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the repository").join("infra")
}
