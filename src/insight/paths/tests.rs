use super::*;
use serde_json::json;

#[test]
fn numbers_may_be_null() {
    let edge = json!({"source": "1_a", "target": "2_b", "value": null});
    let expected = PathEdge {
        source: "1_a".to_owned(),
        target: "2_b".to_owned(),
        value: None,
        average_conversion_time: None,
    };
    assert_eq!(paths(&json!({"result": [edge]})).unwrap(), [expected]);
}
