//! A page of a list as it is on the wire, in each of PostHog's shapes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

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
