//! Rows and columns: of SQL, and of lists of events and persons.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;

use serde_json::{Map, Value};

use super::cut::{self, Cut};
use super::result::{Found, answer_of, find, name, own_result, result, tabular};
use super::shape::{Shape, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::text::display_text;

/// The rows of a query or of an SQL insight, with the columns in the order of the SELECT.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Table {
    /// The names of the columns, as the server sends them. A name can occur twice.
    pub columns: Vec<String>,
    /// The rows: a cell for each column. Dates are text; on servers of 2023, `properties` is JSON
    /// as text.
    pub rows: Vec<Vec<Value>>,
}

/// The rows and columns of an SQL insight, or of the answer of a query.
///
/// The columns keep the order of the SELECT; [`rows`] returns the rows by column name.
///
/// # Errors
/// [`WrongShape`](crate::ErrorKind::WrongShape), if the answer has no rows with columns (for rows
/// that are objects, use [`rows`]);
/// [`CutShort`](crate::ErrorKind::CutShort): the server cut the rows, or may have cut them. PostHog
/// returns 100 rows unless the SQL has a LIMIT, and 50,000 at most (10,000 on servers of 2023).
/// As [`result`](super::result), if an insight has no result.
pub fn table(response: &Value) -> Result<Table> {
    table_of(response, None)
}

/// The rows of an SQL insight, or of the answer of a query, each as a map by column name.
///
/// If a name occurs twice, the second column is called `name_2`. [`table`] keeps the names and the
/// order of the columns. Rows that are objects, as those of a `TracesQuery`, are returned as they
/// are.
///
/// # Errors
/// As [`table`].
///
/// # Examples
/// ```
/// let rows = serde_json::json!([["$pageview", 3]]);
/// let answer = serde_json::json!({"columns": ["event", "n"], "results": rows, "hasMore": false});
/// assert_eq!(posthog_api::insight::rows(&answer)?[0]["n"], 3);
/// # Ok::<(), posthog_api::Error>(())
/// ```
pub fn rows(response: &Value) -> Result<Vec<Map<String, Value>>> {
    rows_of(response, None)
}

pub(crate) fn table_of(response: &Value, query: Option<&Value>) -> Result<Table> {
    let Some(found) = tabular(response) else {
        // An empty list has no columns: what the insight shows says that it is a table.
        let is_empty = Shape::of(response) == Shape::Table;
        let empty = Table { columns: Vec::new(), rows: Vec::new() };
        return if is_empty { Ok(empty) } else { Err(no_rows(response)) };
    };
    found.check(response, query)?;
    let rows = found.rows.iter().filter_map(Value::as_array).cloned().collect();
    Ok(Table { columns: found.names()?, rows })
}

pub(crate) fn rows_of(response: &Value, query: Option<&Value>) -> Result<Vec<Map<String, Value>>> {
    let Some(found) = objects(response) else {
        return Ok(table_of(response, query)?.into_maps());
    };
    found.check(response, query)?;
    Ok(found.rows.iter().filter_map(Value::as_object).cloned().collect())
}

/// An error, if rows that are objects are or may be cut.
pub(super) fn check_objects(response: &Value) -> Result<()> {
    objects(response).map_or(Ok(()), |found| found.check(response, None))
}

/// The rows of a trend, unless values of its breakdown are missing.
pub(super) fn all_values<'a>(insight: &Value, rows: &'a [Value]) -> Result<&'a [Value]> {
    let cut = cut::breakdown_cut(answer_of(insight), rows);
    not_cut(insight, rows.len(), cut).map(|()| rows)
}

/// An error, if the server cut the answer.
fn not_cut(response: &Value, rows: usize, cut: Option<Cut>) -> Result<()> {
    let Some((why, hint)) = cut else { return Ok(()) };
    let message = format!("the {rows} rows of {} {why}", name(response));
    Err(Error::new(ErrorKind::CutShort, message).with_hint(hint))
}

/// The rows of one page of a scan, which knows its own LIMIT.
pub(crate) fn page_of(response: &mut Value) -> Result<Vec<Map<String, Value>>> {
    let found = tabular(response).ok_or_else(|| no_rows(response))?;
    let (names, path) = (unique(&found.names()?), found.path);
    let row = |row| match row {
        Value::Array(cells) => names.iter().cloned().zip(cells).collect(),
        _ => Map::new(),
    };
    // Moved out: a copy of all cells would take as long as reading them.
    let rows = response.pointer_mut(&path).and_then(Value::as_array_mut).map(mem::take);
    Ok(rows.unwrap_or_default().into_iter().map(row).collect())
}

