//! Queries: HogQL and every other kind.

mod background;
mod events;
mod rows;
mod scan;
mod slices;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub use events::Events;
pub use rows::{Rows, RowsAs};
pub use scan::Scan;

use crate::error::{Error, ErrorKind, Result, excerpt, line, row_as};
use crate::http::{Http, Request, debug, to_value, value_of_text};
use crate::id::is_uuid;
use crate::insight::{self, Table};
use crate::refresh::Refresh;

const HOGQL: &str = "HogQLQuery";

/// A query, from [`Project::hogql`](crate::Project::hogql) or
/// [`Project::query`](crate::Project::query). Nothing is sent before its answer, its rows or a row
/// of its [`scan`](Query::scan) is asked for. It is retried like a GET: it changes nothing.
#[derive(Clone)]
#[must_use = "nothing is sent before .send() or .rows()"]
pub struct Query {
    request: Request,
    /// The object with the `kind`.
    node: Value,
    refresh: Option<Refresh>,
    name: Option<String>,
    background: bool,
    json_columns: Vec<String>,
}

debug!(Query, |it| it.request.http, request: it.request, query: format_args!("{}", it.node),
    refresh: it.refresh, background: it.background);

impl Query {
    /// `path`: that of `query/`.
    pub(crate) fn new(http: &Http, path: Result<String>, query: impl Serialize) -> Query {
        let mut request = Request::of_query(http, "POST", path);
        let node = serde_json::to_value(&query).unwrap_or_else(|e| {
            request.fail(format!("the query cannot be sent as JSON: {e}"));
            Value::Null
        });
        if !node.get("kind").is_some_and(Value::is_string) {
            let node = excerpt(&node.to_string());
            request.fail(format!("the query must be an object with a `kind`, not {node}"));
        }
        let json_columns = Vec::new();
        Query { request, node, refresh: None, name: None, background: false, json_columns }
    }

    pub(crate) fn hogql(http: &Http, path: Result<String>, sql: &str) -> Query {
        let mut query = Query::new(http, path, json!({"kind": HOGQL, "query": sql}));
        if sql.trim().is_empty() {
            query.request.fail("the SQL is empty");
        }
        query
    }

    /// Sets the value of a `{placeholder}` in the SQL, also in that of a `source` of the query. The
    /// server inserts it safely: never paste values into SQL.
    ///
    /// A [`Config`](crate::ErrorKind::Config) error when the query is sent: a placeholder that the
    /// SQL does not have, or that is given twice; an object, NaN or infinity as the value; and
    /// `filters` and `variables...`, which have methods of their own.
    pub fn value(mut self, placeholder: &str, value: impl Serialize) -> Self {
        let shown = excerpt(placeholder);
        for (name, method) in [("filters", "filters"), ("variables", "variable")] {
            if placeholder.split('.').next() == Some(name) {
                let why = format!("{{{shown}}} does not take a value; use Query::{method}");
                self.request.fail(why);
            }
        }
        let value = self.sendable(&format!("the value of {{{shown}}}"), &value);
        if value.is_object() {
            self.request.fail(format!(
                "the value of {{{shown}}} is an object, which servers cannot insert; give its members, or its JSON as text"
            ));
        }
        self.put(placeholder, "values", placeholder, value);
        self
    }

    /// Sets what `{filters}` in the SQL stands for: PostHog's object of filters, such as
    /// `{"dateRange": {"date_from": "-7d"}, "properties": []}`. Defaults to no filters.
    ///
    /// SQL without `{filters}` is a [`Config`](crate::ErrorKind::Config) error when it is sent.
    pub fn filters(mut self, filters: impl Serialize) -> Self {
        let filters = self.sendable("the filters", &filters);
        if !filters.is_object() {
            let filters = excerpt(&filters.to_string());
            self.request.fail(format!("the filters must be an object, not {filters}"));
        }
        self.put("filters", "", "filters", filters);
        self
    }

