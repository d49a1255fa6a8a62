//! What the handler writes, with the severity that the host gives it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use crate::lock;

/// Severity as the host logs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A line on stdout.
    Information,
    /// A line on stderr that contains "warn".
    Warning,
    /// Any other line on stderr.
    Error,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that the handler wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Severity as the host logs it.
    pub level: Level,
    /// Where it came from.
    pub stream: Stream,
    /// The line.
    pub text: String,
}

/// Every line since the host was started, over all of its handlers.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<Vec<LogLine>>);

impl Logs {
    pub(crate) fn lines(&self) -> Vec<LogLine> {
        lock(&self.0).clone()
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// The last three lines on stderr after the first `start` lines: what the host quotes when its handler ends.
    pub(crate) fn last_words(&self, start: usize) -> String {
        let logs = lock(&self.0);
        let errors = logs.iter().skip(start).filter(|line| line.stream == Stream::Stderr);
        let errors: Vec<&str> = errors.map(|line| line.text.as_str()).collect();
        errors.get(errors.len().saturating_sub(3)..).unwrap_or_default().join(" | ")
    }

    /// Reads to the end. What is no UTF-8 is shown as such: a reader that stops would stop the handler too.
    pub(crate) async fn collect(self: Arc<Self>, stream: Stream, pipe: impl AsyncRead + Unpin) {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            lock(&self.0).push(LogLine { level: level(stream, &text), stream, text });
            line.clear();
        }
    }
}

fn level(stream: Stream, text: &str) -> Level {
    match stream {
        Stream::Stdout => Level::Information,
        Stream::Stderr if text.to_ascii_lowercase().contains("warn") => Level::Warning,
        Stream::Stderr => Level::Error,
    }
}
