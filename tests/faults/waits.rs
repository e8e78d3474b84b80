//! Proves that every wait ends: with a deadline, with a pace, and where a server asks for too much.
use crate::support::expect::{api, timeout, transport};
use crate::support::{
    AT_ONCE, Act, End, Server, agent, builder, client, error, error_in, seen, together, within,
};
use posthog_api::{Client, Result, RetryPolicy};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The deadline of these tests, and when a call must have ended on a busy machine.
const LEFT: Duration = Duration::from_millis(300);
const ENDED: Duration = Duration::from_millis(1_500);

fn soon() -> Instant {
    Instant::now() + LEFT
}

type Call = fn(&Client) -> Result<Value>;

#[test]
fn a_slow_server_does_not_outlast_a_deadline() {
    let second = Duration::from_secs(1);
    let good = || Act::json(200, &json!({"answer": "of some length"}));
    let refused = || Act::error(400, "x", "y", "A detail of some length.");
    let json: Call = |client| client.me();
    let text: Call = |client| client.get("/api/x/").text().map(Value::from);
    let list: Call = |client| client.list("/api/x/").prefetch(2).all().map(Value::from);
    let query: Call = |client| client.project(1).hogql("SELECT 1").rows().map(|_| Value::Null);
    let rows = ["127.0.0.1", "localhost"].into_iter().flat_map(|host| {
        [
            ("no answer", Act::silence(), json),
            ("an answer that is not read", Act::deaf(), json),
            ("a slow header", good().drip(second), json),
            ("a slow body", good().drip_body(second), json),
            ("a slow text", good().drip_body(second), text),
            ("a slow body in chunks", good().chunked().drip_body(second), json),
            ("a slow body without a length", good().unframed().drip_body(second), json),
            ("a slow page", Act::page(&json!([1]), &Value::Null).drip_body(second), list),
            ("a slow query", good().drip_body(second), query),
            ("a slow header of an error", refused().drip(second), json),
            ("a slow redirect", Act::status(302).header("Location", "/x/").drip(second), json),
        ]
        .map(|row| (host, row))
    });
    together(rows, |(host, (name, act, call))| {
        let server = Server::script([act]);
        let name_of_host = format!("{host}:{}", server.address().port());
        let server = server.named(&name_of_host);
        let client =
            builder(format!("http://{name_of_host}")).build().unwrap().with_deadline(soon());
        let failed = within(ENDED, || error_in(name, call(&client)));
        assert!(timeout(&failed).message().contains("deadline"), "{name}: {failed}");
        drop(server);
    });
    // The status of an error is there: its body is cut.
    let server = Server::script([refused().drip_body(second)]);
    let failed = within(ENDED, || error(client(&server).with_deadline(soon()).me()));
    assert_eq!(failed.status(), Some(400));
    // A connection that is never accepted.
    let full = http_server::Listener::full().unwrap();
    let client =
        builder(format!("http://{}", full.address())).build().unwrap().with_deadline(soon());
    let failed = within(ENDED, || error(client.me()));
    assert!(timeout(&failed).message().contains("deadline"), "{failed}");
}

#[test]
fn a_deadline_holds_for_everything_made_from_its_handle_and_nothing_else() {
    let server = Server::start(|request, n| match request.method.as_str() {
        "GET" => Act::page(&json!([{"id": n}]), &json!(format!("?offset={n}"))),
        _ => Act::json(200, &json!({"columns": ["a"], "results": [], "hasMore": false})),
    });
    let client = client(&server);
    let project = client.project(1);
    let mut before = project.list("x").allow_missing_rows().items();
    assert!(before.next().unwrap().is_ok());
    let past = Instant::now();
    let late = project.with_deadline(past);
    // Of two deadlines the earlier holds, in either order.
    let never = Instant::now() + Duration::from_secs(3_600);
    let handles =
        [late.clone(), late.with_deadline(never), project.with_deadline(never).with_deadline(past)];
    let count = server.count();
    for late in handles.iter().chain([&late.client().project(1)]) {
        for failed in [
            error(late.get("x/").send()),
            error(late.get("x/").text()),
            error(late.get("x/").response()),
            error(late.post("x/").json(1).send()),
            error(late.list("x").all()),
            error(late.list("x").prefetch(3).pages().next().unwrap()),
            error(late.persons().first()),
            error(late.insight(5)),
            error(late.insight("abcdefgh")),
            error(late.person(5)),
            error(late.hogql("SELECT 1").rows()),
            error(late.hogql("SELECT 1").background().rows()),
            error(late.hogql("SELECT k FROM t").scan("k").into_iter().next().unwrap()),
            error(late.client().me()),
            error(late.client().project_named("a")),
        ] {
            assert!(timeout(&failed).call().is_some(), "{failed}");
        }
    }
    assert_eq!(server.count(), count, "something was sent");
    // What was made before has none.
    assert!(before.next().unwrap().is_ok());
    project.get("x/").send().unwrap();
    client.me().unwrap();
    project.with_deadline(never).hogql("SELECT 1").rows().unwrap();
}

