//! Proves that a query goes out whole, that bad ones are refused, and that rows which are cut are an error.
use crate::support::expect::cut_short;
use crate::support::{Server, client, error_in};
use crate::wire::{refused, sent, whole};
use posthog_api::{Client, Query, Refresh, rows};
use serde_json::{Value, json};

fn table(columns: &[&str], rows: &Value) -> Value {
    json!({"columns": columns, "results": rows, "types": [], "hasMore": false})
}

#[test]
fn a_query_goes_out_whole() {
    type Make = fn(&Client) -> Query;
    let cases: Vec<(Make, &str)> = vec![
        (
            |c| c.project(1).hogql("select 1"),
            r#"{"query":{"kind":"HogQLQuery","query":"select 1"}}"#,
        ),
        (
            |c| c.project(1).hogql("select 'é' where a = {a}").value("a", "x' OR 1=1 --"),
            r#"{"query":{"kind":"HogQLQuery","query":"select 'é' where a = {a}","values":{"a":"x' OR 1=1 --"}}}"#,
        ),
        (
            |c| {
                let query = c.project(1).hogql("select {n}, { list }, {none}, {n}, {o}");
                query
                    .value("n", u64::MAX)
                    .value("list", ["a", "b"])
                    .value("none", None::<u8>)
                    .value("o", 1.5)
            },
            r#"{"query":{"kind":"HogQLQuery","query":"select {n}, { list }, {none}, {n}, {o}","values":{"list":["a","b"],"n":18446744073709551615,"none":null,"o":1.5}}}"#,
        ),
        (
            |c| c.project(1).hogql("select 1").refresh(Refresh::ForceBlocking),
            r#"{"query":{"kind":"HogQLQuery","query":"select 1"},"refresh":"force_blocking"}"#,
        ),
        (
            |c| {
                c.project(1)
                    .query(json!({"kind": "EventsQuery", "select": ["*"], "limit": 3}))
                    .refresh(Refresh::ForceCache)
            },
            r#"{"query":{"kind":"EventsQuery","limit":3,"select":["*"]},"refresh":"force_cache"}"#,
        ),
        (
            |c| {
                c.project(1)
                    .query(json!({"kind": "HogQLQuery", "query": "select {x}"}))
                    .value("x", true)
                    .refresh(Refresh::Blocking)
            },
            r#"{"query":{"kind":"HogQLQuery","query":"select {x}","values":{"x":true}},"refresh":"blocking"}"#,
        ),
        (
            |c| {
                c.project(1).query(json!({"kind": "HogQLQuery", "query": "select {x}, {y}", "values": {"y": 2}})).value("x", 1)
            },
            r#"{"query":{"kind":"HogQLQuery","query":"select {x}, {y}","values":{"x":1,"y":2}}}"#,
        ),
    ];
    for (make, body) in cases {
        let answer = table(&["a"], &json!([[1]]));
        let script = Server::answers(std::slice::from_ref(&answer));
        assert_eq!(make(&client(&script)).send().unwrap(), answer);
        assert_eq!(sent(&script), whole("POST", "/api/projects/1/query/", true, body));
        let script = Server::answers(std::slice::from_ref(&answer));
        assert_eq!(json!(make(&client(&script)).rows().unwrap()), json!([{"a": 1}]));
        assert_eq!(sent(&script), whole("POST", "/api/projects/1/query/", true, body));
    }
    for (refresh, name) in [
        (Refresh::ForceCache, "force_cache"),
        (Refresh::Blocking, "blocking"),
        (Refresh::ForceBlocking, "force_blocking"),
        (Refresh::Async, "async"),
        (Refresh::LazyAsync, "lazy_async"),
        (Refresh::ForceAsync, "force_async"),
    ] {
        let script = Server::answers(&[json!({})]);
        client(&script).project(1).hogql("select 1").refresh(refresh).send().unwrap();
        let body: Value = serde_json::from_slice(&script.all_requests()[0].body).unwrap();
        assert_eq!(body["refresh"], name);
    }
}

