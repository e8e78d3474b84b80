//! Proves that a scan returns each row once, whatever the key, the page size and the server's cap.
use crate::model::{Found, Rules, Table, limits, queries, ranked, serve};
use crate::support::expect::{config, paging};
use crate::support::{Act, KEY, Server, Way, builder, client, error, shows_key};
use posthog_api::{ErrorKind, Project, Result, Scan};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// The key of a row.
#[derive(Clone, Debug)]
enum Key {
    Number(i128),
    Float(f64),
    Text(String),
    /// Its order is not that of its text.
    Uuid(String),
    /// Microseconds since 2026-11-01T09:00:00Z, when the summer time of New York ended at 06:00Z.
    Time(i64),
    Null,
}

impl Key {
    /// ClickHouse's order: NaN behind all numbers, null behind everything.
    fn order(&self, other: &Key) -> Ordering {
        let nan = |x: f64| x.is_nan();
        match (self, other) {
            (Key::Number(a), Key::Number(b)) => a.cmp(b),
            (Key::Float(a), Key::Float(b)) => {
                nan(*a).cmp(&nan(*b)).then(a.partial_cmp(b).unwrap_or(Ordering::Equal))
            }
            (Key::Text(a), Key::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Key::Uuid(a), Key::Uuid(b)) => a.bytes().rev().cmp(b.bytes().rev()),
            (Key::Time(a), Key::Time(b)) => a.cmp(b),
            (a, b) => matches!(a, Key::Null).cmp(&matches!(b, Key::Null)),
        }
    }

    /// SQL's `self > other`: false for null and for NaN.
    fn is_greater(&self, other: &Key) -> bool {
        let comparable = |key: &Key| match key {
            Key::Float(x) => !x.is_nan(),
            Key::Null => false,
            _ => true,
        };
        comparable(self) && comparable(other) && self.order(other) == Ordering::Greater
    }

    fn is_finite(&self) -> bool {
        matches!(self, Key::Float(x) if x.is_finite())
    }

    /// NaN and infinity are null.
    fn json(&self) -> Value {
        match self {
            Key::Number(n) => {
                u64::try_from(*n).map_or_else(|_| json!(i64::try_from(*n).unwrap()), Value::from)
            }
            Key::Float(x) => json!(x),
            Key::Text(text) | Key::Uuid(text) => json!(text),
            // Two hours of seconds, the first with the offset of summer time.
            Key::Time(micros) => {
                let (seconds, micros) =
                    (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
                let offset = if seconds < 3_600 { 4 } else { 5 };
                let (h, m, s) = (9 + seconds / 3_600 - offset, seconds / 60 % 60, seconds % 60);
                json!(format!("2026-11-01T{h:02}:{m:02}:{s:02}.{micros:06}-0{offset}:00"))
            }
            Key::Null => Value::Null,
        }
    }

    /// A placeholder's value, in the type of this key.
    fn like(&self, value: &Value) -> Option<Key> {
        Some(match self {
            Key::Number(_) => {
                Key::Number(value.as_u64().map(i128::from).or(value.as_i64().map(i128::from))?)
            }
            Key::Float(_) => Key::Float(value.as_f64()?),
            Key::Text(_) => Key::Text(value.as_str()?.to_owned()),
            Key::Uuid(_) => Key::Uuid(value.as_str()?.to_owned()),
            Key::Time(_) => {
                let rest = value.as_str()?.strip_prefix("2026-11-01T")?.strip_suffix('Z')?;
                let (clock, micros) = rest.split_once('.')?;
                let numbers: Vec<i64> = clock.split(':').map(|n| n.parse().unwrap()).collect();
                let seconds = (numbers[0] - 9) * 3_600 + numbers[1] * 60 + numbers[2];
                Key::Time(seconds * 1_000_000 + micros.parse::<i64>().ok()?)
            }
            Key::Null => return None,
        })
    }
}

/// The table of `SELECT k, n FROM t`: keys, whose place in this list is `n`.
#[derive(Clone)]
struct Keys {
    keys: Vec<Key>,
    kind: Option<&'static str>,
}

const SQL: &str = "SELECT k, n FROM t -- all";

impl Table for Keys {
    fn find(&self, sql: &str, values: &Value) -> Option<Found<'_>> {
        let rest = sql.strip_prefix(&format!("SELECT * FROM ({SQL}\n)"))?.trim_start();
        let after = |key: &Key| {
            let last = key.like(&values["scan_after"]);
            last.is_some_and(|last| key.is_greater(&last))
        };
        let fits: Box<dyn Fn(&Key) -> bool> = match rest {
            "ORDER BY `k`" | "" => Box::new(|_| true),
            "WHERE `k` > toDateTime({scan_after}) ORDER BY `k`" => {
                let is_time = |key: &Key| matches!(key, Key::Time(_));
                self.keys.iter().all(is_time).then_some(())?;
                Box::new(after)
            }
            // A time cannot be compared with its text.
            "WHERE `k` > {scan_after} ORDER BY `k`"
                if self.keys.iter().any(|key| matches!(key, Key::Time(_))) =>
            {
                return None;
            }
            "WHERE `k` > {scan_after} ORDER BY `k`" => Box::new(after),
            "WHERE isFinite(`k`) ORDER BY `k`" => Box::new(Key::is_finite),
            "WHERE isFinite(`k`) AND `k` > {scan_after} ORDER BY `k`" => {
                Box::new(move |key| key.is_finite() && after(key))
            }
            "WHERE `k` IS NULL" => Box::new(|key| matches!(key, Key::Null)),
            "WHERE `k` IS NULL OR NOT isFinite(`k`)" => Box::new(|key| !key.is_finite()),
            _ => return None,
        };
        let rows = self.keys.iter().enumerate().filter(|(_, key)| fits(key)).collect();
        let row = |(n, key): &(usize, &Key)| json!([key.json(), n]);
        let (ranks, row) = ranked(rows, |(_, a), (_, b)| a.order(b), row);
        let types = self.kind.map_or(Value::Null, |kind| json!([["k", kind], ["n", "UInt64"]]));
        Some(Found { columns: json!(["k", "n"]), types, ranks, row })
    }
}

