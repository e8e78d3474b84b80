//! Queries: HogQL and every other kind, in the request or in the background.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, Failure, Result};
use crate::request::{LONGEST_TIMEOUT, Request};
use crate::result;
use crate::scan::Scan;
use crate::shared::Shared;
use crate::url;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(600);
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether PostHog computes a result or takes it from its cache: its parameter `refresh`, by its own words.
///
/// Servers of 2023 know only `refresh=true`, and take each of these for no refresh; those of 2022 compute for any of them.
/// `project.get("insights/28/").param("refresh", true)` computes on all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refresh {
    /// What the cache holds, or null; never computes. What insights do by default.
    ForceCache,
    /// Computes before it answers, unless the cache is fresh. What queries do by default.
    Blocking,
    /// Always computes before it answers.
    ForceBlocking,
    /// Begins to compute in the background unless the cache is fresh, and answers at once.
    Async,
    /// The same, content with results of a day.
    LazyAsync,
    /// Always begins to compute in the background.
    ForceAsync,
}

impl Refresh {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Refresh::ForceCache => "force_cache",
            Refresh::Blocking => "blocking",
            Refresh::ForceBlocking => "force_blocking",
            Refresh::Async => "async",
            Refresh::LazyAsync => "lazy_async",
            Refresh::ForceAsync => "force_async",
        }
    }

    /// Whether the answer waits for the computing.
    pub(crate) fn computes(self) -> bool {
        matches!(self, Refresh::Blocking | Refresh::ForceBlocking)
    }
}

/// A query in the making, from [`Project::hogql`](crate::Project::hogql) or [`Project::query`](crate::Project::query).
///
/// `POST /api/projects/{id}/query/`, scope `query:read`. It changes nothing on the server, so it is tried again like a GET.
#[derive(Clone)]
#[must_use = "nothing is sent before .send() or .rows()"]
pub struct Query {
    shared: Arc<Shared>,
    /// `/api/projects/{id}/query/`
    path: Result<String>,
    body: Result<Value>,
    refresh: Option<Refresh>,
    background: bool,
    timeout: Option<Duration>,
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query")
            .field("path", &self.path)
            .field("query", &self.body)
            .finish_non_exhaustive()
    }
}

impl Query {
    pub(crate) fn new(shared: &Arc<Shared>, path: Result<String>, query: impl Serialize) -> Query {
        let query = match serde_json::to_value(query) {
            Ok(query @ Value::Object(_)) => Ok(query),
            Ok(other) => Err(Error::Config(format!(
                "the query {other} is no object with a `kind`"
            ))),
            Err(e) => Err(Error::Config(format!(
                "the query cannot be sent as JSON: {e}"
            ))),
        };
        Query {
            shared: Arc::clone(shared),
            path,
            body: query,
            refresh: None,
            background: false,
            timeout: None,
        }
    }

    pub(crate) fn hogql(shared: &Arc<Shared>, path: Result<String>, sql: &str) -> Query {
        let mut query = Query::new(shared, path, json!({"kind": "HogQLQuery", "query": sql}));
        if sql.trim().is_empty() {
            query.body = Err(Error::Config("the SQL is empty".to_owned()));
        }
        query
    }

    /// Gives the value of a `{placeholder}` in the SQL, which the server puts in safely: never paste values into SQL.
    ///
    /// For HogQL on servers since 2024; one of 2023 answers 400. A placeholder that the SQL does not have, or that has a value already, is refused.
    pub fn value(mut self, placeholder: &str, value: impl Serialize) -> Self {
        if let Ok(query) = &mut self.body {
            if let Err(why) = put_value(query, placeholder, value) {
                self.body = Err(Error::Config(why));
            }
        }
        self
    }

    /// Sets whether to compute or to take what is cached. Defaults to the server's: [`Refresh::Blocking`].
    pub fn refresh(mut self, refresh: Refresh) -> Self {
        self.refresh = Some(refresh);
        self
    }

    /// Begins the query in the background of the server and asks after it until it is done, at growing intervals: for queries
    /// that take longer than a connection lasts. When the [`timeout`](Query::timeout) runs out, the query is cancelled.
    /// Defaults to waiting for the answer of one request.
    pub fn background(mut self) -> Self {
        self.background = true;
        self
    }

