//! Proves the tutorial end to end over HTTP: what each step asks, whole, and what it reads out of the answer.
#![allow(clippy::too_many_lines, clippy::type_complexity, reason = "tables")]

mod loopback;
mod standin;

use std::collections::BTreeMap;
use std::process::Command;

use loopback::{Script, client, get, ok, on, sent, whole};
use posthog_api::{
    Auth, Client, Error, PersonFilter, PersonProperty, Project, Refresh, aggregated_value,
    aggregated_values, series,
};
use serde_json::{Value, json};
use standin::http::Answer;
use standin::{KEY, NO_ORGANIZATION_KEY, StandIn, recordings};

/// The one request that was made since the last look, whole.
fn one_sent(standin: &StandIn) -> String {
    let requests = standin.take_requests();
    assert_eq!(requests.len(), 1, "{requests:#?}");
    sent(&requests[0], &standin.url())
}

fn all_sent(standin: &StandIn) -> Vec<String> {
    let requests = standin.take_requests();
    requests.iter().map(|r| sent(r, &standin.url())).collect()
}

fn recorded(name: &str) -> Value {
    serde_json::from_slice(&recordings::one("2023", name).body).unwrap()
}

fn config<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Config(why)) => why,
        other => panic!("{other:?}"),
    }
}

// Step 1: authenticate.

