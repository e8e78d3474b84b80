//! The result of an insight, or why it has none.

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result, excerpt};

/// The result of an insight, or why it has none.
///
/// Its shape depends on the insight: [`read`](super::read) finds out which it is. The answer of a
/// query, which has it under `results`, is read as well.
///
/// # Errors
/// If the result is null or missing, the kind is [`NotComputed`](ErrorKind::NotComputed) if nothing
/// computed it (use [`insight_computed`](crate::Project::insight_computed)),
/// [`Running`](ErrorKind::Running) if it is being computed, [`RateLimited`](ErrorKind::RateLimited)
/// if too many queries ran, [`QueryFailed`](ErrorKind::QueryFailed) if computing it failed, and
/// [`WrongShape`](ErrorKind::WrongShape) if it was listed with `basic`.
pub fn result(insight: &Value) -> Result<&Value> {
    found(insight).ok_or_else(|| {
        let (kind, why) = why_not(insight);
        Error::from_text(kind, &format!("{} {why}", name(insight)))
    })
}

/// Whether the insight has a result, and PostHog is not computing a newer one.
pub(crate) fn computed(insight: &Value) -> Result<()> {
    let status = insight.get("query_status").unwrap_or(&Value::Null);
    let is = |name: &str, value: bool| status.get(name).and_then(Value::as_bool) == Some(value);
    if found(insight).is_some() && !is("error", true) && !is("complete", false) {
        return Ok(());
    }
    let (kind, why) = why_not(insight);
    Err(Error::from_text(kind, &why))
}

/// PostHog's word for a query that did not start, since others ran: it can be asked again.
const NOT_STARTED: &str = "concurrency_limit_exceeded";

pub(super) fn found(insight: &Value) -> Option<&Value> {
    own_result(answer_of(insight))
}

/// What holds the result: of the poll of a background query, its `query_status.results`.
pub(super) fn answer_of(insight: &Value) -> &Value {
    if own_result(insight).is_some() {
        return insight;
    }
    let polled = insight.get("query_status").and_then(|status| status.get("results"));
    polled.filter(|results| results.is_object()).unwrap_or(insight)
}

/// The result that stands in this object.
pub(super) fn own_result(holder: &Value) -> Option<&Value> {
    holder.get(own_name(holder)?)
}

/// The name under which a result stands in this object.
fn own_name(holder: &Value) -> Option<&'static str> {
    let is_there = |name: &&str| holder.get(name).is_some_and(|result| !result.is_null());
    ["results", "result"].into_iter().find(is_there)
}

/// Columns and rows, and the object that holds them.
pub(super) struct Found<'a> {
    pub(super) columns: &'a [Value],
    pub(super) rows: &'a [Value],
    pub(super) holder: &'a Value,
    /// The JSON pointer to the rows.
    pub(super) path: String,
}

/// Servers of 2023 put the columns of an SQL insight into its `result`, later ones beside it. The
/// answer of a query has `results`.
pub(super) fn find(response: &Value) -> Option<Found<'_>> {
    let is_polled = own_name(response).is_none();
    let mut path = if is_polled { "/query_status/results" } else { "" }.to_owned();
    loop {
        let holder = response.pointer(&path)?;
        let name = own_name(holder)?;
        path = format!("{path}/{name}");
        match (holder.get("columns").and_then(Value::as_array), holder.get(name)?) {
            (Some(columns), Value::Array(rows)) => {
                return Some(Found { columns, rows, holder, path });
            }
            (_, Value::Object(_)) => {}
            _ => return None,
        }
    }
}

/// Rows with a cell for each column.
pub(super) fn tabular(response: &Value) -> Option<Found<'_>> {
    find(response).filter(|found| found.rows.iter().all(Value::is_array))
}

/// How an error names an insight.
pub(super) fn name(insight: &Value) -> String {
    match insight.get("id").and_then(Value::as_u64) {
        Some(id) => format!("insight {id}"),
        None => "the answer".to_owned(),
    }
}

fn why_not(insight: &Value) -> (ErrorKind, String) {
    let status = insight.get("query_status").unwrap_or(&Value::Null);
    let flag = |name: &str| status.get(name).and_then(Value::as_bool);
    let has = |name: &str| insight.get(name).is_some();
    let text = |of: &Value, name: &str| {
        of.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(excerpt)
    };
    let unexplained = || "the server does not say why".to_owned();
    let failure = match flag("error") {
        Some(true) => Some(text(status, "error_message").unwrap_or_else(unexplained)),
        _ => text(insight, "error"),
    };
    let (kind, why) = match failure {
        Some(message) if message == NOT_STARTED => (
            ErrorKind::RateLimited,
            "has no result: too many queries of the project ran at once; try again in a few seconds",
        ),
        Some(message) => {
            let why = format!("has no result: computing it failed: {message}");
            return (ErrorKind::QueryFailed, why);
        }
        None if flag("complete") == Some(false) => {
            let query = text(status, "id").map_or("a query".to_owned(), |id| format!("query {id}"));
            let why = format!("has no result yet: {query} is still computing it; ask again later");
            return (ErrorKind::Running, why);
        }
        None if has("result") || has("results") => (
            ErrorKind::NotComputed,
            "was never computed, or its result is no longer in the cache; compute it with \
             insight_computed",
        ),
        None if insight.is_null() => (
            ErrorKind::WrongShape,
            "is null, as the insight of a dashboard's tile that holds a text; skip it",
        ),
        None if has("insight") => {
            (ErrorKind::WrongShape, "is a tile of a dashboard; read its `insight`")
        }
        None => (
            ErrorKind::WrongShape,
            "comes without a result: it was listed with `basic`, or it is not an insight; get it \
             by its id",
        ),
    };
    (kind, why.to_owned())
}

#[cfg(test)]
mod tests;
