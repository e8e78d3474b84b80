//! Whether the server cut the rows of an answer.
//!
//! PostHog returns 100 rows unless the SQL has a LIMIT, and 10,000 (servers of 2023) or 50,000 rows
//! at most. Only some answers say so.

use serde_json::Value;

use super::sql::{self, Limit, Statement, Unread};

/// How many rows the server returns of a SELECT without LIMIT.
const DEFAULT: u64 = 100;

/// How many rows servers of 2023, and later ones, return at most.
const CAPS: [u64; 2] = [10_000, 50_000];

/// What the caller asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    /// The SQL, where it is a HogQLQuery.
    pub(super) sql: Option<&'a str>,
    /// The `limit` of a query of another kind.
    pub(super) limit: Option<u64>,
}

/// Why rows are or may be missing, and what to do. `None` if the answer is complete.
pub(super) fn cut(answer: &Value, rows: usize, asked: Asked<'_>) -> Option<String> {
    const MORE: &str = "are not all rows: the server has more";
    let count = rows as u64;
    let more = answer.get("hasMore").and_then(Value::as_bool);
    if answer.get("endpoint_version").is_some_and(|version| !version.is_null()) {
        // Of an endpoint, `hasMore` is false also for a full page.
        let what = if more == Some(true) { MORE } else { MAY_BE_CUT };
        return (more == Some(true) || endpoint_is_full(answer, count)).then(|| {
            format!(
                "{what}; run the endpoint with a larger `limit`, or read all rows with Query::scan"
            )
        });
    }
    if asked.limit.is_some_and(|limit| limit > 0 && count >= limit) {
        return None;
    }
    match more {
        Some(true) if asked.limit.is_some() => Some(format!("{MORE}; {LARGER}")),
        Some(true) => Some(format!("{MORE}; {ADD_LIMIT}")),
        Some(false) => None,
        None => cut_by_sql(answer, count, asked),
    }
}

const MAY_BE_CUT: &str = "may not be all rows: they are as many as the limit";
const ADD_LIMIT: &str = "add a LIMIT to the SQL, or read all rows with Query::scan";
const LARGER: &str = "set a larger `limit`, or use HogQL and read all rows with Query::scan";
const CAPPED: &str = "a larger LIMIT has no effect: read all rows with Query::scan";

fn endpoint_is_full(answer: &Value, count: u64) -> bool {
    match answer.get("limit").and_then(Value::as_u64) {
        Some(limit) => count >= limit.max(1),
        None => count == DEFAULT || CAPS.contains(&count),
    }
}

/// The LIMIT that the server put on the statement, as the answer's `hogql` shows it.
pub(crate) fn limit_put_on(answer: &Value) -> Option<u64> {
    let sql = answer.get("hogql").and_then(Value::as_str)?;
    let statement = sql::read(sql).ok()?;
    match (statement.whole, statement.parts.as_slice()) {
        (Limit::Rows(rows), _) => Some(rows),
        (Limit::None, [only]) => rows_of(only.limit),
        _ => None,
    }
}

fn cut_by_sql(answer: &Value, count: u64, asked: Asked<'_>) -> Option<String> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let put_on = text("hogql").and_then(|sql| sql::read(sql).ok());
    let at_cap = CAPS.contains(&count);
    match asked.sql.or_else(|| text("query")).map(sql::read) {
        Some(Ok(own)) if own.parts.len() == 1 => {
            one_select(answer, own.parts.first()?.limit, put_on.as_ref(), count)
        }
        Some(Ok(own)) => several_selects(&own, put_on.as_ref(), count),
        // What the statement says is not known: any LIMIT that is full may be the server's.
        Some(Err(Unread::Open | Unread::Unknown)) => {
            let full = match &put_on {
                Some(put_on) => is_full(put_on, count, |_| true),
                None => count == DEFAULT || at_cap,
            };
            full.then(|| format!("{MAY_BE_CUT}; {ADD_LIMIT}"))
        }
        // A query of another kind, whose own limit is not met.
        None if asked.limit.is_some() => at_cap.then(|| format!("{MAY_BE_CUT}; {CAPPED}")),
        None => {
            let full = match &put_on {
                // The server sends both as null for a statement with a LIMIT of its own.
                Some(put_on) if put_on.parts.len() == 1 => {
                    let is_null = |name: &str| answer.get(name).is_some_and(Value::is_null);
                    let own = is_null("hasMore") && is_null("limit");
                    is_full(put_on, count, |n| CAPS.contains(&n)) || (!own && count == DEFAULT)
                }
                Some(put_on) => is_full(put_on, count, |n| n == DEFAULT || CAPS.contains(&n)),
                None => count == DEFAULT || at_cap,
            };
            full.then(|| format!("{MAY_BE_CUT}; {ADD_LIMIT}"))
        }
    }
}

