//! The program that runs these tests is the executable under test, with one thing changed in it at a time.

use super::*;

fn this_program() -> Vec<u8> {
    std::fs::read(std::env::current_exe().unwrap()).unwrap()
}

fn refused(file: &[u8], allowed: GlibcVersion) -> String {
    check(file, HERE, allowed).unwrap_err().to_string()
}

/// Newer than any glibc there is.
const ANY: GlibcVersion = GlibcVersion::new(2, 999);

const HERE: Architecture = if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 };

const OTHER: Architecture = if cfg!(target_arch = "aarch64") { Architecture::X86_64 } else { Architecture::Aarch64 };

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod of_this_program {
    use super::*;

    fn newest() -> GlibcVersion {
        match inspect(&this_program()).unwrap().linkage {
            Linkage::Glibc { newest, .. } => newest,
            other => panic!("this program is {other}"),
        }
    }

    #[test]
    fn exactly_the_glibc_it_needs_is_enough() {
        check(&this_program(), HERE, newest()).unwrap();
    }

    #[test]
    fn an_older_glibc_is_not() {
        let older = GlibcVersion::new(newest().major, newest().minor - 1);
        let message = refused(&this_program(), older);
        let expected = format!("needs glibc {}, but only {older} is sure to be there;", newest());
        assert!(message.starts_with(&expected), "{message}");
    }

    #[test]
    fn the_limit_of_the_package_refuses_a_plain_build_on_a_newer_system() {
        let outcome = check(&this_program(), HERE, NEWEST_GLIBC);
        assert_eq!(outcome.is_err(), newest() > NEWEST_GLIBC, "{outcome:?}");
    }

    #[test]
    fn the_other_machine_is_refused() {
        let message = check(&this_program(), OTHER, ANY).unwrap_err().to_string();
        assert_eq!(message, format!("built for {HERE}, but {OTHER} is wanted"));
    }

    #[test]
    fn an_unknown_machine_is_refused() {
        let mut file = this_program();
        file[MACHINE] = 243;
        file[MACHINE + 1] = 0;
        assert_eq!(refused(&file, ANY), "built for another machine (ELF machine 243), not for x86_64 or aarch64");
    }

    #[test]
    fn a_32_bit_executable_is_refused() {
        let mut file = this_program();
        file[CLASS] = 1;
        assert_eq!(refused(&file, ANY), "not a 64-bit Linux executable (ELF)");
    }

    #[test]
    fn an_object_file_is_refused() {
        let mut file = this_program();
        file[TYPE] = 1;
        assert_eq!(refused(&file, ANY), "an ELF file, but no executable");
    }

    #[test]
    fn a_symbol_version_without_a_number_is_refused() {
        let name = format!("GLIBC_{}\0", newest());
        let odd = name.replace("GLIBC_2.", "GLIBC_x.");
        let file = renamed(this_program(), name.as_bytes(), odd.as_bytes());
        assert_eq!(refused(&file, ANY), format!("asks for {}, which not every glibc has", odd.trim_end_matches('\0')));
    }

    #[test]
    fn a_library_that_the_image_need_not_have_is_refused() {
        let file = renamed(this_program(), b"libc.so.6\0", b"libx.so.6\0");
        assert_eq!(refused(&file, ANY), "loads libx.so.6, which the Functions image need not have");
    }

    #[test]
    fn half_a_file_is_refused() {
        let mut file = this_program();
        file.truncate(file.len() / 2);
        assert_eq!(refused(&file, ANY), "the ELF file is damaged");
    }

    /// Without its interpreter the kernel takes it for static; the note of glibc's start code is still there.
    #[test]
    fn static_glibc_is_refused() {
        let file = without_interpreter(this_program());
        assert_eq!(
            refused(&file, ANY),
            "static glibc, which has crashed on Flex Consumption: link it dynamically, or build for musl"
        );
    }

    #[test]
    fn static_without_glibc_is_accepted() {
        let file =
            renamed_all(without_interpreter(this_program()), ABI_TAG_NOTE, b"\x04\0\0\0\x10\0\0\0\x01\0\0\0XNU\0");
        assert_eq!(check(&file, HERE, NEWEST_GLIBC).unwrap().linkage, Linkage::Static);
    }
}

#[test]
fn what_is_no_elf_is_refused() {
    for file in [b"".as_slice(), b"#!/bin/sh\n", b"MZ\x90\0", b"\x7fELF"] {
        assert_eq!(refused(file, ANY), "not a 64-bit Linux executable (ELF)");
    }
}

#[test]
fn versions_compare_as_numbers() {
    let version = |name| GlibcVersion::of_symbol(name);
    assert!(version("GLIBC_2.4") < version("GLIBC_2.31"));
    assert!(version("GLIBC_2.2.5") > version("GLIBC_2.2"));
    assert_eq!(version("GLIBC_2.31"), Some(NEWEST_GLIBC));
    for odd in ["GLIBC_PRIVATE", "GLIBC_ABI_DT_RELR", "GLIBC_2", "GLIBC_2.2.5.1", "GCC_3.0", "GLIBC_2.x"] {
        assert_eq!(version(odd), None, "{odd}");
    }
}

fn renamed(file: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert!(file.windows(from.len()).any(|window| window == from), "nothing to rename");
    renamed_all(file, from, to)
}

fn renamed_all(mut file: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        file.windows(from.len()).enumerate().filter(|(_, window)| *window == from).map(|(at, _)| at).collect();
    for at in places {
        file[at..at + to.len()].copy_from_slice(to);
    }
    file
}

/// The segment becomes one that nobody reads.
fn without_interpreter(mut file: Vec<u8>) -> Vec<u8> {
    let start = usize::try_from(u64::from_le_bytes(file[32..40].try_into().unwrap())).unwrap();
    for segment in 0..usize::from(u16::from_le_bytes([file[56], file[57]])) {
        let at = start + segment * 56;
        if file[at..at + 4] == [3, 0, 0, 0] {
            file[at..at + 4].fill(0);
        }
    }
    file
}

/// Offsets into the ELF header, and the head of glibc's note.
const CLASS: usize = 4;
const TYPE: usize = 16;
const MACHINE: usize = 18;
const ABI_TAG_NOTE: &[u8] = b"\x04\0\0\0\x10\0\0\0\x01\0\0\0GNU\0";
