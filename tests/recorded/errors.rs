//! Proves that limits and web pages are errors, and that messages have the key words of the answer.

use crate::ask::{insight, list, me, p, persons, query, text};
use crate::check::{self, config_error};
use crate::standin::http::decode;
use crate::standin::recordings::one;
use crate::standin::{Replay, client};
use crate::table::Class::{Other, Throttled};
use crate::table::Means::{Refused, Unreadable};
use crate::table::Table;

pub fn rows(t: &mut Table) {
    t.add("2023", Refused(Other), me, "accept_text_plain");
    t.add("2023", Refused(Throttled(Some(3593))), query, "throttle_query_429");
    t.add("2023", Refused(Throttled(Some(46))), persons, "throttle_persons_429");
    t.add("2023", Refused(Throttled(Some(46))), text, "throttle_persons_429_csv");
    t.add("2023", Refused(Throttled(Some(36))), list, "throttle_burst_429");
    t.add("2026", Refused(Throttled(Some(31))), persons, "throttled_persons_429");
    t.add("2026", Refused(Throttled(Some(31))), text, "throttled_persons_csv_429");
    t.add("2026", Refused(Throttled(Some(3593))), query, "throttled_query_429");
    t.add("2026", Refused(Throttled(None)), query, "concurrency_429");
    t.add("2022", Unreadable("page"), insight, "insight_accept_html");
    for year in ["2022", "2023"] {
        t.apart(year, "web_insight_html");
    }
    t.apart("2026", "web_html");
}

#[test]
fn errors_are_one_line_with_the_key_words_of_the_answer() {
    for (year, name, words) in [
        ("2023", "tenant_persons_other_org", "403 permission_denied scope"),
        ("2023", "insights_delete_hard", "405 PATCH deleted"),
        ("2023", "flow_cohorts_delete", "405 PATCH deleted"),
        ("2023", "throttle_query_429", "429 throttled 3593 RetryPolicy::patient"),
        ("2023", "throttle_persons_429_csv", "429 46 RetryPolicy::patient"),
        ("2023", "flag_post_nokey", "400 required key"),
        ("2023", "query_unknown_table", "400 invalid_input nope"),
        ("2023", "persons_limit_neg", "500 error server"),
        ("2022", "method_patch_list", "405 method_not_allowed PATCH"),
        ("2026", "persons_as_noperson", "403 permission_denied person:read"),
        ("2026", "insight_delete", "405 PATCH deleted"),
        ("2026", "throttled_query_429", "429 throttled 3593"),
        ("2026", "query_syntax", "400 invalid_input selec"),
        ("2026", "flow_flag_dup", "400 unique key"),
        ("2026", "query_poll_missing", "404 not_found"),
        ("2026", "query_offset", "400 OFFSET scan"),
        ("2026", "query_limit_comma", "400 OFFSET scan"),
        ("2026", "concurrency_429", "429 three project"),
        ("2026", "persons_group_a_or_b", "500 filters"),
        ("2026b", "hogql_datetime_key_400", "400 type_mismatch DateTime64"),
        ("2026b", "hogql_memory_limit", "504 memory narrow"),
        ("2026b", "hogql_value_object_500b", "500 SQL toDateTime"),
        ("2026b", "batch_export_400", "400 destination__non_field_errors aws_secret_access_key"),
        ("2026b", "project_other_404", "404 not_found Project"),
    ] {
        let table = crate::table();
        let row = table.rows.iter().find(|row| (row.year, row.name) == (year, name)).unwrap();
        let line = row.error().to_string();
        let recorded = row.recorded();
        let call = format!("{} {}", recorded.method, recorded.path().trim_end_matches('/'));
        assert!(line.starts_with(&call), "{line}");
        for word in words.split(' ') {
            assert!(line.contains(word), "{name}: {word}: {line}");
        }
    }
}

#[test]
fn a_path_outside_of_api_is_answered_by_a_web_page_which_is_an_error() {
    for (year, name, path) in [
        ("2023", "web_insight_html", "/insights/mTALgbsW"),
        ("2022", "web_insight_html", "/insights/9s5QMP24"),
        ("2026", "web_html", "/project/1/insights"),
    ] {
        let replay = Replay::recorded(&[one(year, name), one("2022", "insight_accept_html")]);
        let error = client(&replay.url()).get(path).send().unwrap_err();
        let page = one("2022", "insight_accept_html");
        check::unreadable(&error, page, "/api/", name);
        let line = error.to_string();
        assert!(line.starts_with("GET /login") && line.contains("text/html"), "{line}");
        let requests = replay.requests();
        let targets: Vec<String> = requests.iter().map(|r| decode(&r.target)).collect();
        let login = one(year, name).header("Location").unwrap();
        assert_eq!(targets, [path, login]);
    }
}

#[test]
fn requests_that_servers_misread_are_not_sent() {
    let replay = Replay::start(Vec::new());
    let client = client(&replay.url());
    let project = client.project(1);
    for error in [
        project.list("insights").param("short_id", "").all().unwrap_err(),
        project.get("persons/").param("email", "").send().unwrap_err(),
        project.persons().param("distinct_id", "").first().unwrap_err(),
        project.persons().param("properties", "notjson").page().unwrap_err(),
        project.persons().filter(p("empty").exact("")).page().unwrap_err(),
        project.persons().page_size(0).page().unwrap_err(),
        client.get("/api/projects/1//insights/").send().unwrap_err(),
        client.project(1).get("/persons/").send().unwrap_err(),
        client.list("/api/projects/1//insights/").all().unwrap_err(),
        client.project(1).list("/persons").all().unwrap_err(),
    ] {
        config_error(&error);
    }
    assert_eq!(replay.count(), 0);
}
