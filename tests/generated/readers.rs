//! Proves that the readers of insights read any value or say why they cannot, and that they agree
//! with each other and with the fields of the result.
use crate::generate::{self, bodies, change_json};
use crate::{check, share};
use posthog_api::insight::{
    self, InsightResult, aggregated_value, funnel_steps, paths, retention, series, table,
    time_to_convert, totals,
};
use posthog_api::{ErrorKind, Result, read};
use proptest::prelude::Strategy;
use proptest::prop_oneof;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::OnceLock;

/// The recorded answers with a result, and one of each shape that the recordings do not have.
fn insights() -> &'static [Value] {
    static INSIGHTS: OnceLock<Vec<Value>> = OnceLock::new();
    INSIGHTS.get_or_init(|| {
        let mut out = Vec::new();
        for body in bodies() {
            let body: Value = serde_json::from_slice(body).unwrap();
            let list = body["results"].as_array().into_iter().flatten();
            let inside = list.filter(|row| row.get("result").is_some()).cloned();
            out.extend(inside);
            if body.get("result").is_some() || body.get("columns").is_some() {
                out.push(body);
            }
        }
        let step = |n: u64| json!({"order": n, "count": 9 - n, "name": "s", "custom_name": null});
        for result in [
            json!([{"label": "a", "aggregated_value": 2}, {"label": "b", "aggregated_value": null}]),
            json!([[step(0), step(1)], [step(0), step(2)]]),
            json!([{"date": "2024-01-01", "label": "Day 0", "values": [{"count": 3}, {"count": 1}]}]),
            json!([{"date": "d", "values": [{"count": 3, "aggregation_value": 7.5}, {"count": 1}]}]),
            json!([{"source": "1_a", "target": "2_b", "value": 3, "average_conversion_time": 1.5}]),
            json!({"bins": [[0, 1], [60, 2]], "average_conversion_time": 30}),
            json!([{"label": "a", "days": ["d", "e"], "data": [1, null], "status": "new"}]),
            json!({"columns": ["a", "a"], "results": [[1, 2]], "hasMore": false}),
        ] {
            // As often as the recorded ones together.
            let copies = vec![json!({"id": 7, "result": result}); 20];
            out.extend(copies);
        }
        let sum = json!({"retentionFilter": {"aggregationType": "sum"}});
        let query = json!({"kind": "InsightVizNode", "source": sum});
        let cohorts = json!([{"date": "d", "values": [{"count": 3, "aggregation_value": null}]}]);
        out.extend(vec![json!({"id": 7, "query": query, "result": cohorts}); 20]);
        assert!(out.len() > 150, "{} insights", out.len());
        out
    })
}

/// Whether a reader found something; its error must be of the right variant.
fn finds<T: Debug>(list: &Result<Vec<T>>) -> bool {
    match list {
        Ok(list) => !list.is_empty(),
        Err(error) => {
            assert!(
                [
                    ErrorKind::QueryFailed,
                    ErrorKind::WrongShape,
                    ErrorKind::CutShort,
                    ErrorKind::Running,
                    ErrorKind::NotComputed
                ]
                .contains(&error.kind()),
                "{error}"
            );
            assert_eq!(error.to_string().lines().count(), 1);
            false
        }
    }
}

fn numbers<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<Option<f64>> {
    values.into_iter().map(Value::as_f64).collect()
}

/// The number of an insight that shows one, for the current period.
fn only_number(totals: &[Value]) -> Option<f64> {
    let is_current = |total: &&Value| total["compare_label"] != "previous";
    let only = match totals.iter().filter(is_current).collect::<Vec<_>>()[..] {
        [] => totals.first()?,
        [only] => only,
        _ => return None,
    };
    only["aggregated_value"].as_f64()
}

/// The number that a retention shows: of persons, or what its query aggregates.
fn shown_in_retention(insight: &Value, cohorts: &[Value]) -> &'static str {
    const SHOWS: [&str; 3] = ["InsightVizNode", "DataVisualizationNode", "DataTableNode"];
    let mut query = &insight["query"];
    while SHOWS.iter().any(|node| query["kind"] == *node) && query.get("source").is_some() {
        query = &query["source"];
    }
    let kind = query["retentionFilter"]["aggregationType"].as_str();
    let cells = cohorts.iter().filter_map(|cohort| cohort["values"].as_array()).flatten();
    let has_sum = cells.into_iter().any(|cell| cell["aggregation_value"].is_number());
    if has_sum || kind.is_some_and(|kind| kind != "count") { "aggregation_value" } else { "count" }
}

