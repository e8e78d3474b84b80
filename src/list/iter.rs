//! The pages and rows of a list, in order.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::iter::FusedIterator;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::envelope::{Envelope, Next};
use super::in_flight::InFlight;
use super::rows::{self, Rows};
use super::union::Seen;
use super::walk::Walk;
use crate::error::{Error, Failure, FailureKind, Result};
use crate::http::{Params, Request, Response};

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The rows.
    pub results: Vec<Value>,
    /// How many rows the whole list has, if the server sends it.
    pub count: Option<u64>,
    /// Whether there are more pages.
    pub has_next: bool,
}

/// The pages of a list, from [`List::pages`](crate::List::pages).
#[must_use = "pages are fetched when they are asked for"]
pub struct Pages {
    batches: Batches<Value>,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

impl Pages {
    pub(super) fn new(plan: Plan) -> Pages {
        Pages { batches: Batches::new(plan, Box::new(Values)) }
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Result<Page>> {
        let batch = self.batches.next()?;
        Some(batch.map(|Batch { rows, count, has_next }| Page {
            results: rows.rows,
            count,
            has_next,
        }))
    }
}

impl FusedIterator for Pages {}

/// The rows of a list, from [`List::items`](crate::List::items) or
/// [`List::items_as`](crate::List::items_as).
#[must_use = "rows are fetched when they are asked for"]
pub struct Items<T = Value> {
    batches: Batches<T>,
    rows: std::vec::IntoIter<T>,
    /// How many of this page's rows were returned.
    taken: usize,
    unreadable: std::vec::IntoIter<(usize, Error)>,
    total: Option<u64>,
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("total", &self.total).finish_non_exhaustive()
    }
}

impl Items<Value> {
    pub(super) fn values(plan: Plan) -> Items<Value> {
        Items::new(Batches::new(plan, Box::new(Values)))
    }
}

impl<T: DeserializeOwned> Items<T> {
    pub(super) fn typed(plan: Plan) -> Items<T> {
        // What must look at the fields of a row reads it as a value first.
        let by_value = plan.drop_similar || plan.lists.len() > 1;
        let reader: Box<dyn ReadPage<T> + Send> =
            if by_value { Box::new(TypedByValue) } else { Box::new(Typed) };
        Items::new(Batches::new(plan, reader))
    }
}

impl<T> Items<T> {
    fn new(batches: Batches<T>) -> Items<T> {
        let (rows, unreadable) = (Vec::new().into_iter(), Vec::new().into_iter());
        Items { batches, rows, taken: 0, unreadable, total: None }
    }

