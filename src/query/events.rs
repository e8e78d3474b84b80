//! Every event of a time range.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::rows::{self, Row, Rows, RowsAs};
use super::slices::{IDENTITY, Selection, Slices, place};
use super::{Query, placeholders};
use crate::date::{Moment, Precision};
use crate::error::{Result, excerpt};
use crate::http::{Http, debug};
use crate::insight;
use crate::refresh::Refresh;

/// Every event of a time range, from [`Project::events`](crate::Project::events): each once, in the
/// order of timestamp and uuid. Iterate over it, or use [`items_as`](Events::items_as).
///
/// An item is a map with `uuid`, `timestamp` (RFC 3339 text with microseconds, in the time zone of
/// the project), `event`, `distinct_id` and the [`columns`](Events::columns); `properties` is a
/// value. It needs a server of 2024 or newer. [Behaviour](crate::docs::behaviour#events) says which
/// events are one, and how the range is read.
///
/// PostHog can store an event minutes or days after its timestamp: an export up to now does not
/// contain what arrives later. The [cookbook](crate::docs::cookbook) has a program that runs every
/// night.
///
/// # Errors
/// An item can be an error, as those of [`Query::send`]; [`Config`](crate::ErrorKind::Config) if
/// [`after`](Events::after) is missing, or anything given is not valid;
/// [`Paging`](crate::ErrorKind::Paging) if the server does not keep to the order.
///
/// # Examples
/// ```no_run
/// let project = posthog_api::Project::from_env()?;
/// let november = project.events().after("2026-11-01").before("2026-12-01T00:00:00+01:00");
/// for event in november.filter("properties.amount > {least}").value("least", 100) {
///     println!("{}", event?["timestamp"]);
/// }
/// # Ok::<(), posthog_api::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before the first event is asked for"]
pub struct Events {
    selection: Selection,
    after: Option<Moment>,
    before: Option<Moment>,
    prefetch: usize,
    /// The moment, uuid, event and distinct id of the last event of an earlier export.
    resumed: Option<(i64, [String; 3])>,
}

debug!(Events, |it| it.selection.query.request.http, after: it.after, before: it.before,
    selection: it.selection, prefetch: it.prefetch, resumed: it.resumed);

impl Events {
    /// `path`: that of `query/`.
    pub(crate) fn new(http: &Http, path: Result<String>) -> Events {
        let selection = Selection {
            query: Query::hogql(http, path, "SELECT")
                .refresh(Refresh::ForceBlocking)
                .json_columns(["properties"]),
            columns: vec!["properties".to_owned()],
            names: Vec::new(),
            filters: Vec::new(),
            values: Vec::new(),
        };
        Events { selection, after: None, before: None, prefetch: 1, resumed: None }
    }

    /// Sets the beginning: events at this time or later. Required, unless
    /// [`resume`](Events::resume) is given.
    ///
    /// RFC 3339 text (also with a space instead of `T`, or with ` UTC`), a date, which is midnight
    /// in UTC, or the type of a time crate that prints itself like that. A time without an offset
    /// from UTC is a [`Config`](crate::ErrorKind::Config) error.
    pub fn after(mut self, time: impl Display) -> Self {
        self.after = self.moment(&time);
        self
    }

