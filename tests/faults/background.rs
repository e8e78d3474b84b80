//! Proves that a background query ends in time, whatever the server does, and that its rows are
//! complete or an error.
use crate::support::expect::{api, decode, query, timeout, transport};
use crate::support::{
    AT_ONCE, Act, Server, TIMEOUT, client, error, error_in, seen, together, trying, within,
};
use posthog_api::{Client, Error, Query, Refresh, Scan};
use serde_json::{Value, json};
use std::time::Duration;

const ID: &str = "0193-cafe";

fn running() -> Act {
    Act::json(202, &json!({"query_status": {"id": ID, "complete": false, "error": false}}))
}

fn done() -> Act {
    let answer = json!({"columns": ["a"], "results": [[7]], "hasMore": false});
    Act::json(
        200,
        &json!({"query_status": {"id": ID, "complete": true, "error": false, "results": answer}}),
    )
}

fn failed_with(status: u16, message: &Value) -> Act {
    let query_status = json!({"id": ID, "complete": true, "error": true, "error_message": message});
    Act::json(status, &json!({"query_status": query_status}))
}

fn sql(client: &Client) -> Query {
    client.project(1).hogql("SELECT a FROM events LIMIT 10")
}

fn calls(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let call = |r: &crate::support::Request| format!("{} {}", r.method, r.target);
    requests.iter().map(call).collect()
}

#[test]
fn a_background_query_can_be_complete_at_once() {
    for (name, act) in [
        (
            "from the cache",
            Act::json(
                200,
                &json!({"columns": ["a"], "results": [[7]], "query_status": {"complete": true}}),
            ),
        ),
        (
            "a server that knows no background",
            Act::json(200, &json!({"columns": ["a"], "results": [[7]]})),
        ),
        ("complete in its status", done()),
        (
            "with a status that is null",
            Act::json(200, &json!({"columns": ["a"], "results": [[7]], "query_status": null})),
        ),
        (
            "with results, whatever its status says",
            Act::json(
                200,
                &json!({"columns": ["a"], "results": [[7]], "query_status": {"complete": false, "id": ID}}),
            ),
        ),
    ] {
        let server = Server::script([act]);
        let rows = within(AT_ONCE, || sql(&client(&server)).background().rows());
        let rows = rows.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(rows[0]["a"], 7, "{name}");
        assert_eq!(server.requests()[0].json()["refresh"], "async", "{name}");
    }
}

#[test]
fn a_background_query_is_polled_until_it_is_complete() {
    let server = Server::start(|_, n| if n < 3 { running() } else { done() });
    let rows = sql(&client(&server)).background().rows().unwrap();
    assert_eq!(rows[0]["a"], 7);
    let mut expected = vec!["POST /api/projects/1/query/".to_owned()];
    expected.resize(4, format!("GET /api/projects/1/query/{ID}/"));
    assert_eq!(calls(&server), expected);
}

#[test]
fn a_background_query_that_fails_is_an_error_with_the_reason() {
    let rows = [
        ("with a message", failed_with(400, &json!("Unknown column 'a'")), "Unknown column 'a'"),
        ("under a 200", failed_with(200, &json!("Unknown column 'a'")), "Unknown column 'a'"),
        ("without a message", failed_with(400, &Value::Null), "failed"),
        ("with an empty message", failed_with(200, &json!("")), "failed"),
        ("with a message that is no text", failed_with(400, &json!({"a": 1})), "failed"),
        (
            "done, but without results",
            Act::json(200, &json!({"query_status": {"id": ID, "complete": true}})),
            "results",
        ),
        (
            "done, but with results that are none",
            Act::json(200, &json!({"query_status": {"id": ID, "complete": true, "results": [1]}})),
            "results",
        ),
        ("expired", Act::error(404, "invalid_request", "not_found", "Query not found."), "minutes"),
    ];
    together(rows, |(name, act, words)| {
        let server = Server::script([running(), act]);
        let failed = error_in(name, sql(&client(&server)).background().send());
        assert!(query(&failed).message().contains(words), "{name}: {failed}");
    });
}

