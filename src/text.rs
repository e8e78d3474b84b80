//! Values as text, for printing.

use std::borrow::Cow;

use serde_json::Value;

/// A value as a person reads it: a string without quotes, anything else as JSON.
///
/// # Examples
/// ```
/// use posthog_api::display_text;
/// use serde_json::json;
///
/// assert_eq!(display_text(&json!("a b")), "a b");
/// assert_eq!(display_text(&json!(["a", 1])), r#"["a",1]"#);
/// ```
#[must_use]
pub fn display_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}
