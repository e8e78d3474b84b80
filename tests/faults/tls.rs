//! Proves that nothing is sent to a server without a trusted certificate, and that https never
//! becomes http.
use crate::support::expect::{config, redirect, transport};
use crate::support::tls::{self, trusting};
use crate::support::{AT_ONCE, Act, End, Server, TIMEOUT, builder, error, within};
use serde_json::json;
use std::time::Duration;

#[test]
fn an_untrusted_certificate_is_an_error() {
    let server = tls::start(|_, _| Act::status(204));
    let client = builder(server.url()).build().unwrap();
    let failed = within(AT_ONCE, || error(client.me()));
    let failure = transport(&failed);
    assert_eq!(failure.call(), Some(("GET", "/api/users/@me/")));
    assert!(failure.message().contains("certificate"), "{failed}");
    // There was one connection, and nothing was sent on it.
    drop(client);
    server.wait_closed(1);
    assert_eq!((server.connections(), server.received()), (1, 0));
}

#[test]
fn an_untrusted_certificate_is_not_retried() {
    let server = tls::start(|_, _| Act::status(204));
    let client = builder(server.url()).retry(posthog_api::RetryPolicy::default()).build().unwrap();
    let failed = within(Duration::from_millis(400), || error(client.me()));
    transport(&failed);
    server.wait_closed(1);
    assert_eq!((server.connections(), server.received()), (1, 0));
}

#[test]
fn a_certificate_of_another_host_is_an_error() {
    let Ok(server) = tls::on("127.0.0.2:0", |_, _| Act::status(204)) else {
        return; // this machine has no second address
    };
    let client = trusting(server.url()).build().unwrap();
    let failed = within(AT_ONCE, || error(client.me()));
    assert!(transport(&failed).message().contains("certificate"), "{failed}");
    assert_eq!(server.received(), 0);
}

#[test]
fn a_trusted_certificate_is_accepted() {
    let server = tls::start(|_, n| Act::json(200, &json!({ "a": n })));
    let client = trusting(server.url()).build().unwrap();
    assert_eq!(client.me().unwrap(), json!({"a": 0}));
    assert_eq!(client.me().unwrap(), json!({"a": 1}));
    assert_eq!(server.connections(), 1, "it is kept");
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    let stranger = Server::stranger();
    for location in [stranger.url(), format!("{}/api/", stranger.url())] {
        let server = tls::start(move |_, _| Act::status(302).header("Location", &*location));
        let failed = error(trusting(server.url()).build().unwrap().me());
        assert!(redirect(&failed).1.contains("https://127.0.0.1"), "{failed}");
        assert_eq!(server.count(), 1);
    }
}

#[test]
fn a_redirect_to_http_on_the_same_host_and_port_is_not_followed() {
    let server = tls::start(|request, _| {
        let host = request.header("host").unwrap();
        Act::status(301).header("Location", format!("http://{host}/api/"))
    });
    redirect(&error(trusting(server.url()).build().unwrap().me()));
    assert_eq!((server.connections(), server.count()), (1, 1));
}

#[test]
fn a_next_that_says_http_for_https_is_followed_over_https() {
    let server = tls::start(|request, n| {
        let host = request.header("host").unwrap();
        match n {
            0 => Act::page(&json!([1]), &json!(format!("http://{host}/api/x/?offset=1"))),
            _ => Act::page(&json!([2]), &json!(null)),
        }
    });
    let client = trusting(server.url()).build().unwrap();
    let rows = client.project(1).list("things").all().unwrap();
    assert_eq!(rows, [1, 2]);
    assert_eq!((server.count(), server.connections()), (2, 1));
}

#[test]
fn a_server_without_tls_is_an_error() {
    for (name, act) in [
        ("HTTP", Act::json(400, &json!({"detail": "plain HTTP request sent to HTTPS port"}))),
        ("nonsense", Act::raw("what?\r\n\r\n")),
        ("an alert", Act::raw(vec![21, 3, 3, 0, 2, 2, 40])),
        ("zeros", Act::raw(vec![0; 100])),
        ("nothing, and closes", Act::close()),
    ] {
        let server = Server::at_connect(act.then(End::Close));
        let client = builder(server.url().replace("http:", "https:")).build();
        let failed = within(AT_ONCE, || error(client.unwrap().me()));
        assert!(transport(&failed).call().unwrap().1.starts_with("/api/"), "{name}");
    }
}

#[test]
fn a_handshake_that_hangs_ends_with_the_connect_timeout() {
    let server = Server::at_connect(Act::silence());
    let client =
        builder(server.url().replace("http:", "https:")).connect_timeout(TIMEOUT).build().unwrap();
    let failed = within(crate::support::SLOW, || error(client.me()));
    assert_eq!(failed.kind(), posthog_api::ErrorKind::Connect, "{failed}");
}

#[test]
fn a_slow_handshake_ends_with_the_connect_timeout() {
    // The beginning of a long record.
    let server = Server::at_connect(
        Act::raw([&[22, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xf0][..], &[0; 100]].concat())
            .drip(Duration::from_millis(50)),
    );
    let client =
        builder(server.url().replace("http:", "https:")).connect_timeout(TIMEOUT).build().unwrap();
    let failed = within(crate::support::SLOW, || error(client.me()));
    assert_eq!(failed.kind(), posthog_api::ErrorKind::Connect, "{failed}");
}

#[test]
fn plain_http_to_another_machine_needs_allow_http() {
    config(&error(builder("http://posthog.example").build()));
    let allowed = builder("http://posthog.example").allow_http(true);
    assert!(allowed.build().is_ok());
}