fn scan(server: &Server) -> Scan {
    client(server).project(1).hogql(SQL).scan("k")
}

fn number(row: &Map<String, Value>) -> usize {
    usize::try_from(row["n"].as_u64().unwrap()).unwrap()
}

fn numbers(scan: impl IntoIterator<Item = Result<Map<String, Value>>>) -> Vec<usize> {
    scan.into_iter().map(|row| number(&row.unwrap())).collect()
}

/// Keys of each type, with keys that many rows share.
fn tables() -> Vec<(&'static str, Keys)> {
    let shuffled = |n: i64| n * 7_919 % 41;
    let some = |key: fn(i64) -> Key| (0..40).map(|n| key(shuffled(n))).collect::<Vec<Key>>();
    let or_null = |keys: Vec<Key>| {
        let key = |(n, key)| if n % 8 == 3 { Key::Null } else { key };
        keys.into_iter().enumerate().map(key).collect::<Vec<Key>>()
    };
    let numbers = some(|n| Key::Number(i128::from(n)));
    let shared = some(|n| Key::Number(i128::from(n / 9) - 2));
    let large = some(|n| Key::Number(i128::from(u64::MAX) - i128::from(n)));
    #[allow(clippy::cast_precision_loss)]
    let floats = some(|n| Key::Float((n - 20) as f64 / 7.0));
    let mut odd = floats.clone();
    for (at, float) in [(0, f64::NAN), (5, f64::INFINITY), (6, f64::INFINITY), (33, f64::NAN)] {
        odd[at] = Key::Float(float);
    }
    let mut low = odd.clone();
    low[10..15].fill(Key::Float(f64::NEG_INFINITY));
    let mut mostly_low = vec![Key::Float(f64::NEG_INFINITY); 9];
    mostly_low.extend([1.5, f64::NAN, 2.5].map(Key::Float));
    let texts = some(|n| Key::Text(format!("k\u{e9}'\\{}", n % 20)));
    let uuids = some(|n| Key::Uuid(format!("{n:02}-{}", n * 7 % 10)));
    // Across the end of summer time, some with microseconds, some equal.
    let times = some(|n| Key::Time(3_599_999_998 + n / 2 * (n / 9)));
    let table = |keys, kind| Keys { keys, kind: Some(kind) };
    vec![
        ("uuids", table(uuids, "UUID")),
        ("times", table(times, "DateTime64(6, 'America/New_York')")),
        ("texts and null in a variant", table(or_null(texts.clone()), "Variant(String, UInt64)")),
        ("texts and null in a dynamic", table(or_null(texts.clone()), "Dynamic")),
        ("numbers", table(numbers.clone(), "UInt64")),
        ("shared numbers", table(shared.clone(), "Int64")),
        ("large numbers", table(large, "UInt64")),
        ("numbers of an unknown type", Keys { keys: numbers.clone(), kind: None }),
        ("numbers and null", table(or_null(numbers), "Nullable(UInt64)")),
        ("shared numbers and null, of an unknown type", Keys { keys: or_null(shared), kind: None }),
        ("floats", table(floats.clone(), "Float64")),
        ("floats and null", table(or_null(floats), "Nullable(Float64)")),
        ("floats with NaN and infinity", table(odd, "Float64")),
        ("floats that begin with -inf", table(low, "Float64")),
        ("-inf, and less than a page of other floats", table(mostly_low, "Float64")),
        ("texts", table(texts.clone(), "String")),
        ("texts and null", table(or_null(texts), "LowCardinality(Nullable(String))")),
        ("null alone", table(vec![Key::Null; 7], "Nullable(String)")),
        ("nothing", table(Vec::new(), "Nullable(String)")),
    ]
}

