//! Proves that events() returns each event of a time range once, in order, and resumes after any.
use crate::model::{Found, Rules, Table, limits, queries, serve, serve_with, too_slow};
use crate::stored::{
    COLUMNS, DAY, Event, MARCH, MINUTE, SECOND, Stored, micros, stored, text, uuid,
};
use crate::support::expect::{config, paging, too_large};
use crate::support::{Act, KEY, Server, builder, client, error, shows_key, together};
use posthog_api::{Events, Result};
use serde_derive::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Events of four years: many in one microsecond, many in one second, a few far from others.
fn years() -> Stored {
    let sparse = (0..60).map(|n| MARCH - 900 * DAY + n * n * n * 499 * SECOND + n);
    let one = [MARCH - 1, MARCH, MARCH + 1].into_iter().chain([MARCH + 9 * SECOND + 999_999; 90]);
    let dense = (0..150).map(|n| MARCH + 10 * SECOND + n / 4);
    stored(sparse.chain(one).chain(dense))
}

fn events(server: &Server) -> Events {
    client(server).project(1).events().after("2022-01-01").before("2027-01-01")
}

fn uuids(events: impl IntoIterator<Item = Result<Map<String, Value>>>) -> Vec<String> {
    events.into_iter().map(|event| event.unwrap()["uuid"].as_str().unwrap().to_owned()).collect()
}

/// The values of each query.
fn values(server: &Server) -> Vec<Value> {
    let posts = server.requests().into_iter().filter(|request| request.method == "POST");
    posts.map(|request| request.json()["query"]["values"].clone()).collect()
}

/// The time that all queries cover together. Those sent ahead can arrive in any order.
fn whole(server: &Server) -> (i64, i64) {
    let values = values(server);
    let times = |name: &'static str| values.iter().map(move |v| micros(&v[name]).unwrap());
    (times("events_from").min().unwrap(), times("events_to").max().unwrap())
}

#[test]
fn the_model_writes_and_reads_times() {
    assert_eq!(text(MARCH, 0), "2026-03-01T00:00:00Z");
    assert_eq!(text(MARCH - 1, 20_700), "2026-03-01T05:44:59.999999+05:45");
    assert_eq!(text(-1, -3_600), "1969-12-31T22:59:59.999999-01:00");
    for time in [MARCH, MARCH - 1, -1, 0, -20_000 * DAY + 5, 10_957 * DAY + 59 * DAY] {
        let text = text(time, 0).trim_end_matches('Z').to_owned();
        let text = if text.contains('.') { text } else { format!("{text}.000000") };
        assert_eq!(micros(&json!(format!("{text}Z"))), Some(time), "{text}");
    }
}

#[test]
fn each_event_comes_once_and_in_order_at_every_cap() {
    for offset in [0, 20_700, -14_400] {
        let table = Stored { offset, ..years() };
        for (cap, shows_limit) in
            [(50_000, true), (40, true), (7, true), (50_000, false), (40, false), (7, false)]
        {
            let server = serve(table.clone(), Rules { cap, shows_limit, ..Rules::default() });
            assert_eq!(
                uuids(events(&server)),
                table.all(),
                "cap {cap}, limit shown: {shows_limit}, offset {offset}"
            );
        }
    }
}

#[test]
fn an_export_resumes_after_any_event() {
    let table = Stored { offset: 20_700, ..years() };
    let server = serve(table.clone(), Rules { cap: 40, ..Rules::default() });
    let rows: Vec<Map<String, Value>> = events(&server).into_iter().map(Result::unwrap).collect();
    let all = table.all();
    for at in (0..rows.len()).step_by(9).chain([rows.len() - 1]) {
        assert_eq!(uuids(events(&server).resume(&rows[at])), all[at + 1..], "after {at}");
    }
    // The event itself says where to begin; a later beginning holds.
    let alone = client(&server).project(1).events().before("2027-01-01").resume(&rows[5]);
    assert_eq!(uuids(alone), all[6..]);
    let later = events(&server).after("2026-03-01T00:00:00.000001Z").resume(&rows[5]);
    let at_1 = |event: &&Event| event.micros > MARCH;
    assert_eq!(uuids(later).len(), table.events.iter().filter(at_1).count());
}

