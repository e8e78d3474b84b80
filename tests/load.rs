//! Proves that a client works under load, and keeps nothing of what it read: 8 threads, 300,000
//! requests, and a fault that a retry fixes for one request in 50; and a list of 20,000 pages.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use posthog_api::RetryPolicy;
use posthog_api::ureq::Agent;
use serde_json::json;
use support::{Act, Server, builder};

const THREADS: usize = 8;
const REQUESTS: usize = 300_000;
const ONE_IN: usize = 50;
/// One fault in this number breaks the connection. Its retry waits up to 0.5 s, the others do not
/// wait.
const BROKEN_ONE_IN: usize = 40;
/// Memory is sampled once in this number of requests.
const SAMPLE_EACH: usize = 200;
const PAGES: usize = 20_000;
/// Memory is that of the whole process, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What the server did.
#[derive(Default)]
struct Counts {
    faults: AtomicUsize,
    broken: AtomicUsize,
}

impl Counts {
    /// Answers a request with the number in its path, except for the faults.
    fn answer(&self, target: &str, n: usize) -> Act {
        if n % ONE_IN != ONE_IN - 1 {
            let number = target.split('/').find_map(|part| part.parse::<u64>().ok());
            return Act::json(200, &json!(number));
        }
        let fault = self.faults.fetch_add(1, Relaxed);
        if fault % BROKEN_ONE_IN == 0 {
            self.broken.fetch_add(1, Relaxed);
            return Act::close();
        }
        Act::json([429, 503][fault % 2], &json!({})).header("Retry-After", "0")
    }
}

/// Resident memory in KiB, where the system has `/proc`.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Panics if memory grew by 2 MiB from the third fifth of these samples to the last; the allocator
/// fills its lists before. Single samples differ by 3 MiB, the means of many by less than one.
fn check_growth(samples: &[usize]) {
    let mean = |part: &[usize]| part.iter().sum::<usize>() / part.len();
    let fifths: Vec<usize> = samples.chunks_exact((samples.len() / 5).max(1)).map(mean).collect();
    println!("{fifths:?} KiB resident in each fifth");
    match fifths[..] {
        [_, _, early, _, late] => assert!(late <= early + 2 * 1024, "{early} KiB grew to {late}"),
        [] if !cfg!(target_os = "linux") => {}
        _ => panic!("{} samples are not five fifths", samples.len()),
    }
}

#[test]
#[ignore = "takes half a minute, measures memory: cargo test --release --test load -- --ignored"]
fn three_hundred_thousand_requests_with_faults_all_succeed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = Arc::new(Counts::default());
    let seen = Arc::clone(&counts);
    let server = Server::counting(move |request, n| seen.answer(&request.target, n));

    let agent = Agent::config_builder()
        .proxy(None)
        .max_idle_connections_per_host(THREADS)
        .build()
        .new_agent();
    let retried = Arc::new(AtomicUsize::new(0));
    let events = Arc::clone(&retried);
    let client = builder(server.url())
        .agent(agent)
        // A call can get several faults: those of the other threads' requests count too.
        .retry(RetryPolicy::default().max_retries(10))
        .on_retry(move |_| {
            events.fetch_add(1, Relaxed);
        })
        .build()
        .unwrap();

    let (started, done) = (Instant::now(), AtomicUsize::new(0));
    let memory = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (client, done, memory) = (client.clone(), &done, &memory);
            scope.spawn(move || {
                for number in (thread..REQUESTS).step_by(THREADS) {
                    let answer = client.get(format!("/api/{number}/")).send();
                    assert_eq!(answer.unwrap(), number);
                    if done.fetch_add(1, Relaxed) % SAMPLE_EACH == 0 {
                        memory.lock().unwrap().extend(resident());
                    }
                }
            });
        }
    });
    let took = started.elapsed();

    let of = |count: &AtomicUsize| count.load(Relaxed);
    let (requests, connections) = (server.count(), server.connections());
    let (faults, broken, retried) = (of(&counts.faults), of(&counts.broken), of(&retried));
    println!(
        "{requests} requests, {faults} faults of which {broken} broke, {retried} retries seen, \
         {connections} connections, {took:?}"
    );
    assert_eq!(done.load(Relaxed), REQUESTS);
    assert_eq!(requests, REQUESTS + faults);
    assert_eq!(faults, requests / ONE_IN);
    // A pooled connection that broke is replaced at once, without an event.
    assert!((faults - broken..=faults).contains(&retried), "{retried} of {faults} faults");
    // One per thread, one more for each that broke, and a few that two threads opened at once.
    assert!(connections <= 2 * THREADS + broken, "{connections} connections");
    // Nothing grows: 18 bytes that each request keeps would be 2 MiB here.
    check_growth(&memory.into_inner().unwrap());
    assert!(took < Duration::from_secs(90), "{took:?}");
}

#[test]
#[ignore = "measures memory: cargo test --release --test load -- --ignored"]
fn a_list_of_many_pages_keeps_none_of_their_queries() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let long = "c".repeat(1_000);
    let server = Server::counting(move |request, _| {
        let cursor = request.param("cursor").unwrap_or_default();
        let page: usize = cursor.trim_end_matches('c').parse().unwrap_or(0);
        let next = format!("?cursor={}{long}", page + 1);
        Act::page(&json!([page]), &if page + 1 < PAGES { json!(next) } else { json!(null) })
    });
    let client = builder(server.url()).build().unwrap();
    let (mut rows, mut memory) = (0, Vec::new());
    for row in client.list("/api/x/").items() {
        assert_eq!(row.unwrap(), rows);
        rows += 1;
        if rows % (PAGES / 1_000) == 0 {
            memory.extend(resident());
        }
    }
    assert_eq!((rows, server.count()), (PAGES, PAGES));
    // The queries of all pages are 20 MB.
    check_growth(&memory);
}