#[test]
fn a_query_that_cannot_be_right_is_refused() {
    let script = Server::script([]);
    let project = client(&script).project(1);
    let hogql = |sql: &str| project.hogql(sql);
    let no_json = std::collections::BTreeMap::from([(vec![1], 2)]);
    for (query, why) in [
        (hogql(""), "empty"),
        (hogql(" \n"), "empty"),
        (hogql("select 1").value("a", 1), "{a}"),
        (hogql("select a").value("a", 1), "{a}"),
        (hogql("select {ab}").value("a", 1), "{a}"),
        (hogql("select {a").value("a", 1), "{a}"),
        (hogql("select {a}").value("", 1), "{}"),
        (hogql("select {a}").value("a", 1).value("a", 2), "twice"),
        (hogql("select {a}, {b}").value("a", 1).value("b", 2).value("a", 1), "twice"),
        (hogql("select {a}").value("a", &no_json), "key must be a string"),
        (project.query(json!({"kind": "EventsQuery"})).value("a", 1), "HogQL"),
        (project.query(json!([1])), "object"),
        (project.query("select 1"), "object"),
        (project.query(()), "object"),
        (project.query(&no_json), "key must be a string"),
    ] {
        for error in [
            refused(query.clone().send()),
            refused(query.clone().rows()),
            refused(query.clone().background().send()),
            refused(query.scan("a").next().unwrap()),
        ] {
            assert!(error.contains(why), "{why}: {error}");
        }
    }
    assert_eq!(script.count(), 0);
}

#[test]
fn columns_of_one_name_do_not_swallow_each_other() {
    let answer =
        table(&["a", "a", "a_2", "b", "a"], &json!([[1, 2, 3, 4, 5], [null, "x", [], {}, 1.5]]));
    let script = Server::answers(&[answer]);
    let rows = client(&script).project(1).hogql("select 1").rows().unwrap();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row.len(), 5, "{row:?}");
    }
    let mut cells: Vec<u64> = rows[0].values().filter_map(Value::as_u64).collect();
    cells.sort_unstable();
    assert_eq!(cells, [1, 2, 3, 4, 5]);
    assert_eq!((&rows[0]["a"], &rows[0]["b"]), (&json!(1), &json!(4)));
}

#[test]
fn a_column_keeps_the_name_that_the_server_gave_it() {
    for (columns, name, at) in [
        (vec!["a", "a", "a_2"], "a_2", 2),
        (vec!["a_2", "a", "a"], "a_2", 0),
        (vec!["a", "a", "a", "a_3"], "a_3", 3),
    ] {
        let row: Vec<usize> = (0..columns.len()).collect();
        let script = Server::answers(&[table(&columns, &json!([row]))]);
        let rows = client(&script).project(1).hogql("select 1").rows().unwrap();
        assert_eq!(rows[0].len(), columns.len(), "{columns:?}");
        assert_eq!(rows[0][name], json!(at), "{columns:?}: {:?}", rows[0]);
    }
}

