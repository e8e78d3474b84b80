//! The personal API key, and how it is masked: `mask` in a text, `shown` in one that can be long,
//! `conceal` in an error.

use std::collections::HashSet;

use percent_encoding::{percent_decode_str, percent_encode};

use super::url::VALUE;
use crate::error::{Error, MAX_TEXT, begin, cut};

/// A key of this length or more is recognized by any run of [`RUN`] of its bytes; a shorter one
/// only as a whole, since short runs of it occur in other texts by chance.
const LONG: usize = 16;
const RUN: usize = 8;

/// Longer than a key in any of its forms.
const MARGIN: usize = 4 * 1024;

/// The personal API key. It has neither `Debug` nor `Display`.
pub(crate) struct Key {
    text: String,
    /// The value of the `Authorization` header.
    bearer: String,
    /// Every run that must not be shown, of each form in which a server may echo the key: plain,
    /// percent-encoded with capital and with small hex digits, and escaped as in JSON.
    runs: HashSet<Box<[u8]>>,
    lengths: Vec<usize>,
}

impl Key {
    pub(crate) fn new(key: String) -> Key {
        let encoded = percent_encode(key.as_bytes(), VALUE).to_string();
        let json = serde_json::to_string(&key).unwrap_or_default();
        let escaped = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
        let small = small_hex_digits(&encoded);
        let mut runs: HashSet<Box<[u8]>> = HashSet::new();
        for form in [key.as_str(), &encoded, &small, escaped] {
            let length = if key.len() >= LONG { RUN } else { form.len().max(1) };
            runs.extend(form.as_bytes().windows(length).map(Box::from));
        }
        let mut lengths: Vec<usize> = runs.iter().map(|run| run.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        Key { bearer: format!("Bearer {key}"), text: key, runs, lengths }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn bearer(&self) -> &str {
        &self.bearer
    }

    /// Where the runs of the key are in `text`, in order: start and end in bytes.
    fn found(&self, text: &str) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for &length in &self.lengths {
            for (start, window) in text.as_bytes().windows(length).enumerate() {
                if self.runs.contains(window) {
                    found.push((start, start + length));
                }
            }
        }
        found.sort_unstable();
        found.dedup_by(|next, previous| {
            let touches = next.0 <= previous.1;
            if touches {
                previous.1 = previous.1.max(next.1);
            }
            touches
        });
        found
    }

    /// Whether `text` contains the whole key, also percent-encoded. A part of it can be there by
    /// chance.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        // A key of a few letters, as tests have, is in many texts by chance.
        self.text.len() >= RUN && (text.contains(&self.text) || decoded.contains(&self.text))
    }

    /// `text` with `***` in place of each part of the key.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (start, end) in self.found(text) {
            out += text.get(at..start).unwrap_or_default();
            out += "***";
            at = end;
        }
        out += text.get(at..).unwrap_or_default();
        // JSON can write any character as an escape: what its reader sees counts.
        let is_shown = |text: String| self.text.len() >= RUN && !self.found(&text).is_empty();
        if out.contains("\\u") && is_shown(unescape(&out.replace("\\/", "/"))) {
            return "*** (this text contains the key)".to_owned();
        }
        out
    }

    /// An error as it leaves the crate: without the key, and with no text over 64 KiB.
    pub(crate) fn conceal(&self, error: Error) -> Error {
        error.map_text(&|text| self.shown(text))
    }

    /// The beginning of `text`, without the key. Of a text of any length only what can be shown is
    /// searched.
    pub(super) fn shown(&self, text: &str) -> String {
        if text.len() <= MAX_TEXT + MARGIN {
            return cut(self.mask(text));
        }
        let mut masked = self.mask(begin(text, MAX_TEXT + MARGIN));
        // Its end may be the beginning of a key that continues behind it.
        let end = begin(&masked, masked.len().saturating_sub(MARGIN)).len();
        masked.truncate(end);
        cut(masked)
    }
}

/// `%2F` as `%2f`.
fn small_hex_digits(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len());
    let mut in_escape = 0u8;
    for c in encoded.chars() {
        out.push(if in_escape > 0 { c.to_ascii_lowercase() } else { c });
        in_escape = if c == '%' { 2 } else { in_escape.saturating_sub(1) };
    }
    out
}

/// `text` with each `\uXXXX` in place of the character that it stands for.
fn unescape(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let decoded = part.split_at_checked(4).and_then(|(digits, rest)| {
            let code = u32::from_str_radix(digits, 16).ok()?;
            Some((char::from_u32(code)?, rest))
        });
        match decoded {
            Some((c, rest)) => {
                out.push(c);
                out += rest;
            }
            None => out += part,
        }
    }
    out
}

#[cfg(test)]
mod tests;
