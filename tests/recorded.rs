//! Proves that every answer that two real PostHog servers gave is asked for by the public face and read for what it means.
#![allow(
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::cast_precision_loss,
    reason = "tables, and counts of a few hundred"
)]

mod loopback;
mod standin;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use loopback::{Script, on};
use posthog_api::{
    Auth, Client, Error, List, Page, PersonFilter, PersonProperty, Project, aggregated_value,
    aggregated_values, funnel_steps, paths, result, retention, rows, series, time_to_convert,
};
use serde_json::{Map, Value, json};
use standin::KEY;
use standin::http::{Answer, Request};
use standin::recordings::{self, Recorded};

fn recorded(year: &str, name: &str) -> &'static Recorded {
    static ALL: OnceLock<BTreeMap<(String, String), Recorded>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        ["2022", "2023"]
            .iter()
            .flat_map(|year| {
                recordings::all(year)
                    .into_iter()
                    .map(|r| ((year.to_string(), r.name.clone()), r))
            })
            .collect()
    });
    all.get(&(year.to_owned(), name.to_owned()))
        .unwrap_or_else(|| panic!("no recording {year}/{name}"))
}

fn text(recorded: &Recorded) -> &str {
    std::str::from_utf8(&recorded.body).unwrap()
}

/// The body as JSON, by its own way: the one that is no JSON has null for what JSON cannot say.
fn json_of(recorded: &Recorded) -> Value {
    match recorded.name.as_str() {
        "query_inf_nan" => {
            let said = "[[Infinity, NaN, -Infinity]]";
            assert!(text(recorded).contains(said));
            serde_json::from_str(&text(recorded).replace(said, "[[null,null,null]]")).unwrap()
        }
        // The same request, answered without compression.
        "gzip_persons" => json_of(self::recorded("2023", "persons_walk")),
        _ => serde_json::from_slice(&recorded.body).unwrap(),
    }
}

fn serve(recordings: &[&Recorded]) -> Script {
    Script::start(recordings.iter().map(|r| Answer::recorded(r)).collect())
}

// What was asked must be what was recorded, but for what the library adds on purpose.

