//! The error of one row that cannot be read.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::text::{excerpt, line};
use super::{Error, ErrorKind, Result};

/// The error of one row: its position from 1, the field, and its beginning.
pub(crate) fn row_error(position: u64, text: &str, error: &serde_json::Error) -> Error {
    let (why, row) = (line(&error.to_string(), 200), line(text, 200));
    let field = field_at(text, offset(text, error), why.starts_with("missing field"));
    let field = if field.is_empty() { String::new() } else { format!(" at {}", excerpt(&field)) };
    let message = format!("row {position} cannot be read{field}: {why}: the row begins '{row}'");
    Error::new(ErrorKind::Row, message)
}

/// A row as a `T`; `position`: from 1.
pub(crate) fn row_as<T: DeserializeOwned>(position: u64, row: &Value) -> Result<T> {
    T::deserialize(row).or_else(|_| {
        // Read again as text: its errors have a place, by which the field is found.
        let text = row.to_string();
        serde_json::from_str(&text).map_err(|e| row_error(position, &text, &e))
    })
}

/// The place of an error, in bytes.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    before.map(str::len).sum::<usize>() + error.column()
}

/// The names of the fields around a place in JSON; for a missing field, those of its object.
fn field_at(json: &str, column: usize, is_missing: bool) -> String {
    let (bytes, end) = (json.as_bytes(), column.min(json.len()));
    // The field of each open object so far; empty for a list.
    let mut path: Vec<&str> = Vec::new();
    let (mut string, mut at) = ("", 0);
    while at < end {
        match bytes.get(at) {
            Some(b'"') => {
                let start = at + 1;
                at = start;
                while bytes.get(at).is_some_and(|b| *b != b'"') {
                    at += if bytes.get(at) == Some(&b'\\') { 2 } else { 1 };
                }
                string = json.get(start..at.min(json.len())).unwrap_or_default();
            }
            Some(b'{' | b'[') => path.push(""),
            Some(sign @ (b':' | b',')) if at + 1 < end => {
                if let Some(field) = path.last_mut() {
                    *field = if *sign == b':' { string } else { "" };
                }
            }
            Some(b'}' | b']') if at + 1 < end || is_missing => drop(path.pop()),
            _ => {}
        }
        at += 1;
    }
    path.retain(|field| !field.is_empty());
    path.join(".")
}

#[cfg(test)]
mod tests;
