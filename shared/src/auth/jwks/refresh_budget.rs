//! How often a request may cause a fetch: attempts count, failed ones too.

use std::time::Duration;

use crate::moment::Moment;

/// Unknown key identifiers that may cause a fetch one after the other…
const BURST: u32 = 3;

/// … and then one per this time (signing-key-rollover: on demand at most every five minutes). The burst keeps an attacker's
/// one made-up `kid` from spending the only refresh just before a real rollover.
const REFILL: Duration = Duration::from_mins(5);

/// A token bucket over moments that are handed in.
#[derive(Debug)]
pub(crate) struct RefreshBudget {
    left: u32,
    refilled_at: Moment,
    attempted_at: Option<Moment>,
}

impl RefreshBudget {
    pub(crate) fn new(now: Moment) -> Self {
        Self { left: BURST, refilled_at: now, attempted_at: None }
    }

    /// Notes an attempt, by whomever.
    pub(crate) fn attempted(&mut self, now: Moment) {
        self.attempted_at = Some(now);
    }

    /// Whether an unknown `kid` may cause a fetch now.
    pub(crate) fn take(&mut self, now: Moment) -> bool {
        while self.left < BURST && now.since(self.refilled_at) >= REFILL {
            self.left += 1;
            self.refilled_at = self.refilled_at.plus(REFILL);
        }
        if self.left == 0 {
            return false;
        }
        if self.left == BURST {
            self.refilled_at = now;
        }
        self.left -= 1;
        true
    }

    /// Whether a request may cause a fetch while there are no keys at all: attempts at least `spacing` apart.
    pub(crate) fn take_when_empty(&mut self, now: Moment, spacing: Duration) -> bool {
        self.attempted_at.is_none_or(|attempted_at| now.since(attempted_at) >= spacing)
    }

    /// Whether a request may cause the refresh that the background has missed: attempts at least a minute apart.
    pub(crate) fn take_when_overdue(&mut self, now: Moment) -> bool {
        self.take_when_empty(now, Duration::from_mins(1))
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
    fn a_long_quiet_time_saves_up_no_more_than_the_burst() {
        let start = Moment::now();
        let mut budget = RefreshBudget::new(start);
        assert!(budget.take(start));
        let later = start.plus(Duration::from_hours(24));
        assert_eq!((0..10).filter(|_| budget.take(later)).count(), 3);
    }

    #[test]
    fn without_any_keys_attempts_are_spaced_and_not_counted() {
        let start = Moment::now();
        let mut budget = RefreshBudget::new(start);
        let spacing = Duration::from_secs(4);
        assert!(budget.take_when_empty(start, spacing));
        budget.attempted(start);
        assert!(!budget.take_when_empty(start.plus(Duration::from_secs(3)), spacing));
        assert!(budget.take_when_empty(start.plus(Duration::from_secs(4)), spacing));
    }
}