#[test]
fn each_row_comes_once_at_every_page_size_and_cap() {
    for (name, table) in tables() {
        for rules in [(50_000, true), (13, true), (50_000, false), (13, false)] {
            let (cap, shows_limit) = rules;
            let server = serve(table.clone(), Rules { cap, shows_limit, ..Rules::default() });
            for size in [1, 7, 40] {
                let mut found = numbers(scan(&server).page_size(size));
                found.sort_unstable();
                let all: Vec<usize> = (0..table.keys.len()).collect();
                assert_eq!(
                    found, all,
                    "{name}, pages of {size}, cap {cap}, limit shown: {shows_limit}"
                );
            }
        }
    }
}

#[test]
fn rows_come_in_the_order_of_the_key_and_those_without_one_at_the_end() {
    for (name, table) in tables() {
        let server = serve(table.clone(), Rules::default());
        let found = numbers(scan(&server).page_size(4));
        let keys = found.iter().map(|n| &table.keys[*n]);
        let (with, without): (Vec<(usize, &Key)>, Vec<_>) =
            keys.enumerate().partition(|(_, key)| !key.json().is_null());
        assert!(with.is_sorted_by(|(_, a), (_, b)| a.order(b) != Ordering::Greater), "{name}");
        assert!(without.iter().all(|(at, _)| *at >= with.len()), "{name}: {found:?}");
    }
}

#[test]
fn a_scan_continues_after_any_key() {
    for (name, table) in tables() {
        let server = serve(table.clone(), Rules::default());
        let whole = numbers(scan(&server).page_size(7));
        for (at, n) in whole.iter().enumerate().step_by(5) {
            let key = &table.keys[*n];
            if key.json().is_null() {
                continue;
            }
            let mut rest = numbers(scan(&server).page_size(7).after(key.json()));
            // The rows that share the key count as read.
            let mut expected: Vec<usize> = whole[at..].to_vec();
            expected.retain(|n| table.keys[*n].json().is_null() || table.keys[*n].is_greater(key));
            rest.sort_unstable();
            expected.sort_unstable();
            assert_eq!(rest, expected, "{name} after {key:?}");
        }
    }
}

#[test]
fn a_scan_sends_no_request_more_than_it_needs() {
    let numbers = |n: i128| (0..n).map(Key::Number).collect::<Vec<Key>>();
    let with_null = |n: i128| [numbers(n), vec![Key::Null; 2]].concat();
    let rows = |keys: Vec<Key>, kind, size, cap, shows_limit| {
        let server = serve(Keys { keys, kind }, Rules { cap, shows_limit, ..Rules::default() });
        scan(&server).page_size(size).into_iter().for_each(|row| drop(row.unwrap()));
        server.count()
    };
    let (never, maybe, whole) = (Some("UInt64"), Some("Nullable(UInt64)"), 50_000);
    for (what, requests, expected) in [
        ("nothing", rows(numbers(0), maybe, 10, whole, true), 1),
        ("one short page, with nulls in it", rows(with_null(7), maybe, 10, whole, true), 1),
        ("a short last page", rows(numbers(25), never, 10, whole, true), 3),
        ("a full last page", rows(numbers(20), never, 10, whole, true), 3),
        ("the rows without a key", rows(with_null(25), maybe, 10, whole, true), 4),
        ("an unknown type", rows(numbers(25), None, 10, whole, true), 4),
        ("a cap", rows(numbers(25), never, 1_000, 10, true), 3),
        ("no limit in the answer", rows(numbers(25), never, 10, whole, false), 4),
    ] {
        assert_eq!(requests, expected, "{what}");
    }
}