#[test]
fn the_key_goes_where_auth_says_and_nowhere_else() {
    let standin = StandIn::start();
    let me = recorded("auth_me_bearer_ok");
    let in_body = format!(r#"{{"personal_api_key":"{KEY}"}}"#);
    let in_query = format!("/api/users/@me/?personal_api_key={KEY}");
    for (auth, request) in [
        (Auth::Bearer, get("/api/users/@me/")),
        (Auth::Body, whole("GET", "/api/users/@me/", false, &in_body)),
        (Auth::Query, whole("GET", &in_query, false, "")),
    ] {
        let client = on(&standin.url()).auth(auth).build().unwrap();
        assert_eq!(client.me().unwrap(), me, "{auth:?}");
        assert_eq!(one_sent(&standin), request, "{auth:?}");
    }
    assert_eq!(on(&standin.url()).build().unwrap().me().unwrap(), me);
    assert_eq!(one_sent(&standin), get("/api/users/@me/"), "the default");
}

#[test]
fn the_key_joins_the_body_and_the_query_that_are_there() {
    let standin = StandIn::start();
    let sql = "select uuid from events limit 5";
    let query = format!(r#""query":{{"kind":"HogQLQuery","query":"{sql}"}}"#);
    let route = "/api/projects/1/query/";
    let list = "/api/projects/1/persons/?limit=200";
    let key = format!("personal_api_key={KEY}");
    for (auth, request, pages) in [
        (
            Auth::Body,
            whole(
                "POST",
                route,
                false,
                &format!(r#"{{"personal_api_key":"{KEY}",{query}}}"#),
            ),
            [list.to_owned(), format!("{list}&offset=200")],
        ),
        (
            Auth::Query,
            whole(
                "POST",
                &format!("{route}?{key}"),
                false,
                &format!("{{{query}}}"),
            ),
            // The server writes the key into `next`; it goes out once, as on the first page.
            [format!("{list}&{key}"), format!("{list}&offset=200&{key}")],
        ),
    ] {
        let client = on(&standin.url()).auth(auth).build().unwrap();
        assert_eq!(client.project(1).hogql(sql).rows().unwrap().len(), 5);
        assert_eq!(one_sent(&standin), request);
        let persons = client.project(1).persons().page_size(200).all().unwrap();
        assert_eq!(persons.len(), 250);
        let requests = standin.take_requests();
        let targets: Vec<String> = requests.into_iter().map(|r| r.target).collect();
        assert_eq!(targets, pages, "{auth:?}");
    }
}

#[test]
fn a_key_that_the_server_does_not_know_is_said_to_be_wrong() {
    let standin = StandIn::start();
    for (auth, place) in [
        (Auth::Bearer, "Authorization header"),
        (Auth::Body, "body"),
        (Auth::Query, "query string"),
    ] {
        let agent = posthog_api::ureq::Agent::config_builder()
            .proxy(None)
            .build()
            .new_agent();
        let builder = Client::builder("phx_nope").host(standin.url()).agent(agent);
        let error = builder.auth(auth).build().unwrap().me().unwrap_err();
        let Error::Api(api) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(
            (api.status(), api.kind(), api.code()),
            (
                401,
                Some("authentication_error"),
                Some("authentication_failed")
            )
        );
        let detail = format!("Personal API key found in request {place} is invalid.");
        assert_eq!(api.detail(), Some(detail.as_str()));
        assert!(error.is_unauthenticated() && !error.is_permission_denied());
        assert_eq!(
            error.to_string(),
            format!(
                "GET /api/users/@me/: 401 authentication_failed: {}; check the key, and that the host is the region it was made in",
                detail.trim_end_matches('.')
            )
        );
        assert!(!format!("{error:?} {error:#}").contains("phx_nope"));
    }
}

/// The environment belongs to the whole process, so each case is another run of this very test.
const CASE: &str = "TUTORIAL_CASE";

#[test]
fn key_host_and_project_come_from_the_environment() {
    if std::env::var(CASE).is_ok() {
        let said = match Project::from_env() {
            Ok(project) => format!(
                "project {} {:?}",
                project.id(),
                project.insight(28).map(|i| i["id"].clone())
            ),
            Err(error) => format!("no project: {error}"),
        };
        let client = match Client::from_env() {
            Ok(client) => format!("client {client:?}"),
            Err(error) => format!("no client: {error}"),
        };
        println!("<{said}>\n<{client}>");
        return;
    }
    let standin = StandIn::start();
    let url = standin.url();
    let (key, host, project) = (
        "POSTHOG_PERSONAL_API_KEY",
        "POSTHOG_HOST",
        "POSTHOG_PROJECT_ID",
    );
    let here = format!("<client Client {{ origin: {url:?}, .. }}>");
    let no_key = format!("{key} is not set: make a personal API key in PostHog's settings");
    let no_id = format!("{project} is not a project's number");
    let cases: Vec<(Vec<(&str, &str)>, String, String)> = vec![
        (
            vec![(key, KEY), (host, &url), (project, "1")],
            "<project 1 Ok(Number(28))>".into(),
            here.clone(),
        ),
        (
            vec![(key, "  phx_wrong\n"), (host, &url), (project, " 1 ")],
            "<project 1 Err(Api(".into(),
            here.clone(),
        ),
        (
            vec![(key, KEY)],
            format!(
                "<no project: {project} is not set: it is the number in the project's web address>"
            ),
            r#"<client Client { origin: "https://us.posthog.com", .. }>"#.into(),
        ),
        (
            vec![(host, &url), (project, "1")],
            format!("<no project: {no_key}>"),
            format!("<no client: {no_key}>"),
        ),
        (
            vec![(key, " "), (project, "1")],
            format!("<no project: {key} is set but empty: set it, or unset it>"),
            format!("<no client: {key} is set but empty: set it, or unset it>"),
        ),
        (
            vec![(key, KEY), (host, ""), (project, "1")],
            format!("<no project: {host} is set but empty: set it, or unset it>"),
            format!("<no client: {host} is set but empty: set it, or unset it>"),
        ),
        (
            vec![(key, KEY), (host, &url), (project, "0")],
            format!("<no project: {no_id}>"),
            here.clone(),
        ),
        (
            vec![(key, KEY), (host, &url), (project, "Main")],
            format!("<no project: {no_id}>"),
            here.clone(),
        ),
        (
            vec![(key, KEY), (host, &url), (project, "")],
            format!("<no project: {project} is set but empty: set it, or unset it>"),
            here.clone(),
        ),
    ];
    for (set, said_of_project, said_of_client) in cases {
        let mut run = Command::new(std::env::current_exe().unwrap());
        run.args([
            "--exact",
            "key_host_and_project_come_from_the_environment",
            "--nocapture",
        ]);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            run.env_remove(name).env_remove(name.to_lowercase());
        }
        for name in [key, host, project] {
            run.env_remove(name);
        }
        let output = run.env(CASE, "1").envs(set.clone()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains(&said_of_project) && text.contains(&said_of_client),
            "{set:?}: {text}"
        );
        assert!(!text.contains(KEY) && !text.contains("phx_wrong"), "{text}");
    }
    let requests: Vec<_> = standin.take_requests();
    let keys: Vec<_> = requests
        .iter()
        .map(|r| (r.target.as_str(), r.header("authorization")))
        .collect();
    let bearer = format!("Bearer {KEY}");
    assert_eq!(
        keys,
        [
            ("/api/projects/1/insights/28/", Some(bearer.as_str())),
            ("/api/projects/1/insights/28/", Some("Bearer phx_wrong")),
        ]
    );
}

// Step 2: who am I, and which projects are there?

#[test]
fn me_names_the_user_and_the_projects() {
    let standin = StandIn::start();
    let me = client(&standin.url()).me().unwrap();
    assert_eq!(one_sent(&standin), get("/api/users/@me/"));
    assert_eq!(me["email"], "ada@example.com");
    assert_eq!(me["team"]["id"], 1);
    let teams = me["organization"]["teams"].as_array().unwrap();
    let named: Vec<_> = teams.iter().map(|t| (&t["id"], &t["name"])).collect();
    assert_eq!(
        named,
        [
            (&json!(1), &json!("Main project")),
            (&json!(2), &json!("Second project"))
        ]
    );
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
    assert_eq!(
        one_sent(&standin),
        get("/api/projects/2/persons/?limit=1000")
    );

    for name in ["main project", "Main", "", "Main project "] {
        assert_eq!(
            config(client.project_named(name)),
            format!(
                r#"no project is named {name:?} in the current organization: "Second project" is 2, "Main project" is 1; take one by its id"#
            )
        );
    }
}

#[test]
fn an_ambiguous_name_is_refused_with_the_ids() {
    let page = |rows: Value, next: Value| json!({"count": 3, "next": next, "previous": null, "results": rows});
    let script = Script::of(&[
        page(
            json!([{"id": 7, "name": "Shop"}, {"id": 8, "name": "Other"}]),
            json!("http://elsewhere/api/projects/?limit=2&offset=2"),
        ),
        page(json!([{"id": 9, "name": "Shop"}]), Value::Null),
    ]);
    assert_eq!(
        config(script.client().project_named("Shop")),
        r#"several projects are named "Shop" in the current organization: "Shop" is 7, "Other" is 8, "Shop" is 9; take one by its id"#
    );
    assert_eq!(
        script.lines(),
        ["GET /api/projects/", "GET /api/projects/?limit=2&offset=2"]
    );
}

#[test]
fn a_key_that_may_not_list_projects_gets_those_of_me() {
    let denied = || {
        let detail = "API keys with scoped projects are only supported on project-based endpoints.";
        Answer::json(403, &json!({"type": "authentication_error", "code": "permission_denied", "detail": detail, "attr": null}).to_string())
    };
    let me = recorded("auth_me_bearer_ok");
    for (me, ids) in [
        (me.clone(), vec![1, 2]),
        (
            json!({"organization": null, "team": {"id": 5, "name": "Only"}}),
            vec![5],
        ),
        (json!({"organization": {"teams": []}, "team": null}), vec![]),
        (recorded("auth_me_noorg"), vec![]),
    ] {
        let script = Script::start(vec![denied(), ok(&me)]);
        let projects = script.client().projects().unwrap();
        let found: Vec<_> = projects.iter().filter_map(|p| p["id"].as_u64()).collect();
        assert_eq!((found, projects.len()), (ids.clone(), ids.len()), "{me}");
        let asked: Vec<_> = script
            .asked()
            .iter()
            .map(|r| sent(r, &script.url()))
            .collect();
        assert_eq!(asked, [get("/api/projects/"), get("/api/users/@me/")]);
    }
    let script = Script::start(vec![denied(), ok(&me)]);
    assert_eq!(
        script
            .client()
            .project_named("Second project")
            .unwrap()
            .id(),
        2
    );
    script.asked();

    // Any other refusal is no reason to ask elsewhere.
    for (status, code) in [
        (401, "authentication_failed"),
        (403, "not_authenticated"),
        (404, "not_found"),
    ] {
        let body = json!({"type": "x", "code": code, "detail": "no", "attr": null});
        let script = Script::start(vec![Answer::json(status, &body.to_string())]);
        let error = script.client().projects().unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert_eq!(script.sent(), get("/api/projects/"));
    }
}

#[test]
fn a_user_without_an_organization_is_read_too() {
    let standin = StandIn::start();
    let agent = posthog_api::ureq::Agent::config_builder()
        .proxy(None)
        .build()
        .new_agent();
    let builder = Client::builder(NO_ORGANIZATION_KEY).host(standin.url());
    let me = builder.agent(agent).build().unwrap().me().unwrap();
    assert_eq!(me, recorded("auth_me_noorg"));
    assert_eq!(
        (&me["team"], &me["organization"]),
        (&Value::Null, &Value::Null)
    );
}

// Step 3: insights.

#[test]
fn all_pages_of_insights_come_once_and_in_order() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let mut items = project.insights().page_size(10).items();
    assert_eq!((standin.requests().len(), items.total()), (0, None));
    let ids: Vec<u64> = items
        .by_ref()
        .map(|insight| insight.unwrap()["id"].as_u64().unwrap())
        .collect();
    assert_eq!(items.total(), Some(ids.len() as u64));
    assert!(ids.windows(2).all(|two| two[0] < two[1]), "{ids:?}");
    for id in [28, 42, 71] {
        assert!(ids.contains(&id), "{id}");
    }
    let pages = ids.len().div_ceil(10);
    assert!(pages > 3, "{pages}");
    let expected: Vec<String> = (0..pages)
        .map(|page| match page {
            0 => get("/api/projects/1/insights/?limit=10&order=id&include_query_insights=true"),
            // What the server wrote into `next`, which sorts them.
            n => get(&format!(
                "/api/projects/1/insights/?include_query_insights=true&limit=10&offset={}&order=id",
                n * 10
            )),
        })
        .collect();
    assert_eq!(all_sent(&standin), expected);
}

#[test]
fn insights_are_listed_as_asked() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let defaults = "order=id&include_query_insights=true";
    let any: fn(&Value) -> bool = |_| true;
    for (list, query, fits) in [
        (project.insights(), defaults.to_owned(), any),
        (
            project.insights().basic(),
            format!("basic=true&{defaults}"),
            |i| i.get("result").is_none() && i["name"].is_string(),
        ),
        (
            project.insights().search("one BIG"),
            format!("search=one%20BIG&{defaults}"),
            |i| i["short_id"] == "VdpVGSw3",
        ),
        (
            project.insights().saved(true),
            format!("saved=true&{defaults}"),
            |i| i["saved"] == true || i["dashboards"] != json!([]),
        ),
        (
            project.insights().saved(false),
            format!("saved=false&{defaults}"),
            any,
        ),
        (
            project.insights().refresh(Refresh::ForceBlocking),
            format!("refresh=force_blocking&{defaults}"),
            any,
        ),
        (
            project.insights().param("order", "-created_at"),
            "order=-created_at&include_query_insights=true".to_owned(),
            any,
        ),
        (
            project.insights().param("include_query_insights", false),
            "include_query_insights=false&order=id".to_owned(),
            |i| i["query"].is_null(),
        ),
    ] {
        let page = list.page().unwrap();
        // Every insight that was recorded is saved, or on a dashboard.
        let none = query.starts_with("saved=false");
        assert_eq!(page.results.is_empty(), none, "{query}");
        assert_eq!(page.count, Some(page.results.len() as u64), "{query}");
        assert!(page.results.iter().all(fits), "{query}");
        assert_eq!(
            one_sent(&standin),
            get(&format!("/api/projects/1/insights/?{query}"))
        );
    }
    assert!(config(project.insights().search("").page()).contains("search is empty"));
    assert!(standin.requests().is_empty());
}

