//! When to try again and how long to wait first: pure functions, no clock and no sleep.

use std::time::Duration;

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How often a call is tried again, and how long it may wait for that in all.
///
/// Throttled calls (429) and connections that could not be made are tried again for every method; 408, 500 (once), 502, 503,
/// 520-527, 530 and broken connections for GET and for queries only, so that no write is done twice. A timeout while waiting for
/// the answer, 504 and 512 are not tried again: the server would only start over.
///
/// The wait is what PostHog asks for, else 0.5 s doubled up to 8 s, with jitter. One that does not fit into what is left of
/// [`max_wait`](RetryPolicy::max_wait) fails the call at once, with [`Error::retry_after`](crate::Error::retry_after) set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    max_retries: u32,
    max_wait: Duration,
}

impl Default for RetryPolicy {
    /// 3 retries, 60 s of waiting in all.
    fn default() -> Self {
        RetryPolicy {
            max_retries: 3,
            max_wait: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Never tries again, but for a read on a kept connection that the server had closed.
    #[must_use]
    pub fn none() -> Self {
        RetryPolicy {
            max_retries: 0,
            max_wait: Duration::ZERO,
        }
    }

    /// Waits out an hourly limit: 10 retries, 75 minutes of waiting in all.
    #[must_use]
    pub fn patient() -> Self {
        RetryPolicy {
            max_retries: 10,
            max_wait: Duration::from_secs(75 * 60),
        }
    }

    /// How often one call is tried again. Defaults to 3.
    #[must_use]
    pub fn max_retries(mut self, n: u32) -> Self {
        self.max_retries = n;
        self
    }

    /// How long one call may wait between its tries, added up. Defaults to 60 s.
    #[must_use]
    pub fn max_wait(mut self, d: Duration) -> Self {
        self.max_wait = d;
        self
    }

    /// The same, waiting for `most` at most; no tries at all where that is nothing.
    pub(crate) fn cap(mut self, most: Duration) -> Self {
        self.max_wait = self.max_wait.min(most);
        if most.is_zero() {
            self.max_retries = 0;
        }
        self
    }
}

/// How a try ended, as far as trying again goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer, with the wait that it asks for.
    Status(u16, Option<Duration>),
    /// No connection: nothing was sent.
    Unconnected,
    /// A kept connection that the server had closed meanwhile.
    Stale,
    /// A connection that broke.
    Broken,
    /// Anything that another try would not change.
    Final,
}

/// What one call has used up so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) retries: u32,
    pub(crate) waited: Duration,
    pub(crate) had_500: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A good answer.
    Done,
    /// Try again at once, not counted.
    Again,
    /// Try again after this wait.
    Wait(Duration),
    /// Give up.
    Fail,
}

/// What to do after `outcome`. `repeatable`: doing it twice does no harm. `jitter`: from 0 to 1.
pub(crate) fn decide(
    policy: &RetryPolicy,
    spent: Spent,
    outcome: Outcome,
    repeatable: bool,
    jitter: f64,
) -> Decision {
    let (may, asked) = match outcome {
        Outcome::Status(200..=299, _) => return Decision::Done,
        Outcome::Stale if repeatable => return Decision::Again,
        Outcome::Status(429, asked) => (true, asked),
        Outcome::Status(500, asked) => (repeatable && !spent.had_500, asked),
        Outcome::Status(408 | 502 | 503 | 520..=527 | 530, asked) => (repeatable, asked),
        Outcome::Unconnected => (true, None),
        Outcome::Broken => (repeatable, None),
        Outcome::Status(..) | Outcome::Stale | Outcome::Final => (false, None),
    };
    if !may || spent.retries >= policy.max_retries {
        return Decision::Fail;
    }
    let wait = asked.unwrap_or_else(|| {
        let doubled = FIRST_WAIT
            .saturating_mul(1 << spent.retries.min(8))
            .min(LONGEST_WAIT);
        doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    });
    if spent.waited.saturating_add(wait) > policy.max_wait {
        return Decision::Fail;
    }
    Decision::Wait(wait)
}

/// The wait that a server asks for: `Retry-After` in seconds or as a date, else "available in N seconds" in its detail.
/// `now` is in seconds since 1970.
pub(crate) fn retry_after(
    header: Option<&str>,
    detail: Option<&str>,
    now: u64,
) -> Option<Duration> {
    let from_header = header
        .map(str::trim)
        .and_then(|text| match text.parse::<u64>() {
            Ok(seconds) => Some(seconds),
            Err(_) => http_date(text).map(|at| at.saturating_sub(now)),
        });
    from_header
        .or_else(|| detail.and_then(available_in))
        .map(Duration::from_secs)
}

