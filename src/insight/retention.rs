//! The rows of a retention.

use serde_json::Value;

use super::fields::{breakdown, label, number, text};
use super::shape::{Shape, elements, shown};
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
    /// What the insight shows for the period itself, then for each period after it: how many
    /// persons came, or the sum or average of a property.
    pub values: Vec<Option<f64>>,
    /// The value of the breakdown.
    pub breakdown: Option<Value>,
}

/// The rows of a retention, one for each period.
///
/// # Errors
/// [Those of all readers](super).
pub fn retention(insight: &Value) -> Result<Vec<RetentionCohort>> {
    let cohorts = elements(insight, Shape::Retention, "retention")?;
    // Servers send both, and null for the one that is not asked for.
    let query = shown(insight.get("query").unwrap_or(&Value::Null));
    let kind = query.pointer("/retentionFilter/aggregationType").and_then(Value::as_str);
    let aggregated = kind.is_some_and(|kind| kind != "count")
        || cohorts.iter().flat_map(cells).any(|cell| number(cell, "aggregation_value").is_some());
    let shown = if aggregated { "aggregation_value" } else { "count" };
    let read = |cohort: &Value| RetentionCohort {
        label: label(cohort),
        date: text(cohort, "date").unwrap_or_default(),
        values: cells(cohort).map(|cell| number(cell, shown)).collect(),
        breakdown: breakdown(cohort),
    };
    Ok(cohorts.iter().map(read).collect())
}

fn cells(cohort: &Value) -> impl Iterator<Item = &Value> {
    cohort.get("values").and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests;
