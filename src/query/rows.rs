//! The iterator over a scan or an export: it sends the next queries ahead, and reads their rows.

use std::collections::HashSet;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Query, checked};
use crate::date::{Moment, Precision};
use crate::error::{Error, ErrorKind, Result, excerpt, row_as};
use crate::http::{Ahead, Response, debug, is_own};
use crate::insight;

/// A row, by column name.
pub(super) type Row = Map<String, Value>;

/// How many rows a page asks for: the most that servers of 2023 return.
pub(super) const PAGE: u32 = 10_000;

pub(super) const LARGEST_PAGE: u32 = 50_000;

/// A body of more bytes takes long to read.
const LONG: usize = 1024 * 1024;

/// The ends of the pages so far, as text.
pub(super) type Ends = HashSet<String>;

/// Which queries there are.
pub(super) trait Queries: Send + Sync {
    /// The next queries in order, without gaps up to `most`; none after the last page. Of queries
    /// that were returned before, those that are still to be read are there too.
    fn next(&mut self, most: usize) -> Vec<Query>;

    /// Reads the answer to the first of them. `bytes`: the length of its body, if it is known.
    fn read(&mut self, answer: &mut Value, bytes: Option<usize>) -> Result<Vec<Row>>;

    /// Whether other queries can follow this error of the first one.
    fn goes_on_after(&mut self, error: &Error) -> bool;
}

/// The rows of a [`Scan`](crate::Scan) or of [`Events`](crate::Events).
///
/// While you read a page, the next one is fetched. After an error there are no more rows.
#[must_use = "rows are fetched when they are asked for"]
pub struct Rows {
    queries: Box<dyn Queries>,
    /// What errors name, and which columns are read as JSON.
    query: Query,
    page: std::vec::IntoIter<Row>,
    ahead: Ahead,
    done: bool,
}

debug!(Rows);

impl Rows {
    /// `prefetch`: how many pages beyond the next one are requested ahead.
    pub(super) fn new(query: Query, queries: impl Queries + 'static, prefetch: usize) -> Rows {
        let ahead = Ahead::new(&query.request.http, prefetch, is_page_own);
        let (queries, page) = (Box::new(queries), Vec::new().into_iter());
        Rows { queries, query, page, ahead, done: false }
    }

    /// The rows of the next page; no rows where another query must ask for them; `None` after the
    /// last page.
    fn fetch(&mut self) -> Result<Option<Vec<Row>>> {
        let queries = self.queries.next(self.ahead.most());
        let Some(query) = queries.first().cloned() else { return Ok(None) };
        // One query alone is sent on this thread.
        if queries.len() > 1 {
            line_up(&mut self.ahead, queries);
        }
        let answer = self.answer(query);
        match answer.and_then(|(mut answer, bytes)| self.queries.read(&mut answer, bytes)) {
            Ok(mut rows) => {
                for row in &mut rows {
                    self.query.read_json(row);
                }
                self.ahead.window.grow();
                let queries = self.queries.next(self.ahead.most());
                line_up(&mut self.ahead, queries);
                Ok(Some(rows))
            }
            Err(e) if self.queries.goes_on_after(&e) => Ok(Some(Vec::new())),
            Err(e) => Err(e),
        }
    }

    /// The answer to the next query, and the length of its body, if it is known.
    fn answer(&mut self, query: Query) -> Result<(Value, Option<usize>)> {
        if query.background {
            return Ok((query.run()?, None));
        }
        let read = |answer: &Response| Ok((checked(answer.json()?)?, Some(answer.body().len())));
        let Rows { queries: rest, ahead, .. } = self;
        // The query of this answer does not run any more: another one can while it is read.
        let refill = |ahead: &mut Ahead, answer: &Response| {
            if answer.body().len() > LONG {
                let queries = rest.next(ahead.most() + 1);
                line_up(ahead, queries.into_iter().skip(1));
            }
        };
        let (answer, page) = ahead.take(&query.into_request(), refill, read)?;
        ahead.reuse(answer);
        Ok(page)
    }
}

/// Sends queries ahead. One in the background of the server takes several requests: they are sent
/// when its rows are wanted.
fn line_up(ahead: &mut Ahead, queries: impl IntoIterator<Item = Query>) {
    let sendable = queries.into_iter().filter(|query| !query.background);
    ahead.line_up(sendable.map(Query::into_request).collect());
}

/// A page that is too slow or too large would be so alone, too.
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
                    self.ahead.give_up();
                    return Some(Err(self.query.request.error(e)));
                }
            }
        }
    }
}

impl FusedIterator for Rows {}

/// The rows of a [`Scan`](crate::Scan) or of [`Events`](crate::Events), each read as a `T`.
///
/// A row that is not a `T` is an error of the kind [`Row`](crate::ErrorKind::Row), and the next one
/// follows. After another error there are no more rows.
#[must_use = "rows are fetched when they are asked for"]
pub struct RowsAs<T> {
    rows: Rows,
    position: u64,
    typed: PhantomData<fn() -> T>,
}

debug!(RowsAs<T>);

impl<T> RowsAs<T> {
    pub(super) fn new(rows: Rows) -> RowsAs<T> {
        RowsAs { rows, position: 0, typed: PhantomData }
    }
}

impl<T: DeserializeOwned> Iterator for RowsAs<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let row = self.rows.next()?;
        self.position += 1;
        let typed = row.and_then(|row| {
            let typed = row_as(self.position, &Value::Object(row));
            typed.map_err(|e| self.rows.query.request.error(e))
        });
        Some(typed)
    }
}

impl<T: DeserializeOwned> FusedIterator for RowsAs<T> {}

/// The number that a query counts, which is its only cell.
pub(super) fn count(query: Query) -> Result<u64> {
    let request = query.request.clone();
    let counted = match query.clone().run() {
        // In the background it gets more time.
        Err(e) if e.kind() == ErrorKind::TooSlow => query.background().run(),
        counted => counted,
    };
    let counted = counted.and_then(|answer| {
        let number = answer.pointer("/results/0/0").and_then(Value::as_u64);
        number.ok_or_else(|| Error::new(ErrorKind::WrongShape, "the answer has no number of rows"))
    });
    counted.map_err(|e| request.error(e))
}

/// The most rows that a page can have, without those of WITH TIES: a server reduces a LIMIT that is
/// too large for it. `None` where its answer does not show the LIMIT.
pub(super) fn limit(answer: &Value, asked: u32) -> Option<usize> {
    let limit = insight::limit_put_on(answer)?.min(asked.into());
    usize::try_from(limit).ok()
}

/// Whether nothing follows a page with so many rows.
pub(super) fn is_last(answer: &Value, asked: u32, rows: usize) -> Result<bool> {
    let more = answer.get("hasMore").and_then(Value::as_bool) == Some(true);
    if more && rows == 0 {
        let message = "the server has more rows, and returned an empty page";
        return Err(Error::new(ErrorKind::Paging, message));
    }
    Ok(!more && rows < limit(answer, asked).unwrap_or(1))
}

/// Notes the end of a page. If it comes again, the pages would have no end.
pub(super) fn note_end(ends: &mut Ends, end: String) -> Result<()> {
    let shown = excerpt(&end);
    if ends.insert(end) {
        return Ok(());
    }
    let why = format!("the server returned the rows up to {shown} again: there would be no end");
    Err(Error::new(ErrorKind::Paging, why))
}

/// The moment of a text that is a time with an offset from UTC.
pub(super) fn moment(value: &Value) -> Option<Moment> {
    Moment::parse(value.as_str()?).filter(|moment| moment.precision == Precision::Exact)
}
