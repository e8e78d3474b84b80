//! Proves that the readers read each shape of an insight's result, or explain why they cannot.
use crate::support::{Server, client, error};
use posthog_api::insight::{
    InsightResult, funnel_steps, paths, result, retention, rows, series, time_to_convert, totals,
};
use posthog_api::{ErrorKind, aggregated_value, read};
use serde_json::{Map, Value, json};

#[test]
fn a_missing_result_is_explained() {
    use ErrorKind::{NotComputed, QueryFailed, RateLimited, Running, WrongShape};
    for (insight, kind, why) in [
        (json!({"id": 7, "result": null, "last_refresh": null}), NotComputed, "7"),
        (
            json!({"id": 7, "result": null, "query_status": {"id": "q1", "complete": false}}),
            Running,
            "q1",
        ),
        (
            json!({"result": null, "query_status": {"error": true, "error_message": "boom"}}),
            QueryFailed,
            "boom",
        ),
        (
            json!({"result": null, "query_status": {"error": true, "error_message": null}}),
            QueryFailed,
            "failed",
        ),
        (
            json!({"result": null, "query_status": {"error": true,
                "error_message": "concurrency_limit_exceeded"}}),
            RateLimited,
            "again",
        ),
        (json!({"id": 7, "name": "x"}), WrongShape, "basic"),
        (json!(null), WrongShape, "text"),
    ] {
        let failed = error(result(&insight));
        assert_eq!(failed.kind(), kind, "{failed}");
        assert!(failed.to_string().contains(why), "no {why} in {failed}");
    }
    assert_eq!(result(&json!({"result": []})).unwrap(), &json!([]));
    assert_eq!(result(&json!({"results": [1]})).unwrap(), &json!([1]));
}

#[test]
fn rows_are_found_in_each_place_where_a_server_puts_them() {
    let expected = vec![Map::from_iter([
        ("a".into(), json!(1)),
        ("a_2".into(), json!("x")),
        ("b".into(), json!(null)),
    ])];
    let table = json!({"columns": ["a", "a", "b"], "results": [[1, "x", null]], "types": []});
    for response in [
        table.clone(),
        json!({"id": 1, "result": [[1, "x", null]], "columns": ["a", "a", "b"]}),
        json!({"id": 1, "result": table.clone(), "columns": null}),
        json!({"complete": true, "results": table}),
    ] {
        assert_eq!(rows(&response).unwrap(), expected, "{response}");
    }
    for (response, why) in [
        (json!({"columns": ["a"], "results": [[1, 2]]}), "columns"),
        (json!({"columns": ["a"], "results": [{"a": 1}, 2]}), "rows"),
        (json!({"id": 3, "result": [{"data": [1], "days": ["d"]}]}), "3"),
        (json!({"id": 3, "result": null}), "3"),
        (json!([]), "basic"),
    ] {
        let failed = error(rows(&response));
        assert!(failed.to_string().contains(why), "no {why} in {failed}");
    }
}

#[test]
fn totals_are_read_with_breakdown_and_period() {
    let insight = json!({"id": 1, "result": [
        {"label": "a", "aggregated_value": 18_446_744_073_709_551_615_u64},
        {"label": "b", "aggregated_value": null, "breakdown_value": ["x"], "compare_label": "previous"},
    ]});
    assert!((aggregated_value(&insight).unwrap() - 18_446_744_073_709_551_615.0).abs() < 1.0);
    let read = totals(&insight).unwrap();
    assert_eq!((read[0].label.as_str(), &read[0].breakdown, &read[0].compare), ("a", &None, &None));
    assert_eq!((read[1].value, &read[1].breakdown), (None, &Some(json!(["x"]))));
    assert_eq!(read[1].compare.as_deref(), Some("previous"));
}

