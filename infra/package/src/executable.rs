//! What an ELF executable asks of the machine it starts on, and whether the Functions image has that.
//!
//! Azure's image for Flex Consumption is not documented; published Functions images are Debian 11 and 12. The older has glibc
//! 2.31, so that is the most an executable may ask for. Static glibc is refused: a program linked so
//! has crashed on Flex Consumption (Azure/Azure-Functions#2643).

use std::fmt;

use object::elf::{self, Machine};

pub use self::glibc::GlibcVersion;
pub use self::read::inspect;

mod glibc;
mod read;

/// What [`inspect`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// The machine it runs on.
    pub architecture: Architecture,
    /// What it loads when it starts.
    pub linkage: Linkage,
}

/// What an executable loads when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// Nothing: musl, most likely.
    Static,
    /// Nothing, but glibc is inside.
    StaticGlibc,
    /// Shared libraries of glibc.
    Glibc {
        /// The newest symbol version asked for: on an older glibc it does not start.
        newest: GlibcVersion,
        /// File names, as the executable names them.
        libraries: Vec<String>,
    },
}

/// The machines that the package can be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// What Flex Consumption runs.
    X86_64,
    /// For containers and Lambda on Arm.
    Aarch64,
}

impl Architecture {
    /// As target triples spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::X86_64, Self::Aarch64].into_iter().find(|architecture| architecture.name() == name)
    }

    fn of(machine: Machine) -> Option<Self> {
        match machine {
            elf::EM_X86_64 => Some(Self::X86_64),
            elf::EM_AARCH64 => Some(Self::Aarch64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl fmt::Display for Linkage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => out.write_str("static"),
            Self::StaticGlibc => out.write_str("static glibc"),
            Self::Glibc { newest, .. } => write!(out, "glibc {newest} or newer"),
        }
    }
}

/// The newest glibc that an executable in the package may ask for: Debian 11's.
pub const NEWEST_GLIBC: GlibcVersion = GlibcVersion::new(2, 31);

/// What every image with glibc has; `libgcc_s` comes with it in all of Debian's.
const LIBRARIES: [&str; 8] = [
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
];

/// Why an executable cannot go into the package.
#[derive(Debug, thiserror::Error)]
pub enum ExecutableError {
    /// No ELF at all: a macOS or Windows build, perhaps.
    #[error("not a 64-bit Linux executable (ELF)")]
    NotElf64,
    /// ELF that cannot be read to its end.
    #[error("the ELF file is damaged")]
    Damaged(#[from] object::read::Error),
    /// An object file or a core dump.
    #[error("an ELF file, but no executable")]
    NotExecutable,
    /// A machine that the package is never built for.
    #[error("built for another machine (ELF machine {0}), not for x86_64 or aarch64")]
    UnknownArchitecture(u16),
    /// The other machine.
    #[error("built for {found}, but {wanted} is wanted")]
    WrongArchitecture {
        /// What it was built for.
        found: Architecture,
        /// What the package is for.
        wanted: Architecture,
    },
    /// It would not start on the Functions image.
    #[error(
        "needs glibc {needed}, but only {allowed} is sure to be there; build for musl or, with cargo-zigbuild, for gnu.{allowed}"
    )]
    GlibcTooNew {
        /// The newest symbol version it asks for.
        needed: GlibcVersion,
        /// The newest that is allowed.
        allowed: GlibcVersion,
    },
    /// A symbol version that says no number, such as `GLIBC_PRIVATE`.
    #[error("asks for {0}, which not every glibc has")]
    UnknownVersion(String),
    /// glibc linked statically.
    #[error("static glibc, which has crashed on Flex Consumption: link it dynamically, or build for musl")]
    StaticGlibc,
    /// Dynamically linked, but not to glibc: musl's loader, say.
    #[error("dynamically linked to something other than glibc")]
    NotGlibc,
    /// A library that the image need not have.
    #[error("loads {0}, which the Functions image need not have")]
    UnknownLibrary(String),
}

/// Whether this executable starts on `wanted` with a glibc of `allowed` or newer.
///
/// # Errors
///
/// [`ExecutableError`]: why not.
pub fn check(file: &[u8], wanted: Architecture, allowed: GlibcVersion) -> Result<Executable, ExecutableError> {
    let executable = inspect(file)?;
    if executable.architecture != wanted {
        return Err(ExecutableError::WrongArchitecture { found: executable.architecture, wanted });
    }
    match &executable.linkage {
        Linkage::Static => {}
        Linkage::StaticGlibc => return Err(ExecutableError::StaticGlibc),
        Linkage::Glibc { newest, libraries } => {
            if *newest > allowed {
                return Err(ExecutableError::GlibcTooNew { needed: *newest, allowed });
            }
            if let Some(unknown) = libraries.iter().find(|library| !LIBRARIES.contains(&library.as_str())) {
                return Err(ExecutableError::UnknownLibrary(unknown.clone()));
            }
        }
    }
    Ok(executable)
}

#[cfg(test)]
mod tests;