#[test]
fn years_without_events_cost_few_requests() {
    for (what, table, most) in [
        ("no event at all", stored([]), 18),
        ("one event in the middle", stored([-5 * DAY]), 22),
        ("one event at the end", stored([MARCH]), 22),
    ] {
        let server = serve(table.clone(), Rules::default());
        let all = client(&server).project(1).events().after("1900-01-01").before("2200-01-01");
        assert_eq!(uuids(all), table.all(), "{what}");
        assert!(server.count() <= most, "{what}: {} requests", server.count());
    }
}

#[test]
fn few_events_a_day_cost_few_requests_though_no_limit_is_shown() {
    let table = stored((0..700).map(|n| MARCH - n * DAY));
    let server = serve(table.clone(), Rules { shows_limit: false, ..Rules::default() });
    // From the first event on: no empty window comes before it.
    assert_eq!(uuids(events(&server).after("2024-04-01")), table.all());
    assert!(server.count() <= 20, "{} requests", server.count());
}

#[test]
fn the_server_looks_at_a_few_pages_for_each_and_not_at_a_whole_day() {
    let table = stored((0..2_000).map(|n| MARCH + n * 40 * SECOND));
    let server = serve(table.clone(), Rules { cap: 50, ..Rules::default() });
    assert_eq!(uuids(events(&server).after("2026-03-01").before("2026-03-02")), table.all());
    let narrow = |values: &Value| window(values) <= 50 * 40 * SECOND * 4;
    assert!(values(&server)[2..].iter().all(narrow), "{:?}", values(&server));
}

/// How much time a query with these values covers.
fn window(values: &Value) -> i64 {
    micros(&values["events_to"]).unwrap() - micros(&values["events_from"]).unwrap()
}

#[test]
fn a_slice_that_is_too_slow_is_halved_and_later_ones_grow_again() {
    // Some 2,000 events in ten days, and 30 days with ten events each.
    let dense = (0..2_000).map(|n| MARCH + n * 432 * SECOND);
    let sparse = (0..300).map(|n| MARCH + 20 * DAY + n * DAY / 10);
    let table = stored(dense.chain(sparse));
    let server = serve(table.clone(), Rules { patience: 100, ..Rules::default() });
    let march = client(&server).project(1).events().after("2026-03-01").before("2026-05-01");
    assert_eq!(uuids(march), table.all());
    let queries = queries(&server);
    assert!(queries.iter().all(|(_, refresh)| refresh == "force_blocking"));
    assert!(queries.len() <= 90, "{} requests", queries.len());
    let slices: Vec<i64> = values(&server).iter().map(window).collect();
    assert_eq!(slices[..10], [[DAY].as_slice(), &[DAY / 2; 8], &[2 * DAY]].concat(), "{slices:?}");
    assert!(slices[slices.len() - 8..].iter().any(|slice| *slice > 2 * DAY), "{slices:?}");
}

#[test]
fn a_minute_that_is_too_slow_runs_in_the_background() {
    let burst = (0..60).map(|n| MARCH + 5 * SECOND + n / 20);
    let table = stored([MARCH - DAY].into_iter().chain(burst).chain([MARCH + DAY]));
    let server = serve(table.clone(), Rules { patience: 50, cap: 25, ..Rules::default() });
    assert_eq!(uuids(events(&server).after("2026-02-25").before("2026-03-05")), table.all());
    let refreshes: Vec<String> = queries(&server).into_iter().map(|(_, refresh)| refresh).collect();
    let slices: Vec<i64> = values(&server).iter().map(window).collect();
    let minutes: Vec<i64> = slices
        .iter()
        .zip(&refreshes)
        .filter(|(_, refresh)| *refresh == "force_async")
        .map(|(slice, _)| *slice)
        .collect();
    assert!((1..=12).contains(&minutes.len()), "{refreshes:?}");
    assert!(minutes.iter().all(|slice| *slice <= MINUTE), "{minutes:?}");
    // Those after it are as fast as before.
    assert_eq!(refreshes.last().unwrap(), "force_blocking");
    assert!(refreshes.len() <= 40, "{refreshes:?}");
}

