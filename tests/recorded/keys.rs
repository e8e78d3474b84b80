//! Proves that answers about keys, users and projects are returned as recorded.

use posthog_api::Auth;
use serde_json::json;

use crate::ask::{self, list, me, send};
use crate::check::json_of;
use crate::standin::recordings::one;
use crate::standin::{self, KEY, Replay};
use crate::table::Class::{Forbidden, Key, Missing};
use crate::table::Means::{Body, Refused};
use crate::table::{Got, Table};

pub fn rows(t: &mut Table) {
    t.add("2022 2023 2026", Body, me, "auth_me_bearer_ok auth_me_query_ok auth_me_body_ok");
    t.add("2023", Body, me, "auth_me_noorg");
    t.add("2022", Body, me, "auth_me_no_organization");
    if cfg!(feature = "gzip") {
        t.add("2026", Body, me, "gzip_me");
    } else {
        t.apart("2026", "gzip_me");
    }
    t.add("2022 2023 2026", Refused(Key), me, "auth_me_missing auth_me_invalid");
    t.add("2022 2023", Refused(Key), me, "auth_me_lowercase_scheme");
    t.add("2023", Refused(Key), me, "auth_project_key_as_bearer");
    t.add("2026", Refused(Key), me, "auth_project_token_as_bearer");
    t.add("2023", Refused(Key), list, "auth_actions_missing");
    t.add("2022", Refused(Key), list, "actions_invalid_key");
    t.add("2026", Refused(Key), ask::insights, "auth_insights_invalid_403");
    t.add("2026", Refused(Key), ask::query, "auth_query_invalid_403");
    t.add(
        "2026",
        Body,
        |c, _| c.key_info().map(Got::Json),
        "key_current_all key_current_noperson key_current_proj1 key_current_org2",
    );

    t.add("2022 2023 2026", Body, |c, _| ask::page(c.list("/api/projects/")), "projects_list");
    t.add("2023 2026", Body, send, "projects_retrieve");
    t.add("2022", Body, send, "project_byid");
    t.add("2023", Refused(Missing), send, "projects_missing projects_other_org");
    t.add("2026", Refused(Missing), send, "projects_missing");
    t.add("2022", Refused(Missing), send, "project_missing project_other");
    t.add("2026", Refused(Forbidden), list, "projects_noperson projects_proj1");

    t.add("2023", Refused(Forbidden), ask::persons, "tenant_persons_other_org");
    t.add(
        "2026",
        Refused(Forbidden),
        ask::persons,
        "projects_other_org persons_as_noperson persons_as_proj2 persons_as_org2 auth_missing_scope",
    );
    t.add("2026", Refused(Forbidden), ask::insights, "auth_project_restricted_other");
    t.add("2026", Refused(Forbidden), send, "readonly_create_cohort");
    t.add("2026", Refused(Forbidden), list, "list_tags tags_403_no_keys");
    t.add("2023", Refused(Missing), ask::insights, "tenant_insights_missing_project");
    t.add("2023", Body, ask::persons, "persons_query_key");
    t.add("2022", Body, ask::insights, "insights_query_key");
    t.add("2026", Body, ask::persons, "auth_query_param_next_echo");
    t.apart("2026", "auth_body_query_400_echoes_key");
}

