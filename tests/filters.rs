//! Proves that filters on persons go over the wire in the forms that servers read rightly, and that others are refused.

use posthog_api::{Client, Error, PersonFilter, PersonProperty};
use serde_json::json;

fn wire(filter: &PersonFilter) -> String {
    serde_json::to_string(filter).unwrap_or_else(|e| format!("refused: {e}"))
}

/// What a list says of `filter`: nothing is sent, there is no server.
fn refusal(filter: PersonFilter) -> String {
    let client = Client::builder("phx_test").host("http://127.0.0.1:9").build().unwrap();
    match client.project(1).persons().filter(filter).page() {
        Err(Error::Config(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn p(key: &str) -> PersonProperty {
    PersonFilter::property(key)
}

fn leaf(key: &str, value: &str, operator: &str) -> String {
    format!(r#"{{"key":"{key}","value":{value},"operator":"{operator}","type":"person"}}"#)
}

#[test]
fn each_operator_by_its_name_on_the_wire() {
    for (filter, value, operator) in [
        (p("k").exact(["a", "b"]), r#"["a","b"]"#, "exact"),
        (p("k").exact("a"), r#"["a"]"#, "exact"),
        (p("k").exact([true, false]), r#"["true","false"]"#, "exact"),
        (p("k").is_not(json!([1, "a", 2.5])), r#"[1,"a",2.5]"#, "is_not"),
        (p("k").icontains("A"), r#""A""#, "icontains"),
        (p("k").not_icontains("A"), r#""A""#, "not_icontains"),
        (p("k").regex("^a"), r#""^a""#, "regex"),
        (p("k").not_regex("^a"), r#""^a""#, "not_regex"),
        (p("k").gt(1), "1", "gt"),
        (p("k").gte(u64::MAX), "18446744073709551615", "gte"),
        (p("k").lt(1.5), "1.5", "lt"),
        (p("k").lte(-3), "-3", "lte"),
        (p("k").is_set(), r#""is_set""#, "is_set"),
        (p("k").is_not_set(), r#""is_not_set""#, "is_not_set"),
        (p("k").is_date_exact("2021-06-01"), r#""2021-06-01""#, "is_date_exact"),
        (
            p("k").is_date_before("2024-02-29 23:59:59"),
            r#""2024-02-29 23:59:59""#,
            "is_date_before",
        ),
        (p("k").is_date_after("2021-06-01"), r#""2021-06-01""#, "is_date_after"),
    ] {
        assert_eq!(wire(&filter), format!("[{}]", leaf("k", value, operator)));
    }
}

#[test]
fn what_a_server_would_misread_is_refused() {
    let nothing: [&str; 0] = [];
    for (filter, why) in [
        (p("").exact(["x"]), "without a name"),
        (p("k").exact(nothing), "no values"),
        (p("k").exact([""]), "empty text"),
        (p("k").exact(""), "empty text"),
        (p("k").is_not(["a", ""]), "empty text"),
        (p("k").exact(json!(null)), "null"),
        (p("k").exact(json!([null])), "null"),
        (p("k").exact(json!([["a"]])), "a list or an object"),
        (p("k").exact(json!({"a": 1})), "a list or an object"),
        (p("k").icontains(""), "empty text"),
        (p("k").regex(""), "empty text"),
        (p("k").gt("abc"), "no number"),
        (p("k").gt([1, 2]), "no number"),
        (p("k").lt(f64::NAN), "no number"),
        (p("k").lte(true), "no number"),
        (p("k").is_date_after("-3d"), "no date"),
        (p("k").is_date_before("2026-11-20T00:00:00Z"), "no date"),
        (p("k").is_date_exact("2021-02-29"), "no date"),
        (p("k").is_date_exact("2021-13-01"), "no date"),
        (p("k").is_date_exact("2021-06-01 24:00:00"), "no date"),
        (p("k").is_date_exact("2021-06-01 "), "no date"),
        (p("k").is_date_exact("+021-06-01"), "no date"),
        (PersonFilter::any([]), "no filters"),
        (PersonFilter::any([p("k").is_set(), PersonFilter::all([])]), "no filters"),
        (PersonFilter::all([p("k").is_set(), p("k").exact("")]), "empty text"),
    ] {
        assert!(refusal(filter.clone()).contains(why), "{filter:?}");
        assert!(wire(&filter).contains(why), "{}", wire(&filter));
    }
}

#[test]
fn groups_only_where_any_is_used() {
    let [a, b, c] = ["a", "b", "c"].map(|k| p(k).is_set());
    let [la, lb, lc] = ["a", "b", "c"].map(|k| leaf(k, r#""is_set""#, "is_set"));
    for (filter, out) in [
        (PersonFilter::any([a.clone()]), format!("[{la}]")),
        (
            PersonFilter::all([a.clone(), PersonFilter::all([b.clone(), c.clone()])]),
            format!("[{la},{lb},{lc}]"),
        ),
        (
            PersonFilter::any([a.clone(), b.clone()]),
            format!(r#"{{"type":"OR","values":[{la},{lb}]}}"#),
        ),
        (
            PersonFilter::any([PersonFilter::all([a.clone(), b.clone()]), c.clone()]),
            format!(
                r#"{{"type":"OR","values":[{{"type":"AND","values":[{la},{lb}]}},{{"type":"AND","values":[{lc}]}}]}}"#
            ),
        ),
        (
            PersonFilter::all([a, PersonFilter::any([b, c])]),
            format!(
                r#"{{"type":"AND","values":[{{"type":"AND","values":[{la}]}},{{"type":"OR","values":[{lb},{lc}]}}]}}"#
            ),
        ),
    ] {
        assert_eq!(wire(&filter), out);
    }
}
