use super::*;

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = "x".to_owned() + &"é".repeat(MAX_TEXT);
    let cut = cut(text);
    assert_eq!(cut.len(), MAX_TEXT - 1);
    assert!(cut.ends_with('é'));
    assert_eq!(line("a\nb\u{7}c", 2), "a ...");
}