#[test]
fn a_server_that_is_always_too_slow_is_an_error_soon() {
    let server = Server::start(|_, _| too_slow());
    let mut rows = events(&server).into_iter();
    assert_eq!(error(rows.next().unwrap()).status(), Some(504));
    assert!(rows.next().is_none());
    // A day halved to a minute, and once more in the background.
    assert!(server.count() <= 13, "{} requests", server.count());
}

#[test]
fn a_page_of_events_that_is_too_large_is_requested_again_at_half_the_size() {
    let table = years();
    let server = serve(table.clone(), Rules::default());
    let range = |server: &Server, bytes| {
        let client = builder(server.url()).max_body_bytes(bytes).build().unwrap();
        client.project(1).events().after("2022-01-01").before("2027-01-01")
    };
    assert_eq!(uuids(range(&server, 5_000)), table.all());
    assert!(limits(&server).iter().any(|limit| *limit < 60));
    // A page that was requested ahead can arrive late, with a larger limit. Here there is none.
    let server = serve(table.clone(), Rules::default());
    assert_eq!(uuids(range(&server, 5_000).prefetch(0)), table.all());
    let limits = limits(&server);
    assert!(limits.is_sorted_by(|a, b| a >= b) && limits.last().unwrap() < &60, "{limits:?}");
    let server = serve(stored([MARCH]), Rules::default());
    let error = error(range(&server, 20).into_iter().next().unwrap());
    too_large(&error, 20);
}

#[test]
fn the_beginning_is_in_the_range_and_the_end_is_not() {
    let table = stored([MARCH - 1, MARCH, MARCH + 1, MARCH + 2]);
    let server = serve(table, Rules::default());
    let range = |after: &str, before: &str| {
        let events = client(&server).project(1).events().after(after).before(before);
        uuids(events)
            .iter()
            .map(|id| (0..4).position(|n| uuid(n) == *id).unwrap())
            .collect::<Vec<_>>()
    };
    let march = "2026-03-01T00:00:00";
    assert_eq!(range("2026-03-01", &format!("{march}.000002Z")), [1, 2]);
    assert_eq!(range(&format!("{march}.000001Z"), "2026-03-02"), [2, 3]);
    assert_eq!(range(&format!("{march}.0000001Z"), "2026-03-02"), [2, 3]);
    assert_eq!(range("2026-02-28 23:59:59.999999 UTC", &format!("{march}.0000001Z")), [0, 1]);
    assert_eq!(range("2026-03-01T05:45:00.000001+05:45[Asia/Kathmandu]", "2026-03-02"), [2, 3]);
    assert_eq!(range("2026-03-01", "2026-03-01"), [0; 0]);
}

#[test]
fn the_end_is_the_time_of_the_first_request_unless_it_is_given() {
    let now = || {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
    };
    let server = serve(stored([]), Rules::default());
    let events = client(&server).project(1).events().after("2026-01-01");
    std::thread::sleep(Duration::from_millis(20));
    let before = now();
    assert_eq!(uuids(events), [""; 0]);
    let (_, end) = whole(&server);
    assert!((before..=now()).contains(&end), "{end}");
    // Where the beginning is in the future, nothing is there yet.
    assert_eq!(uuids(client(&server).project(1).events().after("2250-01-01")), [""; 0]);
}

#[test]
fn years_that_cannot_be_stored_are_not_sent() {
    let server = serve(stored([MARCH]), Rules::default());
    let all = client(&server).project(1).events().after("0000-01-01").before("9999-12-31");
    assert_eq!(uuids(all).len(), 1);
    let (from, to) = whole(&server);
    assert_eq!(text(from, 0), "1900-01-01T00:00:00Z");
    assert_eq!(text(to, 0), "2299-12-31T23:59:59.999999Z");
}

