use super::*;
use serde_json::json;

/// Whether an answer with these fields and this many rows counts as cut.
fn check(rows: &[(usize, Value, Option<&str>, bool)]) {
    for (n, fields, sql, expected) in rows {
        let query = sql.map(|sql| json!({"kind": "HogQLQuery", "query": sql}));
        let cut = cut(fields, *n, query.as_ref());
        assert_eq!(cut.is_some(), *expected, "{n} rows, {fields}, {sql:?}: {cut:?}");
    }
}

fn ran(hogql: &str) -> Value {
    json!({"hogql": hogql})
}

/// A LIMIT of the SQL: the server says so.
fn ran_limited(hogql: &str) -> Value {
    json!({"hogql": hogql, "hasMore": null, "limit": null})
}

#[test]
fn has_more_decides() {
    check(&[
        (2, json!({"hasMore": true}), None, true),
        (2, json!({"hasMore": true}), Some("select a from t limit 2"), true),
        (100, json!({"hasMore": false}), None, false),
        (100, json!({"hasMore": false}), Some("select a from t"), false),
        // Of a bare answer, a `limit` that is not the server's is that of the query.
        (5, json!({"hasMore": true, "limit": 5}), None, false),
        (4, json!({"hasMore": true, "limit": 5}), None, true),
        (100, json!({"hasMore": true, "limit": 100}), None, true),
        (50_000, json!({"hasMore": true, "limit": 50_000}), None, true),
        (0, json!({"hasMore": true, "limit": 0}), None, true),
        (5, json!({"hasMore": true, "limit": 5}), Some("select a from t"), true),
    ]);
}

#[test]
fn a_limit_of_the_query_that_is_reached_is_no_cut() {
    for (n, fields, limit, expected) in [
        (5, json!({"hasMore": true}), json!(5), false),
        (4, json!({"hasMore": true}), json!(5), true),
        (100, json!({"hasMore": true}), json!(100), false),
        (5, json!({"hasMore": true, "limit": 5}), json!(null), true),
        (100, json!({}), json!(500), false),
        (50_000, json!({}), json!(60_000), true),
        (50_000, json!({"hasMore": true}), json!(60_000), true),
        (5, json!({"hasMore": false}), json!(60_000), false),
    ] {
        let query = json!({"kind": "EventsQuery", "limit": limit});
        let cut = cut(&fields, n, Some(&query));
        assert_eq!(cut.is_some(), expected, "{n} {fields} {limit}");
        assert!(cut.is_none_or(|(_, advice)| advice == PAGE));
    }
}

#[test]
fn a_full_page_of_an_endpoint_may_be_cut() {
    check(&[
        (100, json!({"endpoint_version": 1, "hasMore": false, "limit": 100}), None, true),
        (99, json!({"endpoint_version": 1, "hasMore": false, "limit": 100}), None, false),
        (5, json!({"endpoint_version": 1, "hasMore": true, "limit": 5}), None, true),
        (0, json!({"endpoint_version": 1, "hasMore": false, "limit": 0}), None, false),
        (100, json!({"endpoint_version": 1, "hasMore": false, "limit": null}), None, true),
        (7, json!({"endpoint_version": 1, "hasMore": false}), None, false),
        (100, json!({"endpoint_version": null, "hasMore": false, "limit": 100}), None, false),
    ]);
}

#[test]
fn a_breakdown_is_cut_where_no_row_holds_the_rest() {
    let row = |value: Value| json!({"breakdown_value": value});
    for (more, rows, cut) in [
        (json!(true), vec![row(json!("a"))], true),
        (json!(true), vec![], true),
        (json!(true), vec![row(json!(5)), row(json!(["a", "b"]))], true),
        (json!(true), vec![row(json!("a")), row(json!(BREAKDOWN_OTHER))], false),
        (json!(true), vec![row(json!(["a", BREAKDOWN_OTHER]))], false),
        (json!(true), vec![row(json!(format!("a::{BREAKDOWN_OTHER}")))], false),
        (json!(false), vec![row(json!("a"))], false),
        (json!(null), vec![row(json!("a"))], false),
    ] {
        let found = breakdown_cut(&json!({"hasMore": more}), &rows);
        assert_eq!(found.is_some(), cut, "{more} {rows:?}");
    }
}

