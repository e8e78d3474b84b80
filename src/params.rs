//! Query strings: the one percent-encoder, and what may be in them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde::Serialize;

use crate::error::{Error, Result};

/// All but the unreserved characters of RFC 3986.
pub(crate) const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Parameters that carry a key, or switch the project of the request whatever its path says.
const RESERVED: [&str; 3] = ["personal_api_key", "api_key", "token"];

/// Filters that the server takes for no filter at all when they are empty, and answers with everything.
const NEVER_EMPTY: [&str; 4] = ["short_id", "distinct_id", "email", "search"];

/// A query string in the making; what was wrong with it is told when it is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params {
    encoded: String,
    fault: Option<Error>,
}

impl Params {
    /// Adds a caller's parameter: strings as they are, the rest as JSON, null left out.
    pub(crate) fn push(&mut self, name: &str, value: &impl Serialize) {
        if name.is_empty() {
            self.fail("a parameter without a name".to_owned());
        } else if RESERVED.contains(&name) {
            self.fail(format!("the parameter {name:?} would switch the project or leak a key: the client sends its own key"));
        } else {
            match text(value) {
                Ok(Some(text)) if text.is_empty() && NEVER_EMPTY.contains(&name) => self.fail(format!(
                    "the {name} is empty: the server would take it for no filter, and return everything"
                )),
                Ok(Some(text)) => self.put(name, &text),
                Ok(None) => {}
                Err(e) => self.fail(format!("the parameter {name:?} cannot be sent: {e}")),
            }
        }
    }

    /// The same for a list, where a name given twice would hide one of its values.
    pub(crate) fn push_once(&mut self, name: &str, value: &impl Serialize) {
        if self.has(name) {
            self.fail(format!("the parameter {name:?} is given twice"));
        }
        self.push(name, value);
    }

    pub(crate) fn put(&mut self, name: &str, value: &str) {
        if !self.encoded.is_empty() {
            self.encoded.push('&');
        }
        self.encoded.reserve(name.len() + 1 + value.len());
        self.encoded.extend(percent_encode(name.as_bytes(), VALUE));
        self.encoded.push('=');
        self.encoded.extend(percent_encode(value.as_bytes(), VALUE));
    }

    pub(crate) fn fail(&mut self, message: String) {
        self.fault.get_or_insert(Error::Config(message));
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn encoded(&self) -> &str {
        &self.encoded
    }

    /// The value of `name` as it was encoded.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        pairs(&self.encoded)
            .find(|(n, _)| percent_decode_str(n).eq(name.bytes()))
            .map(|(_, value)| value)
    }

    /// The same with `value` in place of what `name` had.
    pub(crate) fn with(&self, name: &str, value: &str) -> Params {
        let mut out = Params::default();
        for (n, v) in pairs(&self.encoded).filter(|(n, _)| *n != name) {
            out.append(n, v);
        }
        out.put(name, value);
        out
    }

    /// The parameters of a `next` link, without a key that it echoes; `None` where it has none.
    ///
    /// Only the query counts: the rest names whatever host the server believes to be.
    pub(crate) fn of_link(link: &str) -> Option<Params> {
        let (_, query) = link.split_once('?')?;
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let mut out = Params::default();
        for (name, value) in pairs(query) {
            if !percent_decode_str(name)
                .decode_utf8()
                .is_ok_and(|n| RESERVED.contains(&n.as_ref()))
            {
                out.append(name, value);
            }
        }
        (!out.encoded.is_empty()).then_some(out)
    }

    /// Adds a pair that came encoded, in our own encoding: form encoding writes a space as `+`.
    fn append(&mut self, name: &str, value: &str) {
        let raw = |part: &str| percent_decode_str(&part.replace('+', "%20")).collect::<Vec<u8>>();
        if !self.encoded.is_empty() {
            self.encoded.push('&');
        }
        self.encoded.extend(percent_encode(&raw(name), VALUE));
        self.encoded.push('=');
        self.encoded.extend(percent_encode(&raw(value), VALUE));
    }

    /// The query string, or what is wrong with it.
    pub(crate) fn finish(self) -> Result<String> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.encoded),
        }
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn text(value: &impl Serialize) -> serde_json::Result<Option<String>> {
    let json = serde_json::to_string(value)?;
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(&json).map(Some),
        _ => Ok(Some(json).filter(|json| json != "null")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_give_their_query_only() {
        for (link, query) in [
            (
                "http://evil.example/api?limit=3&offset=3",
                Some("limit=3&offset=3"),
            ),
            ("?limit=100&offset=100", Some("limit=100&offset=100")),
            ("x?a=b+c&a%5B%5D=%7e#f", Some("a=b%20c&a%5B%5D=~")),
            (
                "x?cursor=cD0%3D&personal_api_key=phx_1&token=phc_1&api_key=z",
                Some("cursor=cD0%3D"),
            ),
            ("x?%70ersonal_api_key=phx_1&o=1", Some("o=1")),
            ("x?a=\u{e9} \n\"", Some("a=%C3%A9%20%0A%22")),
            ("", None),
            ("garbage", None),
            ("http://h/p?", None),
        ] {
            assert_eq!(
                Params::of_link(link).map(|p| p.encoded),
                query.map(str::to_owned),
                "{link}"
            );
        }
    }
}
