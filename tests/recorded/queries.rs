//! Proves that queries, their rows, and queries in the background are returned as recorded.

use posthog_api::{Refresh, insight};
use serde_json::{Value, json};

use crate::ask::{query, query_of, send};
use crate::check::{self, json_of};
use crate::readers::by_name;
use crate::standin::recordings::one;
use crate::standin::{Replay, client};
use crate::table::Class::{Forbidden, Missing, Other};
use crate::table::Means::{Body, Refused};
use crate::table::Table;

pub fn rows(t: &mut Table) {
    t.add(
        "2023",
        Body,
        query,
        "query_select_one query_no_limit query_limit_5 query_inf_nan query_types \
         query_events_hasmore query_zero_rows query_unicode query_big_uint query_ch_error \
         query_limit_offset",
    );
    t.add(
        "2023",
        Refused(Other),
        query,
        "query_syntax_error query_unknown_table query_type_error query_values_placeholders \
         query_dup_columns",
    );
    t.add_different("bodies are sent as JSON", "2023", Refused(Other), query, "query_text_plain");
    t.add(
        "2026",
        Body,
        query,
        "query_one query_no_limit query_limit_5 query_limit_100 query_cte_limit query_nan \
         query_types query_unnamed query_zero query_group query_persons query_union_nolimit \
         query_semicolon query_comment query_float query_value_string query_value_int \
         query_value_null query_value_list query_value_in query_kind_trends \
         query_kind_trends_bold query_kind_events query_kind_actors query_kind_metadata \
         hogql_values",
    );
    t.add(
        "2026",
        Refused(Other),
        query,
        "query_offset query_limit_comma query_syntax query_unknown_table query_unknown_column \
         query_divide query_value_missing hogql_timestamp_iso_500 \
         hogql_dup_alias hogql_micro_400",
    );
    t.add("2026", Refused(Other), send, "query_no_kind hogql_value_object_500");
    t.add(
        "2026b",
        Body,
        query,
        "query_datatable_events query_retention_sum hogql_value_bool hogql_union_parts_complete \
         hogql_union_cut hogql_with_ties hogql_nan_inf hogql_limit_zero_rows hogql_semicolon \
         hogql_pacific_types events_page_pacific_1",
    );
    t.add("2026b", Refused(Other), query, "hogql_datetime_key_400 hogql_memory_limit");
    t.add("2026b", Refused(Other), send, "hogql_value_object_500b");
    t.apart("2026b", "query_boxplot_error_in_200");
    t.add("2026", Refused(Forbidden), send, "query_kind_path_403");

    // The steps of queries in the background, each requested by its path.
    t.add(
        "2026",
        Body,
        send,
        "query_refresh_async query_poll_async_0 query_poll_async_1 query_poll_cancelled \
         query_refresh_force_async query_poll_force_async_0 query_poll_force_async_1 \
         query_async_bad query_poll_done hogql_async_failing_202 hogql_async_long_202 \
         query_poll_running_202 query_cancel query_cancel_200 query_cancel_unknown_200",
    );
    t.add(
        "2026",
        Refused(Other),
        send,
        "query_poll_bad query_poll_failed_400 query_poll_cancelled_500",
    );
    t.add("2026", Refused(Missing), send, "query_poll_missing");
}

#[test]
fn rows_of_recorded_queries_are_maps_by_column_name() {
    for (year, name, count) in [
        ("2023", "query_select_one", 1),
        ("2023", "query_limit_5", 5),
        ("2023", "query_types", 2),
        ("2023", "query_zero_rows", 0),
        ("2023", "query_unicode", 1),
        ("2023", "query_ch_error", 1),
        ("2023", "query_limit_offset", 3),
        ("2023", "query_big_uint", 1),
        ("2023", "query_inf_nan", 1),
        ("2026", "query_one", 1),
        ("2026", "query_limit_5", 5),
        ("2026", "query_limit_100", 100),
        ("2026", "query_nan", 1),
        ("2026", "query_types", 1),
        ("2026", "query_unnamed", 1),
        ("2026", "query_zero", 0),
        ("2026", "query_group", 5),
        ("2026", "query_persons", 5),
        ("2026", "query_semicolon", 1),
        ("2026", "query_comment", 1),
        ("2026", "query_float", 1),
        ("2026", "query_value_string", 1),
        ("2026", "query_value_int", 1),
        ("2026", "query_value_null", 1),
        ("2026", "query_value_list", 1),
        ("2026", "query_value_in", 2),
        ("2026", "query_kind_actors", 5),
        ("2026", "hogql_values", 1),
        ("2026b", "hogql_value_bool", 1),
        ("2026b", "hogql_with_ties", 11),
        ("2026b", "hogql_nan_inf", 4),
        ("2026b", "hogql_limit_zero_rows", 0),
        ("2026b", "hogql_semicolon", 2),
        ("2026b", "hogql_pacific_types", 3),
        ("2026b", "events_page_pacific_1", 20),
        ("2026b", "query_datatable_events", 5),
    ] {
        let recorded = one(year, name);
        let replay = Replay::recorded(&[recorded]);
        let rows = query_of(&client(&replay.url()), recorded).rows().unwrap();
        assert_eq!(rows.len(), count, "{year} {name}");
        assert_eq!(rows, by_name(&json_of(recorded)), "{year} {name}");
        check::request(&replay.requests()[0], recorded);
    }
}

