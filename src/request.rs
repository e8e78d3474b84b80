//! One call: prepare, attempt, wait, decode. Everything that leaves this crate leaves through here.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{ApiError, DecodeError, Error, Failure, Result};
use crate::json;
use crate::retry::{self, Decision, Outcome, RetryPolicy, Spent};
use crate::transport::{Answer, Attempt, ERROR_BODY, Fault, Transport};
use crate::url::{self, Base, Params};

const TIMEOUT: Duration = Duration::from_secs(120);
const SLOW_TIMEOUT: Duration = Duration::from_secs(600);
const MOST_REDIRECTS: u32 = 5;

/// Where the key goes in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Auth {
    /// In the header `Authorization: Bearer ...`.
    #[default]
    Bearer,
    /// In the JSON body, as `personal_api_key`; a GET then has a body too.
    Body,
    /// In the query, as `personal_api_key`. It ends in the logs of every proxy on the way, and PostHog writes it back into the
    /// `next` links of its answers: for servers and proxies that leave no other way.
    Query,
}

/// A wait that a client is about to make, as [`on_retry`](crate::ClientBuilder::on_retry) sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RetryEvent {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, without host and query.
    pub path: String,
    /// Which retry comes after the wait, from 1; 0 where the wait is for
    /// [`max_requests_per_minute`](crate::ClientBuilder::max_requests_per_minute).
    pub retry: u32,
    /// How long the wait is.
    pub wait: Duration,
    /// The status of the answer that is tried again, where there was one.
    pub status: Option<u16>,
    /// Why, in words.
    pub reason: String,
}

/// A hook that sees each wait.
pub(crate) type OnRetry = Box<dyn Fn(&RetryEvent) + Send + Sync>;

/// What the clones of a client share.
pub(crate) struct Core {
    pub(crate) base: Base,
    pub(crate) key: String,
    pub(crate) auth: Auth,
    pub(crate) bearer: String,
    pub(crate) user_agent: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) policy: RetryPolicy,
    pub(crate) on_retry: Option<OnRetry>,
    pub(crate) pace: Option<Pace>,
    pub(crate) transport: Transport,
}

/// Spreads requests evenly: a slot each, so that no minute has more of them than it may.
pub(crate) struct Pace {
    pub(crate) interval: Duration,
    pub(crate) next: Mutex<Instant>,
}

impl Pace {
    fn wait(&self) -> Duration {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = now.max(*next);
        *next = slot + self.interval;
        slot - now
    }
}

/// One call in the making; nothing is sent before [`send`](Request::send), [`send_as`](Request::send_as) or
/// [`text`](Request::text).
#[must_use = "nothing is sent before .send()"]
pub struct Request {
    core: Arc<Core>,
    method: &'static str,
    path: Result<String>,
    params: Params,
    body: Option<Result<Vec<u8>>>,
    timeout: Option<Duration>,
    slow: bool,
    repeatable: bool,
    policy: Option<RetryPolicy>,
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
    pub(crate) fn new(core: &Arc<Core>, method: &'static str, path: Result<String>) -> Request {
        Request {
            core: Arc::clone(core),
            method,
            path,
            params: Params::default(),
            body: None,
            timeout: None,
            slow: false,
            repeatable: method == "GET",
            policy: None,
        }
    }

    /// Adds a query parameter: a string as it is, anything else as JSON; null is left out.
    ///
    /// `token`, `api_key` and `personal_api_key` are refused: they switch the project of a request, or leak a key.
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

