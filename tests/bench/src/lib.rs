//! What measuring tools share: the release handler as a process, and a client that costs little.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::must_use_candidate,
    reason = "measuring tools: they read the clock, and what is not as expected stops them"
)]

pub mod connection;
pub mod figures;
pub mod machine;
pub mod server;
pub mod servers;
pub mod wrk;
