//! Proves which project a key is for, and which route each call of a project asks.
use crate::support::{Act, Server, client, error, trying};
use crate::wire::{lines, ok, targets};
use posthog_api::ErrorKind;
use serde_json::{Value, json};

#[test]
fn the_current_project_is_asked_for() {
    let server = Server::answers(&[json!({"id": 7, "name": "x"}), json!({"name": "x"})]);
    let client = client(&server);
    assert_eq!(client.current_project().unwrap().id(), 7);
    let e = error(client.current_project());
    assert_eq!(e.kind(), ErrorKind::Decode);
    assert_eq!(targets(&server), ["GET /api/projects/@current/"; 2]);
}

#[test]
fn the_persons_of_a_cohort_are_a_list() {
    let server = Server::answers(&[json!({"results": [{"id": 1}], "next": null})]);
    assert_eq!(client(&server).project(2).cohort_persons(5).all().unwrap(), [json!({"id": 1})]);
    let sent = lines(&server).remove(0);
    assert!(sent.starts_with("GET /api/projects/2/cohorts/5/persons/"), "{sent}");
}

#[test]
fn a_key_that_is_restricted_to_projects_gets_those_that_it_may_use() {
    let teams = json!([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}]);
    let me = json!({"organization": {"teams": teams}, "team": teams[0]});
    let refused = || Act::error(403, "authentication_error", "permission_denied", "scoped");
    for (key, ids) in [
        (ok(&json!({"scoped_teams": [3, 1]})), vec![1, 3]),
        (ok(&json!({"scoped_teams": []})), vec![1, 2, 3]),
        (ok(&json!({"scoped_teams": null})), vec![1, 2, 3]),
        (Act::status(404), vec![1, 2, 3]),
    ] {
        let server = Server::script([refused(), ok(&me), key]);
        let found = client(&server).projects().unwrap();
        let found: Vec<u64> = found.iter().filter_map(|p| p["id"].as_u64()).collect();
        assert_eq!(found, ids);
        assert_eq!(
            targets(&server),
            ["/api/projects/", "/api/users/@me/", "/api/personal_api_keys/@current/"]
                .map(|path| format!("GET {path}"))
        );
    }
}

#[test]
fn a_run_of_an_endpoint_is_a_read() {
    for path in ["endpoints/signups/run/", "endpoints/signups/run"] {
        let unavailable = || Act::status(503).header("retry-after", "0");
        let server = Server::script([unavailable(), ok(&json!({"results": []}))]);
        let project = trying(&server, 1).project(1);
        let answer: Value = project.post(path).json(json!({"limit": 5})).send().unwrap();
        assert_eq!(answer, json!({"results": []}));
        assert_eq!(server.all_requests().len(), 2);
    }
    // Any other POST may have been done.
    for path in ["endpoints/", "endpoints/run/", "endpoints/a/b/run/", "runs/signups/run/"] {
        let server = Server::script([Act::status(503).header("retry-after", "0")]);
        let e = error(trying(&server, 1).project(1).post(path).send());
        assert!(e.may_have_been_done(), "{path}");
        assert_eq!(server.all_requests().len(), 1, "{path}");
    }
}
