//! Proves that exactly the persons who match a filter are found, each once: the filter evaluated
//! directly, against a server that evaluates flat lists, and against the groups that other routes
//! read.
use crate::generate::Random;
use crate::support::expect::config;
use crate::support::{Act, Request, Server, client, seen};
use crate::{share, vary};
use posthog_api::PersonFilter;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A filter as a tree.
#[derive(Debug)]
enum Tree {
    Leaf(&'static str, &'static str, Value),
    All(Vec<Tree>),
    Any(Vec<Tree>),
}

const KEYS: [&str; 3] = ["a", "b", "say \"é\""];

fn values() -> [Value; 8] {
    [
        json!("x"),
        json!("X y"),
        json!("1"),
        json!(1),
        json!(2.5),
        json!(true),
        json!("q\"\\"),
        json!(30),
    ]
}

/// Persons with some of the properties.
fn persons(random: &mut Random) -> Vec<Value> {
    let person = |id: usize| {
        let mut properties = json!({});
        for key in KEYS {
            if !random.one_in(3) {
                properties[key] = random.choose(&values()).clone();
            }
        }
        json!({"id": id, "uuid": format!("018f0000-0000-0000-0000-{id:012}"), "properties": properties})
    };
    (0..14).map(person).collect()
}

fn tree(random: &mut Random, depth: usize) -> Tree {
    if depth == 0 || random.one_in(3) {
        let operators =
            ["exact", "exact", "is_not", "icontains", "gt", "lte", "is_set", "is_not_set"];
        let operator = random.pick(&operators);
        let value = match operator {
            "exact" | "is_not" => {
                (0..=random.below(2)).map(|_| random.choose(&values()).clone()).collect()
            }
            "icontains" => json!(random.pick(&["x", "1", "TRUE", "5"])),
            "gt" | "lte" => json!(random.pick(&[1.0, 2.0, 29.5])),
            _ => Value::Null,
        };
        return Tree::Leaf(random.pick(&KEYS), operator, value);
    }
    if random.one_in(6) {
        // Alternatives that one list can have.
        let key = random.pick(&KEYS);
        let exact = |value: &Value| Tree::Leaf(key, "exact", json!([value]));
        return Tree::Any((0..=random.below(3)).map(|_| exact(random.choose(&values()))).collect());
    }
    let branches = (0..=random.below(3)).map(|_| tree(random, depth - 1)).collect();
    if random.one_in(2) { Tree::All(branches) } else { Tree::Any(branches) }
}

impl Tree {
    fn filter(&self) -> PersonFilter {
        match self {
            Tree::All(branches) => PersonFilter::all(branches.iter().map(Tree::filter)),
            Tree::Any(branches) => PersonFilter::any(branches.iter().map(Tree::filter)),
            Tree::Leaf(key, operator, value) => {
                let on = PersonFilter::property(*key);
                match *operator {
                    "exact" => on.exact(value),
                    "is_not" => on.is_not(value),
                    "icontains" => on.icontains(value.as_str().unwrap()),
                    "gt" => on.gt(value),
                    "lte" => on.lte(value),
                    "is_set" => on.is_set(),
                    _ => on.is_not_set(),
                }
            }
        }
    }

    fn matches(&self, person: &Value) -> bool {
        match self {
            Tree::All(branches) => branches.iter().all(|branch| branch.matches(person)),
            Tree::Any(branches) => branches.iter().any(|branch| branch.matches(person)),
            Tree::Leaf(key, operator, value) => {
                let own = person["properties"].get(*key);
                let is = |other: &Value| own.is_some_and(|own| text(own) == text(other));
                let one_of = || value.as_array().unwrap().iter().any(is);
                match *operator {
                    "exact" => one_of(),
                    "is_not" => !one_of(),
                    "is_set" => own.is_some(),
                    "is_not_set" => own.is_none(),
                    _ => own.is_some_and(|own| compares(own, operator, value)),
                }
            }
        }
    }

