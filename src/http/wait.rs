//! The waits of a call: the hook that sees them, and how another thread ends them.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Http, MAX_TIMEOUT};

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

/// A hook that sees each wait.
pub(crate) type OnRetry = dyn Fn(&RetryEvent) + Send + Sync;

thread_local! {
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Ends the hook of this thread, also where it panics.
struct HookEnd;

impl Drop for HookEnd {
    fn drop(&mut self) {
        IN_HOOK.set(false);
    }
}

/// Whether this thread runs a hook, or works for one.
pub(super) fn is_in_hook() -> bool {
    IN_HOOK.get()
}

/// This thread works for a hook, or does not.
pub(super) fn set_in_hook(is_in_hook: bool) {
    IN_HOOK.set(is_in_hook);
}

impl Http {
    /// Shows an event to the hook. A hook that makes calls of its own is not called for their
    /// waits: it would call itself without end.
    pub(super) fn notify(&self, event: impl FnOnce() -> RetryEvent) {
        let Some(hook) = &self.core.on_retry else { return };
        if !IN_HOOK.replace(true) {
            let _end = HookEnd;
            hook(&event());
        }
    }

    /// Waits; false where another thread ended the wait.
    pub(super) fn wait(&self, wait: Duration) -> bool {
        if let Some(watch) = &self.watch {
            return watch.wait(wait);
        }
        thread::sleep(wait);
        true
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_stopped())
    }

    /// Notes a throttled answer, for whoever watches this call.
    pub(super) fn note_throttled(&self, wait: Duration) {
        if let Some(watch) = &self.watch {
            watch.note_throttled(wait);
        }
    }
}

/// The time after a wait, however long that is.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(MAX_TIMEOUT)
}

/// The way in which one thread follows and stops a call of another.
#[derive(Default)]
pub(crate) struct Watch {
    state: Mutex<WatchState>,
    changed: Condvar,
}

#[derive(Default)]
struct WatchState {
    stopped: bool,
    /// When the wait of the last throttled answer ends.
    throttled_until: Option<Instant>,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the waits of the call; a request that was sent runs to its end, and is not retried.
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    fn note_throttled(&self, wait: Duration) {
        self.state().throttled_until = Some(after(wait));
    }

    /// When the wait of the last throttled answer ends, if there was one since the last look.
    pub(crate) fn take_throttled(&self) -> Option<Instant> {
        self.state().throttled_until.take()
    }

    fn wait(&self, wait: Duration) -> bool {
        let state = self.state();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, wait, |state| !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }
}
