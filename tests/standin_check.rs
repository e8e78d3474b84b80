//! Proves the stand-in itself: that it answers what the recorded server answered, and forgets what that one forgot.
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod standin;

use serde_json::{Value, json};
use standin::{EDGE_KEY, KEY, Replay, StandIn, recordings};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// One connection, kept open.
struct Wire(BufReader<TcpStream>);

struct Got {
    raw: Vec<u8>,
    status: u16,
    body: Vec<u8>,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn rows(&self) -> usize {
        self.json()["results"].as_array().unwrap().len()
    }
}

impl Wire {
    fn to(url: &str) -> Wire {
        Wire(BufReader::new(
            TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap(),
        ))
    }

    fn send(&mut self, method: &str, target: &str, headers: &[&str], body: &str) -> Got {
        let headers: String = headers
            .iter()
            .map(|header| format!("{header}\r\n"))
            .collect();
        let length = body.len();
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:8020\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
        let (mut raw, mut length) = (Vec::new(), 0);
        while !raw.ends_with(b"\r\n\r\n") {
            let start = raw.len();
            assert_ne!(
                self.0.read_until(b'\n', &mut raw).unwrap(),
                0,
                "the connection ended early"
            );
            let line = String::from_utf8_lossy(&raw[start..]).to_lowercase();
            length = line
                .strip_prefix("content-length:")
                .map_or(length, |n| n.trim().parse().unwrap());
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        raw.extend_from_slice(&body);
        let status = String::from_utf8_lossy(&raw[9..12]).parse().unwrap();
        Got { raw, status, body }
    }

    fn get(&mut self, target: &str) -> Got {
        self.send(
            "GET",
            target,
            &[&format!("Authorization: Bearer {KEY}")],
            "",
        )
    }

    fn post(&mut self, body: &Value) -> Got {
        let headers = [
            &format!("Authorization: Bearer {KEY}")[..],
            "Content-Type: application/json",
        ];
        self.send(
            "POST",
            "/api/projects/1/query/",
            &headers,
            &body.to_string(),
        )
    }

    /// The rows of every page, by `next`.
    fn walk(&mut self, first: &str) -> Vec<Value> {
        let (mut rows, mut target) = (Vec::new(), first.to_owned());
        loop {
            let page = self.get(&target).json();
            rows.extend_from_slice(page["results"].as_array().unwrap());
            match page["next"].as_str() {
                Some(next) => {
                    target = next
                        .strip_prefix("http://127.0.0.1:8020")
                        .unwrap()
                        .to_owned()
                }
                None => return rows,
            }
        }
    }
}

fn wire() -> (StandIn, Wire) {
    let standin = StandIn::start();
    let wire = Wire::to(&standin.url());
    (standin, wire)
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The status and the number of rows that this `properties` gives.
fn filtered(wire: &mut Wire, properties: &str) -> (u16, usize) {
    let got = wire.get(&format!(
        "/api/projects/1/persons/?limit=1000&properties={}",
        encoded(properties)
    ));
    (got.status, if got.status == 200 { got.rows() } else { 0 })
}

/// What the stand-in cannot repeat: a throttle, an evicted cache, gzip, and lists of insights of
/// which not all were recorded.
const NOT_REPEATED: [&str; 17] = [
    "throttle_query_429",
    "throttle_persons_429",
    "throttle_persons_429_csv",
    "throttle_burst_429",
    "gzip_persons",
    "evict_refresh_true",
    "insight_refresh_boldnumber",
    "insight_boldnumber",
    "insights_shortid_hit",
    "insights_page_1",
    "insights_page_2",
    "insights_list_basic",
    "insights_list_order_id",
    "insights_list_offset_past",
    "insights_list_search",
    "insights_shortid_empty",
    "throttle_recovered",
];

#[test]
fn every_recorded_request_gets_its_recorded_answer() {
    let (_standin, mut wire) = wire();
    let index = recordings::json("2023", "index.json");
    let recorded = recordings::all("2023");
    assert_eq!(recorded.len(), 176);
    for (entry, recorded) in index.as_array().unwrap().iter().zip(&recorded) {
        if NOT_REPEATED.contains(&recorded.name.as_str()) {
            continue;
        }
        let headers: Vec<_> = entry["request_headers"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let body = recorded.request_body.as_deref().unwrap_or_default();
        let got = wire.send(&recorded.method, &recorded.target, &headers, body);
        let name = &recorded.name;
        assert_eq!(got.status, recorded.status, "{name}");
        assert_eq!(
            String::from_utf8_lossy(&got.body),
            String::from_utf8_lossy(&recorded.body),
            "{name}"
        );
        if name == "long_line_17k" {
            wire = Wire::to(&_standin.url());
        }
    }
}

#[test]
fn a_filter_gives_as_many_persons_as_it_gave_there() {
    let (_standin, mut wire) = wire();
    let totals = recordings::json("2023", "persons_totals.json");
    let recorded = recordings::all("2023");
    for (name, total) in totals.as_object().unwrap() {
        let target = &recorded.iter().find(|r| r.name == *name).unwrap().target;
        let rows = wire.walk(target);
        let distinct: BTreeSet<_> = rows.iter().map(|row| row["uuid"].to_string()).collect();
        assert_eq!(rows.len() as u64, *total, "{name}");
        assert_eq!(distinct.len(), rows.len(), "{name}");
    }
}

#[test]
fn what_the_server_misreads_is_misread() {
    let (_standin, mut wire) = wire();
    let os = |operator: &str, value: Value| (json!({"key": "$initial_os", "value": value, "operator": operator, "type": "person"}));
    let on = |key: &str, operator: &str, value: Value| (json!({"key": key, "value": value, "operator": operator, "type": "person"}));
    let linux = || os("exact", json!("Linux"));
    let without = |field: &str| {
        let mut filter = linux();
        filter.as_object_mut().unwrap().remove(field);
        filter
    };
    let with = |field: &str, value: Value| {
        let mut filter = linux();
        filter[field] = value;
        filter
    };
    let date = |operator: &str, value: &str| on("signup_date", operator, json!(value));
    for (filter, rows) in [
        (without("operator"), 74),
        (os("exact", json!([])), 0),
        (os("is_not", json!(["Linux", "Windows"])), 101),
        (os("is_not", json!([])), 250),
        (os("not_in", json!(["Linux"])), 74),
        (on("email", "not_icontains", json!("user1")), 143),
        (on("email", "icontains", json!("")), 250),
        (
            on("email", "icontains", json!("u%1_@")),
            wire_rows_by_regex(&mut wire, "u.*1.@"),
        ),
        (on("email", "icontains", json!(["user1"])), 0),
        (on("email", "not_regex", json!("user1")), 143),
        (on("email", "regex", json!("[")), 0),
        (on("email", "not_regex", json!("[")), 0),
        (on("price", "is_set", json!("is_set")), 15),
        (on("price", "is_not_set", json!("is_not_set")), 235),
        (date("is_date_before", "2021-06-01"), 150),
        (date("is_date_exact", "2021-06-01"), 1),
        (date("is_date_after", "2021-06-01 10:00:00"), 98),
        (date("is_date_after", "-3d"), 0),
        (on("age", "not_between", json!([20, 25])), 10),
        (on("age", "min", json!(30)), 5),
        (on("age", "exact", json!(30)), 5),
        (on("age", "exact", json!("30")), 5),
        (on("age", "exact", json!(30.0)), 0),
        (on("name", "exact", json!("tab\tname")), 0),
        (without("type"), 250),
        (without("key"), 250),
        (without("value"), 250),
        (with("value", Value::Null), 250),
        (with("type", json!("event")), 250),
        (json!("no object"), 250),
    ] {
        assert_eq!(
            filtered(&mut wire, &json!([filter]).to_string()),
            (200, rows),
            "{filter}"
        );
    }
    let group = |kind: &str, values: Value| json!({"type": kind, "values": values}).to_string();
    let free = on("plan", "exact", json!("free"));
    for (properties, rows) in [
        (group("AND", json!([linux(), free])), 74),
        (group("OR", json!([linux(), without("type")])), 250),
        (group("AND", json!([linux(), without("type")])), 74),
        (group("OR", json!([])), 250),
        (json!({"$initial_os": "Linux"}).to_string(), 250),
    ] {
        assert_eq!(
            filtered(&mut wire, &properties),
            (200, rows),
            "{properties}"
        );
    }
    let refused = |filter: Value| json!([filter]).to_string();
    for (properties, status) in [
        (String::from("\"text\""), 400),
        (String::from("5"), 500),
        (String::from("true"), 500),
        (String::from("NaN"), 500),
        (refused(on("age", "gt", json!("old"))), 500),
        (refused(on("age", "gt", json!([60]))), 500),
        (refused(on("email", "regex", json!("(?=x)"))), 500),
        (refused(date("is_date_after", "2021-06-01T10:00:00Z")), 500),
    ] {
        assert_eq!(filtered(&mut wire, &properties).0, status, "{properties}");
    }
    for query in ["limit=abc", "limit=2.5", "offset=-1", "offset=x"] {
        assert_eq!(
            wire.get(&format!("/api/projects/1/persons/?{query}"))
                .status,
            500,
            "{query}"
        );
    }
    for query in [
        "limit=0",
        "limit=",
        "search=",
        "distinct_id=",
        "properties=",
    ] {
        assert_eq!(
            wire.get(&format!("/api/projects/1/persons/?{query}"))
                .rows(),
            100,
            "{query}"
        );
    }
}

fn wire_rows_by_regex(wire: &mut Wire, pattern: &str) -> usize {
    let filter = json!([{"key": "email", "value": pattern, "operator": "regex", "type": "person"}]);
    let (status, rows) = filtered(wire, &filter.to_string());
    assert!(status == 200 && (1..250).contains(&rows), "{status} {rows}");
    rows
}

#[test]
fn pages_are_walked_as_they_were_there() {
    let (_standin, mut wire) = wire();
    let persons = |limit: usize| format!("/api/projects/1/persons/?limit={limit}");
    assert_eq!(wire.walk(&persons(7)).len(), 250);
    let full = wire.get(&persons(250)).json();
    assert!(
        full["next"].is_string(),
        "a full page has a next, even where nothing follows"
    );
    assert_eq!(
        wire.walk("/api/projects/1/cohorts/2/persons/?limit=62")
            .len(),
        124
    );
    assert!(
        wire.walk("/api/projects/1/events/?event=purchase&after=2026-10-20T00:00:00Z&limit=20")
            .len()
            > 20
    );
    assert_eq!(wire.walk("/api/projects/1/cohorts/?limit=2").len(), 3);
    assert_eq!(
        wire.get("/api/projects/1/cohorts?limit=2&offset=2").rows(),
        1
    );
    let short = wire.send(
        "GET",
        "/api/projects/4/persons/?limit=5",
        &[&format!("Authorization: Bearer {EDGE_KEY}")],
        "",
    );
    assert_eq!((short.rows(), short.json()["next"].is_string()), (4, true));
    assert_eq!(wire.walk("/api/projects/4/persons/?limit=5").len(), 4);
    let page = wire.send(
        "GET",
        "/api/projects/1/persons/?limit=1",
        &[
            &format!("Authorization: Bearer {KEY}"),
            "X-Forwarded-Proto: https",
        ],
        "",
    );
    assert_eq!(
        page.json()["next"],
        "https://127.0.0.1:8020/api/projects/1/persons/?limit=1&offset=1"
    );
}

#[test]
fn the_insights_list_loses_rows_unless_it_is_ordered() {
    let (_standin, mut wire) = wire();
    let ids = |rows: &[Value]| {
        rows.iter()
            .map(|row| row["id"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let count = wire.get("/api/projects/1/insights/").json()["count"]
        .as_u64()
        .unwrap() as usize;
    for limit in [3, 7, 10, 25] {
        let walked = ids(&wire.walk(&format!("/api/projects/1/insights/?limit={limit}")));
        let distinct: BTreeSet<_> = walked.iter().collect();
        assert_eq!(walked.len(), count, "{limit}");
        assert!(distinct.len() < count, "limit {limit} lost nothing");
        for order in ["id", "-id", "created_at"] {
            let walked = ids(&wire.walk(&format!(
                "/api/projects/1/insights/?limit={limit}&order={order}"
            )));
            assert_eq!(
                walked.iter().collect::<BTreeSet<_>>().len(),
                count,
                "{limit} {order}"
            );
        }
    }
    let ascending = ids(&wire.walk("/api/projects/1/insights/?order=id"));
    assert!(ascending.is_sorted() && ascending.len() == count);
    let descending = ids(&wire.walk("/api/projects/1/insights/?order=-id"));
    assert!(descending.iter().rev().eq(&ascending));
    let with_queries =
        ids(&wire.walk("/api/projects/1/insights/?order=id&include_query_insights=true"));
    assert_eq!(with_queries.len(), count + 3);
    assert_eq!(
        wire.get("/api/projects/1/insights/?short_id=").rows(),
        count
    );
    assert_eq!(
        wire.get("/api/projects/1/insights/?short_id=vdpvgsw3")
            .rows(),
        0,
        "short ids have a case"
    );
    let found = wire.get("/api/projects/1/insights/?search=filler").json();
    assert!(
        found["count"].as_u64().unwrap() >= 2 && found["count"].as_u64().unwrap() < count as u64
    );
    let basic = wire
        .get("/api/projects/1/insights/?basic=true&limit=1&order=id")
        .json();
    let whole = recordings::one("2023", "insights_list_basic");
    let recorded: Value = serde_json::from_slice(&whole.body).unwrap();
    let same = recorded["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["id"] == basic["results"][0]["id"])
        .unwrap();
    assert_eq!(basic["results"][0], *same);
}

#[test]
fn an_insight_is_null_until_it_is_computed() {
    let (standin, mut wire) = wire();
    let at = "/api/projects/1/insights/28/";
    let body = |name: &str| recordings::one("2023", name).body;
    for cached in [
        "",
        "?refresh=",
        "?refresh=false",
        "?refresh=force_cache",
        "?refresh=0",
    ] {
        assert_eq!(
            wire.get(&format!("{at}{cached}")).body,
            body("insight_uncached_boldnumber"),
            "{cached}"
        );
    }
    assert_eq!(
        wire.get(&format!("{at}?refresh=true")).body,
        body("insight_refresh_boldnumber")
    );
    assert_eq!(wire.get(at).body, body("insight_boldnumber"));
    assert_eq!(
        wire.get("/api/projects/1/insights/?short_id=VdpVGSw3").body,
        body("insights_shortid_hit")
    );
    let other = StandIn::start();
    assert_eq!(
        Wire::to(&other.url()).get(at).body,
        body("insight_uncached_boldnumber"),
        "another stand-in"
    );
    assert_eq!(wire.get("/api/projects/1/insights/VdpVGSw3/").status, 404);
    assert_eq!(standin.connections(), 1);
}

#[test]
fn a_person_is_found_by_either_id() {
    let (_standin, mut wire) = wire();
    let list = wire.get("/api/projects/1/persons/?limit=1&offset=7").json()["results"][0].clone();
    let uuid = list["uuid"].as_str().unwrap();
    let person = wire.get(&format!("/api/projects/1/persons/{uuid}")).json();
    assert_eq!(
        (&person["uuid"], &person["properties"]),
        (&list["uuid"], &list["properties"])
    );
    assert!(person["id"].is_u64() && person.get("type").is_none());
    for key in [
        uuid.to_uppercase(),
        uuid.replace('-', ""),
        person["id"].to_string(),
    ] {
        assert_eq!(
            wire.get(&format!("/api/projects/1/persons/{key}/")).json(),
            person,
            "{key}"
        );
    }
    let refused = wire.get("/api/projects/1/persons/did-7/");
    assert_eq!(refused.status, 400);
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .ends_with("/persons?distinct_id=did-7 instead.")
    );
}

#[test]
fn a_key_is_looked_for_where_the_server_looks() {
    let (_standin, mut wire) = wire();
    let me = "/api/users/@me/";
    let in_body = |key: &str| json!({"personal_api_key": key}).to_string();
    let wrong_header = "Authorization: Bearer phx_nope";
    let detail = |got: &Got| got.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(wire.send("GET", me, &[], &in_body(KEY)).status, 200);
    assert_eq!(
        wire.send("GET", me, &[wrong_header], &in_body(KEY)).status,
        401,
        "only the first is tried"
    );
    let got = wire.send(
        "GET",
        &format!("{me}?personal_api_key={KEY}"),
        &[],
        &in_body("phx_nope"),
    );
    assert_eq!(
        (got.status, detail(&got)),
        (
            401,
            "Personal API key found in request body is invalid.".into()
        )
    );
    let got = wire.send("GET", &format!("{me}?personal_api_key=phx_nope"), &[], "");
    assert_eq!(
        detail(&got),
        "Personal API key found in request query string is invalid."
    );
    assert_eq!(
        wire.send("GET", "/api/projects/1/actions/", &[wrong_header], "")
            .status,
        403
    );
    assert_eq!(
        wire.send("GET", "/api/nosuch/", &[], "").status,
        404,
        "no key is asked for"
    );
    let bearer = format!("Authorization: Bearer {KEY}");
    let keyed = json!({"name": "Flow 2", "personal_api_key": KEY}).to_string();
    let patched = wire.send("PATCH", "/api/projects/1/cohorts/7/", &[], &keyed);
    assert_eq!(
        patched.body,
        recordings::one("2023", "flow_cohorts_patch").body
    );
    let other = wire.send(
        "PATCH",
        "/api/projects/1/cohorts/7/",
        &[&bearer],
        "{\"name\": \"Else\"}",
    );
    assert_eq!(other.status, 404, "a write that was not recorded");
}

#[test]
fn all_persons_are_scanned_by_key() {
    let (_standin, mut wire) = wire();
    let first = "SELECT * FROM (select id, properties, created_at from persons) ORDER BY `id` LIMIT 100 WITH TIES";
    let later = "select * from ( SELECT id,properties,created_at FROM persons )\nWHERE `id` > {scan_after} ORDER BY `id` LIMIT 100 WITH TIES";
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let sql = if after.is_some() { later } else { first };
        let query = json!({"kind": "HogQLQuery", "query": sql, "values": {"scan_after": after}});
        let page = wire.post(&json!({"query": query})).json();
        assert_eq!(page["columns"], json!(["id", "properties", "created_at"]));
        let got = page["results"].as_array().unwrap();
        rows.extend(got.iter().map(|row| row[0].as_str().unwrap().to_owned()));
        assert!(
            serde_json::from_str::<Value>(got[0][1].as_str().unwrap())
                .unwrap()
                .is_object()
        );
        if got.len() < 100 {
            break;
        }
        after = rows.last().cloned();
    }
    assert_eq!(
        (rows.len(), rows.iter().collect::<BTreeSet<_>>().len()),
        (250, 250)
    );
    assert!(!rows.is_sorted(), "ClickHouse does not sort UUIDs as text");
    let huge = first.replace("100", "1000000");
    let page = wire
        .post(&json!({"query": {"kind": "HogQLQuery", "query": huge}}))
        .json();
    assert_eq!(
        (
            page["limit"].as_u64(),
            page["results"].as_array().unwrap().len()
        ),
        (Some(10_000), 250)
    );
    let lost = wire.post(&json!({"query": {"kind": "HogQLQuery", "query": later}}));
    assert_eq!(lost.status, 400, "no value for the placeholder");
    let unknown =
        wire.post(&json!({"query": {"kind": "HogQLQuery", "query": "select 1 from elsewhere"}}));
    assert_eq!(
        (unknown.status, &unknown.json()["type"]),
        (400, &json!("validation_error"))
    );
}

#[test]
fn a_query_in_the_background_is_polled() {
    let (_standin, mut wire) = wire();
    let start = |wire: &mut Wire, sql: &str| {
        let got =
            wire.post(&json!({"query": {"kind": "HogQLQuery", "query": sql}, "refresh": "async"}));
        let status = got.json()["query_status"].clone();
        assert_eq!((got.status, &status["complete"]), (202, &json!(false)));
        format!("/api/projects/1/query/{}/", status["id"].as_str().unwrap())
    };
    let at = start(&mut wire, "select 1");
    assert_eq!(wire.get(&at).status, 202);
    let done = wire.get(&at);
    assert_eq!(
        (
            done.status,
            &done.json()["query_status"]["results"]["results"]
        ),
        (200, &json!([[1]]))
    );
    let failing = start(&mut wire, "select 1 from nope");
    assert_ne!(at, failing);
    assert_eq!(wire.get(&failing).status, 202);
    let failed = wire.get(&failing);
    assert_eq!(
        (failed.status, &failed.json()["query_status"]["error"]),
        (400, &json!(true))
    );
    let delete = |wire: &mut Wire| {
        wire.send(
            "DELETE",
            &at,
            &[&format!("Authorization: Bearer {KEY}")],
            "",
        )
        .status
    };
    assert_eq!((delete(&mut wire), delete(&mut wire)), (200, 404));
    assert_eq!(wire.get(&at).status, 404);
}

#[test]
fn a_replay_gives_its_answer_to_the_byte() {
    for (year, name) in [
        ("2022", "persons_walk_1"),
        ("2023", "gzip_persons"),
        ("2023", "throttle_query_429"),
    ] {
        let replay = Replay::start(year, name);
        let recorded = recordings::one(year, name);
        let mut wire = Wire::to(&replay.url());
        for target in ["/whatever?a=%41&b=+", "/else"] {
            let got = wire.send("PUT", target, &["X-One: two"], "body");
            assert_eq!(
                (got.raw, got.status),
                (recorded.raw.to_vec(), recorded.status)
            );
        }
        let requests = replay.take_requests();
        assert_eq!(requests.len(), 2);
        let first = &requests[0];
        assert_eq!(
            (first.method.as_str(), first.path(), &first.body[..]),
            ("PUT", "/whatever", &b"body"[..])
        );
        assert_eq!(
            (first.header("x-one"), first.param("a"), first.param("b")),
            (Some("two"), Some("A".into()), Some(" ".into()))
        );
        assert!(replay.requests().is_empty());
    }
}

#[test]
fn it_serves_many_and_stops_when_dropped() {
    let standin = StandIn::start();
    let mut wires: Vec<Wire> = (0..8).map(|_| Wire::to(&standin.url())).collect();
    for wire in &mut wires {
        assert_eq!(wire.get("/api/projects").status, 200);
    }
    assert_eq!((standin.connections(), standin.requests().len()), (8, 8));
    let url = standin.url();
    drop(standin);
    assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).is_err());
    assert_eq!(
        wires[0].0.read(&mut [0]).unwrap(),
        0,
        "open connections end too"
    );
}
