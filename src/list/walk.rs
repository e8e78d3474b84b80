//! What `next` means: the query of the page after a page.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::page::{Envelope, Next};
use crate::error::text::excerpt;
use crate::http::{MAX_QUERY, Params, Response};

/// How many empty pages may follow each other.
const MAX_EMPTY_PAGES: u32 = 1_000;

/// Parameters that say which part of a list a page is: they come, go and change from page to page.
const PAGING: [&str; 6] = ["offset", "cursor", "page", "before", "after", "limit"];

/// The way from page to page of one list.
pub(super) struct Walk {
    first: Params,
    /// A hash of the query of each page so far: a list that returns to one would never end.
    seen: HashSet<u64>,
    /// How many rows precede the next page, including skipped rows.
    offset: u64,
    empty_pages: u32,
    /// A hash of the last page, where the next one is asked for by an offset of our own.
    last_page: Option<u64>,
}

impl Walk {
    pub(super) fn new(first: Params) -> Walk {
        let offset = first.number("offset").unwrap_or(0);
        Walk { first, seen: HashSet::new(), offset, empty_pages: 0, last_page: None }
    }

    /// The query of the page after `page`, which has `query` and had `rows` rows; `None` after the
    /// last page.
    pub(super) fn after<T>(
        &mut self,
        query: &Params,
        page: &Envelope<T>,
        rows: u64,
        response: &Response,
    ) -> Result<Option<Params>, String> {
        let next = self.follow(query, &page.next, page.has_next, rows)?;
        let by_offset = matches!(page.next, Next::Absent) && page.has_next;
        let last = std::mem::replace(&mut self.last_page, by_offset.then(|| hash(response.body())));
        if by_offset && last == self.last_page {
            return Err("the server ignores `offset` and returned the same page again".to_owned());
        }
        if next.as_ref().is_some_and(|next| next.contain(response.key())) {
            return Err("its `next` contains the key under another name".to_owned());
        }
        Ok(next)
    }

    /// The same without a look at the bytes of the page.
    fn follow(
        &mut self,
        query: &Params,
        next: &Next,
        has_next: bool,
        rows: u64,
    ) -> Result<Option<Params>, String> {
        self.seen.insert(hash(&query.sorted()));
        self.empty_pages = if rows == 0 { self.empty_pages + 1 } else { 0 };
        let before = self.offset;
        self.offset = self.offset.saturating_add(rows);
        let mut following = match next {
            Next::Null => return Ok(None),
            Next::Absent if !has_next => return Ok(None),
            Next::Absent if rows == 0 => {
                return Err(
                    "the list has more pages, but this one has no rows to count from".to_owned()
                );
            }
            Next::Absent if query.has("page") || query.has("cursor") => {
                return Err("it has more pages, and no link to the next one".to_owned());
            }
            Next::Absent => {
                let Some(offset) = before.checked_add(rows) else {
                    return Err("the offset of the next page is too large".to_owned());
                };
                let mut following = query.clone();
                following.set("offset", offset.to_string());
                following
            }
            Next::Link(link) => Params::of_link(link)
                .ok_or_else(|| format!("its `next` has no query: {:?}", excerpt(link)))?,
            Next::Unreadable(next) => {
                return Err(format!("its `next` is not a link: {}", excerpt(next)));
            }
        };
        following.keep(&self.first, &PAGING).map_err(|name| {
            format!("its `next` changes the parameter {:?}: other rows would come", excerpt(&name))
        })?;
        if self.empty_pages >= MAX_EMPTY_PAGES {
            return Err(format!("{MAX_EMPTY_PAGES} pages in a row have no rows"));
        }
        if following.encoded().len() > MAX_QUERY {
            return Err("its `next` is longer than a URL can be".to_owned());
        }
        if self.seen.contains(&hash(&following.sorted())) {
            return Err(
                "its `next` leads to a page that was already read: the list would never end"
                    .to_owned(),
            );
        }
        Ok(Some(following))
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::of_link(&format!("?{query}")).unwrap_or_default()
    }

    fn link(query: &str) -> Next {
        Next::Link(format!("http://elsewhere.example/api/?{query}"))
    }

    #[test]
    fn a_walk_goes_on_or_ends_or_fails() {
        for (first, next, has_next, rows, expected) in [
            ("limit=2", Next::Null, true, 2, Ok(None)),
            ("limit=2", Next::Absent, false, 2, Ok(None)),
            ("limit=2&offset=3", Next::Absent, true, 2, Ok(Some("limit=2&offset=5"))),
            ("limit=2", Next::Absent, true, 0, Err("no rows")),
            ("offset=18446744073709551615", Next::Absent, true, 1, Err("offset")),
            ("search=a", link("offset=2"), false, 2, Ok(Some("offset=2&search=a"))),
            ("search=a", link("offset=2&search=b"), false, 2, Err("search")),
            ("limit=2", link("limit=3&offset=2"), false, 2, Ok(Some("limit=3&offset=2"))),
            ("limit=2", link("limit=2"), false, 2, Err("already read")),
            ("limit=2", Next::Link("x".to_owned()), false, 2, Err("no query")),
            ("limit=2", Next::Unreadable("5".to_owned()), false, 2, Err("not a link")),
        ] {
            let query = params(first);
            let got = Walk::new(query.clone()).follow(&query, &next, has_next, rows);
            match (got, expected) {
                (Ok(got), Ok(expected)) => {
                    let got = got.map(|p| p.encoded());
                    assert_eq!(got.as_deref(), expected, "{first}");
                }
                (Err(got), Err(word)) => assert!(got.contains(word), "{got}"),
                (got, expected) => panic!("{first}: {got:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn empty_pages_without_end_are_an_error() {
        let mut walk = Walk::new(Params::default());
        let mut query = Params::default();
        for n in 1..MAX_EMPTY_PAGES {
            let next = link(&format!("cursor={n}"));
            query = walk.follow(&query, &next, false, 0).unwrap().unwrap();
        }
        let error = walk.follow(&query, &link("cursor=last"), false, 0).unwrap_err();
        assert!(error.contains("no rows"), "{error}");
    }
}
