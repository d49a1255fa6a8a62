//! A key set document.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shared::fuzzing::key_set(input));