#[test]
fn a_recorded_query_of_the_last_day_is_read_only_from_its_answer() {
    let recorded = one("2026", "query_kind_events");
    let replay = Replay::recorded(&[recorded]);
    let error = query_of(&client(&replay.url()), recorded).rows().unwrap_err();
    assert!(error.to_string().contains("the last 24 hours only"), "{error}");
    let answer = query_of(&client(&replay.url()), recorded).send().unwrap();
    assert_eq!(insight::rows(&answer).unwrap(), by_name(&json_of(recorded)));

    let node = &json_of(one("2026b", "insight_datatable_sessions"))["query"];
    assert_eq!((&node["kind"], &node["source"]["after"]), (&json!("DataTableNode"), &json!(null)));
    let replay = Replay::start(Vec::new());
    let error = client(&replay.url()).project(1).query(node).rows().unwrap_err();
    assert!(check::config_error(&error).contains("the last 24 hours only"), "{error}");
    assert_eq!(replay.count(), 0);
}

/// The first row that the recorded query gives.
fn row(year: &str, name: &str) -> serde_json::Map<String, Value> {
    let recorded = one(year, name);
    let replay = Replay::recorded(&[recorded]);
    query_of(&client(&replay.url()), recorded).rows().unwrap().remove(0)
}

#[test]
fn values_of_recorded_rows_are_exact() {
    let big = row("2023", "query_big_uint");
    assert_eq!(big["18446744073709551615"].as_u64(), Some(u64::MAX));
    assert_eq!(big["9007199254740993"].as_u64(), Some(9_007_199_254_740_993));
    for (year, name) in [("2023", "query_inf_nan"), ("2026", "query_nan")] {
        let not_numbers = row(year, name);
        assert_eq!(not_numbers.len(), 3);
        assert!(not_numbers.values().all(Value::is_null), "{not_numbers:?}");
    }
    assert_eq!(row("2023", "query_unicode")["ünïcode"], r#"Zoë 東京 🚀 'q' "d" \ %s %(x)s {y}"#);
    assert_eq!(row("2026", "query_value_string")["v"], "O'Brien \\ \" \n {x} 日本");
    let values = row("2026", "hogql_values");
    assert_eq!(values["s"], "we'ird \"q\" \\ \n ü");
    let booleans = row("2026b", "hogql_value_bool");
    assert_eq!((&booleans["v"], &booleans["w"]), (&json!(1), &json!(0)));
    // The repeated hour, in summer time and in winter time.
    let summer = row("2026b", "hogql_pacific_types");
    assert_eq!(summer["timestamp"], "2026-11-01T01:30:00.654321-07:00");
    let winter = row("2026b", "events_page_pacific_1");
    assert_eq!(winter["timestamp"], "2026-11-01T01:29:59.696921-08:00");
}

#[test]
fn numbers_of_recorded_rows_are_exact_to_the_last_bit() {
    let row = row("2026", "query_float");
    let numbers: Vec<f64> = row.values().map(|value| value.as_f64().unwrap()).collect();
    for number in [0.1 + 0.2, 1.0 / 3.0, 1e300, 1e-300, 123_456_789.123_456_79] {
        assert!(numbers.iter().any(|n: &f64| n.to_bits() == f64::to_bits(number)), "{numbers:?}");
    }
}

#[test]
fn a_table_has_the_columns_in_the_order_of_the_select() {
    for (year, name) in [
        ("2026", "query_types"),
        ("2026", "query_persons"),
        ("2026", "query_unnamed"),
        ("2026b", "query_datatable_events"),
    ] {
        let recorded = one(year, name);
        let replay = Replay::recorded(&[recorded]);
        let table = query_of(&client(&replay.url()), recorded).table().unwrap();
        let truth = json_of(recorded);
        assert_eq!(json!(table.columns), truth["columns"], "{name}");
        assert_eq!(json!(table.rows), truth["results"], "{name}");
    }
}

#[test]
fn a_retention_is_read_alike_from_a_query_and_from_an_insight() {
    let [asked, stored] =
        ["query_retention_sum", "insight_retention_sum"].map(|name| one("2026b", name));
    let replay = Replay::recorded(&[asked, stored]);
    let client = client(&replay.url());
    let answer = query_of(&client, asked).send().unwrap();
    let cohorts = insight::retention(&answer).unwrap();
    assert_eq!(cohorts[0].values[0], Some(106_309.666_8));
    let stored = client.project(1).insight(92).unwrap();
    assert_eq!(cohorts, insight::retention(&stored).unwrap());
}

#[test]
fn rows_that_the_server_cut_are_an_error() {
    for (year, name) in [
        ("2023", "query_no_limit"),
        ("2026", "query_no_limit"),
        ("2026", "query_union_nolimit"),
        ("2026b", "hogql_union_cut"),
        // Its SELECTs have 50 and 60 rows, but the answer could also hold 100 and 10.
        ("2026b", "hogql_union_parts_complete"),
    ] {
        let recorded = one(year, name);
        let query = |replay: &Replay| query_of(&client(&replay.url()), recorded);
        let error = query(&Replay::recorded(&[recorded])).rows().unwrap_err();
        check::cut_short(&error, name);
        let error = query(&Replay::recorded(&[recorded])).table().unwrap_err();
        check::cut_short(&error, name);
        let answer = query(&Replay::recorded(&[recorded])).send().unwrap();
        let error = insight::rows(&answer).unwrap_err();
        check::cut_short(&error, name);
        // The advice for SQL.
        assert!(error.hint().unwrap().contains("Query::scan"), "{year} {name}: {error}");
    }
}

/// The caller asked for so many rows.
#[test]
fn a_query_with_a_limit_of_its_own_is_not_cut() {
    for (year, name, count) in
        [("2023", "query_events_hasmore", 2), ("2026", "query_kind_actors", 5)]
    {
        let recorded = one(year, name);
        let replay = Replay::recorded(&[recorded]);
        let rows = query_of(&client(&replay.url()), recorded).rows().unwrap();
        assert_eq!(rows.len(), count, "{name}");
    }
}

#[test]
fn the_answer_of_an_endpoint_with_as_many_rows_as_its_limit_may_be_cut() {
    for name in ["endpoint_run", "endpoint_run_limit"] {
        let recorded = one("2026", name);
        let replay = Replay::recorded(&[recorded]);
        let project = client(&replay.url()).project(1);
        let path = crate::ask::relative(recorded);
        let body: Value = serde_json::from_str(recorded.request_body.as_deref().unwrap()).unwrap();
        let answer = project.post(&path).json(body).send().unwrap();
        check::cut_short(&insight::rows(&answer).unwrap_err(), name);
    }
}

#[test]
fn an_error_beside_empty_results_is_a_failed_query() {
    let recorded = one("2026b", "query_boxplot_error_in_200");
    assert_eq!(json_of(recorded)["results"], json!([]));
    let replay = Replay::recorded(&[recorded]);
    let error = query_of(&client(&replay.url()), recorded).send().unwrap_err();
    assert_eq!(error.kind(), posthog_api::ErrorKind::QueryFailed, "{error}");
    assert!(error.message().contains("numeric property"), "{error}");
    check::request(&replay.requests()[0], recorded);
}

#[test]
fn a_placeholder_that_is_an_object_is_refused_since_servers_answer_500() {
    for (year, name) in [("2026", "hogql_value_object_500"), ("2026b", "hogql_value_object_500b")] {
        let replay = Replay::start(Vec::new());
        let error = query_of(&client(&replay.url()), one(year, name)).send().unwrap_err();
        assert!(check::config_error(&error).contains("object"), "{error}");
        assert_eq!(replay.count(), 0);
    }
}

#[test]
fn an_error_in_a_statement_is_shown_with_its_place() {
    let recorded = one("2026", "query_unknown_column");
    let replay = Replay::recorded(&[recorded]);
    let error = query_of(&client(&replay.url()), recorded).send().unwrap_err();
    let long = format!("{error:#}");
    let lines: Vec<&str> = long.lines().collect();
    let at = lines.iter().position(|line| line.contains("select nosuch from events")).unwrap();
    let caret = lines[at + 1].find('^').unwrap();
    assert_eq!(lines[at].find("nosuch"), Some(caret), "{long}");
}

#[test]
fn a_query_in_the_background_is_polled_until_it_is_done() {
    let [started, running, done] =
        ["query_refresh_force_async", "query_poll_force_async_0", "query_poll_force_async_1"]
            .map(|name| one("2026", name));
    let replay = Replay::recorded(&[started, running, done]);
    let query =
        query_of(&client(&replay.url()), started).refresh(Refresh::ForceBlocking).background();
    let rows = query.rows().unwrap();
    let results = &json_of(done)["query_status"]["results"];
    assert_eq!(rows, by_name(results));
    assert_eq!(rows.len(), 1);
    let requests = replay.requests();
    check::request(&requests[0], started);
    for (request, recorded) in requests[1..].iter().zip([running, done]) {
        check::request(request, recorded);
    }
}

#[test]
fn a_failed_query_in_the_background_is_an_error_with_its_message() {
    for (started, failed, word) in [
        ("query_async_bad", "query_poll_bad", "nosuch"),
        ("hogql_async_failing_202", "query_poll_failed_400", "nope"),
        ("hogql_async_long_202", "query_poll_cancelled_500", "failed"),
    ] {
        let [started, failed] = [started, failed].map(|name| one("2026", name));
        let replay = Replay::recorded(&[started, failed]);
        let query =
            query_of(&client(&replay.url()), started).refresh(Refresh::ForceBlocking).background();
        let error = query.send().unwrap_err();
        assert!(error.message().contains(word), "{error}");
        check::request(&replay.requests()[1], failed);
    }
}
