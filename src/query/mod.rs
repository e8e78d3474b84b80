//! Queries: HogQL and every other kind.

mod background;
mod events;
mod rows;
mod scan;
mod slices;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub use events::Events;
pub use rows::{Rows, RowsAs};
pub use scan::Scan;

use crate::error::text::excerpt;
use crate::error::{Error, ErrorKind, Result, row_as};
use crate::http::{Http, Request, to_value};
use crate::insight::{self, Table};
use crate::refresh::Refresh;

/// A query, from [`Project::hogql`](crate::Project::hogql) or
/// [`Project::query`](crate::Project::query). Nothing is sent before [`send`](Query::send),
/// [`rows`](Query::rows), [`rows_as`](Query::rows_as), [`table`](Query::table) or a row of a
/// [`scan`](Query::scan).
///
/// `POST /api/projects/{id}/query/`, scope `query:read`. A query changes nothing on the server, so
/// it is retried like a GET.
///
/// # Examples
/// ```no_run
/// # fn main() -> posthog_api::Result<()> {
/// let project = posthog_api::Project::from_env()?;
/// let rows = project
///     .hogql("SELECT event, count() AS n FROM events WHERE event = {event} GROUP BY event LIMIT 10")
///     .value("event", "purchase")
///     .rows()?;
/// for row in rows {
///     println!("{} {}", row["event"], row["n"]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before .send() or .rows()"]
pub struct Query {
    request: Request,
    /// The object with the `kind`.
    node: Value,
    refresh: Option<Refresh>,
    name: Option<String>,
    background: bool,
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Query { request, node, refresh, background, .. } = self;
        let text = format!(
            "Query {{ request: {request:?}, query: {node}, refresh: {refresh:?}, background: {background}, .. }}"
        );
        request.http().write_debug(f, &text)
    }
}

impl Query {
    /// `path`: that of `query/`.
    pub(crate) fn new(http: &Http, path: Result<String>, query: impl Serialize) -> Query {
        // Its body cannot hold the key: the route refuses extra fields.
        let mut request = Request::new(http, "POST", path).with_bearer().slow(true).repeatable();
        let query = match to_value(&query) {
            Ok(query) if query.get("kind").is_some_and(Value::is_string) => query,
            Ok(other) => {
                let other = excerpt(&other.to_string());
                request.fail(format!("the query must be an object with a `kind`, not {other}"));
                Value::Null
            }
            Err(e) => {
                request.fail(format!("the query cannot be sent as JSON: {e}"));
                Value::Null
            }
        };
        Query { request, node: query, refresh: None, name: None, background: false }
    }

    pub(crate) fn hogql(http: &Http, path: Result<String>, sql: &str) -> Query {
        let mut query = Query::new(http, path, json!({"kind": "HogQLQuery", "query": sql}));
        if sql.trim().is_empty() {
            query.request.fail("the SQL is empty");
        }
        query
    }

    /// Sets the value of a `{placeholder}` in the SQL. The server inserts it safely: never paste
    /// values into SQL.
    ///
    /// A placeholder that the SQL does not have, or that is given twice, is an [`Config`](crate::ErrorKind::Config)
    /// when the query is sent.
    pub fn value(mut self, placeholder: &str, value: impl Serialize) -> Self {
        if let Err(why) = self.put_value(placeholder, &value) {
            self.request.fail(why);
        }
        self
    }

    /// Sets whether PostHog computes the result or takes it from its cache. Defaults to the
    /// server's [`Refresh::Blocking`], with results up to six hours old for HogQL:
    /// [`Refresh::ForceBlocking`] always computes.
    pub fn refresh(mut self, refresh: Refresh) -> Self {
        self.refresh = Some(refresh);
        self
    }

    /// Runs the query in the background of the server, and polls until it is done, at growing
    /// intervals. PostHog stops other queries after 10 s; these may take minutes. When the
    /// [`timeout`](Query::timeout) or the deadline passes, the query is cancelled. Defaults to
    /// waiting for the answer of one request.
    pub fn background(mut self) -> Self {
        self.background = true;
        self
    }

    /// Sets how long one attempt may take, or a [`background`](Query::background) query in all.
    /// Defaults to the client's timeout, else 600 s.
    pub fn timeout(mut self, d: Duration) -> Self {
        self.request.set_timeout(d);
        self
    }

    /// Sets a name, which PostHog shows in its log of queries. Defaults to none. Servers of 2023
    /// refuse it.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Runs the query and returns the answer: `{columns, types, results, hasMore, hogql, ...}` for
    /// HogQL, `results` and more for others.
    ///
    /// # Errors
    /// As [`Request::send`]; [`QueryFailed`](crate::ErrorKind::QueryFailed);
    /// [`Timeout`](crate::ErrorKind::Timeout) where a background query is not done in time.
    pub fn send(self) -> Result<Value> {
        let request = self.request.clone();
        self.run().map_err(|e| request.error(e))
    }

