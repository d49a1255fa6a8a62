//! Work in the background that must not end: begun again when it panics, returns, or stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::error;

use crate::telemetry::metrics::Metrics;

/// How long broken work rests before it begins again.
const REST: Duration = Duration::from_secs(1);

/// How the work shows that it goes on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<AtomicBool>);

impl Pulse {
    /// Still at work.
    pub(crate) fn beat(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn was_felt(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Keeps `work` going for the rest of the process's life. It must beat at least once in every `longest_silence`; else it is
/// ended and begun again. Needs a tokio runtime.
pub(crate) fn keep_going<F>(
    name: &'static str,
    longest_silence: Duration,
    metrics: Arc<Metrics>,
    work: impl Fn(Pulse) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            let pulse = Pulse::default();
            let why = until_broken(tokio::spawn(work(pulse.clone())), &pulse, longest_silence).await;
            metrics.restarted(name);
            error!(background.task = name, "background work {why}: begun again");
            tokio::time::sleep(REST).await;
        }
    });
}

/// Why the work does not go on.
async fn until_broken(mut work: JoinHandle<()>, pulse: &Pulse, longest_silence: Duration) -> &'static str {
    loop {
        tokio::select! {
            ended = &mut work => return if ended.is_err() { "panicked" } else { "ended" },
            () = tokio::time::sleep(longest_silence) => {
                if !pulse.was_felt() {
                    work.abort();
                    return "stood still";
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    /// How often work of this kind was begun within two minutes, on a clock that does not make anybody wait.
    async fn begun<F>(work: impl Fn(u32, Pulse) -> F + Send + 'static) -> u32
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let begun = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&begun);
        keep_going("test", Duration::from_secs(10), Arc::default(), move |pulse| {
            work(count.fetch_add(1, Ordering::Relaxed), pulse)
        });
        tokio::time::sleep(Duration::from_mins(2)).await;
        begun.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_goes_on_is_left_alone() {
        let times = begun(|_, pulse| async move {
            loop {
                pulse.beat();
                tokio::time::sleep(Duration::from_secs(9)).await;
            }
        });
        assert_eq!(times.await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_or_ends_is_begun_again() {
        let times = begun(|time, pulse| async move {
            assert_ne!(time, 0, "on purpose");
            if time == 1 {
                return;
            }
            loop {
                pulse.beat();
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
        assert_eq!(times.await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_stands_still_is_begun_again() {
        let times = begun(|time, pulse| async move {
            pulse.beat();
            if time == 0 {
                std::future::pending::<()>().await;
            }
            loop {
                pulse.beat();
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
        assert_eq!(times.await, 2);
    }
}
