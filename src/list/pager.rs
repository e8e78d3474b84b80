//! The pages and rows of a list, in order.

use std::fmt;
use std::iter::FusedIterator;

use serde_json::Value;

use super::in_flight::InFlight;
use super::page;
use super::page::{Envelope, Next};
use super::tally::{Ids, Tally};
use super::walk::Walk;
use crate::error::{Error, ErrorKind, Result};
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
    pub(super) pager: Pager<Value>,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Result<Page>> {
        let page = |Batch { rows, count, has_next }| {
            let results = rows.into_iter().collect::<Result<_>>()?;
            Ok(Page { results, count, has_next })
        };
        Some(self.pager.next()?.and_then(page))
    }
}

impl FusedIterator for Pages {}

/// The rows of a list, from [`List::items`](crate::List::items) or
/// [`List::items_as`](crate::List::items_as).
#[must_use = "rows are fetched when they are asked for"]
pub struct Items<T = Value> {
    pager: Pager<T>,
    rows: std::vec::IntoIter<Result<T>>,
    total: Option<u64>,
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("total", &self.total).finish_non_exhaustive()
    }
}

impl<T> Items<T> {
    pub(super) fn new(pager: Pager<T>) -> Items<T> {
        Items { pager, rows: Vec::new().into_iter(), total: None }
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
            if let Some(row) = self.rows.next() {
                return Some(row);
            }
            match self.pager.next()? {
                Ok(Batch { rows, count, has_next: _ }) => {
                    self.total = count.or(self.total);
                    self.rows = rows.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<T> FusedIterator for Items<T> {}

/// The rows of one page. A row that could not be read is an error among them.
pub(super) struct Batch<T> {
    rows: Vec<Result<T>>,
    count: Option<u64>,
    has_next: bool,
}

/// The pages of one list; or, for an OR of filters, of several, one after the other. After an error
/// there are no more.
pub(super) struct Pager<T> {
    pub(super) lists: std::vec::IntoIter<Request>,
    pub(super) list: Option<OpenList>,
    pub(super) reader: Reader<T>,
    pub(super) prefetch: usize,
    /// Checks that no rows are missing.
    pub(super) complete: bool,
}

/// Reads a page straight from its text; the number is that of the rows before it.
pub(super) type ReadTyped<T> = fn(&Response, u64) -> Result<Envelope<Result<T>>>;

/// How the rows of a page are read.
pub(super) struct Reader<T> {
    /// Reads a page without values; `None` where the fields of its rows are looked at.
    pub(super) typed: Option<ReadTyped<T>>,
    /// Reads a row, which has this position, from its value.
    pub(super) row: fn(u64, Value) -> Result<T>,
    /// Drops rows that a search marks as similar only.
    pub(super) drop_similar: bool,
    /// The rows so far, where several lists are merged.
    pub(super) seen: Option<Ids>,
}

/// The list that is being read.
pub(super) struct OpenList {
    pages: InFlight,
    walk: Walk,
    /// The query of the page to read next, or why there is none.
    next: Option<std::result::Result<Params, String>>,
    tally: Tally,
}

impl<T> Pager<T> {
    fn next(&mut self) -> Option<Result<Batch<T>>> {
        let page = self.page().transpose()?;
        Some(page.map_err(|error| {
            self.lists = Vec::new().into_iter();
            match self.list.take() {
                Some(list) => list.pages.request().error(error),
                None => error,
            }
        }))
    }

    /// The next page; `None` after the last one of the last list.
    fn page(&mut self) -> Result<Option<Batch<T>>> {
        loop {
            let Some(list) = &mut self.list else {
                let Some(request) = self.lists.next() else { return Ok(None) };
                self.list = Some(OpenList::new(request, self.prefetch));
                continue;
            };
            let Some(query) = list.next.take() else {
                if let Some(why) = list.tally.missing_rows().filter(|_| self.complete) {
                    return Err(paging(&why));
                }
                self.list = None;
                continue;
            };
            let query =
                query.map_err(|why| paging(&format!("the list cannot be continued: {why}")))?;
            let mut batch = list.read(&query, &mut self.reader)?;
            batch.has_next |= !self.lists.as_slice().is_empty();
            return Ok(Some(batch));
        }
    }
}

fn paging(why: &str) -> Error {
    Error::from_text(ErrorKind::Paging, why)
}

impl OpenList {
    fn new(request: Request, prefetch: usize) -> OpenList {
        let first = request.params().clone();
        OpenList {
            pages: InFlight::new(request, prefetch),
            tally: Tally::new(&first),
            walk: Walk::new(first.clone()),
            next: Some(Ok(first)),
        }
    }

    fn read<T>(&mut self, query: &Params, reader: &mut Reader<T>) -> Result<Batch<T>> {
        let OpenList { pages, walk, next, tally } = self;
        let before = tally.rows;
        let (response, page) = pages.take(query, |response| reader.read(response, tally))?;
        tally.note_count(page.count);
        let following = walk.after(query, &page, tally.rows - before, &response);
        // The next page is requested before the rows of this one are returned.
        let known = following.as_ref().ok().and_then(Option::as_ref);
        pages.learn(query, known, matches!(page.next, Next::Link(_)), page.count);
        *next = following.transpose();
        pages.reuse(response);
        let mut rows = page.results;
        for error in rows.iter_mut().filter_map(|row| row.as_mut().err()) {
            *error = pages.request().error(error.clone());
        }
        let count = page.count.filter(|_| reader.seen.is_none());
        Ok(Batch { rows, count, has_next: next.is_some() })
    }
}

impl<T> Reader<T> {
    fn read(&mut self, response: &Response, tally: &mut Tally) -> Result<Envelope<Result<T>>> {
        let before = tally.rows;
        if let Some(typed) = self.typed {
            let page = typed(response, before)?;
            tally.note_typed(page.results.len());
            return Ok(page);
        }
        Ok(page::values(response)?.map(|mut rows| {
            for row in &rows {
                tally.note(row);
            }
            if self.drop_similar {
                rows.retain(|row| row.get("search_match_type").is_none_or(|m| m != "similar"));
            }
            if let Some(seen) = &mut self.seen {
                rows.retain(|row| seen.is_new(row).unwrap_or(true));
            }
            (before + 1..).zip(rows).map(|(position, row)| (self.row)(position, row)).collect()
        }))
    }
}
