//! One call: its attempts, the redirects it follows and its waits, until there is an answer or an
//! error.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::ahead::stopped;
use super::redirect;
use super::request::Request;
use super::response::Response;
use super::retry::{self, Decision, Outcome, Spent};
use super::transport::{Accept, Answer, Attempt, NoAnswer};
use super::{Auth, Http, RetryEvent, timed_out};
use crate::error::{Error, Result};

/// Sends a request until there is an answer, or an error that another attempt would not change.
pub(super) fn send(mut request: Request, accept: Accept) -> Result<Response> {
    if let Some(mistake) = request.mistake.take() {
        return Err(request.error(mistake));
    }
    let (mut spent, mut redirects) = (Spent::default(), 0);
    loop {
        let (outcome, error) = match attempt(&mut request, accept) {
            Ok(answer) if answer.is_success() => return Ok(Response::new(request, answer)),
            Ok(answer) if answer.is_redirect() => {
                redirects += 1;
                redirect::follow(&mut request, &answer, redirects).map_err(|e| request.error(e))?;
                continue;
            }
            Ok(answer) => status_error(&request, &answer),
            Err(NoAnswer { outcome, error }) => (outcome, error),
        };
        let error = request.error(error);
        let http = &request.http;
        let policy = &http.core().policy;
        match retry::decide(policy, &mut spent, outcome, request.repeatable, retry::jitter()) {
            Decision::Again => {}
            Decision::Wait(wait) if http.wait_for_retry(&request, spent.retries, wait, &error) => {}
            _ => {
                http.note_failed(&error, error.retry_after());
                return Err(error);
            }
        }
    }
}

fn attempt(request: &mut Request, accept: Accept) -> std::result::Result<Answer, NoAnswer> {
    let buffer = std::mem::take(&mut request.buffer);
    let (http, core) = (&request.http, request.http.core());
    let unsent = |error| NoAnswer { outcome: Outcome::Final, error };
    let (url, body) = (request.url().map_err(unsent)?, body_with_key(request).map_err(unsent)?);
    http.pace(request).and_then(|()| http.check()).map_err(unsent)?;
    let attempt = Attempt {
        method: request.method,
        url: &url,
        authorization: (request.auth == Auth::Bearer).then(|| core.key.bearer()),
        user_agent: &core.user_agent,
        accept,
        body: body.as_deref(),
        timeout: request.limit(),
        left: http.left(),
        deadline: http.deadline(),
    };
    core.transport.attempt(&attempt, buffer)
}

/// What an error status means. The key is masked before the hook, or a retry, can see it.
fn status_error(request: &Request, answer: &Answer) -> (Outcome, Error) {
    let key = &request.http.core().key;
    let mut kept = answer.for_error(&|text| key.shown(text));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let header = answer.header("retry-after");
    kept.retry_after = retry::retry_after(header, now.as_secs()).or(kept.retry_after);
    (Outcome::Status(answer.status, kept.retry_after), Error::of_answer(kept))
}

impl Http {
    /// Waits until the pace allows the request.
    fn pace(&self, request: &Request) -> Result<()> {
        let Some(pace) = self.core.pace.as_ref().filter(|_| request.paced) else { return Ok(()) };
        self.check()?;
        let wait = pace.take(self.left()).ok_or_else(|| {
            timed_out("the next request that max_requests_per_minute allows is after the deadline")
        })?;
        if wait > Duration::from_secs(1) {
            let path = self.core.key.mask(&request.path);
            self.notify(|| RetryEvent::Pace { method: request.method, path, wait });
        }
        if wait.is_zero() || self.wait(wait) { Ok(()) } else { Err(stopped()) }
    }

    /// Whether a request may be sent now.
    fn check(&self) -> Result<()> {
        if self.is_over() {
            return Err(timed_out("the deadline has passed: nothing was sent"));
        }
        if self.is_stopped() { Err(stopped()) } else { Ok(()) }
    }

    /// Waits before a retry; false where the wait does not fit before the deadline, or the request
    /// was given up.
    fn wait_for_retry(&self, request: &Request, retry: u32, wait: Duration, error: &Error) -> bool {
        if self.is_stopped() || self.left().is_some_and(|left| left <= wait) {
            return false;
        }
        self.note_failed(error, Some(wait));
        self.notify(|| RetryEvent::Retry {
            method: request.method,
            path: self.core.key.mask(&request.path),
            retry,
            wait,
            status: error.status(),
            reason: error.detail().unwrap_or(error.message()).to_owned(),
        });
        self.wait(wait)
    }
}

/// The body, with the key in it for `Auth::Body`.
fn body_with_key(request: &Request) -> Result<Option<Cow<'_, [u8]>>> {
    let body = request.body.as_deref();
    if request.auth != Auth::Body {
        return Ok(body.map(Cow::Borrowed));
    }
    let key = serde_json::to_string(request.http.core().key.as_str()).unwrap_or_default();
    let body = body.unwrap_or(b"{}");
    let Some(fields) = body.strip_prefix(b"{") else {
        return Err(Error::config(
            "the body is not a JSON object; with Auth::Body the key is added to it",
        ));
    };
    let own =
        serde_json::from_slice::<Value>(body).is_ok_and(|b| b.get("personal_api_key").is_some());
    if own {
        return Err(Error::config(
            "the body has a personal_api_key of its own; leave it out: with Auth::Body the client adds the key",
        ));
    }
    let comma = if fields == b"}" { "" } else { "," };
    let mut out = format!("{{\"personal_api_key\":{key}{comma}").into_bytes();
    out.extend_from_slice(fields);
    Ok(Some(Cow::Owned(out)))
}
