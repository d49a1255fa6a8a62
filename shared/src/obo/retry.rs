//! How often and when a failed request is tried again. Pure: randomness is an argument.

use std::time::Duration;

/// Tries after the first.
const MOST_RETRIES: u32 = 2;

/// Pauses are drawn from this range, the upper end growing with each try (decorrelated jitter).
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// A `Retry-After` up to this is waited for; a longer one is told to the caller.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a request is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection failed, the answer did not come, or it was a 5xx that names no time.
    Transient,
    /// The service says when to come back.
    ComeBack(Duration),
    /// Anything else: asking again gives the same answer.
    Final,
}

/// The pause before try number `tries + 1`, or nothing if there is none within `left`. `random` is from 0 to 1.
pub(crate) fn pause(failure: Failure, tries: u32, left: Duration, random: f64) -> Option<Duration> {
    if tries > MOST_RETRIES {
        return None;
    }
    let pause = match failure {
        Failure::Final => return None,
        Failure::ComeBack(after) if after > PATIENCE => return None,
        Failure::ComeBack(after) => after,
        Failure::Transient => {
            let upper = (SHORTEST_PAUSE * 3_u32.saturating_pow(tries)).min(LONGEST_PAUSE);
            SHORTEST_PAUSE + (upper.saturating_sub(SHORTEST_PAUSE)).mul_f64(random)
        }
    };
    (pause < left).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Duration = Duration::from_secs(10);

    #[test]
    fn two_retries_with_growing_pauses() {
        assert_eq!(pause(Failure::Transient, 1, LEFT, 0.0), Some(SHORTEST_PAUSE));
        assert_eq!(pause(Failure::Transient, 1, LEFT, 1.0), Some(Duration::from_millis(300)));
        assert_eq!(pause(Failure::Transient, 2, LEFT, 1.0), Some(LONGEST_PAUSE));
        assert_eq!(pause(Failure::Transient, 3, LEFT, 0.0), None);
    }

    #[test]
    fn a_short_wait_is_kept_and_a_long_one_is_passed_on() {
        assert_eq!(pause(Failure::ComeBack(Duration::from_secs(1)), 1, LEFT, 0.5), Some(Duration::from_secs(1)));
        assert_eq!(pause(Failure::ComeBack(Duration::from_secs(3)), 1, LEFT, 0.5), None);
    }

    #[test]
    fn never_beyond_the_deadline_and_never_for_a_final_answer() {
        assert_eq!(pause(Failure::Transient, 1, Duration::from_millis(50), 0.0), None);
        assert_eq!(pause(Failure::Final, 1, LEFT, 0.0), None);
    }
}
