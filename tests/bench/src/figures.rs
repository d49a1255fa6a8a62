//! Figures as they are shown.

use std::time::Duration;

/// A count.
#[expect(clippy::cast_precision_loss, reason = "a figure to show")]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// Bytes in MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    number(bytes) / 1024.0 / 1024.0
}

/// A duration in microseconds.
pub fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
