//! What came back, and how soon.

use std::collections::BTreeMap;
use std::time::Duration;

/// Answers by status, each with the time it took.
#[derive(Debug, Default)]
pub(crate) struct Answers(BTreeMap<u16, Vec<Duration>>);

impl Answers {
    pub(crate) fn add(&mut self, status: u16, took: Duration) {
        self.0.entry(status).or_default().push(took);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (status, times) in other.0 {
            self.0.entry(status).or_default().extend(times);
        }
    }

    pub(crate) fn count(&self, status: u16) -> usize {
        self.0.get(&status).map_or(0, Vec::len)
    }

    /// Those with this status.
    pub(crate) fn only(&self, status: u16) -> Self {
        Self(self.0.get(&status).map(|times| (status, times.clone())).into_iter().collect())
    }

    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.0.keys().copied().collect()
    }

    /// The time within which so many of a hundred answers with this status came.
    pub(crate) fn percentile(&self, status: u16, percent: usize) -> Option<Duration> {
        let mut times = self.0.get(&status)?.clone();
        times.sort_unstable();
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied()
    }

    /// Each status with its count and 99th percentile.
    pub(crate) fn summary(&self) -> String {
        let each = |status: &u16| {
            let p99 = self.percentile(*status, 99).unwrap_or_default();
            format!("{status} x {}, p99 {:.1} ms", self.count(*status), milliseconds(p99))
        };
        self.0.keys().map(each).collect::<Vec<_>>().join("; ")
    }
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