#[test]
fn too_many_rows_without_a_key_are_an_error() {
    for (nulls, fits) in [(12, true), (13, false), (14, false)] {
        let keys = [vec![Key::Number(1); 3], vec![Key::Null; nulls]].concat();
        let table = Keys { keys, kind: Some("Nullable(Int64)") };
        let server = serve(table, Rules { cap: 13, ..Rules::default() });
        let mut rows = scan(&server).page_size(2).into_iter();
        assert!(rows.by_ref().take(3).all(|row| row.is_ok()));
        if fits {
            assert_eq!(rows.map(Result::unwrap).count(), nulls);
            continue;
        }
        let error = error(rows.next().unwrap());
        assert!(
            error.kind() == posthog_api::ErrorKind::CutShort
                && error.to_string().contains("without nulls"),
            "{error}"
        );
        assert!(rows.next().is_none());
    }
}

/// A page of one row with this key, of a server whose next answer would be the last page.
fn one_key(key: &Value) -> Server {
    let types = json!([["k", "Int64"], ["n", "Int64"]]);
    let page = |rows: Value| {
        Act::json(200, &json!({"columns": ["k", "n"], "types": types, "results": rows}))
    };
    let pages = [page(json!([[key, 1]])), page(json!([]))];
    Server::start(move |_, n| pages[n].clone())
}

#[test]
fn a_key_that_cannot_be_sent_back_as_it_came_is_an_error() {
    let text = |key: &str| serde_json::from_str::<Value>(key).unwrap();
    for key in [
        "18446744073709551616",
        "-9223372036854775809",
        "1e17",
        "-9007199254740992.0",
        "[1]",
        "true",
    ] {
        let server = one_key(&text(key));
        let mut rows = scan(&server).page_size(1).into_iter();
        let error = error(rows.next().unwrap());
        assert!(paging(&error).message().contains("key"), "{key}: {error}");
        assert!(rows.next().is_none(), "{key}");
        assert_eq!(server.count(), 1, "{key}");
    }
    for key in [
        "18446744073709551615",
        "-9223372036854775808",
        "9007199254740993",
        "0.1",
        "2251799813685249.5",
    ] {
        let server = one_key(&text(key));
        let mut rows = scan(&server).page_size(1).into_iter();
        assert_eq!(rows.next().unwrap().unwrap()["k"].to_string(), key);
        rows.for_each(drop);
        assert_eq!(server.requests()[1].json()["query"]["values"]["scan_after"].to_string(), key);
    }
}

#[test]
fn a_float_that_is_written_as_a_whole_number_is_an_error() {
    let page = json!({"columns": ["k"], "types": [["k", "Float64"]], "results": [[71_428_571_428_571_420_u64]]});
    let server = Server::answers(&[page]);
    let error = error(scan(&server).page_size(1).into_iter().next().unwrap());
    assert!(paging(&error).hint().unwrap().contains("toString"), "{error}");
}

#[test]
fn a_server_that_returns_the_same_pages_again_is_an_error() {
    for period in [1, 2, 3] {
        let server = Server::start(move |_, n| {
            let key = format!("{}{KEY}", n % period);
            Act::json(200, &json!({"columns": ["k", "n"], "results": [[key, n]]}))
        })
        .expects(Way::Any);
        let mut rows = scan(&server).into_iter();
        for _ in 0..period {
            rows.next().unwrap().unwrap();
        }
        let error = error(rows.next().unwrap());
        assert_eq!(error.kind(), ErrorKind::Paging);
        assert!(error.to_string().contains("again"), "{error}");
        assert!(rows.next().is_none());
    }
}

#[test]
fn an_answer_without_the_key_is_an_error() {
    let server = Server::answers(&[json!({"columns": ["other"], "results": [[1]]})]);
    let error = error(scan(&server).page_size(1).into_iter().next().unwrap());
    assert!(paging(&error).message().contains("key"), "{error}");
}

