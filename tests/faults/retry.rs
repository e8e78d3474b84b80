//! Proves what is retried and what is not: no write that the server may have done is sent twice,
//! and every wait ends.
use crate::support::expect::{api, timeout, transport};
use crate::support::{
    AT_ONCE, Act, End, KEY, Request, SLOW, Server, TIMEOUT, Waits, agent, builder, client, error,
    error_in, hasty, together, trying, watched, within,
};
use posthog_api::ureq::config::Config;
use posthog_api::ureq::http::Uri;
use posthog_api::ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use posthog_api::ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use posthog_api::ureq::{self, Agent};
use posthog_api::{Auth, Client, ErrorKind, RetryPolicy};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

fn good() -> Act {
    Act::json(200, &json!({"results": [[1]], "columns": ["a"], "good": true}))
}

fn status(status: u16) -> Act {
    Act::error(status, "server_error", "error", "Oh.")
}

/// Every fault that a retry may fix. Where the server can name a wait, it names zero.
fn passing() -> Vec<(&'static str, Act)> {
    let throttled = |wait: &str| status(429).header("Retry-After", wait);
    vec![
        ("reset before the answer", Act::reset()),
        ("closed before the answer", Act::close()),
        ("reset in the status line", good().first(9).then(End::Reset)),
        ("closed in the header", good().first(40)),
        ("reset in the header", good().first(40).then(End::Reset)),
        ("closed before the body", good().header_only()),
        ("cut in the body", good().cut(5)),
        ("reset in the body", good().cut(5).then(End::Reset)),
        ("cut in a chunked body", good().chunked().cut(20)),
        ("cut in a gzip body", good().gzip().cut(5)),
        ("429, Retry-After 0", throttled("0")),
        ("429, a date that is past", throttled("Sun, 06 Nov 1994 08:49:37 GMT")),
        ("429, nothing said", status(429)),
        ("429, garbage", throttled("soon")),
        ("429, negative", throttled("-5")),
        ("408", status(408)),
        ("502", status(502)),
        ("502 of a web page", Act::status(502).body("text/html", "<p>")),
        ("503", status(503)),
        ("503, Retry-After 0", status(503).header("Retry-After", "0")),
        ("520", status(520)),
        ("521", status(521)),
        ("522", status(522)),
        ("523", status(523)),
        ("525", status(525)),
        ("526", status(526)),
        ("527", status(527)),
        ("530", status(530)),
    ]
}

/// Every fault after which a write may have been done.
fn doubtful() -> Vec<(&'static str, Act)> {
    let mut faults = passing();
    faults.retain(|(name, _)| !name.starts_with("429"));
    faults.extend([
        ("500", status(500)),
        ("504", status(504)),
        ("silence", Act::silence()),
        ("silence in the header", good().first(40).then(End::Silence)),
        ("silence in the body", good().cut(5).then(End::Silence)),
        ("a body without a length that is cut", good().cut(5).unframed()),
        ("garbage", Act::raw("what?\r\n\r\n").then(End::Close)),
        ("a web page", Act::status(200).body("text/html", "<p>")),
        ("gzip that is none", good().header("Content-Encoding", "gzip")),
        (
            "an interim answer, then the end",
            Act::raw("HTTP/1.1 100 Continue\r\n\r\n").then(End::Close),
        ),
    ]);
    faults
}

/// Only a silent server needs a client with a short timeout.
fn patience(fault: &str) -> Duration {
    if fault.starts_with("silence") { TIMEOUT } else { AT_ONCE }
}

type Call = fn(&Client) -> posthog_api::Result<Value>;

/// Calls that only read.
const READS: [(&str, Call); 3] = [
    ("a GET", |client| client.me()),
    ("a query", |client| client.project(1).hogql("SELECT 1 AS a LIMIT 1").send()),
    ("a list", |client| client.project(1).list("x").all().map(Value::from)),
];

/// Calls that may write.
const WRITES: [(&str, Call); 4] = [
    ("POST", |client| client.post("/api/x/").json(json!({"a": 1})).send()),
    ("PUT", |client| client.put("/api/x/").json(json!({"a": 1})).send()),
    ("PATCH", |client| client.patch("/api/x/").json(json!({"a": 1})).send()),
    ("DELETE", |client| client.delete("/api/x/").send()),
];

