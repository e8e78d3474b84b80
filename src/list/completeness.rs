//! Whether all rows of a list came, each once.

use std::collections::HashSet;

use super::page::{Frame, Keys};
use crate::http::Params;

/// Whether a query names a place in a list whose distance from the first row is unknown.
pub(super) fn has_place(query: &Params) -> bool {
    ["page", "cursor", "before", "after"].iter().any(|name| query.has(name))
}

/// The rows of a list so far: the server may repeat some and leave out others.
#[derive(Default)]
pub(super) struct Completeness {
    pub(super) rows: u64,
    hashes: HashSet<u64>,
    lacks_ids: bool,
    pub(super) repeats: bool,
    /// The last page that had rows.
    last: Option<u64>,
    /// How many pages in a row had rows, and no new one.
    pub(super) stale_pages: u32,
    /// The smallest `count`, less the rows that the caller skipped with `offset`.
    expected: Option<u64>,
    /// `None` where the caller starts at a place whose distance from the first row is unknown.
    skipped: Option<u64>,
}

impl Completeness {
    pub(super) fn new(first: &Params) -> Completeness {
        let skipped = (!has_place(first)).then(|| first.number("offset").unwrap_or(0));
        Completeness { skipped, ..Completeness::default() }
    }

    /// Notes the rows of a page; true where they are those of the page before.
    pub(super) fn note(&mut self, page: &Frame, keys: &Keys) -> bool {
        self.rows += page.received;
        let counted = page.count.zip(self.skipped);
        let expected = counted.map(|(count, skipped)| count.saturating_sub(skipped));
        self.expected = self.expected.into_iter().chain(expected).min();
        if keys.hashes.is_empty() {
            return false;
        }
        let before = self.hashes.len();
        self.hashes.extend(&keys.hashes);
        let new = self.hashes.len() - before;
        self.lacks_ids |= !keys.are_ids;
        self.repeats |= keys.are_ids && new < keys.hashes.len();
        self.stale_pages = if new == 0 { self.stale_pages + 1 } else { 0 };
        let join = |page: u64, row: &u64| page.rotate_left(5).wrapping_add(*row);
        let page = keys.hashes.iter().fold(0, join);
        self.last.replace(page) == Some(page)
    }

    pub(super) fn missing_rows(&self) -> Option<String> {
        let expected = self.expected?;
        let distinct = if self.lacks_ids { self.rows } else { self.hashes.len() as u64 };
        let (came, why) = if self.rows < expected {
            (format!("{} came", self.rows), "")
        } else {
            let why = ": the server repeats rows where its order is not unique";
            (format!("{distinct} different rows came"), why)
        };
        (distinct < expected).then(|| {
            let hint = "set another page_size, an order such as .param(\"order\", \"id\"), or allow_missing_rows()";
            format!("the list has {expected} rows, and only {came}{why}; {hint}")
        })
    }
}
