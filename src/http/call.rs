//! One call: its attempts, the redirects it follows and its waits, until there is an answer or an
//! error.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::params::Params;
use super::redirect;
use super::response::Response;
use super::retry::{self, Decision, Outcome, Spent};
use super::transport::{Accept, Answer, Attempt, NoAnswer, Reason};
use super::{AFTER_DEADLINE, Auth, Core, Http, RetryEvent, timed_out, url};
use crate::error::text::lossy;
use crate::error::{ApiError, Error, Failure, FailureKind, Result};

/// A call that is ready to be sent.
pub(super) struct Call {
    pub(super) method: &'static str,
    /// Checked and encoded.
    pub(super) path: String,
    pub(super) params: Params,
    /// Assembled from the host, the path, the parameters and, with `Auth::Query`, the key.
    pub(super) url: String,
    /// With the key in it, for `Auth::Body`.
    pub(super) body: Option<Vec<u8>>,
    pub(super) auth: Auth,
    pub(super) accept: Accept,
    pub(super) timeout: Duration,
    /// It can be sent twice without harm.
    pub(super) repeatable: bool,
    pub(super) paced: bool,
}

/// Sends a call until there is an answer, or an error that another attempt would not change.
pub(super) fn send(http: &Http, mut call: Call) -> Result<Response> {
    let core = http.core();
    let (mut spent, mut redirects) = (Spent::default(), 0);
    loop {
        http.pace(&call)?;
        let (outcome, error) = match core.transport.attempt(&call.attempt(http)?) {
            Ok(answer) if answer.is_success() => return Ok(Response::new(http, call, answer)),
            Ok(answer) if answer.is_redirect() => {
                redirects += 1;
                call = redirect::follow(core, call, &answer, redirects)?;
                continue;
            }
            Ok(answer) => call.status_error(core, &answer),
            Err(failed) => call.no_answer_error(http, failed),
        };
        match retry::decide(&core.policy, &mut spent, outcome, call.repeatable, retry::jitter()) {
            Decision::Again if !http.is_stopped() => {}
            Decision::Wait(wait) if http.can_wait(wait) => {
                if !http.wait_for_retry(&call, spent.retries, wait, &error) {
                    return Err(error);
                }
            }
            _ => return Err(error),
        }
    }
}

impl Http {
    /// Waits until the pace allows the call.
    fn pace(&self, call: &Call) -> Result<()> {
        let Some(pace) = self.core.pace.as_ref().filter(|_| call.paced) else { return Ok(()) };
        self.check_deadline().map_err(|e| e.of_call(call.method, &call.path))?;
        let wait = pace.take(self.left()).ok_or_else(|| {
            let why = "the next request that max_requests_per_minute allows is after the deadline";
            timed_out(why).of_call(call.method, &call.path)
        })?;
        if wait > Duration::from_secs(1) {
            let path = self.core.key.mask(&call.path);
            self.notify(|| RetryEvent::Pace { method: call.method, path, wait });
        }
        if !wait.is_zero() && !self.wait(wait) {
            return Err(stopped().of_call(call.method, &call.path));
        }
        Ok(())
    }

    fn check_deadline(&self) -> Result<()> {
        match self.left() {
            Some(Duration::ZERO) => Err(timed_out("the deadline has passed: nothing was sent")),
            _ => Ok(()),
        }
    }

    fn can_wait(&self, wait: Duration) -> bool {
        !self.is_stopped() && self.left().is_none_or(|left| wait < left)
    }

    /// Waits before a retry; false where another thread ended the wait.
    fn wait_for_retry(&self, call: &Call, retry: u32, wait: Duration, error: &Error) -> bool {
        if error.status() == Some(429) {
            self.note_throttled(wait);
        }
        self.notify(|| RetryEvent::Retry {
            method: call.method,
            path: self.core.key.mask(&call.path),
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

impl Call {
    fn attempt<'a>(&'a self, http: &'a Http) -> Result<Attempt<'a>> {
        http.check_deadline().map_err(|e| e.of_call(self.method, &self.path))?;
        let left = http.left();
        if http.is_stopped() {
            return Err(stopped().of_call(self.method, &self.path));
        }
        let core = http.core();
        Ok(Attempt {
            method: self.method,
            url: &self.url,
            authorization: (self.auth == Auth::Bearer).then(|| core.key.bearer()),
            user_agent: &core.user_agent,
            accept: self.accept,
            body: self.body.as_deref(),
            timeout: self.timeout,
            left,
        })
    }

    /// The same call at another path.
    pub(super) fn at(self, core: &Core, path: String, params: Params) -> Result<Call> {
        let url = assemble(core, self.auth, &path, &params)?;
        Ok(Call { path, params, url, ..self })
    }

    fn status_error(&self, core: &Core, answer: &Answer) -> (Outcome, Error) {
        let body = lossy(&answer.body).into_owned();
        let error = ApiError::read(self.method, self.url.clone(), answer.status, body);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let header = answer.header("retry-after");
        let wait = retry::retry_after(header, error.detail(), now.as_secs());
        let error = Error::Api(Box::new(error.with_headers(wait, answer.request_id())));
        // Masked before the hook, or a retry, can see it.
        (Outcome::Status(answer.status, wait), core.key.conceal(error))
    }

    fn no_answer_error(&self, http: &Http, failed: NoAnswer) -> (Outcome, Error) {
        let NoAnswer { outcome, mut reason, message, source } = failed;
        if matches!(reason, Reason::Timeout(_)) && http.left().is_some_and(|left| left.is_zero()) {
            reason = Reason::Deadline;
        }
        let message = match reason {
            Reason::Transport(FailureKind::Dns | FailureKind::Connect)
            | Reason::Timeout(FailureKind::Dns | FailureKind::Connect) => {
                format!("{}: {message}", http.core().base.origin)
            }
            _ => message,
        };
        let error = match reason {
            Reason::Transport(kind) => {
                Error::Transport(Failure::new(kind, message).with_source(source))
            }
            Reason::Timeout(kind) => Error::Timeout(Failure::new(kind, message)),
            Reason::Deadline => timed_out(AFTER_DEADLINE),
            Reason::TooLarge => Error::TooLarge(Failure::new(FailureKind::Other, message)),
        };
        (outcome, error.of_call(self.method, &self.path))
    }
}

pub(super) fn assemble(core: &Core, auth: Auth, path: &str, params: &Params) -> Result<String> {
    let key = (auth == Auth::Query).then(|| core.key.as_str());
    url::assemble(&core.base, path, &params.encoded(), key)
}

/// The body with the key in it, for `Auth::Body`.
pub(super) fn body_with_key(
    core: &Core,
    auth: Auth,
    body: Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>> {
    if auth != Auth::Body {
        return Ok(body);
    }
    let key = serde_json::to_string(core.key.as_str()).unwrap_or_default();
    let Some(body) = body else {
        return Ok(Some(format!("{{\"personal_api_key\":{key}}}").into_bytes()));
    };
    let Some(fields) = body.strip_prefix(b"{") else {
        return Err(Error::config(
            "with Auth::Body the body must be a JSON object, since the key is added to it",
        ));
    };
    let own =
        serde_json::from_slice::<Value>(&body).is_ok_and(|b| b.get("personal_api_key").is_some());
    if own {
        return Err(Error::config(
            "the body has a personal_api_key of its own: with Auth::Body the client adds the key",
        ));
    }
    let comma = if fields == b"}" { "" } else { "," };
    let mut out = format!("{{\"personal_api_key\":{key}{comma}").into_bytes();
    out.extend_from_slice(fields);
    Ok(Some(out))
}
