//! Tells one user's throttling from everybody's. Pure: time is an argument.

use std::time::Duration;

use super::cache::CacheKey;
use crate::moment::Moment;

/// So many different users…
const MANY: usize = 5;

/// … within this time, and it is this server that Entra throttles.
const WINDOW: Duration = Duration::from_mins(1);

/// The users who were throttled lately; at most [`MANY`].
#[derive(Debug, Default)]
pub(super) struct ThrottledUsers(Vec<(CacheKey, Moment)>);

impl ThrottledUsers {
    /// Adds a user. Whether it is many by now; then counting starts anew.
    pub(super) fn are_many_with(&mut self, user: CacheKey, now: Moment) -> bool {
        self.0.retain(|(known, at)| *known != user && now.since(*at) < WINDOW);
        self.0.push((user, now));
        let many = self.0.len() >= MANY;
        if many {
            self.0.clear();
        }
        many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_users_within_a_minute_are_many_and_one_user_five_times_is_not() {
        let now = Moment::now();
        let mut users = ThrottledUsers::default();
        assert!(!(0..10).any(|_| users.are_many_with([1; 32], now)));
        assert!(!(2..5).any(|user| users.are_many_with([user; 32], now)));
        assert!(users.are_many_with([5; 32], now));
        assert!(!users.are_many_with([6; 32], now), "counting starts anew");
    }

    #[test]
    fn users_of_a_minute_ago_do_not_count() {
        let now = Moment::now();
        let mut users = ThrottledUsers::default();
        assert!(!(1..5).any(|user| users.are_many_with([user; 32], now)));
        assert!(!users.are_many_with([5; 32], now.plus(WINDOW)));
    }
}
