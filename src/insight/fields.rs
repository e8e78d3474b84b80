//! What the elements of several kinds of results have in common.

use serde_json::Value;

/// The value of a breakdown that stands for all values without a row of their own.
///
/// PostHog shows the 25 most frequent values of a breakdown, unless the insight says otherwise, and
/// the rest together under this one. An insight can hide it: then its numbers are not all, and
/// [`totals`](super::totals), [`series`](super::series) and [`read`](super::read) return an error.
/// In a breakdown by several properties it is one element of the list.
pub const BREAKDOWN_OTHER: &str = "$$_posthog_breakdown_other_$$";

/// The value of a breakdown that stands for events without the property.
pub const BREAKDOWN_NULL: &str = "$$_posthog_breakdown_null_$$";

pub(super) fn text(of: &Value, name: &str) -> Option<String> {
    of.get(name).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn number(of: &Value, name: &str) -> Option<f64> {
    of.get(name).and_then(Value::as_f64)
}

pub(super) fn label(of: &Value) -> String {
    text(of, "label").unwrap_or_default()
}

pub(super) fn breakdown(of: &Value) -> Option<Value> {
    of.get("breakdown_value").filter(|value| !value.is_null()).cloned()
}