    /// How many lists of the disjunctive normal form there are at most.
    fn lists(&self) -> usize {
        match self {
            Tree::Leaf(..) => 1,
            Tree::All(branches) => branches.iter().map(Tree::lists).product(),
            Tree::Any(branches) => branches.iter().map(Tree::lists).sum(),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn compares(own: &Value, operator: &str, value: &Value) -> bool {
    let number = |value: &Value| text(value).parse::<f64>().ok();
    match operator {
        "icontains" => text(own).to_lowercase().contains(&text(value).to_lowercase()),
        "gt" => number(own) > number(value),
        "lte" => number(own).is_some_and(|own| Some(own) <= number(value)),
        other => panic!("{other}"),
    }
}

/// What a server makes of `properties`: a list, or groups.
fn serves(person: &Value, filter: &Value) -> bool {
    if let Some(list) = filter.as_array() {
        assert!(!list.is_empty(), "everybody would be found");
        return list.iter().all(|filter| serves(person, filter));
    }
    if let Some(values) = filter.get("values") {
        let values = values.as_array().unwrap();
        let groups = values.iter().filter(|value| value.get("values").is_some()).count();
        assert!(groups == 0 || groups == values.len(), "conditions beside groups: {filter}");
        return match filter["type"].as_str().unwrap() {
            "AND" => values.iter().all(|filter| serves(person, filter)),
            "OR" => values.iter().any(|filter| serves(person, filter)),
            other => panic!("{other}"),
        };
    }
    assert_eq!(filter["type"], "person");
    let own = person["properties"].get(filter["key"].as_str().unwrap());
    let texts = || filter["value"].as_array().unwrap().iter().map(|v| v.as_str().unwrap());
    // Current servers compare the JSON of a text, without its quotes.
    let json = |own: &Value| own.to_string().trim_matches('"').to_owned();
    match filter["operator"].as_str().unwrap() {
        "exact" => own.is_some_and(|own| texts().any(|text| text == json(own))),
        "is_not" => own.is_none_or(|own| texts().all(|text| text != json(own))),
        "is_set" => own.is_some(),
        "is_not_set" => own.is_none(),
        operator => own.is_some_and(|own| compares(own, operator, &filter["value"])),
    }
}

/// A page of the persons that match the flat list of a request.
fn page(persons: &[Value], size: usize, request: &Request) -> Act {
    let properties: Value = serde_json::from_str(&request.param("properties").unwrap()).unwrap();
    let flat = properties.as_array().unwrap();
    assert!(flat.iter().all(|filter| filter.get("values").is_none()), "a group: {properties}");
    let all: Vec<&Value> = persons.iter().filter(|person| serves(person, &properties)).collect();
    let offset = request.param("offset").map_or(0, |offset| offset.parse().unwrap());
    let rows: Vec<&Value> = all.iter().skip(offset).take(size).copied().collect();
    let next = offset + rows.len();
    // The link has lost the filter.
    let next = (next < all.len()).then(|| format!("http://in.example/api/?offset={next}"));
    Act::json(200, &json!({"results": rows, "next": next}))
}

#[test]
fn the_persons_of_a_filter_are_those_who_match_it() {
    let (mut found, mut refused) = (0, 0);
    let persons = persons(&mut Random::fixed());
    let rows = persons.clone();
    let server = Server::counting(move |request, _| page(&rows, 5, request));
    let client = client(&server);
    vary(300, |random| {
        let tree = tree(random, 3);
        let before = server.count();
        let list = client.project(1).persons().filter(tree.filter());
        let got = match list.prefetch(random.below(2)).all() {
            Ok(got) => got,
            Err(error) => {
                assert!(config(&seen(error)).contains("HogQL"));
                assert!(tree.lists() > 32 && server.count() == before, "{tree:?}");
                refused += 1;
                return;
            }
        };
        let ids: Vec<u64> = got.iter().map(|person| person["id"].as_u64().unwrap()).collect();
        let once: BTreeSet<u64> = ids.iter().copied().collect();
        assert_eq!(ids.len(), once.len(), "{ids:?} of {tree:?}");
        let expected = persons.iter().filter(|person| tree.matches(person));
        let expected: BTreeSet<u64> =
            expected.map(|person| person["id"].as_u64().unwrap()).collect();
        assert_eq!(once, expected, "{tree:?}");
        found += ids.len();
    });
    assert!(found > share(300) as usize, "{found} found");
    assert!(refused < share(100), "{refused} refused");
}

#[test]
fn the_groups_of_a_filter_say_what_it_says() {
    vary(1000, |random| {
        let persons = persons(random);
        let tree = tree(random, 4);
        let groups = serde_json::to_value(tree.filter()).unwrap();
        for person in &persons {
            assert_eq!(
                serves(person, &groups),
                tree.matches(person),
                "{person}: {groups}, {tree:?}"
            );
        }
    });
}
