//! Pages of rows, one after the other: the next one is fetched while the caller reads the last.

use std::collections::HashSet;
use std::fmt;
use std::iter::FusedIterator;
use std::mem;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Query, checked};
use crate::error::text::excerpt;
use crate::error::{Error, ErrorKind, Result, row_as};
use crate::http::{Ahead, Request, Response, is_own};
use crate::insight;

/// A row, by column name.
pub(super) type Row = Map<String, Value>;

/// How many rows a page asks for: the most that servers of 2023 return.
pub(super) const PAGE: u32 = 10_000;

/// Which pages there are.
pub(super) trait Walk: Send + Sync {
    /// The query of the next page; `None` after the last one.
    fn query(&self) -> Option<Query>;

    /// Reads the answer to that query, and moves to the next page.
    fn read(&mut self, answer: &Value) -> Result<Vec<Row>>;

    /// Asks for half as many rows; false where that is not possible.
    fn halve(&mut self) -> bool;

    /// Asks the server to look at less; false where that is not possible.
    fn narrow(&mut self) -> bool {
        false
    }
}

/// The rows of a [`Scan`](crate::Scan) or of [`Events`](crate::Events).
///
/// While you read a page, the next one is fetched. After an error there are no more rows.
#[must_use = "rows are fetched when they are asked for"]
pub struct Rows {
    walk: Box<dyn Walk>,
    /// What errors name.
    request: Request,
    page: std::vec::IntoIter<Row>,
    /// The next page.
    ahead: Ahead<()>,
    /// Pages run in the background of the server, since one was too slow.
    background: bool,
    done: bool,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("done", &self.done).finish_non_exhaustive()
    }
}

impl Rows {
    pub(super) fn new(query: &Query, walk: impl Walk + 'static) -> Rows {
        Rows {
            walk: Box::new(walk),
            request: query.request.clone(),
            page: Vec::new().into_iter(),
            ahead: Ahead::new(0, is_page_own),
            background: query.background,
            done: false,
        }
    }

    /// The rows, each read as a `T`. A row that is not a `T` is an error, and the next one follows.
    pub(super) fn read_as<T: DeserializeOwned>(self) -> impl Iterator<Item = Result<T>> {
        let request = self.request.clone();
        self.zip(1..).map(move |(row, position)| {
            row.and_then(|row| row_as(position, &Value::Object(row)).map_err(|e| request.error(e)))
        })
    }

    /// The rows of the next page; `None` after the last one.
    fn fetch(&mut self) -> Result<Option<Vec<Row>>> {
        while let Some(query) = self.walk.query() {
            let answer = if self.background {
                Query { background: true, ..query }.run()
            } else {
                let read = |answer: &Response| checked(answer.json()?);
                self.ahead.take(&(), &query.into_request(), |_| (), read).map(|(answer, value)| {
                    self.ahead.reuse(answer);
                    value
                })
            };
            match answer {
                Ok(answer) => {
                    let rows = self.walk.read(&answer)?;
                    self.fetch_ahead();
                    return Ok(Some(rows));
                }
                Err(e) if e.kind() == ErrorKind::TooSlow => {
                    // The last way out: PostHog gives a query in the background more time.
                    if !self.walk.narrow() && mem::replace(&mut self.background, true) {
                        return Err(e);
                    }
                }
                Err(e) if e.kind() == ErrorKind::TooLarge && self.walk.halve() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    /// Requests the next page ahead. One in the background of the server takes several requests:
    /// they are sent when the page is wanted.
    fn fetch_ahead(&mut self) {
        if let Some(query) = self.walk.query().filter(|_| !self.background) {
            self.ahead.send((), query.into_request());
        }
    }
}

/// A page that is too slow or too large is so without other requests beside it too.
fn is_page_own(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TooSlow | ErrorKind::TooLarge) || is_own(error)
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        loop {
            if let Some(row) = self.page.next() {
                return Some(Ok(row));
            }
            if self.done {
                return None;
            }
            match self.fetch() {
                Ok(Some(rows)) => self.page = rows.into_iter(),
                Ok(None) => self.done = true,
                Err(e) => {
                    self.done = true;
                    return Some(Err(self.request.error(e)));
                }
            }
        }
    }
}

impl FusedIterator for Rows {}

/// The most rows that a page can have, but for those WITH TIES: a server reduces a LIMIT that is too
/// large for it. `None` where its answer does not show the LIMIT.
pub(super) fn limit(answer: &Value, asked: u32) -> Option<usize> {
    let limit = insight::limit_put_on(answer)?.min(asked.into());
    usize::try_from(limit).ok()
}

/// Whether nothing follows a page with so many rows.
pub(super) fn is_last(limit: Option<usize>, rows: usize) -> bool {
    rows < limit.unwrap_or(1)
}

/// The ends of the pages so far.
pub(super) struct Ends(HashSet<String>);

impl Ends {
    pub(super) fn new() -> Ends {
        Ends(HashSet::new())
    }

    /// Notes the end of a page. One that comes again would come without end.
    pub(super) fn note(&mut self, end: String) -> Result<()> {
        let shown = excerpt(&end);
        if self.0.insert(end) {
            return Ok(());
        }
        let message =
            format!("the server returned the rows up to {shown} again: there would be no end");
        Err(Error::new(ErrorKind::Paging, message))
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// Whether the SQL has a placeholder whose name begins like this.
pub(super) fn has_placeholder(sql: &str, prefix: &str) -> bool {
    sql.split('{').skip(1).any(|name| name.trim_start().starts_with(prefix))
}
