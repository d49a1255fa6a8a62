//! What an ELF executable asks of the machine it starts on.
//!
//! Azure's image for Flex Consumption is not documented; published Functions images are Debian 11 and 12. The older has glibc
//! 2.31, so that is the most an executable may ask for. Static glibc is refused: such binaries have crashed there
//! (Azure/Azure-Functions#2643), since glibc loads parts of itself at run time whatever was linked.

use std::fmt;

use object::elf::{self, FileHeader64, Machine};
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _, SectionTable};
use object::{Endianness, FileKind, StringTable};

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

/// A version of glibc, as symbols carry it: `GLIBC_2.31` or `GLIBC_2.2.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GlibcVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

impl GlibcVersion {
    /// `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor, patch: 0 }
    }

    /// The version in `GLIBC_2.2.5`; none for `GLIBC_PRIVATE`, `GLIBC_ABI_DT_RELR` and the like.
    fn of_symbol(name: &str) -> Option<Self> {
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

const SYMBOL_PREFIX: &str = "GLIBC_";

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

/// What this executable asks of the machine it starts on.
///
/// # Errors
///
/// [`ExecutableError`], if it is none or asks for what has no number.
pub fn inspect(file: &[u8]) -> Result<Executable, ExecutableError> {
    if !matches!(FileKind::parse(file), Ok(FileKind::Elf64)) {
        return Err(ExecutableError::NotElf64);
    }
    let header = FileHeader64::<Endianness>::parse(file)?;
    let elf = Elf { file, header, endian: header.endian()?, sections: header.sections(header.endian()?, file)? };
    if ![elf::ET_EXEC, elf::ET_DYN].contains(&header.e_type(elf.endian)) {
        return Err(ExecutableError::NotExecutable);
    }
    let machine = header.e_machine(elf.endian);
    let architecture = Architecture::of(machine).ok_or(ExecutableError::UnknownArchitecture(machine.0))?;
    Ok(Executable { architecture, linkage: elf.linkage()? })
}

/// An ELF file with its tables found.
struct Elf<'file> {
    file: &'file [u8],
    header: &'file FileHeader64<Endianness>,
    endian: Endianness,
    sections: SectionTable<'file, FileHeader64<Endianness>>,
}

impl<'file> Elf<'file> {
    /// The segments decide, not the sections: they are what the kernel and the loader read.
    fn linkage(&self) -> Result<Linkage, ExecutableError> {
        let segments = self.header.program_headers(self.endian, self.file)?;
        if segments.iter().any(|segment| segment.p_type(self.endian) == elf::PT_INTERP) {
            let newest = self.newest_glibc()?.ok_or(ExecutableError::NotGlibc)?;
            return Ok(Linkage::Glibc { newest, libraries: self.libraries()? });
        }
        for segment in segments {
            let Some(mut notes) = segment.notes(self.endian, self.file)? else { continue };
            while let Some(note) = notes.next()? {
                // glibc's start code carries this note; musl's does not.
                if note.name() == elf::ELF_NOTE_GNU && note.n_type(self.endian) == elf::NT_GNU_ABI_TAG {
                    return Ok(Linkage::StaticGlibc);
                }
            }
        }
        Ok(Linkage::Static)
    }

    fn newest_glibc(&self) -> Result<Option<GlibcVersion>, ExecutableError> {
        let Some((needs, link)) = self.sections.gnu_verneed(self.endian, self.file)? else { return Ok(None) };
        let names = self.sections.strings(self.endian, self.file, link)?;
        let mut newest = None;
        for need in needs {
            for version in need?.1 {
                let name = text(version?.name(self.endian, names)?);
                if name.starts_with(SYMBOL_PREFIX) {
                    let version = GlibcVersion::of_symbol(&name).ok_or(ExecutableError::UnknownVersion(name))?;
                    newest = newest.max(Some(version));
                }
            }
        }
        Ok(newest)
    }

    fn libraries(&self) -> Result<Vec<String>, ExecutableError> {
        let Some((entries, link)) = self.sections.dynamic(self.endian, self.file)? else { return Ok(Vec::new()) };
        let names: StringTable<'file> = self.sections.strings(self.endian, self.file, link)?;
        let needed = entries.iter().filter(|entry| entry.tag(self.endian) == elf::DT_NEEDED);
        needed.map(|entry| Ok(text(entry.string(self.endian, names)?))).collect()
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests;