#[test]
fn an_insight_is_found_by_its_short_id() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    for (short_id, found) in [
        ("VdpVGSw3", Some(28)),
        ("MQC1gxJQ", Some(71)), // an SQL insight
        ("vdpvgsw3", None),
        ("NoSuchId", None),
    ] {
        let insight = project.insight_by_short_id(short_id).unwrap();
        let id = insight.map(|insight| insight["id"].as_u64().unwrap());
        assert_eq!(id, found, "{short_id}");
        assert_eq!(
            one_sent(&standin),
            get(&format!(
                "/api/projects/1/insights/?short_id={short_id}&order=id&include_query_insights=true"
            ))
        );
    }
    assert!(config(project.insight_by_short_id("")).contains("short_id is empty"));
    assert!(standin.requests().is_empty());
    // A server that leaves the filter out must not give a stranger's insight.
    for results in [
        json!([{"id": 1, "short_id": "other"}]),
        json!([{"id": 1, "short_id": "VdpVGSw3"}, {"id": 2, "short_id": "other"}]),
    ] {
        let script =
            Script::of(&[json!({"count": 1, "next": null, "previous": null, "results": results})]);
        let error = script
            .client()
            .project(1)
            .insight_by_short_id("VdpVGSw3")
            .unwrap_err();
        assert!(matches!(error, Error::Paging(_)), "{error:?}");
        script.asked();
    }
}

