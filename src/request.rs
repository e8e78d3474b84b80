//! One call: prepare, attempt, wait, decode. Everything that leaves this crate leaves through here.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{DecodeError, Error, Result};
use crate::json;
use crate::params::Params;
use crate::retry::{self, Decision, Outcome, Spent};
use crate::shared::{self, Auth, RetryEvent, Shared};
use crate::transport::{Answer, Attempt};
use crate::url;

const TIMEOUT: Duration = Duration::from_secs(120);
/// The HTTP layer takes a limit of nothing for a second.
const LEAST_TIMEOUT: Duration = Duration::from_millis(1);
const SLOW_TIMEOUT: Duration = Duration::from_secs(600);
/// A clock cannot add every `Duration`; a year is as good as for ever.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// One call in the making; nothing is sent before [`send`](Request::send), [`send_as`](Request::send_as) or
/// [`text`](Request::text).
#[must_use = "nothing is sent before .send()"]
pub struct Request {
    shared: Arc<Shared>,
    method: &'static str,
    path: Result<String>,
    params: Params,
    body: Option<Result<Vec<u8>>>,
    timeout: Option<Duration>,
    slow: bool,
    repeatable: bool,
    /// When it must be over, with all its tries.
    deadline: Option<Instant>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// `path`: checked and encoded.
    pub(crate) fn new(shared: &Arc<Shared>, method: &'static str, path: Result<String>) -> Request {
        Request {
            shared: Arc::clone(shared),
            method,
            path,
            params: Params::default(),
            body: None,
            timeout: None,
            slow: false,
            repeatable: method == "GET",
            deadline: None,
        }
    }

    /// Adds a query parameter: a string as it is, anything else as JSON; null is left out.
    ///
    /// `token`, `api_key` and `personal_api_key` are refused, as they switch the project of a request or leak a key; and so is an
    /// empty `search`, `email`, `distinct_id` or `short_id`, which would be no filter.
    pub fn param(mut self, name: &str, value: impl Serialize) -> Self {
        self.params.push(name, &value);
        self
    }

    pub(crate) fn params(mut self, params: Params) -> Self {
        self.params = params;
        self
    }

    /// Sets the JSON body.
    pub fn json(mut self, body: impl Serialize) -> Self {
        let bytes = serde_json::to_vec(&body);
        self.body =
            Some(bytes.map_err(|e| Error::Config(format!("the body cannot be sent as JSON: {e}"))));
        self
    }

    /// Sets how long one attempt may wait for the answer to begin, and then for it to end.
    /// Defaults to the client's: 120 s, 600 s for queries and refreshes.
    pub fn timeout(mut self, d: Duration) -> Self {
        self.timeout = Some(d);
        self
    }

    /// The server computes: it gets more time.
    pub(crate) fn slow(mut self, slow: bool) -> Self {
        self.slow = slow;
        self
    }

    /// Doing it twice does no harm, whatever the method.
    pub(crate) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Ends it at this time, with all its tries.
    pub(crate) fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sends it, and reads the answer as JSON; an empty 2xx body is [`Value::Null`].
    ///
    /// # Errors
    /// Every variant of [`Error`] but `Paging`, `Insight` and `Query`: what was given cannot be right, no answer came,
    /// PostHog refused, or the answer is not JSON.
    pub fn send(self) -> Result<Value> {
        self.send_as()
    }

    /// Sends it, and reads the answer's JSON straight into a `T`; an empty 2xx body is read as `null`.
    ///
    /// # Errors
    /// As [`send`](Request::send); [`Error::Decode`] where the answer is no `T`.
    pub fn send_as<T: DeserializeOwned>(self) -> Result<T> {
        self.run("application/json")?.decode()
    }

    /// Sends it, and gives the body as text: CSV and the like.
    ///
    /// # Errors
    /// As [`send`](Request::send); [`Error::Decode`] where the body is not UTF-8.
    pub fn text(self) -> Result<String> {
        let mut reply = self.run("*/*")?;
        let kind = reply.answer.header("content-type").unwrap_or_default();
        if kind.starts_with("text/html") {
            return Err(reply.unreadable("a web page is no answer"));
        }
        String::from_utf8(std::mem::take(&mut reply.answer.body)).map_err(|e| {
            let why = e.to_string();
            reply.answer.body = e.into_bytes();
            reply.unreadable(&why)
        })
    }

