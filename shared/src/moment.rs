//! Time as a value: read once in a shell, then handed to pure code.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
///
/// The monotonic clock does not count the time in which a virtual machine or a serverless instance is frozen, and the
/// wall clock may be set back. An age is therefore the larger of the two differences: a thawed process knows that its
/// keys are old, and a clock set back makes nothing younger. Only a [`Stopwatch`] goes by one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    monotonic: Instant,
    unix: Duration,
}

impl Moment {
    /// Now, by both clocks.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "clocks are read in this module only")]
    pub fn now() -> Self {
        Self { monotonic: Instant::now(), unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// How long ago `earlier` was, by the clock that says longer.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        monotonic.max(self.unix.saturating_sub(earlier.unix))
    }

    /// A stopwatch that was started at this moment.
    #[must_use]
    pub fn stopwatch(self) -> Stopwatch {
        Stopwatch(self.monotonic)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, as `exp` and `nbf` count them (RFC 7519 §2, `NumericDate`).
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        self.unix.as_secs()
    }

    /// The wall clock alone, for time stamps.
    #[expect(clippy::disallowed_methods, reason = "clocks are read in this module only")]
    pub(crate) fn wall_clock() -> SystemTime {
        SystemTime::now()
    }

    /// This moment, `later` on, by both clocks.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self { monotonic: self.monotonic + later, unix: self.unix + later }
    }
}

/// How long something within one request takes: by the monotonic clock alone, which is half of a [`Moment`]'s reading.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// From now on.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "clocks are read in this module only")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago it was started.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_process_still_sees_its_keys_grow_old() {
        let before = Moment::now();
        let thawed = Moment { monotonic: before.monotonic, unix: before.unix + Duration::from_hours(2) };
        assert_eq!(thawed.since(before), Duration::from_hours(2));
    }

    #[test]
    fn a_wall_clock_set_back_makes_nothing_younger() {
        let before = Moment::now();
        let after = Moment {
            monotonic: before.monotonic + Duration::from_mins(5),
            unix: before.unix.saturating_sub(Duration::from_hours(1)),
        };
        assert_eq!(after.since(before), Duration::from_mins(5));
    }
}
