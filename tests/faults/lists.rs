//! Proves that a list gives every row once or an error, that it ends, and that `next` never leads
//! to another host.
use crate::support::expect::{api, config, decode, not_found, paging, transport};
use crate::support::{Act, KEY, REQUEST_ID, Server, client, error, seen, together, within};
use posthog_api::{Client, ErrorKind, Items, List, RetryPolicy};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
        ("result null beside it", json!({"results": [1], "result": null}), vec![1]),
        ("results null beside result", json!({"result": [1], "results": null}), vec![1]),
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
fn what_stands_around_the_rows_costs_none() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for around in [
        r#""count": 1e999"#,
        r#""count": "3""#,
        r#""has_next": 1e999"#,
        r#""next_cursor": 1e999"#,
        r#""other": 1e999"#,
        r#""result": null"#,
        &format!(r#""count": {deep}"#),
    ] {
        for body in [
            format!(r#"{{{around}, "results": [{{"id": 1}}], "next": null}}"#),
            format!(r#"{{"results": [{{"id": 1}}], {around}}}"#),
        ] {
            let server =
                Server::start(move |_, _| Act::status(200).body("application/json", body.clone()));
            let list = || things(&client(&server));
            assert_eq!(list().all().unwrap(), [json!({"id": 1})], "{around}");
            let typed: Result<Vec<Value>, _> = list().items_as().collect();
            assert_eq!(typed.unwrap(), [json!({"id": 1})], "{around}");
        }
    }
}

#[test]
fn a_wrong_count_does_not_change_the_rows() {
    for (name, count, total) in [
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
fn two_thousand_pages_use_one_connection() {
    const PAGES: usize = 2_000;
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

/// Reads a list as values and as a type: both must agree. The number of rows, and whether the list
/// ends with an error of paging.
#[track_caller]
fn both_ways(what: &str, list: impl Fn() -> List) -> (usize, bool) {
    let values = list().items().collect::<Vec<_>>();
    let typed = list().items_as::<Value>().collect::<Vec<_>>();
    let failed = |rows: &[posthog_api::Result<Value>]| match rows.last() {
        Some(Err(e)) => {
            paging(&seen(e.clone()));
            true
        }
        _ => false,
    };
    assert_eq!(failed(&values), failed(&typed), "{what}: {values:?}, {typed:?}");
    (values.iter().filter(|row| row.is_ok()).count(), failed(&values))
}

#[test]
fn a_list_without_an_end_is_an_error() {
    type Body = fn(usize) -> Value;
    let by_offset = |n: usize| format!("?offset={}", n + 1);
    let bodies: [(&str, usize, Body); 8] = [
        ("the same page", 4, |n| json!({"results": [{"id": 1}, {"id": 2}], "n": n})),
        ("two pages in turn", 24, |n| json!({"results": [{"id": n % 2}, {"id": 7}]})),
        ("a body that changes", 13, |n| json!({"results": [{"id": 1, "now": n}, {"id": n % 3}]})),
        ("more rows than count", 13, |n| json!({"results": [{"id": n % 3}], "count": 2})),
        ("rows without an id", 24, |n| json!({"results": [{"a": n % 2}, {"b": 1}]})),
        ("has_more", 4, |n| json!({"results": [{"id": 1}, {"id": 2}], "has_more": true, "n": n})),
        (
            "has_more, two in turn",
            24,
            |n| json!({"results": [{"id": n % 2}, {"id": 7}], "has_more": true}),
        ),
        (
            "next_cursor",
            4,
            |n| json!({"results": [{"id": 1}, {"id": 2}], "has_more": true, "next_cursor": n + 1}),
        ),
    ];
    together(bodies, |(what, most, body)| {
        let server = Server::start(move |_, n| {
            if n > 600 {
                return Act::status(400);
            }
            let mut body = body(n);
            if body.get("has_more").is_none() {
                body["next"] = json!(by_offset(n));
            }
            Act::json(200, &body)
        });
        for allowed in [false, true] {
            let list = || {
                let list = things(&client(&server));
                if allowed { list.allow_missing_rows() } else { list }
            };
            let (rows, failed) = both_ways(what, list);
            assert!(failed, "{what}");
            assert!(rows <= most * 2, "{what}: {rows} rows");
            assert!(server.count() < 300, "{what}: {} requests", server.count());
        }
    });
}

#[test]
fn a_list_by_cursor_that_repeats_a_row_is_an_error() {
    let page =
        |rows: [u64; 2], next: &Value| Act::page(&json!([{"id": rows[0]}, {"id": rows[1]}]), next);
    for (name, next, fails) in [
        ("cursor", "?cursor=a", true),
        ("before", "?before=2026-01-01", true),
        ("offset", "?offset=2", false),
        ("page", "?page=2", false),
        ("offset beside before", "?offset=2&before=2026-01-01", false),
    ] {
        for second in [[2, 3], [3, 4]] {
            let server = Server::start(move |_, n| match n % 2 {
                0 => page([1, 2], &json!(next)),
                _ => page(second, &Value::Null),
            });
            let list = || things(&client(&server));
            let expected = (4, fails && second == [2, 3]);
            assert_eq!(both_ways(name, list), expected, "{name}");
            assert_eq!(both_ways(name, || list().allow_missing_rows()), (4, false), "{name}");
        }
    }
}

#[test]
fn a_route_that_ignores_offset_is_asked_for_the_whole_list() {
    for (whole, ends, failed) in [
        (json!({"results": [1, 2]}), 2, false),
        (json!([1, 2]), 2, false),
        (json!({"results": [1, 2, 3]}), 2, true),
    ] {
        let server = Server::start(move |request, _| match request.param("limit") {
            Some(_) => Act::json(200, &json!({"results": [1, 2]})),
            None => Act::json(200, &whole),
        });
        let list = || things(&client(&server)).page_size(2);
        assert_eq!(both_ways("whole", list), (ends, failed));
        let queries: Vec<String> =
            server.requests()[..3].iter().map(|r| r.query().to_owned()).collect();
        assert_eq!(queries, ["limit=2", "limit=2&offset=2", ""]);
        assert_eq!(server.count(), 6);
        for prefetch in [1, 4] {
            let rows: Vec<_> = list().prefetch(prefetch).items().collect();
            assert_eq!(rows.len(), ends + usize::from(failed));
        }
        assert_eq!(list().allow_missing_rows().all().unwrap(), [1, 2]);
    }
}

#[test]
fn where_the_caller_starts_at_a_place_no_offset_is_made_up() {
    for name in ["page", "cursor", "before", "after"] {
        for (around, failed) in [
            (json!({"has_next": true}), true),
            (json!({"count": 9}), true),
            (json!({}), true),
            (json!({"count": 9, "next": null}), false),
            (json!({"has_next": false, "count": 9}), false),
        ] {
            let mut body = around.clone();
            body["results"] = json!([{"id": 1}, {"id": 2}]);
            let server = Server::start(move |_, _| Act::json(200, &body));
            let list = || things(&client(&server)).page_size(2).param(name, "5");
            assert_eq!(both_ways(name, list), (2, failed), "{name}: {around}");
            assert_eq!(server.count(), 2, "{name}: {around}");
        }
    }
}

#[test]
fn a_null_next_beside_a_true_has_next_is_an_error() {
    for name in ["has_next", "has_more", "hasMore"] {
        let body = json!({"results": [1], "next": null, name: true});
        let server = Server::start(move |_, _| Act::json(200, &body));
        assert_eq!(both_ways(name, || things(&client(&server))), (1, true));
        // A link counts, whatever stands beside it.
        let server = Server::start(move |_, n| {
            let next = if n % 2 == 0 { json!("?offset=1") } else { Value::Null };
            Act::json(200, &json!({"results": [n % 2], "next": next, name: false}))
        });
        assert_eq!(both_ways(name, || things(&client(&server))), (2, false));
    }
}

#[test]
fn a_list_that_may_miss_rows_makes_no_offset_of_a_count() {
    for body in [json!({"results": [1, 2], "count": 9}), json!({"results": [1, 2]})] {
        let server = Server::script([Act::json(200, &body)]);
        let list = things(&client(&server)).page_size(2).allow_missing_rows();
        assert_eq!(list.all().unwrap(), [1, 2]);
    }
}

#[test]
fn empty_pages_are_counted_in_a_row() {
    let server = Server::counting(|request, _| {
        let at: u64 = request.param("cursor").map_or(0, |n| n.parse().unwrap());
        let rows = if at == 600 { json!([at]) } else { json!([]) };
        let next = if at == 1_200 { Value::Null } else { json!(format!("?cursor={}", at + 1)) };
        Act::page(&rows, &next)
    });
    assert_eq!(things(&client(&server)).all().unwrap(), [600]);
}

#[test]
fn first_is_found_behind_a_thousand_missing_rows() {
    let server = Server::start(|request, _| {
        let number = |name: &str| request.param(name).map_or(0, |n| n.parse::<u64>().unwrap());
        let (limit, end) = (number("limit"), number("offset") + number("limit"));
        let rows = if end > 1_000 { json!([{"id": 7}]) } else { json!([]) };
        Act::page(&rows, &json!(format!("?limit={limit}&offset={end}")))
    });
    let first = client(&server).project(1).persons().first().unwrap();
    assert_eq!(first, Some(json!({"id": 7})));
    assert!(server.count() <= 12, "{} requests", server.count());
}

#[test]
fn offsets_that_are_made_up_are_foreseen() {
    let around: [fn(&mut Value); 3] =
        [|_| (), |page| page["has_more"] = json!(true), |page| page["count"] = json!(1_000)];
    together(around, |add| {
        let server = Server::start(move |request, _| {
            let at: u64 = request.param("offset").map_or(0, |n| n.parse().unwrap());
            let mut page = json!({"results": [{"id": at}, {"id": at + 1}]});
            add(&mut page);
            Act::json(200, &page)
        });
        let mut pages = things(&client(&server)).page_size(2).prefetch(4).pages();
        for _ in 0..3 {
            pages.next().unwrap().unwrap();
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(server.count() > 4, "only the next page is requested ahead");
    });
}

#[test]
fn after_a_panic_in_a_hook_a_list_goes_on_with_the_same_page() {
    for prefetch in [0, 2] {
        let failed = std::sync::atomic::AtomicBool::new(false);
        let server = Server::start(move |request, _| {
            let at: u64 = request.param("offset").map_or(0, |n| n.parse().unwrap());
            if at == 2 && !failed.swap(true, std::sync::atomic::Ordering::SeqCst) {
                return Act::error(503, "server_error", "error", "No.");
            }
            let next = if at == 8 { Value::Null } else { json!(format!("?offset={}", at + 2)) };
            let rows = json!([{"id": at}, {"id": at + 1}]);
            Act::json(200, &json!({"results": rows, "count": 10, "next": next}))
        });
        let client = crate::support::builder(server.url())
            .retry(RetryPolicy::default())
            .on_retry(|_| panic!("a hook"))
            .build()
            .unwrap();
        let mut items = things(&client).prefetch(prefetch).items();
        let mut rows = Vec::new();
        let mut panics = 0;
        loop {
            match catch_unwind(AssertUnwindSafe(|| items.next())) {
                Ok(Some(row)) => rows.push(row.unwrap()["id"].as_u64().unwrap()),
                Ok(None) => break,
                Err(_) => panics += 1,
            }
            assert!(panics < 5);
        }
        assert_eq!((rows, panics), ((0..10).collect(), 1), "prefetch {prefetch}");
    }
}

#[test]
fn a_filter_that_shares_characters_with_the_key_stays() {
    let server = Server::counting(|request, n| {
        assert_eq!(request.param("search").as_deref(), Some(&KEY[..20]));
        let next = json!(format!("?search={}&offset=1", &KEY[..20]));
        Act::page(&json!([n]), if n == 0 { &next } else { &Value::Null })
    });
    let list = things(&client(&server)).param("search", &KEY[..20]);
    assert_eq!(list.all().unwrap(), [0, 1]);
}

#[test]
fn pages_without_a_new_row_are_counted_in_a_row() {
    let server = Server::start(|_, n| {
        let next = if n < 20 { json!(format!("?offset={}", n + 1)) } else { Value::Null };
        // Eight pages repeat the rows of others, one brings a new row, and so on.
        let id = if n % 9 == 2 { n } else { n % 2 };
        Act::page(&json!([{"id": id}]), &next)
    });
    assert_eq!(things(&client(&server)).all().unwrap().len(), 21);
}

#[test]
fn a_list_by_cursor_can_repeat_rows_without_an_id() {
    let server = Server::start(|_, n| match n % 2 {
        0 => Act::page(&json!([{"a": 1}, {"a": 2}]), &json!("?cursor=a")),
        _ => Act::page(&json!([{"a": 1}, {"a": 3}]), &Value::Null),
    });
    assert_eq!(both_ways("no id", || things(&client(&server))), (4, false));
}

#[test]
fn of_several_names_for_more_pages_one_that_is_true_counts() {
    for body in [
        r#"{"results": [{"id": 1}], "has_next": true, "hasMore": false}"#,
        r#"{"has_more": false, "results": [{"id": 1}], "has_next": true}"#,
    ] {
        let end = json!({"results": [{"id": 2}], "has_next": false});
        let server = Server::start(move |_, n| match n % 2 {
            0 => Act::status(200).body("application/json", body),
            _ => Act::json(200, &end),
        });
        assert_eq!(both_ways(body, || things(&client(&server))), (2, false));
    }
}
