//! Proves that a connection which fails, breaks, hangs or sends garbage is an error in time, never
//! a wrong answer.
use crate::support::expect::{broken, decode, no_answer, timeout, transport};
use crate::support::{
    AT_ONCE, Act, End, REFUSED, SLOW, Server, TIMEOUT, agent, builder, client, error, error_in,
    hasty, together, within,
};
use posthog_api::{Client, ErrorKind};
use serde_json::{Value, json};
use std::time::Duration;

const ME: &str = "/api/users/@me/";

fn good() -> Act {
    Act::json(200, &json!({"answer": "a good one, of some length"}))
}

/// The result of one call without retries to a server with this act.
fn fate(act: Act) -> posthog_api::Result<Value> {
    // A read whose connection broke at once is sent once more.
    let server = Server::script([act.clone(), act]);
    within(AT_ONCE, || client(&server).me())
}

#[test]
fn a_refused_connection_is_an_error() {
    let client = builder(REFUSED).build().unwrap();
    let failed = within(AT_ONCE, || error(client.me()));
    let failure = transport(&failed);
    assert_eq!(failure.call(), Some(("GET", ME)));
    assert!(failure.message().contains(REFUSED), "{failed}");
    assert!(failed.status().is_none() && failed.kind() != posthog_api::ErrorKind::Timeout);
}

#[test]
fn a_name_that_does_not_resolve_is_an_error() {
    let client = builder("https://nothing.invalid").build().unwrap();
    let failed = within(Duration::from_secs(15), || error(client.me()));
    assert!(failed.to_string().contains("nothing.invalid"), "{failed}");
    no_answer(&failed);
}

#[test]
fn a_broken_connection_is_an_error() {
    for (name, act) in [
        ("reset before the answer", Act::reset()),
        ("closed before the answer", Act::close()),
        ("reset in the status line", good().first(9).then(End::Reset)),
        ("closed in the status line", good().first(9)),
        ("reset in the header", good().first(40).then(End::Reset)),
        ("closed in the header", good().first(40)),
        ("closed before the body", good().header_only()),
        ("cut in the body by its length", good().cut(5)),
        ("reset in the body", good().cut(5).then(End::Reset)),
        ("cut in a chunked body", good().chunked().cut(20)),
        ("cut before the last chunk", good().chunked().cut(5)),
        ("reset in a chunked body", good().chunked().cut(20).then(End::Reset)),
        ("a length that is too long", good().length(1_000).then(End::Close)),
    ] {
        let failed = error_in(name, fate(act));
        let failure = broken(&failed);
        assert_eq!(failure.call(), Some(("GET", ME)), "{name}");
    }
}

#[test]
fn an_answer_that_hangs_is_a_timeout() {
    let rows = [
        ("silence before the answer", Act::silence(), "response"),
        ("silence in the header", good().first(40).then(End::Silence), "response"),
        (
            "an interim answer, then silence",
            Act::raw("HTTP/1.1 100 Continue\r\n\r\n").then(End::Silence),
            "response",
        ),
        ("silence before the body", good().header_only().then(End::Silence), "body"),
        ("silence in the body", good().cut(5).then(End::Silence), "body"),
        ("silence in a chunked body", good().chunked().cut(20).then(End::Silence), "body"),
        ("silence in a gzip body", good().gzip().cut(9).then(End::Silence), "body"),
        ("a length that is too long, kept open", good().length(1_000), "body"),
        ("a body that never ends by its own", good().unframed().then(End::Silence), "body"),
        ("one byte at a time", good().drip(Duration::from_millis(50)), "response"),
        ("one byte of the body at a time", good().drip_body(Duration::from_millis(50)), "body"),
        (
            "one byte of a chunked body at a time",
            good().chunked().drip_body(Duration::from_millis(20)),
            "body",
        ),
    ];
    together(rows, |(name, act, phase)| {
        let server = Server::script([act]);
        let failed = within(SLOW, || error_in(name, hasty(&server).me()));
        let failure = timeout(&failed);
        assert_eq!(failure.call(), Some(("GET", ME)), "{name}");
        assert!(failure.message().contains(phase), "{name}: {failed}");
    });
}

#[test]
fn a_slow_answer_within_the_timeouts_is_an_answer() {
    // Each phase has its own limit. Together they take longer than one timeout.
    let timeout = Duration::from_millis(1_500);
    let slow = Act::status(200).body("application/json", "1");
    let slow = slow.after(timeout * 3 / 5).drip_body(timeout * 3 / 5);
    let server = Server::script([slow]);
    let client = builder(server.url()).timeout(timeout).build().unwrap();
    let start = std::time::Instant::now();
    assert_eq!(client.me().unwrap(), json!(1));
    assert!(start.elapsed() > timeout);
}

