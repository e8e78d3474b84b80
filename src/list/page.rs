//! From the bytes of a page to its rows, in each of PostHog's shapes, also where a row cannot be
//! read.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Result, row_error};
use crate::http::{Response, value_or_text, with_valid_strings, without_bare_words};

/// A page as values. A row that cannot be read costs only the smallest member that cannot: it
/// becomes its JSON text.
pub(super) fn values(response: &Response) -> Result<Envelope<Value>> {
    match response.json::<Envelope<Value>>() {
        Ok(page) => Ok(page),
        Err(error) => {
            let text = repaired_text(response);
            let raw: Envelope<&RawValue> = serde_json::from_str(&text).map_err(|_| error)?;
            Ok(raw.map(|rows| rows.into_iter().map(|row| value_or_text(row, 2)).collect()))
        }
    }
}

/// A page as `T`s; a row that is none is an error. `before`: how many rows came before this page.
pub(super) fn typed<T: DeserializeOwned>(
    response: &Response,
    before: u64,
) -> Result<Envelope<Result<T>>> {
    match response.json::<Envelope<T>>() {
        Ok(page) => Ok(page.map(|rows| rows.into_iter().map(Ok).collect())),
        Err(error) => {
            let text = readable_text(response);
            let raw: Envelope<&RawValue> = serde_json::from_str(&text).map_err(|_| error)?;
            let row = |(position, raw): (u64, &RawValue)| {
                let error = |e| row_error(position, raw.get(), &e);
                serde_json::from_str(raw.get()).map_err(error)
            };
            Ok(raw.map(|rows| (before + 1..).zip(rows).map(row).collect()))
        }
    }
}

/// The body as text that a JSON scanner accepts.
fn readable_text(response: &Response) -> String {
    let text = String::from_utf8_lossy(response.body()).into_owned();
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    without_bare_words(&text).unwrap_or(text)
}

/// The same, with U+FFFD for what is not valid in a string: half a surrogate pair, or a control
/// character.
fn repaired_text(response: &Response) -> String {
    with_valid_strings(&readable_text(response))
}

/// A page on the wire: an object around its rows, or the rows alone.
pub(crate) struct Envelope<T> {
    pub(crate) results: Vec<T>,
    pub(crate) count: Option<u64>,
    pub(crate) next: Next,
    pub(crate) has_next: bool,
}

impl<T> Envelope<T> {
    pub(crate) fn map<U>(self, rows: impl FnOnce(Vec<T>) -> Vec<U>) -> Envelope<U> {
        let Envelope { results, count, next, has_next } = self;
        Envelope { results: rows(results), count, next, has_next }
    }
}

/// The `next` of a page.
pub(crate) enum Next {
    Absent,
    Null,
    Link(String),
    Unreadable(String),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Envelope<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(EnvelopeVisitor(PhantomData))
    }
}

pub(crate) struct EnvelopeVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EnvelopeVisitor<T> {
    type Value = Envelope<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list: an object with `results`, or an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(
        self,
        mut seq: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut results = Vec::new();
        while let Some(row) = seq.next_element()? {
            results.push(row);
        }
        Ok(Envelope { results, count: None, next: Next::Absent, has_next: false })
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let (mut results, mut count, mut next, mut has_next) = (None, None, Next::Absent, false);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                // The old insight routes write `result`.
                "results" | "result" => results = Some(map.next_value()?),
                "count" | "total_count" => count = map.next_value::<Value>()?.as_u64(),
                "has_next" => has_next = map.next_value::<Value>()? == Value::Bool(true),
                "next" => {
                    next = match map.next_value()? {
                        Value::Null => Next::Null,
                        Value::String(link) => Next::Link(link),
                        other => Next::Unreadable(other.to_string()),
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let results =
            results.ok_or_else(|| Error::custom("there is no `results`: this is not a list"))?;
        Ok(Envelope { results, count, next, has_next })
    }
}
