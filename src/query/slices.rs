//! The pages of an export: the range is cut into slices of time, each a query of its own.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::Query;
use super::rows::{self, Ends, LARGEST_PAGE, PAGE, Queries, Row, moment};
use crate::date::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::insight;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

/// How many microseconds the first slice covers.
const FIRST: i64 = 24 * 60 * MINUTE;

/// How many bytes the body of a page should have at most.
const LARGEST_BODY: u64 = 16 * 1024 * 1024;

/// How many slices stay short after one that was too slow.
const SHORT: u32 = 8;

/// The first and the last moment that PostHog can store: 1900 and 2299.
const STORED: (i64, i64) = (-2_208_988_800_000_000, 10_413_791_999_999_999);

/// Events that are equal in these are one event: ClickHouse merges them.
pub(super) const IDENTITY: [&str; 4] = ["uuid", "timestamp", "event", "distinct_id"];

/// The SELECT of an export, without its range.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub(super) query: Query,
    /// What is returned beside the identity.
    pub(super) columns: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) filters: Vec<String>,
    pub(super) values: Vec<(String, Value)>,
}

impl Selection {
    /// The query of a slice. Without a limit, it counts the events.
    fn of(&self, slice: &Slice) -> Query {
        let mut columns: Vec<&str> = IDENTITY.to_vec();
        columns.extend(self.columns.iter().map(String::as_str));
        // The end of 2299 cannot be compared with the moment after it.
        let (less, to) = if slice.to > STORED.1 { ("<=", STORED.1) } else { ("<", slice.to) };
        let mut conditions = vec![
            "timestamp >= toDateTime({events_from})".to_owned(),
            format!("timestamp {less} toDateTime({{events_to}})"),
        ];
        let moment = |micros| json!(Moment::from_micros(micros).to_string());
        let mut values = self.values.clone();
        let mut value = |name: &str, value| values.push((name.to_owned(), value));
        value("events_from", moment(slice.from));
        value("events_to", moment(to));
        if let Some([uuid, event, distinct_id]) = &slice.after {
            conditions.push(
                "(timestamp > toDateTime({events_from}) OR (uuid, event, distinct_id) > \
                 (toUUID({events_uuid}), {events_event}, {events_distinct_id}))"
                    .to_owned(),
            );
            value("events_uuid", json!(uuid));
            value("events_event", json!(event));
            value("events_distinct_id", json!(distinct_id));
        }
        if !self.names.is_empty() {
            conditions.push("event IN {events_names}".to_owned());
            value("events_names", json!(self.names));
        }
        // What follows a part of the caller is on a line of its own: a comment ends with the line.
        conditions.extend(self.filters.iter().map(|filter| format!("(\n{filter}\n)")));
        let conditions = conditions.join("\nAND ");
        let sql = match slice.limit {
            Some(limit) => format!(
                "SELECT {}\nFROM events\nWHERE {conditions}\n\
                 ORDER BY timestamp, uuid, event, distinct_id\nLIMIT {limit}",
                columns.join("\n, ")
            ),
            None => format!("SELECT count()\nFROM events\nWHERE {conditions}"),
        };
        let query = self.query.with_sql(sql);
        let query = values.iter().fold(query, |query, (name, value)| query.value(name, value));
        Query { background: query.background || slice.background, ..query }
    }
}

/// A part of the range. Times are microseconds since 1970.
#[derive(Clone)]
struct Slice {
    from: i64,
    /// The uuid, event and distinct id of the event at `from` that the slice comes after.
    after: Option<[String; 3]>,
    to: i64,
    /// How many rows its query asks for; `None` if it is still to be cut.
    limit: Option<u32>,
    /// It is short, and too slow: PostHog gives a query in the background more time.
    background: bool,
}

pub(super) struct Slices {
    pub(super) selection: Selection,
    /// Those that are not read, in order: they cover the rest of the range.
    rest: VecDeque<Slice>,
    /// How long the next slice is; not known before the first page.
    length: Option<i64>,
    /// After a slice that was too slow: how long the next ones may be, and how many of them.
    short: (i64, u32),
    /// How many rows the next slice asks for.
    limit: u32,
    last: Option<(i64, [String; 3])>,
    /// The last events of pages that end at one moment.
    ends: Ends,
}

