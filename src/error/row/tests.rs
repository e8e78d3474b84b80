use super::*;

#[test]
fn the_field_of_an_error_is_named() {
    for (json, column, field) in [
        (r#"{"a":1,"b":"x"}"#, 14, "b"),
        (r#"{"a":{"b":[1,{"c":true}]}}"#, 22, "a.b.c"),
        (r#"{"a":{"b":1},"c":2}"#, 18, "c"),
        // A field is missing: the error is at the end of its object.
        (r#"{"a":{"b":1},"c":2}"#, 12, "a"),
        (r#"{"a":1}"#, 7, ""),
        (r#"{"a\"b":1}"#, 9, "a\\\"b"),
        ("[1]", 2, ""),
        ("", 0, ""),
    ] {
        assert_eq!(field_at(json, column), field, "{json}");
    }
}
