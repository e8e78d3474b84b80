//! Proves steps 5 and 6: persons, and one person.

use std::collections::BTreeMap;

use posthog_api::{PersonFilter, PersonProperty};
use serde_json::{Value, json};

use crate::standin::{StandIn, client, recordings};
use crate::{all_sent, config, get, one_sent, recorded};

fn everybody() -> Vec<Value> {
    ["persons_walk", "persons_walk__p2", "persons_walk__p3"]
        .iter()
        .flat_map(|name| recorded(name)["results"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn all_persons_come_once_with_any_page_size() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let everybody = everybody();
    assert_eq!(everybody.len(), 250);
    for (size, pages) in
        [(None, 1), (Some(1000), 1), (Some(250), 2), (Some(100), 3), (Some(50), 6), (Some(7), 36)]
    {
        let list = project.persons();
        let list = match size {
            Some(size) => list.page_size(size),
            None => list,
        };
        assert_eq!(list.all().unwrap(), everybody, "{size:?}");
        let size = size.unwrap_or(1000);
        let expected: Vec<String> = (0..pages)
            .map(|page| match page {
                0 => get(&format!("/api/projects/1/persons/?limit={size}")),
                n => get(&format!("/api/projects/1/persons/?limit={size}&offset={}", n * size)),
            })
            .collect();
        assert_eq!(all_sent(&standin), expected);
    }
}

#[test]
fn persons_are_found_by_search_email_and_distinct_id() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let list = || project.persons();
    for (found, query, ids) in [
        (
            list().search("user5@example.com"),
            "search=user5%40example.com",
            vec!["b7c065c7-f558-557e-bc36-8015fec6fefb"],
        ),
        (
            list().email("user5@example.com"),
            "email=user5%40example.com",
            vec!["b7c065c7-f558-557e-bc36-8015fec6fefb"],
        ),
        (list().email("USER5@example.com"), "email=USER5%40example.com", vec![]),
        (
            list().distinct_id("did-0"),
            "distinct_id=did-0",
            vec!["75942c1f-50d6-5375-af54-38a4fc0d0957"],
        ),
        (
            list().distinct_id("user+1@example.com"),
            "distinct_id=user%2B1%40example.com",
            vec!["8fe7c928-874e-578d-bb3b-bc4d9436f788"],
        ),
        (
            list().distinct_id("日本 太郎"),
            "distinct_id=%E6%97%A5%E6%9C%AC%20%E5%A4%AA%E9%83%8E",
            vec!["f801ff9e-9231-56e8-8048-b4ff7c6cb6fd"],
        ),
        (list().search("a&b=c#d?e/f+g%"), "search=a%26b%3Dc%23d%3Fe%2Ff%2Bg%25", vec![]),
    ] {
        let persons = found.all().unwrap();
        let found: Vec<&str> = persons.iter().filter_map(|p| p["uuid"].as_str()).collect();
        assert_eq!(found, ids, "{query}");
        assert_eq!(
            one_sent(&standin),
            get(&format!("/api/projects/1/persons/?{query}&limit=1000"))
        );
    }
    for (list, what) in [
        (list().search(""), "search"),
        (list().email(""), "email"),
        (list().distinct_id(""), "distinct_id"),
    ] {
        let message = config(list.page());
        assert!(message.contains(what) && message.contains("empty"), "{message}");
    }
    assert!(standin.requests().is_empty());
}

#[test]
fn the_filter_of_the_tutorial_is_sent_byte_for_byte() {
    let standin = StandIn::start();
    let filter = PersonFilter::property("$initial_os").exact(["Linux"]);
    let persons = client(&standin.url()).project(1).persons().filter(filter).all().unwrap();
    assert_eq!(persons.len(), 74);
    assert_eq!(json!(persons), recorded("persons_props_exact_array_one")["results"]);
    assert_eq!(
        one_sent(&standin),
        get(
            "/api/projects/1/persons/?properties=%5B%7B%22key%22%3A%22%24initial_os%22%2C%22value%22%3A%5B%22Linux%22%5D%2C\
             %22operator%22%3A%22exact%22%2C%22type%22%3A%22person%22%7D%5D&limit=1000"
        )
    );
}

type Fits = fn(&BTreeMap<&str, &Value>) -> bool;

/// The number of rows from a real server: by the name of its recording, or as noted there.
enum Rows {
    Kept(&'static str),
    Noted(usize),
}

#[test]
fn every_filter_finds_the_persons_that_match_it() {
    use Rows::{Kept, Noted};
    let p = |key: &str| -> PersonProperty { PersonFilter::property(key) };
    let linux = || p("$initial_os").exact(["Linux"]);
    let free = || p("plan").exact("free");
    let cases: Vec<(Rows, Vec<PersonFilter>, Fits)> = vec![
        (Kept("persons_props_exact"), vec![p("$initial_os").exact("Linux")], |p| {
            is(p, "$initial_os", "Linux")
        }),
        (
            Kept("persons_props_exact_array"),
            vec![p("$initial_os").exact(["Linux", "Windows"])],
            |p| is(p, "$initial_os", "Linux") || is(p, "$initial_os", "Windows"),
        ),
        (Kept("persons_props_is_not"), vec![p("$initial_os").is_not(["Linux"])], |p| {
            !is(p, "$initial_os", "Linux")
        }),
        (Noted(101), vec![p("$initial_os").is_not(["Linux", "Windows"])], |p| {
            !is(p, "$initial_os", "Linux") && !is(p, "$initial_os", "Windows")
        }),
        (Kept("persons_props_icontains"), vec![p("email").icontains("USER1")], |p| {
            text(p, "email").contains("user1")
        }),
        (Noted(143), vec![p("email").not_icontains("user1")], |p| {
            !text(p, "email").contains("user1")
        }),
        (Kept("persons_props_regex"), vec![p("email").regex("^user1[0-9]@")], |p| {
            text(p, "email").strip_prefix("user1").is_some_and(|rest| rest.find('@') == Some(1))
        }),
        (Noted(143), vec![p("email").not_regex("user1")], |p| !text(p, "email").contains("user1")),
        (Kept("persons_props_gt"), vec![p("age").gt(60)], |p| age(p).is_some_and(|n| n > 60)),
        (Kept("persons_props_gte"), vec![p("age").gte(60)], |p| age(p).is_some_and(|n| n >= 60)),
        (Kept("persons_props_lt"), vec![p("age").lt(20)], |p| age(p).is_some_and(|n| n < 20)),
        (Kept("persons_props_lte"), vec![p("age").lte(20)], |p| age(p).is_some_and(|n| n <= 20)),
        (Noted(15), vec![p("price").is_set()], |p| p.contains_key("price")),
        (Kept("persons_props_is_set"), vec![p("nullable").is_set()], |p| {
            p.contains_key("nullable")
        }),
        (Noted(235), vec![p("price").is_not_set()], |p| !p.contains_key("price")),
        (
            Kept("persons_props_is_date_after"),
            vec![p("signup_date").is_date_after("2021-06-01")],
            |p| text(p, "signup_date") > "2021-06-01",
        ),
        (Noted(150), vec![p("signup_date").is_date_before("2021-06-01")], |p| {
            !text(p, "signup_date").is_empty() && text(p, "signup_date") < "2021-06-01"
        }),
        (Noted(1), vec![p("signup_date").is_date_exact("2021-06-01")], |p| {
            is(p, "signup_date", "2021-06-01")
        }),
        (Kept("persons_props_bool_string"), vec![p("is_paying").exact(true)], |p| {
            p.get("is_paying").is_some_and(|v| **v == json!(true))
        }),
        (Noted(5), vec![p("age").exact(30)], |p| age(p) == Some(30)),
        (Noted(5), vec![p("age").exact("30")], |p| age(p) == Some(30)),
        (Noted(5), vec![p("age").exact(30.0)], |p| age(p) == Some(30)),
        (Noted(21), vec![p("name").exact("tab\tname")], |p| is(p, "name", "tab\tname")),
        // Repeated filters are ANDed, and so are those of `all`.
        (Kept("persons_props_two"), vec![linux(), free()], |p| {
            is(p, "$initial_os", "Linux") && is(p, "plan", "free")
        }),
        (Kept("persons_props_two"), vec![PersonFilter::all([linux(), free()])], |p| {
            is(p, "$initial_os", "Linux") && is(p, "plan", "free")
        }),
        (Kept("persons_props_group_or"), vec![PersonFilter::any([linux(), free()])], |p| {
            is(p, "$initial_os", "Linux") || is(p, "plan", "free")
        }),
        (
            Kept("persons_props_group_nested"),
            vec![PersonFilter::any([linux(), p("$initial_os").exact("Windows")]), free()],
            |p| {
                (is(p, "$initial_os", "Linux") || is(p, "$initial_os", "Windows"))
                    && is(p, "plan", "free")
            },
        ),
        (
            Noted(136),
            vec![PersonFilter::any([PersonFilter::all([linux(), free()]), p("plan").exact("pro")])],
            |p| is(p, "$initial_os", "Linux") && is(p, "plan", "free") || is(p, "plan", "pro"),
        ),
    ];
    let totals = recordings::json("2023", "persons_totals.json");
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    for (rows, filters, fits) in cases {
        let what = format!("{filters:?}");
        let list =
            filters.into_iter().fold(project.persons().page_size(60), posthog_api::List::filter);
        let found = list.all().unwrap();
        let rows = match rows {
            Kept(name) => usize::try_from(totals[name].as_u64().unwrap()).unwrap(),
            Noted(rows) => rows,
        };
        assert_eq!(found.len(), rows, "{what}");
        let expected: Vec<Value> = everybody()
            .into_iter()
            .filter(|person| {
                let own = person["properties"].as_object().unwrap();
                fits(&own.iter().map(|(k, v)| (k.as_str(), v)).collect())
            })
            .collect();
        // The alternatives of `any` come one after the other.
        let sorted = |rows: Vec<Value>| {
            let mut ids: Vec<String> = rows.iter().map(|row| row["uuid"].to_string()).collect();
            ids.sort();
            ids
        };
        assert!(found == expected || what.contains("OR"), "{what}");
        assert_eq!(sorted(found), sorted(expected), "{what}");
    }
}

fn text<'a>(properties: &BTreeMap<&str, &'a Value>, key: &str) -> &'a str {
    properties.get(key).and_then(|v| v.as_str()).unwrap_or("")
}

