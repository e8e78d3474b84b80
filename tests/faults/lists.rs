//! Proves that a list gives every row once or an error, that it ends, and that `next` never leads
//! to another host.
use crate::support::expect::{api, config, decode, not_found, paging, transport};
use crate::support::{Act, KEY, REQUEST_ID, Server, client, error, seen, within};
use posthog_api::{Client, ErrorKind, Items, List};
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/api/projects/1/things/";

fn things(client: &Client) -> List {
    client.project(1).list("things")
}

/// The rows up to the first error or the end, and the error. The iterator must be finished then.
fn walk(mut items: Items<Value>) -> (Vec<Value>, Option<posthog_api::Error>) {
    let mut rows = Vec::new();
    let mut failed = None;
    for _ in 0..1_000 {
        match items.next() {
            Some(Ok(row)) => rows.push(row),
            Some(Err(error)) => {
                failed = Some(seen(error));
                break;
            }
            None => break,
        }
    }
    for _ in 0..3 {
        assert!(items.next().is_none(), "it goes on after its end");
    }
    (rows, failed)
}

#[test]
fn only_the_query_of_next_is_used() {
    let stranger = Server::stranger();
    let other = stranger.address();
    for (name, next, query) in [
        (
            "another host",
            "https://evil.example/api/x/?limit=2&offset=2".to_owned(),
            "limit=2&offset=2",
        ),
        ("another port", format!("http://{other}/api/x/?offset=2"), "offset=2"),
        ("another port, with userinfo", format!("http://u:p@{other}/?offset=2"), "offset=2"),
        ("the home host as userinfo", format!("http://127.0.0.1@{other}/?offset=2"), "offset=2"),
        ("an internal name", "http://posthog-web-7f9c:8000/api/?offset=2".to_owned(), "offset=2"),
        ("the other scheme", format!("https://{other}/?offset=2"), "offset=2"),
        ("a file", "file:///etc/passwd?offset=2".to_owned(), "offset=2"),
        ("no scheme", format!("//{other}/api/x/?offset=2"), "offset=2"),
        ("a bare query", "?limit=2&offset=2".to_owned(), "limit=2&offset=2"),
        ("a relative path without a slash", "api/projects/1/x/?offset=2".to_owned(), "offset=2"),
        ("a half path", "/x/?offset=2".to_owned(), "offset=2"),
        ("a path with dots", "/../../admin/?offset=2".to_owned(), "offset=2"),
        ("a fragment behind it", "?offset=2#?offset=9".to_owned(), "offset=2"),
        ("a line end in it", "?offset=2\r\nX-Evil: 1".to_owned(), "offset=2\r\nX-Evil: 1"),
        (
            "form encoding",
            "?q=a+b%2Bc%26d&cursor=cD0%3D&%C3%A9=%7e".to_owned(),
            "q=a b+c&d&cursor=cD0=&é=~",
        ),
        ("the key echoed", format!("?personal_api_key={KEY}&offset=2"), "offset=2"),
        (
            "the key echoed under an encoded name",
            format!("?offset=2&%70ersonal%5Fapi_key={KEY}"),
            "offset=2",
        ),
        (
            "a project token echoed",
            "?token=phc_other&api_key=phc_other&offset=2".to_owned(),
            "offset=2",
        ),
    ] {
        let server = Server::script([
            Act::page(&json!([1, 2]), &json!(next)),
            Act::page(&json!([3]), &Value::Null),
        ]);
        let rows = things(&client(&server)).all();
        assert_eq!(rows.unwrap(), [1, 2, 3], "{name}");
        let second = &server.requests()[1];
        assert_eq!(second.path(), PATH, "{name}");
        assert_eq!(crate::support::decode(second.query()), query, "{name}");
    }
}

