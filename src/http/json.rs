//! Values to JSON and bytes to values, with the repairs that real servers need.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::Utf8Error;

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess};
use serde::ser::{self, Error as _, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A caller's value as JSON. A float that is NaN or infinite is an error: JSON would say null.
pub(crate) fn encode(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    if json.windows(4).any(|word| word == b"null") {
        value.serialize(Finite)?;
    }
    Ok(json)
}

/// The same as a `Value`.
pub(crate) fn to_value(value: &impl Serialize) -> serde_json::Result<Value> {
    value.serialize(Finite)?;
    serde_json::to_value(value)
}

/// A serializer that writes nothing and fails at the first float that is not finite.
struct Finite;

/// The methods of a serializer for values that hold no float.
macro_rules! nothing {
    ($($name:ident($($kind:ty),*);)*) => {
        $(fn $name(self $(, _: $kind)*) -> serde_json::Result<()> { Ok(()) })*
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

    nothing! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, value: f32) -> serde_json::Result<()> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> serde_json::Result<()> {
        if value.is_finite() { Ok(()) } else { Err(not_finite(value)) }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> serde_json::Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> serde_json::Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> serde_json::Result<()> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> serde_json::Result<Finite> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> serde_json::Result<Finite> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> serde_json::Result<Finite> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> serde_json::Result<Finite> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> serde_json::Result<Finite> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> serde_json::Result<Finite> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> serde_json::Result<Finite> {
        Ok(self)
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> serde_json::Result<()> {
        Ok(())
    }
}

/// A serializer for the parts of a value, which hands each of them to [`Finite`].
macro_rules! parts {
    ($($kind:ident::$name:ident($($key:ty),*);)*) => {
        $(impl ser::$kind for Finite {
            type Ok = ();
            type Error = serde_json::Error;

            fn $name<T: Serialize + ?Sized>(&mut self $(, _: $key)*, value: &T) -> serde_json::Result<()> {
                value.serialize(Finite)
            }

            fn end(self) -> serde_json::Result<()> {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(&'static str);
    SerializeStructVariant::serialize_field(&'static str);
}

impl ser::SerializeMap for Finite {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> serde_json::Result<()> {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> serde_json::Result<()> {
        value.serialize(Finite)
    }

    fn end(self) -> serde_json::Result<()> {
        Ok(())
    }
}

fn not_finite(value: f64) -> serde_json::Error {
    serde_json::Error::custom(format!("{value} is not a number that JSON can hold"))
}

/// Reads `body`; an empty one is `null`.
///
/// Servers of 2023 write NaN and infinities as bare words. A body that cannot be read is read again
/// with `null` in their place; valid JSON is read only once.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Checked whole, which takes a hundredth of the decode; string by string, as `from_slice` does
    // it, takes a sixth.
    let body = std::str::from_utf8(body).map_err(|error| not_utf8(body, error))?;
    let body = if body.is_empty() { "null" } else { body };
    serde_json::from_str(body).or_else(|error| match without_bare_words(body) {
        Some(mended) => serde_json::from_str(&mended),
        None => Err(error),
    })
}

fn not_utf8(body: &[u8], error: Utf8Error) -> serde_json::Error {
    let read = body.get(..error.valid_up_to()).unwrap_or_default();
    let lines = read.split(|&b| b == b'\n').enumerate();
    let (line, column) = lines.last().map_or((0, 0), |(n, line)| (n, line.len()));
    let (line, column) = (line + 1, column + 1);
    <serde_json::Error as serde::de::Error>::custom(format!(
        "invalid UTF-8 at line {line} column {column}"
    ))
}

/// `json` with `null` for each NaN, Infinity and -Infinity that is not in a string, if there is
/// one.
pub(crate) fn without_bare_words(json: &str) -> Option<String> {
    let mut mended = String::new();
    let mut kept = 0; // how much of `json` is in `mended`
    let (mut at, mut in_string) = (0, false);
    while let Some(&byte) = json.as_bytes().get(at) {
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'N' | b'I' | b'-' if !in_string => {
                let rest = json.get(at..).unwrap_or_default();
                let words = ["NaN", "Infinity", "-Infinity"];
                if let Some(word) = words.into_iter().find(|w| rest.starts_with(w)) {
                    mended += json.get(kept..at).unwrap_or_default();
                    mended += "null";
                    kept = at + word.len();
                    at = kept;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    (kept > 0).then(|| mended + json.get(kept..).unwrap_or_default())
}

/// `json` with U+FFFD for what is not valid in a string: half a surrogate pair, or a control
/// character.
pub(crate) fn with_valid_strings(json: &str) -> String {
    let code = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut out = String::with_capacity(json.len());
    let (mut at, mut kept, mut in_string) = (0, 0, false);
    while let Some(&byte) = json.as_bytes().get(at) {
        let (length, valid) = match byte {
            b'"' => {
                in_string = !in_string;
                (1, true)
            }
            b'\\' if in_string => match code(at) {
                Some(0xD800..=0xDBFF) if matches!(code(at + 6), Some(0xDC00..=0xDFFF)) => {
                    (12, true)
                }
                Some(0xD800..=0xDFFF) => (6, false),
                _ => (2, true),
            },
            0..0x20 if in_string => (1, false),
            _ => (1, true),
        };
        if !valid {
            out += json.get(kept..at).unwrap_or_default();
            out += "\u{fffd}";
            kept = at + length;
        }
        at += length;
    }
    out + json.get(kept..).unwrap_or_default()
}

/// A value; or, where it cannot be read, an object with the members that can, down to `depth`
/// levels; or its text.
pub(crate) fn value_or_text(raw: &RawValue, depth: u32) -> Value {
    if let Ok(value) = serde_json::from_str(raw.get()) {
        return value;
    }
    let members: Option<Map<String, Value>> =
        serde_json::from_str::<Members<'_>>(raw.get()).ok().filter(|_| depth > 0).map(|members| {
            let member = |(name, raw): (String, &RawValue)| {
                // Only the row and its `properties` are taken apart.
                let depth = if depth == 2 && name != "properties" { 0 } else { depth - 1 };
                let value = value_or_text(raw, depth);
                (name, value)
            };
            members.0.into_iter().map(member).collect()
        });
    members.map_or_else(|| Value::from(raw.get()), Value::Object)
}

/// The members of an object, unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        d.deserialize_map(Visitor)
    }
}

/// The value of a text that holds JSON, repaired as the rows of a list are; `None` for other text.
pub(crate) fn value_of_text(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| {
        let text = without_bare_words(text).map_or(Cow::Borrowed(text), Cow::Owned);
        let text = with_valid_strings(&text);
        let raw = serde_json::from_str::<&RawValue>(&text).ok()?;
        Some(value_or_text(raw, 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_float_that_json_cannot_hold_is_an_error() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(encode(&value).is_err());
            assert!(encode(&(1, [Some(value)])).is_err());
            assert!(to_value(&std::collections::BTreeMap::from([("a", value)])).is_err());
        }
        assert_eq!(encode(&(1.5, None::<f64>, "null")).unwrap(), br#"[1.5,null,"null"]"#);
    }

    #[test]
    fn bare_words_become_null_outside_strings_only() {
        for (body, value) in [
            (r#"{"a":[NaN,Infinity,-Infinity,1]}"#, json!({"a": [null, null, null, 1]})),
            (r#"["NaN \" Infinity",NaN]"#, json!(["NaN \" Infinity", null])),
            (r#"["\\",NaN]"#, json!(["\\", null])),
            ("NaN", Value::Null),
            ("", Value::Null),
            ("\u{feff}[1]", json!([1])),
            ("[18446744073709551615,-9223372036854775808]", json!([u64::MAX, i64::MIN])),
        ] {
            assert_eq!(decode::<Value>(body.as_bytes()).unwrap(), value, "{body}");
        }
        for body in ["{", "[NaN", "Nan", "[1e400]", "\u{feff}\u{feff}1", "\"\u{1}\""] {
            assert!(decode::<Value>(body.as_bytes()).is_err(), "{body}");
        }
        let error = decode::<Value>(b"[1,\n\"\xff\"]").unwrap_err().to_string();
        assert_eq!(error, "invalid UTF-8 at line 2 column 2");
    }

    #[test]
    fn what_is_not_valid_in_a_string_becomes_the_replacement_character() {
        for (json, repaired) in [
            (r#""\ud83d\ude80 \ud83d x""#, "\"\\ud83d\\ude80 \u{fffd} x\""),
            (r#""\ude80\\ud83d""#, "\"\u{fffd}\\\\ud83d\""),
            (r#""\u00e9""#, r#""\u00e9""#),
            ("{\n\"a\": \"b\u{1}\\n\"}", "{\n\"a\": \"b\u{fffd}\\n\"}"),
        ] {
            assert_eq!(with_valid_strings(json), repaired);
        }
    }

    #[test]
    fn only_the_smallest_member_that_cannot_be_read_becomes_text() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let json =
            format!(r#"{{"id":1,"properties":{{"deep":{deep},"big":1e999,"ok":[2]}},"x":1e999}}"#);
        let raw = serde_json::from_str::<&RawValue>(&json).unwrap();
        let value = value_or_text(raw, 2);
        assert_eq!(value["id"], 1);
        assert_eq!(value["properties"]["deep"], deep);
        assert_eq!(value["properties"]["big"], "1e999");
        assert_eq!(value["properties"]["ok"][0], 2);
        assert_eq!(value["x"], "1e999");
    }

    #[test]
    fn text_that_holds_json_becomes_its_value() {
        for (text, value) in [
            (r#"{"a":[1,"b"]}"#, Some(json!({"a": [1, "b"]}))),
            ("7", Some(json!(7))),
            (r#"{"a":"\ud83d","b":NaN}"#, Some(json!({"a": "\u{fffd}", "b": null}))),
            (r#"{"a":1e999,"b":2}"#, Some(json!({"a": "1e999", "b": 2}))),
            ("", None),
            ("{", None),
            ("plain", None),
        ] {
            assert_eq!(value_of_text(text), value, "{text}");
        }
    }
}