#[test]
fn the_latest_possible_deadline_is_none() {
    // The last moment that a clock can show.
    let mut last = Instant::now();
    let mut step = Duration::from_secs(1 << 62);
    while !step.is_zero() {
        last = last.checked_add(step).unwrap_or(last);
        step /= 2;
    }
    let server = Server::start(|_, _| Act::json(200, &json!({"results": [], "columns": []})));
    let client = client(&server).with_deadline(last);
    client.me().unwrap();
    client.list("/api/x/").prefetch(3).all().unwrap();
    client.project(1).hogql("SELECT 1 LIMIT 1").background().send().unwrap();
}

#[test]
fn a_retry_that_does_not_fit_before_a_deadline_returns_the_error_of_the_answer() {
    let rows = [
        ("asked for", Act::error(429, "x", "y", "No.").header("Retry-After", "5")),
        ("its own", Act::error(503, "x", "y", "No.")),
    ];
    together(rows, |(name, act)| {
        let server = Server::script([act]);
        let policy = RetryPolicy::default();
        let client = builder(server.url()).retry(policy).build().unwrap();
        let client = client.with_deadline(Instant::now() + Duration::from_millis(240));
        let failed = within(ENDED, || error_in(name, client.me()));
        assert_eq!(api(&failed).detail(), Some("No."));
    });
}

#[test]
fn a_pace_that_outlasts_a_limit_is_a_timeout_at_once() {
    let answer = json!({"query_status": {"id": "q", "complete": false}});
    let server = Server::start(move |request, _| match request.method.as_str() {
        "POST" => Act::json(202, &answer),
        _ => Act::json(200, &json!({})),
    });
    let paced = || builder(server.url()).max_requests_per_minute(1).build().unwrap();
    let long = Duration::from_secs(50);
    let first = paced();
    first.me().unwrap();
    let count = server.count();
    let late = first.with_deadline(Instant::now() + long);
    for (name, result) in [
        ("a deadline", late.me()),
        ("a list", late.list("/api/x/").prefetch(4).all().map(Value::from)),
        (
            "a background query",
            first.project(1).hogql("SELECT 1").background().timeout(long).send(),
        ),
    ] {
        let failed = within(Duration::from_secs(1), || error_in(name, result));
        let words = timeout(&failed).message();
        assert!(words.contains("max_requests_per_minute"), "{name}: {words}");
    }
    assert_eq!(server.count(), count, "something was sent");
    // A poll: the query is cancelled, and that does not wait for the pace.
    let query = paced().project(1).hogql("SELECT 1").background().timeout(long);
    let failed = within(Duration::from_secs(2), || error(query.send()));
    assert!(timeout(&failed).message().contains("max_requests_per_minute"), "{failed}");
    let methods: Vec<String> = server.take_requests().into_iter().map(|r| r.method).collect();
    assert_eq!(methods, ["GET", "POST", "DELETE"]);
}

#[test]
fn a_wait_without_end_that_a_server_asks_for_does_not_panic() {
    struct Stop;
    for wait in ["18446744073709551615", "9223372036854775807", "99999999999999999"] {
        let act = move || Act::error(429, "x", "y", "No.").header("Retry-After", wait);
        let patient = RetryPolicy::default().max_wait(Duration::MAX).max_retries(u32::MAX);
        // The hook ends the wait before it begins.
        let server = Server::script([act()]);
        let client = builder(server.url()).retry(patient.clone());
        let client = client.on_retry(|_| std::panic::panic_any(Stop)).build().unwrap();
        let call = std::panic::AssertUnwindSafe(|| client.me());
        let ended = std::panic::catch_unwind(call).unwrap_err();
        assert!(ended.is::<Stop>(), "another panic than that of the hook");
        // A deadline, and the default policy.
        let server = Server::start(move |_, _| act());
        let client = builder(server.url()).retry(patient).build().unwrap();
        let failed = error(client.with_deadline(soon()).me());
        let expected = Duration::from_secs(wait.parse().unwrap());
        assert_eq!(failed.retry_after(), Some(expected));
        // A list with pages ahead.
        let late = client.with_deadline(soon());
        let mut late = late.list("/api/x/").prefetch(2).items();
        within(ENDED, || seen(late.next().unwrap().unwrap_err()));
    }
}

