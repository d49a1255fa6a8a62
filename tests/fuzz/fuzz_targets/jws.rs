//! A compact token before anything is believed.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| shared::fuzzing::jws(input));
