//! The host's contract, with a handler that shows what it was given: `src/bin/test-handler.rs`.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests: helpers stop them too")]

mod configuration;
mod fixture;
mod lifecycle;
mod packages;
mod proxying;
mod startup;
mod streaming;
