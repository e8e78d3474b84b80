//! One call: its attempts, the redirects it follows and its waits, until there is an answer or an
//! error.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::redirect;
use super::request::Request;
use super::response::Response;
use super::retry::{self, Decision, Outcome, Spent};
use super::transport::{Accept, Answer, Attempt, NoAnswer};
use super::{AFTER_DEADLINE, Auth, Core, Http, RetryEvent, timed_out};
use crate::error::text::lossy;
use crate::error::{ApiError, Error, Failure, FailureKind, Result};

/// Sends a request until there is an answer, or an error that another attempt would not change.
pub(super) fn send(mut request: Request, accept: Accept) -> Result<Response> {
    match answer(&mut request, accept) {
        Ok(answer) => Ok(Response::new(request, answer)),
        Err(error) => Err(request.error(error)),
    }
}

fn answer(request: &mut Request, accept: Accept) -> Result<Answer> {
    if let Some(mistake) = request.mistake.take() {
        return Err(mistake);
    }
    let http = request.http.clone();
    let core = http.core();
    let (mut spent, mut redirects) = (Spent::default(), 0);
    loop {
        let (url, body) = (request.url()?, body_with_key(request)?);
        http.pace(request)?;
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
        };
        let (outcome, error) = match core.transport.attempt(&attempt) {
            Ok(answer) if answer.is_success() => return Ok(answer),
            Ok(answer) if answer.is_redirect() => {
                redirects += 1;
                redirect::follow(request, &answer, redirects)?;
                continue;
            }
            Ok(answer) => status_error(request.method, url, core, &answer),
            Err(NoAnswer { outcome, error: Error::Timeout(_) }) if http.is_over() => {
                (outcome, timed_out(AFTER_DEADLINE))
            }
            Err(NoAnswer { outcome, error })
                if error.is_kind(FailureKind::Dns) || error.is_kind(FailureKind::Connect) =>
            {
                let origin = &core.base.origin;
                (outcome, error.map_text(&|message| format!("{origin}: {message}")))
            }
            Err(NoAnswer { outcome, error }) => (outcome, error),
        };
        let decision =
            retry::decide(&core.policy, &mut spent, outcome, request.repeatable, retry::jitter());
        match decision {
            Decision::Again if !http.is_stopped() => {}
            Decision::Wait(wait) if http.can_wait(wait) => {
                if !http.wait_for_retry(request, spent.retries, wait, &error) {
                    return Err(error);
                }
            }
            _ => return Err(error),
        }
    }
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

    fn can_wait(&self, wait: Duration) -> bool {
        !self.is_stopped() && self.left().is_none_or(|left| wait < left)
    }

    /// Waits before a retry; false where another thread ended the wait.
    fn wait_for_retry(&self, request: &Request, retry: u32, wait: Duration, error: &Error) -> bool {
        if error.status() == Some(429) {
            self.note_throttled(wait);
        }
        self.notify(|| RetryEvent::Retry {
            method: request.method,
            path: self.core.key.mask(&request.path),
            retry,
            wait,
            status: error.status(),
            reason: self.core.key.mask(&reason(error)),
        });
        self.wait(wait)
    }
}

/// Why a call failed, without its method and path.
fn reason(error: &Error) -> String {
    match error {
        Error::Api(e) => e.detail().map_or_else(|| format!("status {}", e.status()), str::to_owned),
        Error::Transport(e) | Error::Timeout(e) => e.message().to_owned(),
        other => other.to_string(),
    }
}

fn stopped() -> Error {
    Error::Transport(Failure::new(FailureKind::Other, "the call was stopped"))
}

fn status_error(
    method: &'static str,
    url: String,
    core: &Core,
    answer: &Answer,
) -> (Outcome, Error) {
    let error = ApiError::read(method, url, answer.status, lossy(&answer.body).into_owned());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let header = answer.header("retry-after");
    let wait = retry::retry_after(header, error.detail(), now.as_secs());
    let error = Error::Api(Box::new(error.with_headers(wait, answer.request_id())));
    // Masked before the hook, or a retry, can see it.
    (Outcome::Status(answer.status, wait), core.key.conceal(error))
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
            "with Auth::Body the body must be a JSON object, since the key is added to it",
        ));
    };
    let own =
        serde_json::from_slice::<Value>(body).is_ok_and(|b| b.get("personal_api_key").is_some());
    if own {
        return Err(Error::config(
            "the body has a personal_api_key of its own: with Auth::Body the client adds the key",
        ));
    }
    let comma = if fields == b"}" { "" } else { "," };
    let mut out = format!("{{\"personal_api_key\":{key}{comma}").into_bytes();
    out.extend_from_slice(fields);
    Ok(Some(Cow::Owned(out)))
}
