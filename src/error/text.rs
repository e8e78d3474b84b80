//! Text in errors: one line, of limited length.

/// How many bytes of one text an error keeps.
pub(crate) const MAX_TEXT: usize = 64 * 1024;

/// `text` on one line, at most `max` characters of it.
pub(crate) fn line(text: &str, max: usize) -> String {
    // Some terminals and editors break the line at U+2028 and U+2029 too.
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let plain = |c: char| if breaks(c) { ' ' } else { c };
    let mut out: String = text.chars().take(max).map(plain).collect();
    if text.chars().nth(max).is_some() {
        out.push_str("...");
    }
    out
}

/// The beginning of a caller's or a server's text, as an error quotes it.
pub(crate) fn excerpt(text: &str) -> String {
    line(text, 100)
}

/// The first `max` bytes of `text`, or a little less: it ends at the end of a character.
pub(crate) fn begin(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// `text`, cut to [`MAX_TEXT`] bytes at the end of a character.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(begin(&text, MAX_TEXT).len());
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests;
