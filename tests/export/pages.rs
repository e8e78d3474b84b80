//! Proves that slow and large pages are requested again, that the next page is fetched while the
//! caller reads, and that a row of another type costs no other row.
use crate::model::{Found, Rules, Table, limits, queries, serve, too_slow};
use crate::support::expect::{api, decode, too_large};
use crate::support::{Act, Request, Server, builder, client, error, within};
use posthog_api::{ErrorKind, Result, Rows, Scan};
use serde_derive::Deserialize;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// The table of `SELECT k, text FROM t`: this many rows with texts of this length.
#[derive(Clone, Copy)]
struct Texts {
    rows: usize,
    length: usize,
}

const SQL: &str = "SELECT k, text FROM t";

impl Table for Texts {
    fn find(&self, sql: &str, values: &Value) -> Option<Found<'_>> {
        let rest = sql.strip_prefix(&format!("SELECT * FROM ({SQL}\n) "))?;
        let after = match rest {
            "ORDER BY `k`" => 0,
            "WHERE `k` > {scan_after} ORDER BY `k`" => values["scan_after"].as_u64()?,
            _ => return None,
        };
        let from = usize::try_from(after).unwrap() + 1;
        let types = json!([["k", "UInt64"], ["text", "String"]]);
        Some(Found {
            columns: json!(["k", "text"]),
            types,
            ranks: (from..=self.rows).collect(),
            row: Box::new(move |at| json!([from + at, "x".repeat(self.length)])),
        })
    }
}

fn scan(server: &Server) -> Scan {
    client(server).project(1).hogql(SQL).scan("k")
}

fn keys(rows: impl IntoIterator<Item = Result<Map<String, Value>>>) -> Vec<u64> {
    rows.into_iter().map(|row| row.unwrap()["k"].as_u64().unwrap()).collect()
}

fn page(rows: &Value) -> Value {
    let types = json!([["k", "UInt64"]]);
    json!({"columns": ["k"], "types": types, "results": rows, "hogql": "SELECT k FROM t LIMIT 2"})
}

#[test]
fn a_slow_page_and_all_after_it_run_in_the_background() {
    // From the second page on there are 20 rows or less to look at.
    let table = Texts { rows: 25, length: 1 };
    let server = serve(table, Rules { patience: 24, ..Rules::default() });
    assert_eq!(keys(scan(&server).page_size(10)), (1..=25).collect::<Vec<_>>());
    let refreshes: Vec<String> = queries(&server).into_iter().map(|(_, refresh)| refresh).collect();
    assert_eq!(refreshes, ["force_blocking", "force_async", "force_async", "force_async"]);
    assert_eq!(limits(&server), [10; 4]);
}

#[test]
fn each_sign_of_a_slow_query_leads_to_the_background() {
    let rows = || Act::json(200, &page(&json!([[1]])));
    for slow in [
        too_slow(),
        Act::status(504).body("text/html", "<html>Gateway time-out</html>"),
        Act::error(512, "server_error", "estimated_query_time_too_long", "too long"),
        Act::error(400, "validation_error", "query_timeout", "too long"),
    ] {
        let server = Server::script([slow, rows()]);
        assert_eq!(keys(scan(&server).page_size(2)), [1]);
        let asked = server.all_requests();
        assert_eq!(asked[1].json()["refresh"], "force_async");
        assert_eq!(asked[0].json()["query"], asked[1].json()["query"]);
    }
}

#[test]
fn what_is_slow_in_the_background_too_is_an_error() {
    let server = Server::script([too_slow(), too_slow()]);
    let mut rows = scan(&server).into_iter();
    assert_eq!(api(&error(rows.next().unwrap())).status(), Some(504));
    assert!(rows.next().is_none());
    server.all_requests();
}

#[test]
fn a_page_that_is_too_large_is_requested_again_at_half_the_size() {
    let server = serve(Texts { rows: 100, length: 1_000 }, Rules::default());
    let small = builder(server.url()).max_body_bytes(8_000).build().unwrap();
    let scan = small.project(1).hogql(SQL).scan("k").page_size(50);
    assert_eq!(keys(scan), (1..=100).collect::<Vec<_>>());
    let limits = limits(&server);
    assert_eq!(limits[..5], [50, 25, 12, 6, 6]);
    assert!(limits[5..].iter().all(|limit| *limit == 6), "{limits:?}");
}

#[test]
fn a_row_that_is_too_large_alone_is_an_error() {
    let server = serve(Texts { rows: 3, length: 10_000 }, Rules::default());
    let small = builder(server.url()).max_body_bytes(8_000).build().unwrap();
    let mut rows = small.project(1).hogql(SQL).scan("k").page_size(5).into_iter();
    too_large(&error(rows.next().unwrap()), 8_000);
    assert!(rows.next().is_none());
    assert_eq!(limits(&server), [5, 2, 1]);
}

