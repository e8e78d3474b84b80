//! Bytes to JSON, with the one mend that real servers need.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// Reads `body`; an empty one is `null`.
///
/// Servers of 2023 write NaN and infinities as bare words. Only where a body cannot be read it is read again with `null` in
/// their place, so that good bodies pay nothing for it.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(body).or_else(|error| match without_bare_words(body) {
        Cow::Owned(mended) => serde_json::from_slice(&mended),
        Cow::Borrowed(_) => Err(error),
    })
}

/// `json` with `null` for each NaN, Infinity and -Infinity that is not in a string.
fn without_bare_words(json: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Cow::Borrowed(json);
    let mut kept = 0; // how much of `json` is in `out`, once that is owned
    let (mut at, mut in_string) = (0, false);
    while let Some(&byte) = json.get(at) {
        let rest = json.get(at..).unwrap_or_default();
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            _ => {
                if let Some(word) = [&b"NaN"[..], b"Infinity", b"-Infinity"]
                    .into_iter()
                    .find(|w| rest.starts_with(w))
                {
                    if kept == 0 {
                        out = Cow::Owned(Vec::with_capacity(json.len()));
                    }
                    let owned = out.to_mut();
                    owned.extend_from_slice(json.get(kept..at).unwrap_or_default());
                    owned.extend_from_slice(b"null");
                    kept = at + word.len();
                    at = kept;
                    continue;
                }
            }
        }
        at += 1;
    }
    if kept > 0 {
        out.to_mut()
            .extend_from_slice(json.get(kept..).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn bare_words_become_null_outside_strings_only() {
        for (body, value) in [
            (
                r#"{"a":[NaN,Infinity,-Infinity,1]}"#,
                json!({"a": [null, null, null, 1]}),
            ),
            (
                r#"["NaN \" Infinity",NaN]"#,
                json!(["NaN \" Infinity", null]),
            ),
            (r#"["\\",NaN]"#, json!(["\\", null])),
            ("NaN", Value::Null),
            ("", Value::Null),
            ("\u{feff}[1]", json!([1])),
            (
                "[18446744073709551615,-9223372036854775808]",
                json!([u64::MAX, i64::MIN]),
            ),
        ] {
            assert_eq!(decode::<Value>(body.as_bytes()).unwrap(), value, "{body}");
        }
        for body in [
            "{",
            "[NaN",
            "Nan",
            "[1e400]",
            "\u{feff}\u{feff}1",
            "\"\u{1}\"",
        ] {
            assert!(decode::<Value>(body.as_bytes()).is_err(), "{body}");
        }
    }
}
