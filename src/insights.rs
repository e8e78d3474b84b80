//! The list of insights and its options, and the numbers of an insight that shows totals.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::list::List;
use crate::query::Refresh;
use crate::result::{describe, name, result};

/// Marks a [`List`] of insights, from [`Project::insights`](crate::Project::insights).
#[derive(Debug, Clone, Copy, Default)]
pub struct Insights;

impl List<Insights> {
    /// Only insights with this text in their name, description or tags. An empty one is refused: it would be no filter.
    pub fn search(self, text: &str) -> Self {
        self.param("search", text)
    }

    /// Only insights that were saved or stand on a dashboard, or only those that were not.
    pub fn saved(self, saved: bool) -> Self {
        self.param("saved", saved)
    }

    /// Without results and what belongs to them: names and ids come sooner.
    pub fn basic(self) -> Self {
        self.param("basic", true)
    }

    /// Has the listed insights computed, or not. One query an insight: set a small page size.
    pub fn refresh(mut self, refresh: Refresh) -> Self {
        self.slow = refresh.computes();
        self.param("refresh", refresh.name())
    }
}

/// The one number of an insight that shows a total: `result[0].aggregated_value`.
///
/// Those are the bold number, the pie, the bar by value, the table and the world map; of one with several series, the first.
///
/// # Errors
/// [`Error::Insight`] where there is no such number, with the reason: never computed, still running, failed, nothing to
/// aggregate, no series, or another kind of insight, with the function that reads it.
pub fn aggregated_value(insight: &Value) -> Result<f64> {
    value_of(insight, totals(insight)?)
}

/// The label and number of every series of an insight that shows totals, in PostHog's order.
///
/// # Errors
/// As [`aggregated_value`], also where one of the series has nothing to aggregate.
pub fn aggregated_values(insight: &Value) -> Result<Vec<(String, f64)>> {
    totals(insight)?;
    let all = result(insight)?
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    all.iter()
        .map(|series| Ok((label(series).to_owned(), value_of(insight, series)?)))
        .collect()
}

/// The first series, where the insight shows totals.
fn totals(insight: &Value) -> Result<&Value> {
    let first = result(insight)?.get(0);
    first
        .filter(|series| series.get("aggregated_value").is_some())
        .ok_or_else(|| {
            Error::Insight(format!(
                "{} has no aggregated value: {}",
                name(insight),
                describe(insight)
            ))
        })
}

fn value_of(insight: &Value, series: &Value) -> Result<f64> {
    let value = series.get("aggregated_value").unwrap_or(&Value::Null);
    value.as_f64().ok_or_else(|| {
        let why = match value {
            Value::Null if marked(series, "aggregated_value") => "is NaN or infinite".to_owned(),
            Value::Null => "had nothing to aggregate: no event matched".to_owned(),
            _ => "is no number".to_owned(),
        };
        Error::Insight(format!(
            "{} has no aggregated value: series {:?} {why}",
            name(insight),
            label(series)
        ))
    })
}

/// Whether the server wrote beside a null that it stands for NaN or an infinity.
fn marked(series: &Value, name: &str) -> bool {
    series.as_object().is_some_and(|fields| {
        fields
            .keys()
            .any(|key| key.strip_prefix(name).is_some_and(|k| k.starts_with("::")))
    })
}

pub(crate) fn label(series: &Value) -> &str {
    series.get("label").and_then(Value::as_str).unwrap_or("")
}
