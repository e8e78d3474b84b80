//! Proves that any route, list and query goes out as it should, and that every shape of list gives all of its items once, in order.
#![allow(clippy::too_many_lines, clippy::type_complexity, reason = "tables")]

mod loopback;
mod standin;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use loopback::{Script, client, get, ok, on, sent, whole};
use posthog_api::{Auth, Client, Error, List, Page, Query, Refresh, rows};
use serde_derive::Deserialize;
use serde_json::{Map, Value, json};
use standin::http::{Answer, Server};
use standin::{KEY, StandIn, recordings};

fn config<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Config(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A server that has an empty list for everybody.
fn empty() -> Server {
    Server::start(|_| Answer::json(200, r#"{"results":[]}"#))
}

/// Every request since the last look, as `METHOD target body`.
fn lines(server: &Server) -> Vec<String> {
    server
        .take_requests()
        .iter()
        .map(|r| {
            let body = String::from_utf8_lossy(&r.body);
            let line = format!("{} {} {body}", r.method, r.target);
            line.trim_end().to_owned()
        })
        .collect()
}

// Routes.

/// PostHog's project routes: the name; p and e for below projects and below environments; l, g and c for list, get by key and
/// create; the other actions.
const RESOURCES: &[(&str, &str, &str, &str)] = &[
    ("actions", "p", "lgc", ""),
    ("activity_log", "p", "l", ""),
    ("agents", "p", "lg", ""),
    ("annotations", "p", "lgc", ""),
    (
        "app_metrics",
        "pe",
        "g",
        "7/error_details GET, 7/historical_exports GET, 7/historical_exports/8 GET",
    ),
    (
        "batch_exports",
        "pe",
        "lgc",
        "run_test_step_new POST, test GET, 7/backfills GET, 7/backfills POST, 7/backfills/8 GET, 7/backfills/8/cancel POST, 7/runs GET, 7/runs/8 GET",
    ),
    (
        "cohorts",
        "p",
        "lgc",
        "activity GET, 7/activity GET, 7/add_persons_to_static_cohort PATCH, 7/calculation_history GET, 7/duplicate_as_static_cohort GET, 7/persons GET, 7/remove_person_from_static_cohort PATCH",
    ),
    ("dashboard_templates", "p", "lgc", "json_schema GET"),
    (
        "dashboards",
        "pe",
        "lgc",
        "create_from_template_json POST, 7/collaborators GET, 7/collaborators POST, 7/collaborators/8 DELETE, 7/sharing GET, 7/sharing/passwords POST",
    ),
    ("data_color_themes", "pe", "lgc", ""),
    ("dataset_items", "pe", "lgc", ""),
    ("datasets", "pe", "lgc", ""),
    ("early_access_feature", "p", "lgc", ""),
    (
        "endpoints",
        "pe",
        "lgc",
        "last_execution_times POST, weekly-report/run GET, weekly-report/run POST",
    ),
    (
        "environments",
        "p",
        "lgc",
        "7/activity GET, 7/add_product_intent PATCH, 7/complete_product_onboarding PATCH, 7/default_evaluation_tags DELETE, 7/default_evaluation_tags GET, 7/default_evaluation_tags POST, 7/delete_secret_token_backup PATCH",
    ),
    (
        "error_tracking",
        "e",
        "",
        "assignment_rules GET, assignment_rules POST, assignment_rules/reorder PATCH, assignment_rules/7 DELETE, assignment_rules/7 GET, assignment_rules/7 PATCH, assignment_rules/7 PUT, fingerprints GET, fingerprints/7 DELETE",
    ),
    ("evaluation_runs", "e", "c", ""),
    ("evaluations", "e", "lgc", ""),
    ("event_definitions", "p", "lg", "7/metrics GET"),
    ("events", "pe", "lg", "values GET"),
    ("experiment_holdouts", "p", "lgc", ""),
    ("experiment_saved_metrics", "p", "lgc", ""),
    (
        "experiments",
        "p",
        "lgc",
        "eligible_feature_flags GET, requires_flag_implementation GET, 7/create_exposure_cohort_for_experiment POST, 7/duplicate POST, 7/recalculate_timeseries POST, 7/timeseries_results GET",
    ),
    ("exports", "pe", "lgc", "7/content GET"),
    (
        "feature_flags",
        "p",
        "lgc",
        "activity GET, bulk_keys POST, evaluation_reasons GET, local_evaluation GET, my_flags GET, user_blast_radius POST, 7/activity GET, 7/create_static_cohort_for_flag POST, 7/dashboard POST, 7/enrich_usage_dashboard POST, 7/remote_config GET",
    ),
    (
        "file_system",
        "pe",
        "lgc",
        "count_by_path POST, log_view POST, unfiled GET, 7/count POST, 7/link POST, 7/move POST",
    ),
    ("file_system_shortcut", "pe", "lgc", ""),
    ("flag_value", "p", "", "values GET"),
    (
        "groups",
        "pe",
        "lc",
        "activity GET, delete_property POST, find GET, property_definitions GET, property_values GET, related GET, update_property POST",
    ),
    (
        "groups_types",
        "p",
        "l",
        "create_detail_dashboard PUT, set_default_columns PUT, update_metadata PATCH, 0/metrics GET, 0/metrics POST, 0/metrics/7 DELETE, 0/metrics/7 GET, 0/metrics/7 PATCH",
    ),
    (
        "hog_functions",
        "pe",
        "lgc",
        "icon GET, icons GET, rearrange PATCH, 7/broadcast POST, 7/invocations POST, 7/logs GET, 7/metrics GET, 7/metrics/totals GET",
    ),
    (
        "insights",
        "pe",
        "lgc",
        "activity GET, cancel POST, my_last_viewed GET, viewed POST, 7/activity GET, 7/sharing GET, 7/sharing/passwords POST, 7/sharing/passwords/8 DELETE, 7/sharing/refresh POST",
    ),
    (
        "integrations",
        "pe",
        "lgc",
        "authorize GET, 7/channels GET, 7/clickup_lists GET, 7/clickup_spaces GET, 7/clickup_workspaces GET, 7/email/verify POST, 7/github_repos GET, 7/google_accessible_accounts GET, 7/google_conversion_actions GET",
    ),
    ("llm_gateway", "p", "", "v1/chat/completions POST, v1/messages POST"),
    (
        "logs",
        "pe",
        "",
        "attributes GET, query POST, sparkline POST, values GET, explainLogWithAI POST",
    ),
    ("max_tools", "e", "", "create_and_query_insight POST"),
    ("notebooks", "p", "lgc", "activity GET, recording_comments GET, Ab3xYz12/activity GET"),
    ("persisted_folder", "pe", "lgc", ""),
    (
        "persons",
        "pe",
        "lg",
        "activity GET, bulk_delete POST, cohorts GET, funnel GET, funnel POST, funnel/correlation GET, funnel/correlation POST, lifecycle GET, reset_person_distinct_id POST, stickiness GET, trends GET, values GET, 7/activity GET, 7/delete_events POST, 7/split POST, 7/update_property POST, 7/delete_property POST, batch_by_uuids POST, deletion_status GET",
    ),
    ("plugin_configs", "pe", "", "7/logs GET"),
    ("property_definitions", "p", "lg", "seen_together GET"),
    (
        "query",
        "pe",
        "gc",
        "check_auth_for_async POST, draft_sql GET, upgrade POST, 7/log GET, HogQLQuery POST",
    ),
    (
        "session_recording_playlists",
        "pe",
        "lgc",
        "Ab3xYz12/recordings GET, Ab3xYz12/recordings/8 DELETE, Ab3xYz12/recordings/8 POST",
    ),
    (
        "session_recordings",
        "pe",
        "lg",
        "7/sharing GET, 7/sharing/passwords POST, 7/sharing/passwords/8 DELETE, 7/sharing/refresh POST",
    ),
    (
        "session_summaries",
        "e",
        "",
        "create_session_summaries POST, create_session_summaries_individually POST",
    ),
    ("sessions", "pe", "", "property_definitions GET, values GET"),
    ("subscriptions", "pe", "lgc", ""),
    (
        "surveys",
        "p",
        "lgc",
        "activity GET, responses_count GET, stats GET, 7/activity GET, 7/duplicate_to_projects POST, 7/stats GET, 7/summarize_responses POST",
    ),
    (
        "tasks",
        "p",
        "lgc",
        "7/run POST, 7/update_position PATCH, 7/runs GET, 7/runs POST, 7/runs/8 GET, 7/runs/8 PATCH, 7/runs/8/append_log POST, 7/runs/8/set_output PATCH",
    ),
    ("user_interviews", "e", "lgc", ""),
    (
        "warehouse_saved_queries",
        "pe",
        "lgc",
        "7/activity GET, 7/ancestors POST, 7/cancel POST, 7/descendants POST, 7/revert_materialization POST, 7/run POST",
    ),
    ("warehouse_tables", "pe", "lgc", "file POST, 7/refresh_schema POST, 7/update_schema POST"),
    ("web_analytics", "p", "", "breakdown GET, overview GET"),
    ("web_experiments", "p", "lgc", ""),
    ("web_vitals", "e", "l", ""),
];

/// Routes that newer servers have besides, nested ones too.
const NEWER: &str = "advanced_activity_logs alerts approval_policies change_requests column_configurations comments \
    conversations/tickets core_events csp-reporting customer_journeys customer_profile_configs data_management \
    data_modeling_edges data_modeling_jobs data_modeling_nodes data_warehouse desktop_file_system desktop_recordings \
    elements/stats error_tracking/issues error_tracking/releases error_tracking/symbol_sets error_tracking/fingerprints \
    error_tracking/assignment_rules error_tracking/grouping_rules error_tracking/suppression_rules \
    error_tracking/stack_frames error_tracking/external_references error_tracking/spike_events \
    error_tracking/spike_detection_config error_tracking/git-provider-file-links evaluation_runs event_filter event_schemas \
    external_data_schemas external_data_sources fix_hogql health_issues heatmap_screenshots heatmaps hog hog_flow_templates \
    hog_flows hog_function_templates ingestion_warnings insight_variables insights/7/thresholds js-snippet lineage links \
    live_debugger_breakpoints llm_analytics/sentiment llm_prompts logs/alerts logs/views managed_migrations \
    managed_viewsets marketing_analytics materialized_column_slots mcp_servers mcp_server_installations mcp_tools \
    messaging_categories messaging_preferences messaging_templates metalytics my_notifications notifications \
    object_media_previews pipeline_destination_configs plugin_configs product_enablement product_tours \
    project_secret_api_keys query_tab_state quick_filters quota_limits revenue_analytics/taxonomy sandbox_environments saved \
    scheduled_changes schema_property_groups sdk_health search session_group_summaries \
    session_recording_external_references signals signal_reports signal_source_configs single_session_summaries tags \
    tracing/spans uploaded_media user_product_list visual_review/repos visual_review/runs warehouse_dag \
    warehouse_model_paths warehouse_saved_query_drafts warehouse_saved_query_folders warehouse_view_links \
    web_analytics_filter_presets web_vitals";

/// One call of any route: of the project, or by the whole path.
fn call(client: &Client, root: Option<&str>, method: &str, path: &str) {
    let project = client.project(1);
    let whole = format!("{}{path}", root.unwrap_or_default());
    let request = match (method, root) {
        ("GET", None) => project.get(path),
        ("POST", None) => project.post(path),
        ("PUT", None) => project.put(path),
        ("PATCH", None) => project.patch(path),
        ("DELETE", None) => project.delete(path),
        ("GET", Some(_)) => client.get(&whole),
        ("POST", Some(_)) => client.post(&whole),
        ("PUT", Some(_)) => client.put(&whole),
        ("PATCH", Some(_)) => client.patch(&whole),
        ("DELETE", Some(_)) => client.delete(&whole),
        other => panic!("{other:?}"),
    };
    let request = match method {
        "GET" | "DELETE" => request,
        _ => request.json(json!({"name": "x"})),
    };
    request.send().unwrap();
}

#[test]
fn every_project_route_is_reached_by_its_name() {
    let server = empty();
    let client = client(&server.url());
    let names: BTreeSet<&str> = RESOURCES.iter().map(|(name, ..)| *name).collect();
    assert_eq!((RESOURCES.len(), names.len()), (55, 55));
    for (name, sides, has, actions) in RESOURCES {
        for side in sides.chars() {
            let (root, base) = match side {
                'p' => (None, "/api/projects/1/"),
                _ => (Some("/api/environments/1/"), "/api/environments/1/"),
            };
            let mut expected = Vec::new();
            let mut expect = |method: &str, path: &str| {
                let body = match method {
                    "GET" | "DELETE" => "",
                    _ => r#" {"name":"x"}"#,
                };
                call(&client, root, method, path);
                expected.push(format!("{method} {base}{path}{body}"));
            };
            if has.contains('g') {
                expect("GET", &format!("{name}/7/"));
            }
            if has.contains('c') {
                expect("POST", &format!("{name}/"));
            }
            if has.contains("gc") {
                for method in ["PATCH", "PUT", "DELETE"] {
                    expect(method, &format!("{name}/7/"));
                }
            }
            for action in actions.split(", ").filter(|action| !action.is_empty()) {
                let (path, method) = action.split_once(' ').unwrap();
                expect(method, &format!("{name}/{path}/"));
            }
            if has.contains('l') {
                let list = match root {
                    None => client.project(1).list(name),
                    Some(root) => client.list(&format!("{root}{name}/")),
                };
                assert!(list.all().unwrap().is_empty());
                // The one list that loses rows as the server sorts it.
                let query = match *name {
                    "insights" => "?order=id&include_query_insights=true",
                    _ => "",
                };
                expected.push(format!("GET {base}{name}/{query}"));
            }
            assert!(!expected.is_empty(), "{name}");
            assert_eq!(lines(&server), expected, "{name}");
        }
    }
}

#[test]
fn newer_and_nested_routes_are_reached_by_their_names() {
    let server = empty();
    let project = client(&server.url()).project(12);
    let mut nested = 0;
    for name in NEWER.split_whitespace() {
        nested += usize::from(name.contains('/'));
        assert!(project.list(name).all().unwrap().is_empty());
        project.get(&format!("{name}/7/")).send().unwrap();
        // With or without the slash at the end of a list's name, it is one route.
        project.list(&format!("{name}/")).page().unwrap();
        let base = format!("GET /api/projects/12/{name}/");
        assert_eq!(lines(&server), [base.clone(), format!("{base}7/"), base]);
    }
    assert!(nested > 15, "{nested}");
}

#[test]
fn organization_and_root_routes_are_reached_by_path() {
    let server = empty();
    let client = client(&server.url());
    let uuid = "01a20773-d872-0000-079c-edd0d4549f20";
    for organization in [uuid, "@current"] {
        let base = format!("/api/organizations/{organization}/");
        for name in [
            "projects",
            "members",
            "invites",
            "domains",
            "roles",
            "roles/7/role_memberships",
            "proxy_records",
            "batch_exports",
            "feature_flags",
            "integrations",
            "oauth_applications",
            "plugins",
            "pipeline_destinations",
            "resource_transfers",
            "personal_api_keys",
            "advanced_activity_logs",
            "welcome",
        ] {
            let path = format!("{base}{name}/");
            client.list(&path).all().unwrap();
            client.get(&path).send().unwrap();
            assert_eq!(lines(&server), [format!("GET {path}"), format!("GET {path}")]);
        }
        for (method, path) in [
            ("PATCH", format!("members/{uuid}/")),
            ("DELETE", format!("members/{uuid}/")),
            ("POST", "invites/bulk/".to_owned()),
            ("POST", "domains/7/verify/".to_owned()),
            ("GET", "feature_flags/my-flag/".to_owned()),
            ("POST", "feature_flags/copy_flags/".to_owned()),
            ("PUT", "roles/7/".to_owned()),
        ] {
            call(&client, Some(&base), method, &path);
            let body = if matches!(method, "GET" | "DELETE") { "" } else { r#" {"name":"x"}"# };
            assert_eq!(lines(&server), [format!("{method} {base}{path}{body}")]);
        }
    }
    for path in [
        "users/@me",
        "users/01a20773-d877-0000-8739-b4c601478aa5",
        "organizations",
        "organizations/@current",
        "projects",
        "projects/1",
        "projects/@current",
        "projects/@current/insights",
        "environments/1",
        "personal_api_keys",
        "personal_api_keys/@current",
        "instance_status",
        "instance_settings",
        "async_migrations",
        "dead_letter_queue",
        "login",
        "login/precheck",
        "reset",
        "schema",
        "feature_flag/local_evaluation",
        "early_access_features",
        "surveys",
        "web_experiments",
    ] {
        // The slash at the end is the caller's: both forms are PostHog's.
        for slash in ["/", ""] {
            let path = format!("/api/{path}{slash}");
            client.get(&path).send().unwrap();
            assert_eq!(lines(&server), [format!("GET {path}")]);
        }
    }
    client.project(7).get("").send().unwrap();
    assert_eq!(lines(&server), ["GET /api/projects/7/"]);
}

#[test]
fn what_is_special_in_a_path_is_encoded_and_what_would_lead_elsewhere_refused() {
    let server = empty();
    let client = client(&server.url());
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
        config(client.project(1).get(path).send());
        config(client.project(1).post(path).send());
        config(client.project(1).list(path).page());
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
        config(client.get(path).send());
        config(client.list(path).all());
    }
    assert!(config(client.project(1).get("/insights/").send()).contains("relative"));
    config(client.project(1).list("").all());
    config(client.project(0).insight(1));
    config(client.project(0).persons().all());
    config(client.project(0).hogql("select 1").send());
    assert_eq!(lines(&server), [""; 0]);
}

// Lists.

/// A shape of list: its pages, its items, and the queries of the requests that fetch it.
struct Shape {
    what: &'static str,
    begin: fn(&Client) -> List,
    pages: Vec<Value>,
    count: Option<u64>,
    targets: Vec<&'static str>,
}

/// Rows with these ids.
fn ids(ids: std::ops::RangeInclusive<u64>) -> Value {
    ids.map(|id| json!({"id": id})).collect()
}

/// PostHog's shapes of list, each with items 1 to 5; the links name hosts that are not there.
fn shapes() -> Vec<Shape> {
    let numbered = |next: [&str; 2]| {
        vec![
            json!({"count": 5, "next": next[0], "previous": null, "results": ids(1..=2)}),
            json!({"count": 5, "next": next[1], "previous": "http://in.example/?limit=2", "results": ids(3..=4)}),
            json!({"count": 5, "next": null, "previous": "http://in.example/?limit=2&offset=2", "results": ids(5..=5)}),
        ]
    };
    let limit: fn(&Client) -> List = |c| c.project(1).list("things").page_size(2);
    let plain: fn(&Client) -> List = |c| c.project(1).list("things");
    let offsets = vec!["things/?limit=2", "things/?limit=2&offset=2", "things/?limit=2&offset=4"];
    vec![
        Shape {
            what: "count, next, results",
            begin: limit,
            pages: numbered([
                "https://in.example:8000/api/projects/1/things/?limit=2&offset=2",
                "http://in.example/prefix/api/projects/9/others/?limit=2&offset=4",
            ]),
            count: Some(5),
            targets: offsets.clone(),
        },
        Shape {
            what: "next, results",
            begin: limit,
            pages: vec![
                json!({"results": ids(1..=2), "next": "http://in.example/x/?limit=2&offset=2", "previous": null}),
                // Short, and still not the last; then empty, and still not the last.
                json!({"results": ids(3..=3), "next": "http://in.example/x/?limit=2&offset=4", "previous": null}),
                json!({"results": [], "next": "http://in.example/x/?limit=2&offset=6", "previous": null}),
                json!({"results": ids(4..=5), "next": "http://in.example/x/?limit=2&offset=8", "previous": null}),
                json!({"results": [], "next": null, "previous": null}),
            ],
            count: None,
            targets: vec![
                "things/?limit=2",
                "things/?limit=2&offset=2",
                "things/?limit=2&offset=4",
                "things/?limit=2&offset=6",
                "things/?limit=2&offset=8",
            ],
        },
        Shape {
            what: "results only",
            begin: plain,
            pages: vec![json!({"results": ids(1..=5)})],
            count: None,
            targets: vec!["things/"],
        },
        Shape {
            what: "keyset, before",
            begin: |c| {
                c.project(1)
                    .list("events")
                    .param("event", "a b")
                    .param("after", "2026-10-20T00:00:00Z")
            },
            pages: vec![
                json!({"next": "http://in.example/e/?event=a+b&after=2026-10-20T00%3A00%3A00Z&before=2026-11-20T08%3A00%3A59.8%2B00%3A00", "results": ids(1..=3)}),
                json!({"next": null, "results": ids(4..=5)}),
            ],
            count: None,
            targets: vec![
                "events/?event=a%20b&after=2026-10-20T00%3A00%3A00Z",
                "events/?event=a%20b&after=2026-10-20T00%3A00%3A00Z&before=2026-11-20T08%3A00%3A59.8%2B00%3A00",
            ],
        },
        Shape {
            what: "keyset, after",
            begin: |c| c.project(1).list("events").param("orderBy", json!(["timestamp"])),
            pages: vec![
                json!({"next": "http://in.example/e/?orderBy=%5B%22timestamp%22%5D&after=2026-11-01T00%3A00%3A00%2B00%3A00", "results": ids(1..=3)}),
                json!({"next": null, "results": ids(4..=5)}),
            ],
            count: None,
            targets: vec![
                "events/?orderBy=%5B%22timestamp%22%5D",
                "events/?orderBy=%5B%22timestamp%22%5D&after=2026-11-01T00%3A00%3A00%2B00%3A00",
            ],
        },
        Shape {
            what: "has_next, by offset",
            begin: |c| c.project(1).list("session_recordings").param("version", 3),
            pages: vec![
                json!({"results": ids(1..=2), "has_next": true, "version": 3}),
                json!({"results": ids(3..=4), "has_next": true, "version": 3}),
                json!({"results": ids(5..=5), "has_next": false, "version": 3}),
            ],
            count: None,
            targets: vec![
                "session_recordings/?version=3",
                "session_recordings/?version=3&offset=2",
                "session_recordings/?version=3&offset=4",
            ],
        },
        Shape {
            what: "has_next, from an offset of the caller's",
            begin: |c| c.project(1).list("session_recordings").param("offset", 10).page_size(3),
            pages: vec![
                json!({"results": ids(1..=3), "has_next": true}),
                json!({"results": ids(4..=4), "has_next": true}),
                json!({"results": ids(5..=5)}),
            ],
            count: None,
            targets: vec![
                "session_recordings/?offset=10&limit=3",
                "session_recordings/?limit=3&offset=13",
                "session_recordings/?limit=3&offset=14",
            ],
        },
        Shape {
            what: "opaque cursor",
            begin: |c| c.project(1).list("groups").param("group_type_index", 0),
            pages: vec![
                json!({"next": "https://in.example/g/?cursor=cD0yMDI2LTEx%3D%3D&group_type_index=0", "previous": null, "results": ids(1..=2)}),
                json!({"next": "https://in.example/g/?cursor=cj0x%2B%2F&group_type_index=0", "previous": null, "results": ids(3..=4)}),
                json!({"next": null, "previous": "https://in.example/g/?cursor=x", "results": ids(5..=5)}),
            ],
            count: None,
            targets: vec![
                "groups/?group_type_index=0",
                "groups/?cursor=cD0yMDI2LTEx%3D%3D&group_type_index=0",
                "groups/?cursor=cj0x%2B%2F&group_type_index=0",
            ],
        },
        Shape {
            what: "pages with total_count",
            begin: |c| c.project(1).list("feature_flags/2/activity").page_size(3),
            pages: vec![
                json!({"results": ids(1..=3), "next": "http://in.example/a/?limit=3&page=2", "previous": null, "total_count": 5}),
                json!({"results": ids(4..=5), "next": null, "previous": "http://in.example/a/?limit=3&page=1", "total_count": 5}),
            ],
            count: Some(5),
            targets: vec![
                "feature_flags/2/activity/?limit=3",
                "feature_flags/2/activity/?limit=3&page=2",
            ],
        },
        Shape {
            what: "relative links, the query alone",
            begin: limit,
            pages: numbered(["?limit=2&offset=2", "?limit=2&offset=4"]),
            count: Some(5),
            targets: offsets.clone(),
        },
        Shape {
            what: "relative links without a slash",
            begin: limit,
            pages: numbered([
                "api/projects/1/things/?limit=2&offset=2",
                "ttp://in.example/api/projects/1/things/?limit=2&offset=4",
            ]),
            count: Some(5),
            targets: offsets.clone(),
        },
        Shape {
            what: "relative links with a slash",
            begin: limit,
            pages: numbered([
                "/api/projects/1/things/?limit=2&offset=2",
                "//in.example/things/?limit=2&offset=4#end",
            ]),
            count: Some(5),
            targets: offsets,
        },
        Shape {
            what: "result, as old routes say",
            begin: |c| c.project(1).list("insights/trend").param("events", json!([{"id": "a"}])),
            pages: vec![
                json!({"result": ids(1..=4), "next": "api/projects/1/insights/trend/?events=%5B%7B%22id%22%3A%22a%22%7D%5D&offset=25", "is_cached": false}),
                json!({"is_cached": false, "next": null, "result": ids(5..=5)}),
            ],
            count: None,
            targets: vec![
                "insights/trend/?events=%5B%7B%22id%22%3A%22a%22%7D%5D",
                "insights/trend/?events=%5B%7B%22id%22%3A%22a%22%7D%5D&offset=25",
            ],
        },
        Shape {
            what: "next null, whatever stands beside it",
            begin: plain,
            pages: vec![json!({"has_next": true, "count": 9, "results": ids(1..=5), "next": null})],
            count: Some(9),
            targets: vec!["things/"],
        },
        Shape {
            what: "a bare array",
            begin: plain,
            pages: vec![ids(1..=5)],
            count: None,
            targets: vec!["things/"],
        },
    ]
}

#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
struct Thing {
    id: u64,
}

#[test]
fn every_shape_of_list_gives_all_items_once_and_in_order() {
    let all: Vec<Value> = ids(1..=5).as_array().unwrap().clone();
    let things: Vec<Thing> = (1..=5).map(|id| Thing { id }).collect();
    for shape in shapes() {
        let what = shape.what;
        let targets: Vec<String> =
            shape.targets.iter().map(|t| format!("GET /api/projects/1/{t}")).collect();
        let script = || Script::of(&shape.pages);
        for ahead in 0..=3 {
            let what = format!("{what}, {ahead} ahead");
            let server = script();
            let mut items = (shape.begin)(&server.client()).prefetch(ahead).items();
            assert_eq!(items.total(), None, "{what}");
            let first = items.next().unwrap().unwrap();
            assert_eq!(items.total(), shape.count, "{what}");
            let mut found = vec![first];
            found.extend(items.by_ref().map(Result::unwrap));
            assert_eq!(found, all, "{what}");
            assert!(items.next().is_none() && items.next().is_none(), "{what}");
            assert_eq!(items.total(), shape.count, "{what}");
            assert_eq!(server.lines(), targets, "{what}");

            let server = script();
            let items = (shape.begin)(&server.client()).prefetch(ahead).items_as::<Thing>();
            let found: Result<Vec<Thing>, Error> = items.collect();
            assert_eq!(found.unwrap(), things, "{what}");
            assert_eq!(server.lines(), targets, "{what}");

            let server = script();
            let mut pages = (shape.begin)(&server.client()).prefetch(ahead).pages();
            for (n, expected) in shape.pages.iter().enumerate() {
                let page = pages.next().unwrap().unwrap();
                let rows =
                    expected.get("results").or_else(|| expected.get("result")).unwrap_or(expected);
                assert_eq!(&json!(page.results), rows, "{what}");
                assert_eq!(
                    (page.count, page.has_next),
                    (shape.count, n + 1 < shape.pages.len()),
                    "{what}"
                );
            }
            assert!(pages.next().is_none() && pages.next().is_none(), "{what}");
            assert_eq!(server.lines(), targets, "{what}");

            let server = script();
            assert_eq!(
                (shape.begin)(&server.client()).prefetch(ahead).all().unwrap(),
                all,
                "{what}"
            );
            assert_eq!(server.lines(), targets, "{what}");

            let server = Script::of(&shape.pages[..1]);
            let page = (shape.begin)(&server.client()).prefetch(ahead).page().unwrap();
            assert_eq!((page.count, page.has_next), (shape.count, shape.pages.len() > 1), "{what}");
            assert_eq!(server.lines(), targets[..1], "{what}");

            let server = Script::of(&shape.pages[..1]);
            let first = (shape.begin)(&server.client()).prefetch(ahead).first().unwrap();
            assert_eq!(first, Some(all[0].clone()), "{what}");
            let mut only = targets[0].clone();
            if !only.contains("limit=") {
                only += if only.contains('?') { "&limit=1" } else { "?limit=1" };
            }
            assert_eq!(server.lines(), [only], "{what}");
        }
    }
}

#[test]
fn the_first_item_may_come_behind_empty_pages() {
    let script = Script::of(&[
        json!({"results": [], "next": "http://in.example/?limit=1&offset=1"}),
        json!({"results": ids(9..=9), "next": "http://in.example/?limit=1&offset=2"}),
    ]);
    assert_eq!(script.client().project(1).list("things").first().unwrap(), Some(json!({"id": 9})));
    assert_eq!(
        script.lines(),
        ["GET /api/projects/1/things/?limit=1", "GET /api/projects/1/things/?limit=1&offset=1"]
    );
    let script = Script::of(&[json!({"results": [], "next": null})]);
    assert_eq!(script.client().project(1).persons().first().unwrap(), None);
    assert_eq!(script.lines(), ["GET /api/projects/1/persons/?limit=1"]);
    let script = Script::of(&[json!({"results": [], "next": null})]);
    assert_eq!(script.client().project(1).persons().page().unwrap(), Page::default());
    assert_eq!(script.lines(), ["GET /api/projects/1/persons/?limit=1000"]);
}

#[test]
fn nothing_is_sent_before_it_is_asked_for() {
    let script = Script::start(Vec::new());
    let client = script.client();
    let project = client.project(1);
    let kept: [Box<dyn std::any::Any>; 7] = [
        Box::new(project.list("things").param("a", 1).prefetch(2)),
        Box::new(project.persons().items()),
        Box::new(project.insights().pages()),
        Box::new(client.list("/api/projects/").items_as::<Thing>()),
        Box::new(project.post("things/").json(json!({}))),
        Box::new(project.hogql("select 1").background()),
        Box::new(project.hogql("select id from t").scan("id")),
    ];
    thread::sleep(Duration::from_millis(50));
    assert_eq!(script.so_far(), 0);
    drop(kept);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(script.so_far(), 0);
}

#[test]
fn pages_are_fetched_as_they_are_asked_for_and_as_many_ahead_as_said() {
    let endless = || {
        Server::start(|request| {
            let offset: u64 = request.param("offset").map_or(0, |n| n.parse().unwrap());
            let next = format!("http://in.example/?offset={}", offset + 1);
            Answer::json(200, &json!({"results": [{"id": offset}], "next": next}).to_string())
        })
    };
    for ahead in 0..=3 {
        let server = endless();
        let mut items = client(&server.url()).project(1).list("things").prefetch(ahead).items();
        for taken in 1..=3 {
            assert_eq!(items.next().unwrap().unwrap(), json!({"id": taken - 1}));
            let expected = taken + ahead;
            let start = Instant::now();
            while server.requests().len() < expected && start.elapsed() < Duration::from_secs(5) {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(30));
            assert_eq!(server.requests().len(), expected, "{taken} taken, {ahead} ahead");
        }
        // Nobody wants more: the thread ends.
        drop(items);
        thread::sleep(Duration::from_millis(100));
        let sent = server.requests().len();
        assert!(sent <= 3 + ahead + 1, "{sent}");
    }
}

#[test]
fn after_an_error_a_list_is_done() {
    let page = || ok(&json!({"results": ids(1..=2), "next": "http://in.example/?offset=2"}));
    let failing: Vec<(&str, Answer, fn(&Error) -> bool)> = vec![
        ("a status", Answer::json(500, "{}"), |e| e.status() == Some(500)),
        ("no list", Answer::json(200, r#"{"id": 1}"#), |e| matches!(e, Error::Decode(_))),
        ("results that are no list", Answer::json(200, r#"{"results": {"a": 1}}"#), |e| {
            matches!(e, Error::Decode(_))
        }),
        ("no JSON", Answer::new(200, "Content-Type: text/html\r\n", "<html>"), |e| {
            matches!(e, Error::Decode(_))
        }),
        ("null", Answer::json(200, "null"), |e| matches!(e, Error::Decode(_))),
        ("an empty body", Answer::json(200, ""), |e| matches!(e, Error::Decode(_))),
        (
            "a row of another type",
            Answer::json(200, r#"{"results": [{"id": "x"}], "next": null}"#),
            |e| matches!(e, Error::Decode(_)),
        ),
    ];
    for (what, answer, is_it) in failing {
        for ahead in 0..=3 {
            let script = Script::start(vec![page(), answer.clone()]);
            let mut items =
                script.client().project(1).list("things").prefetch(ahead).items_as::<Thing>();
            let two = [items.next().unwrap().unwrap(), items.next().unwrap().unwrap()];
            assert_eq!(two.map(|thing| thing.id), [1, 2]);
            let error = items.next().unwrap().unwrap_err();
            assert!(is_it(&error), "{what}: {error:?}");
            assert!(items.next().is_none() && items.next().is_none(), "{what}");
            drop(items);
            assert_eq!(script.asked().len(), 2, "{what}");
        }
        let script = Script::start(vec![page(), answer]);
        let all: Result<Vec<Thing>, Error> =
            script.client().project(1).list("things").items_as().collect();
        assert!(is_it(&all.unwrap_err()));
    }
}

#[test]
fn a_next_that_cannot_be_followed_is_told_behind_the_rows_that_came_with_it() {
    let one = |next: Value| vec![json!({"results": ids(1..=2), "next": next})];
    let link =
        |query: &str| Value::from(format!("http://in.example/api/projects/1/things/{query}"));
    for (what, pages) in [
        ("no query", one(link(""))),
        ("an empty query", one(link("?"))),
        ("an empty text", one(json!(""))),
        ("a number", one(json!(2))),
        ("a boolean", one(json!(false))),
        ("an object", one(json!({"offset": 2}))),
        ("only a key", one(link(&format!("?personal_api_key={KEY}")))),
        ("the same page", one(link("?a=1&b=x%20y"))),
        ("the same page, written in another way", one(link("?a=%31&b=x+y#f"))),
        (
            "has_next without a row",
            vec![
                json!({"results": ids(1..=2), "has_next": true}),
                json!({"results": [], "has_next": true}),
            ],
        ),
        (
            "a circle of two",
            vec![
                json!({"results": ids(1..=1), "next": link("?a=1&b=x+y&offset=1")}),
                json!({"results": ids(2..=2), "next": link("?a=1&b=x+y")}),
            ],
        ),
        (
            "a circle that leaves the beginning out",
            vec![
                json!({"results": ids(1..=1), "next": link("?offset=1")}),
                json!({"results": ids(2..=2), "next": link("?offset=1")}),
            ],
        ),
    ] {
        for ahead in [0, 2] {
            let script = Script::of(&pages);
            let list = || {
                script
                    .client()
                    .project(1)
                    .list("things")
                    .param("a", 1)
                    .param("b", "x y")
                    .prefetch(ahead)
            };
            let mut items = list().items();
            let rows: Vec<Value> = items.by_ref().take(2).map(Result::unwrap).collect();
            assert_eq!(json!(rows), ids(1..=2), "{what}");
            let error = items.next().unwrap().unwrap_err();
            let Error::Paging(failure) = &error else { panic!("{what}: {error:?}") };
            assert_eq!(
                (failure.method(), failure.path()),
                ("GET", "/api/projects/1/things/"),
                "{what}"
            );
            assert!(!format!("{error} {error:?}").contains(KEY), "{error}");
            assert!(items.next().is_none(), "{what}");
            assert_eq!(script.asked().len(), pages.len(), "{what}");
        }
        let script = Script::of(&pages);
        let all = script.client().project(1).list("things").param("a", 1).param("b", "x y").all();
        assert!(matches!(all, Err(Error::Paging(_))), "{what}: {all:?}");
    }
}

/// PostHog writes the parameters of its links sorted: a link to the page that it stands on need not look like the request.
#[test]
fn a_next_to_the_same_page_is_known_in_any_order_of_its_parameters() {
    let next =
        "http://in.example/api/projects/1/insights/?include_query_insights=true&limit=2&order=id";
    let script = Script::of(&[json!({"count": 9, "next": next, "results": ids(1..=2)})]);
    let mut items = script.client().project(1).insights().page_size(2).items();
    let rows: Vec<Value> = items.by_ref().take(2).map(Result::unwrap).collect();
    assert_eq!(json!(rows), ids(1..=2));
    let error = items.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Paging(_)), "{error:?}");
    script.asked();
}

// Parameters.

#[test]
fn parameters_go_out_as_text_or_as_json() {
    #[derive(serde_derive::Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Named {
        TwoWords,
    }
    let server = empty();
    let project = client(&server.url()).project(1);
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
    // A route may take a name more than once; a list may not, as the server would read one of the two.
    project.get("things/").param("tag", "a").param("tag", "b").send().unwrap();
    assert_eq!(lines(&server), ["GET /api/projects/1/things/?tag=a&tag=b"]);
}

#[test]
fn the_defaults_of_persons_and_insights_give_way() {
    let server = empty();
    let project = client(&server.url()).project(1);
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
fn parameters_that_cannot_be_right_are_refused_before_anything_is_sent() {
    let script = Script::start(Vec::new());
    let project = script.client().project(1);
    let no_json = std::collections::BTreeMap::from([(vec![1], 2)]);
    for (error, why) in [
        (config(project.list("x").param("a", 1).param("a", 2).page()), r#""a" is given twice"#),
        (
            config(project.list("x").page_size(5).param("limit", 6).all()),
            r#""limit" is given twice"#,
        ),
        (
            config(project.list("x").param("limit", 6).page_size(5).first()),
            r#""limit" is given twice"#,
        ),
        (config(project.list("x").page_size(5).page_size(5).page()), r#""limit" is given twice"#),
        (config(project.persons().search("a").search("b").page()), r#""search" is given twice"#),
        (
            config(project.insights().saved(true).param("saved", false).page()),
            r#""saved" is given twice"#,
        ),
        (
            config(project.insights().param("order", "id").param("order", "name").page()),
            r#""order" is given twice"#,
        ),
        (
            config(
                project
                    .persons()
                    .param("properties", json!([]))
                    .filter(posthog_api::PersonFilter::property("a").is_set())
                    .page(),
            ),
            "properties go into filter",
        ),
        (config(project.list("x").page_size(0).page()), "page size of 0"),
        (config(project.list("x").param("", 1).page()), "without a name"),
        (config(project.get("x").param("", 1).send()), "without a name"),
        (config(project.list("x").param("a", &no_json).page()), "cannot be sent"),
        (config(project.get("x").param("a", &no_json).send()), "cannot be sent"),
        (config(project.post("x").json(&no_json).send()), "cannot be sent"),
        // The first fault is told, wherever it was made.
        (
            config(project.list("x").param("", 1).page_size(0).items().next().unwrap()),
            "without a name",
        ),
    ] {
        assert!(error.contains(why), "{why}: {error}");
    }
    for name in ["search", "email", "distinct_id", "short_id"] {
        for error in [
            config(project.list("x").param(name, "").page()),
            config(project.get("x").param(name, "").send()),
        ] {
            assert!(error.starts_with(&format!("the {name} is empty")), "{error}");
        }
    }
    for name in ["token", "api_key", "personal_api_key"] {
        for error in [
            config(project.list("x").param(name, "phx_z").page()),
            config(project.list("x").param(name, "phx_z").items().next().unwrap()),
            config(project.list("x").param(name, json!(null)).pages().next().unwrap()),
            config(project.get("x").param(name, "phx_z").send()),
            config(project.post("x").param(name, 1).json(json!({})).send()),
            config(script.client().get("/api/users/@me/").param(name, "phx_z").text()),
            config(script.client().list("/api/projects/").param(name, "phx_z").all()),
        ] {
            assert!(error.contains(name) && !error.contains("phx_z"), "{error}");
        }
    }
    assert_eq!(script.so_far(), 0);
}

// Any request.

#[test]
fn a_request_is_sent_whole_in_every_method() {
    let body = json!({"name": "A \"b\" é", "deleted": true, "n": u64::MAX});
    let text = r#"{"deleted":true,"n":18446744073709551615,"name":"A \"b\" é"}"#;
    for (method, with_body) in [
        ("GET", false),
        ("DELETE", false),
        ("POST", true),
        ("PUT", true),
        ("PATCH", true),
        ("POST", false),
        ("PUT", false),
        ("PATCH", false),
        ("DELETE", true),
    ] {
        let script = Script::of(&[json!({"id": 1})]);
        let client = script.client();
        let path = "/api/projects/1/things/7/";
        let request = match method {
            "GET" => client.get(path),
            "POST" => client.post(path),
            "PUT" => client.put(path),
            "PATCH" => client.patch(path),
            _ => client.delete(path),
        };
        let request = if with_body { request.json(&body) } else { request };
        assert_eq!(request.param("a", 1).send().unwrap(), json!({"id": 1}));
        let text = if with_body { text } else { "" };
        assert_eq!(script.sent(), whole(method, &format!("{path}?a=1"), true, text));
    }
}

#[test]
fn the_key_goes_into_the_body_or_the_query_of_every_method() {
    let path = "/api/projects/1/things/";
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        for (given, with_key) in [
            (None, format!(r#"{{"personal_api_key":"{KEY}"}}"#)),
            (Some(json!({})), format!(r#"{{"personal_api_key":"{KEY}"}}"#)),
            (
                Some(json!({"a": 1, "z": [{}]})),
                format!(r#"{{"personal_api_key":"{KEY}","a":1,"z":[{{}}]}}"#),
            ),
        ] {
            for auth in [Auth::Body, Auth::Query] {
                let script = Script::of(&[json!({})]);
                let client = on(&script.url()).auth(auth).build().unwrap();
                let project = client.project(1);
                let request = match method {
                    "GET" => project.get("things/"),
                    "POST" => project.post("things/"),
                    "PUT" => project.put("things/"),
                    "PATCH" => project.patch("things/"),
                    _ => project.delete("things/"),
                };
                let request = match &given {
                    Some(body) => request.json(body),
                    None => request,
                };
                request.param("b", 2).send().unwrap();
                let plain = given.as_ref().map_or(String::new(), Value::to_string);
                let expected = if auth == Auth::Body {
                    whole(method, &format!("{path}?b=2"), false, &with_key)
                } else {
                    let target = format!("{path}?b=2&personal_api_key={KEY}");
                    whole(method, &target, false, &plain)
                };
                assert_eq!(script.sent(), expected, "{auth:?}");
            }
        }
    }
    // A body that the key cannot go into.
    let script = Script::start(Vec::new());
    let client = on(&script.url()).auth(Auth::Body).build().unwrap();
    for body in [json!([1]), json!("text"), json!(null)] {
        config(client.project(1).post("things/").json(&body).send());
    }
    assert_eq!(script.so_far(), 0);
}

#[test]
fn a_host_may_have_a_path_of_its_own_and_the_caller_a_name() {
    let script = Script::of(&[
        json!({"results": ids(1..=2), "next": "http://in.example/elsewhere/api/projects/1/things/?offset=2"}),
        json!({"results": ids(3..=3), "next": null}),
    ]);
    let host = format!("{}/posthog/eu/", script.url());
    let client = on(&host).user_agent("my-tool/1.2 (x; y)").build().unwrap();
    assert_eq!(client.project(1).list("things").all().unwrap().len(), 3);
    let asked: Vec<String> = script.asked().iter().map(|r| sent(r, &script.url())).collect();
    let named = |target: &str| {
        get(&format!("/posthog/eu/api/projects/1/things/{target}"))
            .replace("user-agent: ", "user-agent: my-tool/1.2 (x; y) ")
    };
    assert_eq!(asked, [named(""), named("?offset=2")]);
}

#[test]
fn answers_are_read_as_json_as_a_type_or_as_text() {
    let answer = |status, body: &str| {
        Script::start(vec![Answer::new(status, "Content-Type: application/json\r\n", body)])
    };
    let script = answer(200, r#"{"id": 5, "more": [1]}"#);
    assert_eq!(script.client().project(1).get("x/").send_as::<Thing>().unwrap(), Thing { id: 5 });
    assert_eq!(script.sent(), get("/api/projects/1/x/"));

    // A success without a body is null, whichever success it is.
    for status in [200, 201, 202, 204] {
        assert_eq!(
            answer(status, "").client().project(1).delete("x/7/").send().unwrap(),
            Value::Null
        );
        assert_eq!(
            answer(status, "").client().project(1).post("x/").send_as::<Option<Thing>>().unwrap(),
            None
        );
        let error =
            answer(status, "").client().project(1).patch("x/").send_as::<Thing>().unwrap_err();
        assert!(matches!(&error, Error::Decode(_)) && error.status() == Some(status), "{error:?}");
        assert_eq!(answer(status, "").client().project(1).get("x/").text().unwrap(), "");
    }
    let text = "id,name\r\n1,\"é, \"\"x\"\"\"\r\n";
    let script = Script::start(vec![Answer::new(200, "Content-Type: text/csv\r\n", text)]);
    assert_eq!(
        script.client().project(1).get("persons/").param("format", "csv").text().unwrap(),
        text
    );
    let accepts_all = get("/api/projects/1/persons/?format=csv")
        .replace("accept: application/json", "accept: */*");
    assert_eq!(script.sent(), accepts_all);

    for (body, why) in [
        ("<html>", "expected value"),
        ("{\"id\": ", "EOF"),
        ("{\"id\": 1} x", "trailing"),
        ("{\"id\": \"x\"}", "invalid type"),
    ] {
        let error = answer(200, body).client().project(1).get("x/").send_as::<Thing>().unwrap_err();
        let Error::Decode(decode) = &error else { panic!("{error:?}") };
        assert_eq!(
            (decode.status(), decode.content_type(), decode.body()),
            (200, Some("application/json"), body)
        );
        assert!(decode.message().contains(why), "{error}");
        assert!(
            error.to_string().starts_with("GET /api/projects/1/x/: 200 (application/json): "),
            "{error}"
        );
    }
}

#[test]
fn what_the_server_says_is_told_whatever_shape_it_says_it_in() {
    for (status, body, detail) in [
        (400, r#"{"error": "Provide one of them"}"#, Some("Provide one of them")),
        (400, r#"{"success": false, "message": "No"}"#, Some("No")),
        (
            500,
            r#"{"query_status": {"error": true, "error_message": "Too slow"}}"#,
            Some("Too slow"),
        ),
        (401, r#"{"detail": "Log in"}"#, Some("Log in")),
        (400, r#"{"detail": {"key": ["x"]}}"#, None),
        (502, "<html><h1>Bad gateway</h1></html>", None),
        (503, "", None),
        (404, "[1]", None),
    ] {
        let script = Script::start(vec![Answer::json(status, body)]);
        let error = script.client().project(1).get("persons/x/").send().unwrap_err();
        let Error::Api(api) = &error else { panic!("{error:?}") };
        assert_eq!((api.status(), api.detail(), api.body()), (status, detail, body));
        let said = match detail {
            Some(detail) => format!("GET /api/projects/1/persons/x/: {status}: {detail}"),
            None if body.is_empty() => format!("GET /api/projects/1/persons/x/: {status}: no body"),
            None => format!("GET /api/projects/1/persons/x/: {status}: the body begins '{body}'"),
        };
        assert!(error.to_string().starts_with(&said), "{error}");
    }
}

#[test]
fn a_request_waits_as_long_as_it_says() {
    let server = Server::start(|request| {
        if !request.target.contains("quick") {
            thread::sleep(Duration::from_millis(1_200));
        }
        Answer::json(200, "{}")
    });
    let client = on(&server.url()).timeout(Duration::from_secs(20)).build().unwrap();
    let project = client.project(1);
    let short = Duration::from_millis(80);
    let start = Instant::now();
    for (result, call) in [
        (client.get("/api/users/@me/").timeout(short).send(), "GET /api/users/@me/"),
        (project.hogql("select 1").timeout(short).send(), "POST /api/projects/1/query/"),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Timeout(_)) && error.is_timeout());
        assert!(error.to_string().starts_with(call), "{error}");
        assert!(error.to_string().contains("80ms"), "{error}");
    }
    assert!(start.elapsed() < Duration::from_millis(1_100));
    let quick = project.get("quick/").timeout(Duration::from_secs(9));
    assert_eq!(quick.send().unwrap(), json!({}));
}

// HogQL.

fn table(columns: &[&str], rows: &Value) -> Value {
    json!({"columns": columns, "results": rows, "types": [], "hasMore": false})
}

#[test]
fn a_query_goes_out_whole() {
    type Make = fn(&Client) -> Query;
    let cases: Vec<(Make, &str)> = vec![
        (
            |c| c.project(1).hogql("select 1"),
            r#"{"query":{"kind":"HogQLQuery","query":"select 1"}}"#,
        ),
        (
            |c| c.project(1).hogql("select 'é' where a = {a}").value("a", "x' OR 1=1 --"),
            r#"{"query":{"kind":"HogQLQuery","query":"select 'é' where a = {a}","values":{"a":"x' OR 1=1 --"}}}"#,
        ),
        (
            |c| {
                let query = c.project(1).hogql("select {n}, { list }, {none}, {n}, {o}");
                query
                    .value("n", u64::MAX)
                    .value("list", ["a", "b"])
                    .value("none", None::<u8>)
                    .value("o", 1.5)
            },
            r#"{"query":{"kind":"HogQLQuery","query":"select {n}, { list }, {none}, {n}, {o}","values":{"list":["a","b"],"n":18446744073709551615,"none":null,"o":1.5}}}"#,
        ),
        (
            |c| c.project(1).hogql("select 1").refresh(Refresh::ForceBlocking),
            r#"{"query":{"kind":"HogQLQuery","query":"select 1"},"refresh":"force_blocking"}"#,
        ),
        (
            |c| {
                c.project(1)
                    .query(json!({"kind": "EventsQuery", "select": ["*"], "limit": 3}))
                    .refresh(Refresh::ForceCache)
            },
            r#"{"query":{"kind":"EventsQuery","limit":3,"select":["*"]},"refresh":"force_cache"}"#,
        ),
        (
            |c| {
                c.project(1)
                    .query(json!({"kind": "HogQLQuery", "query": "select {x}"}))
                    .value("x", true)
                    .refresh(Refresh::Blocking)
            },
            r#"{"query":{"kind":"HogQLQuery","query":"select {x}","values":{"x":true}},"refresh":"blocking"}"#,
        ),
        (
            |c| {
                c.project(1).query(json!({"kind": "HogQLQuery", "query": "select {x}, {y}", "values": {"y": 2}})).value("x", 1)
            },
            r#"{"query":{"kind":"HogQLQuery","query":"select {x}, {y}","values":{"x":1,"y":2}}}"#,
        ),
    ];
    for (make, body) in cases {
        let answer = table(&["a"], &json!([[1]]));
        let script = Script::of(std::slice::from_ref(&answer));
        assert_eq!(make(&script.client()).send().unwrap(), answer);
        assert_eq!(script.sent(), whole("POST", "/api/projects/1/query/", true, body));
        let script = Script::of(std::slice::from_ref(&answer));
        assert_eq!(json!(make(&script.client()).rows().unwrap()), json!([{"a": 1}]));
        assert_eq!(script.sent(), whole("POST", "/api/projects/1/query/", true, body));
    }
    for (refresh, name) in [
        (Refresh::ForceCache, "force_cache"),
        (Refresh::Blocking, "blocking"),
        (Refresh::ForceBlocking, "force_blocking"),
        (Refresh::Async, "async"),
        (Refresh::LazyAsync, "lazy_async"),
        (Refresh::ForceAsync, "force_async"),
    ] {
        let script = Script::of(&[json!({})]);
        script.client().project(1).hogql("select 1").refresh(refresh).send().unwrap();
        let body: Value = serde_json::from_slice(&script.asked()[0].body).unwrap();
        assert_eq!(body["refresh"], name);
    }
}

#[test]
fn a_query_that_cannot_be_right_is_refused() {
    let script = Script::start(Vec::new());
    let project = script.client().project(1);
    let hogql = |sql: &str| project.hogql(sql);
    let no_json = std::collections::BTreeMap::from([(vec![1], 2)]);
    for (query, why) in [
        (hogql(""), "SQL is empty"),
        (hogql(" \n"), "SQL is empty"),
        (hogql("select 1").value("a", 1), "no placeholder {a}"),
        (hogql("select a").value("a", 1), "no placeholder {a}"),
        (hogql("select {ab}").value("a", 1), "no placeholder {a}"),
        (hogql("select {a").value("a", 1), "no placeholder {a}"),
        (hogql("select {a}").value("", 1), "no placeholder {}"),
        (hogql("select {a}").value("a", 1).value("a", 2), "{a} is given twice"),
        (hogql("select {a}, {b}").value("a", 1).value("b", 2).value("a", 1), "{a} is given twice"),
        (hogql("select {a}").value("a", &no_json), "cannot be sent"),
        (project.query(json!({"kind": "EventsQuery"})).value("a", 1), "HogQLQuery only"),
        (project.query(json!([1])), "no object"),
        (project.query("select 1"), "no object"),
        (project.query(&no_json), "cannot be sent"),
    ] {
        for error in [
            config(query.clone().send()),
            config(query.clone().rows()),
            config(query.clone().background().send()),
            config(query.scan("a").next().unwrap()),
        ] {
            assert!(error.contains(why), "{why}: {error}");
        }
    }
    assert_eq!(script.so_far(), 0);
}

#[test]
fn columns_of_one_name_do_not_swallow_each_other() {
    let answer =
        table(&["a", "a", "a_2", "b", "a"], &json!([[1, 2, 3, 4, 5], [null, "x", [], {}, 1.5]]));
    let script = Script::of(&[answer]);
    let rows = script.client().project(1).hogql("select 1").rows().unwrap();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row.len(), 5, "{row:?}");
    }
    let mut cells: Vec<u64> = rows[0].values().filter_map(Value::as_u64).collect();
    cells.sort_unstable();
    assert_eq!(cells, [1, 2, 3, 4, 5]);
    assert_eq!((&rows[0]["a"], &rows[0]["b"]), (&json!(1), &json!(4)));
}

#[test]
fn a_column_keeps_the_name_that_the_server_gave_it() {
    for (columns, name, at) in [
        (vec!["a", "a", "a_2"], "a_2", 2),
        (vec!["a_2", "a", "a"], "a_2", 0),
        (vec!["a", "a", "a", "a_3"], "a_3", 3),
    ] {
        let row: Vec<usize> = (0..columns.len()).collect();
        let script = Script::of(&[table(&columns, &json!([row]))]);
        let rows = script.client().project(1).hogql("select 1").rows().unwrap();
        assert_eq!(rows[0].len(), columns.len(), "{columns:?}");
        assert_eq!(rows[0][name], json!(at), "{columns:?}: {:?}", rows[0]);
    }
}

#[test]
fn an_answer_that_is_cut_or_may_be_is_an_error_of_rows_alone() {
    let plain = "select n from t";
    for (n, more, sql, cut) in [
        (3, json!({"hasMore": true}), plain, true),
        (100, json!({"hasMore": false}), plain, false),
        // The server puts a LIMIT on, and says so only in the statement that it writes back.
        (100, json!({"hogql": "SELECT n FROM t LIMIT 100"}), plain, true),
        (99, json!({"hogql": "SELECT n FROM t LIMIT 100"}), plain, false),
        (100, json!({"hasMore": null, "hogql": "SELECT n FROM t LIMIT 100"}), plain, true),
        (101, json!({"hasMore": null, "hogql": "SELECT n FROM t LIMIT 101"}), plain, true),
        (100, json!({}), plain, true),
        (99, json!({}), plain, false),
        (100, json!({"hogql": "SELECT n FROM t LIMIT 100"}), "select n from t limit 100", false),
        (5, json!({"hogql": "SELECT n FROM t LIMIT 5"}), "select n from t LIMIT 5", false),
        (
            5,
            json!({"hogql": "SELECT n FROM t LIMIT 5 OFFSET 3"}),
            "select n from t limit 3, 5",
            false,
        ),
        // More was wanted than a server gives.
        (
            10_000,
            json!({"hogql": "SELECT n FROM t LIMIT 10000"}),
            "select n from t limit 20000",
            true,
        ),
        (
            10_000,
            json!({"hogql": "SELECT n FROM t LIMIT 10000"}),
            "select n from t limit 10000",
            false,
        ),
        (
            9_999,
            json!({"hogql": "SELECT n FROM t LIMIT 10000"}),
            "select n from t limit 20000",
            false,
        ),
        (50_000, json!({"hasMore": null}), "select n from t limit 60000", true),
        // A LIMIT of something else is none of the statement's.
        (100, json!({}), "select n from (select n from t limit 5000)", true),
        (100, json!({}), "select 'limit 5000' from t -- limit 6000", true),
        (100, json!({}), "select n from t limit 1 by n", true),
    ] {
        assert_cut(n, &more, sql, cut);
    }
    let answer = |n| json!({"columns": ["n"], "results": many(n)});
    assert!(rows(&answer(100)).is_err());
    assert!(rows(&answer(99)).is_ok());
}

/// Each SELECT of a UNION gets a LIMIT of its own where it says none.
#[test]
fn an_answer_to_a_union_may_be_cut_in_each_of_its_parts() {
    for (n, more, sql, cut) in [
        (100, json!({}), "select n from t union all select n from u", true),
        (
            150,
            json!({"hogql": "SELECT n FROM t LIMIT 100 UNION ALL SELECT n FROM u LIMIT 100"}),
            "select n from t union all select n from u",
            true,
        ),
        (
            110,
            json!({"hogql": "SELECT n FROM t LIMIT 100 UNION ALL SELECT n FROM u LIMIT 5000"}),
            "select n from t union all select n from u limit 5000",
            true,
        ),
        (99, json!({}), "select n from t union all select n from u", false),
        (
            150,
            json!({"hogql": "SELECT n FROM t LIMIT 500 UNION ALL SELECT n FROM u LIMIT 500"}),
            "select n from t limit 500 union all select n from u limit 500",
            false,
        ),
        (110, json!({}), "select n from t limit 500 union all select n from u", true),
        (
            110,
            json!({}),
            "select n from t limit 9 union all select n from u limit 9 except select n from v",
            true,
        ),
    ] {
        assert_cut(n, &more, sql, cut);
    }
}

#[test]
fn parentheses_around_a_statement_are_no_limit() {
    for (n, more, sql, cut) in [
        (150, json!({}), "(select n from t) union all (select n from u)", true),
        (
            150,
            json!({}),
            "(select n from t limit 500) union all (select n from u limit 500)",
            false,
        ),
        (100, json!({"hogql": "SELECT n FROM t LIMIT 100"}), "(select n from t)", true),
        (100, json!({"hogql": "SELECT n FROM t LIMIT 500"}), "(select n from t limit 500)", false),
    ] {
        assert_cut(n, &more, sql, cut);
    }
}

fn many(n: u64) -> Value {
    (0..n).map(|i| json!([i])).collect()
}

/// Whether `rows` refuses an answer of `n` rows to `sql`, in which `more` stands besides.
fn assert_cut(n: u64, more: &Value, sql: &str, cut: bool) {
    let mut answer = json!({"columns": ["n"], "results": many(n), "types": [["n", "UInt64"]]});
    let fields = answer.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let what = format!("{n} rows of {sql:?}, {more}");
    let script = Script::of(&[answer.clone(), answer.clone()]);
    let project = script.client().project(1);
    match project.hogql(sql).rows() {
        Err(Error::Query(why)) if cut => {
            assert!(
                why.contains(&format!("{n} rows")) && why.contains("Query::scan"),
                "{what}: {why}"
            );
        }
        Ok(rows) if !cut => assert_eq!(rows.len() as u64, n, "{what}"),
        other => panic!("{what}: {:?}", other.map(|rows| rows.len())),
    }
    // What came is there for whoever asks for it as it is.
    assert_eq!(project.hogql(sql).send().unwrap(), answer, "{what}");
}

#[test]
fn a_query_that_failed_under_a_200_is_an_error() {
    for (answer, why) in [
        (json!({"error": "Unknown table", "results": [], "columns": []}), Some("Unknown table")),
        (
            json!({"results": null, "query_status": {"id": "q", "complete": true, "error": true, "error_message": "Too slow"}}),
            Some("Too slow"),
        ),
        (json!({"error": "", "results": [[1]], "columns": ["a"]}), None),
        (json!({"error": null, "results": [[1]], "columns": ["a"]}), None),
    ] {
        let script = Script::of(std::slice::from_ref(&answer));
        match (script.client().project(1).hogql("select 1").send(), why) {
            (Err(Error::Query(m)), Some(why)) => assert!(m.contains(why), "{m}"),
            (Ok(got), None) => assert_eq!(got, answer),
            (other, _) => panic!("{answer}: {other:?}"),
        }
    }
}

// Scans.

fn body(request: &standin::http::Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn a_scan_asks_for_page_after_page_behind_the_last_key() {
    let sql = "select id, n from t where a = {a} -- all of them";
    let pages = [
        json!([["k1", 1], ["k2", 2]]),
        // The server may give fewer than asked for, and more where keys are equal.
        json!([["k3", 3]]),
        json!([["k4", 4], ["k5", 5], ["k5", 6]]),
        json!([]),
    ];
    let answers: Vec<Value> = pages
        .iter()
        .map(|rows| json!({"columns": ["id", "n"], "results": rows, "hasMore": true}))
        .collect();
    let script = Script::of(&answers);
    let query =
        script.client().project(1).hogql(sql).value("a", "x").refresh(Refresh::ForceBlocking);
    let mut scan = query.scan("id").page_size(2);
    let found: Vec<u64> = scan.by_ref().map(|row| row.unwrap()["n"].as_u64().unwrap()).collect();
    assert_eq!(found, [1, 2, 3, 4, 5, 6]);
    assert!(scan.next().is_none() && scan.next().is_none());
    let page = |after: Option<&str>| {
        let (only, values) = match after {
            Some(key) => (" WHERE `id` > {scan_after}", json!({"a": "x", "scan_after": key})),
            None => ("", json!({"a": "x"})),
        };
        let sql = format!("SELECT * FROM ({sql}\n){only} ORDER BY `id` LIMIT 2 WITH TIES");
        json!({"query": {"kind": "HogQLQuery", "query": sql, "values": values}, "refresh": "force_blocking"})
    };
    let asked: Vec<Value> = script.asked().iter().map(body).collect();
    assert_eq!(asked, [page(None), page(Some("k2")), page(Some("k3")), page(Some("k5"))]);
    for request in script.asked() {
        let text = String::from_utf8(request.body.clone()).unwrap();
        assert_eq!(
            sent(&request, &script.url()),
            whole("POST", "/api/projects/1/query/", true, &text)
        );
    }
    // The size of a page, unless it is said.
    let script = Script::of(&[json!({"columns": ["n"], "results": []})]);
    assert!(script.client().project(1).hogql("select n from t").scan("n").next().is_none());
    assert_eq!(
        body(&script.asked()[0]),
        json!({"query": {"kind": "HogQLQuery", "query": "SELECT * FROM (select n from t\n) ORDER BY `n` LIMIT 10000 WITH TIES"}})
    );
}

#[test]
fn keys_of_a_scan_stay_what_they_are() {
    for (first, second) in
        [(json!(1), json!(u64::MAX)), (json!(-5), json!(2.5)), (json!("a'b\\"), json!("é"))]
    {
        let page = |key: &Value| json!({"columns": ["weird key"], "results": [[key]]});
        let script = Script::of(&[
            page(&first),
            page(&second),
            json!({"columns": ["weird key"], "results": []}),
        ]);
        let rows: Vec<Map<String, Value>> = script
            .client()
            .project(1)
            .hogql("select 1")
            .scan("weird key")
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows.len(), 2);
        let asked = script.asked();
        assert_eq!(body(&asked[1])["query"]["values"]["scan_after"], first);
        assert_eq!(body(&asked[2])["query"]["values"]["scan_after"], second);
        let sql = body(&asked[1])["query"]["query"].as_str().unwrap().to_owned();
        assert!(
            sql.contains(") WHERE `weird key` > {scan_after} ORDER BY `weird key` LIMIT"),
            "{sql}"
        );
    }
}

#[test]
fn a_scan_of_all_persons_gives_each_once_whatever_the_page_size() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let mut everybody: Vec<String> = Vec::new();
    for name in ["persons_walk", "persons_walk__p2", "persons_walk__p3"] {
        let page: Value = serde_json::from_slice(&recordings::one("2023", name).body).unwrap();
        everybody.extend(
            page["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| p["id"].as_str().unwrap().to_owned()),
        );
    }
    everybody.sort();
    assert_eq!(everybody.len(), 250);
    for (size, requests) in
        [(Some(7), 37), (Some(100), 4), (Some(250), 2), (Some(10_000), 2), (None, 2)]
    {
        let scan = project.hogql("select id, created_at from persons").scan("id");
        let scan = match size {
            Some(size) => scan.page_size(size),
            None => scan,
        };
        let rows: Vec<Map<String, Value>> = scan.map(Result::unwrap).collect();
        let mut ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, everybody, "{size:?}");
        assert!(rows.iter().all(|row| row.len() == 2 && row["created_at"].is_string()));
        assert_eq!(standin.take_requests().len(), requests, "{size:?}");
    }
    // A walk that was left goes on behind the last row that was kept.
    let begin = || project.hogql("select id from persons").scan("id").page_size(40);
    let id =
        |row: Result<Map<String, Value>, Error>| row.unwrap()["id"].as_str().unwrap().to_owned();
    let whole: Vec<String> = begin().map(id).collect();
    for left_at in [0, 39, 40, 111, 248, 249] {
        let head: Vec<String> = begin().take(left_at + 1).map(id).collect();
        let tail: Vec<String> = begin().after(head.last().unwrap()).map(id).collect();
        assert_eq!([head, tail].concat(), whole, "{left_at}");
    }
    standin.take_requests();
    begin().after(&whole[10]).next().unwrap().unwrap();
    let first = body(&standin.take_requests()[0]);
    assert_eq!(first["query"]["values"], json!({"scan_after": whole[10]}));
}

#[test]
fn rows_that_share_a_key_come_with_it() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    // Two minutes are the same for nobody; names are the same for many.
    let rows: Vec<Map<String, Value>> = project
        .hogql("select name, id from persons")
        .scan("name")
        .page_size(3)
        .map(Result::unwrap)
        .collect();
    let ids: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), ids.len()), (250, 250));
}

#[test]
fn a_scan_that_cannot_be_walked_is_refused_before_anything_is_sent() {
    let script = Script::start(Vec::new());
    let project = script.client().project(1);
    let scan = |sql: &str| project.hogql(sql).scan("id");
    for (mut scan, why) in [
        (scan("select id from t order by id"), "ORDER"),
        (scan("select id from t limit 5"), "LIMIT"),
        (scan("select id from t limit 1 by id"), "LIMIT"),
        (scan("select id from t Offset 5"), "OFFSET"),
        (scan("select id from t;"), ";"),
        (scan("select id from t; drop"), ";"),
        (scan("select id from t) union all (select 1"), "not closed"),
        (scan("select 'a from t"), "not closed"),
        (scan("select id from t /* x"), "not closed"),
        (scan("select id from t where id > {scan_after}"), "scan_after"),
        (scan(""), "empty"),
        (project.hogql("select 1").scan(""), "no name of a column"),
        (project.hogql("select 1").scan("a`b"), "no name of a column"),
        (project.hogql("select 1").scan("a\\"), "no name of a column"),
        (project.hogql("select 1").scan("a\nb"), "no name of a column"),
        (project.query(json!({"kind": "EventsQuery"})).scan("id"), "only a HogQL query"),
        (scan("select id from t").page_size(0), "page size of 0"),
        (scan("select id from t").after(json!(null)), "no key"),
        (scan("select id from t").after([1]), "no key"),
        (scan("select id from t").after(true), "no key"),
        (scan("select id from t").after(f64::NAN), "no key"),
    ] {
        let error = config(scan.next().unwrap());
        assert!(error.contains(why), "{why}: {error}");
        assert!(scan.next().is_none() && scan.next().is_none(), "{why}");
    }
    assert_eq!(script.so_far(), 0);
    // What only looks like it is sent.
    for sql in [
        "select id, 'order by limit' from t",
        "select id from (select id from t order by id limit 5)",
        "select `order`, id, \"limit\" from t -- limit 5",
        "select id, row_number() over (order by id) from t",
        "select id from t /* offset */ where a = {a}",
    ] {
        let script = Script::of(&[json!({"columns": ["id"], "results": []})]);
        assert!(script.client().project(1).hogql(sql).scan("id").next().is_none(), "{sql}");
        script.asked();
    }
}

#[test]
fn a_scan_that_cannot_go_on_is_an_error_and_then_done() {
    let page = |rows: Value| ok(&json!({"columns": ["id", "n"], "results": rows}));
    for (what, answers, good) in [
        ("a status", vec![page(json!([["a", 1]])), Answer::json(400, r#"{"detail":"x"}"#)], 1),
        ("the same row again", vec![page(json!([["a", 1]])), page(json!([["a", 1]]))], 1),
        ("a key that is null", vec![page(json!([["a", 1], [null, 2]]))], 0),
        ("a key that is a list", vec![page(json!([[["a"], 1]]))], 0),
        ("no key among the columns", vec![ok(&json!({"columns": ["n"], "results": [[1]]}))], 0),
        ("no rows", vec![ok(&json!({"results": [{"id": 1}]}))], 0),
        ("a row that is short", vec![page(json!([["a"]]))], 0),
        (
            "a failure under a 200",
            vec![ok(&json!({"error": "no", "columns": ["id"], "results": []}))],
            0,
        ),
    ] {
        let script = Script::start(answers);
        let mut scan =
            script.client().project(1).hogql("select id, n from t").scan("id").page_size(1);
        assert_eq!(scan.by_ref().take_while(Result::is_ok).count(), good, "{what}");
        assert!(scan.next().is_none() && scan.next().is_none(), "{what}");
        script.asked();
    }
    let script = Script::start(vec![page(json!([["a", 1]])), page(json!([["a", 1]]))]);
    let mut scan = script.client().project(1).hogql("select id, n from t").scan("id");
    assert!(scan.next().unwrap().is_ok());
    let error = scan.next().unwrap().unwrap_err();
    assert!(matches!(&error, Error::Query(m) if m.contains("never end")), "{error:?}");
}

// Pace.

#[test]
fn requests_are_spread_over_the_minute_and_the_waits_are_seen() {
    let server = empty();
    let seen: Arc<Mutex<Vec<(String, u32, Duration, Option<u16>, String)>>> = Arc::default();
    let hook = Arc::clone(&seen);
    let client = on(&server.url())
        .max_requests_per_minute(600)
        .on_retry(move |event| {
            let call = format!("{} {}", event.method, event.path);
            hook.lock().unwrap().push((
                call,
                event.retry,
                event.wait,
                event.status,
                event.reason.clone(),
            ));
        })
        .build()
        .unwrap();
    let slot = Duration::from_millis(100);
    // What two processors' clocks may be apart.
    let slack = Duration::from_millis(5);
    let start = Instant::now();
    for n in 0..4 {
        client.project(1).list("things").param("n", n).page().unwrap();
        assert!(start.elapsed() + slack >= slot * n, "request {n} after {:?}", start.elapsed());
    }
    // Clones have one pace, and what was not used is not saved up.
    thread::sleep(Duration::from_millis(250));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            let client = client.clone();
            scope.spawn(move || client.project(1).hogql("select 1").send().unwrap());
        }
    });
    assert!(start.elapsed() + slack >= slot * 3, "{:?}", start.elapsed());
    assert_eq!(server.requests().len(), 8, "{:#?}", server.requests());
    // A request that takes as long as a slot leaves nothing to wait for, so not each of them waits on a busy machine.
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty() && seen.len() <= 6, "{seen:?}");
    for (call, retry, wait, status, reason) in seen.iter() {
        let (list, query) = ("GET /api/projects/1/things/", "POST /api/projects/1/query/");
        let most = if call == list { slot } else { slot * 3 };
        assert!(call == list || call == query, "{call}");
        assert!(*wait <= most + slack, "{call}: {wait:?}");
        assert_eq!((*retry, *status), (0, None), "{call}");
        assert_eq!(reason, "max_requests_per_minute");
    }

    // Without it nothing waits.
    let server = empty();
    let quick = on(&server.url()).on_retry(|event| panic!("{event:?}")).build().unwrap();
    for _ in 0..5 {
        quick.project(1).list("things").page().unwrap();
    }
}
