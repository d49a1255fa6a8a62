//! Makes the package of the Function App: `host.json` and `handler`, nothing else.
//!
//! | Module | Job | Touches |
//! |---|---|---|
//! | [`cli`] | the command line | nothing |
//! | [`executable`] | what an ELF file asks of the machine it starts on, and whether the Functions image has that | nothing |
//! | [`host_json`] | whether the host would start our executable | nothing |
//! | [`archive`] | the zip: entries, modes, order, times; same input, same bytes | nothing |
//! | [`compile`] | which build makes an executable for older glibc; running it | tools, processes |
//! | [`stage`] | the folder and the zip on disk | files |
//! | [`prove`] | starts the package as the host would and asks it | files, a process, loopback |
//!
//! `main` joins them. Nothing is written before every check has passed.

pub mod archive;
pub mod cli;
pub mod compile;
pub mod executable;
pub mod host_json;
pub mod prove;
pub mod stage;

#[cfg(test)]
mod repository;