/// Whether a LIMIT that the server may have put on is reached.
fn is_full(put_on: &Statement, count: u64, suspect: impl Fn(u64) -> bool) -> bool {
    let mut limits = put_on.parts.iter().filter_map(|part| rows_of(part.limit));
    match put_on.whole {
        Limit::Rows(whole) if count >= whole => suspect(whole),
        _ => limits.any(|n| suspect(n) && count >= least(n, put_on)),
    }
}

fn one_select(
    answer: &Value,
    own: Limit,
    put_on: Option<&Statement>,
    count: u64,
) -> Option<String> {
    let put_on = put_on.and_then(|s| rows_of(s.parts.first()?.limit));
    let at_cap = CAPS.contains(&count);
    match (own, put_on) {
        (Limit::None, put_on) => {
            // A server that tells whether there is more reads one row more than it returns.
            let page = answer.get("limit").and_then(Value::as_u64);
            let limit = put_on.map_or(DEFAULT, |n| {
                page.filter(|page| page.checked_add(1) == Some(n)).unwrap_or(n)
            });
            (count >= limit).then(|| {
                format!("may not be all rows: the SQL has no LIMIT, and the server put LIMIT {limit} on it; {ADD_LIMIT}")
            })
        }
        (Limit::Rows(own), Some(n)) if n < own && count >= n => {
            Some(format!("may not be all rows: the server reduced LIMIT {own} to {n}; {CAPPED}"))
        }
        (Limit::Rows(own), None) if count < own && at_cap => {
            Some(format!("{MAY_BE_CUT}; {CAPPED}"))
        }
        (Limit::Unclear, Some(n)) if CAPS.contains(&n) && count >= n => {
            Some(format!("{MAY_BE_CUT}; {CAPPED}"))
        }
        (Limit::Unclear, None) if at_cap => Some(format!("{MAY_BE_CUT}; {CAPPED}")),
        _ => None,
    }
}

/// The server puts a LIMIT on each part that has none.
fn several_selects(own: &Statement, put_on: Option<&Statement>, count: u64) -> Option<String> {
    match own.whole {
        Limit::Rows(whole) if count >= whole => return None,
        Limit::Rows(_) | Limit::Unclear if CAPS.contains(&count) => {
            return Some(format!("{MAY_BE_CUT}; {CAPPED}"));
        }
        _ => {}
    }
    let same = put_on.filter(|put_on| put_on.parts.len() == own.parts.len());
    for (at, part) in own.parts.iter().enumerate() {
        let put_on = same.and_then(|s| rows_of(s.parts.get(at)?.limit));
        match (part.limit, put_on) {
            _ if part.one_row => {}
            (Limit::None, put_on) => {
                let n = put_on.unwrap_or(DEFAULT);
                if count >= least(n, own) {
                    return Some(format!(
                        "may not be all rows: the server put LIMIT {n} on each SELECT without one; \
                         add a LIMIT to each SELECT, or read all rows with Query::scan"
                    ));
                }
            }
            (Limit::Rows(own_limit), Some(n)) if n < own_limit && count >= least(n, own) => {
                return Some(format!(
                    "may not be all rows: the server reduced LIMIT {own_limit} to {n}; {CAPPED}"
                ));
            }
            (Limit::Rows(own_limit), None) => {
                let reached = |cap: &&u64| **cap < own_limit && count >= least(**cap, own);
                if CAPS.iter().any(|cap| reached(&cap)) {
                    return Some(format!("{MAY_BE_CUT}; {CAPPED}"));
                }
            }
            (Limit::Unclear, put_on) => {
                let mut caps = CAPS.iter().filter(|cap| put_on.is_none_or(|n| n == **cap));
                if caps.any(|cap| count >= *cap) {
                    return Some(format!("{MAY_BE_CUT}; {CAPPED}"));
                }
            }
            (Limit::Rows(_), Some(_)) => {}
        }
    }
    None
}

/// How many rows an answer has at least in which a part with LIMIT `n` is full. Of EXCEPT,
/// INTERSECT and UNION DISTINCT nothing can be known: they drop rows of full parts.
fn least(n: u64, statement: &Statement) -> u64 {
    if statement.adds_up { n } else { 0 }
}