#[test]
fn names_columns_and_filters_are_part_of_the_sql() {
    let answer = json!({"columns": ["uuid", "timestamp", "a"], "results": []});
    let server = Server::answers(&[answer]);
    let events = client(&server)
        .project(1)
        .events()
        .after("2026-03-01")
        .before("2026-03-01T00:00:10Z")
        .event("a'b")
        .event("$pageview")
        .columns(["uuid", "person_id -- who", "properties.`x` AS a", " event", "timestamp"])
        .filter("properties.n > {n} -- many")
        .filter("a = 1 OR b = 2")
        .value("n", 5);
    assert_eq!(uuids(events), [""; 0]);
    let body = server.all_requests()[0].json();
    let sql = "SELECT uuid\n, timestamp\n, event\n, distinct_id\n, person_id -- who\n, properties.`x` AS a\nFROM events\n\
               WHERE timestamp >= toDateTime({events_from})\nAND timestamp < toDateTime({events_to})\n\
               AND event IN {events_names}\nAND (\nproperties.n > {n} -- many\n)\nAND (\na = 1 OR b = 2\n)\n\
               ORDER BY timestamp, uuid, event, distinct_id\nLIMIT 10000";
    assert_eq!(body["query"]["query"], sql);
    let values = json!({
        "n": 5, "events_names": ["a'b", "$pageview"],
        "events_from": "2026-03-01T00:00:00.000000Z", "events_to": "2026-03-01T00:00:10.000000Z",
    });
    assert_eq!(body["query"]["values"], values);
    assert_eq!(body["refresh"], "force_blocking");
}

#[test]
fn what_cannot_be_an_export_is_refused_before_anything_is_sent() {
    let server = Server::script([]);
    let plain = || client(&server).project(1).events();
    let march = || plain().after("2026-03-01");
    let last = |name: &str, value: Value| {
        let timestamp = "2026-03-01T00:00:00Z";
        let row =
            json!({"uuid": uuid(1), "timestamp": timestamp, "event": "a", "distinct_id": "b"});
        let mut row = row.as_object().unwrap().clone();
        row.insert(name.to_owned(), value);
        row
    };
    for (events, why) in [
        (plain(), "after()"),
        (plain().before("2026-03-01"), "after()"),
        (march().before("2026-02-28"), "earlier"),
        (plain().after("2026-03-01T00:00:00"), "offset"),
        (march().before("2026-03-01 10:00:00"), "offset"),
        (plain().after("yesterday"), "yesterday"),
        (plain().after(""), "not a time"),
        (plain().after("2026-11-01[Europe/Berlin]"), "not a time"),
        (plain().after("2026-11-01T10:00:00+0:2"), "not a time"),
        (march().event(""), "empty"),
        (march().filter(" "), "empty"),
        (march().filter("a = 1) OR (b = 2"), "not closed"),
        (march().filter("a = 'x"), "not closed"),
        (march().filter("a = 1 /* x"), "not closed"),
        (march().filter("a = 1; b"), ";"),
        (march().filter("uuid > {events_uuid}"), "reserved"),
        (march().columns(["event", ""]), "empty"),
        (march().columns(["(event"]), "not closed"),
        (march().columns(["'x"]), "not closed"),
        (march().columns(["event /*"]), "not closed"),
        (march().columns(["{events_to}"]), "reserved"),
        (march().value("events_to", 1), "reserved"),
        (march().value("n", 1), "{n}"),
        (march().filter("a = {n}").value("n", f64::NAN), "{n}"),
        (march().filter("a = {n}").value("n", 1).value("n", 2), "twice"),
        (march().resume(&last("uuid", json!(null))), "uuid"),
        (march().resume(&last("uuid", json!(""))), "uuid"),
        (march().resume(&last("event", json!(null))), "event"),
        (march().resume(&last("distinct_id", json!(null))), "distinct_id"),
        (march().resume(&last("timestamp", json!(null))), "timestamp"),
        (march().resume(&last("timestamp", json!("2026-03-01 00:00:00"))), "offset"),
    ] {
        let mut rows = events.into_iter();
        let error = error(rows.next().unwrap());
        assert!(config(&error).contains(why), "{why}: {error}");
        assert!(rows.next().is_none(), "{why}");
    }
    assert_eq!(server.count(), 0);
}

/// A page of events with these uuids and times.
fn page(events: &[(Value, &str)]) -> Value {
    let row = |(uuid, time): &(Value, &str)| json!([uuid, time, "click", "me", "{}"]);
    json!({"columns": COLUMNS, "results": events.iter().map(row).collect::<Vec<_>>()})
}

/// A server that returns the same answer again and again.
fn always(page: Value) -> Server {
    Server::start(move |_, _| Act::json(200, &page)).expects(crate::support::Way::Any)
}