#[test]
fn a_missing_total_is_explained() {
    for (result, why) in [
        (json!([{"label": "a", "aggregated_value": null}]), "aggregate"),
        (json!([{"label": "a", "aggregated_value": null, "aggregated_value::nan": true}]), "NaN"),
        (json!([]), "1"),
    ] {
        let insight = json!({"id": 1, "result": result});
        let failed = error(aggregated_value(&insight));
        assert!(failed.to_string().contains(why), "no {why} in {failed}");
        assert!(totals(&insight).is_ok(), "{insight}");
    }
    for (result, why) in [
        (json!([{"label": "a", "aggregated_value": "7"}]), "number"),
        (json!([{"data": [1.0], "days": ["d"], "label": "a"}]), "series"),
        (json!([{"count": 1, "order": 0, "name": "a"}]), "funnel_steps"),
        (json!([[{"count": 1, "order": 0, "name": "a"}]]), "funnel_steps"),
        (json!([{"values": [], "date": "d", "label": "Day 0"}]), "retention"),
        (json!([{"source": "1_/", "target": "2_/", "value": 1}]), "paths"),
        (json!({"bins": [], "average_conversion_time": null}), "time_to_convert"),
        (json!({"columns": ["a"], "results": [[1]]}), "rows"),
        (json!("x"), "1"),
        (json!([5]), "1"),
    ] {
        let insight = json!({"id": 1, "result": result});
        for failed in [error(aggregated_value(&insight)), error(totals(&insight))] {
            assert!(failed.to_string().contains(why), "no {why} in {failed}");
        }
    }
}

#[test]
fn every_member_of_a_result_may_be_null() {
    let line = json!({"result": [{"label": null, "days": [1, null, "d"], "data": [1, null, 2.5], "data::nan": {"1": true}}]});
    let read = &series(&line).unwrap()[0];
    assert_eq!(read.days, ["1", "null", "d"]);
    assert_eq!(read.data, [Some(1.0), None, Some(2.5)]);
    assert_eq!(read.label, "");
    assert_eq!((&read.breakdown, &read.compare, &read.status), (&None, &None, &None));
    let funnel = json!({"result": [{"order": 0, "count": 0, "name": null, "custom_name": null}]});
    assert!(funnel_steps(&funnel).unwrap()[0].conversion.abs() < f64::EPSILON);
    let retained =
        json!({"result": [{"date": null, "label": null, "values": [{"count": null}, {}]}]});
    assert_eq!(retention(&retained).unwrap()[0].values, [None, None]);
    let walked = json!({"result": [{"source": "1_a", "target": "2_b", "value": null}]});
    assert_eq!(paths(&walked).unwrap()[0].value, None);
    let times = json!({"result": {"bins": [[1, null]], "average_conversion_time": null}});
    assert_eq!(time_to_convert(&times).unwrap().bins, [(1.0, None)]);
}

#[test]
fn results_of_an_unknown_shape_are_errors() {
    for insight in [
        json!({"result": [{"data": 5, "days": []}]}),
        json!({"result": [{"order": 0, "count": "x"}]}),
        json!({"result": [{"source": 1, "target": 2}]}),
        json!({"result": {"bins": [["x", 1]]}}),
        json!({"result": 5}),
    ] {
        assert!(series(&insight).is_err() && funnel_steps(&insight).is_err(), "{insight}");
        assert!(
            paths(&insight).is_err()
                && retention(&insight).is_err()
                && time_to_convert(&insight).is_err()
        );
    }
}