fn is(properties: &BTreeMap<&str, &Value>, key: &str, value: &str) -> bool {
    text(properties, key) == value
}

fn age(properties: &BTreeMap<&str, &Value>) -> Option<u64> {
    properties.get("age")?.as_u64()
}

#[test]
fn filters_stay_on_every_page() {
    let standin = StandIn::start();
    let filter = PersonFilter::any([
        PersonFilter::property("$initial_os").exact(["Linux"]),
        PersonFilter::property("plan").exact(["free"]),
    ]);
    let persons =
        client(&standin.url()).project(1).persons().filter(filter).search("user").page_size(30);
    let persons = persons.all().unwrap();
    assert!(persons.iter().all(|p| p["properties"]["email"].as_str().unwrap().contains("user")));
    let requests = standin.take_requests();
    let lists = ["$initial_os", "plan"].map(|key| {
        let of_list =
            |request: &&crate::Request| request.param("properties").unwrap().contains(key);
        requests.iter().filter(of_list).collect::<Vec<_>>()
    });
    assert_eq!(lists[0].len() + lists[1].len(), requests.len());
    for (list, (key, value)) in lists.iter().zip([("$initial_os", "Linux"), ("plan", "free")]) {
        assert!(list.len() > 2);
        let filter = format!(
            r#"[{{"key":"{key}","value":["{value}"],"operator":"exact","type":"person"}}]"#
        );
        for (page, request) in list.iter().enumerate() {
            assert_eq!(request.param("search").as_deref(), Some("user"));
            assert_eq!(request.param("limit").as_deref(), Some("30"));
            assert_eq!(request.param("properties").as_deref(), Some(filter.as_str()));
            let offset = (page > 0).then(|| (30 * page).to_string());
            assert_eq!(request.param("offset"), offset);
        }
    }
}