#[test]
fn the_placeholders_of_the_scan_are_reserved() {
    let server = Server::script([]);
    let project = client(&server).project(1);
    for sql in ["select k from t where k > {scan_after}", "select k from t where k > { scan_mine }"]
    {
        let error = error(project.hogql(sql).scan("k").into_iter().next().unwrap());
        assert!(config(&error).contains("reserved"), "{sql}: {error}");
    }
    let scan = project.hogql("select k from t").value("scan_after", 1).scan("k");
    config(&error(scan.into_iter().next().unwrap()));
}

#[test]
fn what_a_scan_shows_of_itself_hides_the_key() {
    let project: Project = builder("http://127.0.0.1:1").build().unwrap().project(1);
    let scan = project.hogql(format!("select '{KEY}' as k from t")).scan(KEY).after(KEY);
    assert!(!shows_key(format!("{scan:?}").as_bytes()), "{scan:?}");
}

#[test]
fn the_rest_of_a_scan_is_computed_again_too() {
    let keys = [vec![Key::Number(1); 3], vec![Key::Null; 2]].concat();
    let server = serve(Keys { keys, kind: None }, Rules::default());
    assert_eq!(numbers(scan(&server).page_size(1)).len(), 5);
    let queries = queries(&server);
    assert!(queries.iter().all(|(_, refresh)| refresh == "force_blocking"), "{queries:?}");
    assert_eq!(limits(&server).last(), Some(&50_000));
}

/// Answers of one column, `k`, of this type.
fn answers(kind: &str, pages: &[Value]) -> Vec<Value> {
    let page = |rows: &Value| {
        let keys = rows.as_array().unwrap().iter().map(|key| json!([key]));
        let types = if kind.is_empty() { Value::Null } else { json!([["k", kind]]) };
        json!({"columns": ["k"], "types": types, "results": keys.collect::<Vec<_>>()})
    };
    pages.iter().map(page).collect()
}

#[test]
fn keys_that_go_backwards_are_an_error() {
    for (kind, first, second) in [
        ("UInt64", json!(9), json!(10)),
        ("Int64", json!(-1), json!(u64::MAX)),
        ("Float64", json!(2.5), json!(10)),
        ("String", json!("B"), json!("a")),
        ("LowCardinality(Nullable(String))", json!("a"), json!("\u{e9}")),
        (
            "DateTime64(6, 'UTC')",
            json!("2026-11-01T01:30:00-04:00"),
            json!("2026-11-01T01:29:59-05:00"),
        ),
        ("DateTime", json!("2026-11-01T01:30:00Z"), json!("2026-11-01T01:30:00.000001Z")),
    ] {
        // Where keys can be null or infinite, those are asked for at the end.
        let pages = [json!([first]), json!([second]), json!([]), json!([])];
        let server = Server::answers(&answers(kind, &pages)).expects(Way::Any);
        let forward = scan(&server).page_size(1).into_iter();
        assert_eq!(forward.map(Result::unwrap).count(), 2, "{kind}");
        for next in [&first, &second] {
            let server = Server::answers(&answers(kind, &[json!([second]), json!([next])]));
            let mut rows = scan(&server).page_size(1).into_iter();
            assert_eq!(rows.next().unwrap().unwrap()["k"], second);
            let error = error(rows.next().unwrap());
            assert!(paging(&error).message().contains("again"), "{kind} {next}: {error}");
            assert!(rows.next().is_none());
        }
    }
}

#[test]
fn a_time_is_sent_back_as_a_time_also_at_the_start() {
    let time = json!("2026-11-01T01:30:00.000001-04:00");
    let server = Server::answers(&answers("DateTime64(6)", &[json!([time]), json!([])]));
    assert_eq!(scan(&server).page_size(1).after(&time).into_iter().count(), 0);
    let asked: Vec<Value> = server.requests().iter().map(|r| r.json()["query"].clone()).collect();
    assert_eq!(asked[0]["query"], format!("SELECT * FROM ({SQL}\n) LIMIT 1"));
    assert_eq!(
        asked[1]["query"],
        format!(
            "SELECT * FROM ({SQL}\n) WHERE `k` > toDateTime({{scan_after}}) ORDER BY `k` LIMIT 1 WITH TIES"
        )
    );
    assert_eq!(asked[1]["values"]["scan_after"], "2026-11-01T05:30:00.000001Z");
    // The same text is compared as text where the key is text.
    let server = Server::answers(&answers("String", &[json!([time]), json!([])]));
    assert_eq!(scan(&server).page_size(1).after(&time).into_iter().count(), 0);
    assert_eq!(server.requests()[1].json()["query"]["values"]["scan_after"], time);
}

