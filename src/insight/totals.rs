//! The numbers of an insight that shows totals.

use serde_json::Value;

use super::fields::{breakdown, label, text};
use super::result::name;
use super::shape::{Shape, elements, not};
use super::table::all_values;
use crate::error::{Error, ErrorKind, Result, excerpt};

/// One number of an insight that shows totals.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Total {
    /// PostHog's name of the series; empty if it has none.
    pub label: String,
    /// The number. `None` if there was nothing to aggregate, or if it is NaN or infinite.
    pub value: Option<f64>,
    /// The value of the breakdown: text, a number, a boolean or a list of them.
    pub breakdown: Option<Value>,
    /// `current` or `previous`, if the insight compares two periods.
    pub compare: Option<String>,
}

/// The one number of an insight that shows a total: `result[0].aggregated_value`.
///
/// These insights are the bold number, the pie, the bar by value, the table of a trend, the
/// calendar heatmap and the world map. Of a comparison with an earlier period it is the current
/// number.
///
/// # Errors
/// [Those of all readers](super); [`WrongShape`](crate::ErrorKind::WrongShape) also if the insight
/// had nothing to aggregate, or has several numbers, which [`totals`] returns.
///
/// # Examples
/// ```
/// use posthog_api::aggregated_value;
/// use serde_json::json;
///
/// let insight = json!({"id": 7, "result": [{"label": "Pageviews", "aggregated_value": 1183}]});
/// assert_eq!(aggregated_value(&insight)?, 1183.0);
/// # Ok::<(), posthog_api::Error>(())
/// ```
pub fn aggregated_value(insight: &Value) -> Result<f64> {
    const WHAT: &str = "aggregated value";
    let all = elements(insight, Shape::Totals, WHAT)?;
    let is_current = |series: &&Value| text(series, "compare_label").as_deref() != Some("previous");
    let first = match all.iter().filter(is_current).collect::<Vec<_>>().as_slice() {
        [only] => *only,
        [] => all.first().ok_or_else(|| not(WHAT, insight))?,
        several => {
            let message = format!("{} has {} numbers", name(insight), several.len());
            return Err(Error::new(ErrorKind::WrongShape, message).with_hint("use insight::totals"));
        }
    };
    value(insight, first)?.ok_or_else(|| {
        let why = if is_nan(first) {
            "is NaN or infinite"
        } else {
            "had nothing to aggregate: no event matched"
        };
        no_value(insight, first, why)
    })
}

/// The numbers of an insight that shows totals, in PostHog's order: one for each series, each value
/// of a breakdown and each period of a comparison.
///
/// # Errors
/// [Those of all readers](super); [`WrongShape`](crate::ErrorKind::WrongShape) also if a value is
/// neither a number nor null; [`CutShort`](crate::ErrorKind::CutShort) if a breakdown has more
/// values and none of the rows holds the [rest](super::BREAKDOWN_OTHER).
pub fn totals(insight: &Value) -> Result<Vec<Total>> {
    all_values(insight, elements(insight, Shape::Totals, "totals")?)?
        .iter()
        .map(|series| {
            Ok(Total {
                label: label(series),
                value: value(insight, series)?,
                breakdown: breakdown(series),
                compare: text(series, "compare_label"),
            })
        })
        .collect()
}

fn value(insight: &Value, series: &Value) -> Result<Option<f64>> {
    let value = series.get("aggregated_value").filter(|value| !value.is_null());
    let no_number = || no_value(insight, series, "is not a number");
    value.map(|value| value.as_f64().ok_or_else(no_number)).transpose()
}

fn no_value(insight: &Value, series: &Value, why: &str) -> Error {
    let (insight, label) = (name(insight), excerpt(&label(series)));
    let message = format!("{insight} has no aggregated value: series '{label}' {why}");
    Error::new(ErrorKind::WrongShape, message)
}

/// Whether a marker beside the null, such as `aggregated_value::nan`, says that it is NaN or
/// infinite.
fn is_nan(series: &Value) -> bool {
    let mut fields = series.as_object().into_iter().flat_map(|fields| fields.keys());
    fields.any(|field| field.starts_with("aggregated_value::"))
}

#[cfg(test)]
mod tests;
