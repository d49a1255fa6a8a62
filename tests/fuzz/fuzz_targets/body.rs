//! A request body: exactly one JSON value, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mcp::fuzzing_body(bytes));
