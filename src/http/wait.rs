//! The waits of a call, and the hook that sees them.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use super::{Http, MAX_TIMEOUT};
use crate::error::{Error, ErrorKind};

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
        if let Some(ticket) = &self.ticket {
            return ticket.wait(wait);
        }
        thread::sleep(wait);
        true
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.ticket.as_ref().is_some_and(|ticket| ticket.is_stopped())
    }

    /// Notes a failed attempt for the queue in which the request is. One that is too slow alone is
    /// too slow beside others.
    pub(super) fn note_failed(&self, error: &Error, wait: Option<Duration>) {
        if let Some(ticket) = &self.ticket {
            if error.is_transient() && error.kind() != ErrorKind::TooSlow {
                ticket.note_failed(wait.filter(|_| error.status() == Some(429)));
            }
        }
    }
}

/// The time after a wait, however long that is.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(MAX_TIMEOUT)
}
