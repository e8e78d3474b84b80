//! The waits of a call, and the hook that sees them.

use std::cell::Cell;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use super::{Http, MAX_TIMEOUT};
use crate::error::text::line;

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
                let status = status.map_or(String::new(), |status| format!("{status}: "));
                let reason = line(reason, 300);
                write!(
                    f,
                    "{method} {}: retry {retry} in {wait:.1?}: {status}{reason}",
                    line(path, 300)
                )
            }
            RetryEvent::Pace { method, path, wait } => {
                write!(
                    f,
                    "{method} {}: waits {wait:.1?} for max_requests_per_minute",
                    line(path, 300)
                )
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let retry = |status| RetryEvent::Retry {
            method: "GET",
            path: "/api/x/".to_owned(),
            retry: 2,
            wait: Duration::from_millis(1_500),
            status,
            reason: "too\nmany".to_owned(),
        };
        let pace = RetryEvent::Pace {
            method: "GET",
            path: "/api/x/".to_owned(),
            wait: Duration::from_secs(3),
        };
        for (event, line) in [
            (retry(Some(429)), "GET /api/x/: retry 2 in 1.5s: 429: too many"),
            (retry(None), "GET /api/x/: retry 2 in 1.5s: too many"),
            (pace, "GET /api/x/: waits 3.0s for max_requests_per_minute"),
        ] {
            assert_eq!(event.to_string(), line);
        }
    }
}
