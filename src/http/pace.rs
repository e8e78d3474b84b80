//! The pace of a client: requests spread evenly over time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Gives each request a time to be sent, so that no minute has more than `n` of them, over all
/// clones and threads.
pub(crate) struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn per_minute(n: u32) -> Pace {
        // A second more than a minute: the first and the last request of a minute are inside it.
        let interval = Duration::from_secs(61) / n.max(1);
        Pace { interval, next: Mutex::new(Instant::now()) }
    }

    /// Whether a request would wait for longer than it takes from one to the next.
    pub(crate) fn is_behind(&self) -> bool {
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next > Instant::now() + self.interval
    }

    /// Takes the next free time. `None`, and nothing taken, where that is not before the deadline.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Option<Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now().max(*next);
        if deadline.is_some_and(|deadline| at >= deadline) {
            return None;
        }
        *next = at + self.interval;
        Some(at)
    }
}

#[cfg(test)]
mod tests;
