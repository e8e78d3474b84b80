//! The rows of a scan or an export: which queries come next is known, and they are sent ahead.

use std::collections::HashSet;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Query, checked};
use crate::error::text::excerpt;
use crate::error::{Error, ErrorKind, Result, row_as};
use crate::http::{Ahead, Request, Workers, value_of_text};
use crate::insight;

/// A row, by column name.
pub(super) type Row = Map<String, Value>;

/// How many rows a page asks for: the most that servers of 2023 return.
pub(super) const PAGE: u32 = 10_000;

/// For how many pages fewer are requested ahead after a failure.
const CAREFUL: u32 = 50;

/// How long requests that were given up are waited for.
const END: Duration = Duration::from_secs(1);

/// Which queries there are.
pub(super) trait Walk: Send + Sync {
    /// The next queries in order, without gaps up to `most`; none after the last page. Of queries
    /// that were returned before, those that are still to be read are there too.
    fn queries(&mut self, most: usize) -> Vec<Query>;

    /// Reads the answer to the first of them. `bytes`: the length of its body, if it is known.
    fn read(&mut self, answer: &Value, bytes: Option<usize>) -> Result<Vec<Row>>;

    /// Whether other queries can follow this error of the first one.
    fn goes_on_after(&mut self, error: &Error) -> bool;
}

/// The rows of a [`Scan`](crate::Scan) or of [`Events`](crate::Events).
///
/// While you read a page, the next one is fetched. After an error there are no more rows.
#[must_use = "rows are fetched when they are asked for"]
pub struct Rows {
    walk: Box<dyn Walk>,
    /// What errors name.
    request: Request,
    /// The columns of text that hold JSON.
    json_columns: Vec<String>,
    page: std::vec::IntoIter<Row>,
    workers: Workers,
    /// What is sent ahead, each with its query.
    ahead: Vec<(Value, Ahead)>,
    window: Window,
    done: bool,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("done", &self.done).finish_non_exhaustive()
    }
}

impl Rows {
    /// `prefetch`: how many pages are requested ahead.
    pub(super) fn new(
        request: &Request,
        walk: impl Walk + 'static,
        prefetch: usize,
        json_columns: Vec<String>,
    ) -> Rows {
        Rows {
            walk: Box::new(walk),
            request: request.clone(),
            json_columns,
            page: Vec::new().into_iter(),
            workers: Workers::new(),
            ahead: Vec::new(),
            window: Window { most: prefetch, now: prefetch.min(1), careful: 0 },
            done: false,
        }
    }

    /// The rows of the next page; `None` after the last one.
    fn fetch(&mut self) -> Result<Option<Vec<Row>>> {
        loop {
            let queries = self.walk.queries(self.window.now + 1);
            if queries.len() > 1 {
                self.send_ahead(&queries, self.window.now + 1);
            }
            let Some(query) = queries.into_iter().next() else { return Ok(None) };
            let page = self.answer(query).and_then(|(answer, bytes)| {
                let mut rows = self.walk.read(&answer, bytes)?;
                parse_json_columns(&mut rows, &self.json_columns);
                Ok(rows)
            });
            match page {
                Ok(rows) => {
                    self.window.grow();
                    let queries = self.walk.queries(self.window.now);
                    self.send_ahead(&queries, self.window.now);
                    return Ok(Some(rows));
                }
                Err(e) if self.walk.goes_on_after(&e) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Sends the first of these queries on threads, so that `most` are in flight, and gives up
    /// queries that are not among them. One in the background of the server takes several requests:
    /// they are sent when its rows are wanted.
    fn send_ahead(&mut self, queries: &[Query], most: usize) {
        self.ahead.retain(|(node, _)| queries.iter().any(|query| query.node == *node));
        for query in queries.iter().filter(|query| !query.background) {
            if self.ahead.len() >= most {
                return;
            }
            if self.ahead.iter().any(|(node, _)| *node == query.node) {
                continue;
            }
            // Where no thread can be started, it is sent when its rows are wanted.
            let Some(ahead) = self.workers.start(query.clone().into_request()) else { return };
            self.ahead.push((query.node.clone(), ahead));
        }
    }

    /// The answer to the next query, and the length of its body.
    fn answer(&mut self, query: Query) -> Result<(Value, Option<usize>)> {
        let Some(at) = self.ahead.iter().position(|(node, _)| *node == query.node) else {
            return send(query);
        };
        let (_, ahead) = self.ahead.remove(at);
        let answer = ahead.take(self.request.http().deadline());
        let throttled = |ahead: &Ahead| ahead.watch().take_throttled().is_some();
        if throttled(&ahead) || self.ahead.iter().any(|(_, other)| throttled(other)) {
            self.window.shrink(0);
        }
        match answer {
            Ok(answer) => Ok((checked(answer.json()?)?, Some(answer.body().len()))),
            // The others may be why.
            Err(e) if is_of_load(&e) && !self.ahead.is_empty() => {
                // Without a time to wait for, as many queries as allowed run already.
                let is_full = e.kind() == ErrorKind::RateLimited && e.retry_after().is_none();
                self.window.shrink(if is_full { 0 } else { self.window.now / 2 });
                self.give_up_all();
                send(query)
            }
            Err(e) => Err(e),
        }
    }

    fn give_up_all(&mut self) {
        let end = Instant::now() + END;
        let end = self.request.http().deadline().map_or(end, |deadline| deadline.min(end));
        self.ahead.iter().for_each(|(_, ahead)| ahead.stop());
        self.ahead.drain(..).for_each(|(_, ahead)| ahead.wait_until_over(Some(end)));
    }
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
                    self.ahead.clear();
                    return Some(Err(self.request.error(e)));
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

impl<T> fmt::Debug for RowsAs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowsAs").field("done", &self.rows.done).finish_non_exhaustive()
    }
}

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
            typed.map_err(|e| self.rows.request.error(e))
        });
        Some(typed)
    }
}

impl<T: DeserializeOwned> FusedIterator for RowsAs<T> {}

/// How many pages are requested ahead.
struct Window {
    most: usize,
    now: usize,
    /// For how many pages it does not grow.
    careful: u32,
}

impl Window {
    /// A page came.
    fn grow(&mut self) {
        if self.careful > 0 {
            self.careful -= 1;
        } else {
            self.now = (self.now + 1).min(self.most);
        }
    }

    fn shrink(&mut self, now: usize) {
        (self.now, self.careful) = (now, CAREFUL);
    }
}

/// Whether other requests at the same time can be the cause.
fn is_of_load(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(error.kind(), K::RateLimited | K::Server | K::Broken | K::Connect | K::Timeout)
}

/// The answer to a query that was not sent ahead, and the length of its body.
fn send(query: Query) -> Result<(Value, Option<usize>)> {
    if query.background {
        return Ok((query.run()?, None));
    }
    let answer = query.into_request().run_json()?;
    Ok((checked(answer.json()?)?, Some(answer.body().len())))
}

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

/// Turns the text of these columns into the values that it holds; text that is not JSON stays.
pub(super) fn parse_json_columns(rows: &mut [Row], columns: &[String]) {
    for row in rows {
        for column in columns {
            let Some(cell) = row.get_mut(column) else { continue };
            if let Some(value) = cell.as_str().and_then(value_of_text) {
                *cell = value;
            }
        }
    }
}

/// The most rows that a page can have, but for those WITH TIES: a server reduces a LIMIT that is too
/// large for it. `None` where its answer does not show the LIMIT.
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