#[test]
fn a_type_that_is_not_exact_is_refused_before_a_row_is_returned() {
    for (kind, key) in [
        ("Float32", json!(0.5)),
        ("Nullable(Float32)", json!(0.5)),
        ("DateTime64(9, 'UTC')", json!("2026-11-01T01:30:00.000000001Z")),
    ] {
        let server = Server::answers(&answers(kind, &[json!([key])]));
        let error = error(scan(&server).page_size(1).into_iter().next().unwrap());
        config(&error);
        assert!(error.hint().unwrap().contains("toString"), "{kind}: {error}");
    }
}

#[test]
fn floats_without_a_number_are_not_lost_where_no_type_is_named() {
    let (low, nan) = (f64::NEG_INFINITY, f64::NAN);
    for keys in [vec![low; 5], vec![low, low, 1.0, 2.0, 3.0], vec![1.0, nan, nan, nan]] {
        let keys = Keys { keys: keys.into_iter().map(Key::Float).collect(), kind: None };
        let server = serve(keys, Rules::default());
        let last = scan(&server).page_size(2).into_iter().last().unwrap();
        assert!(paging(&error(last)).message().contains("NaN"));
    }
}

#[test]
fn rows_without_a_key_are_too_many_at_the_cap_of_an_old_server() {
    let rest = |rows: usize| json!(vec![Value::Null; rows]);
    for (rows, fits) in [(9_999, true), (10_000, false)] {
        let pages = [json!([1]), json!([]), rest(rows)];
        let server = Server::answers(&answers("Nullable(Int64)", &pages));
        let rows = scan(&server).page_size(1).into_iter();
        assert_eq!(rows.last().unwrap().is_ok(), fits);
    }
}

#[test]
fn the_query_for_rows_without_a_key_is_never_halved() {
    let pages = [json!([1]), json!([]), json!(["x".repeat(3_000)])];
    let server = Server::answers(&answers("Nullable(Int64)", &pages));
    let small = builder(server.url()).max_body_bytes(2_000).build().unwrap().project(1);
    let mut rows = small.hogql(SQL).scan("k").page_size(8).into_iter();
    assert!(rows.next().unwrap().is_ok());
    crate::support::expect::too_large(&error(rows.next().unwrap()), 2_000);
    assert_eq!(limits(&server), [8, 8, 50_000]);
}

#[test]
fn a_full_page_is_not_the_last_one_though_the_server_asks_for_one_row_more() {
    let mut pages = answers("Int64", &[json!([1, 2]), json!([3])]);
    for page in &mut pages {
        page["hogql"] = json!("SELECT * FROM (SELECT k FROM t) ORDER BY k LIMIT 3");
    }
    let server = Server::answers(&pages);
    assert_eq!(scan(&server).page_size(2).into_iter().map(Result::unwrap).count(), 3);
    // A page that is not full is not the last one where the server says so.
    pages[0] = answers("Int64", &[json!([1])]).remove(0);
    pages[0]["hogql"] = pages[1]["hogql"].clone();
    pages[0]["hasMore"] = json!(true);
    let server = Server::answers(&pages);
    assert_eq!(scan(&server).page_size(2).into_iter().map(Result::unwrap).count(), 2);
}

#[test]
fn the_rows_of_a_scan_are_counted_by_one_query() {
    let answer = json!({"columns": ["count()"], "results": [[41]]});
    let server = Server::answers(&[answer]);
    assert_eq!(scan(&server).after(7).count().unwrap(), 41);
    assert_eq!(
        queries(&server),
        [(format!("SELECT count() FROM ({SQL}\n)"), "force_blocking".to_owned())]
    );
    let server = Server::answers(&[json!({"columns": ["a"], "results": []})]);
    assert_eq!(error(scan(&server).count()).kind(), ErrorKind::WrongShape);
}

#[test]
fn pages_of_a_scan_grow_again_up_to_the_size_that_was_set() {
    let pages = [json!(["x".repeat(3_000)]), json!([1, 2]), json!([3]), json!([4]), json!([])];
    let server = Server::answers(&answers("Int64", &pages));
    let small = builder(server.url()).max_body_bytes(2_000).build().unwrap().project(1);
    let rows = small.hogql(SQL).scan("k").page_size(8).into_iter();
    assert_eq!(rows.map(Result::unwrap).count(), 4);
    assert_eq!(limits(&server), [8, 4, 8, 8, 8]);
}
