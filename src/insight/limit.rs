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
    if asked.limit.is_some_and(|limit| count >= limit) {
        return None;
    }
    match more {
        Some(true) => Some(format!("{MORE}; {ADD_LIMIT}")),
        Some(false) => None,
        None => cut_by_sql(answer, count, asked),
    }
}

const MAY_BE_CUT: &str = "may not be all rows: they are as many as the limit";
const ADD_LIMIT: &str = "add a LIMIT to the SQL, or read all rows with Query::scan";
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
            let limit = put_on.map_or(DEFAULT, |n| page.filter(|page| page + 1 == n).unwrap_or(n));
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