#[test]
fn a_read_succeeds_after_two_faults_of_each_kind() {
    let rows = passing().into_iter().flat_map(|fault| READS.map(|read| (fault.clone(), read)));
    together(rows, |((fault, act), (name, call))| {
        let server = Server::script([act.clone(), act, good()]);
        let got = call(&trying(&server, 2)).unwrap_or_else(|e| panic!("{name}, {fault}: {e}"));
        assert!(got == json!([[1]]) || got["good"] == true, "{name}, {fault}: {got}");
        let requests = server.requests();
        assert_eq!(requests.len(), 3, "{name}, {fault}");
        let call = |r: &Request| (r.method.clone(), r.target.clone(), r.body.clone());
        assert!(requests.iter().all(|r| call(r) == call(&requests[0])), "{name}, {fault}");
    });
}

#[test]
fn a_read_is_not_retried_more_than_max_retries() {
    for retries in [0, 1, 4] {
        for (name, call) in READS {
            let again = status(503).header("Retry-After", "0");
            let server = Server::start(move |_, _| again.clone());
            let failed = error_in(name, call(&trying(&server, retries)));
            assert_eq!(failed.status(), Some(503), "{name}");
            assert_eq!(server.count(), retries as usize + 1, "{name}");
        }
    }
}

#[test]
fn a_write_that_may_have_been_done_is_sent_once() {
    let rows = doubtful().into_iter().flat_map(|fault| WRITES.map(|write| (fault.clone(), write)));
    together(rows, |((fault, act), (method, call))| {
        let server = Server::script([act]);
        let client = builder(server.url())
            .timeout(patience(fault))
            .retry(RetryPolicy::patient())
            .on_retry(|event| panic!("a wait: {event:?}"))
            .build()
            .unwrap();
        let failed = error_in(fault, call(&client));
        assert!(failed.may_have_been_done(), "{method}, {fault}: {failed}");
        let requests = server.requests();
        assert_eq!(requests.len(), 1, "{method}, {fault}");
        assert_eq!(requests[0].method, method);
    });
}

#[test]
fn a_write_that_was_refused_or_not_sent_was_not_done_and_a_read_changes_nothing() {
    for (method, call) in WRITES {
        let refused = builder(crate::support::REFUSED).build().unwrap();
        let unsent = [error_in(method, call(&refused))];
        let answered = [400, 401, 403, 404, 405, 409, 429].map(|code| {
            let server = Server::script([status(code)]);
            error_in(method, call(&client(&server)))
        });
        // Nothing shows whether a request without a body was sent.
        let sent = method == "DELETE";
        assert_eq!(unsent[0].may_have_been_done(), sent, "{method}: {}", unsent[0]);
        for failed in answered {
            assert!(!failed.may_have_been_done(), "{method}: {failed}");
        }
    }
    for (name, call) in READS {
        for act in [Act::status(500), good().cut(5), Act::status(200).body("text/html", "<p>")] {
            let server = Server::script([act]);
            assert!(!error_in(name, call(&client(&server))).may_have_been_done(), "{name}");
        }
    }
}

#[test]
fn a_write_on_a_pooled_connection_that_breaks_is_sent_once() {
    for (method, call) in WRITES {
        for (fault, act) in doubtful().into_iter().take(10) {
            let server = Server::script([good(), act]);
            let client = builder(server.url()).retry(RetryPolicy::patient()).build().unwrap();
            client.me().unwrap();
            transport(&error_in(fault, call(&client)));
            assert_eq!(server.count(), 2, "{method}, {fault}");
        }
    }
}

#[test]
fn a_throttled_write_is_retried() {
    for (method, call) in WRITES {
        let throttled = status(429).header("Retry-After", "0");
        let server = Server::script([throttled.clone(), throttled, good()]);
        call(&trying(&server, 2)).unwrap();
        let requests = server.requests();
        assert!(requests.iter().all(|r| r.method == method && r.body == requests[0].body));
    }
}

