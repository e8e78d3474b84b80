//! What the clones of a client share, and what it makes of one attempt.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::api_error::ApiError;
use crate::error::{Error, Failure, Result};
use crate::params::Params;
use crate::retry::{self, Outcome, RetryPolicy};
use crate::secret::Secret;
use crate::transport::{Answer, ERROR_BODY, Fault, Transport};
use crate::url::{self, Base};

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
pub(crate) struct Shared {
    pub(crate) base: Base,
    pub(crate) secret: Secret,
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

impl Shared {
    pub(crate) fn pace(&self, method: &'static str, path: &str) {
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

    pub(crate) fn pause(&self, wait: Duration, event: impl FnOnce() -> RetryEvent) {
        if let Some(hook) = &self.on_retry {
            hook(&event());
        }
        std::thread::sleep(wait);
    }

    pub(crate) fn mask(&self, text: &str) -> String {
        self.secret.mask(text)
    }

    /// The beginning of a body as text, without the key.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        let text = match body.get(..ERROR_BODY) {
            Some(cut) => self.secret.mask_cut(&String::from_utf8_lossy(cut)),
            None => self.mask(&String::from_utf8_lossy(body)),
        };
        // JSON can write any letter as an escape: what its reader sees counts.
        match serde_json::from_str(&text) {
            Ok(json) if self.secret.is_in_json(&json) => {
                "*** (the body has the key in it)".to_owned()
            }
            _ => text,
        }
    }

    pub(crate) fn api_error(&self, method: &'static str, url: &str, answer: &Answer) -> ApiError {
        let body = self.excerpt(&answer.body);
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

    pub(crate) fn request_id(&self, answer: &Answer) -> Option<String> {
        answer
            .header("x-request-id")
            .or_else(|| answer.header("cf-ray"))
            .map(|id| self.mask(id))
    }

    pub(crate) fn fault(
        &self,
        method: &'static str,
        path: &str,
        timeout: Duration,
        fault: Fault,
    ) -> (Outcome, Error) {
        let transport = |m: String| Error::Transport(Failure::new(method, path, m));
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
    pub(crate) fn follow(
        &self,
        method: &'static str,
        path: &str,
        answer: &Answer,
        count: u32,
    ) -> Result<(String, Params)> {
        let location = answer.header("location").unwrap_or_default();
        let refuse = |reason: String| Err(refused(method, path, answer, &reason));
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
        if self.secret.is_in(&to) || self.secret.is_in(query.encoded()) {
            return refuse("it has the key in it, where it would be seen".to_owned());
        }
        match to.strip_prefix(self.base.prefix.as_str()) {
            Some(within) if within.starts_with('/') => Ok((within.to_owned(), query)),
            _ => refuse(format!(
                "it leaves the sub-path {} of the host",
                self.base.prefix
            )),
        }
    }

    /// The body with the key in it, where that is the way of this client.
    pub(crate) fn with_key(&self, body: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
        if self.auth != Auth::Body {
            return Ok(body);
        }
        let key = serde_json::to_string(self.secret.key()).unwrap_or_default();
        let Some(body) = body else {
            return Ok(Some(format!("{{\"personal_api_key\":{key}}}").into_bytes()));
        };
        let wrong = |m: &str| Err(Error::Config(m.to_owned()));
        let Some(fields) = body.strip_prefix(b"{") else {
            return wrong("with Auth::Body the body must be a JSON object: the key goes into it");
        };
        let own = serde_json::from_slice::<Value>(&body)
            .is_ok_and(|b| b.get("personal_api_key").is_some());
        if own {
            return wrong("with Auth::Body the client puts its own personal_api_key into the body");
        }
        let comma = if fields == b"}" { "" } else { "," };
        let mut out = format!("{{\"personal_api_key\":{key}{comma}").into_bytes();
        out.extend_from_slice(fields);
        Ok(Some(out))
    }
}

/// A redirect that is not followed.
pub(crate) fn refused(method: &str, path: &str, answer: &Answer, why: &str) -> Error {
    Error::Redirect {
        call: format!("{method} {path}"),
        status: answer.status,
        location: answer.header("location").unwrap_or_default().to_owned(),
        reason: why.to_owned(),
    }
}
