//! Every event of a time range, page by page through windows of time.

use std::fmt::{self, Display};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::rows::{self, Ends, PAGE, Row, Rows, Walk};
use super::{Query, to_value};
use crate::date::{Moment, Precision};
use crate::error::text::excerpt;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Http;
use crate::insight;
use crate::refresh::Refresh;

const MINUTE: i64 = 60_000_000;

/// How many microseconds the first page covers.
const FIRST_WINDOW: i64 = 24 * 60 * MINUTE;

/// How the placeholders begin that the caller cannot use.
const RESERVED: &str = "events_";

/// The columns that the conditions compare.
const OWN: [&str; 3] = ["uuid", "timestamp", "event"];

/// A smaller window saves the server little.
const SMALLEST_WINDOW: i64 = MINUTE;

/// The first and the last moment that PostHog can store: 1900 and 2299.
const STORED: (i64, i64) = (-2_208_988_800_000_000, 10_413_791_999_999_999);

/// Every event of a time range, from [`Project::events`](crate::Project::events): each once, in the
/// order of timestamp and uuid. Iterate over it, or use [`items_as`](Events::items_as).
///
/// `POST query/`, scope `query:read`. It needs a server of 2024 or newer. An item is a map with
/// `uuid`, `timestamp` and the [`columns`](Events::columns). `timestamp` is RFC 3339 text with
/// microseconds, in the time zone of the project; `properties` is JSON as text.
///
/// A page has at most 10,000 events. It covers a window of time that shrinks when the server is too
/// slow (PostHog stops a query after 10 s) and grows when it finds little. If the server is too slow
/// for one minute, the query and all after it run in the [background](crate::Query::background). A
/// page that is larger than [`max_body_bytes`](crate::ClientBuilder::max_body_bytes) is requested
/// again at half the size.
///
/// PostHog can store an event minutes or days after its timestamp: an export up to now does not
/// contain what arrives later.
///
/// # Errors
/// The items are errors as those of [`Query::send`](crate::Query::send). [`Config`](crate::ErrorKind::Config) if
/// [`after`](Events::after) is missing, or anything given is not valid;
/// [`Paging`](crate::ErrorKind::Paging) if the server does not keep to the order. After an error there are no more events.
///
/// # Examples
/// ```no_run
/// # fn main() -> posthog_api::Result<()> {
/// let project = posthog_api::Project::from_env()?;
/// let purchases = project
///     .events()
///     .after("2026-11-01")
///     .before("2026-12-01T00:00:00+01:00")
///     .event("purchase")
///     .filter("properties.amount > {least}")
///     .value("least", 100)
///     .columns(["distinct_id", "properties.amount AS amount"]);
/// for event in purchases {
///     let event = event?;
///     println!("{} {}", event["timestamp"], event["amount"]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before the first event is asked for"]
pub struct Events {
    query: Query,
    after: Option<Moment>,
    before: Option<Moment>,
    names: Vec<String>,
    columns: Vec<String>,
    filters: Vec<String>,
    values: Vec<(String, Value)>,
    resumed: Option<(Moment, String)>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Events { after, before, names, columns, filters, values, resumed, .. } = self;
        let text = format!(
            "Events {{ after: {after:?}, before: {before:?}, names: {names:?}, columns: {columns:?}, \
             filters: {filters:?}, values: {values:?}, resumed: {resumed:?}, .. }}"
        );
        self.query.request.http().write_debug(f, &text)
    }
}

impl Events {
    /// `path`: that of `query/`.
    pub(crate) fn new(http: &Http, path: Result<String>) -> Events {
        Events {
            query: Query::hogql(http, path, "SELECT").refresh(Refresh::ForceBlocking),
            after: None,
            before: None,
            names: Vec::new(),
            columns: ["event", "distinct_id", "properties"].map(str::to_owned).to_vec(),
            filters: Vec::new(),
            values: Vec::new(),
            resumed: None,
        }
    }

    /// Sets the beginning: events at this time or later. Required, unless [`resume`](Events::resume) is
    /// given.
    ///
    /// RFC 3339 text (also with a space instead of `T`, or with ` UTC`), a date, which is midnight
    /// in UTC, or the type of a time crate that prints itself like that. A time without an offset
    /// from UTC is an [`Config`](crate::ErrorKind::Config).
    pub fn after(mut self, time: impl Display) -> Self {
        self.after = self.moment(&time);
        self
    }

    /// Sets the end: events before this time, in the forms of [`after`](Events::after). Defaults to
    /// the time of the first request.
    pub fn before(mut self, time: impl Display) -> Self {
        self.before = self.moment(&time);
        self
    }

    /// Only events with this name. Repeat it for events with any of several names. Defaults to all
    /// events.
    pub fn event(mut self, name: &str) -> Self {
        if name.is_empty() {
            self.fail("the name of the event is empty");
        }
        self.names.push(name.to_owned());
        self
    }

