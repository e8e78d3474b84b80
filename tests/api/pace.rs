//! Proves that requests are spread over the minute, and that the hook sees the waits.
use crate::support::{builder, watched};
use crate::wire::empty;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn requests_are_spread_over_the_minute_and_the_waits_are_seen() {
    let server = empty();
    let (builder, waits) = watched(builder(server.url()).max_requests_per_minute(600));
    let client = builder.build().unwrap();
    let slot = Duration::from_millis(100);
    // What two processors' clocks may be apart.
    let slack = Duration::from_millis(5);
    let start = Instant::now();
    for n in 0..4 {
        client.project(1).list("things").param("n", n).page().unwrap();
        assert!(start.elapsed() + slack >= slot * n, "request {n} after {:?}", start.elapsed());
    }
    // Clones have one pace, and what was not used is not saved up.
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
    // A request that takes as long as a slot leaves nothing to wait for, so that not each of them
    // waits on a busy machine.
    let waits = waits.all();
    assert!(!waits.is_empty() && waits.len() <= 6, "{waits:?}");
    for wait in waits {
        let (list, query) = ("GET /api/projects/1/things/", "POST /api/projects/1/query/");
        let most = if wait.call == list { slot } else { slot * 3 };
        assert!(wait.call == list || wait.call == query, "{wait:?}");
        assert!(wait.time <= most + slack, "{wait:?}");
        assert_eq!((wait.retry, wait.status), (None, None), "{wait:?}");
    }

    // Without it nothing waits.
    let server = empty();
    let quick = crate::support::builder(server.url())
        .on_retry(|event| panic!("{event:?}"))
        .build()
        .unwrap();
    for _ in 0..5 {
        quick.project(1).list("things").page().unwrap();
    }
}
