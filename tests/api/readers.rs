//! Proves that the readers read each shape of an insight's result, or explain why they cannot.
use crate::support::error;
use posthog_api::insight::{
    funnel_steps, paths, result, retention, rows, series, time_to_convert, totals,
};
use posthog_api::{ErrorKind, aggregated_value};
use serde_json::{Map, json};

#[test]
fn a_missing_result_is_explained() {
    use ErrorKind::{NotComputed, QueryFailed, Running, WrongShape};
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
            QueryFailed,
            "again",
        ),
        (json!({"id": 7, "name": "x"}), WrongShape, "basic"),
        (json!(null), WrongShape, "basic"),
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