#[test]
fn a_server_that_does_not_keep_to_the_order_is_an_error() {
    let (id, other) = (json!(uuid(1)), json!(uuid(2)));
    let later = "2026-03-01T02:00:00+01:00";
    for (what, events, why) in [
        ("before the range", vec![(id.clone(), "2026-02-28T23:59:59.999999Z")], "range"),
        ("after the range", vec![(id.clone(), "2026-03-02T00:00:00Z")], "range"),
        ("no offset", vec![(id.clone(), "2026-03-01 01:00:00")], "timestamp"),
        ("no timestamp", vec![(id.clone(), "")], "timestamp"),
        ("no uuid", vec![(Value::Null, "2026-03-01T01:00:00Z")], "uuid"),
        ("back in time", vec![(id, later), (other, "2026-03-01T00:59:59Z")], "order"),
        ("the same page again", vec![(json!(KEY), later)], "again"),
    ] {
        let server = always(page(&events));
        let march = client(&server).project(1).events().after("2026-03-01").before("2026-03-02");
        let error = march.into_iter().find_map(Result::err).unwrap();
        let error = crate::support::seen(error);
        assert!(paging(&error).message().contains(why), "{what}: {error}");
        assert!(error.to_string().contains("POST"), "{what}: {error}");
        assert!(server.count() <= 3, "{what}");
    }
    // Two pages of one microsecond in turn.
    let server = Server::start(|_, n| {
        let id = json!(uuid(i64::from(n % 2 == 0)));
        Act::json(200, &page(&[(id, "2026-03-01T01:00:00Z")]))
    })
    .expects(crate::support::Way::Any);
    let march = events(&server).after("2026-03-01").prefetch(0);
    let error = march.into_iter().find_map(Result::err).unwrap();
    assert!(error.to_string().contains("again"), "{error}");
    assert_eq!(server.count(), 3);
}

#[test]
fn a_page_is_not_the_last_one_where_the_server_has_more() {
    let mut first = page(&[(json!(uuid(1)), "2026-03-01T01:00:00Z")]);
    first["hogql"] = json!("SELECT uuid FROM events LIMIT 10000");
    first["hasMore"] = json!(true);
    let mut last = page(&[(json!(uuid(2)), "2026-03-01T01:00:00Z")]);
    last["hogql"] = first["hogql"].clone();
    let range = |server: &Server| {
        client(server).project(1).events().after("2026-03-01").before("2026-03-01T02:00:00Z")
    };
    let server = Server::answers(&[first, last]);
    assert_eq!(uuids(range(&server)), [uuid(1), uuid(2)]);
    let mut empty = page(&[]);
    empty["hasMore"] = json!(true);
    let server = Server::answers(&[empty]);
    let error = error(range(&server).into_iter().next().unwrap());
    assert!(paging(&error).message().contains("empty page"), "{error}");
}

#[test]
fn a_column_that_takes_the_name_of_another_is_refused_before_a_row_is_returned() {
    for (column, names) in [
        ("1 as uuid --", &["uuid"][..]),
        ("1 AS uuid, 2 AS b", &["uuid", "b"]),
        ("x AS/**/timestamp", &["timestamp"]),
        ("(1 AS event)", &["event"]),
        ("lower(distinct_id) AS distinct_id", &["distinct_id"]),
    ] {
        let mut answer = page(&[(json!(uuid(1)), "2026-03-01T01:00:00Z")]);
        let names: Vec<&str> = COLUMNS[..4].iter().chain(names).copied().collect();
        for row in answer["results"].as_array_mut().unwrap() {
            row.as_array_mut().unwrap().resize(names.len(), json!("x"));
        }
        answer["columns"] = json!(names);
        let server = Server::answers(&[answer]);
        let error = error(events(&server).columns([column]).into_iter().next().unwrap());
        assert!(config(&error).contains("name of another"), "{column}: {error}");
    }
}

#[test]
fn an_event_that_the_server_holds_twice_comes_once() {
    let mut table = years();
    let copies: Vec<Event> = table.events.iter().step_by(3).cloned().collect();
    let all = table.all();
    table.events.extend(copies);
    for cap in [50_000, 40, 8] {
        let server = serve(table.clone(), Rules { cap, ..Rules::default() });
        assert_eq!(uuids(events(&server)), all, "cap {cap}");
    }
}

