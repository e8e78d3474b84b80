//! All rows of a query of any size, page by page along a key: OFFSET is refused for personal keys.

use std::cmp::Ordering;
use std::mem;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

use super::rows::{self, Ends, LARGEST_PAGE, PAGE, Queries, Row, Rows, RowsAs, moment};
use super::{Query, placeholders, to_value};
use crate::error::{Error, ErrorKind, Result, excerpt};
use crate::http::debug;
use crate::insight;
use crate::refresh::Refresh;

/// All rows of a query, however many, from [`Query::scan`]: page by page in the order of a key,
/// each row once. Iterate over it, or use [`items_as`](Scan::items_as).
///
/// Rows that are added or deleted meanwhile move no others. It needs a server of 2024 or newer.
///
/// The SQL must be one HogQL SELECT with the key among its columns, and without an ORDER BY, LIMIT
/// or OFFSET of its own outside of parentheses. The placeholders `{scan_...}` are reserved.
///
/// The key is a number, a string or a time. It need not be unique: a page contains all rows with
/// its last key. Take a key whose value is exact in JSON: not a `Float32`, a `UInt128` or a time
/// with more than 6 digits of a second, of which `toString()` can be a key. Rows whose key is null,
/// NaN or infinite come last, 49,999 of them at most.
///
/// Results are computed again for each page, unless [`Query::refresh`] says otherwise.
/// [Behaviour](crate::docs::behaviour#scans) says what happens to a page that is too slow or too
/// large.
///
/// # Errors
/// An item can be an error, as those of [`Query::send`]; [`Config`](crate::ErrorKind::Config) for
/// SQL or a key that does not fit; [`Paging`](crate::ErrorKind::Paging) for a key that cannot be
/// compared, or a server that does not keep to the order; [`CutShort`](crate::ErrorKind::CutShort)
/// for too many rows without a key.
#[derive(Clone)]
#[must_use = "nothing is sent before the first row is asked for"]
pub struct Scan {
    query: Query,
    key: String,
    after: Option<Value>,
    page_size: u32,
}

debug!(Scan, |it| it.query.request.http, query: it.query, key: it.key, after: it.after,
    page_size: it.page_size);

impl Query {
    /// Reads all rows of any number, page by page along `key_column`: see [`Scan`].
    pub fn scan(mut self, key_column: &str) -> Scan {
        if let Some(why) = obstacle(&self, key_column) {
            self.request.fail(why);
        }
        self.refresh.get_or_insert(Refresh::ForceBlocking);
        Scan { query: self, key: key_column.to_owned(), after: None, page_size: PAGE }
    }
}

impl Scan {
    /// Starts after the rows with this key, to continue an earlier scan. Defaults to the first row.
    pub fn after(mut self, key: impl Serialize) -> Self {
        let key = to_value(&key).map_err(|e| format!("the key cannot be sent: {e}"));
        match key.and_then(|key| check_key(&key, false).map(|()| key)) {
            Ok(key) => self.after = Some(key),
            Err(why) => self.query.request.fail(why),
        }
        self
    }

    /// Sets how many rows a page has. Defaults to 10,000. PostHog returns 50,000 at most.
    pub fn page_size(mut self, rows: u32) -> Self {
        if rows == 0 {
            self.query.request.fail("the page size is 0: there would be no rows");
        }
        self.page_size = rows;
        self
    }

    /// Counts all rows of the query, also those before [`after`](Scan::after), with one more query,
    /// in the background if it is slow.
    ///
    /// # Errors
    /// As [`Query::send`].
    pub fn count(&self) -> Result<u64> {
        rows::count(wrapped(&self.query, "count()", ""))
    }

    /// The rows, each read as a `T` by column name.
    ///
    /// # Errors
    /// As [`Scan`] and [`RowsAs`].
    pub fn items_as<T: DeserializeOwned>(self) -> RowsAs<T> {
        RowsAs::new(self.into_iter())
    }
}

impl IntoIterator for Scan {
    type Item = Result<Row>;
    type IntoIter = Rows;

    fn into_iter(self) -> Rows {
        let ends = self.after.iter().map(Value::to_string).collect();
        // The type of the key decides whether the text of a time is compared as text or as a time.
        let is_time = self.after.as_ref().is_some_and(|after| moment(after).is_some());
        let part = if is_time { Part::Type } else { Part::Keys };
        let (query, largest) = (self.query.clone(), self.page_size);
        let pages = ByKey { scan: self, part, kind: None, largest, left: 0, ends };
        Rows::new(query, pages, 0)
    }
}

/// The pages of a scan. The `after` of the scan is the last key so far.
struct ByKey {
    scan: Scan,
    part: Part,
    /// The type of the key, once an answer named it.
    kind: Option<String>,
    largest: u32,
    /// How many rows without a key the pages had.
    left: usize,
    ends: Ends,
}

