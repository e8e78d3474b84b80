//! Proves step 2: who am I, and which projects are there?

use serde_json::{Value, json};

use crate::standin::http::Answer;
use crate::standin::{NO_ORGANIZATION_KEY, Replay, StandIn, builder_with_key, client};
use crate::{config, get, one_sent, recorded, whole};

#[test]
fn me_names_the_user_and_the_projects() {
    let standin = StandIn::start();
    let me = client(&standin.url()).me().unwrap();
    assert_eq!(one_sent(&standin), get("/api/users/@me/"));
    assert_eq!(me["email"], "ada@example.com");
    assert_eq!(me["team"]["id"], 1);
    let teams = me["organization"]["teams"].as_array().unwrap();
    let named: Vec<_> = teams.iter().map(|t| (&t["id"], &t["name"])).collect();
    assert_eq!(named, [(&json!(1), &json!("Main project")), (&json!(2), &json!("Second project"))]);
}

#[test]
fn projects_are_found_by_name() {
    let standin = StandIn::start();
    let client = client(&standin.url());
    let projects = client.projects().unwrap();
    assert_eq!(json!(projects), recorded("projects_list")["results"]);
    assert_eq!(one_sent(&standin), get("/api/projects/"));

    let second = client.project_named("Second project").unwrap();
    assert_eq!(one_sent(&standin), get("/api/projects/"));
    assert_eq!(second.id(), 2);
    assert_eq!(second.persons().all().unwrap(), Vec::<Value>::new());
    assert_eq!(one_sent(&standin), get("/api/projects/2/persons/?limit=1000"));

    for name in ["main project", "Main", "", "Main project "] {
        let message = config(client.project_named(name));
        for part in [format!("{name:?}").as_str(), r#""Second project""#, "2", r#""Main project""#]
        {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn an_ambiguous_name_is_an_error_with_the_ids() {
    let page = |rows: Value, next: Value| json!({"count": 3, "next": next, "previous": null, "results": rows});
    let replay = Replay::json(&[
        page(
            json!([{"id": 7, "name": "Shop"}, {"id": 8, "name": "Other"}]),
            json!("http://elsewhere/api/projects/?limit=2&offset=2"),
        ),
        page(json!([{"id": 9, "name": "Shop"}]), Value::Null),
    ]);
    let message = config(client(&replay.url()).project_named("Shop"));
    assert!(["\"Shop\"", "7", "9"].iter().all(|part| message.contains(part)), "{message}");
    let targets: Vec<String> = replay.requests().into_iter().map(|r| r.target).collect();
    assert_eq!(targets, ["/api/projects/", "/api/projects/?limit=2&offset=2"]);
}

#[test]
fn a_key_that_may_not_list_projects_finds_them_in_its_user() {
    let denied = || {
        let detail = "API keys with scoped projects are only supported on project-based endpoints.";
        Answer::json(403, &json!({"type": "authentication_error", "code": "permission_denied", "detail": detail, "attr": null}).to_string())
    };
    let key = || Answer::json(200, r#"{"scoped_teams": null}"#);
    let me = recorded("auth_me_bearer_ok");
    for (me, ids) in [
        (me.clone(), vec![1, 2]),
        (json!({"organization": null, "team": {"id": 5, "name": "Only"}}), vec![5]),
        (json!({"organization": {"teams": []}, "team": null}), vec![]),
        (recorded("auth_me_noorg"), vec![]),
    ] {
        let replay = Replay::start(vec![denied(), Answer::json(200, &me.to_string()), key()]);
        let projects = client(&replay.url()).projects().unwrap();
        let found: Vec<_> = projects.iter().filter_map(|p| p["id"].as_u64()).collect();
        assert_eq!((found, projects.len()), (ids.clone(), ids.len()), "{me}");
        let sent: Vec<_> = replay.requests().iter().map(|r| whole(r, &replay.url())).collect();
        let key = get("/api/personal_api_keys/@current/");
        assert_eq!(sent, [get("/api/projects/"), get("/api/users/@me/"), key]);
    }
    let replay = Replay::start(vec![denied(), Answer::json(200, &me.to_string()), key()]);
    assert_eq!(client(&replay.url()).project_named("Second project").unwrap().id(), 2);
    replay.requests();

    // After any other error nothing else is requested.
    for (status, code) in
        [(401, "authentication_failed"), (403, "not_authenticated"), (404, "not_found")]
    {
        let body = json!({"type": "x", "code": code, "detail": "no", "attr": null});
        let replay = Replay::start(vec![Answer::json(status, &body.to_string())]);
        let error = client(&replay.url()).projects().unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert_eq!(whole(&replay.requests()[0], &replay.url()), get("/api/projects/"));
    }
}

#[test]
fn a_user_without_an_organization_is_read_too() {
    let standin = StandIn::start();
    let me = builder_with_key(NO_ORGANIZATION_KEY, &standin.url()).build().unwrap().me().unwrap();
    assert_eq!(me, recorded("auth_me_noorg"));
    assert_eq!((&me["team"], &me["organization"]), (&Value::Null, &Value::Null));
}