#[test]
fn a_key_that_the_server_repeats_in_next_is_sent_once() {
    for (year, name, then, target) in [
        (
            "2023",
            "persons_query_key",
            "persons_search_none",
            "/api/projects/1/persons/?limit=1&offset=1&personal_api_key=",
        ),
        (
            "2022",
            "insights_query_key",
            "insights_list_offset_past",
            // The parameters that the crate adds stay, though this `next` has none.
            "/api/projects/1/insights/?limit=2&offset=2&order=id&include_query_insights=true\
             &personal_api_key=",
        ),
        (
            "2026",
            "auth_query_param_next_echo",
            "persons_search_none",
            "/api/projects/1/persons/?limit=1&offset=1&personal_api_key=",
        ),
    ] {
        let (first, last) = (one(year, name), one(year, then));
        assert!(json_of(first)["next"].as_str().unwrap().contains(KEY));
        let limit = if year == "2022" { 2 } else { 1 };
        let walk = |auth: Auth| {
            let replay = Replay::recorded(&[first, last]);
            let client = standin::client_builder(&replay.url()).auth(auth).build().unwrap();
            // The rows of two servers' lists are not as many as their `count`.
            let rows = client.project(1).list(ask::relative(first)).page_size(limit);
            let rows = rows.allow_missing_rows();
            assert_eq!(json!(rows.all().unwrap()), json_of(first)["results"]);
            replay.requests()
        };
        assert_eq!(walk(Auth::Query)[1].target, format!("{target}{KEY}"));
        // A key in the header is not sent in the query as well.
        assert!(walk(Auth::Bearer).iter().all(|request| !request.target.contains("phx_")));
    }
}

#[test]
fn a_key_that_may_not_list_projects_finds_them_in_its_user() {
    for (name, key, may_use) in [
        ("projects_proj1", "key_current_proj1", vec![1]),
        ("projects_noperson", "key_current_noperson", vec![1, 2]),
    ] {
        let answers = [name, "auth_me_bearer_ok", key].map(|name| one("2026", name));
        let replay = Replay::recorded(&answers);
        let projects = standin::client(&replay.url()).projects().unwrap();
        let ids: Vec<u64> = projects.iter().map(|p| p["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, may_use, "{name}");
        let paths: Vec<String> = replay.requests().into_iter().map(|r| r.target).collect();
        let key = "/api/personal_api_keys/@current/";
        assert_eq!(paths, ["/api/projects/", "/api/users/@me/", key]);
    }
}

#[test]
fn a_query_has_the_key_in_the_header_and_no_error_shows_it() {
    let recorded = one("2026", "auth_body_query_400_echoes_key");
    let replay = Replay::recorded(&[recorded]);
    let client = standin::client_builder(&replay.url()).auth(Auth::Body).build().unwrap();
    let error = client.project(1).hogql("select 1").send().unwrap_err();
    let request = &replay.requests()[0];
    let bearer = format!("Bearer {KEY}");
    assert_eq!(request.header("authorization"), Some(bearer.as_str()));
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, json!({"query": {"kind": "HogQLQuery", "query": "select 1"}}));

    // The server shortens what it echoes, so only parts of the key may be there.
    assert!(recorded.text().contains(&KEY[..8]));
    let api = &error;
    assert_eq!((api.status(), api.code()), (Some(400), Some("parse_error")));
    assert!(
        api.body().unwrap().contains("***") && api.body().unwrap().contains("extra_forbidden"),
        "{error:#}"
    );
    let shown = [
        error.to_string(),
        format!("{error:#}"),
        format!("{error:?}"),
        format!("{error:#?}"),
        api.body().unwrap().to_owned(),
        api.detail().unwrap().to_owned(),
    ];
    for text in shown {
        let mut runs = KEY.as_bytes().windows(8).map(|run| std::str::from_utf8(run).unwrap());
        assert!(!runs.any(|run| text.contains(run)), "{text}");
    }
}

#[test]
fn a_route_that_no_key_can_use_is_not_explained_by_a_scope() {
    for (year, name) in [
        ("2026", "list_tags"),
        ("2026", "query_kind_path_403"),
        ("2026b", "403_search_no_personal_key"),
    ] {
        let table = crate::table();
        let row = table.rows.iter().find(|row| (row.year, row.name) == (year, name)).unwrap();
        let error = row.error();
        assert!(
            error.kind() == posthog_api::ErrorKind::PermissionDenied
                && error.missing_scope().is_none(),
            "{error:?}"
        );
        let line = error.to_string();
        assert!(line.contains("no scope") && !line.contains("the key's scopes"), "{line}");
    }
}