#[test]
fn an_error_that_a_retry_cannot_fix_is_not_retried() {
    let rows = [
        ("400", status(400)),
        ("401", status(401)),
        ("402", status(402)),
        ("403", status(403)),
        ("404", status(404)),
        ("405", status(405)),
        ("409", status(409)),
        ("413", status(413)),
        ("414", status(414)),
        ("504", status(504)),
        ("512", status(512)),
        ("528", status(528)),
        ("400, Retry-After 0", status(400).header("Retry-After", "0")),
        ("504, Retry-After 0", status(504).header("Retry-After", "0")),
        ("silence", Act::silence()),
        ("silence in the body", good().cut(5).then(End::Silence)),
        ("garbage", Act::raw("what?\r\n\r\n").then(End::Close)),
        ("a web page", Act::status(200).body("text/html", "<p>")),
        ("no JSON", Act::status(200).body("application/json", "{")),
        ("a redirect elsewhere", Act::status(302).header("Location", "https://evil.example/")),
        ("gzip that is none", good().header("Content-Encoding", "gzip")),
    ];
    let rows = rows.into_iter().flat_map(|fault| READS.map(|read| (fault.clone(), read)));
    together(rows, |((fault, act), (name, call))| {
        let server = Server::script([act]);
        let client = builder(server.url())
            .timeout(patience(fault))
            .retry(RetryPolicy::patient())
            .on_retry(|event| panic!("a wait: {event:?}"))
            .build()
            .unwrap();
        let failed = within(SLOW * 2, || error_in(fault, call(&client)));
        assert!(!failed.may_have_been_done(), "{name}, {fault}");
        assert_eq!(server.count(), 1, "{name}, {fault}");
    });
}

#[test]
fn a_500_is_retried_once() {
    together(READS, |(name, call)| {
        let server = Server::script([status(500), status(500)]);
        let failed = error_in(name, call(&trying(&server, 3)));
        assert_eq!(api(&failed).detail(), Some("Oh."));
        assert_eq!(server.count(), 2, "{name}");
    });
}

#[test]
fn a_second_500_is_not_retried_after_other_faults() {
    let again = || status(503).header("Retry-After", "0");
    let server = Server::script([status(500), again(), again(), status(500)]);
    let failed = error(trying(&server, 9).me());
    assert_eq!((failed.status(), server.count()), (Some(500), 4));
}

#[test]
fn a_read_succeeds_after_faults_of_several_kinds() {
    let throttled = status(429).header("Retry-After", "0");
    let server = Server::script([throttled.clone(), Act::reset(), throttled, good()]);
    trying(&server, 3).me().unwrap();
}

#[test]
fn the_last_error_is_returned() {
    let server = Server::script([
        status(503).header("Retry-After", "0"),
        Act::error(403, "authentication_error", "permission_denied", "No."),
    ]);
    let failed = error(trying(&server, 3).me());
    assert!(failed.kind() == posthog_api::ErrorKind::PermissionDenied, "{failed}");
}

/// Resolves once to nothing, or to a port that refuses, and then to the server.
#[derive(Debug)]
struct Late {
    looked: Arc<AtomicUsize>,
    refuses: bool,
    server: SocketAddr,
}

impl Resolver for Late {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        found.push(match self.looked.fetch_add(1, SeqCst) {
            // No server has port 1.
            0 if self.refuses => SocketAddr::from(([127, 0, 0, 1], 1)),
            0 => return Err(ureq::Error::HostNotFound),
            _ => self.server,
        });
        Ok(found)
    }
}

/// A client that needs a retry to find `server`, and how often it looked.
fn late(server: &Server, refuses: bool) -> (Client, Arc<AtomicUsize>) {
    let looked = Arc::new(AtomicUsize::new(0));
    let late = Late { looked: looked.clone(), refuses, server: server.address() };
    let settings = agent().config().clone();
    let client = builder("http://late.example")
        .allow_http(true)
        .agent(Agent::with_parts(settings, DefaultConnector::default(), late))
        .retry(RetryPolicy::default().max_retries(1));
    (client.build().unwrap(), looked)
}

