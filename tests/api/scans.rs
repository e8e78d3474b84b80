//! Proves that a scan gives every row once, each page after the last key of the one before.
use crate::standin::{self, StandIn, recordings};
use crate::support::{Request, Server, agent, client};
use crate::wire::{refused, whole, whole_of};
use posthog_api::{Client, Error, Project, Refresh};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The stand-in accepts only its own key.
fn standin_project(standin: &StandIn) -> Project {
    let client = Client::builder(standin::KEY).host(standin.url()).agent(agent());
    client.build().unwrap().project(1)
}

#[test]
fn a_scan_requests_each_page_after_the_last_key() {
    let sql = "select id, n from t where a = {a} -- all of them";
    let pages = [
        json!([["k1", 1], ["k2", 2]]),
        // A page can be short, or longer where keys are equal.
        json!([["k3", 3]]),
        json!([["k4", 4], ["k5", 5], ["k5", 6]]),
        json!([]),
    ];
    let answers: Vec<Value> = pages
        .iter()
        .map(|rows| json!({
                "columns": ["id", "n"], "types": [["id", "String"], ["n", "Int64"]], "results": rows,
            }))
        .collect();
    let script = Server::answers(&answers);
    let query =
        client(&script).project(1).hogql(sql).value("a", "x").refresh(Refresh::ForceBlocking);
    let mut scan = query.scan("id").page_size(2).into_iter();
    let found: Vec<u64> = scan.by_ref().map(|row| row.unwrap()["n"].as_u64().unwrap()).collect();
    assert_eq!(found, [1, 2, 3, 4, 5, 6]);
    assert!(scan.next().is_none() && scan.next().is_none());
    let page = |after: Option<&str>| {
        let (only, values) = match after {
            Some(key) => (" WHERE `id` > {scan_after}", json!({"a": "x", "scan_after": key})),
            None => ("", json!({"a": "x"})),
        };
        let sql = format!("SELECT * FROM ({sql}\n){only} ORDER BY `id` LIMIT 2 WITH TIES");
        json!({"query": {"kind": "HogQLQuery", "query": sql, "values": values}, "refresh": "force_blocking"})
    };
    let asked: Vec<Value> = script.all_requests().iter().map(Request::json).collect();
    assert_eq!(asked, [page(None), page(Some("k2")), page(Some("k3")), page(Some("k5"))]);
    for request in script.all_requests() {
        let text = String::from_utf8(request.body.clone()).unwrap();
        assert_eq!(whole_of(&request), whole("POST", "/api/projects/1/query/", true, &text));
    }
    // The default page size.
    let script = Server::answers(&[json!({"columns": ["n"], "results": []})]);
    assert!(
        client(&script).project(1).hogql("select n from t").scan("n").into_iter().next().is_none()
    );
    assert_eq!(
        script.all_requests()[0].json(),
        json!({"query": {"kind": "HogQLQuery", "query": "SELECT * FROM (select n from t\n) ORDER BY `n` LIMIT 10000 WITH TIES"}, "refresh": "force_blocking"})
    );
}

#[test]
fn the_keys_of_a_scan_are_sent_back_unchanged() {
    for (first, second) in
        [(json!(1), json!(u64::MAX)), (json!(-5), json!(2.5)), (json!("a'b\\"), json!("é"))]
    {
        let types = json!([["weird key", "UInt64"]]);
        let page =
            |key: &Value| json!({"columns": ["weird key"], "types": types, "results": [[key]]});
        let script = Server::answers(&[
            page(&first),
            page(&second),
            json!({"columns": ["weird key"], "types": types, "results": []}),
        ]);
        let rows: Vec<Map<String, Value>> = client(&script)
            .project(1)
            .hogql("select 1")
            .scan("weird key")
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows.len(), 2);
        let asked = script.all_requests();
        assert_eq!(asked[1].json()["query"]["values"]["scan_after"], first);
        assert_eq!(asked[2].json()["query"]["values"]["scan_after"], second);
        let sql = asked[1].json()["query"]["query"].as_str().unwrap().to_owned();
        assert!(
            sql.contains(") WHERE `weird key` > {scan_after} ORDER BY `weird key` LIMIT"),
            "{sql}"
        );
    }
}

#[test]
fn a_scan_gives_each_person_once_with_any_page_size() {
    let standin = StandIn::start();
    let project = standin_project(&standin);
    let mut everybody: Vec<String> = Vec::new();
    for name in ["persons_walk", "persons_walk__p2", "persons_walk__p3"] {
        let page: Value = serde_json::from_slice(&recordings::one("2023", name).body).unwrap();
        everybody.extend(
            page["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| p["id"].as_str().unwrap().to_owned()),
        );
    }
    everybody.sort();
    assert_eq!(everybody.len(), 250);
    for (size, requests) in
        [(Some(7), 36), (Some(100), 3), (Some(250), 2), (Some(10_000), 1), (None, 1)]
    {
        let scan = project.hogql("select id, created_at from persons").scan("id");
        let scan = match size {
            Some(size) => scan.page_size(size),
            None => scan,
        };
        let rows: Vec<Map<String, Value>> = scan.into_iter().map(Result::unwrap).collect();
        let mut ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, everybody, "{size:?}");
        assert!(rows.iter().all(|row| row.len() == 2 && row["created_at"].is_string()));
        assert_eq!(standin.take_requests().len(), requests, "{size:?}");
    }
    // A new scan continues after the last row of an earlier one.
    let begin = || project.hogql("select id from persons").scan("id").page_size(40);
    let id =
        |row: Result<Map<String, Value>, Error>| row.unwrap()["id"].as_str().unwrap().to_owned();
    let whole: Vec<String> = begin().into_iter().map(id).collect();
    for left_at in [0, 39, 40, 111, 248, 249] {
        let head: Vec<String> = begin().into_iter().take(left_at + 1).map(id).collect();
        let tail: Vec<String> = begin().after(head.last().unwrap()).into_iter().map(id).collect();
        assert_eq!([head, tail].concat(), whole, "{left_at}");
    }
    standin.take_requests();
    begin().after(&whole[10]).into_iter().next().unwrap().unwrap();
    let first = serde_json::from_slice::<Value>(&standin.take_requests()[0].body).unwrap();
    assert_eq!(first["query"]["values"], json!({"scan_after": whole[10]}));
}

