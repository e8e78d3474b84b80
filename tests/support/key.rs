//! Says where the key may be, and searches the bytes that a server received and the text of errors.
use super::Request;
use posthog_api::{Error, RetryEvent};
use serde_json::Value;

/// The key of the clients in these tests. No 8 characters of it occur in any other data.
pub const KEY: &str = "phx_Q7rT2mWx9ZkLb4NcVd8JfHs5Gp3YaEuRo6Ti1KvD";

/// Where requests to a server must have the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Bearer,
    Body,
    Query,
    /// The server must get no connection.
    Stranger,
    /// The test itself checks where the key is.
    Any,
}

/// Whether `bytes` contain any 8 characters of the key that follow each other, in any case.
///
/// The key has only letters, digits and one `_`, so that no encoding changes it.
pub fn shows_key(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let key = KEY.to_ascii_lowercase();
    // Each run of 8 contains one of the aligned pieces of 4: most texts have none.
    let may = (0..key.len() / 4).any(|n| text.contains(&key[n * 4..n * 4 + 4]));
    may && (0..=key.len() - 8).any(|at| text.contains(&key[at..at + 8]))
}

/// Searches all bytes that a server received: the key may be in one place of each request to the
/// configured origin, and nowhere else.
pub fn check_server(way: Way, name: &str, connections: &[Vec<u8>], requests: &[Request]) {
    if way == Way::Stranger {
        assert!(
            connections.is_empty(),
            "a stranger got a connection: {:?}",
            connections.iter().map(|b| String::from_utf8_lossy(b))
        );
        return;
    }
    if way == Way::Any {
        return;
    }
    let allowed = match way {
        Way::Bearer => format!("authorization: Bearer {KEY}\r\n"),
        Way::Body => format!("{{\"personal_api_key\":\"{KEY}\""),
        _ => format!("personal_api_key={KEY}"),
    };
    let once = |bytes: &[u8], most: usize| {
        let text = String::from_utf8_lossy(bytes);
        let found = text.matches(&allowed).count();
        assert!(
            found <= most && !shows_key(text.replace(&allowed, "").as_bytes()),
            "the key is where it must not be ({found} times where it may, {most} at most): {text}"
        );
        found
    };
    for request in requests {
        let connecting = request.method == "CONNECT";
        let found = once(&request.raw, usize::from(!connecting));
        if found > 0 {
            assert_eq!(request.header("host"), Some(name), "{request:?}");
        }
    }
    for (number, bytes) in connections.iter().enumerate() {
        // One more, for a request that did not arrive completely.
        let most = requests.iter().filter(|r| r.connection == number).count() + 1;
        once(bytes, most);
    }
}

/// The longest text that an error may hold.
const LONGEST: usize = 64 * 1024;

/// Searches an error in every form: no key, one line in its plain form, and no text that is too
/// long.
pub fn check_error(error: &Error) {
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.len() < 4_000 && !line.trim().is_empty(), "{line}");
    assert_eq!(line, format!("{error:?}"));
    let mut words = vec![line, format!("{error:#}"), format!("{error:#?}")];
    for part in parts(error) {
        assert!(part.len() <= LONGEST, "a text of {} bytes in {error}", part.len());
        words.push(part);
    }
    // Display says everything: a program that prints the chain of sources prints nothing twice.
    assert!(std::error::Error::source(error).is_none());
    for words in words {
        assert!(!shows_key(words.as_bytes()), "the key is in {words}");
    }
}

/// Every text that an error gives to a program.
fn parts(error: &Error) -> Vec<String> {
    let of = |texts: &[Option<&str>]| texts.iter().flatten().map(|&t| t.to_owned()).collect();
    let e = error;
    let mut texts: Vec<String> = of(&[
        Some(e.message()),
        e.hint(),
        e.call().map(|(method, _)| method),
        e.call().map(|(_, path)| path),
        e.error_type(),
        e.code(),
        e.detail(),
        e.attr(),
        e.content_type(),
        e.request_id(),
        e.location(),
        e.body(),
    ]);
    texts.extend(e.extra().map(strings).unwrap_or_default());
    texts
}

/// Every name and string in a value.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        Value::Object(map) => {
            map.iter().flat_map(|(name, v)| [vec![name.clone()], strings(v)].concat()).collect()
        }
        _ => Vec::new(),
    }
}

pub fn check_event(event: &RetryEvent) {
    let words = format!("{event:?}");
    assert!(!shows_key(words.as_bytes()), "the key is in {words}");
}