#[test]
fn a_background_query_can_fail_at_once() {
    for act in [failed_with(200, &json!("No.")), failed_with(202, &json!("No."))] {
        let server = Server::script([act]);
        let failed = error(sql(&client(&server)).background().send());
        assert!(query(&failed).message().contains("No."), "{failed}");
    }
}

#[test]
fn a_failed_query_with_status_500_is_a_query_error() {
    // A 500 is retried once.
    let server =
        Server::script([running(), failed_with(500, &Value::Null), failed_with(500, &Value::Null)]);
    let failed = error(sql(&trying(&server, 3)).background().send());
    assert!(query(&failed).message().contains("failed"), "{failed}");
}

#[test]
fn a_refused_background_query_is_an_api_error() {
    for (name, status) in [
        ("not SQL", 400),
        ("no scope", 403),
        ("no project", 404),
        ("throttled", 429),
        ("a fault", 500),
    ] {
        let server = Server::script([Act::error(status, "x", "y", "No.")]);
        let failed = error_in(name, sql(&client(&server)).background().send());
        assert_eq!(api(&failed).detail(), Some("No."), "{name}");
    }
}

#[test]
fn a_background_query_without_an_id_is_an_error() {
    for (name, status) in [
        ("none", json!({"complete": false})),
        ("null", json!({"complete": false, "id": null})),
        ("a number", json!({"complete": false, "id": 7})),
        ("empty", json!({"complete": false, "id": ""})),
        ("dots", json!({"complete": false, "id": ".."})),
        ("a path", json!({"complete": false, "id": "../../users/@me"})),
    ] {
        let server = Server::script([Act::json(202, &json!({"query_status": status}))]);
        let failed = error_in(name, sql(&client(&server)).background().send());
        assert!(query(&failed).message().contains("id"), "{name}: {failed}");
    }
}

#[test]
fn the_id_of_a_query_is_sent_as_one_segment() {
    let id = "a b?c#d";
    let status = json!({"query_status": {"id": id, "complete": false}});
    let server = Server::script([Act::json(202, &status), done()]);
    sql(&client(&server)).background().send().unwrap();
    assert_eq!(calls(&server)[1], "GET /api/projects/1/query/a%20b%3Fc%23d/");
}

#[test]
fn a_background_query_that_takes_too_long_is_cancelled() {
    let server =
        Server::start(|r, _| if r.method == "DELETE" { Act::status(204) } else { running() });
    let client = client(&server);
    let query = sql(&client).background().timeout(Duration::from_millis(700));
    let failed = within(Duration::from_secs(4), || error(query.send()));
    assert!(timeout(&failed).message().contains("700ms"), "{failed}");
    let calls = calls(&server);
    assert_eq!(calls.last().unwrap(), &format!("DELETE /api/projects/1/query/{ID}/"));
    assert!((2..=6).contains(&calls.len()), "{calls:?}");
}

#[test]
fn a_poll_that_hangs_ends_with_the_query_and_cancels_it() {
    let server = Server::start(|r, n| match (r.method.as_str(), n) {
        (_, 0) => running(),
        ("DELETE", _) => Act::status(204),
        _ => Act::silence(),
    });
    let client = client(&server);
    let query = sql(&client).background().timeout(Duration::from_millis(700));
    let failed = within(Duration::from_secs(4), || error(query.send()));
    timeout(&failed);
    assert_eq!(calls(&server).last().unwrap(), &format!("DELETE /api/projects/1/query/{ID}/"));
}

#[test]
fn a_cancel_that_fails_or_hangs_does_not_change_the_error() {
    let acts = [
        ("refused", Act::error(405, "invalid_request", "method_not_allowed", "No.")),
        ("broken", Act::reset()),
        ("throttled for an hour", Act::status(429).header("Retry-After", "3600")),
        ("silent", Act::silence()),
    ];
    together(acts, |(name, act)| {
        let server =
            Server::start(move |r, _| if r.method == "DELETE" { act.clone() } else { running() });
        let client = trying(&server, 3);
        let query = sql(&client).background().timeout(TIMEOUT);
        let failed = within(AT_ONCE, || error_in(name, query.send()));
        assert_eq!(timeout(&failed).call().unwrap().0, "GET", "{name}");
        let deletes = calls(&server).iter().filter(|c| c.starts_with("DELETE")).count();
        assert_eq!(deletes, 1, "{name}");
    });
}

