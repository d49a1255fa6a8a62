//! Versions of glibc.

use std::fmt;

/// A version of glibc, as symbols carry it: `GLIBC_2.31` or `GLIBC_2.2.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GlibcVersion {
    pub(super) major: u16,
    pub(super) minor: u16,
    patch: u16,
}

impl GlibcVersion {
    /// `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor, patch: 0 }
    }

    /// The version in `GLIBC_2.2.5`; none for `GLIBC_PRIVATE`, `GLIBC_ABI_DT_RELR` and the like.
    pub(super) fn of_symbol(name: &str) -> Option<Self> {
        let mut numbers = name.strip_prefix(SYMBOL_PREFIX)?.split('.').map(|number| number.parse().ok());
        let version =
            Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next().unwrap_or(Some(0))? };
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for GlibcVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 {
            write!(out, ".{}", self.patch)?;
        }
        Ok(())
    }
}

/// What the versions of glibc's symbols begin with; others (`GCC_3.0`) are other libraries'.
pub(super) const SYMBOL_PREFIX: &str = "GLIBC_";
