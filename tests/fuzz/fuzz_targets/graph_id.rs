//! An identifier in a path of Graph's.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| shared::fuzzing::graph_id(input));
