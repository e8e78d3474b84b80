//! The key, and how it is kept out of everything that is printed.

use percent_encoding::percent_encode;
use serde_json::Value;

use crate::error::{Error, Failure};
use crate::params::VALUE;

/// A personal API key. It has no `Debug` and no `Display`.
pub(crate) struct Secret {
    key: String,
    /// The key as it is, percent-encoded in capitals and in small letters, and inside JSON: as a server may echo it.
    forms: Vec<String>,
}

impl Secret {
    pub(crate) fn new(key: String) -> Secret {
        let encoded = percent_encode(key.as_bytes(), VALUE).to_string();
        let mut small = String::with_capacity(encoded.len());
        let mut in_escape = 0u8;
        for c in encoded.chars() {
            small.push(if in_escape > 0 {
                c.to_ascii_lowercase()
            } else {
                c
            });
            in_escape = if c == '%' {
                2
            } else {
                in_escape.saturating_sub(1)
            };
        }
        let json = serde_json::to_string(&key).unwrap_or_default();
        let mut forms = vec![
            key.clone(),
            encoded,
            small,
            json.get(1..json.len().saturating_sub(1))
                .unwrap_or_default()
                .to_owned(),
        ];
        forms.dedup();
        Secret { key, forms }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether `text` has the key in it.
    ///
    /// A key of a few letters, as tests have, is in many texts by chance.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.key.len() >= 8 && self.forms.iter().any(|form| text.contains(form))
    }

    /// Whether a text anywhere in `json` has the key in it.
    pub(crate) fn is_in_json(&self, json: &Value) -> bool {
        match json {
            Value::String(text) => self.is_in(text),
            Value::Array(list) => list.iter().any(|v| self.is_in_json(v)),
            Value::Object(map) => map.iter().any(|(k, v)| self.is_in(k) || self.is_in_json(v)),
            _ => false,
        }
    }

    /// `text` without the key.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| {
            if text.contains(form) {
                text.replace(form, "***")
            } else {
                text
            }
        })
    }

    /// An error without the key: a caller's own text can have it too.
    pub(crate) fn strip(&self, error: Error) -> Error {
        let failure = |mut e: Box<Failure>| {
            (e.path, e.message) = (self.mask(&e.path), self.mask(&e.message));
            e
        };
        match error {
            Error::Config(m) => Error::Config(self.mask(&m)),
            Error::Query(m) => Error::Query(self.mask(&m)),
            Error::Transport(e) => Error::Transport(failure(e)),
            Error::Timeout(e) => Error::Timeout(failure(e)),
            Error::Paging(e) => Error::Paging(failure(e)),
            Error::Redirect {
                call,
                status,
                location,
                reason,
            } => {
                let (call, location) = (self.mask(&call), self.mask(&location));
                Error::Redirect {
                    call,
                    status,
                    location,
                    reason,
                }
            }
            Error::Decode(mut e) => {
                (e.path, e.message) = (self.mask(&e.path), self.mask(&e.message));
                Error::Decode(e)
            }
            // A status was masked when it was read; the others hold no text.
            other => other,
        }
    }

    /// A text without the key that is the beginning of a longer one, whose end may go through the key.
    pub(crate) fn mask_cut(&self, text: &str) -> String {
        let mut text = self.mask(text);
        for form in &self.forms {
            let begun = |n: &usize| form.get(..*n).is_some_and(|begin| text.ends_with(begin));
            if let Some(n) = (1..form.len()).rev().find(begun) {
                text.truncate(text.len() - n);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_masked() {
        let secret = Secret::new("phx_1/+\"".to_owned());
        for (text, masked) in [
            (
                "a=phx_1/+\"&b=phx_1%2F%2B%22&c=phx_1%2f%2b%22",
                "a=***&b=***&c=***",
            ),
            (r#"{"a":"phx_1/+\""}"#, r#"{"a":"***"}"#),
            ("phx_1", "phx_1"),
        ] {
            assert_eq!(secret.mask(text), masked);
            assert_eq!(secret.is_in(text), text != masked);
        }
        assert_eq!(secret.mask_cut("a phx_1/+\" phx_1/"), "a *** ");
        assert_eq!(secret.mask_cut("nothing of it"), "nothing of it");
    }
}
