//! Proves that a body is read as serde_json reads it, with null for NaN and Infinity, or is an
//! error.
use crate::desk::{Desk, ok};
use crate::fuzz;
use crate::input::{Random, bodies, change};
use crate::support::expect::decode;
use crate::support::seen;
use regex_lite::{Captures, Regex};
use serde_json::Value;
use std::sync::OnceLock;

#[rustfmt::skip]
pub const TOKENS: &[&str] = &[
    "NaN", "-Infinity", "Infinity", "null", "true", "\"", "\\", "\\\"", "\\u0000", "\\ud83d", "\\u",
    "{", "}", "[", "]", ",", ":", "-", "1e400", "-0.0", "18446744073709551616", "0.1", "e5", " ",
    "\n", "\u{feff}", "\u{0}", "é\u{1f680}", "{\"a\":[[]]}", "\"results\":[]", "\"next\":",
];

/// A recorded body, usually changed; sometimes random bytes, or JSON that is too deep.
pub fn body(random: &mut Random) -> Vec<u8> {
    if random.one_in(40) {
        return b"[".repeat(1 + random.below(300)).into_iter().chain(*b"NaN").collect();
    }
    let mut body = match random.below(10) {
        0 => (0..random.below(40)).map(|_| random.number().to_le_bytes()[0]).collect(),
        1 => br#"{"results":[NaN,-Infinity,Infinity,"NaN \" -Infinity"],"next":null}"#.to_vec(),
        _ => random.choose::<Vec<u8>>(bodies()).clone(),
    };
    if !random.one_in(10) {
        change(random, &mut body, TOKENS);
    }
    body
}

/// The value of a body, if it has one.
pub fn value(body: &[u8]) -> Option<Value> {
    static WORDS: OnceLock<Regex> = OnceLock::new();
    let words = WORDS
        .get_or_init(|| Regex::new(r#"(?s)"(?:[^"\\]|\\.)*(?:"|\\?\z)|-?Infinity|NaN"#).unwrap());
    let text = std::str::from_utf8(body).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.is_empty() {
        return Some(Value::Null);
    }
    let word = |found: &Captures<'_>| match &found[0] {
        string if string.starts_with('"') => string.to_owned(),
        _ => "null".to_owned(),
    };
    serde_json::from_str(&words.replace_all(text, word)).ok()
}

#[test]
fn any_body_is_read_as_serde_json_reads_it() {
    let desk = Desk::open();
    let client = desk.client();
    let (mut read, mut failed) = (0, 0);
    fuzz(1_200, |random| {
        let body = body(random);
        desk.lay([ok(&*body)]);
        match (client.get("/api/x/").send(), value(&body)) {
            (Ok(got), Some(expected)) => {
                assert_eq!(got, expected);
                read += 1;
            }
            (Err(error), None) => {
                decode(&seen(error));
                failed += 1;
            }
            (got, expected) => {
                panic!("{got:?} instead of {expected:?} of {}", String::from_utf8_lossy(&body))
            }
        }
    });
    assert!(read > 100 && failed > 100, "{read} read, {failed} failed");
}

#[test]
fn the_text_of_any_body_is_the_body() {
    let desk = Desk::open();
    let client = desk.client();
    fuzz(400, |random| {
        let body = body(random);
        desk.lay([ok(&*body)]);
        match client.get("/api/x/").text() {
            Ok(text) => assert_eq!(text.as_bytes(), body),
            Err(error) => {
                decode(&seen(error));
                let page = body.windows(5).any(|w| w.eq_ignore_ascii_case(b"<html"))
                    || body.windows(9).any(|w| w.eq_ignore_ascii_case(b"<!doctype"));
                assert!(page || std::str::from_utf8(&body).is_err(), "a text is refused");
            }
        }
    });
}
