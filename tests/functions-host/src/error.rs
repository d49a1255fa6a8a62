//! What keeps a host from starting.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the host does not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The host's own port.
    #[error("cannot listen: {0}")]
    Listen(#[source] io::Error),
    /// host.json is missing or unreadable.
    #[error("{path}: {cause}", path = .0.display(), cause = .1)]
    HostJson(PathBuf, String),
    /// A member of host.json is at fault.
    #[error("host.json, {member}: {problem}")]
    Member {
        /// Where, as a path of member names.
        member: &'static str,
        /// What the real host says, or does without a word.
        problem: String,
    },
    /// An app setting is at fault.
    #[error("{name}: {problem}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What the real host does with it.
        problem: String,
    },
    /// The package cannot be mounted.
    #[error("{path}: {problem}", path = .path.display())]
    Package {
        /// The zip.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The executable is not there or cannot be run.
    #[error("{path}: {problem}", path = .path.display())]
    Executable {
        /// The executable.
        path: PathBuf,
        /// What is wrong, and what mends it.
        problem: String,
    },
    /// The handler ended before it answered.
    #[error("the handler ended before it was ready ({status}); its last words: {last_words}")]
    Ended {
        /// Its exit status.
        status: String,
        /// The last lines on stderr.
        last_words: String,
    },
    /// The handler did not answer in time.
    #[error(
        "the handler did not answer on port {port} within {limit:?}; does it listen on FUNCTIONS_CUSTOMHANDLER_PORT of 127.0.0.1?"
    )]
    NotReady {
        /// The port it was told.
        port: u16,
        /// `customHandler.initializationTimeout`.
        limit: Duration,
    },
}

impl HostError {
    pub(crate) fn member(member: &'static str, problem: impl Into<String>) -> Self {
        Self::Member { member, problem: problem.into() }
    }
}