#[test]
fn a_key_in_next_under_another_name_is_not_sent_again() {
    // A list without the parameter and an error are both right. The test server looks for the key.
    for next in [
        format!("?offset=1&k={KEY}"),
        format!("?offset=1&next=%2Fapi%3Fpersonal_api_key%3D{KEY}"),
        format!("?offset=1&{KEY}"),
    ] {
        let server = Server::script([
            Act::page(&json!([1]), &json!(next)),
            Act::page(&json!([2]), &Value::Null),
        ]);
        let (rows, failed) = walk(things(&client(&server)).items());
        match failed {
            Some(failed) => {
                assert_eq!((rows.len(), paging(&failed).call()), (1, Some(("GET", PATH))));
            }
            None => assert_eq!(rows, [1, 2]),
        }
    }
}

#[test]
fn a_next_too_long_for_a_url_is_an_error_after_its_rows() {
    for next in [
        json!(format!("?cursor={}", "x".repeat(70_000))),
        json!(format!("?cursor={}", "é".repeat(30_000))),
        json!(vec!["x"; 300_000]),
    ] {
        let server = Server::script([Act::page(&json!([1]), &next)]);
        let (rows, failed) = walk(things(&client(&server)).items());
        assert_eq!(rows, [1]);
        paging(&failed.unwrap());
    }
}

#[test]
fn pages_return_the_error_once_and_end() {
    let server = Server::script([Act::page(&json!([1]), &json!(7))]);
    let mut pages = things(&client(&server)).pages();
    let page = pages.next().unwrap().unwrap();
    assert_eq!((page.results, page.has_next), (vec![json!(1)], true));
    paging(&error(pages.next().unwrap()));
    assert!(pages.next().is_none() && pages.next().is_none());
}

#[test]
fn a_cycle_of_three_pages_is_an_error() {
    let server = Server::start(|_, n| {
        assert!(n < 10, "the walk goes round");
        Act::page(&json!([n]), &json!(format!("?offset={}", n % 3)))
    });
    let (rows, failed) = walk(things(&client(&server)).items());
    paging(&failed.unwrap());
    // The first page was requested without an offset, so `?offset=0` counts as a new page.
    assert_eq!((rows.len(), server.count()), (4, 4));
}

#[test]
fn a_cycle_with_differently_encoded_links_is_an_error() {
    let server = Server::start(|_, n| {
        assert!(n < 10, "the walk goes round");
        let next = ["?a=%61b&o=1", "?a=ab&o=2", "?%61=a%62&o=1"][n % 3];
        Act::page(&json!([n]), &json!(next))
    });
    let (rows, failed) = walk(things(&client(&server)).items());
    paging(&failed.unwrap());
    assert_eq!(rows.len(), 3);
}

#[test]
fn short_and_empty_pages_do_not_end_a_list() {
    let server = Server::script([
        Act::page(&json!([1, 2]), &json!("?offset=3")),
        Act::page(&json!([]), &json!("?offset=6")),
        Act::page(&json!([3]), &json!("?offset=9")),
        Act::page(&json!([]), &json!("?offset=12")),
        Act::page(&json!([4, 5, 6]), &Value::Null),
    ]);
    let rows = things(&client(&server)).page_size(3).all().unwrap();
    assert_eq!(rows, [1, 2, 3, 4, 5, 6]);
    let offsets: Vec<Option<String>> =
        server.requests().iter().map(|r| r.param("offset")).collect();
    let sent = |n: &str| Some(n.to_owned());
    assert_eq!(
        offsets,
        [None, sent("3"), sent("6"), sent("9"), sent("12")],
        "by the server's own links, not by counting rows"
    );
}

#[test]
fn an_exact_multiple_of_the_page_size_ends_with_an_empty_page() {
    let server = Server::script([
        Act::page(&json!([1, 2]), &json!("?limit=2&offset=2")),
        Act::page(&json!([3, 4]), &json!("?limit=2&offset=4")),
        Act::page(&json!([]), &Value::Null),
    ]);
    let (rows, failed) = walk(things(&client(&server)).page_size(2).items());
    assert_eq!((rows.len(), failed.is_none()), (4, true));
}

#[test]
fn a_full_page_with_next_null_is_the_last_page() {
    let server = Server::script([Act::page(&json!([1, 2]), &Value::Null)]);
    assert_eq!(
        things(&client(&server)).page_size(2).all().unwrap(),
        [1, 2],
        "the page size asks for nothing more"
    );
}

