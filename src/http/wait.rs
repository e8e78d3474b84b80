//! The waits of a request: their limits, the hook that sees them, and how another thread ends them.

use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, line};

/// A clock cannot add every `Duration`: a longer limit is cut to a year.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The message of a request that its deadline ended.
pub(super) const AFTER_DEADLINE: &str = "no complete answer arrived before the deadline";

pub(super) fn timed_out(message: &str) -> Error {
    Error::new(ErrorKind::Timeout, message)
}

/// A wait that a client is about to make, for [`on_retry`](crate::ClientBuilder::on_retry).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RetryEvent {
    /// A call failed and is retried after a wait.
    #[non_exhaustive]
    Retry {
        /// The HTTP method.
        method: &'static str,
        /// The path, without host and query.
        path: String,
        /// Which retry it is, counted from 1.
        retry: u32,
        /// How long the wait is.
        wait: Duration,
        /// The status of the answer, if there was one.
        status: Option<u16>,
        /// Why the call failed.
        reason: String,
    },
    /// A call waits for [`max_requests_per_minute`](crate::ClientBuilder::max_requests_per_minute).
    /// Waits of a second or less are not reported.
    #[non_exhaustive]
    Pace {
        /// The HTTP method.
        method: &'static str,
        /// The path, without host and query.
        path: String,
        /// How long the wait is.
        wait: Duration,
    },
}

impl fmt::Display for RetryEvent {
    /// One line, for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetryEvent::Retry { method, path, retry, wait, status, reason } => {
                let (path, reason) = (line(path, 300), line(reason, 300));
                let status = status.map_or(String::new(), |status| format!("{status}: "));
                write!(f, "{method} {path}: retry {retry} in {wait:.1?}: {status}{reason}")
            }
            RetryEvent::Pace { method, path, wait } => {
                let path = line(path, 300);
                write!(f, "{method} {path}: waits {wait:.1?} for max_requests_per_minute")
            }
        }
    }
}

/// A hook that sees each wait.
pub(crate) type OnRetry = dyn Fn(&RetryEvent) + Send + Sync;

thread_local! {
    /// Whether this thread runs a hook, or works for one.
    pub(super) static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Shows an event to the hook. A hook that makes calls of its own is not called for their waits: it
/// would call itself without end.
pub(super) fn show(hook: &OnRetry, event: impl FnOnce() -> RetryEvent) {
    if !IN_HOOK.replace(true) {
        let ran = panic::catch_unwind(AssertUnwindSafe(|| hook(&event())));
        IN_HOOK.set(false);
        ran.unwrap_or_else(|panic| panic::resume_unwind(panic));
    }
}

/// The time after a wait, however long that is.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(MAX_TIMEOUT)
}

/// What the caller's thread and the one that sends a request ahead know of it together.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// Given up: its waits end, and it is not sent again.
    pub(super) stopped: bool,
    pub(super) done: bool,
    /// Another request ran at the same time, and may be the cause of a failure.
    pub(super) shared: bool,
    failed: Failed,
}

/// The failed attempts since the last look.
#[derive(Default)]
pub(super) struct Failed {
    pub(super) any: bool,
    /// A 429 without a time to wait for: as many requests as are allowed run already.
    pub(super) is_full: bool,
    /// When the wait of the last throttled answer ends.
    pub(super) throttled_until: Option<Instant>,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the state is like this; false where `until` comes before.
    fn wait_until(&self, until: Instant, is: impl Fn(&State) -> bool) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.state(), left, |state| !is(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Changes the state, and ends the waits for it.
    pub(super) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    pub(super) fn is(&self, like: impl FnOnce(&State) -> bool) -> bool {
        like(&self.state())
    }

    pub(super) fn wait_until_done(&self, until: Instant) {
        self.wait_until(until, |state| state.done);
    }

    /// Waits; false where the request was given up.
    pub(super) fn wait(&self, wait: Duration) -> bool {
        !self.wait_until(after(wait), |state| state.stopped)
    }

    pub(super) fn note_failed(&self, error: &Error) {
        let failed = &mut self.state().failed;
        failed.any = true;
        if error.status() == Some(429) {
            let wait = error.retry_after();
            failed.is_full |= wait.is_none();
            failed.throttled_until = failed.throttled_until.max(wait.map(after));
        }
    }

    pub(super) fn take_failed(&self) -> Failed {
        std::mem::take(&mut self.state().failed)
    }
}

#[cfg(test)]
mod tests;
