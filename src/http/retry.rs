//! When a call is retried, and after which wait: pure functions, without a clock and without a
//! sleep.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::date::Moment;

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How often a call is retried, and how long it may wait for that in all.
///
/// | what happened | retried for |
/// | --- | --- |
/// | 429 | every method |
/// | 408, 500 (once), 502, 503, 520-523, 525-527, 530, a broken connection | GET and queries |
/// | no connection was made | every method; for a write only where nothing can have been sent |
///
/// A timeout while waiting for the answer, 504, 512, 524 and every other status are not retried:
/// the server would only start the same work again. A write that may have arrived is never sent
/// again.
///
/// The wait is the one that PostHog asks for, else 0.5 s, doubled up to 8 s, with jitter. If a wait
/// does not fit into the rest of [`max_wait`](RetryPolicy::max_wait), the call fails at once, and
/// [`Error::retry_after`](crate::Error::retry_after) has the wait.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a policy has no effect before a client is built with it"]
pub struct RetryPolicy {
    max_retries: u32,
    max_wait: Duration,
}

impl Default for RetryPolicy {
    /// 3 retries, and 60 s of waiting in all.
    fn default() -> Self {
        RetryPolicy { max_retries: 3, max_wait: Duration::from_secs(60) }
    }
}

impl RetryPolicy {
    /// Never retries, except a read whose connection broke at once, which is sent a second time.
    pub fn none() -> Self {
        RetryPolicy { max_retries: 0, max_wait: Duration::ZERO }
    }

    /// Waits until an hourly limit ends: 10 retries, and 75 minutes of waiting in all.
    pub fn patient() -> Self {
        RetryPolicy { max_retries: 10, max_wait: Duration::from_secs(75 * 60) }
    }

    /// Sets how often one call is retried. Defaults to 3.
    pub fn max_retries(mut self, n: u32) -> Self {
        self.max_retries = n;
        self
    }

    /// Sets how long one call may wait between its attempts, in all. Defaults to 60 s.
    pub fn max_wait(mut self, d: Duration) -> Self {
        self.max_wait = d;
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer with this status, and the wait that it asks for.
    Status(u16, Option<Duration>),
    /// No connection was made, so nothing was sent.
    Unconnected,
    /// A connection that broke at once: most often the server had closed it between two requests.
    Stale,
    Broken,
    /// Anything that another attempt would not change.
    Final,
}

/// What one call has used up so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) retries: u32,
    pub(crate) waited: Duration,
    pub(crate) had_500: bool,
    pub(crate) had_stale: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send it again now; this is not counted as a retry.
    Again,
    /// Send it again after this wait.
    Wait(Duration),
    Fail,
}

/// What to do after `outcome`, which is noted in `spent`. `repeatable`: the call can be sent twice
/// without harm. `jitter`: from 0 to 1.
pub(crate) fn decide(
    policy: &RetryPolicy,
    spent: &mut Spent,
    outcome: Outcome,
    repeatable: bool,
    jitter: f64,
) -> Decision {
    let is_500 = matches!(outcome, Outcome::Status(500, _));
    let first_500 = is_500 && !spent.had_500;
    spent.had_500 |= is_500;
    let (may, asked) = match outcome {
        Outcome::Stale if repeatable && !std::mem::replace(&mut spent.had_stale, true) => {
            return Decision::Again;
        }
        Outcome::Status(429, asked) => (true, asked),
        Outcome::Status(500, asked) => (repeatable && first_500, asked),
        Outcome::Status(408 | 502 | 503 | 520..=523 | 525..=527 | 530, asked) => {
            (repeatable, asked)
        }
        Outcome::Unconnected => (true, None),
        Outcome::Broken | Outcome::Stale => (repeatable, None),
        Outcome::Status(..) | Outcome::Final => (false, None),
    };
    let wait = asked.unwrap_or_else(|| {
        let doubled = FIRST_WAIT.saturating_mul(1 << spent.retries.min(8)).min(LONGEST_WAIT);
        doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    });
    let waited = spent.waited.saturating_add(wait);
    if !may || spent.retries >= policy.max_retries || waited > policy.max_wait {
        return Decision::Fail;
    }
    spent.retries += 1;
    spent.waited = waited;
    Decision::Wait(wait)
}

/// A number from 0 to 1, another one each time: the standard library seeds its hashers at random.
#[allow(clippy::cast_precision_loss)] // a jitter does not need 64 bits
pub(crate) fn jitter() -> f64 {
    RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64
}

/// The wait that a `Retry-After` header asks for, in seconds or as a date. `now` is in seconds
/// since 1970.
pub(crate) fn retry_after(header: Option<&str>, now: u64) -> Option<Duration> {
    let text = header?.trim();
    let until = || http_date(text).map(|at| at.saturating_sub(now));
    text.parse::<u64>().ok().or_else(until).map(Duration::from_secs)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the form of dates in HTTP, in seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let parts: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = parts.as_slice() else { return None };
    let month = MONTHS.split(' ').position(|name| name == *month)? + 1;
    let moment = Moment::parse(&format!("{year}-{month:02}-{day} {time}Z"))?;
    u64::try_from(moment.micros() / 1_000_000).ok()
}

#[cfg(test)]
mod tests;
