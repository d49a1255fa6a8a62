//! Reading an ELF file: as much as the kernel and the loader look at before the program runs.

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionTable};
use object::{Endianness, FileKind, StringTable};

use super::glibc::SYMBOL_PREFIX;
use super::{Architecture, Executable, ExecutableError, GlibcVersion, Linkage};

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
