//! Proves that a query is sent complete, that a bad one is refused, and that rows which may be cut
//! are an error.
use crate::support::expect::cut_short;
use crate::support::{Server, client, error_in};
use crate::wire::{refused, sent, whole};
use posthog_api::insight::rows;
use posthog_api::{Client, Query, Refresh};
use serde_json::{Value, json};

fn table(columns: &[&str], rows: &Value) -> Value {
    json!({"columns": columns, "results": rows, "types": [], "hasMore": false})
}

#[test]
fn a_query_is_sent_complete() {
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
                    .query(
                        json!({"kind": "EventsQuery", "select": ["*"], "after": "all", "limit": 3}),
                    )
                    .refresh(Refresh::ForceCache)
            },
            r#"{"query":{"after":"all","kind":"EventsQuery","limit":3,"select":["*"]},"refresh":"force_cache"}"#,
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
fn an_invalid_query_is_refused() {
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
            refused(query.scan("a").into_iter().next().unwrap()),
        ] {
            assert!(error.contains(why), "{why}: {error}");
        }
    }
    assert_eq!(script.count(), 0);
}

#[test]
fn columns_of_one_name_are_all_kept() {
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
fn a_unique_column_keeps_its_name() {
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
fn rows_that_are_or_may_be_cut_are_an_error_of_rows_only() {
    let plain = "select n from t";
    for (n, more, sql, cut) in [
        (3, json!({"hasMore": true}), plain, true),
        (100, json!({"hasMore": false}), plain, false),
        // The server adds a LIMIT, and shows it only in the `hogql` of its answer.
        (100, json!({"hogql": "SELECT n FROM t LIMIT 100"}), plain, true),
        (99, json!({"hogql": "SELECT n FROM t LIMIT 100"}), plain, false),
        (100, json!({"hasMore": null, "hogql": "SELECT n FROM t LIMIT 100"}), plain, true),
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
        // The query asks for more rows than a server returns.
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
        // A LIMIT of a subquery, in a string, in a comment, or of LIMIT BY does not count.
        (100, json!({}), "select n from (select n from t limit 5000)", true),
        (100, json!({}), "select 'limit 5000' from t -- limit 6000", true),
        (100, json!({}), "select n from t limit 1 by n", true),
        (100, json!({}), "select n from t limit (1) by n", true),
        (100, json!({}), "select n from t limit {k} by n", true),
        (100, json!({}), "select n from t limit 1, 2 by n", true),
        (100, json!({}), "select n from t // limit 5000", true),
        (100, json!({}), "select n from t // x\n limit 100", false),
        (100, json!({}), "select n from t -- x\r limit 100", true),
        // A column may be called limit.
        (100, json!({}), "select n from t where limit = 5000", true),
        (100, json!({}), "select n from t order by limit", true),
        (100, json!({}), "select n from t where limit in (5000, 6000)", true),
        (100, json!({}), "select n, properties.$limit from t", true),
    ] {
        assert_cut(n, &more, sql, cut);
    }
    let answer = |n| json!({"columns": ["n"], "results": many(n)});
    assert!(rows(&answer(100)).is_err());
    assert!(rows(&answer(99)).is_ok());
}

/// The server adds a LIMIT to each SELECT of a UNION that has none.
#[test]
fn each_part_of_a_union_may_be_cut() {
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
        (99, json!({}), "select n from t union all select n from u", true),
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
fn a_statement_in_parentheses_may_be_cut() {
    for (n, more, sql, cut) in [
        (150, json!({}), "(select n from t) union all (select n from u)", true),
        (
            150,
            json!({"hogql": "SELECT n FROM t LIMIT 500 UNION ALL SELECT n FROM u LIMIT 500"}),
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

/// Checks whether `rows` refuses an answer of `n` rows to `sql` that also has the members of
/// `more`.
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
    // `send` returns the answer as it is.
    assert_eq!(project.hogql(sql).send().unwrap(), answer, "{what}");
}