impl Slices {
    /// `after`: the uuid, event and distinct id of an event at `from`.
    pub(super) fn new(
        selection: Selection,
        from: i64,
        after: Option<[String; 3]>,
        to: i64,
    ) -> Slices {
        let from = from.clamp(STORED.0, STORED.1 + 1);
        let to = to.clamp(from, STORED.1 + 1);
        let ends = after.iter().map(|after| end(from, after)).collect();
        let background = selection.query.background;
        let rest = VecDeque::from([Slice { from, after, to, limit: None, background }]);
        Slices { selection, rest, length: None, short: (0, 0), limit: PAGE, last: None, ends }
    }

    /// The query that counts the events, before the first page.
    pub(super) fn count(self) -> Query {
        let all = self.rest.front().map(|all| self.selection.of(all));
        all.unwrap_or(self.selection.query)
    }

    /// Cuts the slice at this place, if it is not cut; false where nothing can be cut there.
    fn cut(&mut self, at: usize) -> bool {
        let Some(slice) = self.rest.get_mut(at) else { return false };
        if slice.limit.is_some() {
            return true;
        }
        if at > 0 && self.length.is_none() {
            return false;
        }
        let mut length = self.length.unwrap_or(FIRST);
        if let (longest, left @ 1..) = self.short {
            length = length.min(longest);
            self.short = (longest, left - 1);
        }
        let end = slice.from.saturating_add(length).min(slice.to);
        let behind = Slice { from: end, after: None, ..slice.clone() };
        (slice.to, slice.limit) = (end, Some(self.limit));
        if behind.from < behind.to {
            self.rest.insert(at + 1, behind);
        }
        true
    }

    /// Puts the rest of a slice whose page was full before the others, to be cut again.
    fn put_back(&mut self, rest: Slice) {
        match self.rest.front_mut() {
            Some(next) if next.limit.is_none() && next.background == rest.background => {
                (next.from, next.after) = (rest.from, rest.after);
            }
            _ => self.rest.push_front(rest),
        }
    }

    /// Checks that the rows are in order and in their slice. Removes copies: ClickHouse can hold an
    /// event twice until it merges them.
    fn check(&mut self, slice: &Slice, rows: &mut Vec<Row>) -> Result<()> {
        let strange = |what: &str| {
            let message = format!("the events cannot be continued: {what}");
            Error::new(ErrorKind::Paging, message)
        };
        let last = self.last.as_ref();
        let mut last = last.map(|(at, ids)| (*at, ids.each_ref().map(String::as_str)));
        let mut is_new = Vec::with_capacity(rows.len());
        for row in rows.iter() {
            let place = place(row).ok_or_else(|| {
                strange("one has no uuid, timestamp with an offset, event or distinct_id")
            })?;
            if !(slice.from..slice.to).contains(&place.0) {
                return Err(strange("the server returned one outside of the time range"));
            }
            if last.is_some_and(|last| place.0 < last.0) {
                return Err(strange("the server does not return them in the order of time"));
            }
            is_new.push(last != Some(place));
            last = Some(place);
        }
        self.last = last.map(|(at, ids)| (at, ids.map(str::to_owned)));
        let mut is_new = is_new.into_iter();
        rows.retain(|_| is_new.next().unwrap_or(true));
        Ok(())
    }
}

impl Queries for Slices {
    fn next(&mut self, most: usize) -> Vec<Query> {
        let is_cut = |slice: &&Slice| slice.limit.is_some();
        let mut at = 0;
        while (at == 0 && most > 0) || self.rest.iter().filter(is_cut).count() < most {
            if !self.cut(at) {
                break;
            }
            at += 1;
        }
        self.rest.iter().filter(is_cut).map(|slice| self.selection.of(slice)).collect()
    }

