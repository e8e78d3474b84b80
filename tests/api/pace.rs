//! Proves that `max_requests_per_minute` spreads the requests, and that the hook sees the long waits.
use crate::support::{Act, Server, builder, watched};
use crate::wire::empty;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// The difference that the clocks of two processors can have.
const SLACK: Duration = Duration::from_millis(5);

#[test]
fn requests_are_spread_over_61_seconds() {
    let server = empty();
    let (builder, waits) = watched(builder(server.url()).max_requests_per_minute(610));
    let client = builder.build().unwrap();
    let slot = Duration::from_millis(100);
    let start = Instant::now();
    for n in 0..4 {
        client.project(1).list("things").param("n", n).page().unwrap();
        assert!(start.elapsed() + SLACK >= slot * n, "request {n} after {:?}", start.elapsed());
    }
    // Clones share one pace, and unused time is not saved.
    thread::sleep(Duration::from_millis(250));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            let client = client.clone();
            scope.spawn(move || client.project(1).hogql("select 1").send().unwrap());
        }
    });
    assert!(start.elapsed() + SLACK >= slot * 3, "{:?}", start.elapsed());
    assert_eq!(server.count(), 8);
    // The hook does not see short waits.
    assert!(waits.all().is_empty(), "{:?}", waits.all());
}

#[test]
fn the_hook_sees_a_wait_of_more_than_a_second() {
    let server = empty();
    let (builder, waits) = watched(builder(server.url()).max_requests_per_minute(50));
    let client = builder.build().unwrap();
    let start = Instant::now();
    for _ in 0..2 {
        client.project(1).list("things").page().unwrap();
    }
    let slot = Duration::from_millis(1_220);
    assert!(start.elapsed() + SLACK >= slot, "{:?}", start.elapsed());
    let waits = waits.all();
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert_eq!((waits[0].call.as_str(), waits[0].retry), ("GET /api/projects/1/things/", None));
    assert!(waits[0].time > Duration::from_secs(1) && waits[0].time <= slot + SLACK, "{waits:?}");
}

#[test]
fn nothing_waits_without_a_pace() {
    let server = empty();
    let (builder, waits) = watched(builder(server.url()));
    let client = builder.build().unwrap();
    for _ in 0..5 {
        client.project(1).list("things").page().unwrap();
    }
    assert!(waits.all().is_empty());
}

#[test]
fn pages_that_are_foreseen_wait_while_the_pace_is_behind() {
    let server = Server::start(|request, _| {
        let offset: u64 = request.param("offset").map_or(0, |n| n.parse().unwrap());
        let next = format!("http://in.example/?offset={}", offset + 1);
        Act::json(200, &json!({"results": [{"id": offset}], "next": next}))
    });
    let client = builder(server.url()).max_requests_per_minute(610).build().unwrap();
    let mut items = client.project(1).list("things").prefetch(8).items();
    // Else each of these requests would wait for eight slots of 100 ms.
    let waited = [14, 10, 10].map(|pages| {
        assert_eq!(items.by_ref().take(pages).map(Result::unwrap).count(), pages);
        let start = Instant::now();
        client.me().unwrap();
        start.elapsed()
    });
    let most = Duration::from_millis(550);
    assert!(waited.iter().all(|time| *time < most), "{waited:?}");
}
