//! When a call is retried, and after which wait: pure functions, without a clock and without a
//! sleep.

use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::time::Duration;

use crate::date::Moment;
use crate::error::{Error, ErrorKind};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How often a call is retried, and how long it may wait for that in all.
///
/// [Behaviour](crate::docs::behaviour#retries) says what is retried, and after which wait. A write
/// that may have arrived is never sent again. If a wait does not fit into the rest of
/// [`max_wait`](RetryPolicy::max_wait), the call fails at once, and
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

/// What to do after an attempt failed, which is noted in `spent`. `stale`: the connection broke at
/// once: most often the server had closed it between two requests. `repeatable`: the call can be
/// sent twice without harm. `jitter`: from 0 to 1.
pub(crate) fn decide(
    policy: &RetryPolicy,
    spent: &mut Spent,
    error: &Error,
    stale: bool,
    repeatable: bool,
    jitter: f64,
) -> Decision {
    use ErrorKind as K;
    if stale && repeatable && !mem::replace(&mut spent.had_stale, true) {
        return Decision::Again;
    }
    let may = match (error.kind(), error.status()) {
        (_, Some(429)) => true,
        (_, Some(500)) => !mem::replace(&mut spent.had_500, true) && repeatable,
        (_, Some(408 | 502 | 503 | 520..=523 | 525..=527 | 530)) => repeatable,
        (K::Dns | K::Connect | K::Proxy | K::Broken, None) => {
            repeatable || !error.may_have_been_done()
        }
        _ => false,
    };
    let wait = error.retry_after().unwrap_or_else(|| {
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
    let moment = Moment::parse(&format!("{year}-{month:02}-{day:0>2} {time}Z"))?;
    u64::try_from(moment.micros() / 1_000_000).ok()
}

#[cfg(test)]
mod tests;