#[test]
fn a_larger_page_is_not_the_last_one_after_it_was_halved() {
    // Half a page has as many rows as are left, and more follow.
    let server =
        serve(Texts { rows: 9, length: 1_000 }, Rules { shows_limit: false, ..Rules::default() });
    let small = builder(server.url()).max_body_bytes(5_000).build().unwrap();
    assert_eq!(
        keys(small.project(1).hogql(SQL).scan("k").page_size(8)),
        (1..=9).collect::<Vec<_>>()
    );
}

fn wait_until(what: &str, is: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(5);
    while !is() {
        assert!(Instant::now() < until, "{what}: it never came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_next_page_is_fetched_while_the_caller_reads() {
    let server = serve(Texts { rows: 25, length: 1 }, Rules::default());
    let mut rows = scan(&server).page_size(10).into_iter();
    for (taken, requests) in [(1, 2), (11, 3)] {
        let first: u64 = keys(rows.by_ref().take(1))[0];
        assert_eq!(first, taken);
        wait_until("the next page", || server.count() == requests);
        keys(rows.by_ref().take(9));
        assert_eq!(server.count(), requests, "one page ahead, not two");
    }
    assert_eq!(keys(rows), [21, 22, 23, 24, 25]);
    assert_eq!(server.count(), 3);
}

#[test]
fn rows_that_are_dropped_wait_for_nothing() {
    let server = Server::start(|_, n| match n {
        0 => Act::json(200, &page(&json!([[1], [2]]))),
        _ => Act::silence(),
    });
    let mut rows: Rows = scan(&server).page_size(2).into_iter();
    assert_eq!(keys(rows.by_ref().take(1)), [1]);
    wait_until("the next page", || server.count() == 2);
    within(Duration::from_secs(1), || drop(rows));
}

#[test]
fn an_error_comes_after_the_rows_before_it() {
    let server = Server::script([
        Act::json(200, &page(&json!([[1], [2]]))),
        Act::error(400, "validation_error", "illegal_aggregation", "no"),
    ]);
    let mut rows = scan(&server).page_size(2).into_iter();
    assert_eq!(keys(rows.by_ref().take(2)), [1, 2]);
    let error = error(rows.next().unwrap());
    assert_eq!(api(&error).code(), Some("illegal_aggregation"));
    assert!(rows.next().is_none() && rows.next().is_none());
    server.all_requests();
}

#[test]
fn a_query_that_failed_under_a_200_is_an_error_on_every_page() {
    let failed = || Act::json(200, &json!({"results": [], "columns": [], "error": "boom"}));
    for first in [None, Some(Act::json(200, &page(&json!([[1], [2]]))))] {
        let good = first.iter().count() * 2;
        let server = Server::script(first.into_iter().chain([failed()]));
        let mut rows = scan(&server).page_size(2).into_iter();
        assert_eq!(keys(rows.by_ref().take(good)).len(), good);
        let error = error(rows.next().unwrap());
        assert!(
            error.to_string().contains("boom") && error.to_string().contains("POST"),
            "{error}"
        );
    }
}

#[test]
fn a_deadline_ends_the_wait_for_a_page() {
    let server = Server::start(|_, n| match n {
        0 => Act::json(200, &page(&json!([[1], [2]]))),
        _ => Act::silence(),
    });
    let client = client(&server).with_deadline(Instant::now() + Duration::from_millis(500));
    let mut rows = client.project(1).hogql(SQL).scan("k").page_size(2).into_iter();
    assert_eq!(keys(rows.by_ref().take(2)), [1, 2]);
    let error = within(Duration::from_secs(2), || error(rows.next().unwrap()));
    assert!(
        error.kind() == posthog_api::ErrorKind::Timeout && error.to_string().contains("POST"),
        "{error}"
    );
}

#[derive(Debug, Deserialize, PartialEq)]
struct Typed {
    k: u8,
}

#[test]
fn a_row_of_another_type_is_an_error_and_the_next_one_follows() {
    let script = || {
        Server::answers(&[
            page(&json!([[1], ["two"]])),
            page(&json!([[300], [4]])),
            page(&json!([[5]])),
        ])
    };
    let server = script();
    let rows: Vec<Result<Typed>> = scan(&server).page_size(2).items_as().collect();
    let (good, bad): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
    let good: Vec<u8> = good.into_iter().map(|row| row.unwrap().k).collect();
    assert_eq!(good, [1, 4, 5]);
    let texts: Vec<String> = bad
        .into_iter()
        .map(|row| {
            let error = error(row);
            assert_eq!(decode(&error).kind(), ErrorKind::Row);
            error.to_string()
        })
        .collect();
    assert!(texts[0].contains("row 2 ") && texts[0].contains(" k"), "{}", texts[0]);
    assert!(texts[1].contains("row 3 ") && texts[1].contains(" k"), "{}", texts[1]);
    // By hand, the same rows are values.
    let server = script();
    assert_eq!(scan(&server).page_size(2).into_iter().map(Result::unwrap).count(), 5);
    let refreshes = server
        .requests()
        .iter()
        .map(Request::json)
        .map(|body| body["refresh"].clone())
        .collect::<Vec<_>>();
    assert_eq!(refreshes, ["force_blocking"; 3]);
}
