//! An answer of the token endpoint's.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shared::fuzzing::token_answer(input));