#[test]
fn a_background_query_whose_start_hangs_ends_in_time() {
    let server = Server::script([Act::silence()]);
    let query = sql(&client(&server)).background().timeout(TIMEOUT);
    let failed = within(Duration::from_secs(2), || error(query.send()));
    assert_eq!(timeout(&failed).call().unwrap().0, "POST");
}

#[test]
fn polls_are_retried() {
    let again = Act::status(503).header("Retry-After", "0");
    let server = Server::script([running(), Act::reset(), again.clone(), running(), again, done()]);
    let rows = sql(&trying(&server, 3)).background().rows().unwrap();
    assert_eq!(rows[0]["a"], 7);
    assert_eq!(calls(&server).iter().filter(|c| c.starts_with("POST")).count(), 1);
}

#[test]
fn a_poll_with_a_retry_after_beyond_the_timeout_fails_at_once() {
    let server =
        Server::script([running(), Act::status(429).header("Retry-After", "30"), Act::status(204)]);
    let client = trying(&server, 3);
    let query = sql(&client).background().timeout(Duration::from_secs(4));
    let failed = within(Duration::from_secs(2), || error(query.send()));
    assert_eq!(failed.retry_after(), Some(Duration::from_secs(30)));
    // The client waits no longer for it.
    assert!(calls(&server)[2].starts_with("DELETE "));
}

#[test]
fn a_broken_poll_is_an_error() {
    let page = Act::status(200).body("text/html", "<p>");
    let server = Server::script([running(), page, Act::status(204)]);
    let failed = error(sql(&client(&server)).background().send());
    decode(&failed);
    assert!(calls(&server)[2].starts_with("DELETE "));
    let server = Server::script([
        running(),
        Act::status(200).length(9).then(crate::support::End::Close),
        Act::status(204),
    ]);
    transport(&error(sql(&client(&server)).background().send()));
}

#[test]
fn refresh_becomes_its_background_form() {
    for (refresh, sent) in [
        (None, "async"),
        (Some(Refresh::Blocking), "async"),
        (Some(Refresh::Async), "async"),
        (Some(Refresh::LazyAsync), "lazy_async"),
        (Some(Refresh::ForceBlocking), "force_async"),
        (Some(Refresh::ForceAsync), "force_async"),
    ] {
        let server = Server::script([done()]);
        let client = client(&server);
        let query = refresh.into_iter().fold(sql(&client), Query::refresh);
        query.background().send().unwrap();
        assert_eq!(server.requests()[0].json()["refresh"], sent, "{refresh:?}");
    }
}

