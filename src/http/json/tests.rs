use super::*;
use serde_json::{Value, json};

#[test]
fn a_float_that_json_cannot_hold_is_an_error() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(to_text(&value).is_err());
        assert!(to_text(&(1, [Some(value)])).is_err());
        assert!(to_value(&std::collections::BTreeMap::from([("a", value)])).is_err());
    }
    assert_eq!(to_text(&(1.5, None::<f64>, "null")).unwrap(), r#"[1.5,null,"null"]"#);
}

#[test]
fn bare_words_become_null_outside_strings_only() {
    for (body, value) in [
        (r#"{"a":[NaN,Infinity,-Infinity,1]}"#, json!({"a": [null, null, null, 1]})),
        (r#"["NaN \" Infinity",NaN]"#, json!(["NaN \" Infinity", null])),
        (r#"["\\",NaN]"#, json!(["\\", null])),
        ("NaN", Value::Null),
        ("", Value::Null),
        ("\u{feff}[1]", json!([1])),
        ("[18446744073709551615,-9223372036854775808]", json!([u64::MAX, i64::MIN])),
    ] {
        assert_eq!(decode::<Value>(body.as_bytes()).unwrap(), value, "{body}");
    }
    for body in ["{", "[NaN", "Nan", "[1e400]", "\u{feff}\u{feff}1", "\"\u{1}\""] {
        assert!(decode::<Value>(body.as_bytes()).is_err(), "{body}");
    }
    let error = decode::<Value>(b"[1,\n\"\xff\"]").unwrap_err().to_string();
    assert_eq!(error, "invalid UTF-8 at line 2 column 2");
}