    /// Sets the end: events before this time, in the forms of [`after`](Events::after). Defaults to
    /// the time when the iteration begins, by the clock of this machine.
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
        self.selection.names.push(name.to_owned());
        self
    }

    /// Sets what is returned beside `uuid`, `timestamp`, `event` and `distinct_id`: HogQL
    /// expressions, such as `properties.$browser AS browser`. One that takes the name of these four
    /// is a [`Config`](crate::ErrorKind::Config) error of the first page. Defaults to `properties`.
    pub fn columns(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        for column in &columns {
            self.check("column", column, &format!("SELECT {column}"));
        }
        let is_own = |column: &String| IDENTITY.contains(&column.trim());
        self.selection.columns = columns.into_iter().filter(|column| !is_own(column)).collect();
        self
    }

    /// Sets which columns are text that holds JSON, as [`Query::json_columns`] does. Defaults to
    /// `properties`.
    pub fn json_columns(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.selection.query.json_columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how many pages are requested ahead, on threads: 8 at most. PostHog runs three queries
    /// of a project at once, so 2 is the fastest. With 0, none is. Defaults to 1.
    pub fn prefetch(mut self, pages: usize) -> Self {
        self.prefetch = pages.min(8);
        self
    }

    /// Only events that meet this HogQL condition, such as `properties.amount > 100`. Repeat it for
    /// events that meet all of several. Defaults to all events.
    pub fn filter(mut self, hogql: &str) -> Self {
        self.check("filter", hogql, &format!("SELECT 1 WHERE {hogql}"));
        self.selection.filters.push(hogql.to_owned());
        self
    }

    /// Sets the value of a `{placeholder}` of a filter or a column; see [`Query::value`]. Names
    /// that begin with `events_` are reserved.
    pub fn value(mut self, placeholder: &str, value: impl Serialize) -> Self {
        if placeholder.starts_with("events_") {
            self.fail("the placeholders {events_...} are reserved");
        }
        let what = format!("the value of {{{}}}", excerpt(placeholder));
        let value = self.selection.query.sendable(&what, &value);
        self.selection.values.push((placeholder.to_owned(), value));
        self
    }

    /// Starts after this event, a row of an earlier export: it needs its `timestamp`, `uuid`,
    /// `event` and `distinct_id`. The settings must be those of that export.
    pub fn resume(mut self, last: &Map<String, Value>) -> Self {
        self.resumed = place(last).map(|(at, ids)| (at, ids.map(str::to_owned)));
        if self.resumed.is_none() {
            self.fail(
                "the event has no uuid, event, distinct_id or timestamp with an offset from UTC",
            );
        }
        self
    }

    /// Counts the events of the range, with one query, which runs in the
    /// [background](crate::Query::background) if it is slow. Copies that ClickHouse has not merged
    /// count too. If [`after`](Events::after) is given, [`resume`](Events::resume) does not change
    /// the number.
    ///
    /// # Errors
    /// As [`Query::send`].
    pub fn count(&self) -> Result<u64> {
        let mut events = self.clone();
        events.resumed = None;
        events.after = self.after.or(self.resumed.as_ref().map(|(at, _)| Moment::from_micros(*at)));
        rows::count(events.slices().count())
    }

    /// The events, each read as a `T` by column name.
    ///
    /// # Errors
    /// As [`Events`] and [`RowsAs`].
    pub fn items_as<T: DeserializeOwned>(self) -> RowsAs<T> {
        RowsAs::new(self.into_iter())
    }

    fn fail(&mut self, why: impl AsRef<str>) {
        self.selection.query.request.fail(why);
    }

    fn moment(&mut self, time: &impl Display) -> Option<Moment> {
        let text = time.to_string();
        let shown = excerpt(&text);
        let moment = Moment::parse(&text);
        if moment.is_none() {
            self.fail(format!("{shown:?} is not a time; use 2026-11-24T10:00:00Z or 2026-11-24"));
        } else if moment.is_some_and(|moment| moment.precision == Precision::Local) {
            self.fail(format!("the time {shown:?} has no offset from UTC; add Z or +02:00"));
        }
        moment
    }

    /// Checks a part of the SQL, which stands in `sql` on its own.
    fn check(&mut self, what: &str, part: &str, sql: &str) {
        let shown = excerpt(part);
        if part.trim().is_empty() {
            self.fail(format!("a {what} is empty"));
        } else if placeholders(part).any(|name| name.starts_with("events_")) {
            self.fail("the placeholders {events_...} are reserved");
        } else if let Some(why) = insight::part_obstacle(sql) {
            self.fail(format!("the {what} {shown:?}: {why}"));
        }
    }

    fn slices(mut self) -> Slices {
        let resumed = self.resumed.take();
        let from = self.after.map(Moment::micros).or(resumed.as_ref().map(|(at, _)| *at));
        if from.is_none() {
            self.fail("events need a beginning; call after()");
        }
        let from = from.unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let to = self.before.map_or(now, Moment::micros);
        if self.before.is_some() && from > to {
            self.fail("before() is earlier than after()");
        }
        match resumed.filter(|(at, _)| *at >= from) {
            Some((at, ids)) => Slices::new(self.selection, at, Some(ids), to),
            None => Slices::new(self.selection, from, None, to),
        }
    }
}

impl IntoIterator for Events {
    type Item = Result<Row>;
    type IntoIter = Rows;

    fn into_iter(self) -> Rows {
        let prefetch = self.prefetch;
        let slices = self.slices();
        Rows::new(slices.selection.query.clone(), slices, prefetch)
    }
}