fn rows_of(limit: Limit) -> Option<u64> {
    match limit {
        Limit::Rows(rows) => Some(rows),
        Limit::None | Limit::Unclear => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ADVICE: &str = "read all rows with Query::scan";

    /// Whether an answer with these fields and this many rows counts as cut.
    fn is_cut(rows: usize, fields: &Value, sql: Option<&str>) -> bool {
        let why = cut(fields, rows, Asked { sql, limit: None });
        assert!(why.as_ref().is_none_or(|why| why.contains(ADVICE)), "{why:?}");
        why.is_some()
    }

    fn check(rows: &[(usize, Value, Option<&str>, bool)]) {
        for (n, fields, sql, expected) in rows {
            assert_eq!(is_cut(*n, fields, *sql), *expected, "{n} rows, {fields}, {sql:?}");
        }
    }

    #[test]
    fn has_more_decides() {
        check(&[
            (2, json!({"hasMore": true}), None, true),
            (2, json!({"hasMore": true}), Some("select a from t limit 2"), true),
            (100, json!({"hasMore": false}), None, false),
            (100, json!({"hasMore": false}), Some("select a from t"), false),
        ]);
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
    fn one_select_is_cut_by_the_limit_that_the_server_put_on() {
        let hogql = |limit: u64| json!({"hogql": format!("SELECT a FROM t LIMIT {limit}")});
        let (none, own) = (Some("select a from t"), Some("select a from t limit 100"));
        check(&[
            (100, hogql(100), none, true),
            (99, hogql(100), none, false),
            (100, hogql(500), none, false),
            (100, json!({}), none, true),
            (99, json!({}), none, false),
            (100, json!({"hasMore": null, "hogql": "select a limit 100"}), none, true),
            (100, json!({"limit": 100, "hogql": "select a limit 101"}), none, true),
            (100, json!({"hogql": "select a limit 100", "query": "select a from t"}), None, true),
            (99, json!({"hogql": "select a limit 100", "query": "select a from t"}), None, false),
            (100, json!({"hogql": "x", "query": "select a limit 100"}), None, false),
            (100, hogql(100), own, false),
            (100, json!({}), own, false),
            (5, json!({}), Some("select a from t limit 3, 5"), false),
            (3, json!({}), Some("select a from t limit 3, 5"), false),
            (100, json!({}), Some("select a from t limit (1) by a"), true),
            (100, json!({}), Some("select a from t limit {n} by a"), true),
            (100, json!({}), Some("select a from t where limit = 5"), true),
            (100, json!({}), Some("select a from t order by limit"), true),
            (100, json!({}), Some("select a from t // limit 500"), true),
            (100, json!({}), Some("select a from t -- x\r limit 500"), false),
        ]);
    }

    #[test]
    fn a_limit_beyond_the_most_rows_of_the_server_is_cut() {
        let own = Some("select a from t limit 60000");
        let hogql = |limit: u64| json!({"hogql": format!("SELECT a FROM t LIMIT {limit}")});
        check(&[
            (50_000, hogql(50_000), own, true),
            (49_999, hogql(50_000), own, false),
            (10_000, hogql(50_000), own, false),
            (10_000, hogql(10_000), own, true),
            (50_000, json!({}), own, true),
            (10_000, json!({}), own, true),
            (500, json!({}), own, false),
            (10_000, hogql(10_000), Some("select a from t limit 10000"), false),
            (10_000, hogql(10_000), Some("select a from t limit {n}"), true),
            (10_000, json!({}), Some("select a from t limit {n}"), true),
            (10, hogql(10), Some("select a from t limit {n}"), false),
        ]);
    }

    #[test]
    fn each_select_of_a_union_is_cut_by_its_own_limit() {
        let all = Some("select a from t union all select b from t");
        let limited = Some("select a from t limit 70 union all select b from t limit 70");
        let outer = Some("(select a from t) union all (select b from t) limit 150");
        let hogql = json!({"hasMore": null, "limit": null,
            "hogql": "SELECT a FROM t LIMIT 100 UNION ALL SELECT b FROM t LIMIT 100"});
        check(&[
            (200, hogql.clone(), all, true),
            (120, hogql.clone(), all, true),
            (100, json!({}), all, true),
            (99, hogql.clone(), all, false),
            (99, json!({}), all, false),
            (140, json!({}), limited, false),
            (100, json!({}), limited, false),
            (200, hogql.clone(), None, true),
            (99, hogql, None, false),
            (149, json!({}), outer, true),
            (150, json!({}), outer, false),
            (100, json!({}), Some("select a from t limit 5 union all select 1"), false),
            (100, json!({}), Some("select a from t limit 5 union all select b from t"), true),
            (
                10_000,
                json!({}),
                Some("select a from t limit 20000 union all select b from t limit 5"),
                true,
            ),
            (
                50_005,
                json!({"hogql": "SELECT a FROM t LIMIT 50000 UNION ALL SELECT b FROM t LIMIT 5"}),
                Some("select a from t limit 60000 union all select b from t limit 5"),
                true,
            ),
            (
                20_005,
                json!({"hogql": "SELECT a FROM t LIMIT 20000 UNION ALL SELECT b FROM t LIMIT 5"}),
                Some("select a from t limit 20000 union all select b from t limit 5"),
                false,
            ),
        ]);
    }

    #[test]
    fn of_a_set_that_drops_rows_any_number_may_be_cut() {
        check(&[
            (3, json!({}), Some("select a from t except select b from t"), true),
            (3, json!({}), Some("select a from t limit 5 intersect select b from t"), true),
            (3, json!({}), Some("select a from t union distinct select b from t"), true),
            (2, json!({}), Some("select 1 union distinct select 2"), false),
            (3, json!({}), Some("select a from t limit 5 except select b from t limit 9"), false),
        ]);
    }

    #[test]
    fn where_the_sql_is_not_understood_a_full_limit_in_hogql_is_an_error() {
        let hogql = json!({"hogql": "SELECT a FROM t LIMIT 5"});
        check(&[
            (5, hogql.clone(), Some("{q}"), true),
            (4, hogql.clone(), Some("{q}"), false),
            (5, hogql, Some("select 'a"), true),
            (100, json!({}), Some("{q}"), true),
            (10_000, json!({"hogql": "x"}), Some("{q}"), true),
            (101, json!({}), Some("{q}"), false),
        ]);
    }

    #[test]
    fn without_sql_only_the_limits_of_the_server_are_suspect() {
        let of = |limit: u64, own: Value| {
            let mut fields = own;
            fields["hogql"] = json!(format!("SELECT a FROM t LIMIT {limit}"));
            fields
        };
        let own = json!({"hasMore": null, "limit": null});
        check(&[
            (100, json!({}), None, true),
            (101, json!({}), None, false),
            (10_000, json!({}), None, true),
            (5, of(5, json!({})), None, false),
            (100, of(100, json!({})), None, true),
            (100, of(100, json!({"hasMore": null})), None, true),
            // A server of 2026 sends both as null if the SQL has a LIMIT.
            (5, of(5, own.clone()), None, false),
            (100, of(100, own.clone()), None, false),
            (50_000, of(50_000, own), None, true),
        ]);
    }

    #[test]
    fn the_limit_of_another_query_is_not_cut_when_it_is_met() {
        for (n, fields, limit, expected) in [
            (5, json!({"hasMore": true}), 5, false),
            (4, json!({"hasMore": true}), 5, true),
            (100, json!({}), 500, false),
            (50_000, json!({}), 60_000, true),
            (50_000, json!({"hasMore": true}), 60_000, true),
            (5, json!({"hasMore": false}), 60_000, false),
        ] {
            let cut = cut(&fields, n, Asked { sql: None, limit: Some(limit) });
            assert_eq!(cut.is_some(), expected, "{n} {fields} {limit}");
        }
    }

    #[test]
    fn the_limit_in_hogql_is_read() {
        for (hogql, limit) in [
            ("SELECT a FROM t LIMIT 101 OFFSET 0", Some(101)),
            (
                "SELECT\n    a\nFROM\n    (SELECT a FROM t LIMIT 7)\nLIMIT 10000 WITH TIES",
                Some(10_000),
            ),
            ("SELECT a FROM (SELECT a FROM t LIMIT 7)", None),
            ("SELECT a FROM t LIMIT 5 UNION ALL SELECT b FROM t LIMIT 5", None),
            ("SELECT a FROM t LIMIT min2(50000, 5)", None),
            ("'", None),
        ] {
            assert_eq!(limit_put_on(&json!({"hogql": hogql})), limit, "{hogql}");
        }
        assert_eq!(limit_put_on(&json!({"hogql": 5})), None);
        assert_eq!(limit_put_on(&json!(null)), None);
    }
}
