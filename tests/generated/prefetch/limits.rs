//! Proves that nothing goes on after an iterator is dropped or its deadline has passed.
use super::script::throttled;
use crate::support::{Act, Server, builder, together, within};
use posthog_api::RetryPolicy;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// A page of a list without an end.
fn endless(offset: u64) -> Act {
    let next = format!("http://in.example/?limit=2&offset={}", offset + 2);
    Act::page(&json!([{"id": offset}, {"id": offset + 1}]), &json!(next))
}

fn offset(request: &crate::support::Request) -> u64 {
    request.param("offset").map_or(0, |n| n.parse().unwrap())
}

fn tireless() -> RetryPolicy {
    RetryPolicy::default().max_retries(1_000_000).max_wait(Duration::from_secs(60))
}

#[test]
fn after_a_drop_no_request_begins() {
    // From page 10 on, the server answers well, asks for another try at once, asks for one in a
    // second, or does not answer in time.
    type Later = fn() -> Option<Act>;
    let acts: [(&str, Later); 4] = [
        ("good", || None),
        ("again at once", || Some(throttled("0"))),
        ("again in a second", || Some(throttled("1"))),
        ("slow", || Some(Act::status(200).after(Duration::from_millis(60)))),
    ];
    let rows = acts.iter().flat_map(|act| [1, 4, 12].map(|ahead| (act, ahead)));
    together(rows, |((name, act), ahead)| {
        let act = *act;
        let server = Server::start(move |request, _| {
            thread::sleep(Duration::from_millis(2));
            let offset = offset(request);
            let other = (offset >= 20).then(act).flatten();
            other.unwrap_or_else(|| endless(offset))
        });
        let client = builder(server.url()).retry(tireless()).build().unwrap();
        let mut items = client.list("/api/things/").page_size(2).prefetch(ahead).items();
        for id in 0..20 {
            assert_eq!(items.next().unwrap().unwrap(), json!({"id": id}));
        }
        thread::sleep(Duration::from_millis(20));
        within(Duration::from_secs(1), || drop(items));
        // What was sent before the drop may still arrive.
        let sent = server.count();
        thread::sleep(Duration::from_millis(500));
        let arrived = server.count();
        assert!(arrived <= sent + ahead + 1, "{name}, {ahead} ahead: {sent}, then {arrived}");
        thread::sleep(Duration::from_millis(1_100));
        assert_eq!(server.count(), arrived, "{name}, {ahead} ahead: requests after the drop");
    });
}

#[test]
fn with_a_deadline_a_list_ends_in_time() {
    const LIMIT: Duration = Duration::from_millis(500);
    // What the server does from page 4 on, and which errors can follow: a throttled request may be
    // the last thing before the deadline.
    type Later = fn(u64) -> Act;
    let acts: [(&str, Later, &[posthog_api::ErrorKind]); 5] = [
        ("nothing", |_| Act::silence(), &[posthog_api::ErrorKind::Timeout]),
        (
            "slow bytes",
            |at| endless(at).drip_body(Duration::from_millis(50)),
            &[posthog_api::ErrorKind::Timeout],
        ),
        ("good pages without end", endless, &[posthog_api::ErrorKind::Timeout]),
        (
            "429 at once",
            |_| throttled("0").after(Duration::from_millis(5)),
            &[posthog_api::ErrorKind::Timeout, posthog_api::ErrorKind::RateLimited],
        ),
        ("a long wait", |_| throttled("1"), &[posthog_api::ErrorKind::RateLimited]),
    ];
    let rows = acts.iter().flat_map(|act| [0, 1, 5, 12].map(|ahead| (act, ahead)));
    together(rows, |(&(name, act, errors), ahead)| {
        let server = Server::start(move |request, _| {
            thread::sleep(Duration::from_millis(2));
            let at = offset(request);
            if at < 8 { endless(at) } else { act(at) }
        });
        let client = builder(server.url()).retry(tireless()).build().unwrap();
        let start = Instant::now();
        let client = client.with_deadline(start + LIMIT);
        let things = client.list("/api/things/").page_size(2).prefetch(ahead);
        let mut end = None;
        let mut rows = 0;
        for row in things.items() {
            rows += u64::from(row.is_ok());
            end = Some(row);
        }
        let took = start.elapsed();
        let last = end.unwrap().unwrap_err();
        assert!(errors.contains(&last.kind()), "{name}, {ahead} ahead: {last}");
        assert!(rows >= 8, "{name}, {ahead} ahead: {rows} rows");
        assert!(took < LIMIT + Duration::from_millis(600), "{name}, {ahead} ahead: {took:?}");
    });
}
