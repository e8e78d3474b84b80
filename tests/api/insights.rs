//! Proves that an insight is found by each of its ids, with what its address says, and that
//! `insight_computed` returns a result or says why there is none.
use crate::support::{Act, Server, client, error, together, within};
use crate::wire::{ok, refused, targets};
use posthog_api::{ErrorKind, InsightId, Refresh};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const OVERRIDES: &str =
    "filters_override=%7B%22date_from%22%3A%22-7d%22%7D&variables_override=%7B%7D";

fn computed() -> Value {
    json!({"id": 28, "short_id": "VdpVGSw3", "result": [{"aggregated_value": 3}]})
}

fn with_status(result: &Value, status: &Value) -> Value {
    json!({"id": 28, "result": result, "query_status": status})
}

fn running() -> Value {
    with_status(&Value::Null, &json!({"id": "q1", "complete": false, "error": false}))
}

#[test]
fn an_address_sends_its_overrides_and_its_dashboard() {
    let row = json!({"results": [computed()]});
    for (id, answers, sent) in [
        (
            format!("https://h.example/project/1/insights/VdpVGSw3?{OVERRIDES}&x=1"),
            vec![row.clone()],
            vec![format!(
                "GET /api/projects/1/insights/?{OVERRIDES}&refresh=blocking&short_id=VdpVGSw3&order=id&include_query_insights=true"
            )],
        ),
        (
            format!("/api/environments/1/insights/28/?{OVERRIDES}"),
            vec![computed()],
            vec![format!("GET /api/projects/1/insights/28/?{OVERRIDES}&refresh=blocking")],
        ),
        (
            "https://h.example/project/1/insights/VdpVGSw3?dashboard=5".to_owned(),
            vec![row, computed()],
            vec![
                "GET /api/projects/1/insights/?basic=true&short_id=VdpVGSw3&order=id&include_query_insights=true".to_owned(),
                "GET /api/projects/1/insights/28/?from_dashboard=5&refresh=blocking".to_owned(),
            ],
        ),
    ] {
        let server = Server::answers(&answers);
        let found = client(&server).project(1).insight_refreshed(&id, Refresh::Blocking);
        assert_eq!(found.unwrap(), computed(), "{id}");
        assert_eq!(targets(&server), sent);
    }
}

#[test]
fn what_is_not_the_id_of_an_insight_here_is_refused() {
    let server = Server::script([]);
    let project = client(&server).project(1);
    for (id, word) in [
        ("foo bar", "short id"),
        ("Vdp\u{e9}", "short id"),
        ("h.example/project/1/insights/foo%20bar", "short id"),
        ("h.example/project/2/insights/VdpVGSw3", "project 2"),
        ("h.example/environments/2/insights/VdpVGSw3", "project 2"),
        ("h.example/Project/%32/insights/VdpVGSw3", "project 2"),
        ("h.example/project/1/api/environments/2/insights/28", "two projects"),
    ] {
        for result in [project.insight(id), project.insight_computed(id)] {
            let why = refused(result);
            assert!(why.contains(word), "{id}: {why}");
        }
    }
    assert!(refused(project.insight(InsightId::short_id("foo bar"))).contains("short id"));
    assert_eq!(server.count(), 0);
}

#[test]
fn an_insight_is_computed_and_waited_for() {
    let old = json!([{"aggregated_value": 2}]);
    let busy = with_status(
        &Value::Null,
        &json!({"complete": true, "error": true, "error_message": "concurrency_limit_exceeded"}),
    );
    let asked = "GET /api/projects/1/insights/28/?refresh=async";
    let rows = [
        ("in the cache", vec![computed()], 1),
        ("running", vec![running(), running(), computed()], 3),
        // The old result does not count while a new one is computed.
        (
            "old",
            vec![with_status(&old, &json!({"complete": false, "error": false})), computed()],
            2,
        ),
        ("busy", vec![busy, computed()], 2),
    ];
    together(rows, |(name, answers, requests)| {
        let server = Server::answers(&answers);
        let start = Instant::now();
        let found = client(&server).project(1).insight_computed(28).unwrap();
        assert_eq!(found, computed(), "{name}");
        assert_eq!(targets(&server), vec![asked; requests], "{name}");
        let pauses = [0, 500, 500 + 750][requests - 1];
        assert!(start.elapsed() >= Duration::from_millis(pauses), "{name}");
    });
}

#[test]
fn a_short_id_is_looked_up_once_and_an_address_keeps_its_overrides() {
    let server = Server::answers(&[json!({"results": [computed()]}), running(), computed()]);
    let address = format!("https://h.example/project/1/insights/VdpVGSw3?{OVERRIDES}");
    client(&server).project(1).insight_computed(address).unwrap();
    let asked = format!("GET /api/projects/1/insights/28/?{OVERRIDES}&refresh=async");
    assert_eq!(
        targets(&server),
        [
            "GET /api/projects/1/insights/?basic=true&short_id=VdpVGSw3&order=id&include_query_insights=true",
            &asked,
            &asked
        ]
    );
}

#[test]
fn a_server_that_starts_nothing_is_asked_to_compute_once() {
    let null = json!({"id": 28, "result": null});
    for (second, kind) in [(computed(), None), (null.clone(), Some(ErrorKind::NotComputed))] {
        let server = Server::answers(&[null.clone(), second]);
        let found = client(&server).project(1).insight_computed(28);
        assert_eq!(found.as_ref().err().map(posthog_api::Error::kind), kind);
        if let Err(e) = found {
            assert!(!e.to_string().contains("insight_computed"), "{e}");
        }
        assert_eq!(
            targets(&server),
            ["async", "true"].map(|r| format!("GET /api/projects/1/insights/28/?refresh={r}"))
        );
    }
}

#[test]
fn an_insight_that_fails_or_takes_too_long_is_an_error() {
    let failed = json!({"complete": true, "error": true, "error_message": "boom"});
    let server = Server::answers(&[with_status(&Value::Null, &failed)]);
    let e = error(client(&server).project(1).insight_computed(28));
    assert_eq!(e.kind(), ErrorKind::QueryFailed);
    assert!(e.message().contains("boom"), "{e}");
    assert_eq!(e.call(), Some(("GET", "/api/projects/1/insights/28/")));

    let server = Server::script([Act::error(400, "validation_error", "invalid_input", "no")]);
    let e = error(client(&server).project(1).insight_computed(28));
    assert_eq!(e.kind(), ErrorKind::Refused);

    let server = Server::start(|_, _| ok(&running()));
    let deadline = Instant::now() + Duration::from_millis(900);
    let project = client(&server).project(1).with_deadline(deadline);
    let e = within(Duration::from_millis(1_500), || error(project.insight_computed(28)));
    assert_eq!(e.kind(), ErrorKind::Timeout);
    assert!(e.message().contains("still"), "{e}");
    assert_eq!(server.count(), 2);
}

#[test]
fn a_result_that_is_null_names_the_call_that_waits_for_it() {
    let server = Server::answers(&[json!({"id": 28, "result": null})]);
    let insight = client(&server).project(1).insight_refreshed(28, Refresh::Blocking).unwrap();
    let e = error(posthog_api::read(&insight));
    assert_eq!(e.kind(), ErrorKind::NotComputed);
    assert!(e.hint().unwrap().contains("insight_computed"), "{e}");
}