/// The answer of a query has no word about its kind: the query that was sent has it.
#[test]
fn an_empty_answer_has_the_kind_that_its_query_names() {
    let totals = json!({"kind": "TrendsQuery", "trendsFilter": {"display": "BoldNumber"}});
    let inside = json!({"kind": "InsightVizNode", "source": {"kind": "RetentionQuery"}});
    for (query, kind) in [
        (totals, "Totals([])"),
        (json!({"kind": "TrendsQuery"}), "Series([])"),
        (json!({"kind": "FunnelsQuery"}), "Funnel([])"),
        (json!({"kind": "PathsQuery"}), "Paths([])"),
        (inside, "Retention([])"),
    ] {
        let server =
            Server::answers(&[json!({"results": []}), json!({"results": [], "query": null})]);
        for _ in 0..2 {
            let answer = client(&server).project(1).query(&query).send().unwrap();
            assert_eq!(format!("{:?}", read(&answer).unwrap()), kind, "{query}");
            assert_eq!(answer["query"], query);
        }
    }
    // An answer that says what it is stays as it is.
    for answer in [
        json!({"results": [], "columns": ["a"], "hasMore": false}),
        json!({"results": [[1]], "columns": ["a"], "hasMore": false}),
        json!({"results": [], "query": {"kind": "X"}}),
    ] {
        let server = Server::answers(std::slice::from_ref(&answer));
        assert_eq!(client(&server).project(1).query(json!({"kind": "Y"})).send().unwrap(), answer);
    }
}

#[test]
fn the_one_number_of_several_is_an_error_that_names_totals() {
    let number = |value: u64, compare: Value| json!({"label": "a", "aggregated_value": value, "compare_label": compare});
    let (none, current, previous) = (json!(null), json!("current"), json!("previous"));
    for (result, expected) in [
        (json!([number(1, none.clone())]), Some(1.0)),
        (json!([number(1, none.clone()), number(2, none)]), None),
        (json!([number(1, previous.clone()), number(2, current.clone())]), Some(2.0)),
        (json!([number(1, current.clone()), number(2, current), number(3, previous)]), None),
    ] {
        let server = Server::answers(&[json!({"id": 5, "result": result})]);
        let insight = client(&server).project(1).insight(5).unwrap();
        let found = aggregated_value(&insight);
        assert_eq!(found.as_ref().ok(), expected.as_ref());
        if let Err(e) = found {
            assert_eq!(e.kind(), ErrorKind::WrongShape);
            assert!(e.hint().unwrap().contains("insight::totals"), "{e}");
        }
    }
}

#[test]
fn the_tiles_of_a_dashboard_are_read_by_their_insight() {
    let insight = json!({"id": 5, "result": [{"label": "a", "aggregated_value": 3}]});
    let dashboard = json!({"id": 1, "tiles": [
        {"id": 1, "insight": insight, "text": null},
        {"id": 2, "insight": null, "text": {"body": "# Notes"}},
    ]});
    let server = Server::answers(&[dashboard]);
    let dashboard = client(&server).project(1).get("dashboards/1/").send().unwrap();
    let tiles = dashboard["tiles"].as_array().unwrap();
    let table = read(&tiles[0]["insight"]).unwrap().to_table();
    assert_eq!(json!(table.rows), json!([["a", null, null, 3]]));
    assert!(error(read(&tiles[1]["insight"])).to_string().contains("text"));
    assert!(error(read(&tiles[0])).hint().unwrap().contains("`insight`"));
}

#[test]
fn a_box_plot_is_rows_and_a_calendar_heatmap_is_totals() {
    let boxes = json!([{"day": "2026-11-01", "label": "a", "min": 1, "median": 2, "max": 9}]);
    let heatmap = json!([{"label": "a", "data": [], "aggregated_value": 7,
        "calendar_heatmap_data": {"allAggregations": 7}}]);
    let insight = |display: &str, result: &Value| {
        let query = json!({"kind": "TrendsQuery", "trendsFilter": {"display": display}});
        json!({"id": 5, "query": query, "result": result})
    };
    let server =
        Server::answers(&[insight("BoxPlot", &boxes), insight("CalendarHeatmap", &heatmap)]);
    let project = client(&server).project(1);
    let insight = project.insight(5).unwrap();
    assert_eq!(read(&insight).unwrap(), InsightResult::Other(boxes.clone()));
    assert_eq!(json!(rows(&insight).unwrap()), boxes);
    let insight = project.insight(5).unwrap();
    assert_eq!(aggregated_value(&insight).ok(), Some(7.0));
}
