//! Proves that nothing is sent before it is asked for, and how many pages are fetched ahead.
use crate::support::{Act, Server, client, together};
use crate::wire::Thing;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn nothing_is_sent_before_the_first_row_is_wanted() {
    let script = Server::script([]);
    let client = client(&script);
    let project = client.project(1);
    let kept: [Box<dyn std::any::Any>; 7] = [
        Box::new(project.list("things").param("a", 1).prefetch(2)),
        Box::new(project.persons().items()),
        Box::new(project.insights().pages()),
        Box::new(client.list("/api/projects/").items_as::<Thing>()),
        Box::new(project.post("things/").json(json!({}))),
        Box::new(project.hogql("select 1").background()),
        Box::new(project.hogql("select id from t").scan("id").into_iter()),
    ];
    thread::sleep(Duration::from_millis(50));
    assert_eq!(script.count(), 0);
    drop(kept);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(script.count(), 0);
}

#[test]
fn prefetch_fetches_as_many_pages_ahead_as_it_says() {
    let endless = || {
        Server::start(|request, _| {
            let offset: u64 = request.param("offset").map_or(0, |n| n.parse().unwrap());
            let next = format!("http://in.example/?offset={}", offset + 1);
            Act::json(200, &json!({"results": [{"id": offset}], "next": next}))
        })
    };
    together(0..=3, |ahead| {
        let server = endless();
        let mut items = client(&server).project(1).list("things").prefetch(ahead).items();
        for taken in 1..=8 {
            assert_eq!(items.next().unwrap().unwrap(), json!({"id": taken - 1}));
            // The next page, and `ahead` beyond it, but the window grows by one with each page.
            let most = if ahead == 0 { taken } else { taken + 1 + ahead };
            assert!(server.count() <= most, "{} requests, {taken} taken", server.count());
            let least = if taken > 4 { most } else { taken };
            let start = Instant::now();
            while server.count() < least && start.elapsed() < Duration::from_secs(5) {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(30));
            assert!(
                (least..=most).contains(&server.count()),
                "{} requests, {taken} taken, {ahead} ahead",
                server.count()
            );
        }
        // No more pages are wanted: the thread ends.
        drop(items);
        thread::sleep(Duration::from_millis(100));
        let sent = server.count();
        assert!(sent <= 8 + ahead + 1, "{sent}");
    });
}
