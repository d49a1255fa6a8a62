//! What came back, and how soon.

use std::collections::BTreeMap;
use std::time::Duration;

use bench::figures::milliseconds;

/// Answers by status, each with the time it took.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    by_status: BTreeMap<u16, Vec<Duration>>,
    /// Connections that ended before an answer was there.
    lost: usize,
}

impl Answers {
    pub(crate) fn add(&mut self, status: u16, took: Duration) {
        self.by_status.entry(status).or_default().push(took);
    }

    pub(crate) fn add_lost(&mut self) {
        self.lost += 1;
    }

    pub(crate) fn lost(&self) -> usize {
        self.lost
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.lost += other.lost;
        for (status, times) in other.by_status {
            self.by_status.entry(status).or_default().extend(times);
        }
    }

    pub(crate) fn count(&self, status: u16) -> usize {
        self.by_status.get(&status).map_or(0, Vec::len)
    }

    /// Those with this status.
    pub(crate) fn only(&self, status: u16) -> Self {
        let by_status = self.by_status.get(&status).map(|times| (status, times.clone())).into_iter().collect();
        Self { by_status, lost: 0 }
    }

    pub(crate) fn total(&self) -> usize {
        self.by_status.values().map(Vec::len).sum()
    }

    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.by_status.keys().copied().collect()
    }

    /// The time within which so many of a hundred answers with this status came.
    pub(crate) fn percentile(&self, status: u16, percent: usize) -> Option<Duration> {
        let mut times = self.by_status.get(&status)?.clone();
        times.sort_unstable();
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied()
    }

    /// Each status with its count and 99th percentile.
    pub(crate) fn summary(&self) -> String {
        let each = |status: &u16| {
            let p99 = self.percentile(*status, 99).unwrap_or_default();
            format!("{status} x {}, p99 {:.1} ms", self.count(*status), milliseconds(p99))
        };
        self.by_status.keys().map(each).collect::<Vec<_>>().join("; ")
    }
}
