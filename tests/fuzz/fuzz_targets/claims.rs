//! Claims.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| shared::fuzzing::claims(input));
