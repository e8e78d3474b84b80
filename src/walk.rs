//! The walk from page to page: what `next` means.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::envelope::{Envelope, Next};
use crate::error::{Error, Failure, Result};
use crate::params::Params;
use crate::request::Request;
use crate::shared::Shared;

/// What a URL has room for, less a path.
const MOST_QUERY: usize = 60_000;

/// The rows of one page, and whether it is the last.
pub(crate) struct Batch<T> {
    pub(crate) results: Vec<T>,
    pub(crate) count: Option<u64>,
    pub(crate) has_next: bool,
}

/// The walk from page to page.
pub(crate) struct Walk<T> {
    shared: Arc<Shared>,
    path: Result<String>,
    /// The query of the page to fetch next, or why there is none.
    next: Option<Result<Params>>,
    slow: bool,
    rows: u64,
    /// A hash of each query so far: a list that comes back to one would never end.
    seen: HashSet<u64>,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Walk<T> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        path: Result<String>,
        params: Params,
        slow: bool,
    ) -> Walk<T> {
        let (next, seen) = (Some(Ok(params)), HashSet::new());
        Walk {
            shared,
            path,
            next,
            slow,
            rows: 0,
            seen,
            of: PhantomData,
        }
    }

    pub(crate) fn next(&mut self) -> Option<Result<Batch<T>>> {
        let batch = self.next.take()?.and_then(|params| self.fetch(&params));
        Some(batch.map_err(|e| self.shared.secret.strip(e)))
    }

    fn fetch(&mut self, params: &Params) -> Result<Batch<T>> {
        let path = self.path.clone()?;
        self.seen.insert(hash(params));
        let request = Request::new(&self.shared, "GET", Ok(path))
            .params(params.clone())
            .slow(self.slow);
        let Envelope {
            results,
            count,
            next,
            has_next,
        } = request.send_as()?;
        // What is wrong with `next` is told after the rows that came with it.
        self.next = self
            .follow(params, next, has_next, results.len() as u64)
            .transpose();
        Ok(Batch {
            results,
            count,
            has_next: self.next.is_some(),
        })
    }

    fn follow(
        &mut self,
        params: &Params,
        next: Next,
        has_next: bool,
        rows: u64,
    ) -> Result<Option<Params>> {
        let stuck = |why: String| {
            Err(Error::Paging(Failure::new(
                "GET",
                self.path.as_deref().unwrap_or(""),
                why,
            )))
        };
        let query = match next {
            Next::Null => return Ok(None),
            Next::Absent if !has_next => return Ok(None),
            Next::Absent if rows == 0 => {
                return stuck(
                    "the list says that there is more, but gave no rows to go on from".to_owned(),
                );
            }
            Next::Absent => {
                // The rows before the first page are those that the caller skipped.
                let before = if self.seen.len() == 1 {
                    offset(params)
                } else {
                    self.rows
                };
                self.rows = before + rows;
                params.with("offset", &self.rows.to_string())
            }
            Next::Link(link) => match Params::of_link(&link) {
                Some(query) => query,
                None => {
                    return stuck(format!(
                        "the list's `next` has no query to go on with: {link:?}"
                    ));
                }
            },
            Next::Unreadable(next) => {
                return stuck(format!("the list's `next` is no link: {next}"));
            }
        };
        if query.encoded().len() > MOST_QUERY {
            return stuck("the list's `next` is longer than a URL can be".to_owned());
        }
        if self.shared.secret.is_in(query.encoded()) {
            return stuck("the list's `next` has the key in it, under another name".to_owned());
        }
        if self.seen.contains(&hash(&query)) {
            return stuck(
                "the list's `next` leads back to a page that was read already: it would never end"
                    .to_owned(),
            );
        }
        Ok(Some(query))
    }
}

fn hash(params: &Params) -> u64 {
    let mut hasher = DefaultHasher::new();
    // In any order: links have their parameters sorted, our own first page has not.
    let mut pairs: Vec<&str> = params.encoded().split('&').collect();
    pairs.sort_unstable();
    pairs.hash(&mut hasher);
    hasher.finish()
}

fn offset(params: &Params) -> u64 {
    params
        .get("offset")
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}