    /// Sets what is returned beside `uuid` and `timestamp`: HogQL expressions, such as
    /// `properties.$browser AS browser`. Defaults to `event`, `distinct_id` and `properties`.
    pub fn columns(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.columns = columns.into_iter().map(Into::into).collect();
        for column in self.columns.clone() {
            self.check("column", &column);
            // The conditions would compare it in place of the event's own.
            if alias(&column).is_some_and(|name| OWN.contains(&name.to_ascii_lowercase().as_str()))
            {
                self.fail(format!("a column cannot get the name of another: {}", excerpt(&column)));
            }
        }
        self.columns.retain(|column| !matches!(column.trim(), "uuid" | "timestamp"));
        self
    }

    /// Only events that meet this HogQL condition, such as `properties.amount > 100`. Repeat it for
    /// events that meet all of several. Defaults to all events.
    pub fn filter(mut self, hogql: &str) -> Self {
        self.check("filter", hogql);
        self.filters.push(hogql.to_owned());
        self
    }

    /// Sets the value of a `{placeholder}` of a filter or a column; see [`Query::value`]. Names that
    /// begin with `events_` are reserved.
    pub fn value(mut self, placeholder: &str, value: impl Serialize) -> Self {
        if placeholder.starts_with(RESERVED) {
            self.fail("the placeholders {events_...} are reserved");
        }
        match to_value(&value) {
            Ok(value) => self.values.push((placeholder.to_owned(), value)),
            Err(e) => {
                let name = excerpt(placeholder);
                self.fail(format!("the value of {{{name}}} cannot be sent: {e}"));
            }
        }
        self
    }

    /// Starts after this event, a row of an earlier export: it needs its `timestamp` and `uuid`.
    /// The settings must be those of that export.
    pub fn resume(mut self, last: &Map<String, Value>) -> Self {
        self.resumed = place(last);
        if self.resumed.is_none() {
            self.fail(
                "the event to resume after has no uuid, or no timestamp with an offset from UTC",
            );
        }
        self
    }

    /// The events, each read as a `T` by column name.
    ///
    /// # Errors
    /// As [`Events`]; an event that is not a `T` is an [`Decode`](crate::ErrorKind::Decode) of the kind
    /// [`Row`](crate::ErrorKind::Row), which names the row and the field, and the iterator continues
    /// with the next event.
    pub fn items_as<T: DeserializeOwned>(self) -> impl Iterator<Item = Result<T>> {
        self.into_iter().read_as()
    }

    fn fail(&mut self, why: impl AsRef<str>) {
        self.query.request.fail(why);
    }

    fn moment(&mut self, time: &impl Display) -> Option<Moment> {
        let text = time.to_string();
        let shown = excerpt(&text);
        match Moment::parse(&text) {
            Some(Moment { precision: Precision::Local, .. }) => {
                self.fail(format!("the time {shown:?} has no offset from UTC; add Z or +02:00"));
                None
            }
            Some(moment) => Some(moment),
            None => {
                self.fail(format!(
                    "{shown:?} is not a time; use 2026-11-24T10:00:00Z or 2026-11-24"
                ));
                None
            }
        }
    }

    /// Checks a part of the SQL.
    fn check(&mut self, what: &str, part: &str) {
        let shown = excerpt(part);
        if part.trim().is_empty() {
            self.fail(format!("a {what} is empty"));
        } else if rows::has_placeholder(part, RESERVED) {
            self.fail("the placeholders {events_...} are reserved");
        } else if let Some(why) = insight::part_obstacle(part) {
            self.fail(format!("the {what} {shown:?}: {why}"));
        }
    }
}

impl IntoIterator for Events {
    type Item = Result<Row>;
    type IntoIter = Rows;

    fn into_iter(mut self) -> Rows {
        let resumed = self.resumed.take();
        let start = self.after.or(resumed.as_ref().map(|(moment, _)| *moment));
        if start.is_none() {
            self.fail("events need a beginning; call after()");
        }
        let now = || {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Moment::from_micros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
        };
        let micros = |moment: Moment| moment.micros().clamp(STORED.0, STORED.1);
        let (mut from, end) = (start.map_or(0, micros), micros(self.before.unwrap_or_else(now)));
        if self.before.is_some() && from > end {
            self.fail("before() is earlier than after()");
        }
        let mut ends = Ends::new();
        let resumed = resumed.filter(|(moment, _)| moment.micros() >= from);
        let uuid = resumed.map(|(moment, uuid)| {
            from = moment.micros();
            let _ = ends.note(uuid.clone());
            uuid
        });
        let query = self.query.clone();
        let windows = Windows {
            events: self,
            from,
            uuid,
            end,
            window: FIRST_WINDOW,
            largest: i64::MAX,
            limit: PAGE,
            ends,
            done: false,
        };
        Rows::new(&query, windows)
    }
}

/// The time and the uuid of an event, which no other has.
fn place(event: &Row) -> Option<(Moment, String)> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let moment = Moment::parse(text("timestamp")?).filter(|m| m.precision == Precision::Exact)?;
    Some((moment, text("uuid").filter(|uuid| !uuid.is_empty())?.to_owned()))
}