#[test]
fn one_select_is_cut_by_a_limit_that_can_be_the_servers() {
    let (none, own) = (Some("select a from t"), Some("select a from t limit 100"));
    let limit = |n: u64| ran(&format!("SELECT\n    a\nFROM\n    t\nLIMIT {n}"));
    check(&[
        (100, limit(100), none, true),
        (99, limit(100), none, false),
        (100, limit(500), none, false),
        (100, limit(100), own, false),
        (100, limit(100), Some("select a from t limit 100 ;\n"), false),
        (100, ran_limited("SELECT a FROM t LIMIT 100"), None, false),
        (100, json!({"hogql": "SELECT a FROM t LIMIT 100", "hasMore": null}), None, true),
        (50_000, limit(50_000), Some("select a from t limit 60000"), true),
        (49_999, limit(50_000), Some("select a from t limit 60000"), false),
        (10_000, limit(50_000), Some("select a from t limit 60000"), false),
        (10_000, limit(10_000), Some("select a from t limit 60000"), true),
        (10_000, limit(10_000), Some("select a from t limit 10000"), false),
        (50_000, ran_limited("SELECT a FROM t LIMIT 50000"), None, true),
        (50_000, ran("SELECT a FROM t LIMIT min2(50000, plus(x, 5))"), None, true),
        (5, ran("SELECT a FROM t LIMIT min2(50000, plus(2, 3))"), None, false),
        (100, ran("SELECT a FROM (SELECT a FROM t LIMIT 100) LIMIT 500"), None, false),
        (100, ran("SELECT a FROM (SELECT a FROM t LIMIT 7) LIMIT 100"), None, true),
        (100, ran("SELECT a FROM t LIMIT 100  BY a LIMIT 200"), None, false),
        (100, ran("SELECT a FROM t LIMIT 1 OFFSET 2 BY a LIMIT 100"), None, true),
        (100, ran("SELECT a AS LIMIT, t.LIMIT, 'LIMIT 7' FROM t LIMIT 100"), None, true),
        (100, ran("SELECT a FROM t LIMIT 500\nWITH TIES"), None, false),
    ]);
}

#[test]
fn without_hogql_a_set_and_a_full_limit_may_be_cut() {
    for fields in [json!({}), ran("x"), ran(""), ran("SELECT ("), json!({"hogql": 5})] {
        check(&[
            (100, fields.clone(), None, true),
            (101, fields.clone(), None, false),
            (10_000, fields.clone(), None, true),
            (50_000, fields.clone(), Some("select a from t limit {n}"), true),
            (99, fields.clone(), Some("select a from t"), false),
            (100, fields.clone(), Some("select a from t limit 100"), false),
            (3, fields.clone(), Some("select a from t Union all select b from t"), true),
            (3, fields.clone(), Some("select a from t except select b from t"), true),
        ]);
    }
}

#[test]
fn the_sql_has_a_limit_of_its_own_where_it_ends_with_it() {
    for (sql, own) in [
        ("select 1 limit 100", true),
        ("select 1 LIMIT\n\t100\n;; ", true),
        ("(select 1) Limit 100", true),
        ("select 1 -- x\nlimit 100", true),
        ("select 1 limit 1 by a limit 100", true),
        ("select 1 limit 0100", false),
        ("select 1 limit100", false),
        ("select 1 limit 1100", false),
        ("select 1 -- limit 100", false),
        ("select 1 // limit 100", false),
        ("select 1 -- x\r limit 100", false),
        ("select 1 /* limit 100 */", false),
        ("select 1 limit 100 offset 5", false),
        ("select 100", false),
        ("é100", false),
        ("100", false),
        ("", false),
    ] {
        assert_eq!(ends_with_limit(sql, 100), own, "{sql}");
    }
}