#[test]
fn a_short_page_is_not_the_last() {
    let standin = StandIn::start();
    let persons = client(&standin.url()).project(4).persons().page_size(5);
    let page = persons.page().unwrap();
    assert_eq!((page.results.len(), page.has_next), (4, true));
    standin.take_requests();
    let all = client(&standin.url()).project(4).persons().page_size(5).all().unwrap();
    assert_eq!(json!(all), recorded("persons_edge_limit5")["results"]);
    assert_eq!(
        all_sent(&standin),
        [get("/api/projects/4/persons/?limit=5"), get("/api/projects/4/persons/?limit=5&offset=5")]
    );
}

#[test]
fn one_person_by_number_uuid_and_distinct_id() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let person = recorded("person_byid");
    assert_eq!(project.person(1).unwrap(), person);
    assert_eq!(one_sent(&standin), get("/api/projects/1/persons/1/"));
    let uuid = "75942c1f-50d6-5375-af54-38a4fc0d0957";
    assert_eq!(project.person(uuid).unwrap(), person);
    assert_eq!(one_sent(&standin), get(&format!("/api/projects/1/persons/{uuid}/")));

    let listed = project.person_by_distinct_id("did-0").unwrap().unwrap();
    assert_eq!(listed, recorded("persons_distinct_hit")["results"][0]);
    assert_eq!(one_sent(&standin), get("/api/projects/1/persons/?distinct_id=did-0&limit=1000"));
    assert_eq!(project.person_by_distinct_id("nobody").unwrap(), None);
    assert_eq!(one_sent(&standin), get("/api/projects/1/persons/?distinct_id=nobody&limit=1000"));
    assert!(config(project.person_by_distinct_id("")).contains("distinct_id"));
    for id in ["", ".", "..", "a/b?c#d e"] {
        config(project.person(id));
    }
    assert!(config(project.person("did-0")).contains("person_by_distinct_id"));
    assert!(standin.requests().is_empty());

    assert_eq!(project.person(&listed).unwrap(), person);
    assert_eq!(one_sent(&standin), get(&format!("/api/projects/1/persons/{uuid}/")));
    assert!(project.person(99_999_999).unwrap_err().kind() == posthog_api::ErrorKind::NotFound);
    assert_eq!(one_sent(&standin), get("/api/projects/1/persons/99999999/"));
}
