use super::*;
use serde_json::json;

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
    assert!(error.starts_with("invalid unicode code point at line 2"), "{error}");
}

#[test]
fn what_is_not_valid_in_a_string_becomes_the_replacement_character() {
    for (json, wanted) in [
        (r#""\ud83d\ude80 \ud83d x""#, "\"\\ud83d\\ude80 \u{fffd} x\""),
        (r#""\ude80\\ud83d""#, "\"\u{fffd}\\\\ud83d\""),
        (r#""\u00e9""#, r#""\u00e9""#),
        ("{\n\"a\": \"b\u{1}\\n\"}", "{\n\"a\": \"b\u{fffd}\\n\"}"),
    ] {
        assert_eq!(repaired(json, true), wanted);
    }
}

#[test]
fn only_the_smallest_member_that_cannot_be_read_becomes_text() {
    let deep = "[".repeat(200) + "NaN" + &"]".repeat(200);
    let json = format!(
        r#"[{{"a":NaN,"id":1,"properties":{{"deep":{deep},"big":1e999,"ok":[2,-Infinity]}},"x":{{"y":1e999}}}}]"#
    );
    let text = repaired(&json, true);
    let rows: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
    let value = value_or_text(rows[0], 2);
    assert_eq!((&value["id"], &value["a"]), (&Value::from(1), &Value::Null));
    assert_eq!(value["properties"]["deep"], deep.replace("NaN", "null"));
    assert_eq!(value["properties"]["big"], "1e999");
    assert_eq!(value["properties"]["ok"].to_string(), "[2,null]");
    assert_eq!(value["x"], r#"{"y":1e999}"#);
}
