//! The whole product against the emulator: one binary, one file a behaviour.
//!
//! Every test drives the real router, most of them in process (`World::send`), some over a real socket or as the real
//! executable. While tests run, every log line at trace level is searched for every token and secret in use.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: what is not as expected must stop them, in their helpers too"
)]

mod audit;
mod crowd;
mod direct;
mod doctor;
mod documents;
mod executable;
mod hostile;
mod hosting;
mod isolation;
mod keys;
mod lambda;
mod limits;
mod logs;
mod managed_identity;
mod mapping;
mod mcp;
mod metadata;
mod mutations;
mod on_behalf_of;
mod robustness;
mod telemetry;
mod tools;
mod world;