#[test]
fn every_shape_of_a_single_page_is_read() {
    for (name, body, rows) in [
        ("no next key", json!({"results": [1, 2]}), vec![1, 2]),
        ("a bare array", json!([1, 2]), vec![1, 2]),
        ("an empty array", json!([]), vec![]),
        ("has_next false without next", json!({"results": [1], "has_next": false}), vec![1]),
        ("has_next as text", json!({"results": [1], "has_next": "true"}), vec![1]),
        (
            "next null beside has_next",
            json!({"results": [1], "next": null, "has_next": true}),
            vec![1],
        ),
        (
            "unknown keys around it",
            json!({"a": {"next": "?x=1"}, "results": [1], "b": [[[]]]}),
            vec![1],
        ),
        ("the old key `result`", json!({"result": [1], "next": null}), vec![1]),
    ] {
        let server = Server::script([Act::json(200, &body)]);
        assert_eq!(things(&client(&server)).all().unwrap(), rows, "{name}");
    }
}

#[test]
fn an_answer_that_is_not_a_list_is_an_error_with_its_body() {
    for (name, body) in [
        ("an object without results", r#"{"detail": "fine"}"#),
        ("results null", r#"{"results": null, "next": null}"#),
        ("results a string", r#"{"results": "none"}"#),
        ("results an object", r#"{"results": {"1": {}}}"#),
        ("a string", r#""[]""#),
        ("a number", "7"),
        ("null", "null"),
        ("nothing", ""),
        ("a web page", "<!doctype html><p>hello"),
    ] {
        let server = Server::script([Act::status(200).body("application/json", body)]);
        let (rows, failed) = walk(things(&client(&server)).items());
        assert!(rows.is_empty(), "{name}");
        let failed = failed.unwrap_or_else(|| panic!("{name}: a silent end"));
        assert_eq!(failed.status(), Some(200), "{name}");
        let failed = decode(&failed);
        assert_eq!(failed.request_id(), Some(REQUEST_ID), "{name}");
        assert_eq!(failed.body(), Some(body), "{name}");
    }
}

#[test]
fn a_wrong_count_does_not_change_the_rows() {
    for (name, count, total) in [
        ("too many", json!(1_000_000), Some(1_000_000)),
        ("too few", json!(0), Some(0)),
        ("negative", json!(-1), None),
        ("text", json!("3"), None),
        ("null", Value::Null, None),
        ("a fraction", json!(2.5), None),
        ("an object", json!({}), None),
    ] {
        let page = |rows: Value, next: Value| {
            Act::json(200, &json!({"count": count, "next": next, "results": rows}))
        };
        let server =
            Server::script([page(json!([1]), json!("?offset=1")), page(json!([2]), Value::Null)]);
        let mut items = things(&client(&server)).items();
        assert_eq!(items.next().unwrap().unwrap(), 1, "{name}");
        assert_eq!(items.total(), total, "{name}");
        let rest: Vec<Value> = items.map(Result::unwrap).collect();
        assert_eq!(rest, [2], "{name}");
    }
}

#[test]
fn ten_thousand_pages_use_one_connection() {
    const PAGES: usize = 10_000;
    let server = Server::counting(|_, n| {
        let next = if n + 1 < PAGES { json!(format!("?offset={}", n + 1)) } else { Value::Null };
        Act::page(&json!([n]), &next)
    });
    let mut rows = 0;
    for (n, row) in things(&client(&server)).items().enumerate() {
        assert_eq!(row.unwrap(), n);
        rows += 1;
    }
    assert_eq!((rows, server.count(), server.connections()), (PAGES, PAGES, 1));
}

#[test]
fn an_error_on_a_later_page_comes_after_the_earlier_rows_and_ends_the_list() {
    for prefetch in [0, 1, 5] {
        let server = Server::script([
            Act::page(&json!([1, 2]), &json!("?offset=2")),
            Act::error(400, "validation_error", "invalid_input", "No."),
        ]);
        let (rows, failed) = walk(things(&client(&server)).prefetch(prefetch).items());
        assert_eq!(rows, [1, 2], "prefetch {prefetch}");
        assert_eq!(api(&failed.unwrap()).detail(), Some("No."));
    }
}

#[test]
fn an_incomplete_page_gives_no_rows() {
    let server = Server::script([
        Act::page(&json!([1, 2]), &json!("?offset=2")),
        Act::page(&json!([3, 4]), &Value::Null).cut(5),
    ]);
    let (rows, failed) = walk(things(&client(&server)).items());
    assert_eq!(rows, [1, 2]);
    transport(&failed.unwrap());
}

#[test]
fn a_row_of_another_type_is_an_error_of_items_as() {
    let server = Server::script([Act::page(&json!([1, "two", 3]), &Value::Null)]);
    let mut items = things(&client(&server)).items_as::<u64>();
    assert_eq!(items.next().unwrap().unwrap(), 1);
    let failed = error(items.next().unwrap());
    assert_eq!(decode(&failed).kind(), ErrorKind::Row, "{failed}");
    assert!(failed.to_string().contains("two"), "{failed}");
    // The other rows can be read.
    assert_eq!(items.next().unwrap().unwrap(), 3);
    assert!(items.next().is_none());
}

#[test]
fn a_dropped_iterator_stops_fetching() {
    let server = Server::start(|_, n| Act::page(&json!([n]), &json!(format!("?offset={n}&x"))));
    let mut items = things(&client(&server)).prefetch(3).items();
    assert_eq!(items.next().unwrap().unwrap(), 0);
    within(Duration::from_secs(1), || drop(items));
    std::thread::sleep(Duration::from_millis(50));
    let count = server.count();
    assert!(count < 10, "{count} pages were fetched");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(server.count(), count, "it goes on fetching");
}

#[test]
fn a_huge_prefetch_does_not_panic() {
    let server = Server::script([Act::page(&json!([1]), &Value::Null)]);
    let rows = things(&client(&server)).prefetch(usize::MAX).all();
    assert_eq!(rows.unwrap(), [1]);
}

#[test]
fn a_page_size_of_zero_and_a_parameter_given_twice_are_refused() {
    let server = Server::script([]);
    let client = client(&server);
    for list in [
        things(&client).page_size(0),
        things(&client).page_size(1).page_size(2),
        things(&client).param("limit", 1).page_size(2),
        things(&client).param("a", "b").param("a", "b"),
    ] {
        config(&error(list.all()));
    }
}

#[test]
fn a_server_that_ignores_short_id_is_detected() {
    let insight = |id: &str| json!({"id": 1, "short_id": id});
    for (name, rows) in [
        ("another insight", json!([insight("other123")])),
        ("several", json!([insight("AbC12345"), insight("other123")])),
        ("another case", json!([insight("abc12345")])),
    ] {
        let server = Server::script([Act::page(&rows, &Value::Null)]);
        let failed = error(client(&server).project(1).insight("AbC12345"));
        assert!(paging(&failed).message().contains("short_id"), "{name}");
    }
    let server = Server::script([
        Act::page(&json!([insight("AbC12345")]), &Value::Null),
        Act::page(&json!([]), &Value::Null),
    ]);
    let project = client(&server).project(1);
    assert_eq!(project.insight("AbC12345").unwrap(), insight("AbC12345"));
    not_found(&error(project.insight("AbC12345")));
}

#[test]
fn a_server_that_ignores_distinct_id_is_detected() {
    let person = |id: &str| json!({"id": "u", "distinct_ids": [id]});
    for (name, rows) in
        [("several", json!([person("a"), person("b")])), ("another person", json!([person("b")]))]
    {
        let server = Server::script([Act::page(&rows, &Value::Null)]);
        let failed = error(client(&server).project(1).person_by_distinct_id("a"));
        assert!(paging(&failed).message().contains("distinct_id"), "{name}");
    }
}

#[test]
fn a_lookup_continues_after_an_empty_page_with_a_next() {
    let server = Server::script([
        Act::page(&json!([]), &json!("?distinct_id=a&offset=100")),
        Act::page(&json!([{"id": "u", "distinct_ids": ["a"]}]), &Value::Null),
    ]);
    let found = client(&server).project(1).person_by_distinct_id("a");
    assert_eq!(found.unwrap().unwrap()["id"], "u");
}
