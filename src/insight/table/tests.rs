use super::*;
use serde_json::json;

fn hogql(sql: &str) -> Value {
    json!({"kind": "HogQLQuery", "query": sql})
}

#[test]
fn rows_are_found_wherever_they_are() {
    let expected = vec![Map::from_iter([
        ("a".into(), json!(1)),
        ("a_2".into(), json!("x")),
        ("b".into(), json!(null)),
    ])];
    let inner = json!({"columns": ["a", "a", "b"], "results": [[1, "x", null]], "types": []});
    for response in [
        inner.clone(),
        json!({"id": 1, "result": [[1, "x", null]], "columns": ["a", "a", "b"]}),
        json!({"id": 1, "result": inner.clone(), "columns": null}),
        json!({"complete": true, "results": inner.clone()}),
        json!({"query_status": {"complete": true, "results": inner}}),
    ] {
        assert_eq!(rows(&response).unwrap(), expected, "{response}");
        assert_eq!(rows_of(&response, None).unwrap(), expected, "{response}");
        let table = table(&response).unwrap();
        assert_eq!(table.columns, ["a", "a", "b"]);
        assert_eq!(table.rows, [[json!(1), json!("x"), json!(null)]]);
        assert_eq!(page_of(&mut response.clone()).unwrap(), expected);
    }
}

#[test]
fn a_name_that_occurs_again_gets_a_number() {
    for (columns, expected) in [
        (vec!["a", "a", "a"], vec!["a", "a_2", "a_3"]),
        (vec!["a", "a", "a_2"], vec!["a", "a_3", "a_2"]),
        (vec!["a_2", "a", "a", "a_2"], vec!["a_2", "a", "a_3", "a_2_2"]),
        (vec!["", ""], vec!["", "_2"]),
    ] {
        let columns: Vec<String> = columns.into_iter().map(str::to_owned).collect();
        assert_eq!(unique(&columns), expected);
    }
    let odd = json!({"columns": [1, null], "results": [[1, 2]]});
    assert_eq!(table(&odd).unwrap().columns, ["1", "null"]);
}

