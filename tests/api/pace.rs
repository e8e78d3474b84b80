//! Proves that `max_requests_per_minute` spreads the requests, and that the hook sees the waits.
use crate::support::{builder, watched};
use crate::wire::empty;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn requests_are_spread_over_the_minute_and_the_hook_sees_the_waits() {
    let server = empty();
    let (builder, waits) = watched(builder(server.url()).max_requests_per_minute(600));
    let client = builder.build().unwrap();
    let slot = Duration::from_millis(100);
    // The difference that the clocks of two processors can have.
    let slack = Duration::from_millis(5);
    let start = Instant::now();
    for n in 0..4 {
        client.project(1).list("things").param("n", n).page().unwrap();
        assert!(start.elapsed() + slack >= slot * n, "request {n} after {:?}", start.elapsed());
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
    assert!(start.elapsed() + slack >= slot * 3, "{:?}", start.elapsed());
    assert_eq!(server.count(), 8, "{:#?}", server.requests());
    // On a busy machine a request can take as long as a slot. The next one has nothing to wait for
    // then.
    let waits = waits.all();
    assert!(!waits.is_empty() && waits.len() <= 6, "{waits:?}");
    for wait in waits {
        let (list, query) = ("GET /api/projects/1/things/", "POST /api/projects/1/query/");
        let most = if wait.call == list { slot } else { slot * 3 };
        assert!(wait.call == list || wait.call == query, "{wait:?}");
        assert!(wait.time <= most + slack, "{wait:?}");
        assert_eq!((wait.retry, wait.status), (None, None), "{wait:?}");
    }

    // Without the setting nothing waits.
    let server = empty();
    let quick = crate::support::builder(server.url())
        .on_retry(|event| panic!("{event:?}"))
        .build()
        .unwrap();
    for _ in 0..5 {
        quick.project(1).list("things").page().unwrap();
    }
}
