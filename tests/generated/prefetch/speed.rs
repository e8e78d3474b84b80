//! Proves that pages in flight save time, and that a throttled page costs only its own wait.
use super::script::throttled;
use crate::support::{Act, Server, agent, builder, together};
use posthog_api::{Client, RetryPolicy};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const ROWS: u64 = 2;

/// A page of a list of equal pages.
fn page(offset: u64, pages: u64) -> Act {
    let after = offset + ROWS;
    let next =
        (after < pages * ROWS).then(|| format!("http://in.example/?limit={ROWS}&offset={after}"));
    Act::page(&json!([{"id": offset}, {"id": offset + 1}]), &json!(next))
}

fn ids(client: &Client, ahead: usize) -> Vec<u64> {
    let list = client.list("/api/things/").page_size(2).prefetch(ahead);
    list.items().map(|row| row.unwrap()["id"].as_u64().unwrap()).collect()
}

/// The largest number of requests at once since the last [`restart`](Gauge::restart).
#[derive(Default)]
struct Gauge {
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    fn during(&self, f: impl FnOnce()) {
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(running, SeqCst);
        f();
        self.running.fetch_sub(1, SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    fn restart(&self) {
        self.most.store(self.running.load(SeqCst), SeqCst);
    }
}

#[test]
fn eight_pages_ahead_of_a_slow_server_take_a_quarter_of_the_time_at_most() {
    const PAGES: u64 = 100;
    let gauge = Arc::new(Gauge::default());
    let running = Arc::clone(&gauge);
    let server = Server::start(move |request, _| {
        running.during(|| thread::sleep(Duration::from_millis(30)));
        page(request.param("offset").map_or(0, |n| n.parse().unwrap()), PAGES)
    });
    let pool = agent().config().clone();
    assert!(pool.max_idle_connections_per_host() < 8, "the test is for an agent with a small pool");
    let client = builder(server.url()).build().unwrap();
    // Each page alone takes the same time: half of them are enough.
    let start = Instant::now();
    let half = client.list("/api/things/").page_size(2).prefetch(0).items();
    assert_eq!(half.take(100).filter_map(Result::ok).count() as u64, PAGES / 2 * ROWS);
    let alone = start.elapsed() * 2;
    assert_eq!(gauge.most(), 1);
    let start = Instant::now();
    assert_eq!(ids(&client, 8), (0..PAGES * ROWS).collect::<Vec<_>>());
    let ahead = start.elapsed();
    assert_eq!(gauge.most(), 9);
    assert!(ahead < alone / 4, "{ahead:?} instead of {alone:?}");
    // No page was requested twice, and none behind the last but those in flight.
    assert!(server.count() as u64 <= PAGES + PAGES / 2 + 8, "{}", server.count());
}

#[test]
fn a_throttled_page_ahead_halves_the_window_and_starts_no_page_until_its_wait_is_over() {
    const PAGES: u64 = 40;
    const THROTTLED: u64 = 20 * ROWS;
    let gauge = Arc::new(Gauge::default());
    // When the page was throttled, and when which page was requested after that.
    let throttled_at = Arc::new(Mutex::new(None::<Instant>));
    let later = Arc::new(Mutex::new(Vec::new()));
    let script = (Arc::clone(&gauge), Arc::clone(&throttled_at), Arc::clone(&later));
    let server = Server::start(move |request, _| {
        let (gauge, throttled_at, later) = &script;
        let offset = request.param("offset").map_or(0, |n| n.parse().unwrap());
        let at = *throttled_at.lock().unwrap();
        if let Some(at) = at {
            later.lock().unwrap().push((at.elapsed(), offset));
        }
        gauge.during(|| thread::sleep(Duration::from_millis(10)));
        if offset == THROTTLED && at.is_none() {
            *throttled_at.lock().unwrap() = Some(Instant::now());
            gauge.restart();
            return throttled("1");
        }
        page(offset, PAGES)
    });
    let client = builder(server.url()).retry(RetryPolicy::default()).build().unwrap();
    let mut rows = Vec::new();
    for row in client.list("/api/things/").page_size(2).prefetch(8).items() {
        let row = row.unwrap()["id"].as_u64().unwrap();
        rows.push(row);
        if row < THROTTLED {
            // The pages before the throttled one are taken during its wait.
            thread::sleep(Duration::from_millis(15));
        }
        if row == THROTTLED + 1 {
            gauge.restart();
        }
    }
    assert_eq!(rows, (0..PAGES * ROWS).collect::<Vec<_>>());
    let later = later.lock().unwrap();
    let paused = later.iter().filter(|(at, _)| (50..950).contains(&at.as_millis()));
    assert_eq!(paused.count(), 0, "requests during the wait: {later:?}");
    assert_eq!(later.iter().filter(|(_, offset)| *offset == THROTTLED).count(), 1, "{later:?}");
    // Four pages beyond the wanted one, half of eight.
    assert_eq!(gauge.most(), 5);
}

#[test]
fn a_list_that_is_throttled_again_and_again_loses_no_row() {
    const PAGES: u64 = 60;
    let server = Server::start(move |request, n| {
        if n % 3 == 1 {
            return throttled("0");
        }
        page(request.param("offset").map_or(0, |n| n.parse().unwrap()), PAGES)
    });
    let policy = RetryPolicy::default().max_retries(1_000).max_wait(Duration::ZERO);
    let client = builder(server.url()).retry(policy).build().unwrap();
    for ahead in [0, 1, 3, 12] {
        assert_eq!(ids(&client, ahead), (0..PAGES * ROWS).collect::<Vec<_>>(), "{ahead}");
    }
}

#[test]
fn abandoned_requests_that_still_run_take_the_place_of_new_ones() {
    // From page 6 on, `next` jumps: the pages that were foreseen behind it are not in the list, and
    // the server takes long for them.
    const JUMP: u64 = 10_000;
    together([1, 2, 4], |ahead| {
        let gauge = Arc::new(Gauge::default());
        let running = Arc::clone(&gauge);
        let server = Server::start(move |request, _| {
            let offset = request.param("offset").map_or(0, |n| n.parse().unwrap());
            let wrong = (6 * ROWS..JUMP).contains(&offset);
            let latency = Duration::from_millis(if wrong { 150 } else { 3 });
            running.during(|| thread::sleep(latency));
            match offset {
                10 => {
                    let next = format!("http://in.example/?limit={ROWS}&offset={JUMP}");
                    Act::page(&json!([{"id": 10}, {"id": 11}]), &json!(next))
                }
                _ => page(offset, (JUMP + 20) / ROWS),
            }
        });
        let client = builder(server.url()).build().unwrap();
        let expected: Vec<u64> = (0..12).chain(JUMP..JUMP + 20).collect();
        assert_eq!(ids(&client, ahead), expected);
        assert_eq!(gauge.most(), ahead + 1, "{ahead} ahead");
    });
}

#[test]
fn where_the_server_counts_the_rows_no_page_behind_the_last_is_requested() {
    const PAGES: u64 = 20;
    let server = Server::start(|request, _| {
        thread::sleep(Duration::from_millis(3));
        let offset = request.param("offset").map_or(0, |n| n.parse().unwrap());
        let next = (offset + ROWS < PAGES * ROWS)
            .then(|| format!("http://in.example/?limit={ROWS}&offset={}", offset + ROWS));
        let rows = json!([{"id": offset}, {"id": offset + 1}]);
        Act::json(200, &json!({"count": PAGES * ROWS, "next": next, "results": rows}))
    });
    let client = builder(server.url()).build().unwrap();
    assert_eq!(ids(&client, 12), (0..PAGES * ROWS).collect::<Vec<_>>());
    assert_eq!(server.count() as u64, PAGES);
}

/// A server that refuses each request beside another with this status, and how many requests it
/// received.
fn one_at_a_time(pages: u64, status: u16) -> Server {
    let running = AtomicUsize::new(0);
    Server::start(move |request, _| {
        let beside = running.fetch_add(1, SeqCst) > 0;
        thread::sleep(Duration::from_millis(10));
        running.fetch_sub(1, SeqCst);
        if beside {
            return Act::error(status, "server_error", "error", "One at a time.");
        }
        page(request.param("offset").map_or(0, |n| n.parse().unwrap()), pages)
    })
}

#[test]
fn a_server_that_takes_one_request_at_a_time_is_asked_for_one_at_a_time() {
    const PAGES: u64 = 150;
    together([429, 502, 503], |status| {
        let server = one_at_a_time(PAGES, status);
        let client = builder(server.url()).retry(RetryPolicy::default()).build().unwrap();
        let start = Instant::now();
        assert_eq!(ids(&client, 8), (0..PAGES * ROWS).collect::<Vec<_>>(), "{status}");
        // A failure costs a request, and for 50 pages there is no other.
        assert!(server.count() as u64 <= PAGES + 16, "{status}: {}", server.count());
        let took = start.elapsed();
        assert!(took < Duration::from_millis(PAGES * 10 * 2), "{status}: {took:?}");
    });
}

#[test]
fn a_few_failures_in_a_long_list_do_not_end_pages_ahead() {
    const PAGES: u64 = 300;
    let gauge = Arc::new(Gauge::default());
    let running = Arc::clone(&gauge);
    let server = Server::start(move |request, n| {
        let offset = request.param("offset").map_or(0, |n| n.parse().unwrap());
        // Slow enough there that a busy machine fills the window.
        let slow = if offset < 200 * ROWS { 3 } else { 20 };
        running.during(|| thread::sleep(Duration::from_millis(slow)));
        if [40, 41, 42].contains(&n) {
            return Act::status(502);
        }
        if offset == 200 * ROWS {
            running.restart();
        }
        page(offset, PAGES)
    });
    let client = builder(server.url()).retry(RetryPolicy::default()).build().unwrap();
    assert_eq!(ids(&client, 8), (0..PAGES * ROWS).collect::<Vec<_>>());
    assert!(gauge.most() >= 8, "{}", gauge.most());
}

#[test]
fn a_refusal_of_its_own_comes_at_once_and_is_not_asked_for_again() {
    let own = r#"{"type": "authentication_error", "code": "permission_denied", "detail": "No."}"#;
    for (status, body) in [(400, "{}"), (401, "{}"), (403, own), (404, "{}"), (405, "{}")] {
        let server = Server::start(move |request, _| {
            match request.param("offset").map_or(0, |n| n.parse().unwrap()) {
                offset if offset < 12 => page(offset, 1_000),
                12 => Act::status(status).body("application/json", body),
                // Pages behind it hang.
                offset => page(offset, 1_000).after(Duration::from_secs(3)),
            }
        });
        let client = builder(server.url()).build().unwrap();
        let start = Instant::now();
        let list = client.list("/api/things/").page_size(2).prefetch(8);
        let failed = list.items().find_map(Result::err).unwrap();
        assert_eq!(failed.status(), Some(status), "{failed}");
        assert!(start.elapsed() < Duration::from_secs(2), "{status}: {:?}", start.elapsed());
        let asked = server
            .requests()
            .iter()
            .filter(|r| r.param("offset").is_some_and(|n| n == "12"))
            .count();
        assert_eq!(asked, 1, "{status}");
    }
}
