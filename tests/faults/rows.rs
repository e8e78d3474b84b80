//! Proves that a row which cannot be read costs no other row, that missing rows are noticed, and that
//! no parameter of a list is lost on the way.
use crate::support::expect::{config, decode, paging, redirect};
use crate::support::{Act, Server, client, error, error_in, seen, within};
use posthog_api::{ErrorKind, PersonFilter};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

type Of<T> = HashMap<String, T>;

/// Reads a text, and refuses it then.
#[derive(Debug)]
struct Refused;

impl<'de> Deserialize<'de> for Refused {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        String::deserialize(text)?;
        Err(D::Error::custom("refused"))
    }
}

/// A page whose rows are these JSON texts, between two good rows.
fn page(rows: &[Vec<u8>]) -> Act {
    let mut body = b"{\"next\": null, \"results\": [{\"id\": 1}, ".to_vec();
    for row in rows {
        body.extend(row);
        body.extend(b", ");
    }
    body.extend(b"{\"id\": 9}]}");
    Act::status(200).body("application/json", body)
}

/// A row of a person with one property that cannot be read.
fn row(bad: &[u8]) -> Vec<u8> {
    [b"{\"id\": 2, \"properties\": {\"good\": [1.5], \"bad\": ", bad, b"}, \"name\": \"n\"}"]
        .concat()
}

#[test]
fn a_value_that_cannot_be_read_becomes_text_and_costs_nothing_else() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let deep_nan = "[-Infinity,".to_owned() + &"[".repeat(200) + "NaN" + &"]".repeat(201);
    let deep_null = deep_nan.replace("-Infinity", "null").replace("NaN", "null");
    for (name, bad, read, typed) in [
        ("nested 200 deep", deep.as_bytes(), json!(deep), false),
        ("beyond a float", b"1e999", json!("1e999"), false),
        ("half of a surrogate pair", br#""a\ud83d b""#, json!("a\u{fffd} b"), true),
        ("a control character", b"\"a\x01 b\"", json!("a\u{fffd} b"), true),
        ("NaN in what cannot be read", deep_nan.as_bytes(), json!(deep_null), false),
        ("invalid UTF-8", b"\"a\xff b\"", json!("a\u{fffd} b"), true),
        ("NaN", b"[NaN, 1]", json!([null, 1]), true),
    ] {
        let server = Server::start({
            let page = page(&[row(bad), b"{\"id\": 3}".to_vec()]);
            move |_, _| page.clone()
        });
        let list = || client(&server).list("/api/persons/");
        for prefetch in [0, 2] {
            let rows = list().prefetch(prefetch).all();
            let rows = rows.unwrap_or_else(|e| panic!("{name}: {e}"));
            let ids: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
            assert_eq!(ids, [1, 2, 3, 9], "{name}");
            let properties = json!({"good": [1.5], "bad": read});
            assert_eq!((&rows[1]["properties"], &rows[1]["name"]), (&properties, &json!("n")));
        }
        // As a type, the row is an error that names it, and the iterator continues.
        let rows: Vec<_> = list().items_as::<Value>().collect();
        assert_eq!(rows.len(), 4, "{name}");
        for (at, row) in rows.into_iter().enumerate() {
            let id = [1, 2, 3, 9][at];
            match row {
                Ok(row) => assert!(row["id"] == id && (at != 1 || typed), "{name}: {row}"),
                Err(e) => {
                    let failed = seen(e);
                    assert_eq!(decode(&failed).kind(), ErrorKind::Row, "{name}");
                    assert!(at == 1 && !typed, "{name}: {failed}");
                    for words in ["row 2", "properties.bad", "\"id\": 2"] {
                        assert!(failed.to_string().contains(words), "{name}: {failed}");
                    }
                }
            }
        }
        // Where there is no list, there is no row to leave out.
        let sent = client(&server).get("/api/persons/").send();
        assert_eq!(sent.is_ok(), name == "NaN", "{name}");
        let _ = sent.map_err(|e| decode(&seen(e)).status());
    }
}

#[test]
fn the_number_of_a_row_counts_all_pages() {
    let server = Server::script([
        Act::page(&json!([1, 2]), &json!("?offset=2")),
        Act::page(&json!([3, "four"]), &Value::Null),
    ]);
    let failed = client(&server).list("/api/x/").items_as::<u64>().find_map(Result::err).unwrap();
    assert!(seen(failed).to_string().contains("row 4"));
}

