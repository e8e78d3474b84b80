//! What an answer holds: an insight's result or why there is none, and rows by column name.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::sql::{self, Limit};

/// The result of an insight, or why it has none.
///
/// The shape depends on the insight: [`aggregated_value`](crate::aggregated_value), [`series`](crate::series),
/// [`funnel_steps`](crate::funnel_steps), [`retention`](crate::retention), [`paths`](crate::paths),
/// [`time_to_convert`](crate::time_to_convert) and [`rows`] read the known ones. The answer of a query, which has it under
/// `results`, is read as well.
///
/// # Errors
/// [`Error::Insight`] where the result is null or not there: never computed, still running, failed, or left out by `basic`.
pub fn result(insight: &Value) -> Result<&Value> {
    let found = insight.get("result").or_else(|| insight.get("results"));
    if let Some(result) = found.filter(|r| !r.is_null()) {
        return Ok(result);
    }
    let status = insight.get("query_status").unwrap_or(&Value::Null);
    let text = |name: &str| {
        status
            .get(name)
            .and_then(Value::as_str)
            .filter(|s| !s.is_empty())
    };
    let flag = |name: &str| status.get(name).and_then(Value::as_bool);
    let why = if flag("error") == Some(true) {
        match text("error_message") {
            Some("concurrency_limit_exceeded") => {
                "has no result: too many queries of the organization ran at once; try again in a few seconds".to_owned()
            }
            Some(message) => format!("has no result: computing it failed: {message}"),
            None => "has no result: computing it failed, and the server does not say why".to_owned(),
        }
    } else if flag("complete") == Some(false) {
        let id = text("id").unwrap_or("of unknown id");
        format!("has no result yet: query {id} is still computing it; ask again later")
    } else if found.is_none() {
        "comes without its result: it was listed with `basic`, or is no insight; get it by its id"
            .to_owned()
    } else {
        "was never computed, or its result is no longer kept: have it computed with insight_refreshed".to_owned()
    };
    Err(Error::Insight(format!("{} {why}", name(insight))))
}

/// How an error calls an insight.
pub(crate) fn name(insight: &Value) -> String {
    match insight.get("id").and_then(Value::as_u64) {
        Some(id) => format!("insight {id}"),
        None => "the answer".to_owned(),
    }
}

/// What a result is, in words, and which function reads it.
pub(crate) fn describe(insight: &Value) -> &'static str {
    let result = insight
        .get("result")
        .or_else(|| insight.get("results"))
        .unwrap_or(&Value::Null);
    if table(insight).is_some() {
        return "it is a table: use rows";
    }
    if result.get("bins").is_some() {
        return "it is a time to convert: use time_to_convert";
    }
    let Some(list) = result.as_array() else {
        return "its shape is not known: read `result` itself";
    };
    let Some(first) = list.first() else {
        return "it has no series: no event is chosen, or nothing was found";
    };
    let has = |name: &str| first.get(name).is_some();
    if has("aggregated_value") {
        "it is a total: use aggregated_value or aggregated_values"
    } else if has("source") && has("target") {
        "it is paths: use paths"
    } else if has("values") && has("date") {
        "it is a retention: use retention"
    } else if has("data") {
        "it is a line: use series"
    } else if is_step(first) || first.get(0).is_some_and(is_step) {
        "it is a funnel: use funnel_steps"
    } else {
        "its shape is not known: read `result` itself"
    }
}

pub(crate) fn is_step(value: &Value) -> bool {
    value.get("count").is_some() && value.get("order").is_some() && value.get("data").is_none()
}

/// The rows of a query's answer or of an SQL insight, each a map by column name.
///
/// A column whose name came before gets a number behind it: `a`, `a_2`. Cells are as the server wrote them: dates are text,
/// `properties` is JSON as text on servers of 2023.
///
/// # Errors
/// [`Error::Query`] where the answer has no rows, or has them cut short by the server, or may have: PostHog gives 100 rows
/// unless the SQL says LIMIT, and 10,000 or 50,000 at most by its age, without a word. [`Error::Insight`] where an insight has no
/// result.
pub fn rows(response: &Value) -> Result<Vec<Map<String, Value>>> {
    if table(response).is_none() {
        result(response)?;
    }
    rows_of(response, None)
}

/// The same for an answer to `sql`.
pub(crate) fn rows_of(response: &Value, sql: Option<&str>) -> Result<Vec<Map<String, Value>>> {
    let Some(table) = table(response) else {
        return Err(Error::Query(format!(
            "{} has no rows with columns: {}",
            name(response),
            describe(response)
        )));
    };
    if let Some(why) = table.cut(sql) {
        return Err(Error::Query(format!(
            "the answer's {} rows are not all: {why}; say LIMIT in the SQL, or walk all of them with Query::scan",
            table.rows.len()
        )));
    }
    table.maps()
}

/// The same without asking whether they are all: the caller said how many it wants.
pub(crate) fn page_of(response: &Value) -> Result<Vec<Map<String, Value>>> {
    table(response)
        .ok_or_else(|| Error::Query("the answer has no rows with columns".to_owned()))?
        .maps()
}

