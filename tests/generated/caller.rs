//! Proves that what a caller gives arrives as it was, or is refused before anything is sent.
use crate::KEY;
use crate::check;
use crate::generate::*;
use crate::home::{Home, ok, query_pairs};
use crate::rules::*;
use posthog_api::{Auth, InsightId, PersonFilter};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::select;
use proptest::{option, prop_assert, prop_assert_eq, prop_oneof};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn parameters_arrive_as_they_were_or_are_refused() {
    let server = Home::start();
    let client = server.client();
    let place =
        (select(&["limit", "offset"][..]), select(&["0", "1", "007", "-1", "1.5", "x"][..]));
    let place = place.prop_map(|(name, value)| (name.to_owned(), value.into()));
    let inputs = (vec(prop_oneof![5 => (name(), value()), 1 => place], 0..4), any::<bool>());
    check(500, &inputs, |(params, list)| {
        server.answer(&ok("[]"));
        let project = client.project(1);
        let outcome = if list {
            let list = project.list("cohorts");
            params.iter().fold(list, |list, (n, v)| list.param(n, v)).all()
        } else {
            let request = project.get("cohorts/");
            let request = params.iter().fold(request, |r, (n, v)| r.param(n, v));
            request.send().map(|answer| vec![answer])
        };
        let mut sent: Vec<(String, String)> = Vec::new();
        let mut right = true;
        for (name, value) in &params {
            let twice = sent.iter().any(|(n, _)| n == name);
            let text = as_text(value);
            right &= !twice && may_be_sent(name, text.as_deref());
            right &= !list || text.as_deref().is_none_or(|text| may_page(name, text));
            sent.extend(text.map(|text| (name.clone(), text)));
        }
        let path = "/api/projects/1/cohorts/";
        let encoded: usize = sent.iter().map(|(n, v)| 2 + length(n) + length(v)).sum();
        right &= server.url.len() + path.len() + encoded <= 65_534;
        if let Some(seen) = server.arrived(&outcome, right)? {
            prop_assert_eq!(seen.path(), path);
            prop_assert_eq!(query_pairs(&seen)?, sent);
        }
        Ok(())
    });
}

