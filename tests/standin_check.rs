//! Proves that the stand-in answers what the recorded server answered, and misreads what that server
//! misread.
#![allow(clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/standin.rs"]
mod standin;

use serde_json::{Value, json};
use standin::{EDGE_KEY, KEY, Replay, StandIn, recordings};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// One connection that is kept open.
struct Wire {
    stream: BufReader<TcpStream>,
    /// Lives as long as the connection.
    _standin: Option<StandIn>,
}

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

    fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

/// What the recorded requests called the server; links carry it.
const HOST: &str = "127.0.0.1:8020";
const PERSONS: &str = "/api/projects/1/persons/";
const INSIGHTS: &str = "/api/projects/1/insights/";

impl Wire {
    fn start() -> Wire {
        Wire::of(StandIn::of_2023())
    }

    fn of(standin: StandIn) -> Wire {
        let stream = Wire::to(&standin.url()).stream;
        Wire { stream, _standin: Some(standin) }
    }

    fn to(url: &str) -> Wire {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        Wire { stream: BufReader::new(stream), _standin: None }
    }

    fn send(&mut self, method: &str, target: &str, headers: &[&str], body: &str) -> Got {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        self.stream.get_mut().write_all((head + body).as_bytes()).unwrap();
        let (mut raw, mut length) = (Vec::new(), 0);
        while !raw.ends_with(b"\r\n\r\n") {
            let mut line = String::new();
            assert_ne!(self.stream.read_line(&mut line).unwrap(), 0, "cut short");
            if let Some(number) = line.strip_prefix("Content-Length:") {
                length = number.trim().parse().unwrap();
            }
            raw.extend_from_slice(line.as_bytes());
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        raw.extend_from_slice(&body);
        let status = std::str::from_utf8(&raw[9..12]).unwrap().parse().unwrap();
        Got { raw, status, body }
    }

    /// With the key in the header.
    fn ask(&mut self, method: &str, target: &str, body: &str) -> Got {
        let key = format!("Authorization: Bearer {KEY}");
        self.send(method, target, &[&key, "Content-Type: application/json"], body)
    }

    fn get(&mut self, target: &str) -> Got {
        self.ask("GET", target, "")
    }

    fn query(&mut self, sql: &str, more: Value) -> Got {
        let mut body = json!({"query": {"kind": "HogQLQuery", "query": sql}});
        for (name, value) in more.as_object().unwrap() {
            let at = if name == "values" { &mut body["query"] } else { &mut body };
            at[name] = value.clone();
        }
        self.ask("POST", "/api/projects/1/query/", &body.to_string())
    }

    /// The rows of every page, by `next`.
    fn walk(&mut self, first: &str) -> Vec<Value> {
        let (mut rows, mut next) = (Vec::new(), first.to_owned());
        loop {
            let page = self.get(&next).json();
            rows.extend_from_slice(page["results"].as_array().unwrap());
            let Some(link) = page["next"].as_str() else {
                return rows;
            };
            next = link.split_once(HOST).unwrap().1.to_owned();
        }
    }

    /// The status and the number of rows that this `properties` gives.
    fn filtered(&mut self, properties: &str) -> (u16, usize) {
        let encoded: String = properties.bytes().map(|b| format!("%{b:02X}")).collect();
        let got = self.get(&format!("{PERSONS}?limit=1000&properties={encoded}"));
        (got.status, if got.status == 200 { got.rows() } else { 0 })
    }
}

fn body(name: &str) -> &'static [u8] {
    &recordings::one("2023", name).body
}

fn distinct<'a>(rows: impl IntoIterator<Item = &'a Value>) -> usize {
    let ids: BTreeSet<_> = rows.into_iter().map(|row| row["id"].to_string()).collect();
    ids.len()
}