    fn run(self, accept: &'static str) -> Result<Reply> {
        let shared = Arc::clone(&self.shared);
        self.attempts(accept).map_err(|e| shared.secret.strip(e))
    }

    fn attempts(self, accept: &'static str) -> Result<Reply> {
        let shared = self.shared;
        let mut method = self.method;
        let mut path = self.path?;
        let query = self.params.finish()?;
        let mut body = shared.with_key(self.body.transpose()?)?;
        let mut repeatable = self.repeatable;
        let default = if self.slow { SLOW_TIMEOUT } else { TIMEOUT };
        let timeout = self
            .timeout
            .or(shared.timeout)
            .unwrap_or(default)
            .min(LONGEST_TIMEOUT);
        if timeout.is_zero() {
            return Err(Error::Config(
                "a timeout of zero: no call could be made".to_owned(),
            ));
        }
        let in_query = (shared.auth == Auth::Query).then_some(shared.secret.key());
        let mut url = url::assemble(&shared.base, &path, &query, in_query)?;
        let mut spent = Spent::default();
        let mut redirects = 0;
        let left = || {
            self.deadline
                .map(|at| at.saturating_duration_since(Instant::now()))
        };
        loop {
            shared.pace(method, &path);
            let timeout = left().map_or(timeout, |left| timeout.min(left.max(LEAST_TIMEOUT)));
            let attempted = shared.transport.attempt(&Attempt {
                method,
                url: &url,
                authorization: (shared.auth == Auth::Bearer).then_some(shared.bearer.as_str()),
                user_agent: &shared.user_agent,
                accept,
                body: body.as_deref(),
                timeout,
            });
            let (outcome, result) = match attempted {
                Ok(answer) if matches!(answer.status, 301 | 302 | 303 | 307 | 308) => {
                    redirects += 1;
                    let to = shared.follow(method, &path, &answer, redirects)?;
                    let next = to.1.finish()?;
                    url = url::assemble(&shared.base, &to.0, &next, in_query).map_err(|_| {
                        shared::refused(method, &path, &answer, "it is longer than a URL can be")
                    })?;
                    path = to.0;
                    if answer.status == 303 && method != "GET" {
                        (method, repeatable) = ("GET", true);
                        body = shared.with_key(None)?;
                    }
                    continue;
                }
                Ok(answer) if (200..300).contains(&answer.status) => {
                    return Ok(Reply {
                        method,
                        answer,
                        path,
                        shared: Arc::clone(&shared),
                    });
                }
                Ok(answer) => {
                    let error = shared.api_error(method, &url, &answer);
                    (
                        Outcome::Status(answer.status, error.retry_after()),
                        Error::Api(Box::new(error)),
                    )
                }
                Err(fault) => shared.fault(method, &path, timeout, fault),
            };
            let decision = retry::decide(&shared.policy, spent, outcome, repeatable, jitter());
            let wait = match decision {
                Decision::Again => continue,
                Decision::Wait(wait) if left().is_none_or(|left| wait < left) => wait,
                _ => return Err(result),
            };
            spent.retries += 1;
            spent.waited = spent.waited.saturating_add(wait);
            spent.had_500 |= outcome == Outcome::Status(500, None);
            shared.pause(wait, || RetryEvent {
                method,
                path: path.clone(),
                retry: spent.retries,
                wait,
                status: result.status(),
                reason: result.to_string(),
            });
        }
    }
}

/// A 2xx answer, and the call that it answers.
struct Reply {
    method: &'static str,
    path: String,
    answer: Answer,
    shared: Arc<Shared>,
}

impl Reply {
    fn decode<T: DeserializeOwned>(self) -> Result<T> {
        json::decode(&self.answer.body).map_err(|e| self.unreadable(&e.to_string()))
    }

    fn unreadable(&self, message: &str) -> Error {
        self.shared
            .secret
            .strip(Error::Decode(Box::new(DecodeError {
                method: self.method,
                path: self.path.clone(),
                status: self.answer.status,
                content_type: self
                    .answer
                    .header("content-type")
                    .map(|kind| self.shared.mask(kind)),
                request_id: self.shared.request_id(&self.answer),
                message: message.to_owned(),
                body: self.shared.excerpt(&self.answer.body),
            })))
    }
}

/// From 0 to 1, another each time: the standard library seeds its hashers at random.
#[allow(clippy::cast_precision_loss)] // a jitter needs no 64 bits
fn jitter() -> f64 {
    RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64
}