/// The LIMIT at the outermost level of the answer's `hogql`, if it can be read.
pub(crate) fn limit_put_on(response: &Value) -> Option<u64> {
    cut::limit_put_on(find(response).map_or(response, |found| found.holder))
}

/// Why the pages of a scan would lose rows, as the `hogql` of a page shows.
pub(crate) fn scan_obstacle(response: &Value) -> Option<String> {
    cut::scan_obstacle(find(response).map_or(response, |found| found.holder))
}

fn no_rows(response: &Value) -> Error {
    if let Err(why) = result(response) {
        return why;
    }
    let hint = match objects(response) {
        Some(_) => "its rows are objects: use insight::rows",
        None => Shape::hint_of(response),
    };
    let name = name(response);
    Error::from_text(ErrorKind::WrongShape, &format!("{name} has no rows with columns: {hint}"))
}

/// Rows that are objects; without columns, those that no other reader reads.
fn objects(response: &Value) -> Option<Found<'_>> {
    let bare = || {
        let holder = answer_of(response);
        let rows = own_result(holder)?.as_array()?;
        let found = Found { columns: &[], rows, holder, path: String::new() };
        (Shape::of(response) == Shape::Unknown).then_some(found)
    };
    let found = find(response).or_else(bare)?;
    (!found.rows.is_empty() && found.rows.iter().all(Value::is_object)).then_some(found)
}

impl Found<'_> {
    /// An error, if the rows are or may be cut. The query is that of the request, or that of an
    /// insight.
    fn check(&self, response: &Value, query: Option<&Value>) -> Result<()> {
        let query = query.or_else(|| response.get("query").filter(|query| query.is_object()));
        let rows = self.rows.len();
        not_cut(response, rows, cut::cut(self.holder, rows, query.map(shown)))
    }

    /// The names of the columns; an error where a row has another number of cells.
    fn names(&self) -> Result<Vec<String>> {
        let name = |column| display_text(column).into_owned();
        let names: Vec<String> = self.columns.iter().map(name).collect();
        let (columns, cells) = (names.len(), self.rows.iter().filter_map(Value::as_array));
        let wrong = cells.map(Vec::len).zip(1..).find(|(cells, _)| *cells != columns);
        let Some((cells, position)) = wrong else { return Ok(names) };
        let why = format!("row {position} of the answer has {cells} cells for {columns} columns");
        Err(Error::new(ErrorKind::WrongShape, why))
    }
}

impl Table {
    /// A list of objects, with a column for each name; of anything else, one column.
    pub(super) fn of_objects(value: &Value) -> Table {
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        if !list.iter().all(Value::is_object) {
            let rows = list.iter().map(|value| vec![value.clone()]).collect();
            return Table { columns: vec!["value".to_owned()], rows };
        }
        let names: BTreeSet<&String> =
            list.iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
        let row = |object: &Value| {
            names.iter().map(|name| object.get(*name).cloned().unwrap_or_default()).collect()
        };
        Table {
            rows: list.iter().map(row).collect(),
            columns: names.into_iter().cloned().collect(),
        }
    }

    pub(crate) fn into_maps(self) -> Vec<Map<String, Value>> {
        let names = unique(&self.columns);
        self.rows.into_iter().map(|row| names.iter().cloned().zip(row).collect()).collect()
    }
}

/// A name for each column: a name that occurs again gets a number, `a_2`.
fn unique(columns: &[String]) -> Vec<String> {
    // A name that the server gives to another column stays that column's.
    let mut taken: HashSet<String> = columns.iter().cloned().collect();
    let mut next: HashMap<&str, usize> = HashMap::new();
    let name = |column| {
        let Some(n) = next.get_mut(column) else {
            next.insert(column, 2);
            return column.to_owned();
        };
        loop {
            let name = format!("{column}_{n}");
            *n += 1;
            if taken.insert(name.clone()) {
                return name;
            }
        }
    };
    columns.iter().map(String::as_str).map(name).collect()
}

#[cfg(test)]
mod tests;
