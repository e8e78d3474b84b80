//! Proves that a write which arrived is not sent again when the route to the server is lost on a kept
//! connection. `tests/namespaces/run` runs both parts, each in a network namespace.
#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../support/mod.rs"]
mod support;

use posthog_api::{ErrorKind, RetryPolicy};
use serde_json::json;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{Act, Server, builder};

const SERVER: &str = "192.0.2.2:8000";

/// Runs the commands that the script gives in this variable.
fn shell(variable: &str) {
    let commands = std::env::var(variable).expect("tests/namespaces/run runs this");
    let done = Command::new("sh").args(["-c", &commands]).status().unwrap();
    assert!(done.success(), "{commands}");
}

/// Answers each GET with the number of writes so far. The script ends it.
#[test]
#[ignore = "a part of tests/namespaces/run"]
fn server() {
    let writes = AtomicUsize::new(0);
    let server = Server::on(SERVER, None, move |request, _| {
        let write = usize::from(request.method == "POST");
        Act::json(200, &json!(writes.fetch_add(write, SeqCst) + write))
    });
    let _server = server.unwrap();
    std::thread::sleep(Duration::from_secs(50));
}

#[test]
#[ignore = "a part of tests/namespaces/run"]
fn a_write_that_arrived_is_not_sent_again_when_the_route_is_lost() {
    let repaired = || shell("NAMESPACES_REPAIR");
    let client = builder(format!("http://{SERVER}"))
        .allow_http(true)
        .retry(RetryPolicy::default())
        .timeout(Duration::from_secs(15))
        // A retry would find the route again.
        .on_retry(move |_| repaired())
        .build()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let patient = client.with_deadline(until);
    for (number, body) in [(1, Some(json!({"a": 1}))), (2, None)] {
        // Makes a connection, and keeps it.
        let before = patient.get("/api/writes/").send().unwrap();
        assert_eq!(before, number - 1);
        // The server receives the write, and nothing of the server comes back any more.
        shell("NAMESPACES_LOSE_ANSWERS");
        let post = client.post("/api/x/");
        let post = body.map_or(post.clone(), |body| post.json(body));
        let sent = std::thread::scope(|scope| {
            let sending = scope.spawn(|| post.send());
            std::thread::sleep(Duration::from_millis(100));
            shell("NAMESPACES_LOSE_ROUTE");
            sending.join().unwrap()
        });
        if sent.is_err() {
            repaired();
        }
        let writes = client.get("/api/writes/").send().unwrap();
        assert_eq!(writes, number, "the write was sent again: {sent:?}");
        let failed = sent.unwrap_err();
        // Nothing shows whether a request without a body was sent.
        let kind = if number == 1 { ErrorKind::Broken } else { ErrorKind::Connect };
        assert_eq!(failed.kind(), kind, "{failed}");
        assert!(failed.may_have_been_done());
        // Otherwise the route was not lost as it must be here.
        assert!(failed.to_string().contains("No route to host"), "{failed}");
    }
}
