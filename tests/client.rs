//! Proves that a client which cannot be right is refused before anything is sent, in words that say what to do.

use std::time::Duration;

use posthog_api::{Client, ClientBuilder, Error};

const KEY: &str = "phx_secret";

fn on(host: &str) -> ClientBuilder {
    Client::builder(KEY).host(host)
}

fn refusal(builder: ClientBuilder) -> String {
    match builder.build() {
        Err(Error::Config(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hosts() {
    for (host, origin) in [
        ("https://us.posthog.com", "https://us.posthog.com"),
        (" HTTPS://Posthog.Example.COM:443/ ", "https://posthog.example.com"),
        ("https://h/analytics/posthog//", "https://h"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost:80", "http://localhost"),
    ] {
        let client = on(host).build().unwrap();
        assert!(format!("{client:?}").contains(&format!("{origin:?}")), "{host}: {client:?}");
    }
    for (host, why) in [
        ("", "empty"),
        ("us.posthog.com", "no scheme"),
        ("ftp://h", "is not http"),
        ("https://", "is not http"),
        ("https://user:pw@h", "user or password"),
        ("https://h?x", "query"),
        ("https://h/#x", "fragment"),
        ("https://h:0", "port"),
        ("https://h:65536", "port"),
        ("https://h:+1", "port"),
        ("https://[::1", "is not http"),
        ("https://h\u{e9}", "is not http"),
        ("https://h\nx", "is not http"),
        ("https://h/../x", "part of a path"),
        ("https://h//x", "empty segment"),
        ("https://eu.i.posthog.com", "https://eu.posthog.com"),
        ("https://us.i.posthog.com/", "https://us.posthog.com"),
        ("http://posthog.example.com", "allow_http"),
    ] {
        let error = refusal(on(host));
        assert!(error.contains(why), "{host}: {error}");
        assert!(!error.contains("pw"), "{error}");
    }
    assert!(on("http://posthog.example.com").allow_http(true).build().is_ok());
}

#[test]
fn keys() {
    for (key, why) in [
        ("", "empty"),
        (" \n", "empty"),
        ("phc_project", "project key"),
        ("phx_a b", "space"),
        ("phx_a\nb", "control"),
        ("phx_a\0", "control"),
        ("phx_\u{e9}", "non-ASCII"),
    ] {
        let error = refusal(Client::builder(key).host("http://127.0.0.1:9"));
        assert!(error.contains(why), "{key:?}: {error}");
        assert!(key.trim().is_empty() || !error.contains(key), "{error}");
    }
    for key in ["phx_a\n", "  old-key-without-prefix", "phx_\"'/+"] {
        let client = Client::builder(key).build().unwrap();
        assert!(!format!("{client:?}").contains(key.trim()));
        assert!(!format!("{:?}", Client::builder(key)).contains(key.trim()));
    }
}

#[test]
fn settings() {
    let local = || on("http://127.0.0.1:9");
    for (builder, why) in [
        (local().user_agent(""), "user agent"),
        (local().user_agent("tool\n"), ""),
        (local().user_agent("a\nb"), "user agent"),
        (local().user_agent("\u{e9}"), "user agent"),
        (local().timeout(Duration::ZERO), "zero"),
        (local().connect_timeout(Duration::ZERO), "zero"),
        (local().max_body_bytes(0), "zero"),
        (local().max_requests_per_minute(0), "zero"),
    ] {
        if why.is_empty() {
            assert!(builder.build().is_ok());
        } else {
            let error = refusal(builder);
            assert!(error.contains(why), "{error}");
        }
    }
}

/// Shared between threads, moved into them, kept in statics: what a caller may do must not change by accident.
#[test]
fn threads() {
    fn all<T: Send + Sync + 'static>() {}
    fn send<T: Send + 'static>() {}
    all::<Client>();
    all::<Error>();
    all::<posthog_api::Project>();
    all::<posthog_api::PersonFilter>();
    send::<posthog_api::List>();
    send::<posthog_api::Items>();
    send::<posthog_api::Pages>();
    send::<posthog_api::Request>();
    send::<posthog_api::Query>();
    send::<posthog_api::Scan>();
}
