//! Funnels: their steps, and the time to convert.

use serde_json::Value;

use super::fields::{breakdown, number, text};
use super::result::result;
use super::shape::{Shape, elements, not};
use crate::error::Result;

/// One step of a funnel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FunnelStep {
    /// The name that the step was given, else the name of its event.
    pub name: String,
    /// How many persons reached the step.
    pub count: u64,
    /// The share of the persons at the first step that reached this one, from 0 to 1; 0 if the
    /// first step has no persons.
    pub conversion: f64,
    /// Seconds from the step before to this one: the average.
    pub average_conversion_time: Option<f64>,
    /// Seconds from the step before to this one: the median.
    pub median_conversion_time: Option<f64>,
    /// The value of the breakdown. The steps of each value follow each other.
    pub breakdown: Option<Value>,
}

/// The steps of a funnel; of one with a breakdown, those of each value in turn.
///
/// # Errors
/// [Those of all readers](super).
pub fn funnel_steps(insight: &Value) -> Result<Vec<FunnelStep>> {
    let list = elements(insight, Shape::Funnel, "funnel steps")?;
    let by_value = list.iter().filter_map(Value::as_array).flat_map(|steps| funnel(steps));
    if list.first().is_some_and(Value::is_array) {
        return Ok(by_value.collect());
    }
    Ok(funnel(list).collect())
}

fn funnel(steps: &[Value]) -> impl Iterator<Item = FunnelStep> {
    let count = |step: &Value| step.get("count").and_then(Value::as_u64).unwrap_or(0);
    let first = steps.first().map_or(0, count);
    steps.iter().map(move |step| FunnelStep {
        name: text(step, "custom_name").or_else(|| text(step, "name")).unwrap_or_default(),
        count: count(step),
        conversion: share(count(step), first),
        average_conversion_time: number(step, "average_conversion_time"),
        median_conversion_time: number(step, "median_conversion_time"),
        breakdown: breakdown(step),
    })
}

#[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^53 persons")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// How long persons take from the first step of a funnel to the last.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct TimeToConvert {
    /// The second at which each bin begins, and how many persons are in it.
    pub bins: Vec<(f64, Option<f64>)>,
    /// Seconds: the average.
    pub average_conversion_time: Option<f64>,
    /// Seconds: the median. Servers of 2023 do not send it.
    pub median_conversion_time: Option<f64>,
}

/// The histogram of a funnel that shows the time to convert.
///
/// # Errors
/// [Those of all readers](super).
pub fn time_to_convert(insight: &Value) -> Result<TimeToConvert> {
    let found = result(insight)?;
    if Shape::of(insight) != Shape::TimeToConvert {
        return Err(not("time to convert", insight));
    }
    let bin = |bin: &Value| Some((bin.get(0)?.as_f64()?, bin.get(1).and_then(Value::as_f64)));
    let bins = found.get("bins").and_then(Value::as_array);
    Ok(TimeToConvert {
        bins: bins.into_iter().flatten().filter_map(bin).collect(),
        average_conversion_time: number(found, "average_conversion_time"),
        median_conversion_time: number(found, "median_conversion_time"),
    })
}

#[cfg(test)]
mod tests;