enum Part {
    /// One row, for the type of the key.
    Type,
    /// Rows in the order of the key.
    Keys,
    /// The same of floats, without NaN and infinity, which are null in JSON.
    Finite,
    /// Rows whose key is null in JSON: all that this condition finds.
    Rest(String),
    Done,
}

impl ByKey {
    fn query(&self) -> Option<Query> {
        let Scan { query, key, after, page_size } = &self.scan;
        let is_time = self.kind.as_deref().is_some_and(is_time);
        let is_finite = matches!(self.part, Part::Finite).then(|| format!("isFinite(`{key}`)"));
        let last = if is_time { "toDateTime({scan_after})" } else { "{scan_after}" };
        let is_next = after.is_some().then(|| format!("`{key}` > {last}"));
        let conditions: Vec<String> = is_finite.into_iter().chain(is_next).collect();
        let end = match &self.part {
            Part::Done => return None,
            Part::Type => return Some(wrapped(query, "*", " LIMIT 1")),
            Part::Rest(condition) => {
                let end = format!(" WHERE {condition} LIMIT {LARGEST_PAGE}");
                return Some(wrapped(query, "*", &end));
            }
            // WITH TIES adds the rows that share the last key: the next page does not contain them.
            _ if conditions.is_empty() => String::new(),
            _ => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let order = format!("{end} ORDER BY `{key}` LIMIT {page_size} WITH TIES");
        let page = wrapped(query, "*", &order);
        let Some(after) = after else { return Some(page) };
        let time = moment(after).filter(|_| is_time).map(|moment| Value::from(moment.to_string()));
        Some(page.value("scan_after", time.as_ref().unwrap_or(after)))
    }

    /// Notes the last key of a page, which must come after that of the page before.
    fn note(&mut self, last: &Value) -> Result<()> {
        let strange =
            |why| Error::from_text(ErrorKind::Paging, &format!("the scan cannot continue: {why}"));
        let kind = self.kind.as_deref().unwrap_or_default();
        check_key(last, kind.contains("Float")).map_err(strange)?;
        if is_time(kind) && moment(last).is_none() {
            return Err(strange("a key is not a time with an offset from UTC".to_owned()));
        }
        match self.scan.after.as_ref().and_then(|before| order(kind, before, last)) {
            None => rows::note_end(&mut self.ends, last.to_string())?,
            Some(Ordering::Less) => {}
            Some(_) => {
                let rows = format!("the rows up to {}", excerpt(&last.to_string()));
                return Err(strange(format!(
                    "the server returned {rows} again or in another order"
                )));
            }
        }
        self.scan.after = Some(last.clone());
        Ok(())
    }
}

impl Queries for ByKey {
    fn next(&mut self, most: usize) -> Vec<Query> {
        self.query().into_iter().take(most).collect()
    }

    fn read(&mut self, answer: &mut Value, bytes: Option<usize>) -> Result<Vec<Row>> {
        if let Some(why) = insight::scan_obstacle(answer) {
            return Err(Error::config(why));
        }
        let mut rows = insight::page_of(answer)?;
        let size = self.scan.page_size;
        let key = self.scan.key.clone();
        if let Some(kind) = key_type(answer, &key).filter(|_| self.kind.is_none()) {
            check_type(kind)?;
            self.kind = Some(kind.to_owned());
        }
        if let Part::Type = self.part {
            self.part = Part::Keys;
            return Ok(Vec::new());
        }
        if let Part::Rest(_) = self.part {
            self.part = Part::Done;
            let name = excerpt(&key);
            // An older server may not show its LIMIT.
            if rows.len() >= rows::limit(answer, LARGEST_PAGE).unwrap_or(PAGE as usize) {
                let why =
                    format!("too many rows have no {name:?}; scan along a column without nulls");
                return Err(Error::from_text(ErrorKind::CutShort, &why));
            }
            // Of an unknown type, NaN and infinity are not looked for.
            if self.kind.is_none() && rows.len() < self.left {
                let what = format!("rows whose {name:?} is NaN or infinite are missing");
                let why = format!("{what}: the server names no types; scan along another column");
                return Err(Error::from_text(ErrorKind::Paging, &why));
            }
            return Ok(rows);
        }
        let max = self.scan.query.request.http.core.transport.max_body_bytes;
        if bytes.is_some_and(|bytes| (bytes as u64) < max / 4) {
            self.scan.page_size = size.saturating_mul(2).min(self.largest);
        }
        let is_last = rows::is_last(answer, size, rows.len())?;
        if is_last && self.scan.after.is_none() && matches!(self.part, Part::Keys) {
            // The first page is the only one: it has all rows, also those without a key.
            self.part = Part::Done;
            return Ok(rows);
        }
        // Those without a key come with the rest.
        let found = rows.len();
        rows.retain(|row| row.get(&key).is_none_or(|key| !key.is_null()));
        self.left += found - rows.len();
        if let Some(last) = rows.last() {
            self.note(last.get(&key).unwrap_or(&Value::Null))?;
        }
        let kind = self.kind.as_deref();
        self.part = match self.part {
            // A page can consist of -inf alone.
            Part::Keys if kind.is_some_and(|k| k.contains("Float")) && !is_last => Part::Finite,
            _ if is_last || rows.is_empty() => rest(kind, &key),
            _ => return Ok(rows),
        };
        Ok(rows)
    }