    fn read(&mut self, answer: &mut Value, bytes: Option<usize>) -> Result<Vec<Row>> {
        let Some(slice) = self.rest.pop_front() else { return Ok(Vec::new()) };
        check_columns(answer)?;
        let mut rows = insight::page_of(answer)?;
        let (found, asked) = (rows.len(), slice.limit.unwrap_or(PAGE));
        let is_last = rows::is_last(answer, asked, found)?;
        self.check(&slice, &mut rows)?;
        let limit = rows::limit(answer, asked).unwrap_or(asked as usize);
        let mut covered = slice.to - slice.from;
        if let (false, Some((at, ids))) = (is_last, self.last.clone()) {
            if at > slice.from {
                self.ends.clear();
            }
            rows::note_end(&mut self.ends, end(at, &ids))?;
            // A page that is not full was most likely all of the slice, though nothing shows it.
            covered = if found < limit { covered } else { at - slice.from };
            self.put_back(Slice { from: at, after: Some(ids), limit: None, ..slice });
        }
        let max = self.selection.query.request.http.core.transport.max_body_bytes;
        // The size of rows is known only from a page that has some.
        if let Some(bytes) = bytes.filter(|_| found >= limit / 4) {
            let fit = found as u64 * LARGEST_BODY.min(max / 2) / (bytes as u64).max(1);
            let fit = u32::try_from(fit).unwrap_or(LARGEST_PAGE);
            self.limit = fit.clamp(self.limit.min(PAGE), LARGEST_PAGE);
        }
        // A short slice without events does not say that the next one must be short.
        let least = self.length.filter(|_| found == 0).unwrap_or(SECOND);
        let most = if limit < asked as usize { limit } else { self.limit as usize };
        self.length = Some(next_length(covered, found, most).max(least));
        Ok(rows)
    }

    fn goes_on_after(&mut self, error: &Error) -> bool {
        let Some(slice) = self.rest.front_mut() else { return false };
        let length = slice.to - slice.from;
        match error.kind() {
            ErrorKind::TooSlow if slice.background => return false,
            ErrorKind::TooSlow if length <= MINUTE => slice.background = true,
            ErrorKind::TooSlow => {
                let half = length / 2;
                let longest = if self.short.1 > 0 { half.min(self.short.0) } else { half };
                self.short = (longest, SHORT);
                slice.limit = None;
            }
            ErrorKind::TooLarge if slice.limit.is_some_and(|limit| limit > 1) => {
                self.limit = slice.limit.map_or(PAGE, |limit| limit / 2).min(self.limit);
                slice.limit = Some(self.limit);
            }
            _ => return false,
        }
        true
    }
}

/// How long the next slice is, so that two thirds of a page are expected there: from the time that
/// a page covered and its rows. `limit`: how many rows the next page can have.
fn next_length(covered: i64, rows: usize, limit: usize) -> i64 {
    let most = covered.saturating_mul(4);
    let wanted = i128::from(covered) * (limit * 2 / 3).max(1) as i128;
    let expected = wanted.checked_div(rows as i128).map_or(Ok(most), i64::try_from);
    expected.unwrap_or(most).min(most).max(SECOND)
}

/// The moment, uuid, event and distinct id of an event: where it stands in the order.
pub(super) fn place(event: &Row) -> Option<(i64, [&str; 3])> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let uuid = text("uuid").filter(|uuid| !uuid.is_empty())?;
    let moment = moment(event.get("timestamp")?)?;
    Some((moment.micros(), [uuid, text("event")?, text("distinct_id")?]))
}

/// The last event of a page, as text.
fn end(at: i64, ids: &[String; 3]) -> String {
    format!("{} {}", Moment::from_micros(at), ids.join(" "))
}

/// A condition would compare the column that takes the name of another, not the other.
fn check_columns(answer: &Value) -> Result<()> {
    let names = answer.get("columns").and_then(Value::as_array).into_iter().flatten();
    let mut others = names.skip(IDENTITY.len()).filter_map(Value::as_str);
    let Some(name) = others.find(|name| IDENTITY.contains(name)) else { return Ok(()) };
    let why = format!("a column takes the name of another: {name}; give it another name");
    Err(Error::config(why))
}
