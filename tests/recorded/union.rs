//! Proves that a filter with `any` reads one flat list for each alternative: the newest server fails
//! on groups.

use std::collections::BTreeSet;

use posthog_api::{List, PersonFilter, Persons};
use serde_json::{Value, json};

use crate::ask::{free, linux, p};
use crate::check::{config_error, json_of, one_form};
use crate::standin::http::Request;
use crate::standin::recordings::{Recorded, one};
use crate::standin::{Replay, client};

fn old() -> PersonFilter {
    p("age").gt(40)
}

fn nick() -> PersonFilter {
    p("nick").is_set()
}

fn windows() -> PersonFilter {
    p("$initial_os").exact("Windows")
}

fn persons(replay: &Replay, filters: impl IntoIterator<Item = PersonFilter>) -> List<Persons> {
    filters.into_iter().fold(client(&replay.url()).project(1).persons(), List::filter)
}

fn recordings(names: &[&str]) -> Vec<&'static Recorded> {
    names.iter().map(|name| one("2026", name)).collect()
}

/// The filters of a request in an order of their own, since AND has none.
fn filters(request: &Request) -> BTreeSet<String> {
    let properties: Value = serde_json::from_str(&request.param("properties").unwrap()).unwrap();
    let filters = one_form(&properties);
    let filters = filters.as_array().unwrap_or_else(|| panic!("not a flat list: {properties}"));
    filters.iter().map(Value::to_string).collect()
}

fn uuids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["uuid"].as_str().unwrap().to_owned()).collect()
}

/// The rows of recorded lists one after the other, each person once.
fn merged(recordings: &[&Recorded]) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let bodies = recordings.iter().map(|recorded| json_of(recorded)["results"].clone());
    let rows = bodies.flat_map(|rows| rows.as_array().unwrap().clone());
    rows.filter(|row| seen.insert(row["uuid"].to_string())).collect()
}

#[test]
fn any_reads_one_flat_list_for_each_alternative_and_returns_each_person_once() {
    // The counts are known from the list of both filters: 500 + 90 - 72, and 72 + 15 - 13.
    let both = |name: &str| json_of(one("2026", name))["results"].as_array().unwrap().len();
    let cases: [(Vec<PersonFilter>, &[&str], usize); 5] = [
        (
            vec![PersonFilter::any([linux(), free()])],
            &["persons_props_exact", "persons_flat_free"],
            500 + 90 - both("persons_flat_linux_free"),
        ),
        // `any` in `all`.
        (
            vec![PersonFilter::all([PersonFilter::any([linux(), old()]), free()])],
            &["persons_flat_linux_free", "persons_flat_free_old"],
            72 + 15 - both("persons_flat_linux_old_free"),
        ),
        // ANDed with another filter of the list.
        (
            vec![PersonFilter::any([linux(), old()]), free()],
            &["persons_flat_linux_free", "persons_flat_free_old"],
            72 + 15 - both("persons_flat_linux_old_free"),
        ),
        // `all` in `any`.
        (
            vec![PersonFilter::any([PersonFilter::all([nick(), free()]), linux()])],
            &["persons_flat_nick_free", "persons_props_exact"],
            18 + 500 - both("persons_flat_nick_linux"),
        ),
        (
            vec![nick(), PersonFilter::any([linux(), free()])],
            &["persons_flat_nick_linux", "persons_flat_nick_free"],
            18,
        ),
    ];
    for prefetch in [0, 3] {
        for (given, names, count) in &cases {
            let recordings = recordings(names);
            let replay = Replay::recorded(&recordings);
            let list = persons(&replay, given.clone()).prefetch(prefetch);
            let rows = list.all().unwrap();
            assert_eq!(rows, merged(&recordings), "{given:?}");
            assert_eq!(rows.len(), *count, "{given:?}");
            for (request, recorded) in replay.requests().iter().zip(recordings) {
                let expected = Request { target: recorded.target.clone(), ..Request::default() };
                assert_eq!(filters(request), filters(&expected), "{given:?}");
            }
        }
    }
}

