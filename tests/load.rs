//! Proves that a client holds under load: 8 threads, 100,000 requests, one in 50 met by a fault that a retry mends.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use posthog_api::ureq::Agent;
use posthog_api::{Client, RetryPolicy};

const THREADS: usize = 8;
const REQUESTS: usize = 100_000;
const ONE_IN: usize = 50;
/// Of the faults, this share breaks the connection: such a retry waits up to 0.5 s, the others not at all.
const BROKEN_ONE_IN: usize = 40;

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
    faults: AtomicUsize,
    broken: AtomicUsize,
}

/// Answers each request with the number in its path, but for the faults.
fn serve(stream: TcpStream, counts: &Counts) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next() {
        let line = line?;
        let number = line
            .split(['/', ' '])
            .find(|part| part.parse::<u64>().is_ok())
            .unwrap_or("")
            .to_owned();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let n = counts.requests.fetch_add(1, Relaxed);
        let answer = |status: &str, body: &str| {
            format!(
                "HTTP/1.1 {status}\r\nRetry-After: 0\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let text = if n % ONE_IN == ONE_IN - 1 {
            let fault = counts.faults.fetch_add(1, Relaxed);
            if fault % BROKEN_ONE_IN == 0 {
                counts.broken.fetch_add(1, Relaxed);
                return Ok(());
            }
            let status = ["429 Too Many Requests", "503 Service Unavailable"][fault % 2];
            answer(status, "{}")
        } else {
            answer("200 OK", &number)
        };
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Resident memory in KiB, where the system tells it.
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

#[test]
#[ignore = "takes half a minute: cargo test --release --test load -- --ignored"]
fn a_hundred_thousand_requests_with_faults_all_end_right() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let counts = Arc::new(Counts::default());
    let seen = Arc::clone(&counts);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, counts) = (stream.unwrap(), Arc::clone(&seen));
            counts.connections.fetch_add(1, Relaxed);
            thread::spawn(move || {
                // A connection that breaks is the client's to mend.
                let _ = serve(stream, &counts);
            });
        }
    });

    let agent = Agent::config_builder()
        .proxy(None)
        .max_idle_connections_per_host(THREADS)
        .build()
        .new_agent();
    let retried = Arc::new(AtomicUsize::new(0));
    let events = Arc::clone(&retried);
    let client = Client::builder("phx_load")
        .host(host)
        .agent(agent)
        // A call can meet several faults: those of the other threads' requests count too.
        .retry(RetryPolicy::default().max_retries(10))
        .on_retry(move |_| {
            events.fetch_add(1, Relaxed);
        })
        .build()
        .unwrap();

    let (started, done) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let early = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (client, done, early) = (client.clone(), Arc::clone(&done), Arc::clone(&early));
            scope.spawn(move || {
                for number in (thread..REQUESTS).step_by(THREADS) {
                    let answer = client.get(&format!("/api/{number}/")).send();
                    assert_eq!(answer.unwrap(), number);
                    if done.fetch_add(1, Relaxed) == REQUESTS / 5 {
                        early.store(resident().unwrap_or(0), Relaxed);
                    }
                }
            });
        }
    });
    let took = started.elapsed();

    let of = |count: &AtomicUsize| count.load(Relaxed);
    let (requests, connections) = (of(&counts.requests), of(&counts.connections));
    let (faults, broken, retried) = (of(&counts.faults), of(&counts.broken), of(&retried));
    let (early, late) = (of(&early), resident().unwrap_or(0));
    println!(
        "{requests} requests, {faults} faults of which {broken} broke, {retried} retries seen, {connections} connections, \
         {early} KiB resident after a fifth, {late} KiB at the end, {took:?}"
    );
    assert_eq!(done.load(Relaxed), REQUESTS);
    assert_eq!(requests, REQUESTS + faults);
    assert_eq!(faults, requests / ONE_IN);
    // A kept connection that broke is tried again at once, and no event.
    assert!((faults - broken..=faults).contains(&retried), "{retried} of {faults} faults");
    // One a thread, one more for each that broke, and a few that two threads opened at the same moment.
    assert!(connections <= 2 * THREADS + broken, "{connections} connections");
    // Level: what an allocator keeps back is far below a byte a request.
    assert!(late <= early + 2 * 1024, "{early} KiB grew to {late} KiB");
    assert!(took < Duration::from_secs(90), "{took:?}");
}
