//! Proves how a client reads its settings, and that the message of a refusal names what to change.
use crate::support::{REFUSED, builder};
use crate::wire::refused;
use posthog_api::{Client, Error, Items, List, Pages, PersonFilter, Project, Query, Request, Scan};
use std::time::Duration;

#[test]
fn the_origin_of_a_host_has_small_letters_and_no_default_port() {
    for (host, origin) in [
        ("https://us.posthog.com", "https://us.posthog.com"),
        (" HTTPS://Posthog.Example.COM:443/ ", "https://posthog.example.com"),
        ("https://h/analytics/posthog//", "https://h"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost:80", "http://localhost"),
    ] {
        let client = builder(host).build().unwrap();
        assert!(format!("{client:?}").contains(&format!("{origin:?}")), "{host}: {client:?}");
    }
    assert!(builder("http://posthog.example.com").allow_http(true).build().is_ok());
}

#[test]
fn a_refused_host_is_explained() {
    for (host, word) in [
        ("", "empty"),
        ("us.posthog.com", "https://"),
        ("ftp://h", "http"),
        ("https://user:pw@h", "user"),
        ("https://h?x", "query"),
        ("https://h/#x", "fragment"),
        ("https://h:0", "port"),
        ("https://h:65536", "port"),
        ("https://h:+1", "port"),
        ("https://h/../x", "path"),
        ("https://eu.i.posthog.com", "https://eu.posthog.com"),
        ("https://us.i.posthog.com/", "https://us.posthog.com"),
        ("https://posthog.com", "https://us.posthog.com"),
        ("https://www.posthog.com/", "https://eu.posthog.com"),
        ("https://us.posthog.com/api", "/api"),
        ("https://h.example/sub/API/", "/api"),
        ("http://posthog.example.com", "allow_http"),
    ] {
        let why = refused(builder(host).build());
        assert!(why.contains(word), "{host}: no {word} in {why}");
        assert!(!why.contains("pw"), "{why}");
    }
}

#[test]
fn a_refused_key_is_explained_and_not_shown() {
    for (key, word) in [
        ("", "empty"),
        (" \n", "empty"),
        ("phc_project", "phc_"),
        ("phx_a b", "space"),
        ("phx_a\nb", "control"),
        ("phx_a\0", "control"),
        ("phx_\u{e9}", "ASCII"),
    ] {
        let why = refused(Client::builder(key).host(REFUSED).build());
        assert!(why.contains(word), "{key:?}: no {word} in {why}");
        assert!(key.trim().is_empty() || !why.contains(key), "{why}");
    }
    for key in ["phx_a\n", "  old-key-without-prefix", "phx_\"'/+"] {
        let client = Client::builder(key).build().unwrap();
        assert!(!format!("{client:?}").contains(key.trim()));
        assert!(!format!("{:?}", Client::builder(key)).contains(key.trim()));
    }
}

#[test]
fn a_setting_that_cannot_be_right_is_refused() {
    let local = || builder(REFUSED);
    for (builder, word) in [
        (local().user_agent(""), "user agent"),
        (local().user_agent(" "), "user agent"),
        (local().user_agent("a\nb"), "user agent"),
        (local().user_agent("a\tb"), "user agent"),
        (local().user_agent("a\0"), "user agent"),
        (local().user_agent("\u{e9}"), "user agent"),
        (local().timeout(Duration::ZERO), "timeout"),
        (local().connect_timeout(Duration::ZERO), "timeout"),
        (local().max_body_bytes(0), "max_body_bytes"),
        (local().max_requests_per_minute(0), "max_requests_per_minute"),
    ] {
        let why = refused(builder.build());
        assert!(why.contains(word), "no {word} in {why}");
    }
    assert!(local().user_agent("tool\n").build().is_ok());
}

#[test]
fn clients_and_their_parts_can_go_to_other_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Client>();
    shared::<Error>();
    shared::<Project>();
    shared::<PersonFilter>();
    sent::<List>();
    sent::<Items>();
    sent::<Pages>();
    sent::<Request>();
    sent::<Query>();
    sent::<Scan>();
}