fn available_in(detail: &str) -> Option<u64> {
    let (_, after) = detail.split_once("available in ")?;
    let digits = after
        .find(|c: char| !c.is_ascii_digit())
        .and_then(|end| after.get(..end))?;
    after.get(digits.len()..)?.strip_prefix(" second")?;
    digits.parse().ok()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that HTTP still writes, in seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    let mut parts = text.split_once(", ")?.1.split(' ');
    let mut next = || parts.next();
    let (day, month, year, time, zone) = (next()?, next()?, next()?, next()?, next()?);
    let month = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    .iter()
    .position(|name| *name == month)?;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let mut clock = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    let right = (1970..=9999).contains(&year)
        && (1..=31).contains(&day)
        && hours < 24
        && minutes < 60
        && seconds <= 60;
    if zone != "GMT" || !right {
        return None;
    }
    let leap = |y: u64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let years: u64 = (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum();
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        .get(month)
        .copied()?;
    let days = years + before + u64::from(month > 1 && leap(year)) + day - 1;
    Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn who_is_tried_again() {
        let policy = RetryPolicy::default();
        let wait = Decision::Wait(FIRST_WAIT);
        for (outcome, get, post) in [
            (Outcome::Status(200, None), Decision::Done, Decision::Done),
            (Outcome::Status(204, None), Decision::Done, Decision::Done),
            (Outcome::Status(429, None), wait, wait),
            (Outcome::Unconnected, wait, wait),
            (Outcome::Stale, Decision::Again, Decision::Fail),
            (Outcome::Broken, wait, Decision::Fail),
            (Outcome::Final, Decision::Fail, Decision::Fail),
        ] {
            assert_eq!(
                decide(&policy, Spent::default(), outcome, true, 1.0),
                get,
                "{outcome:?}"
            );
            assert_eq!(
                decide(&policy, Spent::default(), outcome, false, 1.0),
                post,
                "{outcome:?}"
            );
        }
        for status in 300..600 {
            let again = matches!(status, 408 | 429 | 500 | 502 | 503 | 520..=527 | 530);
            let got = decide(
                &policy,
                Spent::default(),
                Outcome::Status(status, None),
                true,
                1.0,
            );
            assert_eq!(got, if again { wait } else { Decision::Fail }, "{status}");
        }
        let after_500 = Spent {
            had_500: true,
            ..Spent::default()
        };
        assert_eq!(
            decide(&policy, after_500, Outcome::Status(500, None), true, 1.0),
            Decision::Fail
        );
        assert_eq!(
            decide(&policy, after_500, Outcome::Status(502, None), true, 1.0),
            wait
        );
    }

    #[test]
    fn how_long_it_waits() {
        let long = RetryPolicy::default().max_retries(20).max_wait(S(1000));
        for (retries, ms) in [
            (0, 500),
            (1, 1000),
            (2, 2000),
            (3, 4000),
            (4, 8000),
            (5, 8000),
            (19, 8000),
        ] {
            let spent = Spent {
                retries,
                ..Spent::default()
            };
            let wait = |jitter| decide(&long, spent, Outcome::Broken, true, jitter);
            assert_eq!(wait(1.0), Decision::Wait(Duration::from_millis(ms)));
            assert_eq!(wait(0.0), Decision::Wait(Duration::from_millis(ms / 2)));
        }
        let policy = RetryPolicy::default();
        for (retries, waited, asked, decision) in [
            (0, 0, 60, Decision::Wait(S(60))),
            (0, 0, 61, Decision::Fail),
            (1, 50, 11, Decision::Fail),
            (1, 50, 10, Decision::Wait(S(10))),
            (2, 60, 0, Decision::Wait(S(0))),
            (3, 0, 0, Decision::Fail),
            (0, 0, u64::MAX, Decision::Fail),
        ] {
            let spent = Spent {
                retries,
                waited: S(waited),
                had_500: false,
            };
            assert_eq!(
                decide(
                    &policy,
                    spent,
                    Outcome::Status(429, Some(S(asked))),
                    false,
                    0.5
                ),
                decision,
                "{asked}"
            );
        }
        assert_eq!(
            decide(
                &RetryPolicy::none(),
                Spent::default(),
                Outcome::Unconnected,
                true,
                0.0
            ),
            Decision::Fail
        );
        let hour = Outcome::Status(429, Some(S(3600)));
        assert_eq!(
            decide(&RetryPolicy::patient(), Spent::default(), hour, false, 0.0),
            Decision::Wait(S(3600))
        );
    }

    #[test]
    fn what_the_server_asks_for() {
        const NOW: u64 = 784_111_777; // 06 Nov 1994 08:49:37
        for (header, detail, wait) in [
            (Some("46"), None, Some(46)),
            (Some(" 0 "), None, Some(0)),
            (Some("Sun, 06 Nov 1994 08:50:07 GMT"), None, Some(30)),
            (Some("Sat, 05 Nov 1994 08:50:07 GMT"), None, Some(0)),
            (
                Some("Tue, 29 Feb 2000 00:00:00 GMT"),
                None,
                Some(951_782_400 - NOW),
            ),
            (Some("Sun, 06 Nov 1994 08:50:07 CET"), None, None),
            (Some("Sun, 06 Nov 1994"), None, None),
            (Some("-5"), None, None),
            (
                Some("soon"),
                Some("Request was throttled. Expected available in 12 seconds."),
                Some(12),
            ),
            (None, Some("Expected available in 1 second."), Some(1)),
            (None, Some("Request was throttled."), None),
            (None, Some("available in a while"), None),
            (None, Some("available in 9"), None),
            (Some("99999999999999999999999"), None, None),
            (None, None, None),
        ] {
            assert_eq!(
                retry_after(header, detail, NOW),
                wait.map(S),
                "{header:?} {detail:?}"
            );
        }
    }
}
