//! A request: what a caller gave, checked when it is given and reported when it is sent.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::params::Params;
use super::wait::MAX_TIMEOUT;
use super::{Auth, Http, debug, url};
use crate::error::{Error, Result};

const TIMEOUT: Duration = Duration::from_secs(120);
const SLOW_TIMEOUT: Duration = Duration::from_secs(600);

/// A request to any route. Nothing is sent before [`send`](Request::send),
/// [`send_as`](Request::send_as), [`response`](Request::response) or [`text`](Request::text).
#[derive(Clone)]
#[must_use = "nothing is sent before .send()"]
pub struct Request {
    pub(crate) http: Http,
    pub(super) method: &'static str,
    /// Checked and encoded.
    pub(crate) path: String,
    pub(crate) params: Params,
    pub(super) body: Option<Vec<u8>>,
    pub(super) auth: Auth,
    timeout: Option<Duration>,
    slow: bool,
    pub(super) effect: Effect,
    /// It waits for the pace.
    pub(crate) paced: bool,
    /// When the pace allows it to be sent, if that was asked before.
    pub(super) turn: Option<Instant>,
    /// Memory for the body of the answer.
    pub(super) buffer: Vec<u8>,
    pub(super) mistake: Option<Error>,
}

/// What a request does on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: it can be sent twice without harm.
    None,
    Write,
    /// It reads the answer of a write that was done, at another place.
    Done,
}

debug!(Request, |it| it.http, method: it.method, path: it.path, query: it.params.encoded(),
    mistake: it.mistake);

impl Request {
    /// `path`: checked and encoded.
    pub(crate) fn new(http: &Http, method: &'static str, path: Result<String>) -> Request {
        let (path, mistake) = match path {
            Ok(path) => (path, None),
            Err(mistake) => (String::new(), Some(mistake)),
        };
        // A run of an endpoint is a query, also by POST.
        let mut segments = path.trim_end_matches('/').rsplit('/');
        let is_run = segments.next() == Some("run") && segments.nth(1) == Some("endpoints");
        Request {
            http: http.clone(),
            method,
            path,
            params: Params::default(),
            body: None,
            auth: http.core.auth,
            timeout: None,
            slow: is_run,
            effect: if method == "GET" || is_run && method == "POST" {
                Effect::None
            } else {
                Effect::Write
            },
            paced: true,
            turn: None,
            buffer: Vec::new(),
            mistake,
        }
    }

    /// A request to a route of queries. A POST changes nothing there. The key goes into the header:
    /// these routes refuse fields that they do not know.
    pub(crate) fn of_query(http: &Http, method: &'static str, path: Result<String>) -> Request {
        let mut request = Request::new(http, method, path);
        if method == "POST" {
            (request.effect, request.slow) = (Effect::None, true);
        }
        if request.auth == Auth::Body {
            request.auth = Auth::Bearer;
        }
        request
    }

    /// Adds a query parameter: a string as it is, anything else as JSON; null is left out.
    ///
    /// These are [`Config`](crate::ErrorKind::Config) errors when the request is sent: a name that
    /// is given twice; `token`, `api_key` and `personal_api_key`, which switch the project of a
    /// request or send another key; and an empty `search`, `email`, `distinct_id` or `short_id`,
    /// which servers ignore.
    pub fn param(mut self, name: &str, value: impl Serialize) -> Self {
        self.add_param(name, &value);
        self
    }

    /// Sets the JSON body. Defaults to none.
    pub fn json(mut self, body: impl Serialize) -> Self {
        match serde_json::to_vec(&body) {
            Ok(body) => self.body = Some(body),
            Err(e) => self.fail(format!("the body cannot be sent as JSON: {e}")),
        }
        self
    }

    /// Sets how long one attempt may wait for the answer to begin, and then for it to end.
    /// Defaults to the client's: 120 s, and 600 s for queries and refreshes.
    pub fn timeout(mut self, d: Duration) -> Self {
        self.set_timeout(d);
        self
    }

    /// The URL, with the key in it for `Auth::Query`.
    pub(super) fn url(&self) -> Result<String> {
        let core = &self.http.core;
        let key = (self.auth == Auth::Query).then(|| core.key.as_str());
        url::assemble(&core.base, &self.path, &self.params.encoded(), key)
    }

    /// How long one attempt may wait for the answer to begin, and then for it to end.
    pub(super) fn limit(&self) -> Duration {
        let default = if self.slow { SLOW_TIMEOUT } else { TIMEOUT };
        self.timeout_given().unwrap_or(default).min(MAX_TIMEOUT)
    }
}

/// What lists and queries, which build requests, set on them.
impl Request {
    /// An error of this call as it leaves the crate: it names the call, and the key is masked.
    pub(crate) fn error(&self, error: Error) -> Error {
        let error = error.of_call(self.method, &self.path, &self.params.encoded());
        self.http.conceal(match self.effect {
            Effect::None => error.done(false),
            Effect::Write => error,
            Effect::Done => error.done(true),
        })
    }

    /// Notes a mistake; the first one is returned when the request is sent.
    pub(crate) fn fail(&mut self, text: impl AsRef<str>) {
        if self.mistake.is_none() {
            self.mistake = Some(Error::config(text));
        }
    }

    pub(crate) fn add_param(&mut self, name: &str, value: &impl Serialize) {
        if let Err(why) = self.params.push(name, value) {
            self.fail(why);
        }
    }

    pub(crate) fn set_timeout(&mut self, d: Duration) {
        if d.is_zero() {
            self.fail("the timeout is zero: no request could be sent");
        }
        self.timeout = Some(d);
    }

    pub(crate) fn timeout_given(&self) -> Option<Duration> {
        self.timeout.or(self.http.core.timeout)
    }

    /// The same with other parameters.
    pub(crate) fn with(&self, params: Params) -> Request {
        let mut request = self.clone();
        request.params = params;
        request
    }

    /// Whether two requests of one client ask for the same.
    pub(super) fn is_same(&self, other: &Request) -> bool {
        self.path == other.path && self.params == other.params && self.body == other.body
    }

    /// The server computes: the request gets more time.
    pub(crate) fn slow(mut self, slow: bool) -> Self {
        self.slow = slow;
        self
    }
}