    /// Runs the query and returns its rows by column name, as [`insight::rows`] reads them.
    ///
    /// # Errors
    /// As [`send`](Query::send); [`WrongShape`](crate::ErrorKind::WrongShape) where the answer has no
    /// rows; [`CutShort`](crate::ErrorKind::CutShort) where the server cut it, or may have: PostHog returns 100 rows unless
    /// the SQL has a LIMIT, and 50,000 at most.
    pub fn rows(self) -> Result<Vec<Map<String, Value>>> {
        Ok(self.table()?.into_maps())
    }

    /// Runs the query and reads each row as a `T`, by column name.
    ///
    /// # Errors
    /// As [`rows`](Query::rows); [`Decode`](crate::ErrorKind::Decode) of the kind [`Row`](crate::ErrorKind::Row) where a
    /// row is not a `T`: it names the row and the field.
    pub fn rows_as<T: DeserializeOwned>(self) -> Result<Vec<T>> {
        let request = self.request.clone();
        let rows = self.rows()?;
        let typed = |(position, row)| row_as(position, &Value::Object(row));
        let rows: Result<Vec<T>> = (1..).zip(rows).map(typed).collect();
        rows.map_err(|e| request.error(e))
    }

    /// Runs the query and returns its columns and rows in the order of the SELECT.
    ///
    /// # Errors
    /// As [`rows`](Query::rows).
    pub fn table(self) -> Result<Table> {
        let request = self.request.clone();
        let sql = self.sql().map(str::to_owned);
        let limit = self.node.get("limit").and_then(Value::as_u64);
        let answer = self.send()?;
        insight::table_of(&answer, sql.as_deref(), limit).map_err(|e| request.error(e))
    }

    /// Reads all rows of any number, page by page along `key_column`, each row once. See [`Scan`]
    /// for what the SQL must be like.
    pub fn scan(self, key_column: &str) -> Scan {
        Scan::new(self, key_column)
    }

    fn run(self) -> Result<Value> {
        if self.background { background::run(self) } else { checked(self.into_request().send()?) }
    }

    /// The statement, if this is HogQL.
    fn sql(&self) -> Option<&str> {
        let hogql = self.node.get("kind").is_some_and(|kind| kind == "HogQLQuery");
        self.node.get("query").filter(|_| hogql)?.as_str()
    }

    /// The same query with another statement.
    fn with_sql(&self, sql: String) -> Query {
        let mut query = self.clone();
        if let Some(statement) = query.node.get_mut("query") {
            *statement = sql.into();
        }
        query
    }

    fn into_request(self) -> Request {
        let mut body = json!({"query": self.node});
        if let Value::Object(body) = &mut body {
            if let Some(refresh) = self.refresh {
                body.insert("refresh".to_owned(), refresh.name().into());
            }
            if let Some(name) = self.name {
                body.insert("name".to_owned(), name.into());
            }
        }
        self.request.json(body)
    }

    fn put_value(
        &mut self,
        placeholder: &str,
        value: &impl Serialize,
    ) -> std::result::Result<(), String> {
        let shown = excerpt(placeholder);
        let sql = self.sql().ok_or("only a HogQL query has placeholders")?;
        let is_inside =
            |part: &str| part.split_once('}').is_some_and(|(name, _)| name.trim() == placeholder);
        if placeholder.is_empty() || !sql.split('{').skip(1).any(is_inside) {
            return Err(format!("the SQL has no placeholder {{{shown}}}"));
        }
        let value =
            to_value(value).map_err(|e| format!("the value of {{{shown}}} cannot be sent: {e}"))?;
        let values = self
            .node
            .as_object_mut()
            .map(|query| query.entry("values").or_insert_with(|| json!({})));
        match values
            .and_then(Value::as_object_mut)
            .map(|values| values.insert(placeholder.to_owned(), value))
        {
            Some(None) => Ok(()),
            _ => Err(format!("the value of {{{shown}}} is given twice")),
        }
    }
}

/// An answer, unless it says under a 200 that the query failed.
fn checked(answer: Value) -> Result<Value> {
    match answer.get("error").and_then(Value::as_str) {
        Some(message) if !message.is_empty() => Err(query_failed(message)),
        _ => match answer.get("query_status") {
            Some(status) if is_true(status, "error") => Err(status_failed(status)),
            _ => Ok(answer),
        },
    }
}

fn is_true(object: &Value, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool) == Some(true)
}

fn query_failed(message: &str) -> Error {
    let message = crate::error::text::line(message, 500);
    Error::new(ErrorKind::QueryFailed, format!("the query failed: {message}"))
}

/// The error of a `query_status` that says that the query failed.
fn status_failed(status: &Value) -> Error {
    let message = status.get("error_message").and_then(Value::as_str).filter(|m| !m.is_empty());
    query_failed(message.unwrap_or("the server does not say why; it may have been cancelled"))
}
