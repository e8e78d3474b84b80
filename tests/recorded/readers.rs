//! Proves that each reader returns every value of a recorded insight of its kind, and an error for
//! other kinds.

use posthog_api::Error;
use posthog_api::insight::{
    InsightResult, Total, aggregated_value, funnel_steps, paths, read as read_any, result,
    retention, rows, series, table, time_to_convert, totals,
};
use serde_json::{Map, Value, json};

use crate::ask::send;
use crate::check::{cut_short, json_of};
use crate::standin::recordings::one;
use crate::standin::{Replay, client};
use crate::table::Got;

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

/// Every recorded insight that has a result with rows, its kind on PostHog's own web page, and the
/// sum of its values, computed by another program.
const INSIGHTS: [(&str, &str, Kind, f64); 125] = [
    ("2023", "insight_refresh_boldnumber", Kind::Total, 1183.0),
    ("2023", "insight_boldnumber", Kind::Total, 1183.0),
    ("2023", "insight_table", Kind::Total, 1183.0),
    ("2023", "insight_pie", Kind::Total, 1640.0),
    ("2023", "insight_boldnumber_two", Kind::Total, 1424.0),
    ("2023", "insight_boldnumber_sum", Kind::Total, 15_884.479_999_999_996),
    ("2023", "insight_boldnumber_zero", Kind::Total, 0.0),
    ("2023", "insight_boldnumber_avg_none", Kind::Total, f64::NAN),
    ("2023", "insight_boldnumber_formula", Kind::Total, 4.908_713_692_946_058),
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
    ("2022", "insight_refresh_aggregated_table", Kind::Total, 1191.0),
    ("2022", "insight_aggregated_table", Kind::Total, 1191.0),
    ("2022", "insight_aggregated_pie", Kind::Total, 1647.0),
    ("2022", "insight_aggregated_barvalue_sum", Kind::Total, 15_884.469_999_999_988),
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
    ("2026", "insight_cold_bold", Kind::Total, 15_000.0),
    ("2026", "insight_refresh_bold", Kind::Total, 15_000.0),
    ("2026", "insight_bold", Kind::Total, 15_000.0),
    ("2026", "insight_bold2", Kind::Total, 21_000.0),
    ("2026", "insight_bold_sum", Kind::Total, 346_499.999_999_999_94),
    ("2026", "insight_bold_dau", Kind::Total, 2495.0),
    ("2026", "insight_bold_avg_none", Kind::Total, 0.0),
    ("2026", "insight_bold_formula", Kind::Total, 2.5),
    ("2026", "insight_bold_compare", Kind::Total, 3853.0),
    ("2026", "insight_pie", Kind::Total, 15_000.0),
    ("2026", "insight_table", Kind::Total, 15_000.0),
    ("2026", "insight_barvalue", Kind::Total, 15_000.0),
    ("2026", "insight_worldmap", Kind::Total, 15_000.0),
    ("2026", "insight_calendar", Kind::Total, 15_000.0),
    ("2026", "insight_bare", Kind::Total, 15_000.0),
    ("2026", "insight_legacy", Kind::Total, 15_000.0),
    ("2026", "insight_short_in_path_bold", Kind::Total, 15_000.0),
    ("2026", "insight_bold_refresh_force_cache", Kind::Total, 15_000.0),
    ("2026", "insight_bold_refresh_async", Kind::Total, 15_000.0),
    ("2026", "insight_bold_refresh_lazy_async", Kind::Total, 15_000.0),
    ("2026", "insight_bold_refresh_async_except_on_cache_miss", Kind::Total, 15_000.0),
    ("2026", "insight_bold_refresh_nonsense", Kind::Total, 15_000.0),
    ("2026", "insight_cold_line", Kind::Line, 15_000.0),
    ("2026", "insight_refresh_line", Kind::Line, 15_000.0),
    ("2026", "insight_line", Kind::Line, 15_000.0),
    ("2026", "insight_cumulative", Kind::Line, 412_635.0),
    ("2026", "insight_breakdown_line", Kind::Line, 15_000.0),
    ("2026", "insight_hour", Kind::Line, 319.0),
    ("2026", "insight_metric", Kind::Line, 15_000.0),
    ("2026", "insight_slope", Kind::Line, 0.0),
    ("2026", "insight_funnel_trends", Kind::Line, 2060.6),
    ("2026", "insight_sticky", Kind::Line, 2495.0),
    ("2026", "insight_lifecycle", Kind::Line, 1689.0),
    ("2026", "insight_cold_funnel", Kind::Funnel, 5569.0),
    ("2026", "insight_funnel", Kind::Funnel, 5569.0),
    ("2026", "insight_funnel_bd", Kind::Funnel, 4562.0),
    ("2026", "insight_funnel_time", Kind::Times, 2067.0),
    ("2026", "insight_retention", Kind::Retention, 17_582.0),
    ("2026", "insight_paths", Kind::Paths, 38.0),
    ("2026", "insight_cold_sql", Kind::Table, 30_000.0),
    ("2026", "insight_sql", Kind::Table, 30_001.0),
    ("2026", "insight_sql_cut", Kind::Table, 0.0),
    ("2026", "insight_sql_nan", Kind::Table, 0.0),
    ("2026", "insight_sql_table", Kind::Table, 1.0),
    ("2026", "insight_events_table", Kind::Table, 0.0),
    ("2026", "insight_actors_table", Kind::Table, 0.0),
    ("2026b", "insight_barvalue", Kind::Total, 14_916.0),
    ("2026b", "insight_calendar_breakdown", Kind::Total, 14_912.0),
    ("2026b", "insight_dau_bold", Kind::Total, 3906.0),
    ("2026b", "insight_formula_zero_div", Kind::Total, 0.0),
    ("2026b", "insight_pie_breakdown", Kind::Total, 14_916.0),
    ("2026b", "insight_two_bold", Kind::Total, 17_479.0),
    ("2026b", "insight_area", Kind::Line, 14_916.0),
    ("2026b", "insight_compare_to", Kind::Line, 25_500.0),
    ("2026b", "insight_cumulative", Kind::Line, 187_221.0),
    ("2026b", "insight_hist_breakdown", Kind::Line, 14_916.0),
    ("2026b", "insight_hogql_breakdown", Kind::Line, 14_916.0),
    ("2026b", "insight_hour", Kind::Line, 0.0),
    ("2026b", "insight_lifecycle", Kind::Line, 2408.0),
    ("2026b", "insight_lifecycle_toggled", Kind::Line, 2408.0),
    ("2026b", "insight_line_breakdown", Kind::Line, 14_916.0),
    ("2026b", "insight_minute", Kind::Line, 9.0),
    ("2026b", "insight_multi_breakdown", Kind::Line, 14_916.0),
    ("2026b", "insight_slope", Kind::Line, 1252.0),
    ("2026b", "insight_stackedbar", Kind::Line, 14_916.0),
    ("2026b", "insight_stickiness_compare", Kind::Line, 5406.0),
    ("2026b", "insight_stickiness_cumulative", Kind::Line, 13_785.0),
    ("2026b", "insight_trends_first_time", Kind::Line, 1351.0),
    ("2026b", "insight_week", Kind::Line, 14_916.0),
    ("2026b", "insight_funnel_strict", Kind::Funnel, 4710.0),
    ("2026b", "insight_funnel_ttc_none", Kind::Times, 0.0),
    ("2026b", "insight_retention", Kind::Retention, 11_273.0),
    ("2026b", "insight_retention_sum", Kind::Retention, 2_032_647.327_8),
    ("2026b", "insight_paths_custom", Kind::Paths, 58.0),
    ("2026b", "insight_actors_of_trends", Kind::Table, 0.0),
    ("2026b", "insight_datatable_actors_nolimit", Kind::Table, 0.0),
    ("2026b", "insight_datatable_events", Kind::Table, 0.0),
    ("2026b", "insight_datatable_events_nolimit", Kind::Table, 0.0),
    ("2026b", "insight_datatable_hogql", Kind::Table, 12_752.0),
    ("2026b", "insight_sql_number", Kind::Table, 68_369.0),
    ("2026b", "insight_sql_variables", Kind::Table, 0.0),
];
fn asked_insight(year: &str, name: &str) -> Value {
    let recorded = one(year, name);
    let replay = Replay::recorded(&[recorded]);
    match send(&client(&replay.url()), recorded) {
        Ok(Got::Json(insight)) => insight,
        _ => panic!("{year} {name}"),
    }
}

