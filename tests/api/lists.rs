//! Proves that every shape of list gives all of its items once, in order, or an error.
use crate::support::expect::paging;
use crate::support::{Act, KEY, Server, client, error, error_in};
use crate::wire::{Thing, ids, json_text, ok, targets};
use posthog_api::{Client, Error, List, Page};
use serde_json::{Value, json};

/// A shape of list: its pages, and the requests that fetch them.
struct Shape {
    what: &'static str,
    begin: fn(&Client) -> List,
    pages: Vec<Value>,
    count: Option<u64>,
    targets: Vec<&'static str>,
}

/// PostHog's shapes of list, each with items 1 to 5. The links name hosts that do not exist.
#[allow(clippy::too_many_lines, reason = "a table")]
fn shapes() -> Vec<Shape> {
    let numbered = |next: [&str; 2]| {
        vec![
            json!({"count": 5, "next": next[0], "previous": null, "results": ids(1..=2)}),
            json!({"count": 5, "next": next[1], "previous": "http://in.example/?limit=2", "results": ids(3..=4)}),
            json!({"count": 5, "next": null, "previous": "http://in.example/?limit=2&offset=2", "results": ids(5..=5)}),
        ]
    };
    let limit: fn(&Client) -> List = |c| c.project(1).list("things").page_size(2);
    let plain: fn(&Client) -> List = |c| c.project(1).list("things");
    let offsets = vec!["things/?limit=2", "things/?limit=2&offset=2", "things/?limit=2&offset=4"];
    vec![
        Shape {
            what: "count, next, results",
            begin: limit,
            pages: numbered([
                "https://in.example:8000/api/projects/1/things/?limit=2&offset=2",
                "http://in.example/prefix/api/projects/9/others/?limit=2&offset=4",
            ]),
            count: Some(5),
            targets: offsets.clone(),
        },
        Shape {
            what: "next, results",
            begin: limit,
            pages: vec![
                json!({"results": ids(1..=2), "next": "http://in.example/x/?limit=2&offset=2", "previous": null}),
                // A short page and an empty page, neither of them the last.
                json!({"results": ids(3..=3), "next": "http://in.example/x/?limit=2&offset=4", "previous": null}),
                json!({"results": [], "next": "http://in.example/x/?limit=2&offset=6", "previous": null}),
                json!({"results": ids(4..=5), "next": "http://in.example/x/?limit=2&offset=8", "previous": null}),
                json!({"results": [], "next": null, "previous": null}),
            ],
            count: None,
            targets: vec![
                "things/?limit=2",
                "things/?limit=2&offset=2",
                "things/?limit=2&offset=4",
                "things/?limit=2&offset=6",
                "things/?limit=2&offset=8",
            ],
        },
        Shape {
            what: "results only",
            begin: plain,
            pages: vec![json!({"results": ids(1..=5)})],
            count: None,
            targets: vec!["things/"],
        },
        Shape {
            what: "keyset, before",
            begin: |c| {
                c.project(1)
                    .list("events")
                    .allow_missing_rows()
                    .param("event", "a b")
                    .param("after", "2026-10-20T00:00:00Z")
            },
            pages: vec![
                json!({"next": "http://in.example/e/?event=a+b&after=2026-10-20T00%3A00%3A00Z&before=2026-11-20T08%3A00%3A59.8%2B00%3A00", "results": ids(1..=3)}),
                json!({"next": null, "results": ids(4..=5)}),
            ],
            count: None,
            targets: vec![
                "events/?event=a%20b&after=2026-10-20T00%3A00%3A00Z",
                "events/?event=a%20b&after=2026-10-20T00%3A00%3A00Z&before=2026-11-20T08%3A00%3A59.8%2B00%3A00",
            ],
        },
        Shape {
            what: "keyset, after",
            begin: |c| {
                c.project(1)
                    .list("events")
                    .allow_missing_rows()
                    .param("orderBy", json!(["timestamp"]))
            },
            pages: vec![
                json!({"next": "http://in.example/e/?orderBy=%5B%22timestamp%22%5D&after=2026-11-01T00%3A00%3A00%2B00%3A00", "results": ids(1..=3)}),
                json!({"next": null, "results": ids(4..=5)}),
            ],
            count: None,
            targets: vec![
                "events/?orderBy=%5B%22timestamp%22%5D",
                "events/?orderBy=%5B%22timestamp%22%5D&after=2026-11-01T00%3A00%3A00%2B00%3A00",
            ],
        },
        Shape {
            what: "has_next, by offset; recordings that were deleted are missing in a page",
            begin: |c| c.project(1).list("session_recordings").param("date_from", "all"),
            pages: vec![
                json!({"results": ids(1..=2), "has_next": true, "version": 3}),
                json!({"results": [], "has_next": true, "version": 3}),
                json!({"results": ids(3..=4), "has_next": true, "version": 3}),
                json!({"results": ids(5..=5), "has_next": false, "version": 3}),
            ],
            count: None,
            targets: vec![
                "session_recordings/?date_from=all&limit=50&version=3",
                "session_recordings/?date_from=all&limit=50&version=3&offset=50",
                "session_recordings/?date_from=all&limit=50&version=3&offset=100",
                "session_recordings/?date_from=all&limit=50&version=3&offset=150",
            ],
        },
        Shape {
            what: "has_next, from an offset of the caller's",
            begin: |c| c.project(1).list("things").param("offset", 10).page_size(3),
            pages: vec![
                json!({"results": ids(1..=3), "has_next": true}),
                json!({"results": ids(4..=4), "has_next": true}),
                json!({"results": ids(5..=5)}),
            ],
            count: None,
            targets: vec![
                "things/?offset=10&limit=3",
                "things/?offset=13&limit=3",
                "things/?offset=16&limit=3",
            ],
        },
        Shape {
            what: "has_next without a page size",
            begin: plain,
            pages: vec![
                json!({"results": ids(1..=2), "hasMore": true}),
                json!({"results": ids(3..=5), "hasMore": false}),
            ],
            count: None,
            targets: vec!["things/", "things/?offset=2"],
        },
        Shape {
            what: "next_cursor of recordings",
            begin: |c| {
                let path = "session_recording_playlists/7/recordings";
                c.project(1).list(path).param("date_from", "all").page_size(3)
            },
            pages: vec![
                json!({"results": ids(1..=3), "has_next": true, "next_cursor": "a+b"}),
                json!({"results": [], "has_next": true, "next_cursor": "c"}),
                json!({"results": ids(4..=5), "has_next": false, "next_cursor": null}),
            ],
            count: None,
            targets: vec![
                "session_recording_playlists/7/recordings/?date_from=all&limit=3&version=3",
                "session_recording_playlists/7/recordings/?date_from=all&limit=3&version=3&after=a%2Bb",
                "session_recording_playlists/7/recordings/?date_from=all&limit=3&version=3&after=c",
            ],
        },
        Shape {
            what: "next_cursor of others",
            begin: plain,
            pages: vec![
                json!({"results": ids(1..=3), "has_more": true, "next_cursor": 17}),
                json!({"results": ids(4..=5), "has_more": false}),
            ],
            count: None,
            targets: vec!["things/", "things/?cursor=17"],
        },
        Shape {
            what: "count without next, as saved",
            begin: plain,
            pages: vec![
                json!({"results": ids(1..=2), "count": 5}),
                json!({"results": ids(3..=4), "count": 5}),
                json!({"results": ids(5..=5), "count": 5}),
            ],
            count: Some(5),
            targets: vec!["things/", "things/?offset=2", "things/?offset=4"],
        },
        Shape {
            what: "has_more, as heatmaps, with a count of the page's own rows",
            begin: |c| c.project(1).list("heatmaps/events").page_size(2),
            pages: vec![
                json!({"results": ids(1..=2), "count": 2, "has_more": true}),
                json!({"results": ids(3..=4), "count": 2, "has_more": true}),
                json!({"results": ids(5..=5), "count": 2, "has_more": false}),
            ],
            count: Some(2),
            targets: vec![
                "heatmaps/events/?limit=2",
                "heatmaps/events/?limit=2&offset=2",
                "heatmaps/events/?limit=2&offset=4",
            ],
        },
        Shape {
            what: "rows alone, with a page size, as actions",
            begin: limit,
            pages: vec![
                json!({"results": ids(1..=2)}),
                json!({"results": ids(3..=4)}),
                json!({"results": ids(5..=5)}),
            ],
            count: None,
            targets: offsets.clone(),
        },
        Shape {
            what: "more rows than the page size: the route ignores it",
            begin: limit,
            pages: vec![json!({"results": ids(1..=5)})],
            count: None,
            targets: vec!["things/?limit=2"],
        },
        Shape {
            what: "opaque cursor",
            begin: |c| c.project(1).list("groups").param("group_type_index", 0),
            pages: vec![
                json!({"next": "https://in.example/g/?cursor=cD0yMDI2LTEx%3D%3D&group_type_index=0", "previous": null, "results": ids(1..=2)}),
                json!({"next": "https://in.example/g/?cursor=cj0x%2B%2F&group_type_index=0", "previous": null, "results": ids(3..=4)}),
                json!({"next": null, "previous": "https://in.example/g/?cursor=x", "results": ids(5..=5)}),
            ],
            count: None,
            targets: vec![
                "groups/?group_type_index=0",
                "groups/?cursor=cD0yMDI2LTEx%3D%3D&group_type_index=0",
                "groups/?cursor=cj0x%2B%2F&group_type_index=0",
            ],
        },
        Shape {
            what: "pages with total_count",
            begin: |c| c.project(1).list("feature_flags/2/activity").page_size(3),
            pages: vec![
                json!({"results": ids(1..=3), "next": "http://in.example/a/?limit=3&page=2", "previous": null, "total_count": 5}),
                json!({"results": ids(4..=5), "next": null, "previous": "http://in.example/a/?limit=3&page=1", "total_count": 5}),
            ],
            count: Some(5),
            targets: vec![
                "feature_flags/2/activity/?limit=3",
                "feature_flags/2/activity/?limit=3&page=2",
            ],
        },
        Shape {
            what: "relative links, the query alone",
            begin: limit,
            pages: numbered(["?limit=2&offset=2", "?limit=2&offset=4"]),
            count: Some(5),
            targets: offsets.clone(),
        },
        Shape {
            what: "relative links without a slash",
            begin: limit,
            pages: numbered([
                "api/projects/1/things/?limit=2&offset=2",
                "ttp://in.example/api/projects/1/things/?limit=2&offset=4",
            ]),
            count: Some(5),
            targets: offsets.clone(),
        },
        Shape {
            what: "relative links with a slash",
            begin: limit,
            pages: numbered([
                "/api/projects/1/things/?limit=2&offset=2",
                "//in.example/things/?limit=2&offset=4#end",
            ]),
            count: Some(5),
            targets: offsets,
        },
        Shape {
            what: "result, as old routes say",
            begin: |c| c.project(1).list("insights/trend").param("events", json!([{"id": "a"}])),
            pages: vec![
                json!({"result": ids(1..=4), "next": "api/projects/1/insights/trend/?events=%5B%7B%22id%22%3A%22a%22%7D%5D&offset=25", "is_cached": false}),
                json!({"is_cached": false, "next": null, "result": ids(5..=5)}),
            ],
            count: None,
            targets: vec![
                "insights/trend/?events=%5B%7B%22id%22%3A%22a%22%7D%5D",
                "insights/trend/?events=%5B%7B%22id%22%3A%22a%22%7D%5D&offset=25",
            ],
        },
        Shape {
            what: "next null beside has_next false",
            begin: plain,
            pages: vec![
                json!({"has_next": false, "count": 5, "results": ids(1..=5), "next": null}),
            ],
            count: Some(5),
            targets: vec!["things/"],
        },
        Shape {
            what: "a bare array",
            begin: plain,
            pages: vec![ids(1..=5)],
            count: None,
            targets: vec!["things/"],
        },
    ]
}

