//! A claims challenge of Graph's.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| shared::fuzzing::challenge(input));
