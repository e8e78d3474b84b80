//! Says where the key may be, and searches the bytes that a server received and the text of errors.
use super::server::Request;
use posthog_api::{Error, RetryEvent};

/// The key of the clients in these tests. No 12 characters of it occur in any other data.
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

/// Whether `bytes` contain any 12 characters of the key, in any case.
///
/// The key has only letters and digits, so that no encoding changes it. Any 12 characters of it
/// contain one of its aligned pieces of 6.
pub fn shows_key(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let key = KEY.to_ascii_lowercase();
    let pieces = key.as_bytes().chunks_exact(6);
    pieces.map(|piece| std::str::from_utf8(piece).unwrap()).any(|piece| text.contains(piece))
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

/// Searches the text of an error in every form: no key, one line in its plain form, and not too
/// long.
pub fn check_error(error: &Error) {
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.len() < 4_000 && !line.trim().is_empty(), "{line}");
    let mut words = vec![line, format!("{error:#}"), format!("{error:?}"), format!("{error:#?}")];
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        words.push(format!("{inner} {inner:?} {inner:#} {inner:#?}"));
        source = inner.source();
    }
    for words in words {
        assert!(!shows_key(words.as_bytes()), "the key is in {words}");
    }
}

pub fn check_event(event: &RetryEvent) {
    let words = format!("{event:?}");
    assert!(!shows_key(words.as_bytes()), "the key is in {words}");
}
