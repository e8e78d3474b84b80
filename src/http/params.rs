//! Query parameters: decoded pairs, checked when they are given and encoded once.

use std::hash::{Hash, Hasher};

use percent_encoding::{percent_decode_str, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;

use super::json;
use super::key::Key;
use super::url::VALUE;

/// Parameters that carry a key, or switch the project of the request whatever its path says.
const RESERVED: [&str; 3] = ["personal_api_key", "api_key", "token"];

/// Filters that the server ignores when they are empty: it then returns everything.
const NEVER_EMPTY: [&str; 4] = ["short_id", "distinct_id", "email", "search"];

/// The parameters of one request, in order.
#[derive(Debug, Clone, Default, Eq)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Adds a caller's parameter: a string as it is, anything else as JSON; null is left out.
    pub(crate) fn push(&mut self, name: &str, value: &impl Serialize) -> Result<(), String> {
        if name.is_empty() {
            return Err("a parameter has an empty name".to_owned());
        }
        if RESERVED.contains(&name) {
            let why =
                "it would switch the project or send another key; the client adds its own key";
            return Err(format!("the parameter {name:?} is not allowed: {why}"));
        }
        if self.has(name) {
            return Err(format!("the parameter {name:?} is given twice"));
        }
        match as_text(value).map_err(|e| format!("the parameter {name:?} cannot be sent: {e}"))? {
            Some(text) if text.is_empty() && NEVER_EMPTY.contains(&name) => Err(format!(
                "the parameter {name:?} is empty: the server would ignore it and return everything"
            )),
            Some(text) => {
                self.set(name, text);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Adds a parameter, or replaces the value of the one with this name.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.pairs.iter_mut().find(|(n, _)| n == name) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.pairs.retain(|(n, _)| n != name);
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn sorted(&self) -> Vec<&(String, String)> {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_unstable();
        pairs
    }

    /// The parameters of a link, without a key that it echoes; `None` where it has none, or is not
    /// UTF-8.
    ///
    /// Only the query counts: the rest names the host that the server believes to be.
    pub(crate) fn of_link(link: &str) -> Option<Params> {
        let (_, query) = link.split_once('?')?;
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (form_decoded(name)?, form_decoded(value)?);
            if !RESERVED.contains(&name.as_str()) {
                pairs.push((name, value));
            }
        }
        (!pairs.is_empty()).then_some(Params { pairs })
    }

    /// Puts back each parameter of `first` that is missing here, except those in `moving`, which
    /// may come, go and change. The name of one whose value differs is the error.
    ///
    /// A server or proxy that loses `properties` or `search` on the way would return unfiltered
    /// rows.
    pub(crate) fn keep(&mut self, first: &Params, moving: &[&str]) -> Result<(), String> {
        for (name, value) in first.iter().filter(|(name, _)| !moving.contains(name)) {
            // A link may have a name twice, and servers differ in which of the two counts.
            let differs = |(n, other): (&str, &str)| n == name && !same(other, value);
            if self.iter().any(differs) {
                return Err(name.to_owned());
            }
            if !self.has(name) {
                self.set(name, value);
            }
        }
        Ok(())
    }

    /// Whether a name or a value contains the key.
    pub(crate) fn contain(&self, key: &Key) -> bool {
        self.iter().any(|(name, value)| key.is_in(name) || key.is_in(value))
    }

    pub(crate) fn encoded(&self) -> String {
        let room = self.pairs.iter().map(|(n, v)| n.len() + v.len() + v.len() / 4 + 2).sum();
        let mut out = String::with_capacity(room);
        for (name, value) in &self.pairs {
            if !out.is_empty() {
                out.push('&');
            }
            out.extend(utf8_percent_encode(name, VALUE));
            out.push('=');
            out.extend(utf8_percent_encode(value, VALUE));
        }
        out
    }
}

/// In any order: a server may sort them.
impl PartialEq for Params {
    fn eq(&self, other: &Params) -> bool {
        self.sorted() == other.sorted()
    }
}

impl Hash for Params {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sorted().hash(state);
    }
}

/// Whether two values are the same, as text or as JSON.
fn same(a: &str, b: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    a == b || json(a).is_some_and(|a| Some(a) == json(b))
}

/// Form encoding writes a space as `+`.
fn form_decoded(part: &str) -> Option<String> {
    Some(percent_decode_str(&part.replace('+', "%20")).decode_utf8().ok()?.into_owned())
}

/// A parameter's value as text: `None` for null.
fn as_text(value: &impl Serialize) -> serde_json::Result<Option<String>> {
    let json = json::to_text(value)?;
    if json.starts_with('"') {
        return serde_json::from_str(&json).map(Some);
    }
    Ok(Some(json).filter(|json| json != "null"))
}

#[cfg(test)]
mod tests;