/// The name that a column gets with AS.
fn alias(column: &str) -> Option<&str> {
    let is_quote = |c: char| matches!(c, '`' | '"' | '\'');
    let column = column.trim_end().trim_end_matches(is_quote);
    let (rest, name) = column.rsplit_once(|c: char| c.is_whitespace() || is_quote(c))?;
    let word = rest.split_whitespace().last()?;
    word.eq_ignore_ascii_case("as").then_some(name)
}

/// The pages of events. Times are microseconds since 1970.
struct Windows {
    events: Events,
    /// Where the next page begins: at this time, or after the event of this uuid at this time.
    from: i64,
    uuid: Option<String>,
    end: i64,
    /// How much time the next page covers.
    window: i64,
    /// How large the window may grow.
    largest: i64,
    limit: u32,
    /// The last events of pages that end at `from`.
    ends: Ends,
    done: bool,
}

impl Windows {
    /// Where the window ends.
    fn to(&self) -> i64 {
        self.from.saturating_add(self.window).min(self.end)
    }

    fn sql(&self) -> String {
        let Events { columns, filters, names, .. } = &self.events;
        let mut conditions = vec![
            "timestamp >= toDateTime({events_from})".to_owned(),
            "timestamp < toDateTime({events_to})".to_owned(),
        ];
        if self.uuid.is_some() {
            conditions.push(
                "(timestamp > toDateTime({events_from}) OR uuid > toUUID({events_uuid}))"
                    .to_owned(),
            );
        }
        if !names.is_empty() {
            conditions.push("event IN {events_names}".to_owned());
        }
        // What follows a part of the caller is on a line of its own: a comment ends with the line.
        conditions.extend(filters.iter().map(|filter| format!("(\n{filter}\n)")));
        let columns = [&["uuid".to_owned(), "timestamp".to_owned()], columns.as_slice()].concat();
        format!(
            "SELECT {}\nFROM events\nWHERE {}\nORDER BY timestamp, uuid\nLIMIT {}",
            columns.join("\n, "),
            conditions.join("\nAND "),
            self.limit
        )
    }

    /// Begins the next page after the last event of this one. Returns how much time this one
    /// covered.
    fn go_on_after(&mut self, last: Option<&Row>) -> Result<i64> {
        let strange = |what: &str| {
            let message = format!("the events cannot be continued: {what}");
            Error::new(ErrorKind::Paging, message)
        };
        let (moment, uuid) = last
            .and_then(place)
            .ok_or_else(|| strange("the last one has no timestamp or no uuid"))?;
        let at = moment.micros();
        if !(self.from..self.to()).contains(&at) {
            return Err(strange("the server returned one outside of the time range"));
        }
        if at > self.from {
            self.ends.forget();
        }
        self.ends.note(uuid.clone())?;
        let covered = at - self.from;
        (self.from, self.uuid) = (at, Some(uuid));
        Ok(covered)
    }
}

impl Walk for Windows {
    fn query(&self) -> Option<Query> {
        if self.done {
            return None;
        }
        let moment = |micros| Moment::from_micros(micros).to_string();
        let mut query = self.events.query.with_sql(self.sql());
        for (name, value) in &self.events.values {
            query = query.value(name, value);
        }
        query = query.value("events_from", moment(self.from)).value("events_to", moment(self.to()));
        if let Some(uuid) = &self.uuid {
            query = query.value("events_uuid", uuid);
        }
        if !self.events.names.is_empty() {
            query = query.value("events_names", &self.events.names);
        }
        Some(query)
    }

    fn read(&mut self, answer: &Value) -> Result<Vec<Row>> {
        let mut rows = insight::page_of(answer)?;
        let limit = rows::limit(answer, self.limit);
        let few = rows.len() <= limit.unwrap_or(self.limit as usize) / 4;
        if rows::is_last(limit, rows.len()) {
            (self.from, self.uuid) = (self.to(), None);
            self.ends.forget();
            self.largest = self.largest.saturating_add(self.largest / 4);
        } else {
            let covered = self.go_on_after(rows.last())?;
            if !few {
                // The next window should hold a few pages: the server looks at all of it for each.
                let smallest = (self.window / 4).max(SMALLEST_WINDOW).min(self.window);
                self.window = covered.saturating_mul(4).clamp(smallest, self.window);
            }
        }
        if few {
            self.window = self.window.saturating_mul(4).min(self.largest);
        }
        self.done = self.from >= self.end;
        // Until it merges them, ClickHouse can hold an event twice.
        rows.dedup_by(|a, b| {
            a.get("uuid") == b.get("uuid") && a.get("timestamp") == b.get("timestamp")
        });
        Ok(rows)
    }

    fn halve(&mut self) -> bool {
        let can = self.limit > 1;
        self.limit = if can { self.limit / 2 } else { self.limit };
        can
    }

    fn narrow(&mut self) -> bool {
        let window = self.to() - self.from;
        let can = window > SMALLEST_WINDOW;
        if can {
            self.largest = window / 2;
            self.window = (window / 4).max(SMALLEST_WINDOW);
        } else {
            // In the background there is more time.
            self.largest = i64::MAX;
        }
        can
    }
}
