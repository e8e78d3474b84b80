//! The pages and rows of a list, in order.

use std::collections::{HashSet, VecDeque};
use std::hash::RandomState;
use std::iter::FusedIterator;

use serde_json::Value;

use super::completeness::Completeness;
use super::in_flight::InFlight;
use super::page::{self, Envelope, Keys};
use super::walk::Walk;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Params, Request, Response, debug};

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

debug!(Pages);

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Result<Page>> {
        let page = self.pager.next()?.and_then(|Envelope { rows, frame }| {
            let results = rows.into_iter().collect::<Result<_>>()?;
            Ok(Page { results, count: frame.count, has_next: self.pager.has_next() })
        });
        Some(page)
    }
}

impl FusedIterator for Pages {}

/// The rows of a list, from [`List::items`](crate::List::items) or
/// [`List::items_as`](crate::List::items_as).
#[must_use = "rows are fetched when they are asked for"]
pub struct Items<T = Value> {
    pub(super) pager: Pager<T>,
    rows: std::vec::IntoIter<Result<T>>,
    total: Option<u64>,
}

debug!(Items<T>);

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
                Ok(Envelope { rows, frame }) => {
                    self.total = frame.count.or(self.total);
                    self.rows = rows.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<T> FusedIterator for Items<T> {}

/// The pages of one list; or, for an OR of filters, of several, one after the other. After an error
/// there are no more.
pub(super) struct Pager<T> {
    /// Those that were not read to their end.
    pub(super) lists: VecDeque<OpenList>,
    pub(super) reader: Reader<T>,
    /// Only the first row is wanted: pages have one row, and more after an empty one.
    pub(super) first: bool,
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
    pub(super) hasher: RandomState,
    /// The rows so far, where several lists are merged.
    pub(super) seen: Option<HashSet<u64>>,
    pub(super) returned: u64,
}

/// A list, and where it is read next.
pub(super) struct OpenList {
    pages: InFlight,
    walk: Walk,
    /// The query of the page to read next, or why there is none.
    next: Option<std::result::Result<Params, String>>,
    all: Completeness,
}

impl<T> Pager<T> {
    /// The next page; a row that could not be read is an error among its rows.
    fn next(&mut self) -> Option<Result<Envelope<Result<T>>>> {
        let page = self.page().transpose()?;
        Some(page.map_err(|error| match self.lists.drain(..).next() {
            Some(list) => list.pages.request.error(error),
            None => error,
        }))
    }

    /// The next page; `None` after the last one of the last list.
    fn page(&mut self) -> Result<Option<Envelope<Result<T>>>> {
        // A list stays until its page was read: a hook of the caller's can panic.
        while let Some(list) = self.lists.front_mut() {
            let Some(query) = list.next.clone() else {
                if let Some(why) = list.all.missing_rows().filter(|_| list.walk.complete) {
                    return Err(paging(&why));
                }
                self.lists.pop_front();
                continue;
            };
            let query = query.map_err(|e| paging(&format!("the list cannot be continued: {e}")))?;
            let page = list.read(&query, &mut self.reader, self.first)?;
            if page.is_some() {
                return Ok(page);
            }
        }
        Ok(None)
    }

    /// Whether there are pages behind the last one.
    fn has_next(&self) -> bool {
        self.lists.len() > 1 || self.lists.iter().any(|list| list.next.is_some())
    }
}

fn paging(why: &str) -> Error {
    Error::from_text(ErrorKind::Paging, why)
}

impl OpenList {
    pub(super) fn new(request: Request, prefetch: usize, walk: Walk) -> OpenList {
        let first = request.params.clone();
        OpenList {
            pages: InFlight::new(request, prefetch),
            all: Completeness::new(&first),
            walk,
            next: Some(Ok(first)),
        }
    }

    /// A page; `None` for one whose rows came before.
    fn read<T>(
        &mut self,
        query: &Params,
        reader: &mut Reader<T>,
        first: bool,
    ) -> Result<Option<Envelope<Result<T>>>> {
        let OpenList { pages, walk, next, all } = self;
        let (response, (mut page, keys)) = pages.take(query, |response| reader.read(response))?;
        let Envelope { rows, frame } = &mut page;
        let same = all.note(frame, &keys);
        let after = walk.after(query, frame, all, same, response.key());
        *next = after.transpose();
        if let Some(Ok(next)) = next {
            if first && frame.received == 0 && !next.has("page") {
                next.set("limit", "100");
            }
        }
        pages.ahead.reuse(response);
        // The next page is requested before the rows of this one are returned.
        let known = next.as_ref().and_then(|next| next.as_ref().ok());
        pages.learn(query, known, frame.count);
        if walk.came_before {
            return Ok(None);
        }
        reader.returned += rows.len() as u64;
        for error in rows.iter_mut().filter_map(|row| row.as_mut().err()) {
            *error = pages.request.error(error.clone());
        }
        frame.count = frame.count.filter(|_| reader.seen.is_none());
        Ok(Some(page))
    }
}

impl<T> Reader<T> {
    /// A page, and which rows it has.
    fn read(&mut self, response: &Response) -> Result<(Envelope<Result<T>>, Keys)> {
        if let Some(typed) = self.typed {
            return Ok((typed(response, self.returned)?, Keys::of_text(response, &self.hasher)));
        }
        let Envelope { rows, frame } = page::values(response)?;
        let keys = Keys::of_values(&rows, &self.hasher);
        let mut is_wanted = |row: &Value, key: u64| {
            let similar = || row.get("search_match_type").is_some_and(|kind| kind == "similar");
            !(self.drop_similar && similar())
                && self.seen.as_mut().is_none_or(|seen| seen.insert(key))
        };
        let rows = rows.into_iter().zip(&keys.hashes).filter(|(row, key)| is_wanted(row, **key));
        let numbered = (self.returned + 1..).zip(rows);
        let rows = numbered.map(|(position, (row, _))| (self.row)(position, row)).collect();
        Ok((Envelope { rows, frame }, keys))
    }
}