    fn goes_on_after(&mut self, error: &Error) -> bool {
        let Scan { query, page_size, .. } = &mut self.scan;
        match error.kind() {
            // The last way out: PostHog gives a query in the background more time.
            ErrorKind::TooSlow => !mem::replace(&mut query.background, true),
            ErrorKind::TooLarge if *page_size > 1 && !matches!(self.part, Part::Rest(_)) => {
                *page_size /= 2;
                true
            }
            _ => false,
        }
    }
}

/// A query that selects from the rows of another. The line break ends a comment.
fn wrapped(query: &Query, columns: &str, end: &str) -> Query {
    let inner = query.sql().unwrap_or_default();
    query.with_sql(format!("SELECT {columns} FROM ({inner}\n){end}"))
}

fn key_type<'a>(answer: &'a Value, key: &str) -> Option<&'a str> {
    let types = answer.get("types")?.as_array()?;
    let of_key = types.iter().find(|pair| pair.get(0).is_some_and(|name| name == key))?;
    of_key.get(1)?.as_str()
}

/// The type inside of `Nullable` and `LowCardinality`.
fn bare(kind: &str) -> &str {
    kind.trim_start_matches("LowCardinality(").trim_start_matches("Nullable(")
}

fn is_time(kind: &str) -> bool {
    bare(kind).starts_with("DateTime")
}

/// A key of this type cannot be sent back as it was stored.
fn check_type(kind: &str) -> Result<()> {
    let digits = bare(kind).strip_prefix("DateTime64(").and_then(|rest| rest.chars().next());
    let what = if digits.is_some_and(|digits| digits > '6') {
        "time with more than 6 digits of a second"
    } else if kind.contains("Float32") {
        "Float32, which is not exact in JSON"
    } else {
        return Ok(());
    };
    Err(Error::config(format!("the key is a {what}; use toString() of it, or another key")))
}

/// The order of two keys, where it is known.
fn order(kind: &str, a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or(n.as_u64().map(i128::from));
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) if bare(kind).starts_with("String") => Some(a.cmp(b)),
        _ if is_time(kind) => Some(moment(a)?.micros().cmp(&moment(b)?.micros())),
        _ => None,
    }
}

/// The rows whose key is null in JSON, where there can be any.
fn rest(kind: Option<&str>, key: &str) -> Part {
    let is = |word| kind.is_none_or(|kind| kind.contains(word));
    if kind.is_some() && is("Float") {
        Part::Rest(format!("`{key}` IS NULL OR NOT isFinite(`{key}`)"))
    } else if ["Nullable(", "Dynamic", "Variant"].into_iter().any(is) {
        Part::Rest(format!("`{key}` IS NULL"))
    } else {
        Part::Done
    }
}

/// Whether a key can be sent back as it came.
fn check_key(key: &Value, is_float: bool) -> std::result::Result<(), String> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let shown = excerpt(&key.to_string());
    let float = key.as_f64().filter(|_| is_float || key.is_f64());
    if !key.is_number() && !key.is_string() {
        Err(format!("the key must be a number or a string, not {shown}"))
    } else if float.is_some_and(|n| n.abs() >= EXACT) {
        Err(format!("the key {shown} may not be exact; use toString() in the SQL"))
    } else {
        Ok(())
    }
}

/// Why the query cannot be scanned along this key.
fn obstacle(query: &Query, key: &str) -> Option<String> {
    if key.is_empty() || key.contains(|c: char| c == '`' || c == '\\' || c.is_control()) {
        return Some(format!("{:?} is not the name of a column", excerpt(key)));
    }
    let Some(sql) = query.sql() else {
        return Some("only a HogQL query can be scanned".to_owned());
    };
    if placeholders(sql).any(|name| name.starts_with("scan_")) {
        return Some("the placeholders {scan_...} are reserved for the scan".to_owned());
    }
    insight::part_obstacle(sql).map(str::to_owned)
}
