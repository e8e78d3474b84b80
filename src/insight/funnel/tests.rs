use super::*;
use serde_json::json;

#[test]
fn a_step_has_the_share_of_its_own_funnel() {
    let step = |name: &str, count: u64, value: Value| json!({"name": name, "custom_name": null, "order": 0, "count": count, "breakdown_value": value});
    let plain = json!({"result": [step("a", 8, json!(null)), step("b", 2, json!(null))]});
    let by_value = json!({"result": [
        [step("a", 8, json!(["x"])), step("b", 2, json!(["x"]))],
        [step("a", 4, json!(["y"])), step("b", 4, json!(["y"]))],
    ]});
    let read = |insight| {
        let steps = funnel_steps(insight).unwrap();
        steps.into_iter().map(|s| (s.name, s.count, s.conversion, s.breakdown)).collect::<Vec<_>>()
    };
    let row =
        |name: &str, count, share, value: Option<Value>| (name.to_owned(), count, share, value);
    assert_eq!(read(&plain), [row("a", 8, 1.0, None), row("b", 2, 0.25, None)]);
    let (x, y) = (Some(json!(["x"])), Some(json!(["y"])));
    assert_eq!(
        read(&by_value),
        [
            row("a", 8, 1.0, x.clone()),
            row("b", 2, 0.25, x),
            row("a", 4, 1.0, y.clone()),
            row("b", 4, 1.0, y)
        ]
    );
}

#[test]
fn an_empty_first_step_and_null_fields_are_read() {
    let funnel = json!({"result": [{"order": 0, "count": 0, "name": null, "custom_name": null}]});
    let steps = funnel_steps(&funnel).unwrap();
    assert!(steps.first().unwrap().conversion.abs() < f64::EPSILON);
    let named = json!({"result": [{"order": 0, "count": 1, "name": "a", "custom_name": "b"}]});
    assert_eq!(funnel_steps(&named).unwrap().first().unwrap().name, "b");
    let times = json!({"result": {"bins": [[1, null], [2]], "average_conversion_time": null}});
    assert_eq!(time_to_convert(&times).unwrap().bins, [(1.0, None), (2.0, None)]);
}