#[test]
fn an_answer_that_is_not_http_is_an_error() {
    let long = "x".repeat(100 * 1024);
    let many = (0..1_000).map(|n| format!("X-{n}: y\r\n")).collect::<Vec<_>>().concat();
    let ok = "HTTP/1.1 200 OK\r\n";
    for (name, bytes) in [
        ("a header of 100 KiB", format!("{ok}X-Long: {long}\r\nContent-Length: 2\r\n\r\n{{}}")),
        ("1,000 headers", format!("{ok}{many}Content-Length: 2\r\n\r\n{{}}")),
        ("a status line of 100 KiB", format!("HTTP/1.1 200 {long}\r\n\r\n")),
        ("a name of 100 KiB", format!("{ok}{long}: x\r\n\r\n")),
        ("another protocol", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n\r\n".to_owned()),
        ("a mail server", "220 mail.example ESMTP\r\n\r\n".to_owned()),
        ("HTML without a header", "<html><body>hello</body></html>\r\n\r\n".to_owned()),
        ("JSON without a header", "{\"answer\": 1}\r\n\r\n".to_owned()),
        ("zeros", "\0".repeat(200)),
        ("a TLS alert", "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{46}\r\n\r\n".to_owned()),
        ("an unknown version", "HTTP/9.9 200 OK\r\n\r\n".to_owned()),
        ("a status that is no number", "HTTP/1.1 abc OK\r\n\r\n".to_owned()),
        ("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n".to_owned()),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n".to_owned()),
        ("a header without a colon", format!("{ok}what is this\r\n\r\n")),
        ("a length that is no number", format!("{ok}Content-Length: ten\r\n\r\n{{}}")),
        ("a negative length", format!("{ok}Content-Length: -2\r\n\r\n{{}}")),
        ("two lengths", format!("{ok}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{{}}")),
        (
            "a length over 64 bits",
            format!("{ok}Content-Length: 99999999999999999999999\r\n\r\n{{}}"),
        ),
        (
            "a chunk size that is no number",
            format!("{ok}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size over 64 bits",
            format!(
                "{ok}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n{{}}\r\n0\r\n\r\n"
            ),
        ),
        (
            "a chunk longer than its size",
            format!("{ok}Transfer-Encoding: chunked\r\n\r\n1\r\n{{}}\r\n0\r\n\r\n"),
        ),
        ("nothing but line ends", "\r\n".repeat(300)),
    ] {
        let failed = error_in(name, fate(Act::raw(bytes).then(End::Close)));
        transport(&failed);
        assert!(failed.to_string().contains(ME), "{name}: {failed}");
    }
}

/// Bytes without an end, in each place where a reader waits for one.
#[test]
fn an_answer_without_an_end_is_an_error_in_time() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n");
    let gzip = format!("{ok}Content-Encoding: gzip\r\n\r\n").into_bytes();
    let rows = [
        ("interim answers", Vec::new(), b"HTTP/1.1 102 Processing\r\n\r\n".repeat(300)),
        (
            "interim answers with headers",
            Vec::new(),
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(300),
        ),
        ("line ends", Vec::new(), b"\r\n".repeat(4_000)),
        ("a status line", Vec::new(), b"HTTP/1.1 200 ".repeat(600)),
        ("headers", ok.into(), b"X-More: of it\r\n".repeat(500)),
        ("a chunk's extension", format!("{chunked}2;").into_bytes(), b"x".repeat(8_000)),
        ("a chunk's size", chunked.clone().into_bytes(), b"0".repeat(8_000)),
        (
            "trailers",
            format!("{chunked}2\r\n[]\r\n0\r\n").into_bytes(),
            b"X-More: of it\r\n".repeat(500),
        ),
        (
            "a name in gzip's header",
            [&gzip[..], b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"].concat(),
            b"x".repeat(8_000),
        ),
        ("empty members of gzip", gzip, crate::support::gzip(b"").repeat(400)),
    ];
    together(rows, |(name, begin, block)| {
        let server = Server::script([Act::raw(begin).repeat(block, u64::MAX)]);
        let failed = within(SLOW, || error_in(name, hasty(&server).me()));
        // A header of gzip has an end, however long it is.
        if failed.kind() != ErrorKind::Decode {
            no_answer(&failed);
        }
        assert!(server.sent() < 1 << 30, "{name}: {} bytes", server.sent());
    });
}

#[test]
fn interim_answers_are_skipped() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let mut bytes = interim.as_bytes().to_vec();
        bytes.extend(good().bytes());
        let answer = fate(Act::raw(bytes)).unwrap();
        assert_eq!(answer["answer"], "a good one, of some length", "{interim}");
    }
}

#[test]
fn an_http_1_0_answer_that_ends_with_its_connection_is_read() {
    let old = Act::raw("HTTP/1.0 200 OK\r\n\r\n[1]").then(End::Close);
    assert_eq!(fate(old).unwrap(), json!([1]));
}

