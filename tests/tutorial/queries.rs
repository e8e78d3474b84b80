//! Proves steps 7 and 8: HogQL, and any other route.

use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::standin::{StandIn, client};
use crate::{all_sent, get, one_sent, post, recorded};

#[test]
fn hogql_returns_rows_by_column_name() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let sql =
        "SELECT event, count() AS n FROM events WHERE event = {event} GROUP BY event LIMIT 10";
    let rows = project.hogql(sql).value("event", "purchase").rows().unwrap();
    assert_eq!(json!(rows), json!([{"event": "purchase", "n": 216}]));
    let body = json!({
        "query": {"kind": "HogQLQuery", "query": sql, "values": {"event": "purchase"}}
    });
    assert_eq!(one_sent(&standin), post("/api/projects/1/query/", &body.to_string()));
}

#[test]
fn a_query_in_the_background_returns_the_same_rows() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let sql = "SELECT event, count() AS n FROM events GROUP BY event ORDER BY n DESC LIMIT 2";
    let rows = project.hogql(sql).background().rows().unwrap();
    assert_eq!(
        json!(rows),
        json!([{"event": "$pageview", "n": 1183}, {"event": "watched movie", "n": 297}])
    );
    let requests = standin.take_requests();
    let calls: Vec<&str> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(calls, ["POST", "GET", "GET"]);
}

#[test]
fn a_scan_returns_every_row_of_a_statement_once() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let scan = project.hogql("SELECT id, created_at FROM persons").scan("id").page_size(60);
    let rows: Vec<_> = scan.into_iter().map(|row| row.unwrap()["id"].to_string()).collect();
    let persons = project.persons().all().unwrap();
    let mut ids: Vec<String> = persons.iter().map(|person| person["id"].to_string()).collect();
    let mut found = rows.clone();
    found.sort();
    ids.sort();
    assert_eq!(found, ids);
}

#[test]
fn every_event_comes_once_in_order_of_timestamp_and_uuid() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let events = project.events().after("2026-10-01").before("2026-12-01").into_iter();
    let events: Vec<Value> = events.map(|event| Value::from(event.unwrap())).collect();
    let uuids: BTreeSet<&str> =
        events.iter().map(|event| event["uuid"].as_str().unwrap()).collect();
    assert_eq!((events.len(), uuids.len()), (2000, 2000));
    let times: Vec<&str> = events.iter().map(|e| e["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted());
    assert!(times.windows(2).any(|two| two[0] == two[1]), "no two events at the same time");
}

#[test]
fn any_route_is_called_by_its_path() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let cohorts = recorded("list_cohorts");
    assert_eq!(project.get("cohorts/2/").send().unwrap(), cohorts["results"][1]);
    assert_eq!(one_sent(&standin), get("/api/projects/1/cohorts/2/"));

    let flags = project.list("feature_flags").page_size(2).all().unwrap();
    assert_eq!(json!(flags), recorded("list_feature_flags")["results"]);
    let path = "/api/projects/1/feature_flags/?limit=2";
    assert_eq!(
        all_sent(&standin),
        [get(path), get(&format!("{path}&offset=2")), get(&format!("{path}&offset=4"))]
    );

    let created: Value = project.post("cohorts/").json(flow_cohort()).send().unwrap();
    assert_eq!(created, recorded("flow_cohorts_create"));
    assert_eq!(one_sent(&standin), post("/api/projects/1/cohorts/", &flow_cohort().to_string()));
}

/// The body of the recorded request.
fn flow_cohort() -> Value {
    let recorded = crate::recordings::one("2023", "flow_cohorts_create");
    serde_json::from_str(recorded.request_body.as_deref().unwrap()).unwrap()
}