#[test]
fn filters_and_searches_of_persons_arrive_as_they_were_or_are_refused() {
    let server = Home::start();
    let client = server.client();
    let filters = vec((text(), select(OPERATORS), operand()), 0..4);
    let options = vec(option::weighted(0.4, text()), 3);
    check(1_000, &(filters, any::<bool>(), options), |(filters, or, options)| {
        server.answer(&ok(r#"{"next":null,"results":[]}"#));
        let built: Vec<PersonFilter> = filters.iter().map(|(k, o, v)| filter(k, o, v)).collect();
        let expected: Option<Vec<Value>> = filters
            .iter()
            .map(|(key, operator, value)| {
                let value = operand_on_the_wire(operator, value).filter(|_| !key.is_empty())?;
                Some(json!({"key": key, "value": value, "operator": operator, "type": "person"}))
            })
            .collect();
        let mut list = client.project(1).persons();
        let mut params = BTreeMap::from([("limit".to_owned(), "1000".to_owned())]);
        for (name, text) in ["search", "email", "distinct_id"].into_iter().zip(&options) {
            let Some(text) = text else { continue };
            list = match name {
                "search" => list.search(text),
                "email" => list.email(text),
                _ => list.distinct_id(text),
            };
            params.insert(name.to_owned(), text.clone());
        }
        let list = if or {
            list.filter(PersonFilter::any(built))
        } else {
            built.into_iter().fold(list, posthog_api::List::filter)
        };
        let right = expected.is_some()
            && !(or && filters.is_empty())
            && !params.values().any(String::is_empty);
        let outcome = list.all();
        if !right {
            server.arrived(&outcome, false)?;
            return Ok(());
        }
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
        let mut sent = Vec::new();
        for seen in server.seen() {
            let mut seen: BTreeMap<String, String> = query_pairs(&seen)?.into_iter().collect();
            sent.push(seen.remove("properties").map(|text| all_of(&parsed(&text))));
            prop_assert_eq!(&seen, &params);
        }
        let mut leaves = expected.unwrap_or_default();
        if or {
            leaves = alternatives(leaves);
        } else {
            keep_first(&mut leaves);
        }
        let expected: Vec<Option<BTreeSet<String>>> = match leaves.len() {
            0 => vec![None],
            _ if or => leaves.into_iter().map(|leaf| Some(all_of(&json!([leaf])))).collect(),
            _ => vec![Some(all_of(&leaves.into()))],
        };
        prop_assert_eq!(sent, expected);
        Ok(())
    });
}

/// The texts of conditions that a person must all match: their order does not count.
fn all_of(conditions: &Value) -> BTreeSet<String> {
    let conditions = reparsed(conditions);
    conditions.as_array().unwrap().iter().map(Value::to_string).collect()
}

#[test]
fn short_ids_and_distinct_ids_are_looked_up_unchanged_or_are_refused() {
    let server = Home::start();
    let client = server.client();
    let ids = prop_oneof![3 => text(), 1 => "[0-9A-Za-z_-]{1,12}"];
    check(300, &(ids, any::<bool>()), |(id, short)| {
        let (name, row) = if short {
            ("short_id", json!({"short_id": id}))
        } else {
            ("distinct_id", json!({"distinct_ids": [id]}))
        };
        server.answer(&ok(json!({"next": null, "results": [row]}).to_string()));
        let project = client.project(1);
        let found = if short {
            project.insight(InsightId::short_id(&id)).map(Some)
        } else {
            project.person_by_distinct_id(&id)
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let right = !id.is_empty() && (!short || id.chars().all(fits));
        if let Some(seen) = server.arrived(&found, right)? {
            prop_assert_eq!(found.unwrap(), Some(row));
            prop_assert!(query_pairs(&seen)?.contains(&(name.to_owned(), id)));
        }
        Ok(())
    });
}

#[test]
fn the_id_of_a_person_is_a_number_or_a_uuid_or_is_refused() {
    let server = Home::start();
    let client = server.client();
    let uuid = "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    let ids = prop_oneof![
        2 => "[0-9]{1,22}",
        2 => uuid,
        1 => "[0-9a-f]{31,33}",
        1 => "[0-9a-f]{7,8}-?[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-g]{12}",
        4 => text(),
    ];
    check(700, &ids, |id| {
        server.answer(&ok("{}"));
        let text = id.trim();
        let hex: Vec<usize> = text
            .split('-')
            .filter(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
            .map(str::len)
            .collect();
        let uuid =
            matches!(hex[..], [32] | [8, 4, 4, 4, 12]) && hex.len() == text.split('-').count();
        let number = text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
        let segment = if uuid { Some(text.to_owned()) } else { number.map(|n| n.to_string()) };
        let outcome = client.project(1).person(&id);
        if let Some(seen) = server.arrived(&outcome, segment.is_some())? {
            prop_assert_eq!(seen.target, format!("/api/projects/1/persons/{}/", segment.unwrap()));
        }
        Ok(())
    });
}

#[test]
fn paths_arrive_as_they_were_or_are_refused() {
    let server = Home::start();
    let bare = server.client();
    let below = server.builder().host(format!("{}/sub path", server.url));
    let below = below.build().unwrap();
    let inputs = (prop_oneof![text(), text().prop_map(|t| format!("/{t}"))], 0..3);
    check(1_000, &inputs, |(path, way)| {
        server.answer(&ok("{}"));
        let (outcome, whole) = match way {
            0 => (bare.get(&path).send(), path.clone()),
            1 => (below.get(&path).send(), path.clone()),
            _ => {
                let whole = format!("/api/projects/7/{path}");
                (bare.project(7).delete(&path).send(), whole)
            }
        };
        if let Some(seen) = server.arrived(&outcome, is_path(&whole))? {
            let prefix = if way == 1 { "/sub path" } else { "" };
            let expected = loosely_decoded(&format!("{prefix}{whole}"));
            prop_assert_eq!(strictly_decoded(&seen.target)?, expected);
            let slashes = |s: &str| s.bytes().filter(|b| *b == b'/').count();
            prop_assert_eq!(slashes(&seen.target), slashes(&whole) + slashes(prefix));
        }
        Ok(())
    });
}

#[test]
fn sql_and_its_values_arrive_as_they_were_or_are_refused() {
    let server = Home::start();
    let client = server.client();
    let placeholder = prop_oneof![
        8 => "[a-z_]{1,4}",
        2 => text(),
        1 => select(vec!["filters", "filters.a", "variables", "variables.a"]).prop_map(String::from),
    ];
    let value = option::of(prop_oneof![text().prop_map(Value::from), any_json()]);
    let inputs = (text(), placeholder, text(), value, text());
    check(700, &inputs, |(before, name, after, value, other)| {
        let sql = if other.len() % 4 == 0 { other } else { format!("{before}{{{name}}}{after}") };
        server.answer(&ok(r#"{"columns":["a"],"results":[[1]],"hasMore":false}"#));
        let query = client.project(1).hogql(sql.as_str());
        let query = match &value {
            Some(value) => query.value(&name, value),
            None => query,
        };
        // PostHog fills these in itself, and cannot insert an object.
        let own = matches!(name.split('.').next(), Some("filters" | "variables"));
        let takes = |value: &Value| !own && !value.is_object() && has_placeholder(&sql, &name);
        let right = !sql.trim().is_empty() && value.as_ref().is_none_or(takes);
        // No text may make these two panic.
        let _ = query.clone().scan(&name).into_iter().next();
        server.answer(&ok(r#"{"columns":["a"],"results":[[1]],"hasMore":false}"#));
        let _ = query.clone().rows();
        server.answer(&ok(r#"{"columns":["a"],"results":[[1]],"hasMore":false}"#));
        if let Some(seen) = server.arrived(&query.send(), right)? {
            let mut expected = json!({"query": {"kind": "HogQLQuery", "query": sql}});
            if let Some(value) = value {
                expected["query"]["values"] = json!({name: value});
            }
            prop_assert_eq!(from_bytes(&seen.body), Some(reparsed(&expected)));
        }
        Ok(())
    });
}

#[test]
fn bodies_arrive_as_they_were() {
    let server = Home::start();
    let (plain, body) = (server.client(), server.builder().auth(Auth::Body));
    let body = body.build().unwrap();
    check(400, &(any_json(), any::<bool>()), |(value, auth)| {
        server.answer(&ok(""));
        let client = if auth { &body } else { &plain };
        let outcome = client.post("/api/x/").json(&value).send();
        let right = !auth || value.is_object();
        if let Some(seen) = server.arrived(&outcome, right)? {
            prop_assert_eq!(outcome.unwrap(), Value::Null);
            let mut expected = reparsed(&value);
            if auth {
                expected["personal_api_key"] = KEY.into();
            }
            prop_assert_eq!(from_bytes(&seen.body), Some(expected));
        }
        Ok(())
    });
}