fn params(target: &str) -> BTreeMap<String, Value> {
    let request = Request {
        method: String::new(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let pairs = request.params();
    let count = pairs.len();
    let map: BTreeMap<String, Value> = pairs
        .into_iter()
        .map(|(name, value)| {
            let json = serde_json::from_str(&value)
                .ok()
                .filter(|_| name == "properties");
            (
                name,
                json.map_or(Value::String(value), |json| one_form(&json)),
            )
        })
        .collect();
    assert_eq!(map.len(), count, "a parameter twice: {target}");
    map
}

/// `exact` and `is_not` compare with a set: the library always writes the set, the recordings one value sometimes.
fn one_form(filter: &Value) -> Value {
    match filter {
        Value::Array(filters) => filters.iter().map(one_form).collect(),
        Value::Object(fields) => {
            let mut fields: Map<String, Value> = fields
                .iter()
                .map(|(k, v)| {
                    (
                        k.clone(),
                        if k == "values" {
                            one_form(v)
                        } else {
                            v.clone()
                        },
                    )
                })
                .collect();
            let set = fields
                .get("operator")
                .is_some_and(|o| o == "exact" || o == "is_not");
            if let Some(value) = fields.get_mut("value").filter(|v| set && !v.is_array()) {
                *value = json!([value.clone()]);
            }
            Value::Object(fields)
        }
        other => other.clone(),
    }
}

fn assert_asked(asked: &Request, recorded: &Recorded) {
    let what = format!(
        "{} for {}: {}",
        asked.target, recorded.name, recorded.target
    );
    assert_eq!(asked.method, recorded.method, "{what}");
    let path = recorded.target.split('?').next().unwrap();
    let slash = if path.ends_with('/') { "" } else { "/" };
    let decoded = standin::http::decode(asked.path(), false);
    assert!(
        decoded == path || decoded == format!("{path}{slash}"),
        "{what}"
    );
    let (mut sent, expected) = (params(&asked.target), params(&recorded.target));
    for (name, value) in [
        ("limit", "1000"),
        ("order", "id"),
        ("include_query_insights", "true"),
    ] {
        if !expected.contains_key(name) && sent.get(name).is_some_and(|v| v == value) {
            sent.remove(name);
        }
    }
    assert_eq!(sent, expected, "{what}");
    let body = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap_or_default() };
    assert_eq!(
        body(&asked.body),
        body(
            recorded
                .request_body
                .as_deref()
                .unwrap_or_default()
                .as_bytes()
        ),
        "{what}"
    );
}

// The ways to ask.

enum Got {
    Json(Value),
    Page(Page),
    Found(Option<Value>),
    Text(String),
}

type Asked = Result<Got, Error>;
type Ask = fn(&Client, &Recorded) -> Asked;

fn project(client: &Client, recorded: &Recorded) -> Project {
    client.project(recorded.target.split('/').nth(3).unwrap().parse().unwrap())
}

/// What stands behind `/api/projects/{id}/`.
fn relative(recorded: &Recorded) -> String {
    let path = recorded.target.split('?').next().unwrap();
    let path: Vec<&str> = path.split('/').skip(4).collect();
    path.join("/")
}

fn given(recorded: &Recorded) -> Vec<(String, String)> {
    let request = Request {
        method: String::new(),
        target: recorded.target.clone(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let mut params = request.params();
    params.retain(|(name, _)| name != "personal_api_key");
    params
}

fn with_params<K>(list: List<K>, recorded: &Recorded) -> List<K> {
    given(recorded)
        .into_iter()
        .fold(list, |list, (name, value)| list.param(&name, value))
}

fn found<K>(list: List<K>) -> Asked {
    list.page().map(Got::Page)
}

fn me(client: &Client, _: &Recorded) -> Asked {
    client.me().map(Got::Json)
}

fn insight(client: &Client, recorded: &Recorded) -> Asked {
    let id = relative(recorded)
        .split('/')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    project(client, recorded).insight(id).map(Got::Json)
}

fn insights(client: &Client, recorded: &Recorded) -> Asked {
    found(with_params(project(client, recorded).insights(), recorded))
}

fn short_id(client: &Client, recorded: &Recorded) -> Asked {
    let (_, short_id) = given(recorded)
        .into_iter()
        .find(|(name, _)| name == "short_id")
        .unwrap();
    project(client, recorded)
        .insight_by_short_id(&short_id)
        .map(Got::Found)
}

fn persons(client: &Client, recorded: &Recorded) -> Asked {
    found(with_params(project(client, recorded).persons(), recorded))
}

fn distinct_id(client: &Client, recorded: &Recorded) -> Asked {
    let (_, id) = given(recorded)
        .into_iter()
        .find(|(name, _)| name == "distinct_id")
        .unwrap();
    project(client, recorded)
        .person_by_distinct_id(&id)
        .map(Got::Found)
}

fn person(client: &Client, recorded: &Recorded) -> Asked {
    let path = relative(recorded);
    project(client, recorded)
        .person(path.split('/').nth(1).unwrap())
        .map(Got::Json)
}

/// Any list, by its name.
fn list(client: &Client, recorded: &Recorded) -> Asked {
    found(with_params(
        project(client, recorded).list(&relative(recorded)),
        recorded,
    ))
}

/// Any route, by its path.
fn route(client: &Client, recorded: &Recorded) -> posthog_api::Request {
    let path = relative(recorded);
    let project = || project(client, recorded);
    let request = match recorded.method.as_str() {
        _ if !recorded.target.starts_with("/api/projects/") || path.is_empty() => {
            client.get(recorded.target.split('?').next().unwrap())
        }
        "GET" => project().get(&path),
        "POST" => project().post(&path),
        "PATCH" => project().patch(&path),
        "DELETE" => project().delete(&path),
        other => panic!("{other}"),
    };
    let body: Option<Value> = recorded
        .request_body
        .as_deref()
        .and_then(|body| serde_json::from_str(body).ok());
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    given(recorded)
        .into_iter()
        .fold(request, |request, (name, value)| {
            request.param(&name, value)
        })
}

fn send(client: &Client, recorded: &Recorded) -> Asked {
    route(client, recorded).send().map(Got::Json)
}

fn as_text(client: &Client, recorded: &Recorded) -> Asked {
    route(client, recorded).text().map(Got::Text)
}

fn query_of(client: &Client, recorded: &Recorded) -> posthog_api::Query {
    let body: Value = serde_json::from_str(recorded.request_body.as_deref().unwrap()).unwrap();
    let project = project(client, recorded);
    match body["query"]["kind"].as_str() {
        Some("HogQLQuery") => {
            let query = project.hogql(body["query"]["query"].as_str().unwrap());
            let values = body["query"]["values"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            values
                .into_iter()
                .fold(query, |query, (name, value)| query.value(&name, value))
        }
        _ => project.query(&body["query"]),
    }
}

fn query(client: &Client, recorded: &Recorded) -> Asked {
    query_of(client, recorded).send().map(Got::Json)
}

fn p(key: &str) -> PersonProperty {
    PersonFilter::property(key)
}

fn linux() -> PersonFilter {
    p("$initial_os").exact("Linux")
}

fn free() -> PersonFilter {
    p("plan").exact("free")
}

fn filtered(client: &Client, filters: impl IntoIterator<Item = PersonFilter>) -> Asked {
    found(
        filters
            .into_iter()
            .fold(client.project(1).persons(), List::filter),
    )
}

// What an answer means.

#[derive(Clone, Copy, PartialEq)]
enum Means {
    /// The value, the page, the one row or the text that the body holds.
    Body,
    /// A 2xx without a body.
    Nothing,
    /// An error whose parts are those in the body, and what it is about.
    Refused(&'static str),
    /// A 2xx that cannot be read, and why.
    Unreadable(&'static str),
}
use Means::{Body, Nothing, Refused, Unreadable};

struct Row {
    year: &'static str,
    name: &'static str,
    ask: Ask,
    means: Means,
    /// Why the library cannot ask just so; the answer is read all the same.
    unlike: Option<&'static str>,
}

fn table() -> Vec<Row> {
    let mut table: Vec<Row> = Vec::new();
    let mut add = |years: &'static str, means, ask: Ask, names: &'static str| {
        for year in years.split(' ') {
            table.extend(names.split_whitespace().map(|name| Row {
                year,
                name,
                ask,
                means,
                unlike: None,
            }));
        }
    };
    add(
        "2022 2023",
        Body,
        me,
        "auth_me_bearer_ok auth_me_query_ok auth_me_body_ok",
    );
    add("2023", Body, me, "auth_me_noorg");
    add("2022", Body, me, "auth_me_no_organization");
    add(
        "2022 2023",
        Refused("key"),
        me,
        "auth_me_missing auth_me_invalid auth_me_lowercase_scheme",
    );
    add("2023", Refused("key"), me, "auth_project_key_as_bearer");
    add("2023", Refused("key"), list, "auth_actions_missing");
    add("2022", Refused("key"), list, "actions_invalid_key");
    add("2023", Refused(""), me, "accept_text_plain");
    add(
        "2022 2023",
        Body,
        |c, _| found(c.list("/api/projects/")),
        "projects_list",
    );
    add(
        "2023",
        Body,
        send,
        "projects_retrieve insight_refresh_boldnumber evict_refresh_true flow_cohorts_create \
         flow_cohorts_patch flow_cohorts_soft_delete",
    );
    add(
        "2022",
        Body,
        send,
        "project_byid insight_refresh_aggregated_table",
    );
    add(
        "2023",
        Refused("missing"),
        send,
        "projects_missing projects_other_org api_unknown",
    );
    add(
        "2022",
        Refused("missing"),
        send,
        "project_missing project_other cohorts_missing insight_by_shortid_in_path",
    );
    add(
        "2023",
        Refused("forbidden"),
        persons,
        "tenant_persons_other_org",
    );
    add(
        "2023",
        Refused("missing"),
        insights,
        "tenant_insights_missing_project",
    );
    add(
        "2023",
        Body,
        insight,
        "insight_uncached_boldnumber insight_boldnumber insight_table insight_pie insight_boldnumber_two \
         insight_boldnumber_sum insight_boldnumber_zero insight_boldnumber_avg_none \
         insight_boldnumber_formula insight_boldnumber_compare insight_worldmap insight_table_breakdown \
         insight_line_breakdown_bool insight_funnel_breakdown insight_funnel_trends insight_funnel_ttc \
         insight_query_table_hogql insight_query_table_events insight_query_viz_trends",
    );
    add(
        "2022 2023",
        Body,
        insight,
        "insight_line insight_line_compare insight_cumulative insight_hourly insight_lifecycle \
         insight_stickiness insight_funnel insight_retention insight_paths insight_no_filters",
    );
    add(
        "2022",
        Body,
        insight,
        "insight_uncached_aggregated insight_aggregated_table insight_aggregated_pie \
         insight_aggregated_barvalue_sum insight_aggregated_zero insight_aggregated_breakdown \
         insight_line_breakdown edge_insight_agg_avg_none",
    );
    add(
        "2023",
        Refused(""),
        send,
        "insight_refresh_query_viz_trends insights_delete_hard flow_cohorts_delete flag_post_nokey \
         annotation_bad_date",
    );
    add("2022 2023", Refused(""), send, "persons_post");
    add(
        "2022",
        Refused(""),
        send,
        "flags_post_missing_key annotations_post_bad_date method_patch_list",
    );
    add("2023", Refused("missing"), insight, "insight_deleted");
    add("2022", Refused("missing"), insight, "insight_missing");
    add(
        "2023",
        Body,
        insights,
        "insights_page_1 insights_page_2 insights_list_order_id",
    );
    add("2022 2023", Body, insights, "insights_list_offset_past");
    add(
        "2022",
        Body,
        insights,
        "insights_list_limit insights_list_limit_offset insights_list_basic insights_walk3_01 \
         insights_walk3_02 insights_walk3_03 insights_query_key",
    );
    add(
        "2023",
        Body,
        |c, _| found(c.project(1).insights().basic().page_size(3)),
        "insights_list_basic",
    );
    add(
        "2023",
        Body,
        |c, _| found(c.project(1).insights().search("Filler").page_size(2)),
        "insights_list_search",
    );
    add(
        "2023",
        Refused(""),
        insights,
        "insights_list_order_bad insights_list_dashboards_bad",
    );
    add(
        "2022 2023",
        Body,
        short_id,
        "insights_shortid_hit insights_shortid_miss insights_shortid_uncached",
    );
    add(
        "2023",
        Body,
        short_id,
        "insights_query_shortid insights_query_shortid_include",
    );
    add(
        "2022 2023",
        Body,
        list,
        "persons_props_no_type events_walk_1 events_walk_2",
    );
    add(
        "2023",
        Body,
        list,
        "persons_props_exact_array__p2 persons_props_is_not__p2 \
         persons_props_icontains__p2 persons_props_group_or__p2 persons_props_between \
         persons_props_not_in_operator persons_props_bool_true persons_props_exact_empty list_actions \
         list_cohorts list_feature_flags list_annotations list_dashboards list_event_definitions \
         list_groups_types list_surveys session_recordings_v3 session_recordings_v3_limit1 \
         session_recordings_v3_limit1_offset1 cohort_persons cohort_walk_1 cohort_walk_2 cohort_walk_3 \
         flag_activity",
    );
    add(
        "2022",
        Body,
        list,
        "persons_props_unknown_operator persons_props_object_and_group cohorts_list \
         actions_list feature_flags_list annotations_list dashboards_list event_definitions_list \
         events_values",
    );
    add(
        "2023",
        Body,
        persons,
        "persons_walk persons_walk__p2 persons_walk__p3 persons_walk_limit50 persons_walk_limit50__p2 \
         persons_walk_limit50__p5 persons_walk_limit50__p6 persons_limit_1000 persons_edge_limit5 \
         persons_query_key persons_include_total throttle_recovered",
    );
    if cfg!(feature = "gzip") {
        add("2023", Body, persons, "gzip_persons");
    }
    add(
        "2022",
        Body,
        persons,
        "persons_walk_1 persons_walk_2 persons_walk_3 persons_walk_search_1 persons_walk_search_2 \
         host_header_odd xfwd_proto",
    );
    add("2023", Refused(""), persons, "persons_limit_neg");
    add(
        "2022 2023",
        Body,
        |c, r| found(c.project(1).persons().search(&given(r)[0].1)),
        "persons_search_email",
    );
    add(
        "2022",
        Body,
        |c, r| found(c.project(1).persons().search(&given(r)[0].1)),
        "persons_search_plus",
    );
    add(
        "2023",
        Body,
        |c, _| found(c.project(1).persons().search("no such thing")),
        "persons_search_none",
    );
    add(
        "2023",
        Body,
        |c, _| found(c.project(1).persons().email("user5@example.com")),
        "persons_email_hit",
    );
    add(
        "2022 2023",
        Body,
        distinct_id,
        "persons_distinct_hit persons_distinct_miss persons_distinct_plus persons_distinct_unicode",
    );
    add(
        "2022 2023",
        Body,
        |c, _| filtered(c, [linux()]),
        "persons_props_exact",
    );
    add(
        "2023",
        Body,
        |c, _| filtered(c, [linux()]),
        "persons_props_exact_array_one",
    );
    add(
        "2022 2023",
        Body,
        |c, _| filtered(c, [p("$initial_os").exact(["Linux", "Windows"])]),
        "persons_props_exact_array",
    );
    add(
        "2022 2023",
        Body,
        |c, _| filtered(c, [p("$initial_os").is_not("Linux")]),
        "persons_props_is_not",
    );
    add(
        "2022 2023",
        Body,
        |c, _| filtered(c, [p("email").icontains("USER1")]),
        "persons_props_icontains",
    );
    add(
        "2022 2023",
        Body,
        |c, _| filtered(c, [p("email").regex("^user1[0-9]@")]),
        "persons_props_regex",
    );
    add(
        "2022 2023",
        Body,
        |c, _| filtered(c, [p("age").gt(60)]),
        "persons_props_gt",
    );
    add(
        "2023",
        Body,
        |c, _| filtered(c, [p("age").gte(60)]),
        "persons_props_gte",
    );
    add(
        "2022 2023",
        Body,
        |c, _| filtered(c, [p("age").lt(20)]),
        "persons_props_lt",
    );
    add(
        "2023",
        Body,
        |c, _| filtered(c, [p("age").lte(20)]),
        "persons_props_lte",
    );
    add(
        "2022 2023",
        Body,
        |c, _| filtered(c, [p("nullable").is_set()]),
        "persons_props_is_set",
    );
    add(
        "2023",
        Body,
        |c, _| filtered(c, [p("signup_date").is_date_after("2021-06-01")]),
        "persons_props_is_date_after",
    );
    add(
        "2023",
        Body,
        |c, _| filtered(c, [p("is_paying").exact(true)]),
        "persons_props_bool_string",
    );
    add(
        "2022 2023",
        Body,
        |c, _| filtered(c, [linux(), free()]),
        "persons_props_two",
    );
    add(
        "2023",
        Body,
        |c, _| filtered(c, [PersonFilter::any([linux(), free()])]),
        "persons_props_group_or",
    );
    add(
        "2023",
        Body,
        |c, _| {
            filtered(
                c,
                [
                    PersonFilter::any([linux(), p("$initial_os").exact("Windows")]),
                    free(),
                ],
            )
        },
        "persons_props_group_nested",
    );
    add("2022 2023", Refused(""), list, "persons_props_malformed");
    add(
        "2023",
        Refused(""),
        list,
        "persons_props_group_mixed persons_props_is_date_before_iso",
    );
    add(
        "2023",
        Refused("long"),
        |c, r| found(c.project(1).persons().search(&given(r)[0].1)),
        "long_line_17k",
    );
    add("2022 2023", Body, as_text, "persons_csv_format");
    add(
        "2022 2023",
        Body,
        person,
        "person_byid person_byid_noproperties",
    );
    add("2023", Body, person, "person_byuuid person_edge_257");
    add(
        "2022",
        Body,
        person,
        "person_byid_noslash person_byid_nodistinct edge_person_email_is_object",
    );
    add("2023", Refused(""), person, "person_bydistinct");
    add(
        "2023",
        Refused("missing"),
        person,
        "person_missing_id person_missing_uuid",
    );
    add(
        "2022",
        Refused("missing"),
        person,
        "person_byuuid person_missing",
    );
    add(
        "2023",
        Body,
        query,
        "query_select_one query_no_limit query_limit_5 query_inf_nan query_types query_events_hasmore \
         query_zero_rows query_unicode query_big_uint query_ch_error query_limit_offset",
    );
    add(
        "2023",
        Refused(""),
        query,
        "query_syntax_error query_unknown_table query_type_error query_values_placeholders query_dup_columns",
    );
    add("2023", Refused("wait 3593"), query, "throttle_query_429");
    add("2023", Refused("wait 46"), persons, "throttle_persons_429");
    add(
        "2023",
        Refused("wait 46"),
        as_text,
        "throttle_persons_429_csv",
    );
    add("2023", Refused("wait 36"), list, "throttle_burst_429");
    add("2023", Refused("missing"), list, "list_nosuchthing");
    add("2022", Refused("missing"), list, "endpoint_unknown");
    add(
        "2023",
        Refused("forbidden"),
        send,
        "paid_feature_dashboard_description",
    );
    add("2023", Nothing, send, "flow_surveys_delete");
    add("2022", Nothing, send, "person_delete");
    add(
        "2022",
        Unreadable("a web page"),
        insight,
        "insight_accept_html",
    );
    add(
        "2022",
        Refused("long"),
        |c, r| {
            let filter = params(&r.target)["properties"][0].clone();
            assert_eq!(
                (&filter["key"], &filter["operator"]),
                (&json!("email"), &json!("exact"))
            );
            filtered(c, [p("email").exact(&filter["value"])])
        },
        "long_query_4200",
    );
    add(
        "2022",
        Unreadable("recursion limit exceeded"),
        person,
        "edge_person_nest_150",
    );
    add(
        "2022",
        Unreadable("number out of range"),
        person,
        "edge_person_numbers",
    );
    let refused = "an empty filter is refused";
    let unfiltered: Ask = |c, r| {
        let mut filterless = r.clone();
        let left_out = ["short_id=", "email=", "distinct_id="];
        let pairs = r.target.split(['?', '&']).filter(|p| !left_out.contains(p));
        filterless.target = pairs.collect::<Vec<_>>().join("&").replacen('&', "?", 1);
        list(c, &filterless)
    };
    for (year, name, unlike, ask, means) in [
        ("2023", "insights_shortid_empty", refused, unfiltered, Body),
        ("2023", "persons_email_empty", refused, unfiltered, Body),
        ("2022", "insights_shortid_empty", refused, unfiltered, Body),
        ("2022", "persons_distinct_empty", refused, unfiltered, Body),
        (
            "2023",
            "query_text_plain",
            "bodies go out as JSON",
            query as Ask,
            Refused(""),
        ),
        (
            "2023",
            "insights_post_badjson",
            "a body is always JSON",
            send,
            Refused(""),
        ),
        (
            "2023",
            "double_slash",
            "such a path is refused",
            |c, _| c.project(1).get("insights/").send().map(Got::Json),
            Refused("missing"),
        ),
        (
            "2022",
            "path_double_slash",
            "such a path is refused",
            |c, _| c.project(1).get("persons/").send().map(Got::Json),
            Refused("missing"),
        ),
    ] {
        table.push(Row {
            year,
            name,
            ask,
            means,
            unlike: Some(unlike),
        });
    }
    table
}

/// Recordings that are read elsewhere in this file, or not at all, and why.
const APART: [(&str, &str, &str); 2] = [
    (
        "2023",
        "web_insight_html",
        "a redirect, followed in a test of its own",
    ),
    (
        "2022",
        "web_insight_html",
        "a redirect, followed in a test of its own",
    ),
];

#[test]
fn every_recording_has_a_test() {
    let mut tested: BTreeSet<(String, String)> = BTreeSet::new();
    let apart = APART.map(|(year, name, _)| (year, name));
    let gzip = ("2023", "gzip_persons");
    let off = (!cfg!(feature = "gzip")).then_some(gzip);
    for (year, name) in table()
        .iter()
        .map(|row| (row.year, row.name))
        .chain(apart)
        .chain(off)
    {
        let new = tested.insert((year.to_owned(), name.to_owned()));
        assert!(new, "twice: {year} {name}");
    }
    for (year, count) in [("2022", 102), ("2023", 176)] {
        let all = recordings::all(year);
        assert_eq!(all.len(), count, "{year}");
        for recorded in all {
            let here = tested.remove(&(year.to_owned(), recorded.name.clone()));
            assert!(here, "no test of {year}/{}", recorded.name);
        }
    }
    assert!(tested.is_empty(), "no such recordings: {tested:?}");
}

#[test]
fn every_recorded_answer_is_asked_for_and_read() {
    for row in table() {
        let (recorded, what) = (
            recorded(row.year, row.name),
            format!("{} {}", row.year, row.name),
        );
        let script = serve(&[recorded]);
        let auth = match row.name {
            name if name.ends_with("query_key") || name.ends_with("query_ok") => Auth::Query,
            name if name.ends_with("body_ok") => Auth::Body,
            _ => Auth::Bearer,
        };
        let client = on(&script.url()).auth(auth).build().unwrap();
        let got = (row.ask)(&client, recorded);
        let asked = script.asked();
        if row.unlike.is_none() {
            assert_asked(&asked[0], recorded);
        }
        match (row.means, got) {
            (Body, Ok(Got::Json(value))) => assert_eq!(value, json_of(recorded), "{what}"),
            (Body, Ok(Got::Text(value))) => assert_eq!(value, text(recorded), "{what}"),
            (Body, Ok(Got::Page(page))) => assert_page(&page, &json_of(recorded), &what),
            (Body, Ok(Got::Found(found))) => {
                let rows = json_of(recorded)["results"].as_array().unwrap().clone();
                assert!(rows.len() < 2, "{what}");
                assert_eq!(found, rows.into_iter().next(), "{what}");
            }
            (Nothing, Ok(Got::Json(value))) => {
                assert_eq!((value, recorded.body.len()), (Value::Null, 0), "{what}");
            }
            (Refused(about), Err(error)) => assert_refused(&error, recorded, about, &what),
            (Unreadable(why), Err(error)) => assert_unreadable(&error, recorded, why, &what),
            (_, Ok(_)) => panic!("{what}: an answer"),
            (_, Err(error)) => panic!("{what}: {error}"),
        }
    }
}

fn assert_page(page: &Page, body: &Value, what: &str) {
    let list = body.get("results").unwrap_or(body).as_array().unwrap();
    assert_eq!(&page.results, list, "{what}");
    let count = body
        .get("count")
        .or_else(|| body.get("total_count"))
        .and_then(Value::as_u64);
    assert_eq!(page.count, count, "{what}");
    let more = body.get("next").is_some_and(Value::is_string)
        || body.get("has_next") == Some(&json!(true));
    assert_eq!(page.has_next, more, "{what}");
}

fn assert_refused(error: &Error, recorded: &Recorded, about: &str, what: &str) {
    let Error::Api(api) = error else {
        panic!("{what}: {error:?}")
    };
    let body: Value = serde_json::from_slice(&recorded.body).unwrap_or_default();
    let part = |name: &str| body.get(name).and_then(Value::as_str);
    assert_eq!(api.status(), recorded.status, "{what}");
    assert_eq!(error.status(), Some(recorded.status), "{what}");
    assert_eq!(
        (api.kind(), api.code(), api.detail(), api.attr()),
        (part("type"), part("code"), part("detail"), part("attr")),
        "{what}"
    );
    assert_eq!(
        (api.method(), api.body()),
        (recorded.method.as_str(), text(recorded)),
        "{what}"
    );
    let wait = about
        .strip_prefix("wait ")
        .map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
    assert_eq!(
        (api.retry_after(), error.retry_after()),
        (wait, wait),
        "{what}"
    );
    assert_eq!(
        (
            error.is_unauthenticated(),
            error.is_permission_denied(),
            error.is_not_found(),
            error.is_rate_limited(),
            error.is_timeout()
        ),
        (
            about == "key",
            about == "forbidden",
            about == "missing",
            wait.is_some(),
            false
        ),
        "{what}"
    );
    let line = error.to_string();
    let path = recorded
        .target
        .split('?')
        .next()
        .unwrap()
        .trim_end_matches('/');
    assert!(
        !line.contains('\n') && line.contains(&recorded.status.to_string()),
        "{what}: {line}"
    );
    assert!(
        line.starts_with(&format!("{} {path}", recorded.method))
            || recorded.name.ends_with("double_slash"),
        "{what}: {line}"
    );
    assert_eq!(
        line.contains("HogQL, whose query goes in the body"),
        about == "long",
        "{what}: {line}"
    );
}

fn assert_unreadable(error: &Error, recorded: &Recorded, why: &str, what: &str) {
    let Error::Decode(decode) = error else {
        panic!("{what}: {error:?}")
    };
    let kind = recorded
        .headers
        .iter()
        .find(|(name, _)| name == "Content-Type")
        .map(|(_, kind)| kind.as_str());
    assert_eq!(
        (decode.status(), error.status()),
        (200, Some(200)),
        "{what}"
    );
    assert_eq!(decode.content_type(), kind, "{what}");
    assert_eq!(decode.body(), text(recorded), "{what}");
    let line = error.to_string();
    assert!(
        line.contains(why) && line.contains(kind.unwrap()) && !line.contains('\n'),
        "{what}: {line}"
    );
    // Where it cannot be read.
    assert!(
        decode.message().contains("line") && decode.message().contains("column"),
        "{what}: {line}"
    );
}

#[test]
fn errors_are_worded_for_a_person() {
    for (year, name, line) in [
        (
            "2023",
            "tenant_persons_other_org",
            "GET /api/projects/3/persons/: 403 permission_denied: You don't have access to the project; \
             check the key's scopes, and that it may use this project",
        ),
        (
            "2023",
            "insights_delete_hard",
            r#"DELETE /api/projects/1/insights/67/: 405: no body; delete it with PATCH and the body {"deleted": true}"#,
        ),
        (
            "2023",
            "flow_cohorts_delete",
            r#"DELETE /api/projects/1/cohorts/7/: 405: no body; delete it with PATCH and the body {"deleted": true}"#,
        ),
        (
            "2023",
            "throttle_query_429",
            "POST /api/projects/1/query/: 429 throttled: Request was throttled. Expected available in 3593 seconds; \
             wait 3593 s, or let RetryPolicy::patient() do it",
        ),
        (
            "2023",
            "throttle_persons_429_csv",
            "GET /api/projects/1/persons.csv: 429: no body; wait 46 s, or let RetryPolicy::patient() do it",
        ),
        (
            "2023",
            "flag_post_nokey",
            "POST /api/projects/1/feature_flags/: 400 required (key): This field is required",
        ),
        (
            "2023",
            "query_unknown_table",
            r#"POST /api/projects/1/query/: 400 invalid_input: Unknown table "nope""#,
        ),
        (
            "2023",
            "persons_limit_neg",
            "GET /api/projects/1/persons/: 500 error: A server error occurred; the fault is the server's: try again later",
        ),
        (
            "2022",
            "method_patch_list",
            r#"PATCH /api/projects/1/persons/: 405 method_not_allowed: Method "PATCH" not allowed"#,
        ),
    ] {
        let row = table()
            .into_iter()
            .find(|r| (r.year, r.name) == (year, name))
            .unwrap();
        let recorded = recorded(year, name);
        let script = serve(&[recorded]);
        let Err(error) = (row.ask)(&script.client(), recorded) else {
            panic!("{name}")
        };
        assert_eq!(error.to_string(), line);
        // The long form adds the body, as it came.
        let long = format!("{error:#}");
        let body = text(recorded);
        let expected = if body.is_empty() {
            line.to_owned()
        } else {
            format!("{line}\n{body}")
        };
        assert_eq!(long, expected);
    }
}

#[test]
fn outside_of_api_there_is_a_web_page_that_is_no_answer() {
    for (year, at) in [
        ("2023", "/insights/mTALgbsW"),
        ("2022", "/insights/9s5QMP24"),
    ] {
        let script = serve(&[
            recorded(year, "web_insight_html"),
            recorded("2022", "insight_accept_html"),
        ]);
        let error = script.client().get(at).send().unwrap_err();
        let Error::Decode(decode) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(decode.content_type(), Some("text/html; charset=utf-8"));
        assert!(
            error
                .to_string()
                .starts_with("GET /login: 200 (text/html; charset=utf-8): "),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .ends_with("a web page: check the host, and that the path begins with /api/"),
            "{error}"
        );
        assert_eq!(
            script.lines(),
            [
                format!("GET {at}"),
                format!("GET /login?next={}", at.replace('/', "%2F"))
            ]
        );
    }
}

#[test]
fn what_servers_were_seen_to_misread_is_not_sent() {
    let script = Script::start(Vec::new());
    let client = script.client();
    let project = client.project(1);
    for error in [
        project
            .list("insights")
            .param("short_id", "")
            .all()
            .unwrap_err(),
        project
            .get("persons/")
            .param("email", "")
            .send()
            .unwrap_err(),
        project
            .persons()
            .param("distinct_id", "")
            .first()
            .unwrap_err(),
        project
            .persons()
            .param("properties", "notjson")
            .page()
            .unwrap_err(),
        project
            .persons()
            .filter(p("empty").exact(""))
            .page()
            .unwrap_err(),
        project
            .persons()
            .filter(p("last_seen").is_date_before("2026-11-20T00:00:00Z"))
            .page()
            .unwrap_err(),
        project.persons().page_size(0).page().unwrap_err(),
        client.get("/api/projects/1//insights/").send().unwrap_err(),
        client.project(1).get("/persons/").send().unwrap_err(),
        client.list("/api/projects/1//insights/").all().unwrap_err(),
        client.project(1).list("/persons").all().unwrap_err(),
    ] {
        assert!(matches!(error, Error::Config(_)), "{error:?}");
    }
    assert_eq!(script.so_far(), 0);
}

// Walks: what the recorded `next` links lead to.

#[test]
fn walks_come_back_to_the_recorded_next_queries() {
    type Begin = fn(&Client) -> Box<dyn Iterator<Item = Result<Page, Error>>>;
    fn all<K: 'static>(list: List<K>) -> Box<dyn Iterator<Item = Result<Page, Error>>> {
        Box::new(list.pages())
    }
    let walks: Vec<(&str, Begin, &[&str])> = vec![
        (
            "2023",
            |c| all(c.project(1).persons()),
            &["persons_walk", "persons_walk__p2", "persons_walk__p3"],
        ),
        (
            "2023",
            |c| all(c.project(1).persons().page_size(50)),
            &["persons_walk_limit50", "persons_walk_limit50__p2"],
        ),
        (
            "2023",
            |c| all(c.project(1).persons().page_size(50).param("offset", 200)),
            &["persons_walk_limit50__p5", "persons_walk_limit50__p6"],
        ),
        (
            "2023",
            |c| {
                all(c
                    .project(1)
                    .persons()
                    .filter(p("$initial_os").exact(["Linux", "Windows"])))
            },
            &["persons_props_exact_array", "persons_props_exact_array__p2"],
        ),
        (
            "2023",
            |c| {
                all(c
                    .project(1)
                    .persons()
                    .filter(p("$initial_os").is_not("Linux")))
            },
            &["persons_props_is_not", "persons_props_is_not__p2"],
        ),
        (
            "2023",
            |c| all(c.project(1).persons().filter(p("email").icontains("USER1"))),
            &["persons_props_icontains", "persons_props_icontains__p2"],
        ),
        (
            "2023",
            |c| {
                all(c
                    .project(1)
                    .persons()
                    .filter(PersonFilter::any([linux(), free()])))
            },
            &["persons_props_group_or", "persons_props_group_or__p2"],
        ),
        (
            "2023",
            |c| all(c.project(1).insights().page_size(10).param("offset", 0)),
            &["insights_page_1", "insights_page_2"],
        ),
        (
            "2023",
            |c| all(c.project(1).list("cohorts/2/persons").page_size(62)),
            &["cohort_walk_1", "cohort_walk_2", "cohort_walk_3"],
        ),
        (
            "2023",
            |c| {
                all(c
                    .project(1)
                    .list("events")
                    .param("event", "purchase")
                    .param("after", "2026-10-20T00:00:00Z")
                    .page_size(20))
            },
            &["events_walk_1", "events_walk_2"],
        ),
        (
            "2023",
            |c| {
                all(c
                    .project(1)
                    .list("session_recordings")
                    .param("version", 3)
                    .page_size(1))
            },
            &[
                "session_recordings_v3_limit1",
                "session_recordings_v3_limit1_offset1",
            ],
        ),
        (
            "2022",
            |c| all(c.project(1).persons()),
            &["persons_walk_1", "persons_walk_2", "persons_walk_3"],
        ),
        (
            "2022",
            |c| all(c.project(1).persons().search("user1")),
            &["persons_walk_search_1", "persons_walk_search_2"],
        ),
        (
            "2022",
            |c| all(c.project(1).list("events").param("event", "purchase")),
            &["events_walk_1", "events_walk_2"],
        ),
        (
            "2022",
            |c| all(c.project(1).insights().page_size(3)),
            &[
                "insights_walk3_01",
                "insights_walk3_02",
                "insights_walk3_03",
            ],
        ),
        // Links to a host and a scheme that are not ours.
        (
            "2022",
            |c| all(c.project(1).persons()),
            &["host_header_odd", "persons_walk_2", "persons_walk_3"],
        ),
        (
            "2022",
            |c| all(c.project(1).persons()),
            &["xfwd_proto", "persons_walk_2", "persons_walk_3"],
        ),
    ];
    for (year, begin, names) in walks {
        let recordings: Vec<&Recorded> = names.iter().map(|name| recorded(year, name)).collect();
        let script = serve(&recordings);
        let mut pages = begin(&script.client());
        for recorded in &recordings {
            let page = pages.next().unwrap().unwrap();
            assert_page(&page, &json_of(recorded), &recorded.name);
        }
        let last = json_of(recordings.last().unwrap());
        if last.get("next").is_some_and(Value::is_null) {
            assert!(pages.next().is_none(), "{names:?}");
        }
        for (asked, recorded) in script.asked().iter().zip(&recordings) {
            assert_asked(asked, recorded);
        }
    }
}

#[test]
fn a_key_that_comes_back_in_next_goes_out_once() {
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
            "/api/projects/1/insights/?limit=2&offset=2&personal_api_key=",
        ),
    ] {
        let (first, last) = (recorded(year, name), recorded(year, then));
        assert!(json_of(first)["next"].as_str().unwrap().contains(KEY));
        let script = serve(&[first, last]);
        let client = on(&script.url()).auth(Auth::Query).build().unwrap();
        let rows = client
            .project(1)
            .list(&relative(first))
            .page_size(if year == "2023" { 1 } else { 2 })
            .all()
            .unwrap();
        assert_eq!(json!(rows), json_of(first)["results"]);
        assert_eq!(script.asked()[1].target, format!("{target}{KEY}"));
        // Sent as a header it is not sent by way of `next` either.
        let script = serve(&[first, last]);
        script
            .client()
            .project(1)
            .list(&relative(first))
            .all()
            .unwrap();
        assert!(script.asked().iter().all(|r| !r.target.contains("phx_")));
    }
}

// Insights: each kind by its reader, value by value, and by no other.

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Total,
    Line,
    Funnel,
    Retention,
    Paths,
    Times,
    Table,
}

/// Every recorded insight that has a result, its kind as PostHog's own web page shows it, and something that must be in it.
const INSIGHTS: [(&str, &str, Kind, f64); 44] = [
    ("2023", "insight_refresh_boldnumber", Kind::Total, 1183.0),
    ("2023", "insight_boldnumber", Kind::Total, 1183.0),
    ("2023", "insight_table", Kind::Total, 1183.0),
    ("2023", "insight_pie", Kind::Total, 1640.0),
    ("2023", "insight_boldnumber_two", Kind::Total, 1424.0),
    (
        "2023",
        "insight_boldnumber_sum",
        Kind::Total,
        15_884.479_999_999_996,
    ),
    ("2023", "insight_boldnumber_zero", Kind::Total, 0.0),
    ("2023", "insight_boldnumber_avg_none", Kind::Total, f64::NAN),
    (
        "2023",
        "insight_boldnumber_formula",
        Kind::Total,
        4.908_713_692_946_058,
    ),
    ("2023", "insight_boldnumber_compare", Kind::Total, 683.0),
    ("2023", "insight_worldmap", Kind::Total, 1183.0),
    ("2023", "insight_table_breakdown", Kind::Total, 1183.0),
    ("2023", "insight_line_breakdown_bool", Kind::Total, 1183.0),
    ("2023", "insight_line", Kind::Line, 1183.0),
    ("2023", "insight_line_compare", Kind::Line, 683.0),
    ("2023", "insight_cumulative", Kind::Line, 3509.0),
    ("2023", "insight_hourly", Kind::Line, 39.0),
    ("2023", "insight_lifecycle", Kind::Line, 58.0),
    ("2023", "insight_stickiness", Kind::Line, 190.0),
    ("2023", "insight_funnel_trends", Kind::Line, 803.93),
    ("2023", "insight_funnel", Kind::Funnel, 400.0),
    ("2023", "insight_funnel_breakdown", Kind::Funnel, 371.0),
    ("2023", "insight_funnel_ttc", Kind::Times, 124.0),
    ("2023", "insight_retention", Kind::Retention, 24.0),
    ("2023", "insight_paths", Kind::Paths, 5.0),
    ("2023", "insight_query_table_hogql", Kind::Table, 2000.0),
    ("2023", "insight_query_table_events", Kind::Table, 0.0),
    (
        "2022",
        "insight_refresh_aggregated_table",
        Kind::Total,
        1191.0,
    ),
    ("2022", "insight_aggregated_table", Kind::Total, 1191.0),
    ("2022", "insight_aggregated_pie", Kind::Total, 1647.0),
    (
        "2022",
        "insight_aggregated_barvalue_sum",
        Kind::Total,
        15_884.469_999_999_988,
    ),
    ("2022", "insight_aggregated_zero", Kind::Total, 0.0),
    ("2022", "insight_aggregated_breakdown", Kind::Total, 1191.0),
    ("2022", "edge_insight_agg_avg_none", Kind::Total, f64::NAN),
    ("2022", "insight_line", Kind::Line, 1191.0),
    ("2022", "insight_line_breakdown", Kind::Line, 1191.0),
    ("2022", "insight_line_compare", Kind::Line, 719.0),
    ("2022", "insight_cumulative", Kind::Line, 3560.0),
    ("2022", "insight_hourly", Kind::Line, 71.0),
    ("2022", "insight_lifecycle", Kind::Line, 88.0),
    ("2022", "insight_stickiness", Kind::Line, 192.0),
    ("2022", "insight_funnel", Kind::Funnel, 411.0),
    ("2022", "insight_retention", Kind::Retention, 130.0),
    ("2022", "insight_paths", Kind::Paths, 4.0),
];

fn asked_insight(year: &str, name: &str) -> Value {
    let recorded = recorded(year, name);
    let script = serve(&[recorded]);
    match send(&script.client(), recorded) {
        Ok(Got::Json(insight)) => insight,
        _ => panic!("{year} {name}"),
    }
}

fn array<'a>(of: &'a Value, pointer: &str) -> &'a Vec<Value> {
    of.pointer(pointer)
        .and_then(Value::as_array)
        .unwrap_or_else(|| panic!("{pointer}"))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn each_insight_is_read_by_the_function_for_its_kind() {
    for (year, name, kind, sum) in INSIGHTS {
        let insight = asked_insight(year, name);
        let truth = json_of(recorded(year, name));
        let read = match kind {
            Kind::Total => total(&insight, &truth, name),
            Kind::Line => line(&insight, &truth, name),
            Kind::Funnel => funnel(&insight, &truth, name),
            Kind::Retention => retained(&insight, &truth, name),
            Kind::Paths => walked(&insight, &truth, name),
            Kind::Times => times(&insight, &truth, name),
            Kind::Table => table_rows(&insight, &truth, name),
        };
        assert!(
            close(read, sum) || read.is_nan() && sum.is_nan(),
            "{year} {name}: {read}"
        );
    }
}

/// The sum of the totals, or no number where there is nothing to read.
fn total(insight: &Value, truth: &Value, name: &str) -> f64 {
    let truth = array(truth, "/result");
    if truth[0]["aggregated_value"].is_null() {
        for error in [
            aggregated_value(insight).unwrap_err(),
            aggregated_values(insight).unwrap_err(),
        ] {
            let Error::Insight(why) = &error else {
                panic!("{error:?}")
            };
            assert!(
                why.ends_with(r#"series "never" had nothing to aggregate: no event matched"#),
                "{why}"
            );
        }
        return f64::NAN;
    }
    let expected: Vec<(String, f64)> = truth
        .iter()
        .map(|s| {
            (
                s["label"].as_str().unwrap().to_owned(),
                s["aggregated_value"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(aggregated_values(insight).unwrap(), expected, "{name}");
    assert_eq!(
        aggregated_value(insight).unwrap().to_bits(),
        expected[0].1.to_bits(),
        "{name}"
    );
    expected.iter().map(|(_, value)| value).sum()
}

/// The sum of all points.
fn line(insight: &Value, truth: &Value, name: &str) -> f64 {
    let read = series(insight).unwrap();
    let truth = array(truth, "/result");
    assert_eq!(read.len(), truth.len(), "{name}");
    for (read, truth) in read.iter().zip(truth) {
        let text = |field: &str| truth.get(field).and_then(Value::as_str);
        assert_eq!(read.label, text("label").unwrap_or(""), "{name}");
        let days: Vec<String> = array(truth, "/days")
            .iter()
            .map(|day| {
                day.as_str()
                    .map_or_else(|| day.as_u64().unwrap().to_string(), str::to_owned)
            })
            .collect();
        assert_eq!(read.days, days, "{name}");
        let data: Vec<Option<f64>> = array(truth, "/data").iter().map(Value::as_f64).collect();
        assert_eq!((&read.data, read.data.len()), (&data, days.len()), "{name}");
        assert_eq!(read.breakdown, truth.get("breakdown_value"), "{name}");
        assert_eq!(
            (read.compare, read.status),
            (text("compare_label"), text("status")),
            "{name}"
        );
    }
    read.iter().flat_map(|line| &line.data).flatten().sum()
}

/// How many came to all of the steps.
fn funnel(insight: &Value, truth: &Value, name: &str) -> f64 {
    let read = funnel_steps(insight).unwrap();
    let truth = array(truth, "/result");
    let mut next = read.iter();
    let mut sum = 0;
    let funnels: Vec<&Vec<Value>> = match truth[0].as_array() {
        Some(_) => truth
            .iter()
            .map(|funnel| funnel.as_array().unwrap())
            .collect(),
        None => vec![truth],
    };
    for funnel in funnels {
        let first = funnel[0]["count"].as_f64().unwrap();
        for truth in funnel {
            let step = next.next().unwrap();
            assert_eq!(step.name, truth["name"].as_str().unwrap(), "{name}");
            assert_eq!(step.count, truth["count"].as_u64().unwrap(), "{name}");
            assert!(
                close(step.conversion * first, truth["count"].as_f64().unwrap()),
                "{name}"
            );
            let number = |field: &str| truth.get(field).and_then(Value::as_f64);
            assert_eq!(
                step.average_conversion_time,
                number("average_conversion_time"),
                "{name}"
            );
            assert_eq!(
                step.median_conversion_time,
                number("median_conversion_time"),
                "{name}"
            );
            assert_eq!(step.breakdown, truth.get("breakdown_value"), "{name}");
            sum += step.count;
        }
    }
    assert!(next.next().is_none(), "{name}");
    sum as f64
}

/// How many came in all of the periods.
fn retained(insight: &Value, truth: &Value, name: &str) -> f64 {
    let read = retention(insight).unwrap();
    let truth = array(truth, "/result");
    assert_eq!(read.len(), truth.len(), "{name}");
    for (read, truth) in read.iter().zip(truth) {
        assert_eq!(
            (read.label, read.date),
            (
                truth["label"].as_str().unwrap(),
                truth["date"].as_str().unwrap()
            )
        );
        let values: Vec<Option<f64>> = array(truth, "/values")
            .iter()
            .map(|v| v["count"].as_f64())
            .collect();
        assert_eq!((&read.values, read.breakdown), (&values, None), "{name}");
    }
    read.iter()
        .flat_map(|cohort| &cohort.values)
        .flatten()
        .sum()
}

/// How many went along all of the edges.
fn walked(insight: &Value, truth: &Value, name: &str) -> f64 {
    let read = paths(insight).unwrap();
    let truth = array(truth, "/result");
    assert_eq!(read.len(), truth.len(), "{name}");
    for (read, truth) in read.iter().zip(truth) {
        let text = |field: &str| truth[field].as_str().unwrap();
        assert_eq!(
            (read.source, read.target),
            (text("source"), text("target")),
            "{name}"
        );
        assert_eq!(read.value, truth["value"].as_f64(), "{name}");
        assert_eq!(
            read.average_conversion_time,
            truth["average_conversion_time"].as_f64(),
            "{name}"
        );
    }
    read.iter().filter_map(|edge| edge.value).sum()
}

/// How many are in all of the bins.
fn times(insight: &Value, truth: &Value, name: &str) -> f64 {
    let read = time_to_convert(insight).unwrap();
    let bins: Vec<(f64, Option<f64>)> = array(truth, "/result/bins")
        .iter()
        .map(|bin| (bin[0].as_f64().unwrap(), bin[1].as_f64()))
        .collect();
    assert_eq!(read.bins, bins, "{name}");
    assert_eq!(
        read.average_conversion_time,
        truth
            .pointer("/result/average_conversion_time")
            .unwrap()
            .as_f64()
    );
    read.bins.iter().filter_map(|(_, count)| *count).sum()
}

/// The sum of the counts, where the rows are all there.
fn table_rows(insight: &Value, truth: &Value, name: &str) -> f64 {
    if truth.pointer("/result/hasMore") == Some(&json!(true)) {
        let error = rows(insight).unwrap_err();
        assert!(matches!(error, Error::Query(_)), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("3 rows are not all: the server says that there are more"),
            "{error}"
        );
        return 0.0;
    }
    assert_eq!(rows(insight).unwrap(), by_name(truth, "/result"), "{name}");
    rows(insight)
        .unwrap()
        .iter()
        .filter_map(|row| row["count()"].as_f64())
        .sum()
}

/// Columns and rows at `pointer`, put together.
fn by_name(truth: &Value, pointer: &str) -> Vec<Map<String, Value>> {
    let columns = array(truth, &format!("{pointer}/columns"));
    let names = || columns.iter().map(|c| c.as_str().unwrap().to_owned());
    array(truth, &format!("{pointer}/results"))
        .iter()
        .map(|row| {
            names()
                .zip(row.as_array().unwrap().iter().cloned())
                .collect()
        })
        .collect()
}

/// Queries of any kind answer with `results`, and newer servers keep an SQL insight's columns beside its `result`.
#[test]
fn the_answer_of_a_query_is_read_like_the_insight() {
    for (year, name, kind, sum) in INSIGHTS {
        let truth = json_of(recorded(year, name));
        let answers = if kind == Kind::Table {
            let table = truth["result"].as_object().unwrap().clone();
            let mut newer = truth.as_object().unwrap().clone();
            newer.extend(table.clone());
            newer.insert("result".to_owned(), table["results"].clone());
            newer.remove("results");
            vec![Value::Object(table), Value::Object(newer)]
        } else {
            vec![
                json!({"results": truth["result"], "timings": [], "hogql": "SELECT 1", "error": "", "results::nan": true}),
            ]
        };
        for answer in answers {
            let script = Script::of(std::slice::from_ref(&answer));
            let query = script.client().project(1).query(json!({"kind": "X"}));
            let answer = query.send().unwrap();
            let read = match kind {
                Kind::Total => total(&answer, &truth, name),
                Kind::Line => line(&answer, &truth, name),
                Kind::Funnel => funnel(&answer, &truth, name),
                Kind::Retention => retained(&answer, &truth, name),
                Kind::Paths => walked(&answer, &truth, name),
                Kind::Times => times(&answer, &truth, name),
                Kind::Table => table_rows(&answer, &truth, name),
            };
            assert!(
                close(read, sum) || read.is_nan() && sum.is_nan(),
                "{year} {name}: {read}"
            );
        }
    }
}

type Reader = fn(&Value) -> Result<(), Error>;

const READERS: [(&str, Kind, Reader); 8] = [
    ("aggregated_value", Kind::Total, |i| {
        aggregated_value(i).map(|_| ())
    }),
    ("aggregated_values", Kind::Total, |i| {
        aggregated_values(i).map(|_| ())
    }),
    ("series", Kind::Line, |i| series(i).map(|_| ())),
    ("funnel_steps", Kind::Funnel, |i| {
        funnel_steps(i).map(|_| ())
    }),
    ("retention", Kind::Retention, |i| retention(i).map(|_| ())),
    ("paths", Kind::Paths, |i| paths(i).map(|_| ())),
    ("time_to_convert", Kind::Times, |i| {
        time_to_convert(i).map(|_| ())
    }),
    ("rows", Kind::Table, |i| rows(i).map(|_| ())),
];

#[test]
fn each_function_says_of_each_other_kind_which_one_reads_it() {
    for (year, name, kind, _) in INSIGHTS {
        let insight = asked_insight(year, name);
        assert_eq!(
            result(&insight).unwrap(),
            &json_of(recorded(year, name))["result"]
        );
        let right = match kind {
            Kind::Total => "use aggregated_value or aggregated_values",
            Kind::Line => "use series",
            Kind::Funnel => "use funnel_steps",
            Kind::Retention => "use retention",
            Kind::Paths => "use paths",
            Kind::Times => "use time_to_convert",
            Kind::Table => "use rows",
        };
        for (reader, reads, read) in READERS {
            if reads == kind {
                continue;
            }
            let error = read(&insight).unwrap_err();
            let insight = format!("insight {} ", insight["id"]);
            assert!(
                matches!(error, Error::Insight(_))
                    || reader == "rows" && matches!(error, Error::Query(_)),
                "{error:?}"
            );
            let line = error.to_string();
            assert!(
                line.starts_with(&insight) && line.ends_with(right),
                "{reader} of {year} {name}: {line}"
            );
        }
    }
}

#[test]
fn an_insight_without_a_result_says_so_to_every_function() {
    for (year, name) in [
        ("2023", "insight_uncached_boldnumber"),
        ("2023", "insight_query_viz_trends"),
        ("2023", "insight_no_filters"),
        ("2023", "evict_refresh_true"),
        ("2022", "insight_uncached_aggregated"),
        ("2022", "insight_no_filters"),
    ] {
        let insight = asked_insight(year, name);
        for (reader, _, read) in READERS {
            let error = read(&insight).unwrap_err();
            let why = "was never computed, or its result is no longer kept: have it computed with insight_refreshed (servers of 2023 want .param(\"refresh\", true))";
            assert!(
                matches!(&error, Error::Insight(m) if *m == format!("insight {} {why}", insight["id"])),
                "{reader} of {name}: {error:?}"
            );
        }
    }
}

// Queries: rows by column name, whole numbers whole, what is cut said.

#[test]
fn rows_of_recorded_queries_stand_by_column_name() {
    for (name, count) in [
        ("query_select_one", 1),
        ("query_limit_5", 5),
        ("query_types", 2),
        ("query_zero_rows", 0),
        ("query_unicode", 1),
        ("query_ch_error", 1),
        ("query_limit_offset", 3),
        ("query_big_uint", 1),
        ("query_inf_nan", 1),
    ] {
        let recorded = recorded("2023", name);
        let script = serve(&[recorded]);
        let rows = query_of(&script.client(), recorded).rows().unwrap();
        assert_eq!(rows.len(), count, "{name}");
        assert_eq!(rows, by_name(&json_of(recorded), ""), "{name}");
        assert_asked(&script.asked()[0], recorded);
    }
    let row = |name: &str| {
        let recorded = recorded("2023", name);
        query_of(&serve(&[recorded]).client(), recorded)
            .rows()
            .unwrap()
            .remove(0)
    };
    let big = row("query_big_uint");
    assert_eq!(big["18446744073709551615"].as_u64(), Some(u64::MAX));
    assert_eq!(
        big["9007199254740993"].as_u64(),
        Some(9_007_199_254_740_993)
    );
    let not_numbers = row("query_inf_nan");
    assert_eq!(not_numbers.len(), 3);
    assert!(not_numbers.values().all(Value::is_null), "{not_numbers:?}");
    assert_eq!(
        row("query_unicode")["ünïcode"],
        r#"Zoë 東京 🚀 'q' "d" \ %s %(x)s {y}"#
    );
}

#[test]
fn rows_that_the_server_cut_are_an_error() {
    for (name, why) in [
        (
            "query_no_limit",
            "the answer's 100 rows are not all: the server put a LIMIT 100 on",
        ),
        (
            "query_events_hasmore",
            "the answer's 2 rows are not all: the server says that there are more",
        ),
    ] {
        let recorded = recorded("2023", name);
        let script = serve(&[recorded]);
        match query_of(&script.client(), recorded).rows() {
            // An EventsQuery says a limit of its own: then these are the rows that were asked for.
            Ok(rows) => assert_eq!((name, rows.len()), ("query_events_hasmore", 2)),
            Err(Error::Query(m)) => assert!(m.starts_with(why), "{m}"),
            Err(other) => panic!("{other:?}"),
        }
        let answer = query_of(&serve(&[recorded]).client(), recorded)
            .send()
            .unwrap();
        assert!(matches!(rows(&answer), Err(Error::Query(m)) if m.starts_with(why)));
    }
}
