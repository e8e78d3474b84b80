use super::*;
use serde_json::json;

#[test]
fn every_field_may_be_null() {
    let line = json!({"result": [{"label": null, "days": [1, null, "d"], "data": [1, null, 2.5], "data::nan": {"1": true}}]});
    let expected = Series {
        label: String::new(),
        days: vec!["1".to_owned(), "null".to_owned(), "d".to_owned()],
        data: vec![Some(1.0), None, Some(2.5)],
        breakdown: None,
        compare: None,
        status: None,
    };
    assert_eq!(series(&line).unwrap(), [expected]);
}

#[test]
fn a_line_has_as_many_points_as_days() {
    for (data, days, points) in [
        (json!([1]), json!(["d", "e"]), "1 points for 2 days"),
        (json!([1, 2, 3]), json!(["d", "e"]), "3 points for 2 days"),
        (json!([]), json!(["d"]), "0 points for 1 days"),
    ] {
        let good = json!({"label": "good", "data": [1], "days": ["d"]});
        let bad = json!({"label": "bad", "data": data, "days": days});
        let error = series(&json!({"id": 5, "result": [good, bad]})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongShape, "{error}");
        let text = error.to_string();
        assert!(text.contains("series 'bad' of insight 5") && text.contains(points), "{text}");
    }
}
