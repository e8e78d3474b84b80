use super::*;

#[test]
fn every_form_of_the_key_is_masked() {
    let key = Key::new("phx_1/+\"".to_owned());
    for (text, masked) in [
        ("a=phx_1/+\"&b=phx_1%2F%2B%22&c=phx_1%2f%2b%22", "a=***&b=***&c=***"),
        (r#"{"a":"phx_1/+\""}"#, r#"{"a":"***"}"#),
        ("phx_1", "phx_1"),
    ] {
        assert_eq!(key.mask(text), masked);
    }
    for (text, is_in) in
        [("a=phx_1/+\"", true), ("a=phx_1%2F%2B%22", true), ("phx_1", false), ("a", false)]
    {
        assert_eq!(key.is_in(text), is_in, "{text}");
    }
}

#[test]
fn every_run_of_eight_bytes_of_a_long_key_is_masked() {
    let text = "phx_abcdefghijklmnopqrstuvwxyz0123456789";
    let key = Key::new(text.to_owned());
    for start in 0..text.len() {
        for end in start..=text.len() {
            let part = &text[start..end];
            let expected = if part.len() < 8 { format!("<{part}>") } else { "<***>".to_owned() };
            assert_eq!(key.mask(&format!("<{part}>")), expected);
        }
    }
    assert_eq!(key.mask("phx_abcd...23456789"), "***...***");
}

#[test]
fn a_key_around_any_end_of_a_long_text_is_masked() {
    let key = Key::new("short".to_owned());
    let error = |text: String| key.conceal(Error::config(text)).message().to_owned();
    for end in [MAX_TEXT, MAX_TEXT + MARGIN] {
        for before in end - 6..=end + 1 {
            let shown = error("x".repeat(before) + "short" + &"y".repeat(MARGIN * 2));
            assert!(!shown.contains('s') && shown.len() <= MAX_TEXT, "{before}");
        }
    }
    // Masking makes this one much shorter: its last key is cut.
    let shown = error("short".repeat(MAX_TEXT));
    assert_eq!(shown.replace('*', ""), "");
}

#[test]
fn a_key_in_json_escapes_is_not_shown() {
    let key = Key::new("phx_abcdefghijklmnop".to_owned());
    for text in [r#"{"a":"\u0070hx_abcdefghijklmnop"}"#, r#"{"a":"\u0070hx_abcdef\u0067"#] {
        assert!(!key.mask(text).contains("hx_abc"), "{}", key.mask(text));
    }
    for text in [r"phx_a\u0062cdefgh\u0069jkl", r"abc\u0064efg\u0068ijk\u006cmnop"] {
        assert_eq!(key.mask(text), "*** (this text contains the key)");
    }
    assert_eq!(key.mask(r#""\u0070hp""#), r#""\u0070hp""#);
}
