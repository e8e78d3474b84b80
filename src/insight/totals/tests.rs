use super::*;
use serde_json::json;

#[test]
fn totals_have_values_breakdowns_and_periods() {
    let insight = json!({"id": 1, "result": [
        {"label": "a", "aggregated_value": 18_446_744_073_709_551_615_u64},
        {"label": null, "aggregated_value": null, "breakdown_value": ["x", 1], "compare_label": "previous"},
        {"label": "c", "aggregated_value": 2.5, "breakdown_value": null},
    ]});
    let read = totals(&insight).unwrap();
    assert!(aggregated_value(&insight).unwrap_err().hint().unwrap().contains("totals"));
    assert_eq!(read.first().unwrap().label, "a");
    let expected = Total {
        label: String::new(),
        value: None,
        breakdown: Some(json!(["x", 1])),
        compare: Some("previous".to_owned()),
    };
    assert_eq!(read.get(1), Some(&expected));
    let last = read.get(2).unwrap();
    assert_eq!((last.value, &last.breakdown, &last.compare), (Some(2.5), &None, &None));
}

#[test]
fn a_missing_number_is_explained() {
    let total = |value: Value| json!([{"label": "a", "aggregated_value": value}]);
    for (result, why) in [
        (total(json!(null)), "nothing to aggregate"),
        (json!([{"label": "a", "aggregated_value": null, "aggregated_value::nan": true}]), "NaN"),
        (total(json!("7")), "is not a number"),
        (json!([]), "no series"),
        (json!([{"data": [1.0], "days": ["d"], "label": "a"}]), "use insight::series"),
        (json!([{"count": 1, "order": 0, "name": "a"}]), "use insight::funnel_steps"),
        (json!([[{"count": 1, "order": 0, "name": "a"}]]), "use insight::funnel_steps"),
        (json!([{"values": [], "date": "d", "label": "Day 0"}]), "use insight::retention"),
        (json!([{"source": "1_/", "target": "2_/", "value": 1}]), "use insight::paths"),
        (json!({"bins": [], "average_conversion_time": null}), "use insight::time_to_convert"),
        (json!({"columns": ["a"], "results": [[1]]}), "use insight::table"),
        (json!("x"), "not known"),
        (json!([5]), "not known"),
        (json!([[]]), "not known"),
        (json!(null), "never computed"),
    ] {
        let error = aggregated_value(&json!({"id": 1, "result": result})).unwrap_err();
        let computed = result != json!(null);
        let kind = if computed { ErrorKind::WrongShape } else { ErrorKind::NotComputed };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(why), "{result}: {error}");
    }
}

#[test]
fn only_a_value_of_another_type_is_an_error_of_totals() {
    let of = |value: Value| {
        totals(&json!({"result": [{"label": "a".repeat(1_000), "aggregated_value": value}]}))
    };
    assert_eq!(of(json!(null)).unwrap().first().unwrap().value, None);
    let error = of(json!("7")).unwrap_err().to_string();
    assert!(error.contains("is not a number") && error.len() < 300, "{error}");
    assert_eq!(totals(&json!({"result": []})).unwrap(), []);
}
