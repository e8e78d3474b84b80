//! Proves step 1: authenticate.

use std::process::Command;

use posthog_api::{Auth, Client, Project};

use crate::standin::{KEY, StandIn, builder_with_key, client_builder};
use crate::{expected, get, one_sent, post, recorded};

#[test]
fn the_key_is_sent_where_auth_says_and_nowhere_else() {
    let standin = StandIn::start();
    let me = recorded("auth_me_bearer_ok");
    let in_body = format!(r#"{{"personal_api_key":"{KEY}"}}"#);
    let in_query = format!("/api/users/@me/?personal_api_key={KEY}");
    for (auth, request) in [
        (Auth::Bearer, get("/api/users/@me/")),
        (Auth::Body, expected("GET", "/api/users/@me/", false, &in_body)),
        (Auth::Query, expected("GET", &in_query, false, "")),
    ] {
        let client = client_builder(&standin.url()).auth(auth).build().unwrap();
        assert_eq!(client.me().unwrap(), me, "{auth:?}");
        assert_eq!(one_sent(&standin), request, "{auth:?}");
    }
    assert_eq!(client_builder(&standin.url()).build().unwrap().me().unwrap(), me);
    assert_eq!(one_sent(&standin), get("/api/users/@me/"), "the default");
}

#[test]
fn queries_and_lists_have_the_key_in_its_place() {
    let standin = StandIn::start();
    let sql = "select uuid from events limit 5";
    let query = format!(r#""query":{{"kind":"HogQLQuery","query":"{sql}"}}"#);
    let route = "/api/projects/1/query/";
    let list = "/api/projects/1/persons/?limit=200";
    let key = format!("personal_api_key={KEY}");
    for (auth, request, pages) in [
        (
            Auth::Body,
            // The route of queries refuses other fields in the body, so the key is in the header.
            post(route, &format!("{{{query}}}")),
            [list.to_owned(), format!("{list}&offset=200")],
        ),
        (
            Auth::Query,
            expected("POST", &format!("{route}?{key}"), false, &format!("{{{query}}}")),
            // The server writes the key into `next`; it goes out once, as on the first page.
            [format!("{list}&{key}"), format!("{list}&offset=200&{key}")],
        ),
    ] {
        let client = client_builder(&standin.url()).auth(auth).build().unwrap();
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
fn an_unknown_key_is_an_error_that_names_its_place() {
    let standin = StandIn::start();
    for (auth, place) in [
        (Auth::Bearer, "Authorization header"),
        (Auth::Body, "body"),
        (Auth::Query, "query string"),
    ] {
        let builder = builder_with_key("phx_nope", &standin.url());
        let error = builder.auth(auth).build().unwrap().me().unwrap_err();
        let api = &error;
        assert_eq!(
            (api.status(), api.error_type(), api.code()),
            (Some(401), Some("authentication_error"), Some("authentication_failed"))
        );
        let detail = format!("Personal API key found in request {place} is invalid.");
        assert_eq!(api.detail(), Some(detail.as_str()));
        assert!(
            error.kind() == posthog_api::ErrorKind::Unauthenticated
                && error.kind() != posthog_api::ErrorKind::PermissionDenied
        );
        let line = error.to_string();
        assert!(line.starts_with("GET /api/users/@me/") && line.contains(place), "{line}");
        assert!(!format!("{error:?} {error:#}").contains("phx_nope"));
    }
}

/// The environment belongs to the process, so each case runs this test in a process of its own.
const CASE: &str = "TUTORIAL_CASE";

/// Variables, and the lines that the project and the client then print.
type Case<'a> = (Vec<(&'a str, &'a str)>, String, String);

#[test]
fn key_host_and_project_come_from_the_environment() {
    if std::env::var(CASE).is_ok() {
        let project = match Project::from_env() {
            Ok(project) => {
                let id = project.insight(28).map(|insight| insight["id"].clone());
                format!("project {} {id:?}", project.id())
            }
            Err(error) => format!("no project: {error}"),
        };
        let client = match Client::from_env() {
            Ok(client) => format!("client {client:?}"),
            Err(error) => format!("no client: {error}"),
        };
        println!("<{project}>\n<{client}>");
        return;
    }
    let standin = StandIn::start();
    let url = standin.url();
    let (key, host, project) = ("POSTHOG_PERSONAL_API_KEY", "POSTHOG_HOST", "POSTHOG_PROJECT_ID");
    let here = format!("<client Client {{ origin: {url:?}, .. }}>");
    let no_client = |name| format!("<no client: {name} ");
    let no_project = |name| format!("<no project: {name} ");
    let all = |id| vec![(key, KEY), (host, url.as_str()), (project, id)];
    let mut cases: Vec<Case> = vec![
        (all("1"), "<project 1 Ok(Number(28))>".into(), here.clone()),
        (
            vec![(key, "  phx_wrong\n"), (host, &url), (project, " 1 ")],
            "<project 1 Err(".into(),
            here.clone(),
        ),
        (vec![(host, &url), (project, "1")], no_project(key), no_client(key)),
        (vec![(key, " "), (project, "1")], no_project(key), no_client(key)),
        (vec![(key, KEY), (host, ""), (project, "1")], no_project(host), no_client(host)),
        (all("0"), no_project(project), here.clone()),
        (all("Main"), no_project(project), here.clone()),
        (all(""), no_project(project), here.clone()),
    ];
    // Without TLS there is no default host.
    if cfg!(any(feature = "rustls", feature = "native-tls")) {
        let cloud = r#"<client Client { origin: "https://us.posthog.com", .. }>"#;
        cases.push((vec![(key, KEY)], no_project(project), cloud.into()));
    }
    for (set, project_line, client_line) in cases {
        let mut run = Command::new(std::env::current_exe().unwrap());
        run.args([
            "--exact",
            "keys::key_host_and_project_come_from_the_environment",
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
        assert!(text.contains(&project_line) && text.contains(&client_line), "{set:?}: {text}");
        assert!(!text.contains(KEY) && !text.contains("phx_wrong"), "{text}");
    }
    let requests: Vec<_> = standin.take_requests();
    let keys: Vec<_> =
        requests.iter().map(|r| (r.target.as_str(), r.header("authorization"))).collect();
    let bearer = format!("Bearer {KEY}");
    assert_eq!(
        keys,
        [
            ("/api/projects/1/insights/28/", Some(bearer.as_str())),
            ("/api/projects/1/insights/28/", Some("Bearer phx_wrong")),
        ]
    );
}
