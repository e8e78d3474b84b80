//! One call: its attempts, the redirects it follows and its waits, until there is an answer or an
//! error.

use std::borrow::Cow;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::redirect;
use super::request::{Effect, Request};
use super::response::Response;
use super::retry::{self, Decision, Spent};
use super::transport::{Accept, Answer, Attempt, Failed};
use super::wait::{self, RetryEvent, timed_out};
use super::{Auth, Http};
use crate::error::{Error, ErrorKind, Result};

impl Request {
    /// Sends the request and reads the answer as JSON; an empty body of a 2xx answer is
    /// [`Value::Null`].
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for a mistake in what was given; a kind from
    /// [`Dns`](crate::ErrorKind::Dns) to [`Timeout`](crate::ErrorKind::Timeout) without a complete
    /// answer; a kind from [`Unauthenticated`](crate::ErrorKind::Unauthenticated) to
    /// [`Redirect`](crate::ErrorKind::Redirect) for an answer that is an error;
    /// [`TooLarge`](crate::ErrorKind::TooLarge), and [`Decode`](crate::ErrorKind::Decode) for an
    /// answer that is not JSON.
    pub fn send(self) -> Result<Value> {
        self.send_as()
    }

    /// Sends the request and reads the JSON of the answer as a `T`; an empty body of a 2xx answer
    /// is read as `null`.
    ///
    /// # Errors
    /// As [`send`](Request::send); [`Decode`](crate::ErrorKind::Decode) also where the JSON is not
    /// a `T`.
    pub fn send_as<T: DeserializeOwned>(self) -> Result<T> {
        self.run_json()?.json()
    }

    /// Sends the request and returns the whole answer, with its status and headers.
    ///
    /// The answer is not compressed, so that one which was cut is noticed.
    ///
    /// # Errors
    /// As [`send`](Request::send), without [`Decode`](crate::ErrorKind::Decode).
    pub fn response(self) -> Result<Response> {
        send(self, Accept::Anything)
    }

    /// Sends the request and returns the body as text, such as CSV. See [`Response::text`].
    ///
    /// # Errors
    /// As [`send`](Request::send); [`Decode`](crate::ErrorKind::Decode) where the body is a web
    /// page, is not UTF-8, or may be cut.
    pub fn text(self) -> Result<String> {
        self.response()?.text()
    }

    pub(crate) fn run_json(self) -> Result<Response> {
        send(self, Accept::Json)
    }
}

/// Sends a request until there is an answer, or an error that another attempt would not change.
fn send(mut request: Request, accept: Accept) -> Result<Response> {
    if let Some(mistake) = request.mistake.take() {
        return Err(request.error(mistake));
    }
    let (mut spent, mut redirects) = (Spent::default(), 0);
    loop {
        let Failed { error, stale } = match attempt(&mut request, accept) {
            Ok(answer) if answer.is_success() => return Ok(Response { request, answer }),
            Ok(answer) if answer.is_redirect() => {
                redirects += 1;
                redirect::follow(&mut request, &answer, redirects).map_err(|e| request.error(e))?;
                continue;
            }
            Ok(answer) => status_error(&request, &answer).into(),
            Err(failed) => failed,
        };
        let error = request.error(error);
        let http = &request.http;
        let policy = &http.core.policy;
        let repeatable = request.effect != Effect::Write;
        match retry::decide(policy, &mut spent, &error, stale, repeatable, retry::jitter()) {
            Decision::Again => {}
            Decision::Wait(wait) if http.wait_for_retry(&request, spent.retries, wait, &error) => {}
            _ => {
                http.note_failed(&error);
                return Err(error);
            }
        }
    }
}

fn attempt(request: &mut Request, accept: Accept) -> std::result::Result<Answer, Failed> {
    let (buffer, turn) = (std::mem::take(&mut request.buffer), request.turn.take());
    let (http, core) = (&request.http, &request.http.core);
    let (url, body) = (request.url()?, body_with_key(request)?);
    http.pace(request, turn)?;
    http.check()?;
    let attempt = Attempt {
        method: request.method,
        url: &url,
        authorization: (request.auth == Auth::Bearer).then(|| core.key.bearer()),
        user_agent: &core.user_agent,
        accept,
        body: body.as_deref(),
        timeout: request.limit(),
        left: http.left(),
        deadline: http.deadline,
    };
    core.transport.attempt(&attempt, buffer)
}