    /// Sets the value of a variable of the project's SQL, `{variables.code_name}`, by its code name
    /// and its id. `GET insight_variables/` lists both. Defaults to the variable's own default.
    ///
    /// SQL without the variable, and an id that is not a UUID, are
    /// [`Config`](crate::ErrorKind::Config) errors when the query is sent.
    pub fn variable(mut self, code_name: &str, id: &str, value: impl Serialize) -> Self {
        let shown = excerpt(code_name);
        if !is_uuid(id) {
            let id = excerpt(id);
            self.request.fail(format!("the id {id:?} of the variable {shown:?} is not a UUID"));
        }
        let value = self.sendable(&format!("the value of the variable {shown:?}"), &value);
        let variable = if value.is_null() {
            // Without `isNull`, null means the variable's default.
            json!({"code_name": code_name, "variableId": id, "value": null, "isNull": true})
        } else {
            json!({"code_name": code_name, "variableId": id, "value": value})
        };
        self.put(&format!("variables.{code_name}"), "variables", id, variable);
        self
    }

    /// Names text columns that hold JSON, such as `properties`: rows and tables return them as
    /// values, where the text is JSON. Defaults to none.
    pub fn json_columns(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.json_columns.extend(columns.into_iter().map(Into::into));
        self
    }

    /// Sets whether PostHog computes the result or takes it from its cache. Defaults to the
    /// server's [`Refresh::Blocking`], with results up to six hours old for HogQL:
    /// [`Refresh::ForceBlocking`] always computes.
    pub fn refresh(mut self, refresh: Refresh) -> Self {
        self.refresh = Some(refresh);
        self
    }

    /// Runs the query in the background of the server, and polls until it is done. PostHog stops
    /// other queries after 10 s; these may take minutes. When the [`timeout`](Query::timeout) or
    /// the deadline passes, it is cancelled. Defaults to waiting for the answer of one request.
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

    /// Sets the name in PostHog's log of queries. Servers of 2023 refuse it. Defaults to none.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Runs the query and returns the answer: `{columns, types, results, hasMore, hogql, ...}` for
    /// HogQL, `results` and more for others. An empty result of others gets the query as `query`:
    /// [`read`](crate::read) finds its kind there.
    ///
    /// # Errors
    /// As [`Request::send`]; [`QueryFailed`](crate::ErrorKind::QueryFailed);
    /// [`Timeout`](crate::ErrorKind::Timeout) where a background query is not done in time.
    pub fn send(self) -> Result<Value> {
        let (request, node) = (self.request.clone(), self.node.clone());
        let is_hogql = self.sql().is_some();
        let mut answer = self.run().map_err(|e| request.error(e))?;
        let is_null = |name: &str| answer.get(name).is_none_or(Value::is_null);
        let results = answer.get("results").and_then(Value::as_array);
        let is_empty = results.is_some_and(Vec::is_empty);
        let lacks_kind = is_empty && !is_hogql && is_null("columns") && is_null("query");
        if let Some(answer) = answer.as_object_mut().filter(|_| lacks_kind) {
            answer.insert("query".to_owned(), node);
        }
        Ok(answer)
    }

    /// Runs the query and returns its rows by column name, as [`insight::rows`] reads them.
    ///
    /// # Errors
    /// As [`send`](Query::send); [`WrongShape`](crate::ErrorKind::WrongShape) where the answer has
    /// no rows; [`CutShort`](crate::ErrorKind::CutShort) where the server cut it, or may have:
    /// PostHog returns 100 rows unless the SQL has a LIMIT, and 50,000 at most.
    pub fn rows(self) -> Result<Vec<Map<String, Value>>> {
        let query = self.clone();
        let mut rows = self.read(insight::rows_of)?;
        for row in &mut rows {
            query.read_json(row);
        }
        Ok(rows)
    }

