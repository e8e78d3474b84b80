//! From the bytes of a page to its rows, in each of PostHog's shapes, also where a row cannot be
//! read.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{self, row_error};
use crate::http::{Response, members, repaired_body, value_or_text};

/// A page on the wire: an object around its rows, or the rows alone.
pub(super) struct Envelope<T> {
    pub(super) rows: Vec<T>,
    pub(super) frame: Frame,
}

/// What a page has beside its rows.
#[derive(Default)]
pub(super) struct Frame {
    /// How many rows the server sent, those that are dropped too.
    pub(super) received: u64,
    pub(super) count: Option<u64>,
    pub(super) next: Next,
    pub(super) has_more: Option<bool>,
    pub(super) next_cursor: Option<String>,
}

/// The `next` of a page.
#[derive(Default)]
pub(super) enum Next {
    #[default]
    Absent,
    Null,
    Link(String),
    Unreadable(String),
}

impl<T> Envelope<T> {
    fn map<U>(self, row: impl FnMut(T) -> U) -> Envelope<U> {
        Envelope { rows: self.rows.into_iter().map(row).collect(), frame: self.frame }
    }
}

/// A page as values. A row that cannot be read costs only the smallest member that cannot: it
/// becomes its JSON text.
pub(super) fn values(response: &Response) -> error::Result<Envelope<Value>> {
    response.json().or_else(|error| {
        let text = repaired_body(response.body());
        Ok(rows(&text).ok_or(error)?.map(|row| value_or_text(row, 2)))
    })
}

/// A page as `T`s; a row that is not a `T` is an error. `before`: how many rows came before it.
pub(super) fn typed<T: DeserializeOwned>(
    response: &Response,
    before: u64,
) -> error::Result<Envelope<error::Result<T>>> {
    response.json().map(|page: Envelope<T>| page.map(Ok)).or_else(|error| {
        let mut position = before;
        let row = |row: &RawValue| {
            position += 1;
            serde_json::from_str(row.get()).map_err(|e| row_error(position, row.get(), &e))
        };
        Ok(rows(&repaired_body(response.body())).ok_or(error)?.map(row))
    })
}

/// The rows of a body, each to be read on its own.
fn rows(body: &str) -> Option<Envelope<&RawValue>> {
    serde_json::from_str(body).ok()
}

/// Which rows a page has.
pub(super) struct Keys {
    /// A hash of the `id` of each row, or of the whole row.
    pub(super) hashes: Vec<u64>,
    pub(super) are_ids: bool,
}

impl Keys {
    pub(super) fn of_values<'a>(rows: &'a [Value], state: &RandomState) -> Keys {
        let id = |row: &'a Value| row.get("id").filter(|id| !id.is_null());
        Keys::new(rows.iter().map(|row| (id(row), row)), state)
    }

    /// Those of a page that was read without values.
    pub(super) fn of_text(response: &Response, state: &RandomState) -> Keys {
        let body = std::str::from_utf8(response.body()).unwrap_or_default();
        let valid = rows(body);
        let text = valid.is_none().then(|| repaired_body(response.body()));
        let page = valid.or_else(|| rows(text.as_ref()?));
        let rows = page.map(|page| page.rows).unwrap_or_default();
        Keys::new(rows.into_iter().map(|row| (id_of(row), row.get())), state)
    }

    /// Those of rows, each with its `id`, if it has one.
    fn new<T: Hash>(rows: impl Iterator<Item = (Option<T>, T)>, state: &RandomState) -> Keys {
        let mut are_ids = true;
        let hash = |(id, row): (Option<T>, T)| {
            are_ids &= id.is_some();
            state.hash_one(id.unwrap_or(row))
        };
        Keys { hashes: rows.map(hash).collect(), are_ids }
    }
}

/// The `id` of a row. Most rows begin with it: the rest of those is not read.
fn id_of(row: &RawValue) -> Option<&str> {
    let id = match row.get().strip_prefix("{\"id\":") {
        Some(rest) => serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>().next()?,
        None => Ok(*members(row)?.get("id")?),
    };
    id.ok().map(RawValue::get).filter(|id| *id != "null")
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Envelope<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EnvelopeVisitor(PhantomData))
    }
}

struct EnvelopeVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EnvelopeVisitor<T> {
    type Value = Envelope<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list: an object with `results`, or an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let rows = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
        let received = rows.len() as u64;
        Ok(Envelope { rows, frame: Frame { received, ..Frame::default() } })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut rows, mut frame) = (None, Frame::default());
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match name.as_ref() {
                "results" => rows = map.next_value::<Option<Vec<T>>>()?.or(rows),
                // The old insight routes write `result`.
                "result" if rows.is_none() => rows = map.next_value()?,
                "count" | "total_count" => {
                    frame.count = around::<u64, A>(&mut map)?.ok().or(frame.count);
                }
                "has_next" | "has_more" | "hasMore" => {
                    // `None` is less than false.
                    frame.has_more = around::<bool, A>(&mut map)?.ok().max(frame.has_more);
                }
                "next_cursor" => {
                    frame.next_cursor = match around::<Value, A>(&mut map)? {
                        Ok(Value::String(cursor)) if !cursor.is_empty() => Some(cursor),
                        Ok(Value::Number(cursor)) => Some(cursor.to_string()),
                        _ => None,
                    }
                }
                "next" => {
                    frame.next = match around::<Option<String>, A>(&mut map)? {
                        Ok(None) => Next::Null,
                        Ok(Some(link)) => Next::Link(link),
                        Err(other) => Next::Unreadable(other),
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let rows =
            rows.ok_or_else(|| Error::custom("there is no `results`: this is not a list"))?;
        frame.received = rows.len() as u64;
        Ok(Envelope { rows, frame })
    }
}

/// A value next to the rows, or its text: whatever it is, all rows are read.
fn around<'de, T: DeserializeOwned, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<Result<T, String>, A::Error> {
    let raw = map.next_value::<Box<RawValue>>()?;
    Ok(serde_json::from_str(raw.get()).map_err(|_| raw.get().to_owned()))
}
