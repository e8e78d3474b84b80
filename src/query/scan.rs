//! All rows of a query of any size: keyset paging, the way that PostHog itself recommends.

use std::collections::HashSet;
use std::iter::FusedIterator;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Query, concealed};
use crate::error::text::excerpt;
use crate::error::{Error, FailureKind, Result};
use crate::insight;

/// How many rows a page asks for: the cap of the oldest servers that this works on.
const PAGE: u32 = 10_000;

/// The placeholder of the last key.
const AFTER: &str = "scan_after";

/// The rows of a query of any size, from [`Query::scan`]: an iterator of maps by column name.
///
/// The SQL is put in parentheses and asked for page by page: the rows whose key is greater than the
/// last one's, in the order of the key, until a page is empty. So each row comes once, whatever the
/// server caps a page at, no OFFSET makes it compute again what was sent already, and rows that
/// come or go meanwhile move no others.
///
/// It needs a server since 2024, that knows placeholders. The SQL must be one HogQL SELECT
/// - that has the key among its columns, by that name: `SELECT uuid, event FROM events` with
///   `"uuid"`;
/// - without ORDER BY, LIMIT or OFFSET of its own, outside of parentheses;
/// - whose key is never null. It need not be unique: a page takes in all rows that share its last
///   key.
///
/// A key that is a number, a UUID or other text is best; a time is compared as text by some
/// servers: take `toUnixTimestamp64Micro(timestamp) AS at`. Placeholders work as everywhere;
/// `{scan_after}` is taken.
///
/// The iterator is fused: after an error it is done. [`after`](Scan::after) goes on where an
/// earlier walk ended.
#[derive(Debug)]
#[must_use = "rows are fetched as they are asked for"]
pub struct Scan {
    query: Query,
    key: String,
    after: Option<Value>,
    page_size: u32,
    page: std::vec::IntoIter<Map<String, Value>>,
    /// The last key of each page.
    seen: HashSet<String>,
    done: bool,
}

impl Scan {
    pub(super) fn new(mut query: Query, key: &str) -> Scan {
        if let Some(why) = obstacle(&query, key) {
            query.request.fail(why);
        }
        Scan {
            query,
            key: key.to_owned(),
            after: None,
            page_size: PAGE,
            page: Vec::new().into_iter(),
            seen: HashSet::new(),
            done: false,
        }
    }

    /// Starts after the row with this key. Defaults to the first row.
    pub fn after(mut self, key: impl Serialize) -> Self {
        match serde_json::to_value(key) {
            Ok(key) if is_key(&key) => self.after = Some(key),
            Ok(other) => {
                let other = excerpt(&other.to_string());
                self.query
                    .request
                    .fail(format!("{other} is not a key: it must be a number or a string"));
            }
            Err(e) => self.query.request.fail(format!("the key cannot be sent: {e}")),
        }
        self
    }

    /// Sets how many rows a page has. Defaults to 10,000.
    pub fn page_size(mut self, limit: u32) -> Self {
        if limit == 0 {
            self.query.request.fail("the page size is 0: there would be no rows");
        }
        self.page_size = limit;
        self
    }

    fn fetch(&mut self) -> Result<()> {
        let (inner, key) = (self.query.sql().unwrap_or_default(), &self.key);
        let only = if self.after.is_some() {
            format!(" WHERE `{key}` > {{{AFTER}}}")
        } else {
            String::new()
        };
        // WITH TIES: rows that share the last key come with it, or the next page would pass over
        // them. The line break ends a comment.
        let sql = format!(
            "SELECT * FROM ({inner}\n){only} ORDER BY `{key}` LIMIT {} WITH TIES",
            self.page_size
        );
        let mut query = self.query.with_sql(sql);
        if let Some(after) = &self.after {
            query = query.value(AFTER, after);
        }
        let rows = insight::page_of(&query.send()?)?.rows;
        if let Some(last) = rows.last() {
            let last = last.get(key).filter(|v| is_key(v)).ok_or_else(|| {
                Error::query(FailureKind::Other, format!("the last row of a page has no key {key:?}, or it is null: the scan cannot continue"))
            })?;
            if !self.seen.insert(last.to_string()) {
                return Err(Error::query(
                    FailureKind::Other,
                    format!(
                        "the server returned the rows up to {last} again: the scan would never end"
                    ),
                ));
            }
            self.after = Some(last.clone());
        }
        self.page = rows.into_iter();
        Ok(())
    }
}

impl Iterator for Scan {
    type Item = Result<Map<String, Value>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(row) = self.page.next() {
            return Some(Ok(row));
        }
        if self.done {
            return None;
        }
        match self.fetch() {
            Ok(()) => {
                let row = self.page.next();
                self.done = row.is_none();
                row.map(Ok)
            }
            Err(e) => {
                self.done = true;
                Some(Err(concealed(&self.query.request, e)))
            }
        }
    }
}

impl FusedIterator for Scan {}

fn is_key(value: &Value) -> bool {
    value.is_number() || value.is_string()
}

fn obstacle(query: &Query, key: &str) -> Option<String> {
    if key.is_empty() || key.contains(|c: char| c == '`' || c == '\\' || c.is_control()) {
        return Some(format!("{:?} is not the name of a column", excerpt(key)));
    }
    let Some(sql) = query.sql() else {
        return Some("only a HogQL query can be scanned".to_owned());
    };
    if sql.contains(AFTER) {
        return Some(format!("the scan needs the placeholder {{{AFTER}}} for itself"));
    }
    insight::scan_obstacle(sql)
}