#[test]
fn an_insight_is_got_by_its_number_and_computed() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let path = "/api/projects/1/insights/28/";
    assert_eq!(
        project.insight(28).unwrap(),
        recorded("insight_uncached_boldnumber")
    );
    assert_eq!(one_sent(&standin), get(path));
    let cached = project.insight_refreshed(28, Refresh::ForceCache).unwrap();
    assert_eq!(cached, recorded("insight_uncached_boldnumber"));
    assert_eq!(
        one_sent(&standin),
        get(&format!("{path}?refresh=force_cache"))
    );
    let computed = project.insight_refreshed(28, Refresh::Blocking).unwrap();
    assert_eq!(computed, recorded("insight_refresh_boldnumber"));
    assert_eq!(one_sent(&standin), get(&format!("{path}?refresh=blocking")));
    assert_eq!(project.insight(28).unwrap(), recorded("insight_boldnumber"));
    assert_eq!(one_sent(&standin), get(path));
    for (refresh, word) in [
        (Refresh::ForceBlocking, "force_blocking"),
        (Refresh::Async, "async"),
        (Refresh::LazyAsync, "lazy_async"),
        (Refresh::ForceAsync, "force_async"),
    ] {
        project.insight_refreshed(28, refresh).unwrap();
        assert_eq!(one_sent(&standin), get(&format!("{path}?refresh={word}")));
    }
    let error = project.insight(69).unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert_eq!(
        error.to_string(),
        "GET /api/projects/1/insights/69/: 404 not_found: Not found; check the id, the project and the host"
    );
}

