//! Proves that rows which the server cut, or may have cut, are an error, by each rule that says so.
use crate::support::{Server, client, error};
use crate::wire::refused;
use posthog_api::insight::{self, BREAKDOWN_OTHER, InsightResult};
use posthog_api::{Client, ErrorKind, Query};
use serde_json::{Map, Value, json};

type Make = fn(&Client) -> Query;

fn many(n: u64) -> Value {
    (0..n).map(|i| json!([i])).collect()
}

fn rows(make: Make, answer: &Value) -> posthog_api::Result<Vec<Map<String, Value>>> {
    let server = Server::answers(std::slice::from_ref(answer));
    make(&client(&server)).rows()
}

fn answer(n: u64, fields: &Value) -> Value {
    let mut answer = json!({"columns": ["n"], "results": many(n)});
    answer.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    answer
}

#[test]
fn each_rule_finds_the_rows_that_are_cut() {
    let plain: Make = |c| c.project(1).hogql("select n from t");
    let events: Make = |c| {
        c.project(1).query(json!({"kind": "DataTableNode",
            "source": {"kind": "EventsQuery", "after": "all", "limit": 5}}))
    };
    let cases: Vec<(Make, u64, Value, &str)> = vec![
        (plain, 2, json!({"hasMore": true}), "end the SQL with a LIMIT"),
        (events, 4, json!({"hasMore": true}), "set `limit` and `offset` in the query"),
        (plain, 100, json!({"hogql": "SELECT n FROM t LIMIT 100"}), "end the SQL with a LIMIT"),
        (
            |c| c.project(1).hogql("select n from t -- limit 100"),
            100,
            json!({"hogql": "SELECT n FROM t LIMIT 100"}),
            "end the SQL with a LIMIT",
        ),
        (
            |c| c.project(1).hogql("select n from t limit 60000"),
            50_000,
            json!({"hogql": "SELECT n FROM t LIMIT 50000"}),
            "a larger LIMIT has no effect",
        ),
        // Each part was cut at 100 before the whole was.
        (
            |c| {
                let sql = "(select 'total', 5) union all (select event, count() from t group by \
                           event) limit 500";
                c.project(1).hogql(sql)
            },
            101,
            json!({"hogql": "SELECT 'total', 5 LIMIT 100 UNION ALL SELECT event, count() FROM t \
                             GROUP BY event LIMIT 100 LIMIT 500"}),
            "end each SELECT with a LIMIT",
        ),
        (
            |c| c.project(1).hogql("select a, from t union all select b, from t"),
            200,
            json!({"hogql": "SELECT a FROM t LIMIT 100 UNION ALL SELECT b FROM t LIMIT 100"}),
            "end each SELECT with a LIMIT",
        ),
        (
            |c| {
                let sql = "(select a from t limit 60000) except (select b from t) limit 7";
                c.project(1).hogql(sql)
            },
            7,
            json!({"hogql": "SELECT a FROM t LIMIT 50000 EXCEPT SELECT b FROM t LIMIT 100 LIMIT 7"}),
            "end each SELECT with a LIMIT",
        ),
        (plain, 100, json!({}), "end the SQL with a LIMIT"),
        (
            |c| c.project(1).hogql("select a from t union all select b from t"),
            3,
            json!({}),
            "read all rows with Query::scan",
        ),
        (
            plain,
            100,
            json!({"endpoint_version": 1, "hasMore": false, "limit": 100}),
            "run the endpoint with a larger `limit`",
        ),
    ];
    for (make, n, fields, advice) in cases {
        let answer = answer(n, &fields);
        let error = error(rows(make, &answer));
        assert!((error.kind() == ErrorKind::CutShort), "{fields}: {error}");
        let text = error.to_string();
        assert!(text.contains(&format!("the {n} rows")) && text.contains(advice), "{text}");
        // `table` and `rows_as` have the same check; `send` returns the answer.
        let server = Server::answers(&vec![answer.clone(); 3]);
        let client = client(&server);
        assert!(make(&client).table().unwrap_err().kind() == ErrorKind::CutShort);
        assert!(make(&client).rows_as::<Value>().unwrap_err().kind() == ErrorKind::CutShort);
        assert_eq!(make(&client).send().unwrap(), answer);
    }
}

