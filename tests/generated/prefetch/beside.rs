//! Proves what a failure means for the requests that run beside it: which are sent again and which
//! are not, and how many may run after it.
use super::script::throttled;
use crate::support::{Act, Server, builder, together};
use posthog_api::{Client, RetryPolicy};
use serde_json::json;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const ROWS: u64 = 2;

fn offset(request: &crate::support::Request) -> u64 {
    request.param("offset").map_or(0, |n| n.parse().unwrap())
}

fn link(offset: u64, next: u64) -> Act {
    let next = format!("http://in.example/?limit={ROWS}&offset={next}");
    Act::page(&json!([{"id": offset}, {"id": offset + 1}]), &json!(next))
}

/// A page of a list of equal pages.
fn page(offset: u64, pages: u64) -> Act {
    if offset + ROWS < pages * ROWS {
        return link(offset, offset + ROWS);
    }
    Act::page(&json!([{"id": offset}, {"id": offset + 1}]), &json!(null))
}

fn busy() -> Act {
    Act::error(503, "server_error", "error", "Busy.")
}

fn ids(client: &Client, ahead: usize) -> Vec<u64> {
    let list = client.list("/api/things/").page_size(2).prefetch(ahead);
    list.items().map(|row| row.unwrap()["id"].as_u64().unwrap()).collect()
}

/// From the page at 4 the list goes on at 10,000, so that the pages that were foreseen from 6 on
/// are given up.
const JUMP: u64 = 10_000;
const GIVEN_UP: u64 = 6;

#[test]
fn a_failure_beside_requests_that_were_given_up_is_asked_for_again_alone() {
    // Beside one of them, the next page is sent ahead too; beside two, there is no room for it.
    let rows = [1, 2].into_iter().flat_map(|slow| [0, 2, 4, 6].map(|later| (slow, JUMP + later)));
    together(rows, |(slow, fails_from)| {
        let running = AtomicUsize::new(0);
        let server = Server::start(move |request, _| match offset(request) {
            4 => link(4, JUMP).after(Duration::from_millis(50)),
            at if (GIVEN_UP..GIVEN_UP + slow * ROWS).contains(&at) => {
                running.fetch_add(1, SeqCst);
                thread::sleep(Duration::from_millis(500));
                running.fetch_sub(1, SeqCst);
                page(at, 1_000)
            }
            at if at >= fails_from && running.load(SeqCst) > 0 => busy(),
            at => page(at, (JUMP + 20) / ROWS),
        });
        let client = builder(server.url()).build().unwrap();
        let expected: Vec<u64> = (0..6).chain(JUMP..JUMP + 20).collect();
        assert_eq!(ids(&client, 4), expected, "{slow} slow, {fails_from}");
    });
}

#[test]
fn a_request_that_was_given_up_makes_no_further_attempt() {
    let late = Duration::from_millis(500);
    let rows = [
        ("given up during its wait", throttled("1")),
        ("given up before its answer", throttled("1").after(late)),
        ("a retry at once", throttled("0").after(late)),
        ("a connection that breaks", Act::close().after(late)),
    ];
    together(rows, |(name, act)| {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let server = Server::start(move |request, _| match offset(request) {
            4 => link(4, JUMP).after(Duration::from_millis(50)),
            GIVEN_UP => {
                count.fetch_add(1, SeqCst);
                act.clone()
            }
            at => page(at, (JUMP + 8) / ROWS),
        });
        let waits = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&waits);
        let client = builder(server.url()).retry(RetryPolicy::default()).on_retry(move |_| {
            seen.fetch_add(1, SeqCst);
        });
        let client = client.build().unwrap();
        let mut items = client.list("/api/things/").page_size(2).prefetch(2).items();
        assert_eq!(items.by_ref().map(Result::unwrap).count(), 14, "{name}");
        thread::sleep(Duration::from_millis(1_300));
        drop(items);
        assert_eq!(asked.load(SeqCst), 1, "{name}");
        // No hook sees a wait that does not come.
        let begun = usize::from(name == "given up during its wait");
        assert_eq!(waits.load(SeqCst), begun, "{name}");
    });
}

