//! How often keys are fetched when nothing is the matter: a handler that refreshes them once a minute, watched while the rest runs.

use std::path::Path;
use std::time::Instant;

use bench::connection::call;
use bench::figures::number;
use bench::server::Server;
use emulator::{Emulator, User};

/// The shortest interval that the settings allow, in seconds: an hour's worth of fetches passes in a minute.
const INTERVAL: f64 = 60.0;

/// An interval may be a tenth shorter.
const SHORTEST: f64 = INTERVAL * 0.9;

pub(crate) struct Calm {
    emulator: Emulator,
    _handler: Server,
    began: Instant,
}

impl Calm {
    pub(crate) async fn start(executable: &Path) -> Self {
        let emulator = Emulator::start().await;
        let handler = Server::handler(executable, &emulator, &[("JWKS_REFRESH_INTERVAL", "60")]);
        handler.until(&call(&emulator.token(User::Alice).build(), "whoami"), 200).await;
        Self { emulator, _handler: handler, began: Instant::now() }
    }

    /// Says how often keys were fetched; what is broken, if it was too often or not at all.
    pub(crate) fn report(&self) -> Option<String> {
        let (fetches, intervals) = (self.emulator.counters().keys, self.began.elapsed().as_secs_f64() / INTERVAL);
        if intervals < 1.2 {
            println!("\nkey fetches in calm: {fetches}; too short a run to say how many an interval");
            return None;
        }
        // The first one is the start's.
        let each = number(fetches.saturating_sub(1)) / intervals;
        println!(
            "\nkey fetches in calm: {fetches} in {intervals:.1} refresh intervals, the first at the start: {each:.1} an \
             interval, so {each:.1} an hour by default"
        );
        let most = self.began.elapsed().as_secs_f64() / SHORTEST + 1.0;
        let expected = 1.0..=most;
        (!expected.contains(&(number(fetches) - 1.0)))
            .then(|| format!("keys: {fetches} fetches in {intervals:.1} intervals"))
    }
}
