//! Proves that a path arrives as it was given, and that a path to another place is refused.
use crate::support::client;
use crate::wire::{empty, lines, refused};
use serde_json::json;

#[test]
fn a_route_is_reached_below_a_project_or_by_its_whole_path() {
    let server = empty();
    let client = client(&server);
    let project = client.project(7);
    let body = json!({"name": "x"});
    for (request, line) in [
        (project.get(""), "GET /api/projects/7/"),
        (project.get("feature_flags/my_flags/"), "GET /api/projects/7/feature_flags/my_flags/"),
        (project.get("actions/3"), "GET /api/projects/7/actions/3"),
        (project.post("cohorts/").json(&body), r#"POST /api/projects/7/cohorts/ {"name":"x"}"#),
        (
            project.put("hog_functions/8/").json(&body),
            r#"PUT /api/projects/7/hog_functions/8/ {"name":"x"}"#,
        ),
        (
            project.patch("surveys/9/").json(&body),
            r#"PATCH /api/projects/7/surveys/9/ {"name":"x"}"#,
        ),
        (
            project.delete("dashboards/5/collaborators/6/"),
            "DELETE /api/projects/7/dashboards/5/collaborators/6/",
        ),
        (client.get("/api/users/@me/"), "GET /api/users/@me/"),
        (client.get("/api/environments/1"), "GET /api/environments/1"),
        (
            client.post("/api/organizations/@current/invites/").json(&body),
            r#"POST /api/organizations/@current/invites/ {"name":"x"}"#,
        ),
        (
            client.put("/api/environments/1/insights/2/").json(&body),
            r#"PUT /api/environments/1/insights/2/ {"name":"x"}"#,
        ),
        (
            client.patch("/api/organizations/@current/members/4/").json(&body),
            r#"PATCH /api/organizations/@current/members/4/ {"name":"x"}"#,
        ),
        (client.delete("/api/projects/7/exports/1/"), "DELETE /api/projects/7/exports/1/"),
    ] {
        request.send().unwrap();
        assert_eq!(lines(&server), [line]);
    }
    for (list, line) in [
        (project.list("cohorts"), "GET /api/projects/7/cohorts/"),
        (project.list("cohorts/"), "GET /api/projects/7/cohorts/"),
        (project.list("surveys/9/activity"), "GET /api/projects/7/surveys/9/activity/"),
        (
            client.list("/api/organizations/@current/invites/"),
            "GET /api/organizations/@current/invites/",
        ),
        // Without an order, the server loses rows of this list.
        (
            project.list("insights"),
            "GET /api/projects/7/insights/?order=id&include_query_insights=true",
        ),
        (
            client.list("/api/environments/1/insights/"),
            "GET /api/environments/1/insights/?order=id&include_query_insights=true",
        ),
    ] {
        assert!(list.all().unwrap().is_empty());
        assert_eq!(lines(&server), [line]);
    }
}

#[test]
fn a_path_is_encoded_and_one_that_leads_elsewhere_is_refused() {
    let server = empty();
    let client = client(&server);
    for (path, target) in [
        ("notebooks/a b/", "notebooks/a%20b/"),
        ("feature_flags/é\"<>/", "feature_flags/%C3%A9%22%3C%3E/"),
        ("endpoints/a%2Fb/run/", "endpoints/a%2Fb/run/"),
        ("users/@me/", "users/@me/"),
        ("persons.csv", "persons.csv"),
        ("a:b;c=d,e!$&'()*+~-._/", "a:b;c=d,e!$&'()*+~-._/"),
    ] {
        client.project(1).get(path).send().unwrap();
        assert_eq!(lines(&server), [format!("GET /api/projects/1/{target}")]);
    }
    for path in [
        "/insights/",
        "a//b/",
        "a/../b/",
        "../2/insights/",
        "a/./b",
        "%2e%2e/2/",
        "a?limit=1",
        "a#b",
        "a%",
        "a%zz",
    ] {
        refused(client.project(1).get(path).send());
        refused(client.project(1).post(path).send());
        refused(client.project(1).list(path).page());
    }
    for path in [
        "",
        "api/users/@me/",
        "//evil.example/api/",
        "/api//users/",
        "/api/../x",
        "https://evil.example/api/",
        "/api/x?y",
        "/api/x#y",
    ] {
        refused(client.get(path).send());
        refused(client.list(path).all());
    }
    assert!(refused(client.project(1).get("/insights/").send()).contains("relative"));
    refused(client.project(1).list("").all());
    refused(client.project(0).insight(1));
    refused(client.project(0).persons().all());
    refused(client.project(0).hogql("select 1").send());
    assert_eq!(lines(&server), [""; 0]);
}