#[test]
fn events_that_differ_in_one_part_of_their_identity_all_come() {
    let mut table = years();
    for event in table.events.clone().into_iter().step_by(2) {
        table.events.push(Event { name: "scroll", ..event.clone() });
        table.events.push(Event { distinct_id: "you", ..event });
    }
    for (cap, prefetch) in [(50_000, 0), (40, 1), (1, 2)] {
        let server = serve(table.clone(), Rules { cap, ..Rules::default() });
        assert_eq!(uuids(events(&server).prefetch(prefetch)), table.all(), "cap {cap}");
    }
}

#[test]
fn events_of_several_times_can_have_one_uuid() {
    let mut table = stored((0..9).map(|n| MARCH + n));
    for event in &mut table.events {
        event.uuid = uuid(1);
    }
    let server = serve(table.clone(), Rules { cap: 1, ..Rules::default() });
    assert_eq!(uuids(events(&server).after("2026-03-01")), table.all());
}

#[derive(Deserialize)]
struct Typed {
    uuid: String,
    event: String,
}

#[test]
fn events_can_be_read_as_a_type() {
    let table = years();
    let server = serve(table.clone(), Rules { cap: 50, ..Rules::default() });
    let typed: Vec<Typed> = events(&server).items_as().collect::<Result<_>>().unwrap();
    assert!(typed.iter().all(|event| event.event == "click"));
    assert_eq!(typed.into_iter().map(|event| event.uuid).collect::<Vec<_>>(), table.all());
}

#[test]
fn what_events_show_of_themselves_hides_the_key() {
    let project = builder("http://127.0.0.1:1").build().unwrap().project(1);
    let events = project.events().event(KEY).filter(&format!("a = '{KEY}'")).value("a", KEY);
    let events = events.columns([format!("'{KEY}'")]);
    assert!(!shows_key(format!("{events:?}").as_bytes()), "{events:?}");
}