/// What an error status means. The key is masked before the hook, or a retry, can see it.
fn status_error(request: &Request, answer: &Answer) -> Error {
    let key = &request.http.core.key;
    let mut kept = answer.for_error(&|text| key.shown(text));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let header = answer.header("retry-after");
    kept.retry_after = retry::retry_after(header, now.as_secs()).or(kept.retry_after);
    Error::of_answer(kept)
}

impl Http {
    /// Waits until the pace allows the request. `turn`: the time that was taken for it before.
    fn pace(&self, request: &Request, turn: Option<Instant>) -> Result<()> {
        let Some(pace) = self.core.pace.as_ref().filter(|_| request.paced) else { return Ok(()) };
        self.check()?;
        let turn = turn.or_else(|| pace.take(self.deadline)).ok_or_else(|| {
            timed_out("the next request that max_requests_per_minute allows is after the deadline")
        })?;
        let wait = turn.saturating_duration_since(Instant::now());
        if wait > Duration::from_secs(1) {
            let path = self.core.key.mask(&request.path);
            self.notify(|| RetryEvent::Pace { method: request.method, path, wait });
        }
        if wait.is_zero() || self.wait(wait) { Ok(()) } else { Err(given_up()) }
    }

    /// Whether a request may be sent now.
    fn check(&self) -> Result<()> {
        if self.is_over() {
            return Err(timed_out("the deadline has passed: nothing was sent"));
        }
        if self.is_stopped() { Err(given_up()) } else { Ok(()) }
    }

    /// Waits before a retry; false where the wait does not fit before the deadline, or the request
    /// was given up.
    fn wait_for_retry(&self, request: &Request, retry: u32, wait: Duration, error: &Error) -> bool {
        // What may be the work of other requests is sent again alone, when it is wanted.
        let shared = self.watch.as_ref().is_some_and(|watch| watch.is(|it| it.shared));
        if self.is_stopped()
            || (shared && error.retry_after().is_none())
            || self.left().is_some_and(|left| left <= wait)
        {
            return false;
        }
        self.note_failed(error);
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

    fn notify(&self, event: impl FnOnce() -> RetryEvent) {
        if let Some(hook) = &self.core.on_retry {
            wait::show(hook.as_ref(), event);
        }
    }

    /// Waits; false where another thread ended the wait.
    fn wait(&self, wait: Duration) -> bool {
        if let Some(watch) = &self.watch {
            return watch.wait(wait);
        }
        thread::sleep(wait);
        true
    }

    fn is_stopped(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is(|it| it.stopped))
    }

    /// Notes a failed attempt for the queue in which the request is. One that is too slow alone is
    /// too slow beside others.
    fn note_failed(&self, error: &Error) {
        if let Some(watch) = &self.watch {
            if error.is_transient() && error.kind() != ErrorKind::TooSlow {
                watch.note_failed(error);
            }
        }
    }
}

fn given_up() -> Error {
    Error::new(ErrorKind::Broken, "the request was given up")
}

/// The body, with the key in it for `Auth::Body`.
fn body_with_key(request: &Request) -> Result<Option<Cow<'_, [u8]>>> {
    let body = request.body.as_deref();
    if request.auth != Auth::Body {
        return Ok(body.map(Cow::Borrowed));
    }
    let key = serde_json::to_string(request.http.core.key.as_str()).unwrap_or_default();
    let body = body.unwrap_or(b"{}");
    let Some(fields) = body.strip_prefix(b"{") else {
        let why = "the body is not a JSON object; with Auth::Body the key is added to it";
        return Err(Error::config(why));
    };
    let has_key = |body: Value| body.get("personal_api_key").is_some();
    if serde_json::from_slice(body).is_ok_and(has_key) {
        let hint = "leave it out: with Auth::Body the client adds the key";
        return Err(Error::config(format!("the body has a personal_api_key of its own; {hint}")));
    }
    let comma = if fields == b"}" { "" } else { "," };
    let mut out = format!("{{\"personal_api_key\":{key}{comma}").into_bytes();
    out.extend_from_slice(fields);
    Ok(Some(Cow::Owned(out)))
}