#[test]
fn readers_read_any_value_or_return_an_error() {
    let kinds = RefCell::new([0; 8]);
    let changed = generate::random().prop_map(|mut random| {
        let mut insight = random.choose(insights()).clone();
        change_json(&mut random, &mut insight);
        insight
    });
    check(2_600, &prop_oneof![changed, generate::insight()], |insight| {
        let found = [
            finds(&totals(&insight)),
            finds(&series(&insight)),
            finds(&funnel_steps(&insight)),
            finds(&retention(&insight)),
            finds(&paths(&insight)),
            finds(&time_to_convert(&insight).map(|times| vec![times])),
            finds(&table(&insight).map(|table| table.rows)),
        ];
        assert!(found.iter().filter(|found| **found).count() <= 1, "{found:?}: {insight}");
        let result = insight::result(&insight);
        let list = || result.as_ref().unwrap().as_array().unwrap();
        let field = |name: &str| numbers(list().iter().map(|element| &element[name]));
        let kind = match read(&insight) {
            Err(error) => {
                finds::<()>(&Err(error));
                assert_eq!(found, [false; 7], "{insight}");
                return Ok(());
            }
            Ok(InsightResult::Totals(read)) => {
                assert_eq!(read, totals(&insight).unwrap());
                let values: Vec<Option<f64>> = read.iter().map(|total| total.value).collect();
                assert_eq!(values, field("aggregated_value"));
                assert_eq!(aggregated_value(&insight).ok(), only_number(list()));
                0
            }
            Ok(InsightResult::Series(read)) => {
                assert_eq!(read, series(&insight).unwrap());
                for (line, own) in read.iter().zip(list()) {
                    assert_eq!(line.data, numbers(own["data"].as_array().unwrap()));
                    assert_eq!(line.days.len(), line.data.len());
                }
                assert_eq!(read.len(), list().len());
                1
            }
            Ok(InsightResult::Funnel(read)) => {
                assert_eq!(read, funnel_steps(&insight).unwrap());
                let own = list().iter().flat_map(|step| match step {
                    Value::Array(steps) => steps.iter().collect(),
                    step => vec![step],
                });
                let own: Vec<Option<u64>> = own.map(|step| step["count"].as_u64()).collect();
                let counts: Vec<Option<u64>> = read.iter().map(|step| Some(step.count)).collect();
                assert_eq!(counts, own);
                assert!(read.iter().all(|step| step.conversion.is_finite()));
                2
            }
            Ok(InsightResult::Retention(read)) => {
                assert_eq!(read, retention(&insight).unwrap());
                let shown = shown_in_retention(&insight, list());
                for (cohort, own) in read.iter().zip(list()) {
                    let cells = own["values"].as_array().unwrap().iter().map(|v| &v[shown]);
                    assert_eq!(cohort.values, numbers(cells));
                }
                assert_eq!(read.len(), list().len());
                3
            }
            Ok(InsightResult::Paths(read)) => {
                assert_eq!(read, paths(&insight).unwrap());
                let values: Vec<Option<f64>> = read.iter().map(|edge| edge.value).collect();
                assert_eq!(values, field("value"));
                4
            }
            Ok(InsightResult::TimeToConvert(read)) => {
                assert_eq!(read, time_to_convert(&insight).unwrap());
                5
            }
            Ok(InsightResult::Table(read)) => {
                assert_eq!(read, table(&insight).unwrap());
                assert!(read.rows.iter().all(|row| row.len() == read.columns.len()));
                let maps = insight::rows(&insight).unwrap();
                let cells = |row: &Vec<Value>| row.len();
                let widths: Vec<usize> = maps.iter().map(serde_json::Map::len).collect();
                assert_eq!(widths, read.rows.iter().map(cells).collect::<Vec<_>>());
                6
            }
            Ok(InsightResult::Other(other)) => {
                assert_eq!(&other, result.as_ref().unwrap().to_owned());
                assert_eq!(found, [false; 7], "{insight}");
                7
            }
            Ok(new) => panic!("{new:?}"),
        };
        assert!(kind == 7 || found.iter().enumerate().all(|(at, found)| !found || at == kind));
        kinds.borrow_mut()[kind] += 1;
        Ok(())
    });
    let kinds = kinds.into_inner();
    assert!(kinds.iter().all(|kind| *kind > share(20)), "{kinds:?}");
}