#[test]
fn rows_with_equal_keys_are_not_lost() {
    let standin = StandIn::start();
    let project = standin_project(&standin);
    // Many persons have the same name.
    let rows: Vec<Map<String, Value>> = project
        .hogql("select name, id from persons")
        .scan("name")
        .page_size(3)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let ids: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), ids.len()), (250, 250));
}

#[test]
fn a_scan_that_cannot_be_paged_is_refused_before_anything_is_sent() {
    let script = Server::script([]);
    let project = client(&script).project(1);
    let scan = |sql: &str| project.hogql(sql).scan("id");
    for (scan, why) in [
        (scan("select id from t;"), ";"),
        (scan("select id from t; drop"), ";"),
        (scan("select id from t) union all (select 1"), "close"),
        (scan("select (id from t"), "close"),
        (scan("select id from t) --"), "close"),
        (scan("select 'a from t"), "close"),
        (scan("select id from t /* x"), "close"),
        (scan("select id from t where id > {scan_after}"), "scan_"),
        (scan(""), "empty"),
        (project.hogql("select 1").scan(""), "column"),
        (project.hogql("select 1").scan("a`b"), "column"),
        (project.hogql("select 1").scan("a\\"), "column"),
        (project.hogql("select 1").scan("a` OR 1 --"), "column"),
        (project.hogql("select 1").scan("a\nb"), "column"),
        (project.query(json!({"kind": "EventsQuery"})).scan("id"), "HogQL"),
        (scan("select id from t").page_size(0), "page"),
        (scan("select id from t").after(json!(null)), "key"),
        (scan("select id from t").after([1]), "key"),
        (scan("select id from t").after(true), "key"),
        (scan("select id from t").after(f64::NAN), "key"),
    ] {
        let mut scan = scan.into_iter();
        let error = refused(scan.next().unwrap());
        assert!(error.contains(why), "{why}: {error}");
        assert!(scan.next().is_none() && scan.next().is_none(), "{why}");
    }
    assert_eq!(script.count(), 0);
}

#[test]
fn the_first_page_shows_what_a_scan_cannot_wrap_before_a_row_is_returned() {
    let page = |inner: &str| {
        let hogql =
            format!("SELECT\n    *\nFROM\n    ({inner})\nORDER BY\n    id ASC\nLIMIT 10000");
        json!({"columns": ["id"], "types": [["id", "UInt64"]], "results": [[1]], "hogql": hogql})
    };
    for (inner, why) in [
        ("SELECT id FROM t ORDER BY id ASC", "an ORDER BY"),
        ("SELECT id FROM t LIMIT 5", "a LIMIT"),
        ("SELECT id FROM t OFFSET 5", "an OFFSET"),
        ("SELECT id FROM t LIMIT 5 UNION ALL SELECT id FROM u", "a LIMIT"),
        ("SELECT id FROM t UNION ALL SELECT id FROM u ORDER BY id ASC", "an ORDER BY"),
    ] {
        let polled = json!({"query_status": {"id": "q", "complete": true, "results": page(inner)}});
        for answer in [page(inner), polled] {
            let script = Server::answers(&[answer]);
            let mut scan = client(&script).project(1).hogql("select id").scan("id").into_iter();
            let error = refused(scan.next().unwrap());
            assert!(error.contains(why), "{inner}: {error}");
            assert!(scan.next().is_none());
            assert_eq!(script.count(), 1);
        }
    }
    for inner in ["SELECT id, t.LIMIT FROM t LIMIT 1  BY id", "SELECT id FROM (SELECT 1 LIMIT 5)"] {
        let script = Server::answers(&[page(inner)]);
        let scan = client(&script).project(1).hogql("select id").scan("id");
        assert_eq!(scan.into_iter().map(Result::unwrap).count(), 1, "{inner}");
    }
}

#[test]
fn a_scan_sends_sql_that_only_looks_as_if_it_had_an_order_or_a_limit() {
    for sql in [
        "select id, 'order by limit' from t",
        "select id from (select id from t order by id limit 5)",
        "select id, properties.$limit, properties.offset from t",
        "select id, limit from t where limit > 5",
        "select id, t.limit, t.order from t -- x\n",
        "select `order`, id, \"limit\" from t -- limit 5",
        "select id from t limit 1 by id",
        "select id, row_number() over (order by id) from t",
        "select id from t /* offset */ where a = {a}",
    ] {
        let script = Server::answers(&[json!({"columns": ["id"], "results": []})]);
        assert!(
            client(&script).project(1).hogql(sql).scan("id").into_iter().next().is_none(),
            "{sql}"
        );
        script.all_requests();
    }
}
