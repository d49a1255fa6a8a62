//! Whether the token endpoint is worth asking at all. Pure: time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use crate::moment::Moment;

/// How far back outcomes count.
const WINDOW: Duration = Duration::from_secs(30);

/// Fewer outcomes than this prove nothing.
const LEAST_OUTCOMES: usize = 20;

/// The most outcomes that are kept: the newest.
const MOST_OUTCOMES: usize = 512;

/// How long nobody asks once it is open.
const OPEN_FOR: Duration = Duration::from_secs(15);

/// A circuit breaker: opens at half failures in half a minute, then lets one probe through at a time.
///
/// Only what is wrong with the endpoint counts as a failure: a refusal in good form (4xx) proves that it works.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    outcomes: VecDeque<(Moment, bool)>,
    opened_at: Option<Moment>,
}

impl Breaker {
    /// Whether a request may go out now, or how long to wait instead. Letting one through while open makes it the probe.
    pub(super) fn admit(&mut self, now: Moment) -> Result<(), Duration> {
        let Some(opened_at) = self.opened_at else { return Ok(()) };
        let open_since = now.since(opened_at);
        if open_since < OPEN_FOR {
            return Err(OPEN_FOR.saturating_sub(open_since));
        }
        // The probe: others wait for it as long as the endpoint was given to recover.
        self.opened_at = Some(now);
        Ok(())
    }

    /// Notes how a request ended.
    pub(super) fn record(&mut self, failed: bool, now: Moment) {
        if self.opened_at.is_some() {
            // The probe decides; requests that were under way when it opened are late news and decide nothing worse.
            if !failed {
                *self = Self::default();
            }
            return;
        }
        while self.outcomes.front().is_some_and(|(at, _)| now.since(*at) > WINDOW)
            || self.outcomes.len() >= MOST_OUTCOMES
        {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back((now, failed));
        let failures = self.outcomes.iter().filter(|(_, failed)| *failed).count();
        if self.outcomes.len() >= LEAST_OUTCOMES && failures * 2 >= self.outcomes.len() {
            self.opened_at = Some(now);
        }
    }

    /// Whether nobody asks at the moment, but for probes.
    pub(super) fn is_open(&self) -> bool {
        self.opened_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(outcomes: &[bool]) -> (Breaker, Moment) {
        let now = Moment::now();
        let mut breaker = Breaker::default();
        for failed in outcomes {
            breaker.record(*failed, now);
        }
        (breaker, now)
    }

    #[test]
    fn it_opens_at_half_failures_of_at_least_twenty() {
        assert!(!after(&[true; 19]).0.is_open());
        assert!(after(&[true; 20]).0.is_open());
        let mixed: Vec<bool> = (0..20).map(|at| at % 2 == 0).collect();
        assert!(after(&mixed).0.is_open());
        let mostly_good: Vec<bool> = (0..40).map(|at| at % 3 == 0).collect();
        assert!(!after(&mostly_good).0.is_open());
    }

    #[test]
    fn while_open_nobody_asks_and_then_one_probe_does() {
        let (mut breaker, now) = after(&[true; 20]);
        assert_eq!(breaker.admit(now), Err(OPEN_FOR));
        let later = now.plus(OPEN_FOR);
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(breaker.admit(later).is_err(), "a second probe");
        breaker.record(true, later);
        assert!(breaker.admit(later).is_err());
        let much_later = later.plus(OPEN_FOR);
        assert_eq!(breaker.admit(much_later), Ok(()));
        breaker.record(false, much_later);
        assert_eq!(breaker.admit(much_later), Ok(()));
        assert!(!breaker.is_open());
    }

    #[test]
    fn old_failures_are_forgotten() {
        let (mut breaker, now) = after(&[true; 19]);
        breaker.record(true, now.plus(WINDOW + Duration::from_secs(1)));
        assert!(!breaker.is_open());
    }
}