    /// Sets how long one attempt may take, or a [`background`](Query::background) query in all.
    /// Defaults to the client's timeout, or 600 s.
    pub fn timeout(mut self, d: Duration) -> Self {
        self.timeout = Some(d);
        self
    }

    /// Runs it, and gives the answer: `{columns, types, results, hasMore, hogql, ...}` for HogQL, `results` and more for others.
    ///
    /// Servers that cache may answer with what they computed before (`is_cached`): [`Refresh::ForceBlocking`] asks for new.
    ///
    /// # Errors
    /// As [`Request::send`]; [`Error::Query`] where the query failed; [`Error::Timeout`] where a background query is not done in time.
    pub fn send(self) -> Result<Value> {
        let shared = Arc::clone(&self.shared);
        let call = format!("POST {}", self.path.as_deref().unwrap_or_default());
        let answer = if self.background {
            self.in_background()
        } else {
            self.request().and_then(Request::send).and_then(checked)
        };
        answer.map_err(|e| match e {
            Error::Query(message) => shared
                .secret
                .strip(Error::Query(format!("{call}: {message}"))),
            other => shared.secret.strip(other),
        })
    }

    /// Runs it, and gives its rows by column name, as [`rows`](crate::rows) reads them.
    ///
    /// # Errors
    /// As [`send`](Query::send); [`Error::Query`] where the answer has no rows, or has them cut short by the server, or may have.
    pub fn rows(self) -> Result<Vec<Map<String, Value>>> {
        let sql = self.sql().map(str::to_owned);
        let own = self
            .body
            .as_ref()
            .ok()
            .and_then(|body| body.get("limit")?.as_u64());
        result::rows_of(&self.send()?, sql.as_deref(), own)
    }

    /// Walks all rows of any number, page by page along `key_column`, each row once; see [`Scan`] for what the SQL must be like.
    pub fn scan(self, key_column: &str) -> Scan {
        Scan::new(self, key_column)
    }

    /// The statement, where this is HogQL.
    pub(crate) fn sql(&self) -> Option<&str> {
        self.body.as_ref().ok().and_then(sql_of)
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.body.is_ok() && self.path.is_ok()
    }

    /// The same query with another statement.
    pub(crate) fn with_sql(&self, sql: String) -> Query {
        let mut query = self.clone();
        if let Some(slot) = query.body.as_mut().ok().and_then(|q| q.get_mut("query")) {
            *slot = sql.into();
        }
        query
    }

    fn request(self) -> Result<Request> {
        let mut body = json!({"query": self.body?});
        if let (Some(refresh), Value::Object(body)) = (self.refresh, &mut body) {
            body.insert("refresh".to_owned(), refresh.name().into());
        }
        let request = Request::new(&self.shared, "POST", self.path)
            .json(body)
            .slow(true)
            .repeatable();
        Ok(match self.timeout {
            Some(timeout) => request.timeout(timeout),
            None => request,
        })
    }

    fn in_background(mut self) -> Result<Value> {
        let total = self
            .timeout
            .or(self.shared.timeout)
            .unwrap_or(BACKGROUND_TIMEOUT)
            .min(LONGEST_TIMEOUT);
        let deadline = Instant::now() + total;
        self.refresh = Some(match self.refresh {
            Some(Refresh::ForceBlocking | Refresh::ForceAsync) => Refresh::ForceAsync,
            Some(Refresh::LazyAsync) => Refresh::LazyAsync,
            _ => Refresh::Async,
        });
        let (shared, path) = (Arc::clone(&self.shared), self.path.clone()?);
        let id = match polled(self.request()?.timeout(total).until(deadline).send()?)? {
            Poll::Done(answer) => return Ok(answer),
            Poll::Running(id) => id.and_then(|id| url::segment(&id).ok()).ok_or_else(|| {
                Error::Query(
                    "the server began the query, but named no id to ask after it by".to_owned(),
                )
            })?,
        };
        let path = format!("{path}{id}/");
        let mut pause = FIRST_PAUSE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            thread::sleep(pause.min(left));
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            let left = deadline.saturating_duration_since(Instant::now());
            let asked = if left.is_zero() {
                let why = format!("the query was not done within {total:?}");
                Err(Error::Timeout(Failure::new("GET", &path, why)))
            } else {
                Request::new(&shared, "GET", Ok(path.clone()))
                    .until(deadline)
                    .send()
                    .map_err(failed_poll)
            };
            match asked.and_then(polled) {
                Ok(Poll::Done(answer)) => return Ok(answer),
                Ok(Poll::Running(_)) => {}
                Err(e @ Error::Query(_)) => return Err(e),
                Err(e) => {
                    // Best effort: nobody waits for it any more.
                    let cancel = Request::new(&shared, "DELETE", Ok(path.clone()));
                    let _ = cancel.until(Instant::now() + CANCEL_TIMEOUT).send();
                    return Err(e);
                }
            }
        }
    }
}