fn array<'a>(of: &'a Value, pointer: &str) -> &'a Vec<Value> {
    of.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer}"))
}

/// NaN stands for a sum that has no value.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9 * a.abs().max(1.0) || a.is_nan() && b.is_nan()
}

/// Reads an insight by its kind, compares all values, and returns their sum.
fn read(kind: Kind, insight: &Value, truth: &Value, name: &str) -> f64 {
    match kind {
        Kind::Total => total(insight, truth, name),
        Kind::Line => line(insight, truth, name),
        Kind::Funnel => funnel(insight, truth, name),
        Kind::Retention => retained(insight, truth, name),
        Kind::Paths => walked(insight, truth, name),
        Kind::Times => times(insight, truth, name),
        Kind::Table => table_rows(insight, truth, name),
    }
}

#[test]
fn each_insight_is_read_by_the_function_for_its_kind() {
    for (year, name, kind, sum) in INSIGHTS {
        let insight = asked_insight(year, name);
        let read = read(kind, &insight, &json_of(one(year, name)), name);
        assert!(close(read, sum), "{year} {name}: {read}");
    }
}

/// The sum of the totals; NaN if there is nothing to read.
fn total(insight: &Value, truth: &Value, name: &str) -> f64 {
    let truth = array(truth, "/result");
    let read = totals(insight).unwrap();
    assert_eq!(read.len(), truth.len(), "{name}");
    for (read, truth) in read.iter().zip(truth) {
        assert_eq!(read.label, truth["label"].as_str().unwrap(), "{name}");
        assert_eq!(read.value, truth["aggregated_value"].as_f64(), "{name}");
        assert_eq!(read.breakdown.as_ref(), truth.get("breakdown_value"), "{name}");
        let compare = truth.get("compare_label").and_then(Value::as_str);
        assert_eq!(read.compare.as_deref(), compare, "{name}");
    }
    let current = |total: &&Total| total.compare.as_deref() != Some("previous");
    if read.iter().filter(current).count() > 1 {
        let error = aggregated_value(insight).unwrap_err();
        assert!(error.hint().unwrap().contains("totals"), "{error}");
        return read.iter().filter_map(|total| total.value).sum();
    }
    let Some(first) = read.iter().find(current).unwrap().value else {
        let error = aggregated_value(insight).unwrap_err();
        assert!(&error.message().contains("never"), "{error}");
        return f64::NAN;
    };
    let value = aggregated_value(insight).unwrap();
    assert_eq!(value.to_bits(), first.to_bits(), "{name}");
    read.iter().filter_map(|total| total.value).sum()
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
                day.as_str().map_or_else(|| day.as_u64().unwrap().to_string(), str::to_owned)
            })
            .collect();
        assert_eq!(read.days, days, "{name}");
        let data: Vec<Option<f64>> = array(truth, "/data").iter().map(Value::as_f64).collect();
        assert_eq!((&read.data, read.data.len()), (&data, days.len()), "{name}");
        assert_eq!(read.breakdown.as_ref(), truth.get("breakdown_value"), "{name}");
        let texts = (read.compare.as_deref(), read.status.as_deref());
        assert_eq!(texts, (text("compare_label"), text("status")), "{name}");
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
        Some(_) => truth.iter().map(|funnel| funnel.as_array().unwrap()).collect(),
        None => vec![truth],
    };
    for funnel in funnels {
        let first = funnel[0]["count"].as_f64().unwrap();
        for truth in funnel {
            let step = next.next().unwrap();
            assert_eq!(step.name, truth["name"].as_str().unwrap(), "{name}");
            assert_eq!(step.count, truth["count"].as_u64().unwrap(), "{name}");
            assert!(close(step.conversion * first, truth["count"].as_f64().unwrap()), "{name}");
            let number = |field: &str| truth.get(field).and_then(Value::as_f64);
            assert_eq!(step.average_conversion_time, number("average_conversion_time"), "{name}");
            assert_eq!(step.median_conversion_time, number("median_conversion_time"), "{name}");
            assert_eq!(step.breakdown.as_ref(), truth.get("breakdown_value"), "{name}");
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
    // A retention by a sum or an average has it beside the number of persons.
    let shown =
        |v: &Value| v.get("aggregation_value").and_then(Value::as_f64).or(v["count"].as_f64());
    for (read, truth) in read.iter().zip(truth) {
        assert_eq!(
            (read.label.as_str(), read.date.as_str()),
            (truth["label"].as_str().unwrap(), truth["date"].as_str().unwrap())
        );
        let values: Vec<Option<f64>> = array(truth, "/values").iter().map(shown).collect();
        assert_eq!((&read.values, &read.breakdown), (&values, &None), "{name}");
    }
    read.iter().flat_map(|cohort| &cohort.values).flatten().sum()
}

/// How many went along all of the edges.
fn walked(insight: &Value, truth: &Value, name: &str) -> f64 {
    let read = paths(insight).unwrap();
    let truth = array(truth, "/result");
    assert_eq!(read.len(), truth.len(), "{name}");
    for (read, truth) in read.iter().zip(truth) {
        let text = |field: &str| truth[field].as_str().unwrap();
        assert_eq!(
            (&read.source[..], &read.target[..]),
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
        truth.pointer("/result/average_conversion_time").unwrap().as_f64()
    );
    read.bins.iter().filter_map(|(_, count)| *count).sum()
}

/// The sum of the numbers in the last column, if the rows are complete.
fn table_rows(insight: &Value, truth: &Value, name: &str) -> f64 {
    // Older servers have the table in `result`, newer ones beside it.
    let recorded = if truth["result"].is_object() { &truth["result"] } else { truth };
    // The insight says that its query has a limit. The answer of a query alone does not.
    let own_limit = insight.pointer("/query/source/limit");
    if recorded["hasMore"] == json!(true) && own_limit.is_none() {
        cut_short(&rows(insight).unwrap_err(), name);
        cut_short(&table(insight).unwrap_err(), name);
        return 0.0;
    }
    let read = table(insight).unwrap();
    assert_eq!(json!(read.columns), recorded["columns"], "{name}");
    assert_eq!(rows(insight).unwrap(), by_name(recorded), "{name}");
    let key = if recorded.get("results").is_some() { "/results" } else { "/result" };
    array(recorded, key).iter().filter_map(|row| row.as_array()?.last()?.as_f64()).sum()
}

/// The rows of a table as maps.
pub fn by_name(table: &Value) -> Vec<Map<String, Value>> {
    let names = || array(table, "/columns").iter().map(|c| c.as_str().unwrap().to_owned());
    let rows = table.get("results").or_else(|| table.get("result")).unwrap();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| names().zip(row.as_array().unwrap().iter().cloned()).collect())
        .collect()
}

/// The answer of a query has `results`. Newer servers keep the columns of an SQL insight beside its
/// `result`.
#[test]
fn the_answer_of_a_query_is_read_like_the_insight() {
    for (year, name, kind, sum) in INSIGHTS {
        let truth = json_of(one(year, name));
        let answers = match &truth["result"] {
            Value::Object(table) if kind == Kind::Table => {
                let mut newer = truth.as_object().unwrap().clone();
                newer.extend(table.clone());
                newer.insert("result".to_owned(), table["results"].clone());
                newer.remove("results");
                vec![Value::Object(table.clone()), Value::Object(newer)]
            }
            result if kind == Kind::Table => {
                let (columns, more) = (&truth["columns"], &truth["hasMore"]);
                vec![json!({"columns": columns, "hasMore": more, "results": result})]
            }
            result => vec![json!({
                "results": result, "timings": [], "hogql": "SELECT 1", "error": "", "results::nan": true
            })],
        };
        for answer in answers {
            let replay = Replay::json(std::slice::from_ref(&answer));
            let query = client(&replay.url()).project(1).query(json!({"kind": "X"}));
            let answer = query.send().unwrap();
            let read = read(kind, &answer, &truth, name);
            assert!(close(read, sum), "{year} {name}: {read}");
        }
    }
}

type Reader = fn(&Value) -> Result<(), Error>;

const READERS: [(&str, Kind, Reader); 9] = [
    ("aggregated_value", Kind::Total, |i| aggregated_value(i).map(|_| ())),
    ("totals", Kind::Total, |i| totals(i).map(|_| ())),
    ("series", Kind::Line, |i| series(i).map(|_| ())),
    ("funnel_steps", Kind::Funnel, |i| funnel_steps(i).map(|_| ())),
    ("retention", Kind::Retention, |i| retention(i).map(|_| ())),
    ("paths", Kind::Paths, |i| paths(i).map(|_| ())),
    ("time_to_convert", Kind::Times, |i| time_to_convert(i).map(|_| ())),
    ("rows", Kind::Table, |i| rows(i).map(|_| ())),
    ("table", Kind::Table, |i| table(i).map(|_| ())),
];

#[test]
fn each_function_names_the_right_one_for_an_insight_of_another_kind() {
    for (year, name, kind, _) in INSIGHTS {
        let insight = asked_insight(year, name);
        assert_eq!(result(&insight).unwrap(), &json_of(one(year, name))["result"]);
        let right = match kind {
            Kind::Total => "aggregated_value",
            Kind::Line => "series",
            Kind::Funnel => "funnel_steps",
            Kind::Retention => "retention",
            Kind::Paths => "paths",
            Kind::Times => "time_to_convert",
            Kind::Table => "rows",
        };
        for (reader, reads, read) in READERS {
            if reads != kind {
                let error = read(&insight).unwrap_err();
                let line = &error.to_string();
                let insight = format!("insight {} ", insight["id"]);
                assert!(
                    line.starts_with(&insight) && line.contains(right),
                    "{reader} of {year} {name}: {line}"
                );
            }
        }
    }
}

#[test]
fn an_insight_of_a_kind_without_a_reader_is_an_error_of_every_function() {
    for (year, name, id, len) in
        [("2026", "insight_box", 42, 55), ("2026b", "insight_web_overview", 118, 5)]
    {
        let insight = asked_insight(year, name);
        assert_eq!(result(&insight).unwrap().as_array().unwrap().len(), len);
        for (reader, _, read) in READERS {
            if reader != "rows" {
                let line = read(&insight).unwrap_err().to_string();
                assert!(line.contains(&format!("insight {id}")), "{reader}: {line}");
            }
        }
        // They are objects.
        assert_eq!(json!(rows(&insight).unwrap()), *result(&insight).unwrap());
        let InsightResult::Other(result) = read_any(&insight).unwrap() else { panic!("{insight}") };
        assert_eq!(result, insight["result"]);
    }
}

/// The kind that `read` finds, and the number of its elements.
fn kind_of(insight: &Value, name: &str) -> (Kind, usize) {
    match read_any(insight) {
        Ok(InsightResult::Totals(totals)) => (Kind::Total, totals.len()),
        Ok(InsightResult::Series(series)) => (Kind::Line, series.len()),
        Ok(InsightResult::Funnel(steps)) => (Kind::Funnel, steps.len()),
        Ok(InsightResult::Retention(cohorts)) => (Kind::Retention, cohorts.len()),
        Ok(InsightResult::Paths(edges)) => (Kind::Paths, edges.len()),
        Ok(InsightResult::TimeToConvert(times)) => (Kind::Times, times.bins.len()),
        Ok(InsightResult::Table(table)) => (Kind::Table, table.rows.len()),
        Err(error) if error.kind() == posthog_api::ErrorKind::CutShort => (Kind::Table, 100),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn an_empty_result_has_the_kind_that_its_query_names() {
    for (name, kind) in [
        ("insight_none_table_breakdown", Kind::Total),
        ("insight_none_line_breakdown", Kind::Line),
        ("insight_funnel_none", Kind::Funnel),
        ("insight_traces", Kind::Table),
        ("insight_web_goals", Kind::Table),
        ("insight_datatable_sessions", Kind::Table),
    ] {
        let insight = asked_insight("2026b", name);
        let replay = Replay::json(&[json!({"results": [], "hogql": ""})]);
        let answer = client(&replay.url()).project(1).query(&insight["query"]).send().unwrap();
        for empty in [insight, answer] {
            assert_eq!(kind_of(&empty, name), (kind, 0), "{empty}");
            let rows = rows(&empty);
            assert!(rows.is_ok_and(|rows| rows.is_empty()) == (kind == Kind::Table), "{empty}");
        }
    }
}

#[test]
fn an_sql_insight_whose_parts_the_server_cut_is_an_error() {
    let insight = asked_insight("2026b", "insight_sql_union");
    assert_eq!(array(&insight, "/result").len(), 103);
    cut_short(&rows(&insight).unwrap_err(), "rows");
    cut_short(&table(&insight).unwrap_err(), "table");
    cut_short(&read_any(&insight).unwrap_err(), "read");
}

#[test]
fn read_returns_the_kind_that_an_insight_has() {
    for (year, name, kind, _) in INSIGHTS {
        let read = kind_of(&asked_insight(year, name), name);
        let truth = json_of(one(year, name));
        let rows = match &truth["result"] {
            Value::Array(rows) => rows
                .iter()
                .map(|r| if kind == Kind::Funnel { r.as_array().map_or(1, Vec::len) } else { 1 })
                .sum(),
            table => table
                .get("bins")
                .or_else(|| table.get("results"))
                .unwrap()
                .as_array()
                .unwrap()
                .len(),
        };
        assert_eq!(read, (kind, rows), "{year} {name}");
    }
}

#[test]
fn an_insight_without_a_result_is_an_error_that_says_how_to_compute_it() {
    for (year, name) in [
        ("2022", "insight_uncached_aggregated"),
        ("2022", "insight_no_filters"),
        ("2023", "insight_uncached_boldnumber"),
        ("2023", "insight_query_viz_trends"),
        ("2023", "insight_no_filters"),
        ("2023", "evict_refresh_true"),
        ("2026", "insight_empty"),
        ("2026b", "insight_boxplot_cached_null"),
    ] {
        let insight = asked_insight(year, name);
        assert!(
            read_any(&insight).unwrap_err().kind() == posthog_api::ErrorKind::NotComputed,
            "{name}"
        );
        for (reader, _, read) in READERS {
            let error = read(&insight).unwrap_err();
            let line = &error.to_string();
            let id = format!("insight {} ", insight["id"]);
            assert!(
                line.contains(&id) && line.contains("insight_computed"),
                "{reader} of {name}: {line}"
            );
        }
    }
}

#[test]
fn an_insight_that_is_being_computed_is_an_error_that_names_its_query() {
    let insight = asked_insight("2026", "insight_bold_refresh_force_async");
    let query = insight["query_status"]["id"].as_str().unwrap();
    assert!(read_any(&insight).unwrap_err().kind() == posthog_api::ErrorKind::Running);
    for (reader, _, read) in READERS {
        let error = read(&insight).unwrap_err();
        let line = &error.to_string();
        assert!(line.contains(query), "{reader}: {line}");
    }
}
