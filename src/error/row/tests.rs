use super::*;

#[test]
fn the_field_of_an_error_is_named() {
    for (json, column, is_missing, field) in [
        (r#"{"a":1,"b":"x"}"#, 14, false, "b"),
        (r#"{"a":{"b":[1,{"c":true}]}}"#, 22, false, "a.b.c"),
        (r#"{"a":{"b":1},"c":2}"#, 18, false, "c"),
        // Of an error without a place of its own, serde_json names the end of the object too.
        (r#"{"a":1,"z":"x"}"#, 15, false, "z"),
        (r#"{"p":{"z":"x"}}"#, 14, false, "p.z"),
        // A field is missing: the error is at the end of its object.
        (r#"{"a":{"b":1},"c":2}"#, 12, true, "a"),
        (r#"{"a":1}"#, 7, true, ""),
        (r#"{"a\"b":1}"#, 9, false, "a\\\"b"),
        ("[1]", 2, false, ""),
        ("", 0, false, ""),
    ] {
        assert_eq!(field_at(json, column, is_missing), field, "{json}");
    }
}
