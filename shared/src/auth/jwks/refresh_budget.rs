//! How often a request may cause a fetch: attempts count, failed ones too.

use std::time::Duration;

use crate::moment::Moment;

/// Unknown key identifiers that may cause a fetch one after the other…
const BURST: u32 = 3;

/// … and then one per this time (signing-key-rollover: on demand at most every five minutes). The burst keeps an attacker's
/// one made-up `kid` from spending the only refresh just before a real rollover.
const REFILL: Duration = Duration::from_mins(5);

/// While fetching fails and the burst is spent: how far apart the attempts are, so that a rotation during an outage is found soon
/// after it.
const RETRY: Duration = Duration::from_secs(30);

/// A token bucket over moments that are handed in.
#[derive(Debug)]
pub(crate) struct RefreshBudget {
    left: u32,
    refilled_at: Moment,
    attempted_at: Option<Moment>,
    failing: bool,
}

impl RefreshBudget {
    pub(crate) fn new(now: Moment) -> Self {
        Self { left: BURST, refilled_at: now, attempted_at: None, failing: false }
    }

    /// Notes an attempt, by whomever.
    pub(crate) fn attempted(&mut self, now: Moment) {
        self.attempted_at = Some(now);
    }

    /// Notes how it ended.
    pub(crate) fn ended(&mut self, failed: bool) {
        self.failing = failed;
    }

    /// Whether the last attempt that ended failed, so that there may be keys that nobody here has seen.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Whether an unknown `kid` may cause a fetch now.
    pub(crate) fn take(&mut self, now: Moment) -> bool {
        while self.left < BURST && now.since(self.refilled_at) >= REFILL {
            self.left += 1;
            self.refilled_at = self.refilled_at.plus(REFILL);
        }
        if self.left == 0 {
            return self.failing && self.is_due(now, RETRY);
        }
        if self.left == BURST {
            self.refilled_at = now;
        }
        self.left -= 1;
        true
    }

    /// Whether the last attempt is at least `spacing` ago: for what costs nothing of the bucket.
    pub(crate) fn is_due(&self, now: Moment, spacing: Duration) -> bool {
        self.attempted_at.is_none_or(|attempted_at| now.since(attempted_at) >= spacing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_the_burst_and_then_one_every_five_minutes() {
        let start = Moment::now();
        let mut budget = RefreshBudget::new(start);
        let granted = (0..10_000).filter(|_| budget.take(start)).count();
        assert_eq!(granted, 3);
        assert!(!budget.take(start.plus(Duration::from_secs(299))));
        assert!(budget.take(start.plus(Duration::from_mins(5))));
        assert!(!budget.take(start.plus(Duration::from_secs(301))));
    }

    #[test]
    fn while_fetching_fails_there_is_one_more_every_half_minute() {
        let start = Moment::now();
        let mut budget = RefreshBudget::new(start);
        let mut at = |second| {
            let now = start.plus(Duration::from_secs(second));
            let granted = budget.take(now);
            if granted {
                budget.attempted(now);
                budget.ended(second < 60);
            }
            granted
        };
        let granted: Vec<u64> = (0..300).filter(|second| at(*second)).collect();
        assert_eq!(granted, [0, 1, 2, 32, 62]);
    }

    #[test]
    fn a_long_quiet_time_saves_up_no_more_than_the_burst() {
        let start = Moment::now();
        let mut budget = RefreshBudget::new(start);
        assert!(budget.take(start));
        let later = start.plus(Duration::from_hours(24));
        assert_eq!((0..10).filter(|_| budget.take(later)).count(), 3);
    }

    #[test]
    fn attempts_that_cost_nothing_are_spaced() {
        let start = Moment::now();
        let mut budget = RefreshBudget::new(start);
        let spacing = Duration::from_secs(4);
        assert!(budget.is_due(start, spacing));
        budget.attempted(start);
        assert!(!budget.is_due(start.plus(Duration::from_secs(3)), spacing));
        assert!(budget.is_due(start.plus(Duration::from_secs(4)), spacing));
    }
}
