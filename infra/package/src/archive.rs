//! The package as a zip: two files, their modes, nothing that depends on when or where it was made.
//!
//! The content is mounted read-only on Flex Consumption, so the host's own `chmod` cannot help: the execute bit must come with
//! the zip, and it counts only in archives that say they were made on Unix.

use std::io::{Cursor, Write as _};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use crate::host_json::EXECUTABLE;

/// What goes into the package.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'file> {
    /// `host.json`.
    pub host_json: &'file [u8],
    /// The executable.
    pub handler: &'file [u8],
}

/// A file of the package.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'file> {
    /// Its name, at the root.
    pub name: &'static str,
    /// Its permissions on Unix.
    pub mode: u32,
    /// Its bytes.
    pub bytes: &'file [u8],
}

impl<'file> Contents<'file> {
    /// All there is in the package, in the order of the zip.
    #[must_use]
    pub fn entries(self) -> [Entry<'file>; 2] {
        [
            Entry { name: "host.json", mode: 0o644, bytes: self.host_json },
            Entry { name: EXECUTABLE, mode: 0o755, bytes: self.handler },
        ]
    }
}

/// The package's bytes: the same for the same contents, on any machine.
///
/// # Errors
///
/// [`ZipError`], if a file is too large for a zip.
pub fn zip(contents: Contents<'_>) -> Result<Vec<u8>, ZipError> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in contents.entries() {
        let options = SimpleFileOptions::DEFAULT
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::DEFAULT) // 1980-01-01, the first day a zip can tell
            .system(System::Unix)
            .unix_permissions(entry.mode);
        archive.start_file(entry.name, options)?;
        archive.write_all(entry.bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use zip::ZipArchive;

    use super::*;

    const CONTENTS: Contents<'static> = Contents { host_json: b"{\"version\":\"2.0\"}", handler: &[0x7f; 70_000] };

    /// The central directory's record at this index: what unzip programs and Azure go by.
    fn record(archive: &[u8], index: usize) -> &[u8] {
        let starts: Vec<usize> =
            archive.windows(4).enumerate().filter(|(_, four)| four == b"PK\x01\x02").map(|(at, _)| at).collect();
        assert_eq!(starts.len(), 2);
        &archive[starts[index]..]
    }

    #[test]
    fn exactly_two_entries_come_back_as_they_went_in() {
        let mut archive = ZipArchive::new(Cursor::new(zip(CONTENTS).unwrap())).unwrap();
        assert_eq!(archive.len(), 2);
        for (index, expected) in CONTENTS.entries().into_iter().enumerate() {
            let mut file = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!((file.name().unwrap().as_ref(), bytes.as_slice()), (expected.name, expected.bytes));
        }
    }

    #[test]
    fn modes_are_those_of_unix() {
        let archive = zip(CONTENTS).unwrap();
        for (index, mode) in [0o100_644_u32, 0o100_755].into_iter().enumerate() {
            let record = record(&archive, index);
            assert_eq!(record[5], 3, "made by Unix");
            assert_eq!(u32::from_le_bytes(record[38..42].try_into().unwrap()) >> 16, mode, "external attributes");
        }
    }

    #[test]
    fn nothing_depends_on_the_clock() {
        let archive = zip(CONTENTS).unwrap();
        for index in 0..2 {
            let record = record(&archive, index);
            assert_eq!(record[12..16], [0, 0, 0x21, 0], "1980-01-01 00:00:00 in DOS form");
            assert_eq!(record[30..34], [0, 0, 0, 0], "neither extra fields, which may carry times, nor comments");
        }
    }

    #[test]
    fn the_same_contents_give_the_same_bytes() {
        assert_eq!(zip(CONTENTS).unwrap(), zip(CONTENTS).unwrap());
    }
}
