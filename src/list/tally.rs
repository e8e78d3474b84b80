//! Whether all rows of a list came, each once.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;

use crate::http::Params;

/// The rows of a list so far: the server may repeat some and leave out others.
pub(super) struct Tally {
    pub(super) rows: u64,
    /// As long as every row has an id.
    ids: Option<Ids>,
    /// The rows have no `id` that could be read: only their number is compared.
    typed: bool,
    /// The smallest `count`, less the rows that the caller skipped with `offset`.
    expected: Option<u64>,
    /// `None` where the caller starts at a place whose distance from the first row is unknown.
    skipped: Option<u64>,
}

impl Tally {
    pub(super) fn new(first: &Params) -> Tally {
        let elsewhere = ["page", "cursor", "before", "after"].iter().any(|name| first.has(name));
        let skipped = (!elsewhere).then(|| first.number("offset").unwrap_or(0));
        Tally { rows: 0, ids: Some(Ids::default()), typed: false, expected: None, skipped }
    }

    pub(super) fn note_typed(&mut self, rows: usize) {
        self.rows += rows as u64;
        self.typed = true;
    }

    pub(super) fn note(&mut self, row: &Value) {
        self.rows += 1;
        if self.ids.as_mut().is_some_and(|ids| ids.is_new(row).is_none()) {
            self.ids = None;
        }
    }

    pub(super) fn note_count(&mut self, count: Option<u64>) {
        match count.zip(self.skipped) {
            Some((count, skipped)) => {
                let expected = count.saturating_sub(skipped);
                self.expected = Some(self.expected.map_or(expected, |least| least.min(expected)));
            }
            // Without a count there is nothing to compare with, and nothing to keep.
            None if self.expected.is_none() => self.ids = None,
            None => {}
        }
    }

    /// Why rows are missing, if some are.
    pub(super) fn missing_rows(&self) -> Option<String> {
        let expected = self.expected?;
        let received = if self.typed { self.rows } else { self.ids.as_ref()?.0.len() as u64 };
        if received >= expected {
            return None;
        }
        let order = "set a larger page_size, or an order such as .param(\"order\", \"id\")";
        if self.typed {
            return Some(format!(
                "the list has {expected} rows, and only {received} came: {order}"
            ));
        }
        (received < self.rows).then(|| {
            format!(
                "the list has {expected} rows, and only {received} different rows came: the server repeats rows where its order \
                 is not unique; {order}"
            )
        })
    }
}

/// The ids of rows, 16 bytes each.
#[derive(Default)]
pub(super) struct Ids(HashSet<u128>, RandomState);

impl Ids {
    /// Whether no row before had the `uuid`, else the `id`, of this one. `None` for a row without.
    pub(super) fn is_new(&mut self, row: &Value) -> Option<bool> {
        let id = |name: &str| row.get(name).filter(|id| !id.is_null());
        let id = id("uuid").or_else(|| id("id"))?;
        let half = |n: u8| u128::from(self.1.hash_one((n, id)));
        Some(self.0.insert(half(0) << 64 | half(1)))
    }
}