#[test]
fn with_an_or_rows_are_numbered_as_they_are_returned() {
    let server = Server::script([
        Act::page(&json!([{"id": 1}, {"id": 2}]), &Value::Null),
        // Ids that are no UUID are compared as those that are.
        Act::page(&json!([{"id": 2}, {"id": 3}]), &json!("?offset=2")),
        Act::page(&json!([{"id": 4, "n": "bad"}, {"id": 5}]), &Value::Null),
    ]);
    let property = |name: &str| PersonFilter::property(name).exact(["v"]);
    let persons = client(&server)
        .project(1)
        .persons()
        .filter(PersonFilter::any([property("a"), property("b")]));
    let rows: Vec<_> = persons.items_as::<Of<u64>>().collect();
    let ids: Vec<_> = rows.iter().map(|row| row.as_ref().ok().map(|row| row["id"])).collect();
    assert_eq!(ids, [Some(1), Some(2), Some(3), None, Some(5)]);
    let failed = rows.into_iter().find_map(Result::err).unwrap();
    assert!(seen(failed).to_string().contains("row 4"));
}

#[test]
fn a_whole_row_that_cannot_be_read_is_text() {
    let deep = "[".repeat(500) + &"]".repeat(500);
    let rows = [deep.clone().into_bytes(), b"1e999".to_vec(), br#"{"a": 1e999, "b": 2}"#.to_vec()];
    let server = Server::script([page(&rows)]);
    let rows = client(&server).list("/api/x/").all().unwrap();
    assert_eq!(rows[1..4], [json!(deep), json!("1e999"), json!({"a": "1e999", "b": 2})]);
    // Of the members of a row, only `properties` is taken apart, and nothing in it.
    let row = br#"{"other": {"a": 1e999, "b": 2}, "properties": {"p": {"a": 1e999, "b": 2}}}"#;
    let server = Server::script([page(&[row.to_vec()])]);
    let text = r#"{"a": 1e999, "b": 2}"#;
    let rows = client(&server).list("/api/x/").all().unwrap();
    assert_eq!(rows[1], json!({"other": text, "properties": {"p": text}}));
}

#[test]
fn all_and_collect_stop_at_a_row_that_is_not_the_type() {
    let server = Server::script([Act::page(&json!([1, "two", 3]), &Value::Null)]);
    let rows: Result<Vec<u64>, _> = client(&server).list("/api/x/").items_as().collect();
    assert_eq!(decode(&error(rows)).kind(), ErrorKind::Row);
}

#[test]
#[allow(clippy::zero_sized_map_values, reason = "no map of `Refused` is ever made")]
fn a_row_that_is_not_the_type_names_the_field() {
    fn message<T: DeserializeOwned + Debug>(row: &Value) -> String {
        let server = Server::answers(&[json!([row])]);
        let mut rows = client(&server).list("/api/x/").items_as::<T>();
        seen(rows.next().unwrap().unwrap_err()).message().to_owned()
    }
    // serde_json reports two of these errors at the end of the object: that of the last value, where
    // a type refuses it after it was read, and that of a missing field.
    let texts = [
        (message::<Of<Refused>>(&json!({"z": "x"})), "at z: refused"),
        (message::<Of<Of<Refused>>>(&json!({"p": {"z": "x"}})), "at p.z: refused"),
        (message::<Of<IpAddr>>(&json!({"a": "::1", "z": "x"})), "at z: invalid"),
        (message::<Of<Duration>>(&json!({"p": {"secs": 1}})), "at p: missing field `nanos`"),
        (message::<Duration>(&json!({"secs": 1})), "read: missing field `nanos`"),
    ];
    for (message, end) in texts {
        let start = "row 1 cannot be ";
        assert!(message.starts_with(start) && message.contains(end), "{end}: {message}");
    }
}

/// A page with a count.
fn counted(count: u64, rows: &Value, next: Option<&str>) -> Act {
    Act::json(200, &json!({"count": count, "results": rows, "next": next}))
}

#[test]
fn a_list_that_repeats_rows_and_leaves_out_others_ends_with_an_error() {
    let id = |n: u64| json!({"id": n});
    for (name, counts, second, missing) in [
        ("one twice, one missing", [4, 4], json!([id(2), id(4)]), true),
        ("one twice, none missing", [3, 3], json!([id(2), id(3)]), false),
        ("one twice, and the count fell", [4, 3], json!([id(2), id(3)]), false),
        ("one twice, and the count rose from what came", [3, 4], json!([id(2), id(3)]), false),
        ("one twice, and the count rose", [4, 9], json!([id(2), id(4)]), true),
        // Of rows without an id the number is compared.
        ("no ids, too few", [9, 9], json!([{"a": 1}, {"id": null}]), true),
        ("no ids, one twice", [4, 4], json!([{"a": 1}, {"a": 1}]), false),
        ("fewer than the count", [9, 9], json!([id(3)]), true),
    ] {
        let first = json!([id(1), id(2)]);
        for prefetch in [0, 3] {
            let server = Server::script([
                counted(counts[0], &first, Some("?offset=2")),
                counted(counts[1], &second, None),
            ]);
            let mut items = client(&server).list("/api/x/").prefetch(prefetch).items();
            let expected = 2 + second.as_array().unwrap().len();
            for _ in 0..expected {
                assert!(items.next().unwrap().is_ok(), "{name}");
            }
            match items.next() {
                Some(failed) => {
                    let failed = error_in(name, failed);
                    assert!(missing && paging(&failed).to_string().contains("order"), "{failed}");
                }
                None => assert!(!missing, "{name}: no error"),
            }
            assert!(items.next().is_none());
        }
        let pages = || {
            let second = counted(counts[1], &second, None);
            Server::script([counted(counts[0], &first, Some("?offset=2")), second])
        };
        let server = pages();
        let rows = client(&server).list("/api/x/").allow_missing_rows().all();
        assert!(rows.is_ok(), "{name}");
        let server = pages();
        let rows: Result<Vec<Value>, _> = client(&server).list("/api/x/").items_as().collect();
        assert_eq!(rows.is_err(), missing, "{name}");
    }
}

#[test]
fn rows_that_a_search_drops_are_not_missing() {
    let rows = json!([
        {"id": 1, "search_match_type": "exact"},
        {"id": 2, "search_match_type": "similar"},
        {"id": 1, "search_match_type": "similar"}
    ]);
    let server = Server::start(move |_, _| counted(2, &rows, None));
    let insights = || client(&server).project(1).insights();
    assert_eq!(insights().search("a").all().unwrap().len(), 1);
    let kept: Vec<Value> = insights().param("search", "a").items().map(Result::unwrap).collect();
    assert_eq!(kept.len(), 3);
    let typed: Vec<Value> = insights().search("a").items_as().map(Result::unwrap).collect();
    assert_eq!(typed.len(), 1);
}

#[test]
fn lists_that_the_server_cuts_are_refused() {
    let server = Server::script([]);
    let client = client(&server);
    let project = client.project(1);
    for list in [
        project.list("events"),
        project.list("events/"),
        project.list("%65vents"),
        client.list("/api/environments/1/events/"),
    ] {
        assert!(config(&error(list.clone().all())).contains("events()"));
        config(&error(list.first()));
    }
    config(&error(project.persons().page_size(50_001).all()));
    config(&error(project.list("cohorts/5/persons").param("limit", "50001").all()));
    for path in ["session_recordings", "session_recording_playlists/a/recordings/"] {
        assert!(config(&error(project.list(path).all())).contains("date_from"));
        assert!(config(&error(project.list(path).first())).contains("date_from"));
    }
    for (name, value) in [("limit", " 50001"), ("limit", "1e9"), ("limit", "-1"), ("offset", "x")] {
        assert!(config(&error(project.persons().param(name, value).all())).contains(name));
    }
    config(&error(project.list("x").param("limit", 0).all()));
    drop(server);
    let server = Server::start(|_, _| Act::page(&json!([]), &Value::Null));
    let project = crate::support::client(&server).project(1);
    project.list("events").allow_missing_rows().all().unwrap();
    project.persons().page_size(50_001).allow_missing_rows().all().unwrap();
    project.persons().page_size(50_000).all().unwrap();
    project.list("events_old").all().unwrap();
    project.list("heatmaps/events").all().unwrap();
    project.list("session_recordings").allow_missing_rows().all().unwrap();
    assert_eq!(server.count(), 6);
}

#[test]
fn a_parameter_that_next_loses_is_put_back() {
    let server = Server::script([
        Act::page(&json!([1]), &json!("?offset=1")),
        Act::page(&json!([2]), &json!("?offset=2&search=a+b&extra=1")),
        Act::page(&json!([3]), &Value::Null),
    ]);
    let filter = PersonFilter::property("k").exact(["v"]);
    let persons = client(&server).project(1).persons().search("a b").filter(filter);
    assert_eq!(persons.page_size(1).all().unwrap(), [1, 2, 3]);
    let requests = server.requests();
    for request in &requests[1..] {
        assert_eq!(request.param("search").map(|s| s.replace('+', " ")).as_deref(), Some("a b"));
        assert_eq!(request.param("properties"), requests[0].param("properties"));
        // These may come and go with a page.
        assert_eq!(request.param("limit"), None);
    }
    assert_eq!(requests[2].param("extra").as_deref(), Some("1"));
}

#[test]
fn a_parameter_that_next_changes_is_an_error_after_the_rows() {
    for (name, next, same) in [
        ("search", "?search=b&offset=1", false),
        ("search without a value", "?search=&offset=1", false),
        ("another filter", "?properties=%5B%5D&offset=1", false),
        (
            "the filter, spelled in another way",
            "?properties=%5B%7B%22k%22%3A+1%7D+%5D&offset=1",
            true,
        ),
        (
            "the filter twice",
            "?properties=%5B%7B%22k%22%3A1%7D%5D&properties=%5B%5D&offset=1",
            false,
        ),
        ("the page size", "?limit=5&offset=1", true),
    ] {
        let server = Server::start(move |_, n| match n {
            0 => Act::page(&json!([1]), &json!(next)),
            _ => Act::page(&json!([2]), &Value::Null),
        });
        let list = client(&server).list("/api/x/").page_size(1);
        let list = list.param("search", "a").param("properties", json!([{"k": 1}]));
        let mut items = list.items();
        assert_eq!(items.next().unwrap().unwrap(), 1);
        match items.next() {
            Some(Ok(row)) => assert!(same && row == 2, "{name}"),
            Some(Err(e)) => {
                let failed = seen(e);
                assert!(!same && paging(&failed).call().is_some(), "{name}: {failed}");
            }
            None => panic!("{name}: a silent end"),
        }
    }
}

#[test]
fn a_redirect_loses_and_changes_no_parameter() {
    let to = |location: &str| Act::status(307).header("Location", location);
    let get = |server: &Server| {
        client(server).project(1).get("x/").param("search", "a").param("limit", 5).send()
    };
    for location in ["/api/projects/1/y/", "?limit=5", "/api/projects/1/y/?search=a"] {
        let server = Server::script([to(location), Act::json(200, &json!({}))]);
        get(&server).unwrap();
        let sent = &server.requests()[1];
        let sent = (sent.param("search"), sent.param("limit"));
        assert_eq!(sent, (Some("a".to_owned()), Some("5".to_owned())), "{location}");
    }
    for location in [
        "?search=b",
        "?limit=50&search=a",
        "?search=",
        "/api/projects/2/x/?search=a&limit=5",
        "/api/environments/2/x/",
        "/api/%70rojects/2/x/",
        "/api/projects/%32/x/",
    ] {
        let server = Server::script([to(location)]);
        redirect(&error_in(location, get(&server)));
    }
}

#[test]
fn a_thousand_empty_pages_in_a_row_are_an_error() {
    for prefetch in [0, 4] {
        let server = Server::counting(|request, _| {
            let at: u64 = request.param("cursor").map_or(0, |n| n.parse().unwrap());
            Act::page(&json!([]), &json!(format!("?cursor={}", at + 1)))
        });
        let list = client(&server).list("/api/x/").prefetch(prefetch);
        let failed = within(Duration::from_secs(5), || error(list.all()));
        assert!(paging(&failed).message().contains("1000"), "{failed}");
        assert_eq!(server.count(), 1_000);
    }
}

#[test]
fn an_offset_at_the_end_of_all_numbers_is_an_error_after_the_rows() {
    for (offset, prefetch) in [(u64::MAX, 0), (u64::MAX, 3), (u64::MAX - 1, 3)] {
        let page = json!({"results": [1, 2], "has_next": true});
        let server = Server::answers(&[page]);
        let list = client(&server).list("/api/x/").param("offset", offset).prefetch(prefetch);
        let rows: Vec<_> = list.items().collect();
        assert_eq!(rows.len(), 3);
        paging(&error_in::<()>("offset", Err(rows[2].clone().unwrap_err())));
    }
    // The same with links.
    let next = |n: u64| json!(format!("?limit=1&offset={n}"));
    let server = Server::start(move |request, _| match request.param("offset").as_deref() {
        None => Act::page(&json!([1]), &next(u64::MAX - 1)),
        Some("18446744073709551614") => Act::page(&json!([2]), &next(u64::MAX)),
        Some("18446744073709551615") => Act::page(&json!([3]), &Value::Null),
        other => panic!("{other:?}"),
    });
    let rows = client(&server).list("/api/x/").page_size(1).prefetch(5).all();
    assert_eq!(rows.unwrap(), [1, 2, 3]);
}