#[test]
fn a_refused_connection_is_retried_by_reads_and_by_writes_with_a_body() {
    let calls = WRITES.into_iter().chain(READS).filter(|(name, _)| *name != "DELETE");
    together(calls, |(name, call)| {
        let server = Server::script([good()]).named("late.example");
        call(&late(&server, true).0).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(server.count(), 1, "{name}");
    });
}

#[test]
fn a_failed_lookup_is_retried_by_every_method() {
    together(WRITES.into_iter().chain(READS), |(name, call)| {
        let server = Server::script([good()]).named("late.example");
        call(&late(&server, false).0).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(server.count(), 1, "{name}");
    });
}

/// Nothing shows whether a request without a body was sent before the error.
#[test]
fn a_refused_connection_is_not_retried_by_a_write_without_a_body() {
    let server = Server::stranger();
    let (client, looked) = late(&server, true);
    let failed = error(client.delete("/api/x/").send());
    assert_eq!(transport(&failed).kind(), ErrorKind::Connect);
    assert_eq!(looked.load(SeqCst), 1);
}

#[test]
fn an_unfinished_handshake_is_retried_by_every_method() {
    let calls = [READS[0], WRITES[0]];
    together(calls, |(name, call)| {
        let server = Server::at_connect(Act::silence());
        let client = builder(server.url().replace("http:", "https:"))
            .connect_timeout(TIMEOUT)
            .retry(RetryPolicy::default().max_retries(1))
            .build()
            .unwrap();
        let failed = within(AT_ONCE, || error_in(name, call(&client)));
        assert_eq!(failed.kind(), ErrorKind::Connect, "{name}: {failed}");
        server.wait_closed(2);
        assert_eq!(server.connections(), 2, "{name}");
    });
}

/// A client with this policy, and its waits.
fn watching(server: &Server, policy: RetryPolicy) -> (Client, Waits) {
    let (builder, waits) = watched(builder(server.url()).retry(policy));
    (builder.build().unwrap(), waits)
}

#[test]
fn on_retry_sees_each_wait() {
    let server = Server::script([
        good().cut(5),
        status(502).header("Retry-After", "0"),
        status(429).header("Retry-After", "0"),
        good(),
    ]);
    let (client, waits) = watching(&server, RetryPolicy::default());
    client.project(1).get("things/").param("a", "b").send().unwrap();
    let waits = waits.all();
    let told: Vec<_> = waits.iter().map(|w| (w.retry, w.status)).collect();
    assert_eq!(told, [(Some(1), None), (Some(2), Some(502)), (Some(3), Some(429))]);
    assert!(waits.iter().all(|w| w.call == "GET /api/projects/1/things/"), "{waits:?}");
    assert!(!waits[0].reason.is_empty() && waits[1].reason.contains("Oh"), "{waits:?}");
    assert_eq!(waits[2].time, Duration::ZERO);
}

#[test]
fn on_retry_does_not_see_a_key_in_an_answer() {
    let detail = format!("Personal API key {KEY} is tired.");
    let server = Server::script([
        Act::error(429, "throttled_error", "throttled", &detail).header("Retry-After", "0"),
        Act::status(503).body("text/html", format!("<p>{KEY}")).header("Retry-After", "0"),
        good(),
    ]);
    let (client, waits) = watching(&server, RetryPolicy::default());
    client.me().unwrap();
    let waits = waits.all();
    assert!(waits[0].reason.contains("is tired"), "{waits:?}");
    assert_eq!(waits.len(), 2);
}

#[test]
fn waits_double_with_jitter() {
    let server = Server::script([status(502), status(502), good()]);
    let (client, waits) = watching(&server, RetryPolicy::default());
    let start = Instant::now();
    client.me().unwrap();
    let waits: Vec<u128> = waits.all().iter().map(|w| w.time.as_millis()).collect();
    assert!((250..=500).contains(&waits[0]) && (500..=1000).contains(&waits[1]), "{waits:?}");
    assert!(start.elapsed().as_millis() >= waits.iter().sum(), "it did not wait");
}