/// Answers each of the shape's requests with its page, and any other with a 404.
fn serve(shape: &Shape) -> Server {
    let answers: Vec<(String, Value)> = (shape.targets.iter().zip(&shape.pages))
        .map(|(target, page)| (format!("/api/projects/1/{target}"), page.clone()))
        .collect();
    Server::start(move |request, _| {
        let known = answers.iter().find(|(target, _)| *target == request.target);
        known.map_or_else(|| Act::status(404), |(_, page)| ok(page))
    })
}

/// Checks the requests of a complete walk. With prefetch, pages beyond the last one can be foreseen.
#[track_caller]
fn check_walk(shape: &Shape, ahead: usize, server: &Server) {
    let sent: Vec<String> = server.take_requests().into_iter().map(|r| r.target).collect();
    let expected: Vec<String> =
        shape.targets.iter().map(|target| format!("/api/projects/1/{target}")).collect();
    if ahead == 0 {
        assert_eq!(sent, expected, "{}", shape.what);
    } else {
        for target in &expected {
            let times = sent.iter().filter(|sent| *sent == target).count();
            assert_eq!(times, 1, "{}: {target} in {sent:?}", shape.what);
        }
    }
}

#[test]
fn every_shape_of_list_gives_all_items_once_and_in_order() {
    let all: Vec<Value> = ids(1..=5).as_array().unwrap().clone();
    let things: Vec<Thing> = (1..=5).map(|id| Thing { id }).collect();
    for shape in shapes() {
        for ahead in 0..=3 {
            let what = format!("{}, {ahead} ahead", shape.what);
            let server = serve(&shape);
            let client = client(&server);
            let list = || (shape.begin)(&client).prefetch(ahead);

            let mut items = list().items();
            assert_eq!(items.total(), None, "{what}");
            let first = items.next().unwrap().unwrap();
            assert_eq!(items.total(), shape.count, "{what}");
            let mut found = vec![first];
            found.extend(items.by_ref().map(Result::unwrap));
            assert_eq!(found, all, "{what}");
            assert!(items.next().is_none() && items.next().is_none(), "{what}");
            assert_eq!(items.total(), shape.count, "{what}");
            check_walk(&shape, ahead, &server);

            let found: Result<Vec<Thing>, Error> = list().items_as().collect();
            assert_eq!(found.unwrap(), things, "{what}");
            check_walk(&shape, ahead, &server);

            let mut pages = list().pages();
            for (n, body) in shape.pages.iter().enumerate() {
                let page = pages.next().unwrap().unwrap();
                let rows = body.get("results").or_else(|| body.get("result")).unwrap_or(body);
                assert_eq!(&json!(page.results), rows, "{what}");
                let more = n + 1 < shape.pages.len();
                assert_eq!((page.count, page.has_next), (shape.count, more), "{what}");
            }
            assert!(pages.next().is_none() && pages.next().is_none(), "{what}");
            check_walk(&shape, ahead, &server);

            assert_eq!(list().all().unwrap(), all, "{what}");
            check_walk(&shape, ahead, &server);

            let server = serve(&shape);
            let page =
                (shape.begin)(&crate::support::client(&server)).prefetch(ahead).page().unwrap();
            let more = shape.pages.len() > 1;
            assert_eq!((page.count, page.has_next), (shape.count, more), "{what}");
            assert_eq!(server.take_requests().len(), 1, "{what}");
        }
    }
}