#[test]
fn each_select_of_a_union_all_is_cut_by_its_own_limit() {
    let both = "SELECT a FROM t LIMIT 100 UNION ALL SELECT b FROM t LIMIT 100";
    let whole = format!("{both} LIMIT 500");
    let one = "SELECT 'total', 5 LIMIT 100 UNION ALL SELECT a, 1 FROM t LIMIT 100\nLIMIT 500";
    check(&[
        (200, ran_limited(both), None, true),
        (100, ran(both), None, true),
        (99, ran(both), None, false),
        (200, ran(both), Some("select a, from t union all select b, from t"), true),
        (200, ran(&whole), Some("(select a from t) union all (select b from t) limit 500"), true),
        (500, ran(&whole), None, false),
        (101, ran(one), Some("(select 'total', 5) union all (select a, 1 from t) limit 500"), true),
        (100, ran("SELECT a FROM t LIMIT 5 UNION ALL SELECT 1 LIMIT 100"), None, false),
        (100, ran("SELECT a FROM t LIMIT 5 UNION ALL SELECT b FROM t LIMIT 100"), None, true),
        (
            100,
            ran("SELECT a FROM t LIMIT 5 UNION ALL SELECT b FROM t LIMIT 100"),
            Some("select a from t limit 5 union all select b from t limit 100"),
            false,
        ),
        (100, ran("SELECT 1 LIMIT 5 UNION ALL SELECT arrayJoin(x) LIMIT 100"), None, true),
        (100, ran("SELECT 1 LIMIT 5 UNION ALL SELECT x ARRAY JOIN y AS x LIMIT 100"), None, true),
        (140, ran("SELECT a FROM t LIMIT 70 UNION ALL SELECT b FROM t LIMIT 70"), None, false),
        (50_005, ran("SELECT a FROM t LIMIT 50000 UNION ALL SELECT b FROM t LIMIT 5"), None, true),
        (
            50_000,
            ran("SELECT a FROM t LIMIT 60 UNION ALL SELECT b FROM t LIMIT 70 LIMIT 50000"),
            None,
            true,
        ),
    ]);
}

#[test]
fn of_a_set_that_drops_or_sorts_rows_any_number_may_be_cut() {
    let sorted = "SELECT a FROM t LIMIT 100 UNION ALL SELECT b FROM t LIMIT 100 \
                  ORDER BY a DESC LIMIT 150";
    let own = "SELECT a FROM t LIMIT 5 UNION ALL SELECT b FROM t ORDER BY b ASC LIMIT 7";
    check(&[
        (3, ran("SELECT a FROM t LIMIT 100 EXCEPT SELECT b FROM t LIMIT 100"), None, true),
        (3, ran("SELECT a FROM t LIMIT 9 INTERSECT SELECT b FROM t LIMIT 100"), None, true),
        (3, ran("SELECT a FROM t LIMIT 100 UNION DISTINCT SELECT b FROM t LIMIT 5"), None, true),
        (3, ran("SELECT a FROM t LIMIT 5 EXCEPT SELECT b FROM t LIMIT 9"), None, false),
        (2, ran("SELECT 1 LIMIT 100 UNION DISTINCT SELECT 2 LIMIT 100"), None, false),
        (
            7,
            ran("SELECT a FROM t LIMIT 50000 EXCEPT SELECT b FROM t LIMIT 100\nLIMIT 7"),
            Some("(select a from t limit 60000) except (select b from t) limit 7"),
            true,
        ),
        (150, ran(sorted), None, true),
        (99, ran(sorted), None, false),
        (7, ran(own), None, false),
        (
            60,
            ran("(SELECT a FROM t LIMIT 100 UNION ALL SELECT b FROM t LIMIT 100 ORDER BY a \
                 LIMIT 50) UNION ALL SELECT c FROM t LIMIT 100"),
            None,
            true,
        ),
        (
            3,
            ran("(SELECT a FROM t LIMIT 100 EXCEPT SELECT b FROM t LIMIT 5) UNION ALL SELECT 1 \
                 LIMIT 100"),
            None,
            true,
        ),
        // The columns of this are not SELECTs.
        (99, ran("SELECT * EXCEPT (a, b) FROM t LIMIT 100"), None, false),
    ]);
}

#[test]
fn the_message_says_what_happened_and_the_hint_what_to_do() {
    let of = |rows: usize, fields: Value| cut(&fields, rows, None).unwrap();
    let sql = |fields: Value| {
        let mut fields = fields;
        fields["query"] = json!("select a from t");
        fields
    };
    let set = "SELECT a FROM t LIMIT 100 UNION ALL SELECT b FROM t LIMIT 50000";
    for ((why, hint), message, advice) in [
        (of(1, json!({"hasMore": true})), "the server has more", "`limit` and `offset`"),
        (of(1, sql(json!({"hasMore": true}))), "the server has more", "end the SQL with"),
        (of(100, sql(ran("SELECT a FROM t LIMIT 100"))), "puts LIMIT 100", "end the SQL with"),
        (of(50_000, sql(ran("SELECT a FROM t LIMIT 50000"))), "50000 at most", "no effect"),
        (of(100, sql(ran(set))), "on each SELECT", "end each SELECT with"),
        (of(100, ran("SELECT a FROM t LIMIT 100")), "puts LIMIT 100", "`limit` and `offset`"),
        (of(5, json!({"endpoint_version": 1, "limit": 5})), "endpoint's", "run the endpoint"),
    ] {
        assert!(why.contains(message) && hint.contains(advice), "{why}; {hint}");
    }
}

