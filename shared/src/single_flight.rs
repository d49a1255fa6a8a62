//! Many ask, one goes: calls for the same thing at the same time share one piece of work.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

type Landing<V> = watch::Receiver<Option<V>>;

/// At most one piece of work in flight per key.
///
/// The work runs in a task of its own: a caller that goes away neither stops it nor holds it up, and each caller waits
/// with a deadline of its own. The lock is held for a map operation only, never across an await.
#[derive(Debug)]
pub(crate) struct SingleFlight<K, V> {
    flights: Arc<Mutex<HashMap<K, Landing<V>>>>,
}

/// A piece of work that somebody waits for.
#[derive(Debug)]
pub(crate) struct Flight<V>(Landing<V>);

/// The work ended without a result: its task panicked or its runtime is going down.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the shared work ended without a result")]
pub(crate) struct FlightLost;

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Self { flights: Arc::default() }
    }

    /// The flight under `key`, if one is in the air.
    pub(crate) fn in_flight(&self, key: &K) -> Option<Flight<V>> {
        let flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.get(key).cloned().map(Flight)
    }

    /// The flight under `key`: the one in the air, or else a new one that does `work`.
    pub(crate) fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = flights.get(&key) {
            return Flight(landing.clone());
        }
        let (sender, landing) = watch::channel(None);
        flights.insert(key.clone(), landing.clone());
        let ended = Ended { flights: Arc::clone(&self.flights), key };
        let work = work();
        tokio::spawn(async move {
            let value = work.await;
            // Whoever comes from now on must not join a flight that has landed: forget it before it is announced.
            drop(ended);
            sender.send_replace(Some(value));
        });
        Flight(landing)
    }
}

impl<V: Clone> Flight<V> {
    /// The result, when it is there.
    pub(crate) async fn landed(mut self) -> Result<V, FlightLost> {
        let landed = self.0.wait_for(Option::is_some).await.map_err(|_| FlightLost)?;
        landed.clone().ok_or(FlightLost)
    }
}

/// Forgets the flight when its task ends, by whatever way.
struct Ended<K: Eq + Hash, V> {
    flights: Arc<Mutex<HashMap<K, Landing<V>>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Ended<K, V> {
    fn drop(&mut self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn fifty_callers_share_one_flight_and_a_cancelled_one_does_not_stop_it() {
        let flights: SingleFlight<&str, u32> = SingleFlight::new();
        let started = Arc::new(AtomicUsize::new(0));
        let (open, gate) = oneshot::channel::<()>();
        let mut gate = Some(gate);
        let mut waiting: Vec<_> = (0..50)
            .map(|_| {
                flights.join("key", || {
                    started.fetch_add(1, Ordering::SeqCst);
                    let gate = gate.take();
                    async move {
                        if let Some(gate) = gate {
                            gate.await.unwrap();
                        }
                        7
                    }
                })
            })
            .collect();
        drop(waiting.remove(0));
        open.send(()).unwrap();
        for flight in waiting {
            assert_eq!(flight.landed().await.unwrap(), 7);
        }
        assert_eq!(started.load(Ordering::SeqCst), 1);
        assert!(flights.in_flight(&"key").is_none());
    }

    #[tokio::test]
    async fn a_panic_in_the_work_frees_the_key_and_its_waiters() {
        let flights: SingleFlight<&str, u32> = SingleFlight::new();
        let lost = flights.join("key", || async { panic!("on purpose") }).landed().await;
        assert!(lost.is_err());
        assert_eq!(flights.join("key", || async { 1 }).landed().await.unwrap(), 1);
    }
}
