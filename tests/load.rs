//! Proves that one client shared by eight threads answers 100,000 calls rightly through a server that fails one in fifty, on few
//! connections and in level memory.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use posthog_api::{Client, ureq};

const THREADS: usize = 8;
const CALLS: usize = 100_000;
/// One call in so many fails at first.
const FAILS: usize = 50;

/// How the first try of a call ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Unavailable,
    Throttled,
    /// The connection ends instead of an answer.
    Dropped,
    /// It ends behind the answer, which is good: the next call finds a dead connection.
    Forsaken,
}

/// 2,000 of the calls, 40 of them by a connection that ends instead of an answer. Where the client takes such a one for broken
/// rather than merely stale, it waits 0.25 to 0.5 s: 20 s at the most, which the threads share, so less than 3 s of the test.
fn fault(call: usize) -> Option<Fault> {
    (call % FAILS == 0).then_some(match call / FAILS % 50 {
        0 => Fault::Dropped,
        25 => Fault::Forsaken,
        n if n % 2 == 0 => Fault::Unavailable,
        _ => Fault::Throttled,
    })
}

fn count(of: &[Fault]) -> usize {
    (0..CALLS)
        .filter_map(fault)
        .filter(|f| of.contains(f))
        .count()
}

#[test]
#[ignore = "takes half a minute, and measures the memory of the whole process: alone, with --release"]
fn eight_threads_make_a_hundred_thousand_calls_through_faults() {
    let server = Server::start();
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .build()
        .new_agent();
    let client = Client::builder("phx_load")
        .host(&server.url)
        .agent(agent)
        .build()
        .unwrap();
    let (begin, warm, go) = (
        Instant::now(),
        Barrier::new(THREADS + 1),
        Barrier::new(THREADS + 1),
    );
    let memory = thread::scope(|scope| {
        for thread in 0..THREADS {
            let (client, warm, go) = (client.clone(), &warm, &go);
            scope.spawn(move || {
                for (done, call) in (thread..CALLS).step_by(THREADS).enumerate() {
                    if done == CALLS / THREADS / 5 {
                        warm.wait();
                        go.wait();
                    }
                    let answer = client.get("/api/echo/").param("n", call).send();
                    assert_eq!(answer.unwrap()["n"], call);
                }
            });
        }
        warm.wait();
        let memory = resident();
        go.wait();
        memory
    });
    let grown = resident().saturating_sub(memory);
    let (requests, connections) = (
        server.requests.load(Relaxed),
        server.connections.load(Relaxed),
    );
    println!(
        "{CALLS} calls, {requests} requests, {connections} connections in {:.1?}; {memory} KiB, {grown} more at the end",
        begin.elapsed()
    );
    let failed = count(&[Fault::Unavailable, Fault::Throttled, Fault::Dropped]);
    assert_eq!(requests, CALLS + failed);
    // Each thread's first, and one for each that the server ends. Beside those, the HTTP layer keeps three that nobody uses at the
    // moment and closes the others: 0 to 20 were seen. Without a pool there would be as many as requests.
    let ended = count(&[Fault::Dropped, Fault::Forsaken]);
    assert!((ended..ended + CALLS / 100).contains(&connections));
    // 0 to 1.6 MiB were seen, and no more by eight times as many calls: the allocator's, which has an arena for each thread. What
    // loses so much as its URL has lost more than 4 MiB after the last 80,000 calls: 52 bytes a call.
    assert!(grown < 4 * 1024, "{grown} KiB more");
    assert!(begin.elapsed() < Duration::from_secs(60));
}

/// Resident memory in KiB; nothing where the system does not tell it in this way.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.map_or(0, |kib| kib.parse().unwrap())
}

struct Server {
    url: String,
    requests: AtomicUsize,
    connections: AtomicUsize,
    failed: Vec<AtomicBool>,
}

impl Server {
    fn start() -> Arc<Server> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Arc::new(Server {
            url: format!("http://{}", listener.local_addr().unwrap()),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            failed: (0..CALLS / FAILS).map(|_| AtomicBool::new(false)).collect(),
        });
        let serving = Arc::clone(&server);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&serving);
                server.connections.fetch_add(1, Relaxed);
                thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            request.clear();
            // Only GETs come here, one at a time.
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut chunk)? {
                    0 => return Ok(()),
                    n => request.extend_from_slice(&chunk[..n]),
                }
            }
            self.requests.fetch_add(1, Relaxed);
            let head = String::from_utf8_lossy(&request);
            let (_, after) = head.split_once("?n=").unwrap();
            let call: usize = after.split(' ').next().unwrap().parse().unwrap();
            let first = fault(call).filter(|_| !self.failed[call / FAILS].swap(true, Relaxed));
            let (line, body) = match first {
                Some(Fault::Dropped) => return Ok(()),
                Some(Fault::Unavailable) => ("503 X\r\nRetry-After: 0", String::new()),
                Some(Fault::Throttled) => ("429 X\r\nRetry-After: 0", "{}".to_owned()),
                Some(Fault::Forsaken) | None => ("200 OK", format!(r#"{{"n":{call}}}"#)),
            };
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {line}\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
            if first == Some(Fault::Forsaken) {
                return Ok(());
            }
        }
    }
}