// Step 4: one number, or why there is none.

#[test]
fn the_aggregated_value_is_read_or_its_absence_explained() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let why = |insight: &Value| match aggregated_value(insight) {
        Err(Error::Insight(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        why(&project.insight(28).unwrap()),
        "insight 28 was never computed, or its result is no longer kept: have it computed with insight_refreshed (servers of 2023 want .param(\"refresh\", true))"
    );
    let computed = project.insight_refreshed(28, Refresh::Blocking).unwrap();
    assert_eq!(aggregated_value(&computed).unwrap().to_string(), "1183");
    assert_eq!(
        aggregated_values(&computed).unwrap(),
        [("$pageview".to_owned(), 1183.0)]
    );
    assert_eq!(
        why(&project.insight(42).unwrap()),
        "insight 42 has no aggregated value: it is a line: use series"
    );
    let line = project.insight(42).unwrap();
    let line = series(&line).unwrap();
    assert_eq!(line.len(), 1);
    assert_eq!(
        line[0].data.iter().flatten().sum::<f64>().to_string(),
        "1183"
    );
    assert_eq!(
        why(&project.insight(34).unwrap()),
        r#"insight 34 has no aggregated value: series "never" had nothing to aggregate: no event matched"#
    );
    standin.take_requests();

    let insight = |status: Value| json!({"id": 5, "result": null, "last_refresh": null, "query_status": status});
    for (answer, reason) in [
        (
            insight(json!({"id": "q-1", "complete": false, "error": false})),
            "insight 5 has no result yet: query q-1 is still computing it; ask again later",
        ),
        (
            insight(
                json!({"id": "q-1", "complete": true, "error": true, "error_message": "Unknown table"}),
            ),
            "insight 5 has no result: computing it failed: Unknown table",
        ),
        (
            insight(json!({"id": "q-1", "complete": true, "error": true, "error_message": null})),
            "insight 5 has no result: computing it failed, and the server does not say why",
        ),
        (
            insight(json!({"error": true, "error_message": "concurrency_limit_exceeded"})),
            "insight 5 has no result: too many queries of the organization ran at once; try again in a few seconds",
        ),
        (
            json!({"id": 5, "result": []}),
            "insight 5 has no aggregated value: it has no series: no event is chosen, or nothing was found",
        ),
        (
            json!({"id": 5, "name": "basic"}),
            "insight 5 comes without its result: it was listed with `basic`, or is no insight; get it by its id",
        ),
    ] {
        let script = Script::of(std::slice::from_ref(&answer));
        let got = script.client().project(3).insight(5).unwrap();
        assert_eq!(why(&got), reason);
        assert_eq!(script.sent(), get("/api/projects/3/insights/5/"));
    }
}

// Step 5: persons.

fn everybody() -> Vec<Value> {
    ["persons_walk", "persons_walk__p2", "persons_walk__p3"]
        .iter()
        .flat_map(|name| recorded(name)["results"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn all_persons_come_once_whatever_the_page_size() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let everybody = everybody();
    assert_eq!(everybody.len(), 250);
    for (size, pages) in [
        (None, 1),
        (Some(1000), 1),
        (Some(250), 2),
        (Some(100), 3),
        (Some(50), 6),
        (Some(7), 36),
    ] {
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
                n => get(&format!(
                    "/api/projects/1/persons/?limit={size}&offset={}",
                    n * size
                )),
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
        (
            list().email("USER5@example.com"),
            "email=USER5%40example.com",
            vec![],
        ),
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
        (
            list().search("a&b=c#d?e/f+g%"),
            "search=a%26b%3Dc%23d%3Fe%2Ff%2Bg%25",
            vec![],
        ),
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
        assert_eq!(
            config(list.page()),
            format!(
                "the {what} is empty: the server would take it for no filter, and return everything"
            )
        );
    }
    assert!(standin.requests().is_empty());
}

#[test]
fn the_filter_of_the_tutorial_goes_out_byte_for_byte() {
    let standin = StandIn::start();
    let filter = PersonFilter::property("$initial_os").exact(["Linux"]);
    let persons = client(&standin.url())
        .project(1)
        .persons()
        .filter(filter)
        .all()
        .unwrap();
    assert_eq!(persons.len(), 74);
    assert_eq!(
        json!(persons),
        recorded("persons_props_exact_array_one")["results"]
    );
    assert_eq!(
        one_sent(&standin),
        get(
            "/api/projects/1/persons/?properties=%5B%7B%22key%22%3A%22%24initial_os%22%2C%22value%22%3A%5B%22Linux%22%5D%2C\
             %22operator%22%3A%22exact%22%2C%22type%22%3A%22person%22%7D%5D&limit=1000"
        )
    );
}

type Fits = fn(&BTreeMap<&str, &Value>) -> bool;

/// The number of rows that a real server gave, by the name under which it is kept, or as it was noted.
enum Rows {
    Kept(&'static str),
    Noted(usize),
}

#[test]
fn every_filter_finds_the_persons_that_it_says() {
    use Rows::{Kept, Noted};
    let p = |key: &str| -> PersonProperty { PersonFilter::property(key) };
    let linux = || p("$initial_os").exact(["Linux"]);
    let free = || p("plan").exact("free");
    let cases: Vec<(Rows, Vec<PersonFilter>, Fits)> = vec![
        (
            Kept("persons_props_exact"),
            vec![p("$initial_os").exact("Linux")],
            |p| is(p, "$initial_os", "Linux"),
        ),
        (
            Kept("persons_props_exact_array"),
            vec![p("$initial_os").exact(["Linux", "Windows"])],
            |p| is(p, "$initial_os", "Linux") || is(p, "$initial_os", "Windows"),
        ),
        (
            Kept("persons_props_is_not"),
            vec![p("$initial_os").is_not(["Linux"])],
            |p| !is(p, "$initial_os", "Linux"),
        ),
        (
            Noted(101),
            vec![p("$initial_os").is_not(["Linux", "Windows"])],
            |p| !is(p, "$initial_os", "Linux") && !is(p, "$initial_os", "Windows"),
        ),
        (
            Kept("persons_props_icontains"),
            vec![p("email").icontains("USER1")],
            |p| text(p, "email").contains("user1"),
        ),
        (Noted(143), vec![p("email").not_icontains("user1")], |p| {
            !text(p, "email").contains("user1")
        }),
        (
            Kept("persons_props_regex"),
            vec![p("email").regex("^user1[0-9]@")],
            |p| {
                text(p, "email")
                    .strip_prefix("user1")
                    .is_some_and(|rest| rest.find('@') == Some(1))
            },
        ),
        (Noted(143), vec![p("email").not_regex("user1")], |p| {
            !text(p, "email").contains("user1")
        }),
        (Kept("persons_props_gt"), vec![p("age").gt(60)], |p| {
            age(p).is_some_and(|n| n > 60)
        }),
        (Kept("persons_props_gte"), vec![p("age").gte(60)], |p| {
            age(p).is_some_and(|n| n >= 60)
        }),
        (Kept("persons_props_lt"), vec![p("age").lt(20)], |p| {
            age(p).is_some_and(|n| n < 20)
        }),
        (Kept("persons_props_lte"), vec![p("age").lte(20)], |p| {
            age(p).is_some_and(|n| n <= 20)
        }),
        (Noted(15), vec![p("price").is_set()], |p| {
            p.contains_key("price")
        }),
        (
            Kept("persons_props_is_set"),
            vec![p("nullable").is_set()],
            |p| p.contains_key("nullable"),
        ),
        (Noted(235), vec![p("price").is_not_set()], |p| {
            !p.contains_key("price")
        }),
        (
            Kept("persons_props_is_date_after"),
            vec![p("signup_date").is_date_after("2021-06-01")],
            |p| text(p, "signup_date") > "2021-06-01",
        ),
        (
            Noted(150),
            vec![p("signup_date").is_date_before("2021-06-01")],
            |p| !text(p, "signup_date").is_empty() && text(p, "signup_date") < "2021-06-01",
        ),
        (
            Noted(1),
            vec![p("signup_date").is_date_exact("2021-06-01")],
            |p| is(p, "signup_date", "2021-06-01"),
        ),
        (
            Kept("persons_props_bool_string"),
            vec![p("is_paying").exact(true)],
            |p| p.get("is_paying").is_some_and(|v| **v == json!(true)),
        ),
        (Noted(5), vec![p("age").exact(30)], |p| age(p) == Some(30)),
        (Noted(5), vec![p("age").exact("30")], |p| age(p) == Some(30)),
        // Repeated filters are ANDed, and so are those of `all`.
        (Kept("persons_props_two"), vec![linux(), free()], |p| {
            is(p, "$initial_os", "Linux") && is(p, "plan", "free")
        }),
        (
            Kept("persons_props_two"),
            vec![PersonFilter::all([linux(), free()])],
            |p| is(p, "$initial_os", "Linux") && is(p, "plan", "free"),
        ),
        (
            Kept("persons_props_group_or"),
            vec![PersonFilter::any([linux(), free()])],
            |p| is(p, "$initial_os", "Linux") || is(p, "plan", "free"),
        ),
        (
            Kept("persons_props_group_nested"),
            vec![
                PersonFilter::any([linux(), p("$initial_os").exact("Windows")]),
                free(),
            ],
            |p| {
                (is(p, "$initial_os", "Linux") || is(p, "$initial_os", "Windows"))
                    && is(p, "plan", "free")
            },
        ),
        (
            Noted(136),
            vec![PersonFilter::any([
                PersonFilter::all([linux(), free()]),
                p("plan").exact("pro"),
            ])],
            |p| is(p, "$initial_os", "Linux") && is(p, "plan", "free") || is(p, "plan", "pro"),
        ),
    ];
    let totals = recordings::json("2023", "persons_totals.json");
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    for (rows, filters, fits) in cases {
        let what = format!("{filters:?}");
        let list = filters
            .into_iter()
            .fold(project.persons().page_size(60), posthog_api::List::filter);
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
        assert_eq!(found, expected, "{what}");
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
    let persons = client(&standin.url())
        .project(1)
        .persons()
        .filter(filter)
        .search("user")
        .page_size(30);
    let persons = persons.all().unwrap();
    assert!(
        persons
            .iter()
            .all(|p| p["properties"]["email"].as_str().unwrap().contains("user"))
    );
    let requests = standin.take_requests();
    assert_eq!(requests.len(), persons.len() / 30 + 1);
    assert!(requests.len() > 2);
    for (page, request) in requests.iter().enumerate() {
        let mut params = vec![
            ("search".to_owned(), "user".to_owned()),
            ("limit".to_owned(), "30".to_owned()),
            (
                "properties".to_owned(),
                r#"{"type":"OR","values":[{"key":"$initial_os","value":["Linux"],"operator":"exact","type":"person"},{"key":"plan","value":["free"],"operator":"exact","type":"person"}]}"#.to_owned(),
            ),
        ];
        if page > 0 {
            params.push(("offset".to_owned(), (30 * page).to_string()));
        }
        assert_eq!(request.params(), params);
    }
}

#[test]
fn a_short_page_is_not_the_last() {
    let standin = StandIn::start();
    let persons = client(&standin.url()).project(4).persons().page_size(5);
    let page = persons.page().unwrap();
    assert_eq!((page.results.len(), page.has_next), (4, true));
    standin.take_requests();
    let all = client(&standin.url())
        .project(4)
        .persons()
        .page_size(5)
        .all()
        .unwrap();
    assert_eq!(json!(all), recorded("persons_edge_limit5")["results"]);
    assert_eq!(
        all_sent(&standin),
        [
            get("/api/projects/4/persons/?limit=5"),
            get("/api/projects/4/persons/?limit=5&offset=5")
        ]
    );
}

// Step 6: one person.

#[test]
fn one_person_by_number_uuid_and_distinct_id() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let person = recorded("person_byid");
    assert_eq!(project.person(1).unwrap(), person);
    assert_eq!(one_sent(&standin), get("/api/projects/1/persons/1/"));
    let uuid = "75942c1f-50d6-5375-af54-38a4fc0d0957";
    assert_eq!(project.person(uuid).unwrap(), person);
    assert_eq!(
        one_sent(&standin),
        get(&format!("/api/projects/1/persons/{uuid}/"))
    );

    let listed = project.person_by_distinct_id("did-0").unwrap().unwrap();
    assert_eq!(listed, recorded("persons_distinct_hit")["results"][0]);
    assert_eq!(
        one_sent(&standin),
        get("/api/projects/1/persons/?distinct_id=did-0")
    );
    assert_eq!(project.person_by_distinct_id("nobody").unwrap(), None);
    assert_eq!(
        one_sent(&standin),
        get("/api/projects/1/persons/?distinct_id=nobody")
    );
    assert!(config(project.person_by_distinct_id("")).contains("distinct_id is empty"));
    for id in ["", ".", ".."] {
        config(project.person(id));
    }
    assert!(standin.requests().is_empty());

    let error = project.person("did-0").unwrap_err();
    let Error::Api(api) = &error else {
        panic!("{error:?}")
    };
    let recorded = recorded("person_bydistinct");
    assert_eq!(
        (api.status(), api.detail()),
        (400, recorded["detail"].as_str())
    );
    assert_eq!(one_sent(&standin), get("/api/projects/1/persons/did-0/"));
    assert!(project.person(99_999_999).unwrap_err().is_not_found());
    assert_eq!(one_sent(&standin), get("/api/projects/1/persons/99999999/"));
    // Whatever it holds, an id is one segment of the path.
    assert!(project.person("a/b?c#d e").is_err());
    assert_eq!(
        one_sent(&standin),
        get("/api/projects/1/persons/a%2Fb%3Fc%23d%20e/")
    );
}