    /// How many rows the whole list has: available after the first row, if PostHog sends a count
    /// (it does not for persons).
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

impl<T> Iterator for Items<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            let unreadable_is_next =
                self.unreadable.as_slice().first().is_some_and(|(at, _)| *at <= self.taken);
            if unreadable_is_next {
                return self.unreadable.next().map(|(_, error)| Err(error));
            }
            if let Some(row) = self.rows.next() {
                self.taken += 1;
                return Some(Ok(row));
            }
            match self.batches.next()? {
                Ok(Batch { rows, count, has_next: _ }) => {
                    self.total = count.or(self.total);
                    self.taken = 0;
                    self.rows = rows.rows.into_iter();
                    self.unreadable = rows.unreadable.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<T> FusedIterator for Items<T> {}

/// What an iterator over a list needs to know.
pub(super) struct Plan {
    /// One, or for an OR of filters several, to be read one after the other.
    pub(super) lists: Vec<Request>,
    pub(super) prefetch: usize,
    /// Drops rows that a search marks as similar only.
    pub(super) drop_similar: bool,
    /// Checks that no rows are missing.
    pub(super) complete: bool,
}

/// The rows of one page.
struct Batch<T> {
    rows: Rows<T>,
    count: Option<u64>,
    has_next: bool,
}

/// The pages of the lists of a plan, in order. After an error there are no more.
struct Batches<T> {
    rest: std::vec::IntoIter<Request>,
    current: Option<Current>,
    reader: Box<dyn ReadPage<T> + Send>,
    prefetch: usize,
    drop_similar: bool,
    complete: bool,
    /// Persons seen so far, where several lists are merged.
    seen: Option<Seen>,
}

/// The list that is being read.
struct Current {
    request: Request,
    pages: InFlight,
    walk: Walk,
    /// The query of the page to read next, or why there is none.
    next: Option<std::result::Result<Params, String>>,
    tally: Tally,
    /// A hash of the last page, where the next one is asked for by an offset of our own.
    last_page: Option<u64>,
}

impl<T> Batches<T> {
    fn new(plan: Plan, reader: Box<dyn ReadPage<T> + Send>) -> Batches<T> {
        let Plan { lists, prefetch, drop_similar, complete } = plan;
        let seen = (lists.len() > 1).then(Seen::new);
        let rest = lists.into_iter();
        Batches { rest, current: None, reader, prefetch, drop_similar, complete, seen }
    }

    fn next(&mut self) -> Option<Result<Batch<T>>> {
        loop {
            let Some(current) = &mut self.current else {
                self.current = Some(Current::new(self.rest.next()?, self.prefetch));
                continue;
            };
            let Some(query) = current.next.take() else {
                // The end of this list.
                let missing = current.tally.missing_rows().filter(|_| self.complete);
                let error = missing.map(|why| current.paging_error(why));
                self.current = None;
                match error {
                    Some(error) => {
                        self.end();
                        return Some(Err(error));
                    }
                    None => continue,
                }
            };
            let query = query.map_err(|why| {
                current.paging_error(format!("the list cannot be continued: {why}"))
            });
            let http = current.request.http().clone();
            let batch = query.and_then(|query| self.read(&query));
            return Some(batch.map_err(|e| {
                self.end();
                http.conceal(e)
            }));
        }
    }

    fn end(&mut self) {
        self.current = None;
        self.rest = Vec::new().into_iter();
    }

    fn read(&mut self, query: &Params) -> Result<Batch<T>> {
        let Some(current) = &mut self.current else { return Ok(Batch::default()) };
        let response = current.pages.take(query)?;
        let mut read = Read {
            tally: &mut current.tally,
            seen: self.seen.as_mut(),
            drop_similar: self.drop_similar,
        };
        let (page, mut rows) = match self.reader.read(&response, &mut read) {
            Ok(page) => page,
            Err(error) => match current.pages.take_alone(query) {
                Some(response) => self.reader.read(&response?, &mut read)?,
                None => return Err(error),
            },
        };
        let request = &current.request;
        let conceal =
            |e: Error| request.http().conceal(e.of_call(request.method(), request.path()));
        for (_, error) in &mut rows.unreadable {
            *error = conceal(error.clone());
        }
        let before = current.tally.rows_before_page;
        let received = current.tally.rows - before;
        current.tally.rows_before_page = current.tally.rows;
        current.tally.note_count(page.count);
        let next = current.walk.follow(query, &page.next, page.has_next, received);
        let key = &current.request.http().core().key;
        let by_offset = matches!(page.next, Next::Absent) && page.has_next;
        let hash = by_offset.then(|| current.tally.hasher.hash_one(response.body()));
        let repeats = hash.is_some() && hash == current.last_page;
        current.last_page = hash;
        let next = match next {
            Ok(Some(_)) if repeats => {
                Err("the server ignores `offset` and returned the same page again".to_owned())
            }
            Ok(Some(next)) if next.contain(key) => {
                Err("its `next` contains the key under another name".to_owned())
            }
            next => next,
        };
        // The next page is requested before the rows of this one are returned.
        let linked = matches!(page.next, Next::Link(_));
        let following = next.as_ref().ok().and_then(Option::as_ref);
        current.pages.learn(query, following, linked, page.count);
        current.next = next.transpose();
        let has_next = current.next.is_some() || !self.rest.as_slice().is_empty();
        let count = page.count.filter(|_| self.seen.is_none());
        Ok(Batch { rows, count, has_next })
    }
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Batch { rows: Vec::new().into(), count: None, has_next: false }
    }
}

impl Current {
    fn new(request: Request, prefetch: usize) -> Current {
        let first = request.params().clone();
        Current {
            pages: InFlight::new(request.clone(), prefetch),
            walk: Walk::new(first.clone()),
            tally: Tally::new(&first),
            next: Some(Ok(first)),
            last_page: None,
            request,
        }
    }

    fn paging_error(&self, why: String) -> Error {
        let error = Error::Paging(Failure::new(FailureKind::Other, why))
            .of_call(self.request.method(), self.request.path());
        self.request.http().conceal(error)
    }
}

/// What a page is read with.
struct Read<'a> {
    tally: &'a mut Tally,
    seen: Option<&'a mut Seen>,
    drop_similar: bool,
}

impl Read<'_> {
    /// Keeps the rows that are returned.
    fn keep(&mut self, mut rows: Vec<Value>) -> Vec<Value> {
        for row in &rows {
            self.tally.note(row);
        }
        if self.drop_similar {
            let similar =
                |row: &Value| row.get("search_match_type").is_some_and(|m| m == "similar");
            rows.retain(|row| !similar(row));
        }
        if let Some(seen) = &mut self.seen {
            rows.retain(|row| seen.is_new(row));
        }
        rows
    }
}

/// Reads the rows of a page.
trait ReadPage<T> {
    fn read(&self, response: &Response, read: &mut Read<'_>) -> Result<(Envelope<()>, Rows<T>)>;
}

struct Values;
struct Typed;
struct TypedByValue;

impl ReadPage<Value> for Values {
    fn read(
        &self,
        response: &Response,
        read: &mut Read<'_>,
    ) -> Result<(Envelope<()>, Rows<Value>)> {
        let (page, rows) = rows::values(response)?.split();
        Ok((page, read.keep(rows).into()))
    }
}

impl<T: DeserializeOwned> ReadPage<T> for Typed {
    fn read(&self, response: &Response, read: &mut Read<'_>) -> Result<(Envelope<()>, Rows<T>)> {
        let (page, rows) = rows::typed(response, read.tally.rows)?;
        read.tally.note_typed((rows.rows.len() + rows.unreadable.len()) as u64);
        Ok((page, rows))
    }
}

impl<T: DeserializeOwned> ReadPage<T> for TypedByValue {
    fn read(&self, response: &Response, read: &mut Read<'_>) -> Result<(Envelope<()>, Rows<T>)> {
        let before = read.tally.rows;
        let (page, rows) = rows::values(response)?.split();
        Ok((page, rows::typed_values(&read.keep(rows), before)))
    }
}

/// Counts the rows of a list, to notice that the server repeats some and leaves out others.
struct Tally {
    hasher: RandomState,
    rows: u64,
    rows_before_page: u64,
    /// A hash of each `id`, as long as every row has one.
    ids: Option<HashSet<u64>>,
    /// The rows have no `id` that could be read: only their number is compared.
    typed: bool,
    /// The smallest `count`, less the rows that the caller skipped with `offset`.
    expected: Option<u64>,
    /// `None` where the caller starts at a place whose distance from the first row is unknown.
    skipped: Option<u64>,
}

impl Tally {
    fn new(first: &Params) -> Tally {
        let elsewhere = ["page", "cursor", "before", "after"].iter().any(|name| first.has(name));
        let skipped = (!elsewhere).then(|| first.number("offset").unwrap_or(0));
        Tally {
            hasher: RandomState::new(),
            rows: 0,
            rows_before_page: 0,
            ids: Some(HashSet::new()),
            typed: false,
            expected: None,
            skipped,
        }
    }

    fn note_typed(&mut self, rows: u64) {
        self.rows += rows;
        self.typed = true;
    }

    fn note(&mut self, row: &Value) {
        self.rows += 1;
        match (row.get("id").filter(|id| !id.is_null()), &mut self.ids) {
            (Some(id), Some(ids)) => {
                ids.insert(self.hasher.hash_one(id));
            }
            _ => self.ids = None,
        }
    }

    fn note_count(&mut self, count: Option<u64>) {
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
    fn missing_rows(&self) -> Option<String> {
        let expected = self.expected?;
        let received = if self.typed { self.rows } else { self.ids.as_ref()?.len() as u64 };
        let repeats = received < self.rows;
        if self.typed && received < expected {
            return Some(format!(
                "the list has {expected} rows, and only {received} came: set a larger page_size, or an order \
                 such as .param(\"order\", \"id\")"
            ));
        }
        (repeats && received < expected).then(|| {
            format!(
                "the list has {expected} rows, and only {received} different rows came: the server repeats rows where its order \
                 is not unique; set a larger page_size, or an order such as .param(\"order\", \"id\")"
            )
        })
    }
}