#[test]
fn rows_that_are_objects_are_returned_with_the_same_check() {
    let traces: Make = |c| c.project(1).query(json!({"kind": "TracesQuery", "limit": 2}));
    let objects = json!([{"id": "a", "events": [1]}, {"id": "b"}]);
    let page = |more: bool| json!({"columns": ["id", "events"], "results": objects, "hasMore": more, "limit": 2, "offset": 0});
    for more in [true, false] {
        assert_eq!(json!(rows(traces, &page(more)).unwrap()), objects);
        assert_eq!(json!(insight::rows(&page(more)).unwrap()), objects);
    }
    let server = Server::answers(&[page(true)]);
    let ids: Vec<Map<String, Value>> = traces(&client(&server)).rows_as().unwrap();
    assert_eq!(ids[1]["id"], "b");
    let errors: Make = |c| c.project(1).query(json!({"kind": "ErrorTrackingQuery"}));
    let error = error(rows(errors, &page(true)));
    assert!((error.kind() == ErrorKind::CutShort), "{error}");
    assert!(error.to_string().ends_with("set `limit` and `offset` in the query"), "{error}");
}

#[test]
fn an_answer_with_as_many_rows_as_its_query_asked_for_is_read() {
    let full = answer(5, &json!({"hasMore": true, "limit": 5, "offset": 0}));
    let Ok(InsightResult::Table(table)) = posthog_api::read(&full) else { panic!("{full}") };
    assert_eq!(table.rows.len(), 5);
    let default = answer(100, &json!({"hasMore": true, "limit": 100, "offset": 0}));
    assert!(posthog_api::read(&default).unwrap_err().kind() == ErrorKind::CutShort);
}

#[test]
fn a_trend_without_a_row_for_the_rest_of_its_breakdown_is_cut() {
    let total =
        |value: &Value| json!({"label": "a", "aggregated_value": 1, "breakdown_value": value});
    let line =
        |value: &Value| json!({"label": "a", "data": [1], "days": ["d"], "breakdown_value": value});
    let of = |more: bool, rows: &[Value]| json!({"id": 7, "result": rows, "hasMore": more});
    for (value, more, cut) in [
        (json!("Chrome"), true, true),
        (json!(["Chrome", "Mac"]), true, true),
        (json!("Chrome"), false, false),
        (json!(BREAKDOWN_OTHER), true, false),
        (json!([BREAKDOWN_OTHER, BREAKDOWN_OTHER]), true, false),
    ] {
        let totals = of(more, &[total(&json!("x")), total(&value)]);
        let lines = of(more, &[line(&json!("x")), line(&value)]);
        for error in [
            insight::totals(&totals).err(),
            insight::series(&lines).err(),
            posthog_api::read(&totals).err(),
            posthog_api::read(&lines).err(),
        ] {
            assert_eq!(error.is_some(), cut, "{value} {more}");
            assert!(error.is_none_or(
                |e| (e.kind() == ErrorKind::CutShort) && e.to_string().contains("insight 7")
            ));
        }
    }
}

#[test]
fn a_query_that_looks_at_one_day_only_is_refused_by_the_readers_of_its_rows() {
    let server = Server::script([]);
    let project = client(&server).project(1);
    for kind in ["EventsQuery", "SessionsQuery"] {
        for source in [json!({"kind": kind}), json!({"kind": kind, "after": null, "limit": 5})] {
            for query in [source.clone(), json!({"kind": "DataTableNode", "source": source})] {
                for result in [
                    project.query(&query).rows().map(drop),
                    project.query(&query).rows_as::<Value>().map(drop),
                    project.query(&query).table().map(drop),
                ] {
                    let why = refused(result);
                    assert!(why.contains("the last 24 hours only; set `after`"), "{why}");
                }
            }
        }
    }
    assert_eq!(server.count(), 0);
    let query = json!({"kind": "EventsQuery", "after": "all", "select": ["event"]});
    let server = Server::answers(&[answer(1, &json!({"hasMore": false}))]);
    assert_eq!(client(&server).project(1).query(query).rows().unwrap().len(), 1);
}
