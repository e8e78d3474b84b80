//! Proves that the rows of a page are the elements of its `results`, whatever else the page has, and
//! that an unreadable row costs no other row.
use crate::answers::value;
use crate::generate::{BODY, bodies, bytes, change_json, changed_body};
use crate::home::{Home, ok};
use crate::support::seen;
use crate::{check, share, vary};
use posthog_api::ErrorKind;
use proptest::prelude::Strategy;
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq, prop_oneof};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The rows of a page and its count, or nothing where it is not a page.
fn page(value: Value) -> Option<(Vec<Value>, Option<u64>)> {
    match value {
        Value::Array(rows) => Some((rows, None)),
        Value::Object(mut page) => {
            let count = page.get("count").or(page.get("total_count")).and_then(Value::as_u64);
            let rows = page.remove("results").or_else(|| page.remove("result"))?;
            Some((rows.as_array()?.clone(), count))
        }
        _ => None,
    }
}

/// Whether a page has the same thing under two names: which one counts depends on their order.
fn is_ambiguous(value: &Value) -> bool {
    let both = |a, b| value.get(a).is_some() && value.get(b).is_some();
    both("results", "result") || both("count", "total_count")
}

fn compare(client: &posthog_api::Client, expected: Option<(Vec<Value>, Option<u64>)>) {
    match (client.list("/api/x/").page(), expected) {
        (Ok(page), Some((rows, count))) => {
            assert_eq!(page.results, rows);
            assert_eq!(page.count, count);
        }
        (Err(error), None) => assert_eq!(seen(error).kind(), ErrorKind::Decode),
        (got, expected) => panic!("{got:?} instead of {expected:?}"),
    }
}

#[test]
fn the_rows_of_any_page_are_its_results() {
    let server = Home::start();
    let client = server.plain();
    let mut pages = 0;
    vary(266, |random| {
        let mut whole: Value = serde_json::from_slice(random.choose::<Vec<u8>>(bodies())).unwrap();
        change_json(random, &mut whole);
        if random.one_in(3) {
            let next = json!("http://x/?offset=2");
            whole = json!({"results": [whole, 1], "next": next, "total_count": random.below(9)});
        }
        if is_ambiguous(&whole) {
            return;
        }
        server.answers(vec![ok(whole.to_string())]);
        let expected = page(value(whole.to_string().as_bytes()).unwrap());
        pages += u32::from(expected.is_some());
        compare(&client, expected);
    });
    assert!(pages > share(60), "{pages} pages");
}

#[test]
fn a_list_of_any_bytes_ends() {
    let server = Home::start();
    let client = server.plain();
    let ids = bytes(BODY)
        .prop_map(|end| [&br#"{"results":[{"id":1},{"id":"x"}],"a":"#[..], &end, b"}"].concat());
    let bodies = prop_oneof![bytes(BODY), changed_body(), ids];
    check(330, &(bodies, 0usize..3), |(body, ahead)| {
        // The second page, if there is one, is the last.
        let lay = || server.answers(vec![ok(&body), ok("[]")]);
        lay();
        let list = client.list("/api/x/").prefetch(ahead);
        let items = ends(list.items())?;
        if let Some(value) = value(&body).filter(|value| !is_ambiguous(value)) {
            let rows = page(value).map_or(0, |(rows, _)| rows.len());
            prop_assert_eq!(items, rows);
        }
        lay();
        ends(client.list("/api/x/").items_as::<HashMap<String, u64>>()).map(|_| ())
    });
}

/// The number of rows of a list, which goes on after the error of a row only.
fn ends<T>(list: impl Iterator<Item = posthog_api::Result<T>>) -> Result<usize, TestCaseError> {
    let (mut rows, mut over) = (0, false);
    for item in list.take(1_000) {
        prop_assert!(!over, "it goes on after an error");
        match item {
            Ok(_) => rows += 1,
            Err(error) => {
                let kind = seen(error).kind();
                prop_assert!(
                    [ErrorKind::Decode, ErrorKind::Row, ErrorKind::Paging].contains(&kind)
                );
                over = kind != ErrorKind::Row;
            }
        }
    }
    Ok(rows)
}

#[test]
fn an_unreadable_row_costs_no_other_row() {
    const BAD: [&str; 4] = ["1e999", "-1e400", "[1e999]", "{\"a\":1e999}"];
    let server = Home::start();
    let client = server.plain();
    let deep = "[".repeat(140) + &"]".repeat(140);
    vary(133, |random| {
        let mut rows = Vec::new();
        for id in 0..=random.below(6) {
            let good = json!({"id": id, "a": "x \\ud83d \" ]", "n": [0.1, -3, u64::MAX]});
            let mut text = good.to_string();
            let is_bad = random.one_in(3);
            if is_bad {
                let bad: &str = if random.one_in(4) { &deep } else { random.pick(&BAD) };
                text = match random.below(3) {
                    0 => text.replace("-3", bad),
                    1 => text.replacen('{', &format!("{{\"properties\":{{\"k\":{bad}}},"), 1),
                    _ => bad.to_owned(),
                };
            }
            rows.push((text, (!is_bad).then_some(good)));
        }
        let texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
        server.answers(vec![ok(format!("{{\"next\":null,\"results\":[{}]}}", texts.join(",")))]);
        let got = client.list("/api/x/").all().unwrap();
        assert_eq!(got.len(), rows.len());
        for (got, (text, good)) in got.iter().zip(&rows) {
            match good {
                Some(good) => assert_eq!(got, good),
                None => check_repaired(got, text),
            }
        }
        // Read as a type, such a row is an error and the others are not.
        let typed = client.list("/api/x/").items_as::<Map<String, Value>>();
        let typed: Vec<bool> = typed.map(|row| row.map_err(seen).is_ok()).collect();
        let good: Vec<bool> = rows.iter().map(|(_, good)| good.is_some()).collect();
        assert_eq!(typed, good);
    });
}

/// Each readable member of the row is there, and what cannot be read is its JSON text.
fn check_repaired(got: &Value, text: &str) {
    let Ok(members) = serde_json::from_str::<HashMap<String, Box<RawValue>>>(text) else {
        return assert_eq!(got, text);
    };
    for (name, raw) in &members {
        match serde_json::from_str::<Value>(raw.get()) {
            Ok(value) => assert_eq!(got[name], value),
            Err(_) if name == "properties" => check_repaired(&got[name], raw.get()),
            Err(_) => assert_eq!(got[name], raw.get()),
        }
    }
}
