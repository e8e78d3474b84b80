//! All rows of a query of any size: keyset paging, the way that PostHog itself recommends.

use std::collections::HashSet;
use std::iter::FusedIterator;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::query::Query;
use crate::result;
use crate::sql;

/// How many rows a page asks for: the cap of the oldest servers that this works on.
const PAGE: u32 = 10_000;

/// The placeholder of the last key.
const AFTER: &str = "scan_after";

/// The rows of a query of any size, from [`Query::scan`]: an iterator of maps by column name.
///
/// The SQL is put in parentheses and asked for page by page: the rows whose key is greater than the last one's, in the order of the
/// key, until a page is empty. So each row comes once, whatever the server caps a page at, no OFFSET makes it compute
/// again what was sent already, and rows that come or go meanwhile move no others.
///
/// It needs a server since 2024, that knows placeholders. The SQL must be one HogQL SELECT
/// - that has the key among its columns, by that name: `SELECT uuid, event FROM events` with `"uuid"`;
/// - without ORDER BY, LIMIT or OFFSET of its own, outside of parentheses;
/// - whose key is never null. It need not be unique: a page takes in all rows that share its last key.
///
/// A key that is a number, a UUID or other text is best; a time is compared as text by some servers: take
/// `toUnixTimestamp64Micro(timestamp) AS at`. Placeholders work as everywhere; `{scan_after}` is taken.
///
/// The iterator is fused: after an error it is done. [`after`](Scan::after) goes on where an earlier walk ended.
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
    fault: Option<Error>,
    done: bool,
}

impl Scan {
    pub(crate) fn new(query: Query, key: &str) -> Scan {
        let fault = check(&query, key).err().map(Error::Config);
        let page = Vec::new().into_iter();
        Scan {
            query,
            key: key.to_owned(),
            after: None,
            page_size: PAGE,
            page,
            seen: HashSet::new(),
            fault,
            done: false,
        }
    }

    /// Begins behind the row with this key. Defaults to the first row.
    pub fn after(mut self, key: impl Serialize) -> Self {
        match serde_json::to_value(key) {
            Ok(key) if is_key(&key) => self.after = Some(key),
            Ok(other) => self.fail(format!("{other} is no key to go on from")),
            Err(e) => self.fail(format!("the key to go on from cannot be sent: {e}")),
        }
        self
    }

    /// Sets how many rows a page asks for. Defaults to 10,000.
    pub fn page_size(mut self, limit: u32) -> Self {
        if limit == 0 {
            self.fail("a page size of 0 would give no rows".to_owned());
        }
        self.page_size = limit;
        self
    }

    fn fail(&mut self, why: String) {
        self.fault.get_or_insert(Error::Config(why));
    }

    fn fetch(&mut self) -> Result<()> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let (inner, key) = (self.query.sql().unwrap_or_default(), &self.key);
        let only = if self.after.is_some() {
            format!(" WHERE `{key}` > {{{AFTER}}}")
        } else {
            String::new()
        };
        // WITH TIES: rows that share the last key come with it, or the next page would pass over them. The line break ends a comment.
        let sql = format!(
            "SELECT * FROM ({inner}\n){only} ORDER BY `{key}` LIMIT {} WITH TIES",
            self.page_size
        );
        let mut query = self.query.with_sql(sql);
        if let Some(after) = &self.after {
            query = query.value(AFTER, after);
        }
        let rows = result::page_of(&query.send()?)?;
        if let Some(last) = rows.last() {
            let last = last.get(key).filter(|v| is_key(v)).ok_or_else(|| {
                Error::Query(format!("the last row of a page has no key {key:?}, or one that is null: the rows cannot be walked by it"))
            })?;
            if !self.seen.insert(last.to_string()) {
                return Err(Error::Query(format!(
                    "the server gave the rows up to {last} again: the walk would never end"
                )));
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
                Some(Err(e))
            }
        }
    }
}

impl FusedIterator for Scan {}

fn is_key(value: &Value) -> bool {
    value.is_number() || value.is_string()
}

fn check(query: &Query, key: &str) -> std::result::Result<(), String> {
    if key.is_empty() || key.contains(|c: char| c == '`' || c == '\\' || c.is_control()) {
        return Err(format!("{key:?} is no name of a column"));
    }
    // A query that cannot be sent at all says so itself.
    let Some(statement) = query.sql() else {
        return if query.is_valid() {
            Err("only a HogQL query can be scanned".to_owned())
        } else {
            Ok(())
        };
    };
    let Some(words) = sql::top_level(statement) else {
        return Err("the SQL has a string, comment or parenthesis that is not closed".to_owned());
    };
    for (at, word) in words.iter().enumerate() {
        let clause = ["order", "limit", "offset"]
            .iter()
            .any(|w| word.eq_ignore_ascii_case(w));
        if *word == ";" || (clause && sql::is_clause(&words, at)) {
            return Err(format!(
                "the SQL of a scan can have no {} of its own: the walk orders and limits it",
                word.to_uppercase()
            ));
        }
    }
    if statement.contains(AFTER) {
        return Err(format!("{{{AFTER}}} is the scan's own placeholder"));
    }
    Ok(())
}
