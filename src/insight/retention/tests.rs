use super::*;
use serde_json::json;

#[test]
fn every_field_may_be_null() {
    let cohort =
        json!({"date": null, "label": null, "values": [{"count": null}, {}, {"count": 3}]});
    let expected = RetentionCohort {
        label: String::new(),
        date: String::new(),
        values: vec![None, None, Some(3.0)],
        breakdown: None,
    };
    assert_eq!(retention(&json!({"result": [cohort]})).unwrap(), [expected]);
}

#[test]
fn the_values_are_what_the_insight_shows() {
    let values = |kind: Option<&str>, cells: Value| {
        let query = json!({"kind": "RetentionQuery", "retentionFilter": {"aggregationType": kind}});
        let cohort = json!({"date": "d", "values": cells});
        retention(&json!({"query": query, "result": [cohort]})).unwrap().remove(0).values
    };
    let cells = |a: Value, b: Value| json!([{"count": 9, "aggregation_value": a}, {"count": 4, "aggregation_value": b}]);
    for (kind, a, b, expected) in [
        (None, json!(null), json!(null), [Some(9.0), Some(4.0)]),
        (Some("count"), json!(null), json!(null), [Some(9.0), Some(4.0)]),
        (Some("sum"), json!(2.5), json!(0.0), [Some(2.5), Some(0.0)]),
        (None, json!(2.5), json!(null), [Some(2.5), None]),
        (Some("avg"), json!(null), json!(null), [None, None]),
    ] {
        assert_eq!(values(kind, cells(a, b)), expected, "{kind:?}");
    }
}