    /// Runs the query and reads each row as a `T`, by column name.
    ///
    /// # Errors
    /// As [`rows`](Query::rows); [`Row`](crate::ErrorKind::Row) for a row that is not a `T`.
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
        let names = self.json_columns.clone();
        let mut table = self.read(insight::table_of)?;
        for row in &mut table.rows {
            let cells = table.columns.iter().zip(row);
            cells.filter(|(name, _)| names.contains(name)).for_each(|(_, cell)| read_json(cell));
        }
        Ok(table)
    }

    /// Runs the query and reads all rows of the answer.
    fn read<T>(mut self, read: fn(&Value, Option<&Value>) -> Result<T>) -> Result<T> {
        let asked = insight::shown(&self.node);
        let is_of = |kind: &Value| kind == "EventsQuery" || kind == "SessionsQuery";
        let after = asked.get("after").filter(|after| !after.is_null());
        if asked.get("kind").is_some_and(is_of) && after.is_none() {
            self.request.fail(
                "the server looks at the last 24 hours only; set `after` (`all` for everything), \
                 or use Project::events()",
            );
        }
        let (request, node) = (self.request.clone(), self.node.clone());
        let answer = self.send()?;
        read(&answer, Some(&node)).map_err(|e| request.error(e))
    }

    fn run(self) -> Result<Value> {
        if self.background {
            self.run_in_background()
        } else {
            checked(self.into_request().send()?)
        }
    }

    /// The statement, if this is HogQL.
    fn sql(&self) -> Option<&str> {
        let node = insight::shown(&self.node);
        let hogql = node.get("kind").is_some_and(|kind| kind == HOGQL);
        node.get("query").filter(|_| hogql)?.as_str()
    }

    /// The HogQL query, of which [`sql`](Query::sql) is the statement.
    fn hogql_mut(&mut self) -> Option<&mut Map<String, Value>> {
        self.sql()?;
        let mut node = &mut self.node;
        while node.get("kind").is_some_and(|kind| kind != HOGQL) {
            node = node.get_mut("source")?;
        }
        node.as_object_mut()
    }

    fn with_sql(&self, sql: String) -> Query {
        let mut query = self.clone();
        if let Some(node) = query.hogql_mut() {
            node.insert("query".to_owned(), sql.into());
        }
        query
    }

    fn read_json(&self, row: &mut Map<String, Value>) {
        for name in &self.json_columns {
            if let Some(cell) = row.get_mut(name) {
                read_json(cell);
            }
        }
    }

    fn into_request(self) -> Request {
        let mut body = Map::from_iter([("query".to_owned(), self.node)]);
        body.extend(self.refresh.map(|refresh| ("refresh".to_owned(), refresh.name().into())));
        body.extend(self.name.map(|name| ("name".to_owned(), name.into())));
        self.request.json(body)
    }

    /// A caller's value as JSON; null where it cannot be sent, which is noted as a mistake.
    fn sendable(&mut self, what: &str, value: &impl Serialize) -> Value {
        to_value(value).unwrap_or_else(|e| {
            self.request.fail(format!("{what} cannot be sent: {e}"));
            Value::Null
        })
    }

    /// Sets the member `name` of `of` (of the HogQL query itself if that is empty), where the SQL
    /// has the placeholder.
    fn put(&mut self, placeholder: &str, of: &str, name: &str, value: Value) {
        let shown = excerpt(placeholder);
        let Some(sql) = self.sql() else {
            return self.request.fail("only a HogQL query has placeholders");
        };
        // `{filters.dateRange.from}` is a part of the filters.
        let is = |found: &str| {
            let part = found.strip_prefix("filters.").map(|_| "filters");
            found == placeholder || part == Some(placeholder)
        };
        if placeholder.is_empty() || !placeholders(sql).any(is) {
            return self.request.fail(format!("the SQL has no placeholder {{{shown}}}"));
        }
        let members = self.hogql_mut().and_then(|query| match of {
            "" => Some(query),
            _ => query.entry(of).or_insert_with(|| json!({})).as_object_mut(),
        });
        match members.map(|members| members.insert(name.to_owned(), value)) {
            Some(None) => {}
            _ => self.request.fail(format!("the value of {{{shown}}} is given twice")),
        }
    }
}

/// The names in `{name}`, in the SQL.
fn placeholders(sql: &str) -> impl Iterator<Item = &str> {
    sql.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0.trim()))
}

/// Reads text that is JSON as a value.
fn read_json(cell: &mut Value) {
    if let Some(value) = cell.as_str().and_then(value_of_text) {
        *cell = value;
    }
}

/// An answer; or the error that it reports with status 200.
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
    let message = line(message, 500);
    Error::new(ErrorKind::QueryFailed, format!("the query failed: {message}"))
}

/// The error of a `query_status` that says that the query failed.
fn status_failed(status: &Value) -> Error {
    let message = status.get("error_message").and_then(Value::as_str).filter(|m| !m.is_empty());
    query_failed(message.unwrap_or("the server does not say why; it may have been cancelled"))
}