#[test]
fn a_chunked_body_without_its_last_line_end_is_complete() {
    let answer = fate(good().chunked().cut(2)).unwrap();
    assert_eq!(answer["answer"], "a good one, of some length");
}

#[test]
fn a_content_length_that_is_too_short_does_not_affect_the_next_answer() {
    let server = Server::script([good().length(9), good()]);
    let client = client(&server);
    let failed = error(client.me());
    assert_eq!(decode(&failed).body(), Some(r#"{"answer""#));
    assert_eq!(client.me().unwrap(), json!({"answer": "a good one, of some length"}));
}

#[test]
fn an_extra_answer_is_not_read_as_the_next_one() {
    for late in [Duration::ZERO, Duration::from_millis(30)] {
        let planted = Act::json(200, &json!({"planted": true})).bytes();
        let twice = [good().bytes(), planted.clone()].concat();
        let server = Server::start(move |_, n| match (n, late.is_zero()) {
            (0, true) => Act::raw(twice.clone()),
            (0, false) => good().repeat(planted.clone(), 1),
            _ => good(),
        });
        let client = client(&server);
        for _ in 0..3 {
            assert!(client.me().unwrap().get("planted").is_none());
            std::thread::sleep(late);
        }
    }
}

#[test]
fn a_pooled_connection_closed_between_two_calls_is_replaced() {
    for end in [End::Close, End::Reset] {
        let server = Server::script([good().then(end), good()]);
        let client = client(&server);
        client.me().unwrap();
        server.wait_closed(1);
        client.me().unwrap();
        assert_eq!((server.count(), server.connections()), (2, 2), "{end:?}");
    }
}

#[test]
fn a_pooled_connection_closed_during_a_read_is_replaced_at_once() {
    for spoiled in [Act::close(), Act::reset()] {
        let server = Server::script([good(), spoiled.clone(), good(), spoiled, good()]);
        let client = client(&server);
        client.me().unwrap();
        within(AT_ONCE, || client.me()).unwrap();
        // A query only reads, too.
        let query = client.project(1).hogql("SELECT 1 LIMIT 1");
        within(AT_ONCE, || query.send()).unwrap();
        assert_eq!((server.count(), server.connections()), (5, 3));
    }
}

#[test]
fn a_write_on_a_pooled_connection_closed_during_the_call_is_not_repeated() {
    for spoiled in [Act::close(), Act::reset()] {
        let server = Server::script([good(), spoiled]);
        let client = client(&server);
        client.me().unwrap();
        let failed = error(client.post("/api/x/").json(json!({"a": 1})).send());
        assert_eq!(transport(&failed).call().unwrap().0, "POST");
        assert_eq!(server.count(), 2);
    }
}

#[test]
fn a_read_whose_connection_breaks_at_once_is_sent_once_more() {
    let long = "x".repeat(3_000_000);
    for (name, first) in [
        ("nothing before it", None),
        ("behind Connection: close", Some(good().header("Connection", "close").then(End::Close))),
        ("behind HTTP/1.0", Some(Act::raw("HTTP/1.0 200 OK\r\n\r\n[1]").then(End::Close))),
        ("behind a long error", Some(Act::status(500).body("text/html", long))),
        (
            "behind an error that is cut",
            Some(Act::status(500).body("text/html", "x").length(9).then(End::Close)),
        ),
    ] {
        let before = usize::from(first.is_some());
        let server = Server::script(first.into_iter().chain([Act::close(), Act::close()]));
        let client = client(&server);
        for _ in 0..before {
            let _ = client.me();
        }
        transport(&error_in(name, client.me()));
        assert_eq!(server.count(), before + 2, "{name}");
    }
}

#[test]
fn a_server_that_closes_every_connection_is_an_error_without_retries() {
    let server = Server::start(|_, n| if n < 4 { good() } else { Act::close() });
    let client = client(&server);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || client.me().is_ok())
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    transport(&error(client.me()));
    // Each pooled connection can be stale once. The last attempt uses a new one.
    assert!(server.count() <= 4 + 4 + 1, "{}", server.count());
}

#[test]
fn a_request_body_that_the_server_does_not_read_is_a_timeout() {
    let server = Server::at_connect(Act::deaf());
    let client = hasty(&server);
    let body = json!({"big": "x".repeat(6 * 1024 * 1024)});
    let failed = within(AT_ONCE, || error(client.post("/api/x/").json(body).send()));
    assert_eq!(timeout(&failed).call().unwrap().0, "POST");
}

#[test]
fn a_request_body_refused_halfway_is_an_error() {
    // The server answers and closes while the client is still sending.
    let server = Server::at_connect(
        Act::error(413, "client_error", "request_too_large", "Too much.").then(End::Reset),
    );
    let client = hasty(&server);
    let body = json!({"big": "x".repeat(6 * 1024 * 1024)});
    let failed = within(AT_ONCE, || error(client.post("/api/x/").json(body).send()));
    assert!([ErrorKind::Refused, ErrorKind::Broken].contains(&failed.kind()), "{failed:?}");
}

#[test]
fn the_timeout_of_a_call_replaces_that_of_the_client() {
    type Call = fn(&Client) -> posthog_api::Result<Value>;
    let server = Server::start(|_, _| Act::silence());
    let client = client(&server);
    let request: Call = |client| client.get("/api/x/").timeout(TIMEOUT).send();
    let query: Call = |client| client.project(1).hogql("SELECT 1").timeout(TIMEOUT).send();
    together([request, query], |call| {
        timeout(&within(SLOW, || error(call(&client))));
    });
}

#[test]
fn a_call_whose_timeout_is_zero_fails_at_once() {
    let server = Server::start(|_, _| Act::silence());
    let client = client(&server);
    let failed = within(AT_ONCE, || error(client.get("/api/x/").timeout(Duration::ZERO).send()));
    assert_eq!(failed.kind(), ErrorKind::Config, "{failed:?}");
}

#[test]
fn the_longest_timeout_of_a_client_does_not_panic() {
    let server = Server::script([good()]);
    let client = builder(server.url()).timeout(Duration::MAX).build();
    client.unwrap().me().unwrap();
}

#[test]
fn the_longest_connect_timeout_does_not_panic() {
    let server = Server::script([good()]);
    let client = builder(server.url()).connect_timeout(Duration::MAX).build();
    client.unwrap().me().unwrap();
}

#[test]
fn the_longest_timeout_of_a_call_does_not_panic() {
    let server = Server::script([good()]);
    let request = client(&server).get("/api/x/").timeout(Duration::MAX);
    request.send().unwrap();
}

#[test]
fn the_longest_timeout_of_a_background_query_does_not_panic() {
    let server = Server::script([Act::json(200, &json!({"results": [], "columns": []}))]);
    let query = client(&server).project(1).hogql("SELECT 1 LIMIT 1");
    query.background().timeout(Duration::MAX).send().unwrap();
}

#[test]
fn the_lookup_of_a_name_has_a_time_limit() {
    use posthog_api::ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
    use posthog_api::ureq::unversioned::transport::{DefaultConnector, NextTimeout};
    use posthog_api::ureq::{self, Agent, config::Config, http::Uri};

    /// Records the time limit that it gets, and finds nothing.
    #[derive(Debug)]
    struct Asked(std::sync::mpsc::Sender<bool>);
    impl Resolver for Asked {
        fn resolve(
            &self,
            _: &Uri,
            _: &Config,
            timeout: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let _ = self.0.send(!timeout.after.is_not_happening());
            Err(ureq::Error::HostNotFound)
        }
    }

    let (sender, asked) = std::sync::mpsc::channel();
    let agent =
        Agent::with_parts(agent().config().clone(), DefaultConnector::default(), Asked(sender));
    let client = builder("https://nothing.invalid").agent(agent).build().unwrap();
    let failed = error(client.me());
    assert!(transport(&failed).message().contains("nothing.invalid"), "{failed}");
    assert!(asked.recv().unwrap(), "the lookup has no limit");
}

#[test]
fn a_proxy_that_refuses_the_connection_is_an_error() {
    for (name, act, in_time) in [
        ("refuses", Act::raw("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), true),
        (
            "wants a password",
            Act::raw(
                "HTTP/1.1 407 Authenticate\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
            ),
            true,
        ),
        ("closes", Act::close(), true),
        ("talks nonsense", Act::raw("what?\r\n\r\n").then(End::Close), true),
        ("is silent", Act::silence(), false),
    ] {
        let proxy = Server::script([act]);
        let settings = posthog_api::ureq::Agent::config_builder()
            .proxy(Some(posthog_api::ureq::Proxy::new(&proxy.url()).unwrap()))
            .build();
        let client = builder("http://posthog.example")
            .allow_http(true)
            .connect_timeout(TIMEOUT)
            .agent(settings.new_agent())
            .build()
            .unwrap();
        let failed = within(AT_ONCE, || error(client.me()));
        assert_eq!(failed.to_string().contains("within 400ms"), !in_time, "{name}: {failed:?}");
        no_answer(&failed);
        assert_eq!(proxy.requests()[0].method, "CONNECT", "{name}");
    }
}

#[test]
fn a_read_whose_connection_breaks_later_than_at_once_is_not_sent_again() {
    let server = Server::script([Act::close().after(Duration::from_millis(1_200))]);
    transport(&error(client(&server).me()));
    server.all_requests();
}
