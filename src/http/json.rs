//! Values to JSON and bytes to values, with the repairs that real servers need.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::ser::{self, Error as _, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Result, Value};

/// A caller's value as JSON. A float that is NaN or infinite is an error: JSON would say null.
pub(crate) fn to_value(value: &impl Serialize) -> Result<Value> {
    value.serialize(Finite)?;
    serde_json::to_value(value)
}

/// The same as text, with the fields in the order that they have.
pub(crate) fn to_text(value: &impl Serialize) -> Result<String> {
    value.serialize(Finite)?;
    serde_json::to_string(value)
}

/// A serializer that writes nothing and fails at the first float that is not finite.
struct Finite;

/// Its methods for a value that holds no float, for one that holds one other value, and for one
/// that holds several.
macro_rules! methods {
    ({$($none:ident($($a:ty),*))*} {$($one:ident($($b:ty),*))*} {$($several:ident($($c:ty),*))*}) => {
        $(fn $none(self $(, _: $a)*) -> Result<()> { Ok(()) })*
        $(fn $one<T: Serialize + ?Sized>(self $(, _: $b)*, value: &T) -> Result<()> { value.serialize(self) })*
        $(fn $several(self $(, _: $c)*) -> Result<Finite> { Ok(self) })*
    };
}

impl Serializer for Finite {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Finite;
    type SerializeTuple = Finite;
    type SerializeTupleStruct = Finite;
    type SerializeTupleVariant = Finite;
    type SerializeMap = Finite;
    type SerializeStruct = Finite;
    type SerializeStructVariant = Finite;

    fn serialize_f32(self, value: f32) -> Result<()> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<()> {
        if value.is_finite() { Ok(()) } else { Err(not_finite(value)) }
    }

    methods! {
        {serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_char(char) serialize_str(&str) serialize_bytes(&[u8]) serialize_none() serialize_unit()
        serialize_unit_struct(&'static str) serialize_unit_variant(&'static str, u32, &'static str)}
        {serialize_some() serialize_newtype_struct(&'static str)
        serialize_newtype_variant(&'static str, u32, &'static str)}
        {serialize_seq(Option<usize>) serialize_tuple(usize) serialize_map(Option<usize>)
        serialize_tuple_struct(&'static str, usize) serialize_struct(&'static str, usize)
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
        serialize_struct_variant(&'static str, u32, &'static str, usize)}
    }
}

/// Each part of a value goes to [`Finite`] again. The keys of a map are strings.
macro_rules! parts {
    ($($kind:ident: $($name:ident($($key:ty),*))+;)*) => {
        $(impl ser::$kind for Finite {
            type Ok = ();
            type Error = serde_json::Error;

            $(fn $name<T: Serialize + ?Sized>(&mut self $(, _: $key)*, value: &T) -> Result<()> {
                value.serialize(Finite)
            })+

            fn end(self) -> Result<()> {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key() serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

fn not_finite(value: f64) -> serde_json::Error {
    serde_json::Error::custom(format!("{value} is not a number that JSON can hold"))
}

/// Reads `body`; an empty one is `null`.
///
/// Servers of 2023 write NaN and infinities as bare words. A body that cannot be read is read again
/// with `null` in their place; valid JSON is read only once.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Checked whole, which takes a hundredth of the decode; string by string, as `from_slice` does
    // it, takes a sixth.
    let Ok(body) = std::str::from_utf8(body) else { return serde_json::from_slice(body) };
    let body = if body.is_empty() { "null" } else { body };
    serde_json::from_str(body).or_else(|error| {
        let json = repaired(body, false);
        if json == body { Err(error) } else { serde_json::from_str(&json) }
    })
}

/// The value that a text holds as JSON, repaired; `None` for other text.
pub(crate) fn value_of_text(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| {
        let json = repaired(text, true);
        Some(value_or_text(serde_json::from_str(&json).ok()?, 1))
    })
}

/// The members of an object, each as its text.
pub(crate) fn members(object: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(object.get()).ok()
}

/// All of a body, whatever it is, as JSON text that is repaired.
pub(crate) fn repaired_body(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    repaired(text.strip_prefix('\u{feff}').unwrap_or(&text), true)
}

/// JSON text with null in place of `NaN` and infinities. `strings`: U+FFFD replaces what is not
/// valid in a string, too.
fn repaired(json: &str, strings: bool) -> String {
    let code = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok().filter(|_| strings)
    };
    let word = |at: usize| {
        let rest = json.get(at..).unwrap_or_default();
        ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word))
    };
    let mut out = String::with_capacity(json.len());
    let (mut at, mut kept, mut in_string) = (0, 0, false);
    while let Some(&byte) = json.as_bytes().get(at) {
        // How many bytes belong together, and what replaces them.
        let (length, by) = match byte {
            b'"' => {
                in_string = !in_string;
                (1, None)
            }
            b'\\' if in_string => match code(at) {
                Some(0xD800..=0xDBFF) if matches!(code(at + 6), Some(0xDC00..=0xDFFF)) => {
                    (12, None)
                }
                Some(0xD800..=0xDFFF) => (6, Some("\u{fffd}")),
                _ => (2, None),
            },
            0..0x20 if in_string && strings => (1, Some("\u{fffd}")),
            b'N' | b'I' | b'-' if !in_string => match word(at) {
                Some(word) => (word.len(), Some("null")),
                None => (1, None),
            },
            _ => (1, None),
        };
        if let Some(by) = by {
            out += json.get(kept..at).unwrap_or_default();
            out += by;
            kept = at + length;
        }
        at += length;
    }
    out + json.get(kept..).unwrap_or_default()
}

/// A part of repaired JSON as a value; or, where it cannot be read, an object with the members that
/// can, down to `depth` levels; or its text.
pub(crate) fn value_or_text(part: &RawValue, depth: u32) -> Value {
    if let Ok(value) = serde_json::from_str(part.get()) {
        return value;
    }
    let Some(members) = members(part).filter(|_| depth > 0) else {
        return Value::from(part.get());
    };
    let member = |(name, part): (String, &RawValue)| {
        // Only the row and its `properties` are taken apart.
        let depth = if depth == 2 && name != "properties" { 0 } else { depth - 1 };
        let value = value_or_text(part, depth);
        (name, value)
    };
    members.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests;
