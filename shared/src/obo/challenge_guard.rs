//! Keeps claims challenges from going round in circles. Pure: time is an argument.
//!
//! Some clients sign the user in again without the claims they were sent; the next call is then challenged again, and so on
//! (app-resilience-continuous-access-evaluation warns of such loops).

use std::collections::HashMap;
use std::time::Duration;

use crate::moment::Moment;

/// How many challenges one user is sent…
const MOST: usize = 3;

/// … within this time.
const WINDOW: Duration = Duration::from_mins(10);

/// The most users that are remembered; beyond that those without recent challenges go, and then nobody is challenged more.
const MOST_USERS: usize = 10_000;

/// What was sent to whom.
#[derive(Debug, Default)]
pub(super) struct ChallengeGuard {
    sent: HashMap<[u8; 32], Vec<(Moment, [u8; 32])>>,
}

impl ChallengeGuard {
    /// Whether this challenge (named by the caller's token and the claims) may be sent to this user now; if so, it counts.
    pub(super) fn admit(&mut self, user: [u8; 32], challenge: [u8; 32], now: Moment) -> bool {
        if self.sent.len() >= MOST_USERS && !self.sent.contains_key(&user) {
            self.sent.retain(|_, sent| sent.iter().any(|(at, _)| now.since(*at) < WINDOW));
            if self.sent.len() >= MOST_USERS {
                return false;
            }
        }
        let sent = self.sent.entry(user).or_default();
        sent.retain(|(at, _)| now.since(*at) < WINDOW);
        if sent.len() >= MOST || sent.iter().any(|(_, earlier)| *earlier == challenge) {
            return false;
        }
        sent.push((now, challenge));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_challenge_is_sent_once_and_a_user_gets_three_in_ten_minutes() {
        let now = Moment::now();
        let mut guard = ChallengeGuard::default();
        assert!(guard.admit([1; 32], [1; 32], now));
        assert!(!guard.admit([1; 32], [1; 32], now), "the same again");
        assert!(guard.admit([1; 32], [2; 32], now));
        assert!(guard.admit([1; 32], [3; 32], now));
        assert!(!guard.admit([1; 32], [4; 32], now), "a fourth");
        assert!(guard.admit([2; 32], [1; 32], now), "another user");
        assert!(guard.admit([1; 32], [1; 32], now.plus(WINDOW)));
    }
}