#[test]
fn text_that_holds_json_comes_as_a_value() {
    let columns = [&COLUMNS[..4], &["properties", "b", "c"]].concat();
    let row = |json: &str| {
        json!([uuid(1), "2026-03-01T01:00:00Z", "click", "me", json, "{\"x\":1}", "[2]"])
    };
    let answer = |json: &str| json!({"columns": columns, "results": [row(json)], "hogql": "SELECT 1 LIMIT 10000"});
    let one = |events: Events| events.into_iter().next().unwrap().unwrap();
    let range = |server: &Server| events(server).after("2026-03-01").before("2026-03-01T02:00:00Z");
    for (text, value) in [
        (r#"{"a":[1,{"b":null}]}"#, json!({"a": [1, {"b": null}]})),
        (r#"{"a":"\ud83d x"}"#, json!({"a": "\u{fffd} x"})),
        ("not JSON", json!("not JSON")),
    ] {
        let server = Server::answers(&[answer(text)]);
        let event = one(range(&server));
        assert_eq!((&event["properties"], &event["b"]), (&value, &json!("{\"x\":1}")), "{text}");
    }
    let server = Server::answers(&[answer("{}")]);
    let event = one(range(&server).json_columns(["b", "other"]));
    assert_eq!(
        (&event["properties"], &event["b"], &event["c"]),
        (&json!("{}"), &json!({"x": 1}), &json!("[2]"))
    );
}

#[test]
fn the_events_of_the_range_are_counted_by_one_query() {
    let count = || json!({"columns": ["count()"], "results": [[41]]});
    let server = Server::answers(&[count()]);
    let row = json!({"uuid": uuid(1), "timestamp": "2026-03-01T01:00:00Z", "event": "a", "distinct_id": "b"});
    let march = events(&server).after("2026-03-01").event("click").resume(row.as_object().unwrap());
    assert_eq!(march.count().unwrap(), 41);
    let query = server.requests()[0].json()["query"].clone();
    assert_eq!(
        query["query"],
        "SELECT count()\nFROM events\nWHERE timestamp >= toDateTime({events_from})\n\
                                AND timestamp < toDateTime({events_to})\nAND event IN {events_names}"
    );
    assert_eq!(query["values"]["events_from"], "2026-03-01T00:00:00.000000Z");
    // Where it is too slow, it runs in the background.
    let server = Server::script([too_slow(), Act::json(200, &count())]);
    assert_eq!(events(&server).count().unwrap(), 41);
    assert_eq!(queries(&server)[1].1, "force_async");
    assert!(config(&error(client(&server).project(1).events().count())).contains("after()"));
}

#[test]
fn the_last_moment_that_can_be_stored_is_included() {
    let last = (10_413_792_000 * SECOND) - 1;
    let server = serve(stored([last - 1, last]), Rules::default());
    let range = |before: &str| {
        let events = client(&server).project(1).events().after("2299-12-31T23:59:59Z");
        uuids(events.before(before)).len()
    };
    assert_eq!(range("2300-01-01"), 2);
    assert_eq!(range("9999-12-31"), 2);
    assert_eq!(range("2299-12-31T23:59:59.999999Z"), 1);
}

#[test]
fn pages_grow_again_after_one_that_was_too_large() {
    let mut events = stored((0..4_000).map(|n| MARCH + n * SECOND));
    events.events[2_000].name = "large".repeat(16_000).leak();
    let server = serve(events, Rules::default());
    let large = builder(server.url()).max_body_bytes(100_000).build().unwrap().project(1);
    let march = large.events().after("2026-03-01").before("2026-03-02").prefetch(0);
    assert_eq!(uuids(march).len(), 4_000);
    let limits = limits(&server);
    let smallest = limits.iter().position(|limit| limit == limits.iter().min().unwrap()).unwrap();
    assert!(limits[smallest..].iter().any(|limit| limit > &limits[smallest]), "{limits:?}");
    assert!(limits.len() <= 40, "{limits:?}");
}

#[test]
fn no_more_requests_run_at_once_than_were_asked_for() {
    let even = stored((0..3_000).map(|n| MARCH + n * 30 * SECOND));
    // Pages of more than 1 MB, the next of which is requested while one is read; many are full.
    let burst = (0..900).map(|n| MARCH + 9_000 * SECOND + n);
    let mut large = stored((0..600).map(|n| MARCH + n * 15 * SECOND).chain(burst));
    let name: &str = "large".repeat(2_000).leak();
    large.events.iter_mut().for_each(|event| event.name = name);
    for (table, cap, limits) in [(even, 100, &[0, 1, 2, 5][..]), (large, 200, &[0, 1, 2])] {
        together(limits.iter().copied(), |prefetch| {
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let table = Watched { inner: table.clone(), now, most: Arc::clone(&most) };
            let all = table.inner.all();
            let server = serve(table, Rules { cap, ..Rules::default() });
            let march =
                client(&server).project(1).events().after("2026-03-01").before("2026-03-03");
            assert_eq!(uuids(march.prefetch(prefetch)), all);
            // A busy machine may start the last one late.
            let most = most.load(Ordering::SeqCst);
            assert!((1 + prefetch / 2..=prefetch + 1).contains(&most), "{prefetch}: {most}");
        });
    }
}

/// A table that notes how many queries run at once.
struct Watched {
    inner: Stored,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Table for Watched {
    fn find(&self, sql: &str, values: &Value) -> Option<Found<'_>> {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(10));
        let found = self.inner.find(sql, values);
        self.now.fetch_sub(1, Ordering::SeqCst);
        found
    }
}

#[test]
fn after_a_429_there_is_one_request_at_a_time() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let table = stored((0..2_200).map(|n| MARCH + n * 30 * SECOND));
    let all = table.all();
    let watched = Watched { inner: table, now, most: Arc::clone(&most) };
    let busy =
        Act::error(429, "throttled_error", "throttled", "Too many queries are running right now");
    let seen = Arc::clone(&most);
    let server = serve_with(watched, Rules { cap: 100, ..Rules::default() }, move |n| {
        // Those that were sent before have come by then.
        if n == 32 {
            seen.store(0, Ordering::SeqCst);
        }
        (n == 8).then(|| busy.clone())
    });
    let march = client(&server).project(1).events().after("2026-03-01").before("2026-03-03");
    assert_eq!(uuids(march.prefetch(2)), all);
    assert!(server.count() > 36, "{} requests", server.count());
    assert_eq!(most.load(Ordering::SeqCst), 1);
}
