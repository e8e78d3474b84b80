//! Proves how parameters are written, that defaults can be replaced, and what is refused.
use crate::support::{Server, client};
use crate::wire::{empty, lines, refused};
use serde_json::{Value, json};

#[test]
fn parameters_are_sent_as_text_or_as_json() {
    #[derive(serde_derive::Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Named {
        TwoWords,
    }
    let server = empty();
    let project = client(&server).project(1);
    let cases: Vec<(Value, Option<&str>)> = vec![
        (json!("plain"), Some("plain")),
        (json!(""), Some("")),
        (json!("a b&c=d+e/f?g#h%é\"\n"), Some("a%20b%26c%3Dd%2Be%2Ff%3Fg%23h%25%C3%A9%22%0A")),
        (json!("null"), Some("null")),
        (json!("[1]"), Some("%5B1%5D")),
        (json!(true), Some("true")),
        (json!(-3), Some("-3")),
        (json!(u64::MAX), Some("18446744073709551615")),
        (json!(1.5), Some("1.5")),
        (json!([1, 2]), Some("%5B1%2C2%5D")),
        (json!(["a", "b"]), Some("%5B%22a%22%2C%22b%22%5D")),
        (json!({"date_from": "-7d"}), Some("%7B%22date_from%22%3A%22-7d%22%7D")),
        (json!(null), None),
    ];
    for (value, text) in cases {
        let target = match text {
            Some(text) => format!("GET /api/projects/1/things/?x={text}&last=1"),
            None => "GET /api/projects/1/things/?last=1".to_owned(),
        };
        project.list("things").param("x", &value).param("last", 1).page().unwrap();
        project.get("things/").param("x", &value).param("last", 1).send().unwrap();
        assert_eq!(lines(&server), [target.clone(), target], "{value}");
    }
    for (list, query) in [
        (project.list("things").param("x", "a"), "x=a"),
        (project.list("things").param("x", String::from("a")), "x=a"),
        (project.list("things").param("x", 'c'), "x=c"),
        (project.list("things").param("x", Some("a")).param("y", None::<u8>), "x=a"),
        (project.list("things").param("x", Named::TwoWords), "x=two_words"),
        (project.list("things").param("x", ()), ""),
        (project.list("things").param("a b[]", "c"), "a%20b%5B%5D=c"),
        (project.list("things").param("x", None::<u8>).param("x", 1), "x=1"),
        (project.list("things").page_size(7), "limit=7"),
        (project.list("things").param("limit", 8), "limit=8"),
    ] {
        list.page().unwrap();
        let mark = if query.is_empty() { "" } else { "?" };
        assert_eq!(lines(&server), [format!("GET /api/projects/1/things/{mark}{query}")]);
    }
}

#[test]
fn the_defaults_of_persons_and_insights_can_be_replaced() {
    let server = empty();
    let project = client(&server).project(1);
    project.persons().page().unwrap();
    project.persons().page_size(5).page().unwrap();
    project.persons().param("limit", 6).page().unwrap();
    assert_eq!(
        lines(&server),
        ["1000", "5", "6"].map(|limit| format!("GET /api/projects/1/persons/?limit={limit}"))
    );
    project.insights().page().unwrap();
    project.insights().param("order", "-last_modified_at").page().unwrap();
    project.insights().param("include_query_insights", false).page().unwrap();
    project
        .insights()
        .param("order", "name")
        .param("include_query_insights", "0")
        .page_size(9)
        .page()
        .unwrap();
    project.insights().param("order", json!(null)).page().unwrap();
    assert_eq!(
        lines(&server),
        [
            "order=id&include_query_insights=true",
            "order=-last_modified_at&include_query_insights=true",
            "include_query_insights=false&order=id",
            "order=name&include_query_insights=0&limit=9",
            "order=id&include_query_insights=true",
        ]
        .map(|query| format!("GET /api/projects/1/insights/?{query}"))
    );
}

#[test]
fn an_invalid_parameter_is_refused_before_anything_is_sent() {
    let script = Server::script([]);
    let project = client(&script).project(1);
    let no_json = std::collections::BTreeMap::from([(vec![1], 2)]);
    for (error, why) in [
        (refused(project.list("x").param("a", 1).param("a", 2).page()), "twice"),
        (refused(project.get("x").param("a", 1).param("a", 1).send()), "twice"),
        (refused(project.list("x").page_size(5).param("limit", 6).all()), "twice"),
        (refused(project.list("x").param("limit", 6).page_size(5).first()), "twice"),
        (refused(project.list("x").page_size(5).page_size(5).page()), "twice"),
        (refused(project.persons().search("a").search("b").page()), "twice"),
        (refused(project.insights().saved(true).param("saved", false).page()), "twice"),
        (refused(project.insights().param("order", "id").param("order", "name").page()), "twice"),
        (
            refused(
                project
                    .persons()
                    .param("properties", json!([]))
                    .filter(posthog_api::PersonFilter::property("a").is_set())
                    .page(),
            ),
            "properties",
        ),
        (refused(project.list("x").param("a", f64::NAN).page()), "NaN"),
        (refused(project.get("x").param("a", f64::INFINITY).send()), "\"a\""),
        (refused(project.list("x").page_size(0).page()), "page"),
        (refused(project.list("x").param("", 1).page()), "name"),
        (refused(project.get("x").param("", 1).send()), "name"),
        (refused(project.list("x").param("a", &no_json).page()), "key must be a string"),
        (refused(project.get("x").param("a", &no_json).send()), "key must be a string"),
        (refused(project.post("x").json(&no_json).send()), "key must be a string"),
        // The first mistake is reported.
        (refused(project.list("x").param("", 1).page_size(0).items().next().unwrap()), "name"),
    ] {
        assert!(error.contains(why), "{why}: {error}");
    }
    for name in ["search", "email", "distinct_id", "short_id"] {
        for error in [
            refused(project.list("x").param(name, "").page()),
            refused(project.get("x").param(name, "").send()),
        ] {
            assert!(error.contains(name), "{name}: {error}");
        }
    }
    for name in ["token", "api_key", "personal_api_key"] {
        for error in [
            refused(project.list("x").param(name, "phx_z").page()),
            refused(project.list("x").param(name, "phx_z").items().next().unwrap()),
            refused(project.list("x").param(name, json!(null)).pages().next().unwrap()),
            refused(project.get("x").param(name, "phx_z").send()),
            refused(project.post("x").param(name, 1).json(json!({})).send()),
            refused(client(&script).get("/api/users/@me/").param(name, "phx_z").text()),
            refused(client(&script).list("/api/projects/").param(name, "phx_z").all()),
        ] {
            assert!(error.contains(name) && !error.contains("phx_z"), "{error}");
        }
    }
    assert_eq!(script.count(), 0);
}