#[test]
fn a_failed_query_with_status_200_is_an_error() {
    for (name, body, words) in [
        ("error", json!({"error": "Syntax error", "results": []}), Some("Syntax error")),
        ("an empty error", json!({"error": "", "results": [], "columns": []}), None),
        ("no error", json!({"error": null, "results": [], "columns": []}), None),
        (
            "a failed status",
            json!({"results": null, "query_status": {"error": true, "error_message": "Too many"}}),
            Some("Too many"),
        ),
    ] {
        let server = Server::script([Act::json(200, &body)]);
        match (sql(&client(&server)).send(), words) {
            (Ok(answer), None) => assert_eq!(answer, body, "{name}"),
            (Err(failed), Some(words)) => {
                assert!(query(&seen(failed)).message().contains(words), "{name}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn three_thousand_columns_of_one_name_are_read_in_time() {
    let answer =
        json!({"columns": vec!["a"; 3_000], "results": [vec![1; 3_000]], "hasMore": false});
    let server = Server::script([Act::json(200, &answer)]);
    let rows = within(AT_ONCE, || sql(&client(&server)).rows()).unwrap();
    assert_eq!(rows[0].len(), 3_000);
}

#[test]
fn an_answer_without_rows_is_an_error() {
    for (name, body) in [
        ("no columns", json!({"results": [[1]]})),
        ("rows of two forms", json!({"columns": ["a"], "results": [{"a": 1}, [1]]})),
        ("more cells than columns", json!({"columns": ["a"], "results": [[1, 2]]})),
        ("fewer cells than columns", json!({"columns": ["a", "b"], "results": [[1]]})),
        ("results a text", json!({"columns": ["a"], "results": "none"})),
        ("a list", json!([[1]])),
    ] {
        let server = Server::script([Act::json(200, &body)]);
        let failed = error_in(name, sql(&client(&server)).rows());
        query(&failed);
    }
    for (name, act) in [
        ("results null", Act::json(200, &json!({"columns": ["a"], "results": null}))),
        ("nothing", Act::status(200)),
    ] {
        let server = Server::script([act]);
        let failed = error_in(name, sql(&client(&server)).rows());
        query(&failed);
    }
}

fn page(keys: &[Value]) -> Act {
    let rows: Vec<Value> = keys.iter().map(|key| json!([key, "x"])).collect();
    let types = json!([["k", "UInt64"], ["v", "String"]]);
    Act::json(200, &json!({"columns": ["k", "v"], "types": types, "results": rows}))
}

fn keys(n: std::ops::Range<u64>) -> Vec<Value> {
    n.map(Value::from).collect()
}

fn scan(client: &Client) -> Scan {
    client.project(1).hogql("SELECT k, v FROM events").scan("k").page_size(2)
}

/// The keys up to the end or the first error. The iterator must be finished then.
fn walk(scan: Scan) -> (Vec<Value>, Option<Error>) {
    let mut scan = scan.into_iter();
    let mut found = Vec::new();
    let failed = loop {
        match scan.next() {
            Some(Ok(row)) => found.push(row["k"].clone()),
            Some(Err(failed)) => break Some(seen(failed)),
            None => break None,
        }
        assert!(found.len() < 1_000, "it goes on");
    };
    assert!(scan.next().is_none() && scan.next().is_none(), "it goes on after its end");
    (found, failed)
}

#[test]
fn an_error_in_a_scan_comes_after_the_earlier_rows_and_ends_it() {
    for (name, act) in [
        ("an error status", Act::error(400, "x", "y", "No.")),
        ("a broken connection", page(&keys(2..4)).cut(4)),
        ("a web page", Act::status(200).body("text/html", "<p>")),
        ("a failure under a 200", Act::json(200, &json!({"error": "No."}))),
        ("no columns", Act::json(200, &json!({"results": [[1]]}))),
        ("the page before again", page(&keys(0..2))),
        ("a key that is an object", page(&[json!({"a": 1})])),
        ("a row that is short", Act::json(200, &json!({"columns": ["k", "v"], "results": [[2]]}))),
        ("no such column", Act::json(200, &json!({"columns": ["other"], "results": [[1]]}))),
    ] {
        let server = Server::script([page(&keys(0..2)), act]);
        let (found, failed) = walk(scan(&client(&server)));
        assert_eq!(found, keys(0..2), "{name}");
        assert!(failed.is_some(), "{name}: a silent end");
    }
}

#[test]
fn a_scan_whose_keys_repeat_is_an_error() {
    // The keys repeat: 1, 2, 3, 1, ...
    let server = Server::start(|_, n| {
        assert!(n < 50, "it goes round");
        page(&[json!(n % 3 + 1)])
    });
    let (found, failed) = walk(scan(&client(&server)));
    assert!(failed.is_some() && found.len() < 10, "{found:?}");
}

#[test]
fn the_pages_of_a_scan_are_retried() {
    let again = Act::status(503).header("Retry-After", "0");
    let server = Server::script([
        again.clone(),
        page(&keys(0..2)),
        again,
        page(&keys(2..3)),
        page(&[]),
        page(&[]),
    ]);
    let (found, failed) = walk(scan(&trying(&server, 1)));
    assert_eq!((found, failed.is_none()), (keys(0..3), true));
}
