//! The one place that says where the key may stand: over all bytes that every server received, and all words of every error.
use super::server::Request;
use posthog_api::{Error, RetryEvent};

/// The key of every client in these tests, but for those about keys. No 12 characters of it stand anywhere else.
pub const KEY: &str = "phx_Q7rT2mWx9ZkLb4NcVd8JfHs5Gp3YaEuRo6Ti1KvD";

/// Where the key is to be found in the requests to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Bearer,
    Body,
    Query,
    /// No request has anything to do there.
    Stranger,
    /// The test itself says where it may stand.
    Any,
}

/// Whether any 12 characters of the key stand in `bytes`, in any case.
///
/// It has letters and digits only, so that no encoding changes it. Every 12 of them hold one of its pieces of 6 whole.
pub fn shows_key(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let key = KEY.to_ascii_lowercase();
    let pieces = key.as_bytes().chunks_exact(6);
    pieces.map(|piece| std::str::from_utf8(piece).unwrap()).any(|piece| text.contains(piece))
}

/// All bytes that a server received: the key stands in its one place in each request to the configured origin.
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
        // One more: a request of which only a part came.
        let most = requests.iter().filter(|r| r.connection == number).count() + 1;
        once(bytes, most);
    }
}

/// All words of an error, each on the terms of the documentation: no key, one line unless more is asked for, not endless.
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