/// A throttle, gzip, another port, an evicted cache; insights before and after they were computed;
/// lists of insights, of which not every row was recorded.
const NOT_REPEATED: &str = "throttle_query_429 throttle_persons_429 throttle_persons_429_csv \
    throttle_burst_429 throttle_recovered gzip_persons evict_refresh_true insight_boldnumber \
    insight_refresh_boldnumber insights_shortid_hit insights_page_1 insights_page_2 \
    insights_list_basic insights_list_order_id insights_list_offset_past insights_list_search \
    insights_shortid_empty";

#[test]
fn every_recorded_request_gets_its_recorded_answer() {
    let mut wire = Wire::start();
    let index = recordings::json("2023", "index.json");
    let recorded = recordings::all("2023");
    assert_eq!(recorded.len(), 176);
    for (entry, recorded) in index.as_array().unwrap().iter().zip(recorded) {
        let name = recorded.name.as_str();
        if NOT_REPEATED.split(' ').any(|other| other == name) {
            continue;
        }
        let headers = entry["request_headers"].as_array().unwrap();
        let headers: Vec<&str> = headers.iter().filter_map(Value::as_str).collect();
        let sent = recorded.request_body.as_deref().unwrap_or_default();
        let got = wire.send(&recorded.method, &recorded.target, &headers, sent);
        assert_eq!(got.status, recorded.status, "{name}");
        let [got, wanted] = [&got.body, &recorded.body].map(|body| String::from_utf8_lossy(body));
        assert_eq!(got, wanted, "{name}");
        if name == "long_line_17k" {
            assert_eq!(wire.stream.read(&mut [0]).unwrap(), 0, "it hangs up");
            wire = Wire::start();
        }
    }
}

#[test]
fn a_filter_finds_as_many_persons_as_on_the_server() {
    let mut wire = Wire::start();
    let totals = recordings::json("2023", "persons_totals.json");
    for (name, total) in totals.as_object().unwrap() {
        let rows = wire.walk(&recordings::one("2023", name).target);
        assert_eq!(
            (rows.len() as u64, distinct(&rows) as u64),
            (total.as_u64().unwrap(), rows.len() as u64),
            "{name}"
        );
    }
}

/// One person filter; the value is JSON text.
fn on(key: &str, operator: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","operator":"{operator}","value":{value},"type":"person"}}"#)
}

