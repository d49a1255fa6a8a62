//! The handler's process over its lives: when it counts as ready, what its end means, how it is killed.

use std::future::poll_fn;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::HostError;
use crate::launch::Launch;
use crate::lock;
use crate::log::{LogLine, Logs, Stream};

/// Ends other than 0 and 200 after which the host gives up.
const MAX_ERRORS: usize = 3;

/// Two errors further apart than this do not belong together.
const ERROR_WINDOW: Duration = Duration::from_mins(30);

/// How long the last lines of a handler that ended are waited for: a child of its own may hold the pipe open.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How the host stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostState {
    /// The handler runs, or is being started again.
    Running,
    /// The handler ended with 0: the host does nothing, the app is dead until the instance is recycled.
    HandlerExitedZero,
    /// The host stopped itself and listens no more.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// The one handler of a host. Killed when dropped.
#[derive(Debug)]
pub(crate) struct HandlerProcess {
    shared: Arc<Shared>,
    watcher: JoinHandle<()>,
}

/// What the watcher writes and the host reads.
#[derive(Debug)]
struct Shared {
    launch: Launch,
    logs: Arc<Logs>,
    life: Mutex<Life>,
    state: watch::Sender<HostState>,
    restarts: AtomicUsize,
}

/// The present process.
#[derive(Debug, Default)]
struct Life {
    child: Option<Child>,
    ready: bool,
    /// The host has gone: nothing may be started any more.
    closed: bool,
    /// The host itself wants the process to end and to start anew.
    asked: bool,
    /// The readers of stdout and stderr.
    readers: Vec<JoinHandle<()>>,
    /// How many lines were logged before this life.
    first_line: usize,
}

/// Why a start came to nothing.
#[derive(Debug)]
enum Failure {
    Ended(Option<ExitStatus>),
    NotReady,
    NotStarted(HostError),
}

impl HandlerProcess {
    /// Starts the handler and waits until it answers.
    pub(crate) async fn start(launch: Launch) -> Result<Self, HostError> {
        let shared = Arc::new(Shared {
            launch,
            logs: Arc::default(),
            life: Mutex::default(),
            state: watch::Sender::new(HostState::Running),
            restarts: AtomicUsize::new(0),
        });
        shared.run().await.map_err(|failure| shared.explain(failure))?;
        let watcher = tokio::spawn(watch(Arc::clone(&shared)));
        Ok(Self { shared, watcher })
    }

    pub(crate) fn port(&self) -> u16 {
        self.shared.launch.port
    }

    /// Once it answers.
    pub(crate) fn pid(&self) -> Option<u32> {
        let life = lock(&self.shared.life);
        life.child.as_ref().filter(|_| life.ready).and_then(Child::id)
    }

    pub(crate) fn log_lines(&self) -> Vec<LogLine> {
        self.shared.logs.lines()
    }

    pub(crate) fn restarts(&self) -> usize {
        self.shared.restarts.load(Ordering::SeqCst)
    }

    pub(crate) fn state(&self) -> HostState {
        self.shared.state.borrow().clone()
    }

    /// Resolves when the host has stopped itself.
    pub(crate) async fn until_stopped(&self) {
        let mut state = self.shared.state.subscribe();
        // The sender lives as long as `self`.
        drop(state.wait_for(|state| matches!(state, HostState::Stopped { .. })).await);
    }

    /// SIGKILL, now, and another life: what the host does when an invocation takes too long. It counts as no error.
    pub(crate) fn restart(&self) {
        let mut life = lock(&self.shared.life);
        life.asked = true;
        if let Some(child) = &mut life.child
            && let Err(cause) = child.start_kill()
        {
            eprintln!("the handler could not be killed: {cause}");
        }
    }

    /// SIGKILL, now, and no further life.
    pub(crate) fn kill(&self) {
        self.watcher.abort();
        lock(&self.shared.life).close();
    }
}

impl Drop for HandlerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Life {
    fn close(&mut self) {
        self.closed = true;
        self.ready = false;
        // Dropping kills as well, but would keep an error to itself.
        if let Some(mut child) = self.child.take()
            && let Err(cause) = child.start_kill()
        {
            eprintln!("the handler could not be killed: {cause}");
        }
    }
}

