//! All rows of a query of any size, page by page along a key: OFFSET is refused for personal keys.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::rows::{self, Ends, PAGE, Row, Rows, Walk};
use super::{Query, to_value};
use crate::error::text::excerpt;
use crate::error::{Error, ErrorKind, Result};
use crate::insight;
use crate::refresh::Refresh;

/// The placeholder of the last key.
const AFTER: &str = "scan_after";

/// The LIMIT of the query for the rows without a key: the most that the server returns.
const MOST: u32 = 50_000;

/// The same of an older server, whose answer may not show its LIMIT.
const OLD_MOST: usize = 10_000;

/// All rows of a query, however many, from [`Query::scan`]: page by page in the order of a key, each
/// row once. Iterate over it, or use [`items_as`](Scan::items_as).
///
/// `POST query/`, scope `query:read`. It needs a server of 2024 or newer. Each page asks for the
/// rows whose key is greater than the last one, so rows that are added or deleted meanwhile move no
/// others.
///
/// The SQL must be one HogQL SELECT with the key among its columns, and without an ORDER BY, LIMIT
/// or OFFSET of its own outside of parentheses: the answer of the first page shows whether it has
/// one. The placeholders `{scan_...}` are reserved.
///
/// The key is a number or a string. It need not be unique: a page contains all rows with its last
/// key. Take a key whose value is exact in JSON: not a time (take `toString(timestamp)`, or for
/// events [`Project::events`](crate::Project::events)), and not a `UInt128`. Rows whose key is
/// null, NaN or infinite come last, 49,999 of them at most.
///
/// Results are computed again for each page, unless [`Query::refresh`] says otherwise. A page that
/// takes too long (PostHog stops a query after 10 s) is requested again as a
/// [background](Query::background) query, as are all pages after it. A page that is larger than
/// [`max_body_bytes`](crate::ClientBuilder::max_body_bytes) is requested again at half the size.
///
/// # Errors
/// The items are errors as those of [`Query::send`]. [`Config`](crate::ErrorKind::Config) for SQL or a key that does
/// not fit; [`Paging`](crate::ErrorKind::Paging) for a key that cannot be compared, or a server that
/// returns the same rows again; [`CutShort`](crate::ErrorKind::CutShort) for too many rows without a key. After an error
/// there are no more rows.
///
/// # Examples
/// ```no_run
/// # fn main() -> posthog_api::Result<()> {
/// let project = posthog_api::Project::from_env()?;
/// for row in project.hogql("SELECT id, properties FROM persons").scan("id") {
///     println!("{}", row?["id"]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before the first row is asked for"]
pub struct Scan {
    query: Query,
    key: String,
    after: Option<Value>,
    page_size: u32,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scan { query, key, after, page_size } = self;
        let text = format!(
            "Scan {{ query: {query:?}, key: {key:?}, after: {after:?}, page_size: {page_size} }}"
        );
        query.request.http().write_debug(f, &text)
    }
}

impl Query {
    /// Reads all rows of any number, page by page along `key_column`, each row once. See [`Scan`]
    /// for what the SQL must be like.
    pub fn scan(self, key_column: &str) -> Scan {
        Scan::new(self, key_column)
    }
}

impl Scan {
    fn new(mut query: Query, key: &str) -> Scan {
        if let Some(why) = obstacle(&query, key) {
            query.request.fail(why);
        }
        query.refresh.get_or_insert(Refresh::ForceBlocking);
        Scan { query, key: key.to_owned(), after: None, page_size: PAGE }
    }

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

    /// The rows, each read as a `T` by column name.
    ///
    /// # Errors
    /// As [`Scan`]; a row that is not a `T` is an [`Decode`](crate::ErrorKind::Decode) of the kind
    /// [`Row`](crate::ErrorKind::Row), which names the row and the field, and the iterator continues
    /// with the next row.
    pub fn items_as<T: DeserializeOwned>(self) -> impl Iterator<Item = Result<T>> {
        self.into_iter().read_as()
    }
}

impl IntoIterator for Scan {
    type Item = Result<Row>;
    type IntoIter = Rows;

    fn into_iter(self) -> Rows {
        let mut ends = Ends::new();
        if let Some(after) = &self.after {
            let _ = ends.note(after.to_string());
        }
        let query = self.query.clone();
        Rows::new(&query, ByKey { scan: self, part: Part::Keys, ends })
    }
}

/// The pages of a scan. The `after` of the scan is the last key so far.
struct ByKey {
    scan: Scan,
    part: Part,
    ends: Ends,
}

enum Part {
    /// Rows in the order of the key.
    Keys,
    /// The same of floats, without NaN and infinity, which are null in JSON.
    Finite,
    /// Rows whose key is null in JSON: all that this condition finds.
    Rest(String),
    Done,
}

