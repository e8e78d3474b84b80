//! Queries that run in the background of the server, and are polled.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{Query, checked, is_true, query_failed, status_failed};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, after, segment};
use crate::refresh::Refresh;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(600);
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

impl Query {
    pub(super) fn run_in_background(mut self) -> Result<Value> {
        let timeout = self.request.timeout_given().unwrap_or(TIMEOUT);
        let http = self.request.http.with_deadline(after(timeout));
        self.request.http = http.clone();
        self.refresh = Some(match self.refresh {
            Some(Refresh::ForceBlocking | Refresh::ForceAsync) => Refresh::ForceAsync,
            Some(Refresh::LazyAsync) => Refresh::LazyAsync,
            _ => Refresh::Async,
        });
        let path = self.request.path.clone();
        let accepts_old = self.refresh != Some(Refresh::ForceAsync);
        let id = match poll(self.into_request().send()?, accepts_old)? {
            Poll::Done(answer) => return Ok(answer),
            Poll::Running(id) => id.and_then(|id| segment(&id).ok()).ok_or_else(|| {
                let why = "the server started the query but returned no id to poll; run it without background()";
                Error::from_text(ErrorKind::Running, why)
            })?,
        };
        let status = Request::of_query(&http, "GET", Ok(format!("{path}{id}/")));
        let mut pause = FIRST_PAUSE;
        loop {
            let left = http.left().unwrap_or_default();
            thread::sleep(pause.min(left));
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            let asked = if http.is_over() {
                let why = format!("the query was not done within {timeout:?}, and was cancelled");
                Err(Error::new(ErrorKind::Timeout, why))
            } else {
                status.clone().send().map_err(failed_poll)
            };
            match asked.and_then(|answer| poll(answer, accepts_old)) {
                Ok(Poll::Done(answer)) => return Ok(answer),
                Ok(Poll::Running(_)) => {}
                Err(e) if e.kind() == ErrorKind::QueryFailed => return Err(e),
                Err(e) => {
                    // Nobody waits for it any more; if this fails, it ends by itself.
                    let http = http.until(after(CANCEL_TIMEOUT));
                    let path = Ok(status.path.clone());
                    let mut cancel = Request::of_query(&http, "DELETE", path);
                    cancel.paced = false;
                    let _ = cancel.send();
                    return Err(status.error(e));
                }
            }
        }
    }
}

enum Poll {
    Done(Value),
    Running(Option<String>),
}

/// What an answer says about a background query. Servers without background queries, and fresh
/// caches, answer with the result itself. While a new result is computed, the old one can be there:
/// it counts only where the caller accepts it.
fn poll(mut answer: Value, accepts_old: bool) -> Result<Poll> {
    let status = answer.get_mut("query_status").map(Value::take).filter(Value::is_object);
    let Some(mut status) = status else {
        return checked(answer).map(Poll::Done);
    };
    if is_true(&status, "error") {
        return Err(status_failed(&status));
    }
    let has_results = answer.get("results").is_some_and(|results| !results.is_null());
    if has_results && (accepts_old || is_true(&status, "complete")) {
        return checked(answer).map(Poll::Done);
    }
    if !is_true(&status, "complete") {
        let id = status.get("id").and_then(Value::as_str).map(str::to_owned);
        return Ok(Poll::Running(id));
    }
    match status.get_mut("results").map(Value::take) {
        Some(answer @ Value::Object(_)) => checked(answer).map(Poll::Done),
        _ => Err(query_failed("it is complete, but has no results")),
    }
}

/// The error status of a poll: where the query failed, its body is a `query_status` instead of
/// PostHog's standard error.
fn failed_poll(error: Error) -> Error {
    let body: Value = serde_json::from_str(error.body().unwrap_or_default()).unwrap_or_default();
    match body.get("query_status") {
        Some(status) if status.is_object() => status_failed(status),
        _ if error.kind() == ErrorKind::NotFound => Error::from_text(
            ErrorKind::QueryFailed,
            "the query is gone: the server keeps a result for 20 minutes; run it again",
        ),
        _ => error,
    }
}