#[test]
fn requests_that_fail_together_halve_the_window_once() {
    const PAGES: u64 = 60;
    const STORM: std::ops::Range<u64> = 40..56;
    let storm = Arc::new((Mutex::new(HashSet::new()), Condvar::new()));
    let (running, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let gauge = Arc::clone(&most);
    // The page before them comes after all eight have failed.
    let server = Server::start(move |request, _| {
        let at = offset(request);
        let (arrived, all) = &*storm;
        let wait = || {
            let few = |arrived: &mut HashSet<u64>| arrived.len() < 8;
            let limit = Duration::from_secs(5);
            drop(all.wait_timeout_while(arrived.lock().unwrap(), limit, few).unwrap());
        };
        if at + ROWS == STORM.start {
            wait();
            thread::sleep(Duration::from_millis(100));
        }
        if STORM.contains(&at) && arrived.lock().unwrap().insert(at) {
            all.notify_all();
            wait();
            return throttled("0");
        }
        gauge.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
        thread::sleep(Duration::from_millis(30));
        running.fetch_sub(1, SeqCst);
        page(at, PAGES)
    });
    let client = builder(server.url()).retry(RetryPolicy::default()).build().unwrap();
    let mut rows = Vec::new();
    for row in client.list("/api/things/").page_size(2).prefetch(8).items() {
        let row = row.unwrap()["id"].as_u64().unwrap();
        rows.push(row);
        if row == 70 {
            most.store(0, SeqCst);
        }
    }
    assert_eq!(rows, (0..PAGES * ROWS).collect::<Vec<_>>());
    // Four pages beyond the wanted one, half of eight; a busy machine may start the last one late.
    let most = most.load(SeqCst);
    assert!((4..=5).contains(&most), "{most}");
}

#[test]
fn where_the_deadline_passes_during_the_repeat_the_first_error_counts() {
    const FAILS: u64 = 12;
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |request, _| match offset(request) {
        FAILS if asked.fetch_add(1, SeqCst) == 0 => busy(),
        FAILS => Act::silence(),
        at => page(at, 1_000),
    });
    let client = builder(server.url()).build().unwrap();
    let client = client.with_deadline(Instant::now() + Duration::from_millis(800));
    let list = client.list("/api/things/").page_size(2).prefetch(4);
    let failed = list.items().find_map(Result::err).unwrap();
    assert_eq!(failed.status(), Some(503), "{failed}");
    let asked = server.requests().iter().filter(|r| offset(r) == FAILS).count();
    assert_eq!(asked, 2);
}

#[test]
fn after_a_429_that_is_not_retried_no_page_is_requested_ahead_until_its_wait_is_over() {
    const PAGES: u64 = 120;
    const THROTTLED: u64 = 20 * ROWS;
    let throttled_at = Mutex::new(None::<Instant>);
    let running = AtomicUsize::new(0);
    let during = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&during);
    let server = Server::start(move |request, _| {
        let at = offset(request);
        let begun = running.fetch_add(1, SeqCst) + 1;
        let first = throttled_at.lock().unwrap().is_none();
        if let Some(since) = *throttled_at.lock().unwrap() {
            seen.lock().unwrap().push((since.elapsed(), begun));
        }
        thread::sleep(Duration::from_millis(10));
        running.fetch_sub(1, SeqCst);
        if at == THROTTLED && first {
            *throttled_at.lock().unwrap() = Some(Instant::now());
            return throttled("1");
        }
        page(at, PAGES)
    });
    let client = builder(server.url()).build().unwrap();
    assert_eq!(ids(&client, 8), (0..PAGES * ROWS).collect::<Vec<_>>());
    let during = during.lock().unwrap();
    let during: Vec<_> =
        during.iter().filter(|(at, _)| (100..900).contains(&at.as_millis())).collect();
    assert!(during.len() > 10, "{during:?}");
    assert!(during.iter().all(|(_, running)| *running == 1), "{during:?}");
}

#[test]
fn a_403_that_is_not_of_posthog_is_asked_for_again_alone() {
    const FAILS: u64 = 12;
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |request, _| match offset(request) {
        FAILS if asked.fetch_add(1, SeqCst) == 0 => Act::status(403)
            .body("text/html", "<p>Too many at once.")
            .after(Duration::from_millis(20)),
        at => page(at, 20),
    });
    let client = builder(server.url()).build().unwrap();
    assert_eq!(ids(&client, 4), (0..20 * ROWS).collect::<Vec<_>>());
}
