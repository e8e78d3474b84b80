//! Proves that a filter on persons is sent in a form that every server understands, or is refused.

use crate::support::{REFUSED, builder, client};
use crate::wire::{empty, refused};
use posthog_api::{PersonFilter, PersonProperty};
use serde_json::json;

fn wire(filter: &PersonFilter) -> String {
    serde_json::to_string(filter).unwrap_or_else(|e| format!("refused: {e}"))
}

/// Why a list refuses `filter`: nothing is sent, there is no server.
fn refusal(filter: &PersonFilter) -> String {
    let project = builder(REFUSED).build().unwrap().project(1);
    let why = refused(project.persons().filter(filter.clone()).page());
    // It is also refused after another filter, and as a parameter of another route.
    let after_another = project.persons().filter(p("k").is_set()).filter(filter.clone());
    assert_eq!(refused(after_another.page()), why);
    refused(project.list("cohorts/5/persons").param("properties", filter).page());
    why
}

fn p(key: &str) -> PersonProperty {
    PersonFilter::property(key)
}

fn leaf(key: &str, value: &str, operator: &str) -> String {
    format!(r#"{{"key":"{key}","value":{value},"operator":"{operator}","type":"person"}}"#)
}

#[test]
fn each_operator_is_sent_with_its_name_and_value() {
    for (filter, value, operator) in [
        (p("k").exact(["a", "b"]), r#"["a","b"]"#, "exact"),
        (p("k").exact("a"), r#"["a"]"#, "exact"),
        (p("k").exact([true, false]), r#"["false","true"]"#, "exact"),
        (p("k").is_not(json!([1, "a", 2.5])), r#"["1","2.5","a"]"#, "is_not"),
        (p("k").exact("say \"hi\""), r#"["say \\\"hi\\\""]"#, "exact"),
        (p("k").icontains("say \"hi"), r#""say \\\"hi""#, "icontains"),
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
        (
            p("k").is_date_after("2021-06-01T12:00:00+02:00"),
            r#""2021-06-01 10:00:00""#,
            "is_date_after",
        ),
        (p("k").is_date_after("2021-06-01"), r#""2021-06-01""#, "is_date_after"),
    ] {
        assert_eq!(wire(&filter), format!("[{}]", leaf("k", value, operator)));
    }
}

#[test]
fn a_filter_that_a_server_would_misread_is_refused() {
    let nothing: [&str; 0] = [];
    for (filter, why) in [
        (p("").exact(["x"]), "name"),
        (p("k").exact(nothing), "value"),
        (p("k").is_not(nothing), "value"),
        (p("k").exact(std::collections::HashMap::from([([1], 2)])), ""),
        (p("k").exact(f64::NAN), "null"),
        (p("k").exact([""]), "empty"),
        (p("k").exact(""), "empty"),
        (p("k").is_not(["a", ""]), "empty"),
        (p("k").exact(json!(null)), "null"),
        (p("k").exact(json!([null])), "null"),
        (p("k").exact(json!([["a"]])), "list"),
        (p("k").exact(json!({"a": 1})), "list"),
        (p("k").icontains(""), "empty"),
        (p("k").not_icontains(""), "empty"),
        (p("k").regex(""), "empty"),
        (p("k").not_regex(""), "empty"),
        (p("k").gt("abc"), "number"),
        (p("k").gt("60"), "number"),
        (p("k").gt([1, 2]), "number"),
        (p("k").lt(json!(null)), "number"),
        (p("k").lte(f64::INFINITY), "number"),
        (p("k").lt(f64::NAN), "number"),
        (p("k").lte(true), "number"),
        (p("k").is_date_after("-3d"), "date"),
        (p("k").is_date_exact(""), ""),
        (p("k").is_date_exact("yesterday"), "date"),
        (p("k").is_date_after("２０２１-06-01"), "date"),
        (p("k").is_date_exact("2021-02-29"), "date"),
        (p("k").is_date_exact("2021-13-01"), "date"),
        (p("k").is_date_exact("2021-06-01 24:00:00"), "date"),
        (p("k").is_date_exact("+021-06-01"), "date"),
        (PersonFilter::any([]), "filter"),
        (PersonFilter::all([]), "filter"),
        (
            PersonFilter::any([
                p("k").is_set(),
                PersonFilter::all([p("k").is_set(), p("k").gt("x")]),
            ]),
            "number",
        ),
        (PersonFilter::any([p("k").is_set(), PersonFilter::all([])]), "filter"),
        (PersonFilter::all([p("k").is_set(), p("k").exact("")]), "empty"),
    ] {
        for told in [refusal(&filter), wire(&filter)] {
            assert!(told.contains(why), "{filter:?}: no {why} in {told}");
        }
    }
}

#[test]
fn between_is_two_conditions() {
    let server = empty();
    client(&server).project(1).persons().filter(p("k").between(1, 2.5)).page().unwrap();
    let both = format!("[{},{}]", leaf("k", "1", "gte"), leaf("k", "2.5", "lte"));
    assert_eq!(server.take_requests().pop().unwrap().param("properties"), Some(both.clone()));
    assert_eq!(wire(&p("k").between(1, 2.5)), both);
    assert!(refusal(&p("k").between(1, "2")).contains("number"));
}

#[test]
fn filters_become_a_group_only_where_any_is_used() {
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

#[test]
fn a_list_sends_its_filters_as_one_parameter() {
    let server = empty();
    let project = client(&server).project(1);
    for (list, filters) in [
        (project.persons().filter(p("a").gt(60)), format!("[{}]", leaf("a", "60", "gt"))),
        (
            project.persons().filter(p("a").gt(1)).filter(p("b").exact(true)),
            format!("[{},{}]", leaf("a", "1", "gt"), leaf("b", r#"["true"]"#, "exact")),
        ),
    ] {
        list.page().unwrap();
        let sent = server.take_requests().pop().unwrap();
        assert_eq!(sent.param("properties"), Some(filters));
    }
}