#[test]
fn first_requests_one_row() {
    for shape in shapes() {
        let server = Server::answers(&shape.pages[..1]);
        let first = (shape.begin)(&client(&server)).prefetch(3).first().unwrap();
        assert_eq!(first, Some(json!({"id": 1})), "{}", shape.what);
        let target = shape.targets[0].replace("limit=50", "limit=1");
        let limit = match &target {
            _ if target.contains("limit=") => "",
            _ if target.contains('?') => "&limit=1",
            _ => "?limit=1",
        };
        assert_eq!(targets(&server), [format!("GET /api/projects/1/{target}{limit}")]);
    }
}

#[test]
fn first_skips_empty_pages() {
    let script = Server::answers(&[
        json!({"results": [], "next": "http://in.example/?limit=1&offset=1"}),
        json!({"results": [], "next": "http://in.example/?limit=100&offset=101"}),
        json!({"results": ids(9..=9), "next": "http://in.example/?limit=100&offset=201"}),
    ]);
    assert_eq!(client(&script).project(1).list("things").first().unwrap(), Some(json!({"id": 9})));
    assert_eq!(
        targets(&script),
        [
            "GET /api/projects/1/things/?limit=1",
            "GET /api/projects/1/things/?limit=100&offset=1",
            "GET /api/projects/1/things/?limit=100&offset=101",
        ]
    );
    // A number of a page would name other rows with another page size, and a caller's size stays.
    for (next, size, second) in
        [("?page=2&limit=1", 0, "?page=2&limit=1"), ("?offset=7&limit=7", 7, "?offset=7&limit=7")]
    {
        let script = Server::answers(&[
            json!({"results": [], "next": next}),
            json!({"results": ids(9..=9), "next": null}),
        ]);
        let list = client(&script).project(1).list("things");
        let list = if size > 0 { list.page_size(size) } else { list };
        assert_eq!(list.first().unwrap(), Some(json!({"id": 9})));
        assert_eq!(targets(&script)[1], format!("GET /api/projects/1/things/{second}"));
    }
    let script = Server::answers(&[json!({"results": [], "next": null})]);
    assert_eq!(client(&script).project(1).persons().first().unwrap(), None);
    assert_eq!(targets(&script), ["GET /api/projects/1/persons/?limit=1"]);
    let script = Server::answers(&[json!({"results": [], "next": null})]);
    assert_eq!(client(&script).project(1).persons().page().unwrap(), Page::default());
    assert_eq!(targets(&script), ["GET /api/projects/1/persons/?limit=1000"]);
}

