//! Proves that a list is read where threads fail: hooks that panic, and no thread to be had.
use super::script::throttled;
use crate::support::{Act, Server, Way, builder};
use posthog_api::RetryPolicy;
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const PAGES: u64 = 12;

fn page(offset: u64) -> Act {
    let after = offset + 2;
    let next = (after < PAGES * 2).then(|| format!("http://in.example/?limit=2&offset={after}"));
    Act::page(&json!([{"id": offset}, {"id": offset + 1}]), &json!(next))
}

fn offset(request: &crate::support::Request) -> u64 {
    request.param("offset").map_or(0, |n| n.parse().unwrap())
}

#[test]
fn a_hook_that_panics_reaches_the_caller_and_does_not_hang_it() {
    for (throttled_at, ahead) in [(0, 0), (0, 4), (4, 0), (4, 1), (4, 4), (14, 4)] {
        let throttled_once = AtomicUsize::new(0);
        let server = Server::start(move |request, _| {
            let at = offset(request);
            if at == throttled_at && throttled_once.fetch_add(1, SeqCst) == 0 {
                return throttled("0");
            }
            page(at)
        });
        let builder = builder(server.url()).retry(RetryPolicy::default());
        let client = builder.on_retry(|_| panic!("the hook's panic")).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let list = client.list("/api/things/").page_size(2).prefetch(ahead);
            let mut items = list.items();
            let mut rows = 0;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                while items.next().is_some_and(|row| row.is_ok()) {
                    rows += 1;
                }
            }));
            let panic = outcome.err().and_then(|panic| panic.downcast_ref::<&str>().copied());
            sender.send((rows, panic)).unwrap();
        });
        let ended = receiver.recv_timeout(Duration::from_secs(5));
        assert_eq!(ended, Ok((throttled_at, Some("the hook's panic"))), "{ahead} ahead");
    }
}

/// The address of the server, for the process in which no thread can be started.
const URL: &str = "POSTHOG_API_TEST_URL";

/// Runs this test alone in a process of its own, on that process's first thread.
fn alone(test: &str, url: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--test-threads=1", "--nocapture"]).env(URL, url);
    command
}

#[test]
fn where_no_thread_can_be_started_the_caller_reads_the_list() {
    if let Ok(url) = std::env::var(URL) {
        let started = thread::Builder::new().spawn(|| ());
        assert!(started.is_err(), "a thread was started");
        let later = Instant::now() + Duration::from_secs(60);
        let client = builder(&url).build().unwrap();
        // The lookup of a name and a deadline each want a thread.
        let named = builder(url.replace("127.0.0.1", "localhost")).build().unwrap();
        for client in [&client, &named, &client.with_deadline(later)] {
            for ahead in [0, 4] {
                let list = client.list("/api/things/").page_size(2).prefetch(ahead);
                assert_eq!(list.all().unwrap().len() as u64, PAGES * 2);
            }
        }
        return;
    }
    let server = Server::start(|request, _| page(offset(request))).expects(Way::Any);
    // The stack of a thread would be larger than any address space.
    let mut command = alone(
        "prefetch::threads::where_no_thread_can_be_started_the_caller_reads_the_list",
        &server.url(),
    );
    let out = command.env("RUST_MIN_STACK", (1u64 << 47).to_string()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("1 passed"), "{text}\n{errors}");
    assert_eq!(server.count() as u64, 6 * PAGES);
}

#[test]
#[cfg(target_os = "linux")]
fn the_threads_end_with_the_iterator() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    if let Ok(url) = std::env::var(URL) {
        let client = builder(url).build().unwrap();
        let before = threads();
        for take in [1, 9, usize::MAX] {
            let list = client.list("/api/things/").page_size(2).prefetch(6);
            let mut items = list.items();
            for _ in 0..take {
                if items.next().is_none() {
                    break;
                }
            }
            // After the last row they may have ended.
            assert!(threads() > before || take == usize::MAX, "no thread was started");
            assert!(threads() <= before + 7, "more threads than pages in flight");
            drop(items);
            let mut waits = 0;
            while threads() > before {
                thread::sleep(Duration::from_millis(5));
                waits += 1;
                assert!(waits < 400, "{} threads are left", threads() - before);
            }
        }
        return;
    }
    let server = Server::start(|request, _| {
        thread::sleep(Duration::from_millis(5));
        page(offset(request))
    });
    let mut command = alone("prefetch::threads::the_threads_end_with_the_iterator", &server.url());
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}