/// Columns and rows, and the object that they stand in.
struct Table<'a> {
    columns: &'a [Value],
    rows: &'a [Value],
    holder: &'a Value,
}

/// Newer servers put an SQL insight's columns beside its `result`, older ones into it; a query's answer has `results`.
fn table(holder: &Value) -> Option<Table<'_>> {
    let inside = holder.get("results").or_else(|| holder.get("result"))?;
    match (holder.get("columns").and_then(Value::as_array), inside) {
        (Some(columns), Value::Array(rows)) => rows.iter().all(Value::is_array).then_some(Table {
            columns,
            rows,
            holder,
        }),
        (_, Value::Object(_)) => table(inside),
        _ => None,
    }
}

fn column_name(column: &Value) -> String {
    column
        .as_str()
        .map_or_else(|| column.to_string(), str::to_owned)
}

impl Table<'_> {
    fn maps(&self) -> Result<Vec<Map<String, Value>>> {
        let plain: Vec<String> = self.columns.iter().map(column_name).collect();
        let mut names: Vec<String> = Vec::with_capacity(plain.len());
        for column in &plain {
            let mut name = column.clone();
            let mut n = 2;
            // A name that the server gave to another column stays that column's.
            while names.contains(&name) || (n > 2 && plain.contains(&name)) {
                name = format!("{column}_{n}");
                n += 1;
            }
            names.push(name);
        }
        let row = |row: &Value| {
            let cells = row.as_array().filter(|cells| cells.len() == names.len())?;
            Some(names.iter().cloned().zip(cells.iter().cloned()).collect())
        };
        let short = || {
            Error::Query(
                "a row of the answer has not as many cells as there are columns".to_owned(),
            )
        };
        self.rows.iter().map(|r| row(r).ok_or_else(short)).collect()
    }

    /// Why rows may be missing, if they may.
    fn cut(&self, sql: Option<&str>) -> Option<String> {
        const CAPS: [u64; 2] = [10_000, 50_000];
        let text = |name: &str| self.holder.get(name).and_then(Value::as_str);
        let count = self.rows.len() as u64;
        match self.holder.get("hasMore").and_then(Value::as_bool) {
            Some(true) => return Some("the server says that there are more".to_owned()),
            Some(false) => return None,
            None => {}
        }
        // The server writes the statement back with the LIMIT that it put on.
        let put_on = text("hogql").map_or(Limit::None, sql::limit);
        let full = |n: u64| count >= n;
        match (sql.or_else(|| text("query")).map(sql::limit), put_on) {
            (Some(Limit::None), Limit::Rows(n)) if full(n) => {
                Some(format!("the server put a LIMIT {n} on"))
            }
            (Some(Limit::None), Limit::None | Limit::Unclear) if full(100) => {
                Some("the SQL says no LIMIT, and the server may have put its own on".to_owned())
            }
            (Some(Limit::Rows(own)), Limit::Rows(n)) if n < own && full(n) => {
                Some(format!("the server made LIMIT {n} of LIMIT {own}"))
            }
            (Some(Limit::Rows(own)), Limit::None | Limit::Unclear)
                if count < own && CAPS.contains(&count) =>
            {
                Some(format!("{count} is a number that servers cut at"))
            }
            (Some(Limit::Unclear), _) if CAPS.contains(&count) => {
                Some(format!("{count} is a number that servers cut at"))
            }
            (None, _) if count == 100 || CAPS.contains(&count) => {
                Some(format!("{count} is a number that servers cut at"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_that_may_be_cut_are_an_error() {
        let answer = |n: usize, more: Value| {
            let mut out = json!({"columns": ["a"], "results": vec![json!([1]); n]});
            out.as_object_mut()
                .unwrap()
                .append(&mut more.as_object().unwrap().clone());
            out
        };
        for (n, more, sql, cut) in [
            (2, json!({"hasMore": true}), None, true),
            (100, json!({"hasMore": false}), None, false),
            (
                100,
                json!({"hogql": "select a limit 100", "query": "select a"}),
                None,
                true,
            ),
            (
                99,
                json!({"hogql": "select a limit 100", "query": "select a"}),
                None,
                false,
            ),
            (
                100,
                json!({"hogql": "select a limit 100", "query": "select a limit 100"}),
                None,
                false,
            ),
            (
                100,
                json!({"hasMore": null, "hogql": "select a limit 100"}),
                Some("select a"),
                true,
            ),
            (100, json!({}), Some("select a"), true),
            (99, json!({}), Some("select a"), false),
            (
                10_000,
                json!({"hogql": "select a limit 10000"}),
                Some("select a limit 20000"),
                true,
            ),
            (
                10_000,
                json!({"hogql": "select a limit 10000"}),
                Some("select a limit 10000"),
                false,
            ),
            (50_000, json!({}), Some("select a limit 60000"), true),
            (500, json!({}), Some("select a limit 60000"), false),
            (10_000, json!({}), Some("select a limit {n}"), true),
            (100, json!({}), None, true),
            (101, json!({}), None, false),
        ] {
            assert_eq!(
                rows_of(&answer(n, more.clone()), sql).is_err(),
                cut,
                "{n} {more} {sql:?}"
            );
        }
    }
}
