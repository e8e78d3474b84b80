//! What comes after a page of a list.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::completeness::{Completeness, has_place};
use super::page::{Frame, Next};
use crate::error::excerpt;
use crate::http::{Key, MAX_QUERY, Params};

const MAX_EMPTY_PAGES: u32 = 1_000;

/// How many pages in a row may have no new row.
const MAX_STALE_PAGES: u32 = 10;

/// Parameters that say which part of a list a page is: they come, go and change from page to page.
const PAGING: [&str; 6] = ["offset", "cursor", "page", "before", "after", "limit"];

/// The way from page to page of one list.
#[derive(Default)]
pub(super) struct Walk {
    first: Params,
    /// The parameter that takes `next_cursor`.
    cursor: &'static str,
    /// False where rows may be missing.
    pub(super) complete: bool,
    /// Hashes of the queries so far: a list that returns to a query would never end.
    seen: HashSet<u64>,
    hasher: RandomState,
    empty_pages: u32,
    by_cursor: bool,
    /// What the query of the page was made from.
    made: Made,
    /// The rows of the last page came before: it only showed how the list goes on.
    pub(super) came_before: bool,
}

/// What a query was made from.
#[derive(Clone, Copy, Default, PartialEq)]
enum Made {
    /// A link, or the caller's parameters.
    #[default]
    Elsewhere,
    /// `has_next` or `count`.
    Announced,
    /// The page before had as many rows as `limit`: the server may not know `offset`.
    Guessed,
    /// The server does not know `offset`; this is the whole list.
    Whole,
}

impl Walk {
    pub(super) fn new(first: Params, cursor: &'static str, complete: bool) -> Walk {
        Walk { first, cursor, complete, ..Walk::default() }
    }

    /// What comes after the page of `query`, whose rows `all` knows already.
    pub(super) fn after(
        &mut self,
        query: &Params,
        page: &Frame,
        all: &Completeness,
        same: bool,
        key: &Key,
    ) -> Result<Option<Params>, String> {
        let (next, made) = self.continues(query, page)?;
        let next = next.map(|next| self.checked(next, key)).transpose()?;
        let came_by = std::mem::replace(&mut self.made, made);

        self.seen.insert(self.hasher.hash_one(query));
        self.empty_pages = if page.received == 0 { self.empty_pages + 1 } else { 0 };
        let is_cursor = |next: &Params| has_place(next) && !next.has("page") && !next.has("offset");
        self.by_cursor |= next.as_ref().is_some_and(is_cursor);

        self.came_before = came_by == Made::Whole || (came_by == Made::Guessed && same);
        let why = match (came_by, &next) {
            (Made::Whole, _) if same => return Ok(None),
            (Made::Whole, _) => {
                "the server ignores `offset`, and has other rows without `limit`; leave out \
                 page_size, or use allow_missing_rows()"
            }
            (Made::Guessed, _) if same => {
                let mut whole = query.clone();
                whole.remove("limit");
                whole.remove("offset");
                self.made = Made::Whole;
                return Ok(Some(whole));
            }
            (Made::Announced, _) | (_, Some(_)) if same => {
                "the server returned the same page again"
            }
            _ if self.by_cursor && self.complete && all.repeats => {
                "a row came twice, so others are missing: the server's order is not unique; set a \
                 larger page_size, or use allow_missing_rows()"
            }
            (_, Some(_)) if all.stale_pages >= MAX_STALE_PAGES => {
                "many pages had no new row: the list would never end"
            }
            (_, Some(_)) if self.empty_pages >= MAX_EMPTY_PAGES => {
                "1000 pages in a row have no rows"
            }
            (_, Some(next)) if self.seen.contains(&self.hasher.hash_one(next)) => {
                "its `next` leads to a page that was already read: the list would never end"
            }
            _ => return Ok(next),
        };
        Err(why.to_owned())
    }

    /// The query of the next page, and what it is made from.
    fn continues(&self, query: &Params, page: &Frame) -> Result<(Option<Params>, Made), String> {
        // `next`, where the page has it.
        match (&page.next, page.has_more) {
            (Next::Null, Some(true)) => {
                return Err("its `next` is null, though it says that there are more".to_owned());
            }
            (Next::Null, _) => return Ok((None, Made::Elsewhere)),
            (Next::Link(link), _) => {
                let why = || format!("its `next` has no query: {:?}", excerpt(link));
                return Ok((Some(Params::of_link(link).ok_or_else(why)?), Made::Elsewhere));
            }
            (Next::Unreadable(next), _) => {
                return Err(format!("its `next` is not a link: {}", excerpt(next)));
            }
            (Next::Absent, _) => {}
        }
        // `has_next`, or another of its names.
        if let (Some(true), Some(cursor)) = (page.has_more, &page.next_cursor) {
            let mut next = query.clone();
            next.remove("offset");
            next.set(self.cursor, cursor);
            return Ok((Some(next), Made::Announced));
        }
        let rows = page.received;
        let guesses = page.has_more.is_none() && self.complete;
        let made = match page.count {
            _ if page.has_more == Some(true) => Made::Announced,
            // More rows than came.
            Some(count) if guesses && count > offset(query).saturating_add(rows) => Made::Announced,
            // As many rows as the page can have.
            None if guesses && query.number("limit") == Some(rows) => Made::Guessed,
            _ => return Ok((None, Made::Elsewhere)),
        };
        Ok((Some(next_offset(query, rows)?), made))
    }

    /// The query of the next page, which keeps the caller's parameters and has no key.
    fn checked(&self, mut next: Params, key: &Key) -> Result<Params, String> {
        next.keep(&self.first, &PAGING).map_err(|name| {
            format!("its `next` changes the parameter {:?}: other rows would come", excerpt(&name))
        })?;
        if next.encoded().len() > MAX_QUERY {
            return Err("its `next` is longer than a URL can be".to_owned());
        }
        if next.contain(key) {
            return Err("its `next` contains the key under another name".to_owned());
        }
        Ok(next)
    }
}

fn offset(query: &Params) -> u64 {
    query.number("offset").unwrap_or(0)
}

/// The query of the page behind one with `rows` rows. The server may have removed some of them.
fn next_offset(query: &Params, rows: u64) -> Result<Params, String> {
    if has_place(query) {
        return Err("it has more pages, and no link to the next one".to_owned());
    }
    let step = query.number("limit").unwrap_or(0).max(rows);
    if step == 0 {
        return Err("it has more pages, but no rows to count from; set page_size".to_owned());
    }
    let Some(offset) = offset(query).checked_add(step) else {
        return Err("the offset of the next page is too large".to_owned());
    };
    let mut next = query.clone();
    next.set("offset", offset.to_string());
    Ok(next)
}

#[cfg(test)]
mod tests;