#[test]
fn a_list_is_finished_after_an_error() {
    let page = || ok(&json!({"results": ids(1..=2), "next": "http://in.example/?offset=2"}));
    let failing = [
        ("a status", json_text(500, "{}"), posthog_api::ErrorKind::Server),
        ("no list", json_text(200, r#"{"id": 1}"#), posthog_api::ErrorKind::Decode),
        (
            "results that are no list",
            json_text(200, r#"{"results": {"a": 1}}"#),
            posthog_api::ErrorKind::Decode,
        ),
        ("no JSON", Act::status(200).body("text/html", "<html>"), posthog_api::ErrorKind::Decode),
        ("null", json_text(200, "null"), posthog_api::ErrorKind::Decode),
        ("an empty body", json_text(200, ""), posthog_api::ErrorKind::Decode),
        (
            "a row of another type",
            json_text(200, r#"{"results": [{"id": "x"}], "next": null}"#),
            posthog_api::ErrorKind::Row,
        ),
    ];
    for (what, answer, wanted) in failing {
        for ahead in 0..=3 {
            let script = Server::script(vec![page(), answer.clone()]);
            let mut items =
                client(&script).project(1).list("things").prefetch(ahead).items_as::<Thing>();
            let two = [items.next().unwrap().unwrap(), items.next().unwrap().unwrap()];
            assert_eq!(two.map(|thing| thing.id), [1, 2]);
            let failed = error_in(what, items.next().unwrap());
            assert_eq!(failed.kind(), wanted, "{what}: {failed:?}");
            assert!(items.next().is_none() && items.next().is_none(), "{what}");
            drop(items);
            assert_eq!(script.all_requests().len(), 2, "{what}");
        }
        let script = Server::script(vec![page(), answer]);
        let all: Result<Vec<Thing>, Error> =
            client(&script).project(1).list("things").items_as().collect();
        assert_eq!(error_in(what, all).kind(), wanted);
    }
}

#[test]
fn a_next_that_cannot_be_followed_is_an_error_after_the_rows_of_its_page() {
    let one = |next: Value| vec![json!({"results": ids(1..=2), "next": next})];
    let link =
        |query: &str| Value::from(format!("http://in.example/api/projects/1/things/{query}"));
    for (what, pages) in [
        ("no query", one(link(""))),
        ("an empty query", one(link("?"))),
        ("an empty text", one(json!(""))),
        ("a number", one(json!(2))),
        ("a boolean", one(json!(false))),
        ("an object", one(json!({"offset": 2}))),
        ("a list", one(json!(["?offset=2"]))),
        ("a space", one(json!(" "))),
        ("no URL", one(json!("the next page"))),
        ("the key as it is", one(json!(KEY))),
        ("only a key", one(link(&format!("?personal_api_key={KEY}")))),
        ("the same page", one(link("?a=1&b=x%20y"))),
        ("the same page, written in another way", one(link("?a=%31&b=x+y#f"))),
        (
            "has_next without a row",
            vec![
                json!({"results": ids(1..=2), "has_next": true}),
                json!({"results": [], "has_next": true}),
            ],
        ),
        (
            "a circle of two",
            vec![
                json!({"results": ids(1..=1), "next": link("?a=1&b=x+y&offset=1")}),
                json!({"results": ids(2..=2), "next": link("?a=1&b=x+y")}),
            ],
        ),
        (
            "a circle that leaves the beginning out",
            vec![
                json!({"results": ids(1..=1), "next": link("?offset=1")}),
                json!({"results": ids(2..=2), "next": link("?offset=1")}),
            ],
        ),
    ] {
        for ahead in [0, 2] {
            let script = Server::answers(&pages);
            let list = || {
                client(&script)
                    .project(1)
                    .list("things")
                    .param("a", 1)
                    .param("b", "x y")
                    .prefetch(ahead)
            };
            let mut items = list().items();
            let rows: Vec<Value> = items.by_ref().take(2).map(Result::unwrap).collect();
            assert_eq!(json!(rows), ids(1..=2), "{what}");
            let failed = error_in(what, items.next().unwrap());
            assert_eq!(paging(&failed).call(), Some(("GET", "/api/projects/1/things/")), "{what}");
            assert!(items.next().is_none(), "{what}");
            assert_eq!(script.all_requests().len(), pages.len(), "{what}");
        }
        let script = Server::answers(&pages);
        let all = client(&script).project(1).list("things").param("a", 1).param("b", "x y").all();
        paging(&error_in(what, all));
    }
}

/// PostHog sorts the parameters of its links: a link to the same page can differ from the request.
#[test]
fn a_next_to_the_same_page_is_detected_in_any_order_of_parameters() {
    let next =
        "http://in.example/api/projects/1/insights/?include_query_insights=true&limit=2&order=id";
    let script = Server::answers(&[json!({"count": 9, "next": next, "results": ids(1..=2)})]);
    let mut items = client(&script).project(1).insights().page_size(2).items();
    let rows: Vec<Value> = items.by_ref().take(2).map(Result::unwrap).collect();
    assert_eq!(json!(rows), ids(1..=2));
    paging(&error(items.next().unwrap()));
    script.all_requests();
}

#[test]
fn a_route_with_something_special_gets_its_parameters() {
    for (path, sent) in [
        ("/api/projects/1/insights", "?order=id&include_query_insights=true"),
        ("/api/environments/1/persons/", "?limit=1000"),
        ("/api/projects/1/cohorts/5/persons", "?limit=1000"),
        ("/api/projects/1/%70ersons/", "?limit=1000"),
        ("/api/projects/1/insights/5/activity", ""),
        ("/api/projects/1/groups/persons/", ""),
        ("/api/insights/", ""),
    ] {
        let script = Server::answers(&[json!({"results": [], "next": null})]);
        client(&script).list(path).all().unwrap();
        assert_eq!(targets(&script), [format!("GET {path}{sent}")]);
    }
    let script = Server::answers(&[json!({"results": [], "next": null})]);
    let list = client(&script).project(1).list("session_recordings").param("version", 4);
    list.param("date_from", "-7d").page_size(9).all().unwrap();
    let sent = "session_recordings/?version=4&date_from=-7d&limit=9";
    assert_eq!(targets(&script), [format!("GET /api/projects/1/{sent}")]);
}