fn sql_of(query: &Value) -> Option<&str> {
    query
        .get("kind")
        .filter(|kind| *kind == "HogQLQuery")
        .and_then(|_| query.get("query")?.as_str())
}

fn put_value(
    query: &mut Value,
    placeholder: &str,
    value: impl Serialize,
) -> std::result::Result<(), String> {
    let sql = sql_of(query).ok_or("a placeholder's value goes with a HogQLQuery only")?;
    let inside = |part: &str| {
        part.split_once('}')
            .is_some_and(|(name, _)| name.trim() == placeholder)
    };
    if placeholder.is_empty() || !sql.split('{').skip(1).any(inside) {
        return Err(format!("the SQL has no placeholder {{{placeholder}}}"));
    }
    let value = serde_json::to_value(value)
        .map_err(|e| format!("the value of {{{placeholder}}} cannot be sent: {e}"))?;
    let values = query
        .as_object_mut()
        .map(|q| q.entry("values").or_insert_with(|| json!({})));
    match values
        .and_then(Value::as_object_mut)
        .map(|values| values.insert(placeholder.to_owned(), value))
    {
        Some(None) => Ok(()),
        _ => Err(format!("{{{placeholder}}} is given twice")),
    }
}

enum Poll {
    Done(Value),
    /// With its id, where it is named.
    Running(Option<String>),
}

/// What an answer says of a background query. Servers that know no background, and fresh caches, answer with the result itself.
fn polled(mut answer: Value) -> Result<Poll> {
    let Some(mut status) = answer
        .get_mut("query_status")
        .map(Value::take)
        .filter(Value::is_object)
    else {
        return checked(answer).map(Poll::Done);
    };
    if status.get("error").and_then(Value::as_bool) == Some(true) {
        return Err(failed(&status));
    }
    if answer
        .get("results")
        .is_some_and(|results| !results.is_null())
    {
        return checked(answer).map(Poll::Done);
    }
    if status.get("complete").and_then(Value::as_bool) != Some(true) {
        return Ok(Poll::Running(
            status.get("id").and_then(Value::as_str).map(str::to_owned),
        ));
    }
    match status.get_mut("results").map(Value::take) {
        Some(answer @ Value::Object(_)) => checked(answer).map(Poll::Done),
        _ => Err(Error::Query(
            "the query is done, but its answer has no results".to_owned(),
        )),
    }
}

fn failed(status: &Value) -> Error {
    Error::Query(
        match status
            .get("error_message")
            .and_then(Value::as_str)
            .filter(|m| !m.is_empty())
        {
            Some(message) => format!("the query failed: {message}"),
            None => "the query failed, and the server does not say why".to_owned(),
        },
    )
}

/// A poll's error status: where the query failed, its body is a `query_status` instead of PostHog's standard error.
fn failed_poll(error: Error) -> Error {
    let Error::Api(api) = &error else {
        return error;
    };
    let body: Value = serde_json::from_str(api.body()).unwrap_or_default();
    match body.get("query_status") {
        Some(status) if status.is_object() => failed(status),
        _ if api.status() == 404 => Error::Query(
            "the query is gone: the server keeps a result for ten minutes; run it again".to_owned(),
        ),
        _ => error,
    }
}

/// An answer that is no failure under a 200.
fn checked(answer: Value) -> Result<Value> {
    match answer.get("error").and_then(Value::as_str) {
        Some(message) if !message.is_empty() => {
            Err(Error::Query(format!("the query failed: {message}")))
        }
        _ => match answer.get("query_status") {
            Some(status) if status.get("error").and_then(Value::as_bool) == Some(true) => {
                Err(failed(status))
            }
            _ => Ok(answer),
        },
    }
}