impl Walk for ByKey {
    fn query(&self) -> Option<Query> {
        let Scan { query, key, after, page_size } = &self.scan;
        // WITH TIES adds the rows that share the last key: the next page does not contain them.
        let order = format!("ORDER BY `{key}` LIMIT {page_size} WITH TIES");
        let end = match (&self.part, after) {
            (Part::Done, _) => return None,
            (Part::Rest(condition), _) => format!("WHERE {condition} LIMIT {MOST}"),
            (Part::Keys, None) => order,
            (Part::Keys, Some(_)) => format!("WHERE `{key}` > {{{AFTER}}} {order}"),
            (Part::Finite, None) => format!("WHERE isFinite(`{key}`) {order}"),
            (Part::Finite, Some(_)) => {
                format!("WHERE isFinite(`{key}`) AND `{key}` > {{{AFTER}}} {order}")
            }
        };
        // The line break ends a comment.
        let inner = query.sql().unwrap_or_default();
        let page = query.with_sql(format!("SELECT * FROM ({inner}\n) {end}"));
        Some(match after {
            Some(after) if !matches!(self.part, Part::Rest(_)) => page.value(AFTER, after),
            _ => page,
        })
    }

    fn read(&mut self, answer: &Value) -> Result<Vec<Row>> {
        if let Some(why) = insight::scan_obstacle(answer) {
            return Err(Error::config(why));
        }
        let mut rows = insight::page_of(answer)?;
        if let Part::Rest(_) = self.part {
            self.part = Part::Done;
            let most = rows::limit(answer, MOST).unwrap_or(OLD_MOST);
            return if rows.len() < most { Ok(rows) } else { Err(too_many(&self.scan.key)) };
        }
        let Scan { key, after, page_size, .. } = &mut self.scan;
        let is_last = rows::is_last(rows::limit(answer, *page_size), rows.len());
        if is_last && after.is_none() && matches!(self.part, Part::Keys) {
            // The first page is the only one: it has all rows, also those without a key.
            self.part = Part::Done;
            return Ok(rows);
        }
        // Those without a key come with the rest.
        rows.retain(|row| row.get(key).is_none_or(|key| !key.is_null()));
        let kind = key_type(answer, key);
        let is_float = kind.is_some_and(|kind| kind.contains("Float"));
        if let Some(last) = rows.last() {
            let last = last.get(key).unwrap_or(&Value::Null);
            check_key(last, is_float).map_err(|why| {
                Error::from_text(ErrorKind::Paging, &format!("the scan cannot continue: {why}"))
            })?;
            self.ends.note(last.to_string())?;
            *after = Some(last.clone());
        }
        self.part = match self.part {
            // A page can consist of -inf alone.
            Part::Keys if is_float && !is_last => Part::Finite,
            _ if is_last || rows.is_empty() => rest(kind, key),
            _ => return Ok(rows),
        };
        Ok(rows)
    }

    fn halve(&mut self) -> bool {
        let size = &mut self.scan.page_size;
        let can = *size > 1 && !matches!(self.part, Part::Rest(_));
        *size = if can { *size / 2 } else { *size };
        can
    }
}

/// The type of the key, if the answer names it.
fn key_type<'a>(answer: &'a Value, key: &str) -> Option<&'a str> {
    let types = answer.get("types")?.as_array()?;
    let of_key = types.iter().find(|pair| pair.get(0).is_some_and(|name| name == key))?;
    of_key.get(1)?.as_str()
}

/// The rows whose key is null in JSON, where there can be any.
fn rest(kind: Option<&str>, key: &str) -> Part {
    let is = |word| kind.is_none_or(|kind| kind.contains(word));
    match kind {
        Some(kind) if kind.contains("Float") => {
            Part::Rest(format!("`{key}` IS NULL OR NOT isFinite(`{key}`)"))
        }
        _ if ["Nullable(", "Dynamic", "Variant"].into_iter().any(is) => {
            Part::Rest(format!("`{key}` IS NULL"))
        }
        _ => Part::Done,
    }
}

fn too_many(key: &str) -> Error {
    let message = format!(
        "too many rows have no {:?}, and they cannot be paged; scan along a column that is never null, such as an id",
        excerpt(key)
    );
    Error::from_text(ErrorKind::CutShort, &message)
}

/// Whether a key can be sent back as it came.
fn check_key(key: &Value, is_float: bool) -> std::result::Result<(), String> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let shown = excerpt(&key.to_string());
    match key {
        Value::Number(n)
            if (is_float || n.is_f64()) && n.as_f64().is_some_and(|n| n.abs() >= EXACT) =>
        {
            Err(format!("the key {shown} may not be exact; use toString() in the SQL"))
        }
        Value::Number(_) | Value::String(_) => Ok(()),
        _ => Err(format!("the key must be a number or a string, not {shown}")),
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
    if rows::has_placeholder(sql, "scan_") {
        return Some("the placeholders {scan_...} are reserved for the scan".to_owned());
    }
    insight::part_obstacle(sql).map(str::to_owned)
}