#[test]
fn the_wait_that_the_server_demands_is_used() {
    let detail = "Request was throttled. Expected available in 1 second.";
    let acts = [
        ("by the header", status(429).header("Retry-After", "1")),
        ("by the detail", Act::error(429, "throttled_error", "throttled", detail)),
        ("by the header of a 503", status(503).header("Retry-After", "1")),
    ];
    together(acts, |(name, act)| {
        let server = Server::script([act, good()]);
        let (client, waits) = watching(&server, RetryPolicy::default());
        let start = Instant::now();
        client.me().unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1), "{name}: it did not wait");
        assert_eq!(waits.all()[0].time, Duration::from_secs(1), "{name}");
    });
}

#[test]
fn the_waits_of_a_call_stay_within_max_wait() {
    let rows = [
        ("its own", status(502), 700),
        ("asked for", status(429).header("Retry-After", "1"), 1_500),
        ("nothing", status(502), 0),
        ("less than the first", status(502), 200),
    ];
    together(rows, |(name, act, most)| {
        let server = Server::start(move |_, _| act.clone());
        let most = Duration::from_millis(most);
        let policy = RetryPolicy::default().max_retries(6).max_wait(most);
        let (client, waits) = watching(&server, policy);
        let start = Instant::now();
        let failed = error_in(name, client.me());
        let took = start.elapsed();
        let total: Duration = waits.all().iter().map(|w| w.time).sum();
        assert!(total <= most, "{name}: {total:?}");
        assert!(took < most + Duration::from_secs(1), "{name}: {took:?}");
        assert_eq!(waits.all().len() + 1, server.count(), "{name}");
        assert!(failed.status().is_some(), "{name}");
    });
}

#[test]
fn a_hundred_retries_without_a_wait_end() {
    let server = Server::start(|_, _| status(429).header("Retry-After", "0"));
    let failed = within(AT_ONCE, || error(trying(&server, 100).me()));
    assert!(
        failed.kind() == posthog_api::ErrorKind::RateLimited
            && failed.retry_after() == Some(Duration::ZERO)
    );
    assert_eq!(server.count(), 101);
}

#[test]
fn retry_policy_none_sends_a_read_twice_at_most() {
    for (fault, act) in passing() {
        // A read whose connection broke before the answer's header was there is sent once more.
        let at_once = ["before the answer", "status line", "header"];
        let most = 1 + usize::from(at_once.iter().any(|place| fault.ends_with(place)));
        let server = Server::script(vec![act; most]);
        error_in(fault, client(&server).me());
        assert_eq!(server.count(), most, "{fault}");
    }
}

#[test]
fn a_retry_within_a_list_does_not_lose_or_repeat_a_row() {
    let server = Server::script([
        Act::page(&json!([1, 2]), &json!("?offset=2")),
        status(503).header("Retry-After", "0"),
        status(429).header("Retry-After", "0"),
        Act::page(&json!([3]), &json!("?offset=3")),
        Act::reset(),
        Act::page(&json!([4]), &Value::Null),
    ]);
    let rows = trying(&server, 2).project(1).list("x").all().unwrap();
    assert_eq!(rows, [1, 2, 3, 4]);
}

#[test]
fn each_retry_sends_the_key_in_the_body() {
    let again = status(429).header("Retry-After", "0");
    let server = Server::script([again.clone(), again, good()]).expects(crate::support::Way::Body);
    let client =
        builder(server.url()).auth(Auth::Body).retry(RetryPolicy::default()).build().unwrap();
    client.post("/api/x/").json(json!({"a": 1})).send().unwrap();
    let sent = json!({"personal_api_key": KEY, "a": 1});
    assert!(server.all_requests().iter().all(|r| r.json() == sent));
}

#[test]
fn a_timeout_of_an_answer_is_never_retried() {
    let server = Server::script([Act::silence()]);
    let failed = within(SLOW, || error(hasty(&server).project(1).hogql("SELECT 1 LIMIT 1").send()));
    assert_eq!(timeout(&failed).call().unwrap().0, "POST");
}
