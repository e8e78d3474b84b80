//! Proves that the helpers read an insight's result or say why they cannot, and that rows which may be cut short are refused.

use posthog_api::{
    Error, aggregated_value, aggregated_values, funnel_steps, paths, result, retention, rows,
    series, time_to_convert,
};
use serde_json::{Map, json};

#[test]
fn a_missing_result_is_explained() {
    for (insight, why) in [
        (json!({"id": 7, "result": null, "last_refresh": null}), "insight 7 was never computed"),
        (
            json!({"id": 7, "result": null, "query_status": {"id": "q1", "complete": false, "error": false}}),
            "query q1 is still",
        ),
        (
            json!({"result": null, "query_status": {"error": true, "error_message": "boom"}}),
            "failed: boom",
        ),
        (
            json!({"result": null, "query_status": {"error": true, "error_message": null}}),
            "does not say why",
        ),
        (
            json!({"result": null, "query_status": {"error": true, "error_message": "concurrency_limit_exceeded"}}),
            "try again",
        ),
        (json!({"id": 7, "name": "x"}), "`basic`"),
        (json!(null), "`basic`"),
    ] {
        let error = result(&insight).unwrap_err();
        assert!(matches!(error, Error::Insight(_)) && error.to_string().contains(why), "{error}");
    }
    assert_eq!(result(&json!({"result": []})).unwrap(), &json!([]));
    assert_eq!(result(&json!({"results": [1]})).unwrap(), &json!([1]));
}

#[test]
fn rows_by_name_in_each_place_they_stand() {
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
        (json!({"columns": ["a"], "results": [[1, 2]]}), "as many cells"),
        (json!({"columns": ["a"], "results": [{"a": 1}]}), "no rows"),
        (
            json!({"id": 3, "result": [{"data": [1], "days": ["d"]}]}),
            "insight 3 has no rows with columns: it is a line",
        ),
        (json!({"id": 3, "result": null}), "never computed"),
        (json!([]), "`basic`"),
    ] {
        let error = rows(&response).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn totals_are_read_and_their_absence_explained() {
    let insight = json!({"id": 1, "result": [
        {"label": "a", "aggregated_value": 18_446_744_073_709_551_615_u64},
        {"label": "b", "aggregated_value": 2.5},
    ]});
    assert!((aggregated_value(&insight).unwrap() - 18_446_744_073_709_551_615.0).abs() < 1.0);
    assert_eq!(aggregated_values(&insight).unwrap()[1], ("b".to_owned(), 2.5));
    for (result, why) in [
        (json!([{"label": "a", "aggregated_value": null}]), "nothing to aggregate"),
        (json!([{"label": "a", "aggregated_value": null, "aggregated_value::nan": true}]), "NaN"),
        (json!([{"label": "a", "aggregated_value": "7"}]), "is no number"),
        (json!([]), "no series"),
        (json!([{"data": [1.0], "days": ["d"], "label": "a"}]), "use series"),
        (json!([{"count": 1, "order": 0, "name": "a"}]), "use funnel_steps"),
        (json!([[{"count": 1, "order": 0, "name": "a"}]]), "use funnel_steps"),
        (json!([{"values": [], "date": "d", "label": "Day 0"}]), "use retention"),
        (json!([{"source": "1_/", "target": "2_/", "value": 1}]), "use paths"),
        (json!({"bins": [], "average_conversion_time": null}), "use time_to_convert"),
        (json!({"columns": ["a"], "results": [[1]]}), "use rows"),
        (json!("x"), "not known"),
        (json!([5]), "not known"),
    ] {
        for error in [
            aggregated_value(&json!({"id": 1, "result": result})).unwrap_err(),
            aggregated_values(&json!({"id": 1, "result": result})).unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::Insight(_)) && error.to_string().contains(why),
                "{error}"
            );
        }
    }
}

#[test]
fn every_slot_may_be_null() {
    let line = json!({"result": [{"label": null, "days": [1, null, "d"], "data": [1, null, 2.5], "data::nan": {"1": true}}]});
    let read = &series(&line).unwrap()[0];
    assert_eq!(read.days, ["1", "null", "d"]);
    assert_eq!(read.data, [Some(1.0), None, Some(2.5)]);
    assert_eq!((read.label, read.breakdown, read.compare, read.status), ("", None, None, None));
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
fn odd_shapes_are_errors() {
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