#[test]
fn requests_that_the_server_misreads_are_misread_here_too() {
    let mut wire = Wire::start();
    for (key, operator, value, rows) in [
        ("$initial_os", "exact", "[]", 0),
        ("$initial_os", "is_not", r#"["Linux", "Windows"]"#, 101),
        ("$initial_os", "is_not", "[]", 250),
        ("$initial_os", "in", r#"["Linux"]"#, 74),
        ("email", "not_icontains", r#""user1""#, 143),
        ("email", "icontains", r#""""#, 250),
        ("email", "icontains", r#""u%1_@""#, 25),
        ("email", "icontains", r#"["user1"]"#, 0),
        ("email", "not_regex", r#""user1""#, 143),
        ("email", "regex", r#""[""#, 0),
        ("email", "not_regex", r#""[""#, 0),
        ("price", "is_set", r#""is_set""#, 15),
        ("price", "is_not_set", r#""is_not_set""#, 235),
        ("signup_date", "is_date_before", r#""2021-06-01""#, 150),
        ("signup_date", "is_date_exact", r#""2021-06-01""#, 1),
        ("signup_date", "is_date_after", r#""2021-06-01 10:00:00""#, 98),
        ("signup_date", "is_date_after", r#""-3d""#, 0),
        ("age", "not_between", "[20, 25]", 10),
        ("age", "min", "30", 5),
        ("age", "exact", "30", 5),
        ("age", "exact", r#""30""#, 5),
        ("age", "exact", "30.0", 0),
        ("name", "exact", r#""tab\tname""#, 0),
        ("$initial_os", "exact", "null", 250),
        ("$initial_os", "exact", r#""""#, 250),
    ] {
        let filter = format!("[{}]", on(key, operator, value));
        assert_eq!(wire.filtered(&filter), (200, rows), "{filter}");
    }
    let linux = on("$initial_os", "exact", r#""Linux""#);
    let free = on("plan", "exact", r#""free""#);
    let event = linux.replace("person", "event");
    let group = |kind: &str, values: &[&str]| {
        format!(r#"{{"type":"{kind}","values":[{}]}}"#, values.join(","))
    };
    for (properties, answer) in [
        (r#"[{"key":"$initial_os","value":"Linux","type":"person"}]"#, (200, 74)),
        (r#"[{"value":"Linux","operator":"exact","type":"person"}]"#, (200, 250)),
        (r#"[{"key":"plan","operator":"exact","type":"person"}]"#, (200, 250)),
        (&format!("[{event}]"), (200, 250)),
        (r#"["no object"]"#, (200, 250)),
        (r#"{"$initial_os":"Linux"}"#, (200, 250)),
        (&group("AND", &[&linux, &free]), (200, 74)),
        (&group("AND", &[&linux, &event]), (200, 74)),
        (&group("OR", &[&linux, &event]), (200, 250)),
        (&group("OR", &[]), (200, 250)),
        (r#""text""#, (400, 0)),
        ("5", (500, 0)),
        ("true", (500, 0)),
        ("NaN", (500, 0)),
        (&format!("[{}]", on("age", "gt", r#""old""#)), (500, 0)),
        (&format!("[{}]", on("age", "gt", "[60]")), (500, 0)),
        (&format!("[{}]", on("email", "regex", r#""(?=x)""#)), (500, 0)),
        (
            &format!("[{}]", on("signup_date", "is_date_after", r#""2021-06-01T10:00:00Z""#)),
            (500, 0),
        ),
    ] {
        assert_eq!(wire.filtered(properties), answer, "{properties}");
    }
    for query in ["limit=abc", "limit=2.5", "offset=-1", "offset=x"] {
        assert_eq!(wire.get(&format!("{PERSONS}?{query}")).status, 500, "{query}");
    }
    for query in ["limit=0", "limit=", "search=", "distinct_id=", "properties="] {
        assert_eq!(wire.get(&format!("{PERSONS}?{query}")).rows(), 100, "{query}");
    }
}

#[test]
fn filters_that_the_newest_server_fails_on_fail() {
    let mut wire = Wire::of(StandIn::start());
    let linux = on("$initial_os", "exact", r#"["Linux"]"#);
    for (properties, answer) in [
        (format!("[{linux}]"), (200, 74)),
        (format!("[{linux},{}]", on("age", "gt", "30")), (200, 54)),
        (linux.clone(), (500, 0)),
        (format!(r#"{{"type":"OR","values":[{linux}]}}"#), (500, 0)),
        (format!("[{}]", on("age", "exact", "[30]")), (500, 0)),
        (format!("[{}]", on("age", "exact", r#"["30"]"#)), (200, 5)),
        (format!("[{}]", on("email", "regex", r#""(""#)), (500, 0)),
    ] {
        assert_eq!(wire.filtered(&properties), answer, "{properties}");
    }
}

#[test]
fn lists_are_walked_to_their_end() {
    let mut wire = Wire::start();
    for (first, rows) in [
        ("persons/?limit=7", 250),
        ("cohorts/2/persons/?limit=62", 124),
        ("events/?event=purchase&after=2026-10-20T00:00:00Z&limit=20", 40),
        ("cohorts/?limit=2", 3),
        ("cohorts", 3),
    ] {
        assert_eq!(wire.walk(&format!("/api/projects/1/{first}")).len(), rows, "{first}");
    }
    let full = wire.get(&format!("{PERSONS}?limit=250")).json();
    assert!(full["next"].is_string(), "a full page has a next, though nothing follows");
    let key = format!("Authorization: Bearer {EDGE_KEY}");
    let short = wire.send("GET", "/api/projects/4/persons/?limit=5", &[&key], "");
    assert_eq!((short.rows(), short.json()["next"].is_string()), (4, true));
    assert_eq!(wire.walk("/api/projects/4/persons/?limit=5").len(), 4);
    let key = format!("Authorization: Bearer {KEY}");
    let page =
        wire.send("GET", &format!("{PERSONS}?limit=1"), &[&key, "X-Forwarded-Proto: https"], "");
    assert_eq!(page.json()["next"], format!("https://{HOST}{PERSONS}?limit=1&offset=1"));
}

#[test]
fn the_insights_list_loses_rows_unless_it_is_ordered() {
    let mut wire = Wire::start();
    let mut walk = |query: &str| wire.walk(&format!("{INSIGHTS}?{query}"));
    let all = walk("order=id");
    for limit in [3, 7, 10, 25] {
        let lossy = walk(&format!("limit={limit}"));
        assert_eq!(lossy.len(), all.len(), "{limit}");
        assert!(distinct(&lossy) < all.len(), "limit {limit} lost nothing");
        assert_eq!(walk(&format!("limit={limit}&order=id")), all, "{limit}");
    }
    let mut reversed = walk("limit=4&order=-id");
    reversed.reverse();
    assert_eq!(reversed, all);
    assert_eq!(walk("order=id&include_query_insights=true").len(), all.len() + 3);
    assert_eq!(walk("short_id=").len(), all.len());
    assert_eq!(walk("short_id=vdpvgsw3").len(), 0, "short ids have a case");
    let found = walk("search=filler");
    assert!(
        found.len() == 2
            && found.iter().all(|row| row["name"].as_str().unwrap().starts_with("Filler"))
    );
    // The six unsaved ones stand on a dashboard, which counts as saved.
    assert_eq!((walk("saved=true").len(), walk("saved=false").len()), (all.len(), 0));
    let basic: Value = serde_json::from_slice(body("insights_list_basic")).unwrap();
    for row in basic["results"].as_array().unwrap() {
        assert!(walk("basic=true").contains(row), "{row}");
    }
    let count = wire.get(&format!("{INSIGHTS}?limit=3")).json()["count"].clone();
    assert_eq!(count, all.len());
}

#[test]
fn the_result_of_an_insight_is_null_until_it_is_computed() {
    let mut wire = Wire::start();
    let at = format!("{INSIGHTS}28/");
    for cached in ["", "?refresh=", "?refresh=false", "?refresh=force_cache", "?refresh=0"] {
        let got = wire.get(&format!("{at}{cached}"));
        assert_eq!(got.body, body("insight_uncached_boldnumber"), "{cached}");
    }
    assert_eq!(wire.get(&format!("{at}?refresh=true")).body, body("insight_refresh_boldnumber"));
    assert_eq!(wire.get(&at).body, body("insight_boldnumber"));
    let found = wire.get(&format!("{INSIGHTS}?short_id=VdpVGSw3"));
    assert_eq!(found.body, body("insights_shortid_hit"));
    assert_eq!(
        Wire::start().get(&at).body,
        body("insight_uncached_boldnumber"),
        "another stand-in"
    );
    assert_eq!(wire.get(&format!("{INSIGHTS}VdpVGSw3/")).status, 404);
}

#[test]
fn a_person_is_found_by_number_and_by_uuid() {
    let mut wire = Wire::start();
    let list = wire.get(&format!("{PERSONS}?limit=1&offset=7")).json();
    let (listed, uuid) = (&list["results"][0], list["results"][0]["uuid"].as_str().unwrap());
    let person = wire.get(&format!("{PERSONS}{uuid}")).json();
    assert_eq!((&person["uuid"], &person["properties"]), (&listed["uuid"], &listed["properties"]));
    assert!(person["id"].is_u64() && person.get("type").is_none());
    for key in [uuid.to_uppercase(), uuid.replace('-', ""), person["id"].to_string()] {
        assert_eq!(wire.get(&format!("{PERSONS}{key}/")).json(), person, "{key}");
    }
    let refused = wire.get(&format!("{PERSONS}did-7/"));
    assert_eq!(refused.status, 400);
    assert!(refused.detail().ends_with("use /persons?distinct_id=did-7 instead."));
}

#[test]
fn a_key_is_read_in_the_places_where_the_server_reads_it() {
    let mut wire = Wire::start();
    let me = "/api/users/@me/";
    let in_body = |key: &str| json!({"personal_api_key": key}).to_string();
    let wrong = "Authorization: Bearer phx_nope";
    assert_eq!(wire.send("GET", me, &[], &in_body(KEY)).status, 200);
    assert_eq!(
        wire.send("GET", me, &[wrong], &in_body(KEY)).status,
        401,
        "the first alone is tried"
    );
    let got = wire.send("GET", &format!("{me}?personal_api_key={KEY}"), &[], &in_body("phx_nope"));
    assert_eq!(
        (got.status, &got.detail()[..]),
        (401, "Personal API key found in request body is invalid.")
    );
    let got = wire.send("GET", &format!("{me}?personal_api_key=phx_nope"), &[], "");
    assert_eq!(got.detail(), "Personal API key found in request query string is invalid.");
    assert_eq!(wire.send("GET", "/api/projects/1/actions/", &[wrong], "").status, 403);
    assert_eq!(wire.send("GET", "/api/nosuch/", &[], "").status, 404, "no key is asked for");
    let keyed = json!({"name": "Flow 2", "personal_api_key": KEY}).to_string();
    let patched = wire.send("PATCH", "/api/projects/1/cohorts/7/", &[], &keyed);
    assert_eq!(patched.body, body("flow_cohorts_patch"));
    let other = wire.ask("PATCH", "/api/projects/1/cohorts/7/", "{\"name\": \"Else\"}");
    assert_eq!(other.status, 404, "a write that was not recorded");
}

/// A statement that the stand-in knows, and the number of its rows.
const PURCHASES: &str =
    "SELECT event, count() AS n FROM events WHERE event = {event} GROUP BY event LIMIT 10";

#[test]
fn a_known_statement_is_answered_and_any_other_is_refused() {
    let mut wire = Wire::start();
    let rows = |got: Got| got.json()["results"].clone();
    let values = json!({"values": {"event": "purchase"}});
    assert_eq!(rows(wire.query(PURCHASES, values)), json!([["purchase", 216]]));
    assert_eq!(rows(wire.query(PURCHASES, json!({"values": {"event": "nope"}}))), json!([]));
    let cut = wire.query("SELECT event, timestamp FROM events", json!({})).json();
    assert_eq!(cut["results"].as_array().unwrap().len(), 100);
    assert_eq!((&cut["hasMore"], &cut["limit"]), (&json!(true), &json!(100)));
    assert!(cut["hogql"].as_str().unwrap().contains("LIMIT 101"), "{cut}");
    let unknown = wire.query("select id from elsewhere", json!({}));
    assert_eq!((unknown.status, &unknown.json()["type"]), (400, &json!("validation_error")));
}

#[test]
fn all_persons_are_scanned_in_the_order_of_clickhouse() {
    let mut wire = Wire::start();
    let ids = |wire: &mut Wire, more: &str, values: Value| {
        let sql = format!("SELECT * FROM (SELECT id, created_at FROM persons\n) {more}");
        let page = wire.query(&sql, json!({ "values": values })).json();
        let rows = page["results"].as_array().unwrap().clone();
        rows.into_iter().map(|row| row[0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let order = "ORDER BY `id` LIMIT 100 WITH TIES";
    let mut found = ids(&mut wire, order, json!({}));
    for rows in [100, 50, 0] {
        let after = format!("WHERE `id` > {{scan_after}} {order}");
        let page = ids(&mut wire, &after, json!({"scan_after": found.last()}));
        assert_eq!(page.len(), rows);
        found.extend(page);
    }
    let sorted: BTreeSet<_> = found.iter().collect();
    assert_eq!(sorted.len(), 250);
    assert!(!sorted.into_iter().eq(&found), "ClickHouse does not sort UUIDs as text");
}

#[test]
fn a_row_of_a_recorded_list_is_found_by_its_id() {
    let mut wire = Wire::start();
    let list = wire.get("/api/projects/1/cohorts/").json();
    assert_eq!(wire.get("/api/projects/1/cohorts/2/").json(), list["results"][1]);
    assert_eq!(wire.get("/api/projects/1/cohorts/999/").status, 404);
    let key = wire.get("/api/personal_api_keys/@current/");
    assert_eq!(key.body, recordings::one("2026", "key_current_all").body);
}

#[test]
fn a_cancelled_query_is_a_500_without_a_message() {
    let mut wire = Wire::start();
    let started = wire.query(PURCHASES, json!({"refresh": "force_async"})).json();
    let at = format!("/api/projects/1/query/{}/", started["query_status"]["id"].as_str().unwrap());
    assert_eq!(wire.ask("DELETE", &at, "").status, 200);
    let got = wire.get(&at);
    assert_eq!((got.status, &got.json()["query_status"]["error_message"]), (500, &Value::Null));
}

#[test]
fn a_query_in_the_background_is_polled() {
    let mut wire = Wire::start();
    let mut start = |sql: &str| {
        let got = wire.query(sql, json!({"refresh": "async"}));
        let status = &got.json()["query_status"];
        assert_eq!((got.status, &status["complete"]), (202, &json!(false)));
        format!("/api/projects/1/query/{}/", status["id"].as_str().unwrap())
    };
    // The placeholder of the second one has no value.
    let good = start("SELECT event, timestamp FROM events");
    let bad = start(PURCHASES);
    assert_eq!((wire.get(&good).status, wire.get(&bad).status), (202, 202));
    let (good, bad) = ((wire.get(&good), good), wire.get(&bad));
    assert_eq!(good.0.status, 200);
    let results = &good.0.json()["query_status"]["results"]["results"];
    assert_eq!(results.as_array().map(Vec::len), Some(100));
    assert_eq!((bad.status, &bad.json()["query_status"]["error"]), (400, &json!(true)));
    assert_eq!(wire.ask("DELETE", &good.1, "").json()["message"], "Query already complete");
    assert_eq!(wire.get(&good.1).status, 200);
    assert_eq!(wire.get("/api/projects/1/query/nope/").status, 404);
}

#[test]
fn a_replay_gives_its_answers_to_the_byte_in_order() {
    let recordings = [
        recordings::one("2022", "persons_walk_1"),
        recordings::one("2023", "gzip_persons"),
        recordings::one("2026", "throttled_query_429"),
    ];
    let replay = Replay::recorded(&recordings);
    for recorded in recordings {
        let mut wire = Wire::to(&replay.url());
        let got = wire.send("PUT", "/whatever?a=%41&b=+", &["X-One: two"], "body");
        assert_eq!((got.status, &got.raw), (recorded.status, &*recorded.raw));
    }
    let requests = replay.requests();
    let first = &requests[0];
    assert_eq!(
        (first.method.as_str(), first.path(), &first.body[..]),
        ("PUT", "/whatever", &b"body"[..])
    );
    assert_eq!(first.header("x-one"), Some("two"));
    assert_eq!((first.param("a"), first.param("b")), (Some("A".into()), Some(" ".into())));
    assert_eq!(Wire::to(&replay.url()).get("/").status, 500, "no answer is left");
}

#[test]
fn it_serves_many_connections_and_stops_when_dropped() {
    let standin = StandIn::start();
    let mut wires: Vec<Wire> = (0..8).map(|_| Wire::to(&standin.url())).collect();
    for wire in &mut wires {
        assert_eq!(
            (wire.get("/api/projects").status, wire.get("/api/projects").status),
            (200, 200)
        );
    }
    assert_eq!((standin.connections(), standin.requests().len()), (8, 16));
    // More than a process may have open, where the limit is the usual 1,024.
    for _ in 0..1500 {
        assert_eq!(Wire::to(&standin.url()).get("/api/nosuch").status, 404);
    }
    let url = standin.url();
    drop(standin);
    assert!(TcpStream::connect(url.trim_start_matches("http://")).is_err());
    assert_eq!(wires[0].stream.read(&mut [0]).unwrap(), 0, "open connections end too");
}