#[test]
fn any_of_values_of_one_property_is_one_list() {
    let recorded = one("2023", "persons_props_exact_array");
    let first_page = || {
        let replay = Replay::recorded(&[recorded]);
        let either = PersonFilter::any([linux(), windows()]);
        let page = persons(&replay, [either]).page().unwrap();
        (page, replay.requests().remove(0))
    };
    let (page, request) = first_page();
    crate::check::request(&request, recorded);
    crate::check::page(&page, &json_of(recorded), true, "one property");
}

#[test]
fn equal_alternatives_are_read_once() {
    let recordings = recordings(&["persons_flat_free"]);
    let replay = Replay::recorded(&recordings);
    let all = PersonFilter::any([free(), PersonFilter::all([free(), free()]), free()]);
    assert_eq!(persons(&replay, [all]).all().unwrap().len(), 90);
    replay.requests();
}

#[test]
fn pages_say_that_there_is_more_until_the_last_list_is_read() {
    let recordings = recordings(&["persons_flat_nick_linux", "persons_flat_nick_free"]);
    let replay = Replay::recorded(&recordings);
    let list = persons(&replay, [nick(), PersonFilter::any([linux(), free()])]);
    let pages: Vec<_> = list.pages().map(Result::unwrap).collect();
    let shapes: Vec<_> = pages.iter().map(|p| (p.results.len(), p.count, p.has_next)).collect();
    assert_eq!(shapes, [(0, None, true), (18, None, false)]);
    let mut items =
        persons(&Replay::recorded(&recordings), [PersonFilter::any([linux(), free()])]).items();
    assert_eq!(items.total(), None);
    items.next();
    assert_eq!(items.total(), None);
}

#[test]
fn first_goes_on_to_the_next_list_until_it_finds_a_person() {
    let recordings = recordings(&["persons_flat_nick_linux", "persons_flat_nick_free"]);
    let replay = Replay::recorded(&recordings);
    let list = persons(&replay, [nick(), PersonFilter::any([linux(), free()])]);
    let first = list.first().unwrap().unwrap();
    assert_eq!(first, json_of(recordings[1])["results"][0]);
    replay.requests();
}

#[test]
fn a_taken_part_reads_no_list_that_it_does_not_need() {
    let recordings = recordings(&["persons_flat_free"]);
    let replay = Replay::recorded(&recordings);
    let list = persons(&replay, [PersonFilter::any([free(), linux()])]);
    let rows: Vec<Value> = list.items().take(3).map(Result::unwrap).collect();
    assert_eq!(uuids(&rows), uuids(&merged(&recordings))[..3]);
    assert_eq!(replay.requests().len(), 1);
}

#[test]
fn an_error_in_the_second_list_comes_after_the_rows_of_the_first() {
    let recordings = recordings(&["persons_flat_free", "persons_group_a_or_b"]);
    let replay = Replay::recorded(&recordings);
    let list = persons(&replay, [PersonFilter::any([free(), linux()])]);
    let mut items = list.items();
    let rows: Vec<Value> = items.by_ref().take(90).map(Result::unwrap).collect();
    assert_eq!(json!(rows), json_of(recordings[0])["results"]);
    let error = items.next().unwrap().unwrap_err();
    assert!(error.status().is_some(), "{error:?}");
    assert_eq!(error.status(), Some(500));
    assert!(items.next().is_none());
}

#[test]
fn more_alternatives_than_can_be_read_are_refused() {
    let replay = Replay::start(Vec::new());
    let pair =
        |n: usize| PersonFilter::any([p(&format!("a{n}")).is_set(), p(&format!("b{n}")).is_set()]);
    let error = persons(&replay, (0..6).map(pair)).all().unwrap_err();
    assert!(config_error(&error).contains("HogQL"), "{error}");
    let either = || [PersonFilter::any([linux(), free()])];
    let error = persons(&replay, either()).param("offset", 100).all().unwrap_err();
    assert!(config_error(&error).contains("offset"), "{error}");
    let error = persons(&replay, either()).param("format", "csv").page().unwrap_err();
    assert!(config_error(&error).contains("format"), "{error}");
    assert_eq!(replay.count(), 0);
}