    /// Waits for `most` at most before other tries, or makes none where that is nothing.
    pub(crate) fn waiting(mut self, most: Duration) -> Self {
        let policy = self.core.policy.clone().cap(most);
        self.policy = Some(policy);
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
        let reply = self.run("*/*")?;
        match std::str::from_utf8(&reply.answer.body) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => Err(reply.unreadable(e.to_string())),
        }
    }

    fn run(self, accept: &'static str) -> Result<Reply> {
        let core = self.core;
        let mut method = self.method;
        let mut path = self.path?;
        let mut query = self.params.finish()?;
        let mut body = with_key(&core, self.body.transpose()?)?;
        let mut repeatable = self.repeatable;
        let timeout =
            self.timeout
                .or(core.timeout)
                .unwrap_or(if self.slow { SLOW_TIMEOUT } else { TIMEOUT });
        let in_query = (core.auth == Auth::Query).then_some(core.key.as_str());
        let mut url = url::assemble(&core.base, &path, &query, in_query)?;
        let policy = self.policy.as_ref().unwrap_or(&core.policy);
        let mut spent = Spent::default();
        let mut redirects = 0;
        loop {
            core.pace(method, &path);
            let attempted = core.transport.attempt(&Attempt {
                method,
                url: &url,
                authorization: (core.auth == Auth::Bearer).then_some(core.bearer.as_str()),
                user_agent: &core.user_agent,
                accept,
                body: body.as_deref(),
                timeout,
            });
            let (outcome, result) = match attempted {
                Ok(answer) if matches!(answer.status, 301 | 302 | 303 | 307 | 308) => {
                    redirects += 1;
                    let to = core.follow(method, &path, &answer, redirects)?;
                    (path, query) = (to.0, to.1.finish()?);
                    url = url::assemble(&core.base, &path, &query, in_query)?;
                    if answer.status == 303 && method != "GET" {
                        (method, repeatable) = ("GET", true);
                        body = with_key(&core, None)?;
                    }
                    continue;
                }
                Ok(answer) if (200..300).contains(&answer.status) => {
                    return Ok(Reply {
                        method,
                        answer,
                        path,
                        core: Arc::clone(&core),
                    });
                }
                Ok(answer) => {
                    let error = core.api_error(method, &url, &answer);
                    (
                        Outcome::Status(answer.status, error.retry_after()),
                        Error::Api(Box::new(error)),
                    )
                }
                Err(fault) => core.fault(method, &path, timeout, fault),
            };
            let decision = retry::decide(policy, spent, outcome, repeatable, jitter());
            let wait = match decision {
                Decision::Again => continue,
                Decision::Wait(wait) => wait,
                Decision::Done | Decision::Fail => return Err(result),
            };
            spent.retries += 1;
            spent.waited += wait;
            spent.had_500 |= outcome == Outcome::Status(500, None);
            core.pause(wait, || RetryEvent {
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

impl Core {
    fn pace(&self, method: &'static str, path: &str) {
        let wait = self.pace.as_ref().map_or(Duration::ZERO, Pace::wait);
        if !wait.is_zero() {
            self.pause(wait, || RetryEvent {
                method,
                path: path.to_owned(),
                retry: 0,
                wait,
                status: None,
                reason: "max_requests_per_minute".to_owned(),
            });
        }
    }

    fn pause(&self, wait: Duration, event: impl FnOnce() -> RetryEvent) {
        if let Some(hook) = &self.on_retry {
            hook(&event());
        }
        std::thread::sleep(wait);
    }

    pub(crate) fn mask(&self, text: &str) -> String {
        url::mask(text, &self.key)
    }

    fn api_error(&self, method: &'static str, url: &str, answer: &Answer) -> ApiError {
        let body = self.mask(&String::from_utf8_lossy(&answer.body));
        let mut error = ApiError::read(method, self.mask(url), answer.status, body);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        error.retry_after = match answer.status {
            429 | 503 => retry::retry_after(answer.header("retry-after"), error.detail(), now),
            _ => None,
        };
        error.request_id = self.request_id(answer);
        error
    }

    fn request_id(&self, answer: &Answer) -> Option<String> {
        answer
            .header("x-request-id")
            .or_else(|| answer.header("cf-ray"))
            .map(|id| self.mask(id))
    }

    fn fault(
        &self,
        method: &'static str,
        path: &str,
        timeout: Duration,
        fault: Fault,
    ) -> (Outcome, Error) {
        let transport = |m: String| Error::Transport(Failure::new(method, path, self.mask(&m)));
        let timed_out = |m: String| Error::Timeout(Failure::new(method, path, m));
        match fault {
            Fault::Unconnected(m) => {
                let m = format!("no connection to {}: {m}", self.base.origin);
                (Outcome::Unconnected, transport(m))
            }
            Fault::Stale(m) => (
                Outcome::Stale,
                transport(format!("a kept connection broke: {m}")),
            ),
            Fault::Broken(m) => (
                Outcome::Broken,
                transport(format!(
                    "the connection broke before the answer was complete: {m}"
                )),
            ),
            Fault::ConnectTimeout(phase) => {
                let m = format!(
                    "no connection to {} in time (phase: {phase}): check the network, or raise connect_timeout",
                    self.base.origin
                );
                (Outcome::Unconnected, timed_out(m))
            }
            Fault::Timeout(phase) => {
                let m = format!(
                    "no complete answer within {timeout:?} (phase: {phase}): ask for less, or raise the timeout"
                );
                (Outcome::Final, timed_out(m))
            }
            Fault::TooLarge(limit) => (Outcome::Final, Error::TooLarge { limit }),
            Fault::Other(m) => (Outcome::Final, transport(m)),
        }
    }

    /// Where a redirect leads, if it stays within the origin and the call can be repeated there as it is.
    fn follow(
        &self,
        method: &'static str,
        path: &str,
        answer: &Answer,
        count: u32,
    ) -> Result<(String, Params)> {
        let location = answer.header("location").unwrap_or_default();
        let refuse = |reason: String| {
            Err(Error::Redirect {
                call: format!("{method} {path}"),
                status: answer.status,
                location: self.mask(location),
                reason,
            })
        };
        if count > MOST_REDIRECTS {
            return refuse(format!(
                "more than {MOST_REDIRECTS} redirects: the server sends the call around"
            ));
        }
        if location.is_empty() {
            return refuse("it names no location".to_owned());
        }
        if matches!(answer.status, 301 | 302) && method != "GET" {
            return refuse(format!(
                "as a GET it would lose the {method} and its body: call the new path itself"
            ));
        }
        let from = format!("{}{path}", self.base.prefix);
        let Some((to, query)) = url::redirected(&self.base, &from, location) else {
            let m = format!(
                "the key stays at {}: if that place is yours, set the host to it",
                self.base.origin
            );
            return refuse(m);
        };
        match to.strip_prefix(self.base.prefix.as_str()) {
            Some(within) if within.starts_with('/') => Ok((within.to_owned(), query)),
            _ => refuse(format!(
                "it leaves the sub-path {} of the host",
                self.base.prefix
            )),
        }
    }
}

/// A 2xx answer, and the call that it answers.
struct Reply {
    method: &'static str,
    path: String,
    answer: Answer,
    core: Arc<Core>,
}

impl Reply {
    fn decode<T: DeserializeOwned>(self) -> Result<T> {
        json::decode(&self.answer.body).map_err(|e| self.unreadable(e.to_string()))
    }

    fn unreadable(&self, message: String) -> Error {
        let most = usize::try_from(ERROR_BODY)
            .unwrap_or(usize::MAX)
            .min(self.answer.body.len());
        let excerpt = self.answer.body.get(..most).unwrap_or_default();
        Error::Decode(Box::new(DecodeError {
            method: self.method,
            path: self.path.clone(),
            status: self.answer.status,
            content_type: self
                .answer
                .header("content-type")
                .map(|kind| self.core.mask(kind)),
            request_id: self.core.request_id(&self.answer),
            message: self.core.mask(&message),
            body: self.core.mask(&String::from_utf8_lossy(excerpt)),
        }))
    }
}

/// The body with the key in it, where that is the way of this client.
fn with_key(core: &Core, body: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    if core.auth != Auth::Body {
        return Ok(body);
    }
    let key = Value::from(core.key.as_str());
    let Some(body) = body else {
        return Ok(Some(format!("{{\"personal_api_key\":{key}}}").into_bytes()));
    };
    let Some(fields) = body.strip_prefix(b"{") else {
        return Err(Error::Config(
            "with Auth::Body the body must be a JSON object: the key goes into it".to_owned(),
        ));
    };
    let comma = if fields == b"}" { "" } else { "," };
    let mut out = format!("{{\"personal_api_key\":{key}{comma}").into_bytes();
    out.extend_from_slice(fields);
    Ok(Some(out))
}

/// From 0 to 1, another each time: the standard library seeds its hashers at random.
#[allow(clippy::cast_precision_loss)] // a jitter needs no 64 bits
fn jitter() -> f64 {
    RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64
}
