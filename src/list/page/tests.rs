use super::*;

#[test]
fn what_is_not_valid_in_a_string_becomes_the_replacement_character() {
    for (json, repaired) in [
        (r#""\ud83d\ude80 \ud83d x""#, "\"\\ud83d\\ude80 \u{fffd} x\""),
        (r#""\ude80\\ud83d""#, "\"\u{fffd}\\\\ud83d\""),
        (r#""\u00e9""#, r#""\u00e9""#),
        ("{\n\"a\": \"b\u{1}\\n\"}", "{\n\"a\": \"b\u{fffd}\\n\"}"),
    ] {
        assert_eq!(Repaired::new(json, true).json, repaired);
    }
}

#[test]
fn only_the_smallest_member_that_cannot_be_read_becomes_text() {
    let deep = "[".repeat(200) + "NaN" + &"]".repeat(200);
    let json = format!(
        r#"[{{"a":NaN,"id":1,"properties":{{"deep":{deep},"big":1e999,"ok":[2,-Infinity]}},"x":{{"y":1e999}}}}]"#
    );
    let text = Text(Repaired::new(&json, true));
    let value = text.value(text.rows().unwrap().rows[0], 2);
    assert_eq!((&value["id"], &value["a"]), (&Value::from(1), &Value::Null));
    assert_eq!(value["properties"]["deep"], deep);
    assert_eq!(value["properties"]["big"], "1e999");
    assert_eq!(value["properties"]["ok"].to_string(), "[2,null]");
    assert_eq!(value["x"], r#"{"y":1e999}"#);
}
