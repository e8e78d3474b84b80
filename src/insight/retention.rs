//! The rows of a retention.

use serde_json::Value;

use super::shape::{Shape, elements};
use super::{breakdown, label, number, text};
use crate::error::Result;

/// One row of a retention: the persons who came first in one period, and how many of them came back
/// in each period after it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RetentionCohort {
    /// PostHog's name of the period, such as `Day 0`.
    pub label: String,
    /// When the period begins.
    pub date: String,
    /// What the insight shows for the period itself, then for each period after it: how many persons
    /// came, or the sum or average of a property.
    pub values: Vec<Option<f64>>,
    /// The value of the breakdown.
    pub breakdown: Option<Value>,
}

/// The rows of a retention, one for each period.
///
/// # Errors
/// [`WrongShape`](crate::ErrorKind::WrongShape), if the insight has no result, or is of another kind:
/// the message names the function that reads it.
///
/// # Examples
/// ```
/// use posthog_api::insight;
/// use serde_json::json;
///
/// let answer = json!({"id": 7, "result": [
///     {"label": "Day 0", "date": "2026-01-02T00:00:00Z", "values": [{"count": 9}, {"count": 4}]},
/// ]});
/// let cohort = &insight::retention(&answer)?[0];
/// assert_eq!(cohort.values, [Some(9.0), Some(4.0)]);
/// # Ok::<(), posthog_api::Error>(())
/// ```
pub fn retention(insight: &Value) -> Result<Vec<RetentionCohort>> {
    // Null in all values where the insight shows persons.
    const AGGREGATE: &str = "aggregation_value";
    let cohorts = elements(insight, Shape::Retention, "retention")?;
    let aggregates = cohorts.iter().flat_map(values).any(|v| number(v, AGGREGATE).is_some());
    let shown = if aggregates { AGGREGATE } else { "count" };
    let read = |cohort: &Value| RetentionCohort {
        label: label(cohort),
        date: text(cohort, "date").unwrap_or_default(),
        values: values(cohort).map(|value| number(value, shown)).collect(),
        breakdown: breakdown(cohort),
    };
    Ok(cohorts.iter().map(read).collect())
}

fn values(cohort: &Value) -> impl Iterator<Item = &Value> {
    cohort.get("values").and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_may_be_null() {
        let cohort =
            json!({"date": null, "label": null, "values": [{"count": null}, {}, {"count": 3}]});
        let expected = RetentionCohort {
            label: String::new(),
            date: String::new(),
            values: vec![None, None, Some(3.0)],
            breakdown: None,
        };
        assert_eq!(retention(&json!({"result": [cohort]})).unwrap(), [expected]);
    }

    #[test]
    fn a_sum_or_an_average_is_read_in_place_of_the_number_of_persons() {
        let of = |values: Value| retention(&json!({"result": [{"date": "d", "values": values}]}));
        let value = |aggregate: Option<f64>| json!({"count": 2, "aggregation_value": aggregate});
        let averages = of(json!([value(Some(9.5)), value(None)])).unwrap();
        assert_eq!(averages[0].values, [Some(9.5), None]);
        assert_eq!(of(json!([value(None)])).unwrap()[0].values, [Some(2.0)]);
    }
}