#[test]
fn an_answer_that_is_cut_or_may_be_is_an_error_of_rows_alone() {
    let plain = "select n from t";
    for (n, more, sql, cut) in [
        (3, json!({"hasMore": true}), plain, true),
        (100, json!({"hasMore": false}), plain, false),
        // The server puts a LIMIT on, and says so only in the statement that it writes back.
        (100, json!({"hogql": "SELECT n FROM t LIMIT 100"}), plain, true),
        (99, json!({"hogql": "SELECT n FROM t LIMIT 100"}), plain, false),
        (100, json!({"hasMore": null, "hogql": "SELECT n FROM t LIMIT 100"}), plain, true),
        (101, json!({"hasMore": null, "hogql": "SELECT n FROM t LIMIT 101"}), plain, true),
        (100, json!({}), plain, true),
        (99, json!({}), plain, false),
        (100, json!({"hogql": "SELECT n FROM t LIMIT 100"}), "select n from t limit 100", false),
        (5, json!({"hogql": "SELECT n FROM t LIMIT 5"}), "select n from t LIMIT 5", false),
        (
            5,
            json!({"hogql": "SELECT n FROM t LIMIT 5 OFFSET 3"}),
            "select n from t limit 3, 5",
            false,
        ),
        // More was wanted than a server gives.
        (
            10_000,
            json!({"hogql": "SELECT n FROM t LIMIT 10000"}),
            "select n from t limit 20000",
            true,
        ),
        (
            10_000,
            json!({"hogql": "SELECT n FROM t LIMIT 10000"}),
            "select n from t limit 10000",
            false,
        ),
        (
            9_999,
            json!({"hogql": "SELECT n FROM t LIMIT 10000"}),
            "select n from t limit 20000",
            false,
        ),
        (50_000, json!({"hasMore": null}), "select n from t limit 60000", true),
        // A LIMIT of something else is none of the statement's.
        (100, json!({}), "select n from (select n from t limit 5000)", true),
        (100, json!({}), "select 'limit 5000' from t -- limit 6000", true),
        (100, json!({}), "select n from t limit 1 by n", true),
    ] {
        assert_cut(n, &more, sql, cut);
    }
    let answer = |n| json!({"columns": ["n"], "results": many(n)});
    assert!(rows(&answer(100)).is_err());
    assert!(rows(&answer(99)).is_ok());
}

/// Each SELECT of a UNION gets a LIMIT of its own where it says none.
#[test]
fn an_answer_to_a_union_may_be_cut_in_each_of_its_parts() {
    for (n, more, sql, cut) in [
        (100, json!({}), "select n from t union all select n from u", true),
        (
            150,
            json!({"hogql": "SELECT n FROM t LIMIT 100 UNION ALL SELECT n FROM u LIMIT 100"}),
            "select n from t union all select n from u",
            true,
        ),
        (
            110,
            json!({"hogql": "SELECT n FROM t LIMIT 100 UNION ALL SELECT n FROM u LIMIT 5000"}),
            "select n from t union all select n from u limit 5000",
            true,
        ),
        (99, json!({}), "select n from t union all select n from u", false),
        (
            150,
            json!({"hogql": "SELECT n FROM t LIMIT 500 UNION ALL SELECT n FROM u LIMIT 500"}),
            "select n from t limit 500 union all select n from u limit 500",
            false,
        ),
        (110, json!({}), "select n from t limit 500 union all select n from u", true),
        (
            110,
            json!({}),
            "select n from t limit 9 union all select n from u limit 9 except select n from v",
            true,
        ),
    ] {
        assert_cut(n, &more, sql, cut);
    }
}

#[test]
fn parentheses_around_a_statement_are_no_limit() {
    for (n, more, sql, cut) in [
        (150, json!({}), "(select n from t) union all (select n from u)", true),
        (
            150,
            json!({}),
            "(select n from t limit 500) union all (select n from u limit 500)",
            false,
        ),
        (100, json!({"hogql": "SELECT n FROM t LIMIT 100"}), "(select n from t)", true),
        (100, json!({"hogql": "SELECT n FROM t LIMIT 500"}), "(select n from t limit 500)", false),
    ] {
        assert_cut(n, &more, sql, cut);
    }
}

fn many(n: u64) -> Value {
    (0..n).map(|i| json!([i])).collect()
}

/// Whether `rows` refuses an answer of `n` rows to `sql`, in which `more` stands besides.
fn assert_cut(n: u64, more: &Value, sql: &str, cut: bool) {
    let mut answer = json!({"columns": ["n"], "results": many(n), "types": [["n", "UInt64"]]});
    let fields = answer.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let what = format!("{n} rows of {sql:?}, {more}");
    let script = Server::answers(&[answer.clone(), answer.clone()]);
    let project = client(&script).project(1);
    let rows = project.hogql(sql).rows();
    if cut {
        cut_short(&error_in(&what, rows.map(|rows| rows.len())));
    } else {
        assert_eq!(rows.unwrap().len() as u64, n, "{what}");
    }
    // What came is there for whoever asks for it as it is.
    assert_eq!(project.hogql(sql).send().unwrap(), answer, "{what}");
}