#[test]
fn a_name_is_looked_up_with_a_limit_until_a_connection_was_made() {
    use posthog_api::ureq::unversioned::resolver::{
        DefaultResolver, ResolvedSocketAddrs, Resolver,
    };
    use posthog_api::ureq::unversioned::transport::{DefaultConnector, NextTimeout};
    use posthog_api::ureq::{self, Agent, config::Config, http::Uri};

    #[derive(Debug)]
    struct Limits(std::sync::Arc<AtomicUsize>, std::sync::mpsc::Sender<bool>);
    impl Resolver for Limits {
        fn resolve(
            &self,
            uri: &Uri,
            config: &Config,
            timeout: NextTimeout,
        ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
            let _ = self.1.send(!timeout.after.is_not_happening());
            if self.0.fetch_add(1, SeqCst) == 0 {
                return Err(ureq::Error::HostNotFound);
            }
            DefaultResolver::default().resolve(uri, config, timeout)
        }
    }

    // Each answer ends the connection, so that each call looks the name up.
    let server = Server::start(|_, _| {
        Act::json(200, &json!({})).header("Connection", "close").then(End::Close)
    });
    let name = format!("localhost:{}", server.address().port());
    let server = server.named(&name);
    let (sender, limits) = std::sync::mpsc::channel();
    let resolver = Limits(AtomicUsize::new(0).into(), sender);
    let agent = Agent::with_parts(agent().config().clone(), DefaultConnector::default(), resolver);
    let client = builder(format!("http://{name}")).agent(agent).build().unwrap();
    transport(&error(client.me()));
    for _ in 0..3 {
        within(AT_ONCE, || client.me()).unwrap();
    }
    client.clone().with_deadline(Instant::now() + AT_ONCE).me().unwrap();
    drop((client, server));
    // With a deadline a thread is started in any case, so the lookup has a limit too.
    assert_eq!(limits.into_iter().collect::<Vec<_>>(), [true, true, false, false, true]);
}

#[test]
fn a_hook_that_calls_its_own_failing_client_is_not_called_for_that() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let own: std::sync::Arc<std::sync::OnceLock<Client>> = std::sync::Arc::default();
    let server = Server::start(|request, _| {
        if request.path() == "/api/x/" && request.param("offset").is_none() {
            return Act::page(&json!([1]), &json!("?offset=1"));
        }
        Act::error(503, "x", "y", "No.").header("Retry-After", "0")
    });
    let inner = own.clone();
    let hooked = builder(server.url()).retry(RetryPolicy::default().max_retries(2));
    let hooked = hooked.on_retry(move |_| {
        assert!(CALLS.fetch_add(1, SeqCst) < 50, "it calls itself");
        let client = inner.get().unwrap();
        assert!(client.me().is_err());
        for prefetch in [0, 3] {
            let list = client.list("/api/x/").prefetch(prefetch);
            assert!(list.all().is_err());
        }
    });
    own.set(hooked.build().unwrap()).unwrap();
    let client = own.get().unwrap();
    error(client.me());
    assert_eq!(CALLS.load(SeqCst), 2);
    // On the threads of a list too.
    let failed = error(client.list("/api/x/").prefetch(3).all());
    api(&failed);
    // A page that fails ahead is requested once more.
    assert!((4..=6).contains(&CALLS.load(SeqCst)), "{CALLS:?}");
}

#[test]
fn a_hook_that_panicked_is_called_again() {
    let calls = std::sync::Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let server = Server::start(|_, _| Act::error(503, "x", "y", "No.").header("Retry-After", "0"));
    let client = builder(server.url()).retry(RetryPolicy::default());
    let client = client.on_retry(move |_| {
        assert!(count.fetch_add(1, SeqCst) > 0, "the first panics");
    });
    let client = client.build().unwrap();
    let call = std::panic::AssertUnwindSafe(|| client.me());
    assert!(std::panic::catch_unwind(call).is_err());
    error(client.me());
    assert_eq!(calls.load(SeqCst), 4);
}
