//! The table of events, for the model of a server.
use crate::model::{Found, Table, ranked};
use serde_json::{Value, json};

pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const DAY: i64 = 86_400 * SECOND;

/// 2026-03-01T00:00:00Z.
pub const MARCH: i64 = 20_513 * DAY;

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub micros: i64,
    pub uuid: String,
    pub name: &'static str,
    pub distinct_id: &'static str,
}

/// The table of events, of a project at this offset from UTC.
#[derive(Clone)]
pub struct Stored {
    pub events: Vec<Event>,
    pub offset: i64,
}

/// RFC 3339 text, as Python writes it: without a fraction where that is zero.
pub fn text(micros: i64, offset: i64) -> String {
    let local = micros + offset * SECOND;
    let (mut days, of_day) = (local.div_euclid(DAY), local.rem_euclid(DAY));
    let mut year = 1970;
    let length = |year: i64| 365 + i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    while days < 0 {
        year -= 1;
        days += length(year);
    }
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let lengths = [31, length(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (seconds, fraction) = (of_day / SECOND, of_day % SECOND);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = match offset.abs() {
        0 => "Z".to_owned(),
        seconds => format!("{sign}{:02}:{:02}", seconds / 3_600, seconds / 60 % 60),
    };
    let (day, month) = (days + 1, month + 1);
    let (h, m, s) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}{fraction}{offset}")
}

/// The moment of a placeholder: `2026-03-01T00:00:00.000000Z`.
pub fn micros(value: &Value) -> Option<i64> {
    let text = value.as_str()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.')?;
    let numbers: Vec<i64> =
        whole.split(['-', 'T', ':']).map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let [year, month, day, h, m, s] = numbers.try_into().ok()?;
    let mut days = day - 1;
    let leap = i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    let lengths = [31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    days += lengths[..usize::try_from(month - 1).ok()?].iter().sum::<i64>();
    let before = year - 1;
    days += before * 365 + before / 4 - before / 100 + before / 400 - 719_162;
    (fraction.len() == 6)
        .then_some(days * DAY + (h * 3_600 + m * 60 + s) * SECOND + fraction.parse::<i64>().ok()?)
}

impl Stored {
    /// ClickHouse's order of a UUID is not that of its text.
    pub fn order(a: &Event, b: &Event) -> std::cmp::Ordering {
        let names = |event: &Event| (event.name, event.distinct_id);
        let uuids = || a.uuid.bytes().rev().cmp(b.uuid.bytes().rev());
        a.micros.cmp(&b.micros).then_with(uuids).then_with(|| names(a).cmp(&names(b)))
    }

    /// The rows of an export, as uuids.
    pub fn all(&self) -> Vec<String> {
        let mut events = self.events.clone();
        events.sort_by(Stored::order);
        events.dedup();
        events.into_iter().map(|event| event.uuid).collect()
    }
}

pub const COLUMNS: [&str; 5] = ["uuid", "timestamp", "event", "distinct_id", "properties"];

pub const SELECT: &str =
    "SELECT uuid\n, timestamp\n, event\n, distinct_id\n, properties\nFROM events\nWHERE ";
pub const FROM: &str = "timestamp >= toDateTime({events_from})\n";
pub const TO: &str = "AND timestamp < toDateTime({events_to})\n";
pub const TO_THE_END: &str = "AND timestamp <= toDateTime({events_to})\n";
pub const AFTER: &str = "AND (timestamp > toDateTime({events_from}) OR (uuid, event, distinct_id) > \
                     (toUUID({events_uuid}), {events_event}, {events_distinct_id}))\n";
pub const ORDER: &str = "ORDER BY timestamp, uuid, event, distinct_id";

impl Table for Stored {
    fn find(&self, sql: &str, values: &Value) -> Option<Found<'_>> {
        let rest = sql.strip_prefix(SELECT)?.strip_prefix(FROM)?;
        let (from, mut to) = (micros(&values["events_from"])?, micros(&values["events_to"])?);
        let rest = match rest.strip_prefix(TO_THE_END) {
            Some(rest) => {
                to += 1;
                rest
            }
            None => rest.strip_prefix(TO)?,
        };
        let after = rest.strip_prefix(AFTER);
        let found = |name: &str, of: fn(&Event) -> &'static str| {
            self.events.iter().map(of).find(|one| values[name] == **one)
        };
        let last = match after {
            Some(_) => Some(Event {
                micros: from,
                uuid: values["events_uuid"].as_str()?.to_owned(),
                name: found("events_event", |event| event.name)?,
                distinct_id: found("events_distinct_id", |event| event.distinct_id)?,
            }),
            None => None,
        };
        if after.unwrap_or(rest) != ORDER {
            return None;
        }
        let fits = |event: &&Event| {
            (from..to).contains(&event.micros)
                && last.as_ref().is_none_or(|last| Stored::order(event, last).is_gt())
        };
        let events: Vec<&Event> = self.events.iter().filter(fits).collect();
        let row = |event: &&Event| {
            let time = text(event.micros, self.offset);
            json!([event.uuid, time, event.name, event.distinct_id, "{\"a\":[1]}"])
        };
        let (ranks, row) = ranked(events, |a, b| Stored::order(a, b), row);
        Some(Found { columns: json!(COLUMNS), types: Value::Null, ranks, row })
    }
}

pub fn uuid(n: i64) -> String {
    format!("0190{:04x}-0000-7000-8000-{:012x}", n * 31 % 65_536, n * 7_919)
}

pub fn stored(times: impl IntoIterator<Item = i64>) -> Stored {
    let event = |(n, micros)| Event { micros, uuid: uuid(n), name: "click", distinct_id: "me" };
    Stored { events: (0..).zip(times).map(event).collect(), offset: 0 }
}