#[test]
fn an_answer_without_rows_says_why() {
    for (response, why) in [
        (json!({"columns": ["a"], "results": [[1], [1, 2]]}), "row 2 of the answer has 2 cells"),
        (json!({"columns": ["a"], "results": [{"a": 1}, 2]}), "has no rows with columns"),
        (json!({"id": 3, "result": [{"data": [1], "days": ["d"]}]}), "it is a line"),
        (json!({"id": 3, "result": []}), "it has no series"),
        (json!({"id": 3, "result": null}), "never computed"),
        (json!([]), "`basic`"),
    ] {
        for error in [
            rows(&response).map(|_| ()).unwrap_err(),
            table(&response).map(|_| ()).unwrap_err(),
            rows_of(&response, None).map(|_| ()).unwrap_err(),
            page_of(&mut response.clone()).map(|_| ()).unwrap_err(),
        ] {
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}

#[test]
fn a_query_that_runs_is_an_error_of_the_query() {
    let running = json!({"query_status": {"id": "q1", "complete": false, "error": false}});
    let error = rows_of(&running, Some(&hogql("select 1"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Running, "{error}");
    let error = rows(&running).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Running, "{error}");
}

#[test]
fn the_query_of_an_insight_says_what_it_asks_for() {
    let insight = |rows: usize, more: Value, source: Value| {
        json!({"id": 7, "columns": ["a"], "result": vec![json!([1]); rows], "hasMore": more,
            "query": {"kind": "DataTableNode", "source": source}})
    };
    let sql = |sql: &str| json!({"kind": "HogQLQuery", "query": sql});
    let events = |limit: Value| json!({"kind": "EventsQuery", "limit": limit});
    let actors = json!({"kind": "ActorsQuery", "limit": 5,
        "source": {"kind": "InsightActorsQuery", "source": {"kind": "TrendsQuery"}}});
    for (insight, cut) in [
        (insight(100, json!(null), sql("select a from t")), true),
        (insight(99, json!(null), sql("select a from t")), false),
        (insight(100, json!(null), sql("select a from t limit 100")), false),
        (insight(5, json!(true), events(json!(5))), false),
        (insight(4, json!(true), events(json!(5))), true),
        (insight(100, json!(true), events(json!(null))), true),
        (insight(5, json!(true), actors), false),
    ] {
        let read = rows(&insight);
        assert_eq!(read.is_err(), cut, "{insight}");
        if let Err(error) = read {
            assert_eq!(error.kind(), ErrorKind::CutShort);
            assert!(error.to_string().contains("of insight 7"), "{error}");
        }
    }
    // Servers of 2023 put the whole answer of an EventsQuery into `result`.
    let old = json!({"id": 7, "result": {"columns": ["a"], "results": [[1], [2]], "hasMore": true},
        "query": {"kind": "DataTableNode", "source": events(json!(2))}});
    assert_eq!(rows(&old).unwrap().len(), 2);
}

#[test]
fn what_the_caller_asked_for_comes_first() {
    let answer =
        json!({"columns": ["a"], "results": vec![json!([1]); 100], "query": "select a from t"});
    assert_eq!(rows_of(&answer, None).unwrap_err().kind(), ErrorKind::CutShort);
    let limited = hogql("select a from t limit 100");
    assert!(rows_of(&answer, Some(&limited)).is_ok());
    assert!(table_of(&answer, Some(&limited)).is_ok());
    let node = json!({"kind": "DataVisualizationNode", "source": limited});
    assert!(table_of(&answer, Some(&node)).is_ok());
    let more = json!({"columns": ["a"], "results": [[1], [2]], "hasMore": true});
    let events = |limit: u64| json!({"kind": "EventsQuery", "limit": limit});
    assert!(rows_of(&more, Some(&events(2))).is_ok());
    assert_eq!(rows_of(&more, Some(&events(3))).unwrap_err().kind(), ErrorKind::CutShort);
    let node = json!({"kind": "DataTableNode", "source": events(2)});
    assert!(rows_of(&more, Some(&node)).is_ok());
    assert_eq!(page_of(&mut more.clone()).unwrap().len(), 2);
}

#[test]
fn rows_that_are_objects_are_returned_as_they_are() {
    let two = json!([{"id": "a", "n": 1}, {"id": "b"}]);
    let poll = json!({"columns": ["id", "n"], "results": two});
    for response in [
        json!({"columns": ["id", "n"], "results": two, "hasMore": false}),
        json!({"columns": ["id"], "results": two, "hasMore": true, "limit": 2}),
        json!({"results": two}),
        json!({"id": 7, "result": two, "columns": null, "hasMore": null}),
        json!({"id": 7, "result": two, "columns": ["id"], "hasMore": true,
            "query": {"kind": "DataTableNode", "source": {"kind": "TracesQuery", "limit": 2}}}),
        json!({"query_status": {"complete": true, "results": poll}}),
    ] {
        assert_eq!(json!(rows(&response).unwrap()), two, "{response}");
        let error = table(&response).unwrap_err().to_string();
        assert!(error.ends_with("its rows are objects: use insight::rows"), "{error}");
    }
    let cut = json!({"columns": ["id"], "results": two, "hasMore": true, "limit": 100});
    for error in [rows(&cut).unwrap_err(), crate::insight::read(&cut).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::CutShort, "{error}");
        assert!(error.to_string().ends_with("set `limit` and `offset` in the query"));
    }
    // What another reader reads is no list of rows.
    let line = json!({"results": [{"data": [1], "days": ["d"]}]});
    assert!(rows(&line).unwrap_err().to_string().ends_with("use insight::series"));
}

#[test]
fn the_limit_that_the_server_put_on_is_found_where_the_rows_are() {
    let inner = json!({"columns": ["a"], "results": [], "hogql": "SELECT a FROM t LIMIT 101"});
    assert_eq!(limit_put_on(&inner), Some(101));
    assert_eq!(limit_put_on(&json!({"result": inner})), Some(101));
    assert_eq!(limit_put_on(&json!({"hogql": "SELECT 1 LIMIT 5"})), Some(5));
    assert_eq!(limit_put_on(&json!(5)), None);
}