/// Follows the handler from end to end and decides what each means.
async fn watch(shared: Arc<Shared>) {
    let mut errors = Errors::default();
    let mut end = shared.ended().await;
    loop {
        match end.and_then(|status| status.code()) {
            Some(0) => return drop(shared.state.send_replace(HostState::HandlerExitedZero)),
            Some(200) => {}
            None if shared.was_asked() => {}
            _ => errors = errors.and_one_at(Instant::now()),
        }
        if errors.count >= MAX_ERRORS {
            let cause = shared.explain(Failure::Ended(end));
            let reason = format!("Exceeded http worker restart retry count. Shutting down Functions Host; {cause}");
            return drop(shared.state.send_replace(HostState::Stopped { reason }));
        }
        shared.restarts.fetch_add(1, Ordering::SeqCst);
        end = match shared.run().await {
            Ok(()) => shared.ended().await,
            Err(Failure::Ended(status)) => status,
            Err(Failure::NotReady) => None,
            Err(failure @ Failure::NotStarted(_)) => {
                let reason = shared.explain(failure).to_string();
                return drop(shared.state.send_replace(HostState::Stopped { reason }));
            }
        };
    }
}

impl Shared {
    /// Starts the process and waits until it answers anything at all on `/`.
    async fn run(&self) -> Result<(), Failure> {
        self.spawn().map_err(Failure::NotStarted)?;
        tokio::select! {
            biased;
            status = self.ended() => Err(Failure::Ended(status)),
            ready = tokio::time::timeout(self.launch.timeout, self.launch.until_ready()) => {
                let mut life = lock(&self.life);
                life.ready = ready.is_ok();
                if life.ready {
                    return Ok(());
                }
                life.child = None; // which kills it
                Err(Failure::NotReady)
            }
        }
    }

    fn spawn(&self) -> Result<(), HostError> {
        let mut life = lock(&self.life);
        if life.closed {
            return Ok(());
        }
        let first_line = self.logs.len();
        let mut child = self.launch.spawn()?;
        let stdout = child.stdout.take().map(|pipe| tokio::spawn(Arc::clone(&self.logs).collect(Stream::Stdout, pipe)));
        let stderr = child.stderr.take().map(|pipe| tokio::spawn(Arc::clone(&self.logs).collect(Stream::Stderr, pipe)));
        let readers = stdout.into_iter().chain(stderr).collect();
        *life = Life { child: Some(child), ready: false, closed: false, asked: false, readers, first_line };
        Ok(())
    }

    /// Waits for the end of the process and for its last lines. The lock is held for a poll only, so that the host can
    /// kill at any time.
    async fn ended(&self) -> Option<ExitStatus> {
        let status = poll_fn(|context| {
            let mut life = lock(&self.life);
            match &mut life.child {
                Some(child) => pin!(child.wait()).poll(context).map(Result::ok),
                None => std::task::Poll::Ready(None),
            }
        })
        .await;
        let readers = {
            let mut life = lock(&self.life);
            life.child = None;
            life.ready = false;
            std::mem::take(&mut life.readers)
        };
        for reader in readers {
            drop(tokio::time::timeout(LAST_LINES, reader).await);
        }
        status
    }

    fn was_asked(&self) -> bool {
        lock(&self.life).asked
    }

    fn explain(&self, failure: Failure) -> HostError {
        match failure {
            Failure::Ended(status) => HostError::Ended {
                status: status.map_or_else(|| "not ready in time".to_owned(), |status| status.to_string()),
                last_words: self.logs.last_words(lock(&self.life).first_line),
            },
            Failure::NotReady => HostError::NotReady { port: self.launch.port, limit: self.launch.timeout },
            Failure::NotStarted(cause) => cause,
        }
    }
}

/// How many errors belong together, and when the last one was.
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    count: usize,
    last: Option<Instant>,
}

impl Errors {
    fn and_one_at(self, now: Instant) -> Self {
        let together = self.last.is_some_and(|last| now.duration_since(last) <= ERROR_WINDOW);
        Self { count: if together { self.count + 1 } else { 1 }, last: Some(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_far_apart_do_not_add_up() {
        let start = Instant::now();
        let at = |minutes| start + Duration::from_mins(minutes);
        let two = Errors::default().and_one_at(at(0)).and_one_at(at(30));
        assert_eq!(two.count, 2);
        assert_eq!(two.and_one_at(at(59)).count, 3);
        assert_eq!(two.and_one_at(at(61)).count, 1);
    }
}