#[test]
fn the_limit_in_hogql_is_read() {
    for (hogql, limit) in [
        ("SELECT a FROM t LIMIT 101\nOFFSET 0", Some(101)),
        ("SELECT\n    a\nFROM\n    (SELECT a FROM t LIMIT 7)\nLIMIT 10000 WITH TIES", Some(10_000)),
        ("SELECT a FROM (SELECT a FROM t LIMIT 7)", None),
        ("SELECT a FROM t LIMIT 5 UNION ALL SELECT b FROM t LIMIT 5", None),
        ("'", None),
        ("", None),
    ] {
        assert_eq!(limit_put_on(&ran(hogql)), limit, "{hogql}");
    }
    assert_eq!(limit_put_on(&json!({"hogql": 5})), None);
    assert_eq!(limit_put_on(&json!(null)), None);
}

#[test]
fn a_page_of_a_scan_shows_what_orders_or_limits_its_rows() {
    let page = |inner: &str| {
        let end = "WHERE greater(id, 5) ORDER BY id ASC LIMIT 10000 WITH TIES";
        scan_obstacle(&ran(&format!("SELECT\n    FROM, id AS LIMIT\nFROM\n    ({inner})\n{end}")))
    };
    for (inner, clause) in [
        ("SELECT id FROM t ORDER BY id ASC", "an ORDER BY"),
        ("SELECT id FROM t LIMIT 5", "a LIMIT"),
        ("SELECT id FROM t LIMIT plus(2, 3)", "a LIMIT"),
        ("SELECT id FROM t OFFSET 5", "an OFFSET"),
        ("SELECT id FROM t LIMIT 1  BY id LIMIT 5", "a LIMIT"),
        ("SELECT id FROM t LIMIT 5 UNION ALL SELECT id FROM u", "a LIMIT"),
        ("SELECT id FROM t UNION ALL SELECT id FROM u ORDER BY id ASC", "an ORDER BY"),
        ("(SELECT id FROM t EXCEPT SELECT id FROM u LIMIT 7) UNION ALL SELECT 1", "a LIMIT"),
        ("WITH x AS (SELECT 1) SELECT id FROM x LIMIT 5", "a LIMIT"),
    ] {
        assert!(page(inner).is_some_and(|why| why.contains(clause)), "{inner}");
    }
    for inner in [
        "SELECT id FROM t",
        "SELECT id FROM (SELECT id FROM t ORDER BY id ASC LIMIT 5)",
        "WITH x AS (SELECT id FROM t LIMIT 5) SELECT id FROM x",
        "SELECT id FROM t LIMIT 1  BY id",
        "SELECT id FROM t LIMIT 2 OFFSET 1 BY id",
        "SELECT id, t.LIMIT, ORDER, LIMIT FROM t GROUP BY LIMIT, OFFSET",
        "SELECT row_number() OVER (ORDER BY id ASC), 'LIMIT 5' FROM t",
        "SELECT id FROM t UNION ALL SELECT id FROM u",
    ] {
        assert_eq!(page(inner), None, "{inner}");
    }
    assert!(scan_obstacle(&ran("SELECT * FROM (SELECT 1) UNION ALL SELECT 2")).is_some());
    assert_eq!(scan_obstacle(&json!({})), None);
}

#[test]
fn a_part_of_other_sql_is_closed() {
    for sql in [
        "(", ")", "a)(b", "(]", "([)]", "'", "'\\'", "\"a", "`", "/* a", "/*/", "{a", "a]", "a; b",
        "a;", "(b; )",
    ] {
        assert!(part_obstacle(sql).is_some(), "{sql}");
    }
    for sql in [
        "",
        "(a)",
        "'it''s \\' ;('",
        "`a;`",
        "\"(\"",
        "-- ;(",
        "// ;'\n",
        "/* ;( */",
        "{a[1]}",
        "-- ;\r(a)",
        "'é' + \u{1F680}",
    ] {
        assert_eq!(part_obstacle(sql), None, "{sql}");
    }
    assert_eq!(part_obstacle(&("(".repeat(100_000) + &")".repeat(100_000))), None);
}
