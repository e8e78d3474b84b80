//! The shapes of insights that show more than totals: lines, funnels, retention, paths, times.

use std::borrow::Cow;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::insights::label;
use crate::result::{describe, is_step, name, result};

/// One line of an insight: a trend, a cumulative one, stickiness, lifecycle, or a funnel over time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Series<'a> {
    /// What the line shows, as PostHog names it; empty where it has no name.
    pub label: &'a str,
    /// What each point stands for: a day (`YYYY-MM-DD`), an hour (`YYYY-MM-DD HH:MM:SS`), or a number of days (stickiness).
    pub days: Vec<Cow<'a, str>>,
    /// The points, as many as `days`; `None` where the server has no number.
    pub data: Vec<Option<f64>>,
    /// The value that the line is broken down by: text, number, boolean or a list of them.
    pub breakdown: Option<&'a Value>,
    /// `current` or `previous`, where the insight compares two periods.
    pub compare: Option<&'a str>,
    /// `new`, `returning`, `resurrecting` or `dormant`, where the insight shows a lifecycle.
    pub status: Option<&'a str>,
}

/// The lines of an insight, in PostHog's order.
///
/// # Errors
/// [`Error::Insight`] where the insight has no result, or is of another kind: it names the function that reads it.
pub fn series(insight: &Value) -> Result<Vec<Series<'_>>> {
    each(
        insight,
        "series",
        |s| s.get("data").is_some() && s.get("aggregated_value").is_none(),
        |line| {
            Some(Series {
                label: label(line),
                days: line.get("days")?.as_array()?.iter().map(day).collect(),
                data: numbers(line.get("data")?.as_array()?),
                breakdown: line.get("breakdown_value").filter(|v| !v.is_null()),
                compare: text(line, "compare_label"),
                status: text(line, "status"),
            })
        },
    )
}

/// One step of a funnel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FunnelStep<'a> {
    /// The step's own name, else its event's.
    pub name: &'a str,
    /// How many persons came this far.
    pub count: u64,
    /// The share of those at the first step that came this far, from 0 to 1; 0 where nobody was at the first.
    pub conversion: f64,
    /// Seconds from the step before to this one, on average.
    pub average_conversion_time: Option<f64>,
    /// Seconds from the step before to this one, the median.
    pub median_conversion_time: Option<f64>,
    /// The value that this funnel is broken down by; the steps of one funnel follow each other.
    pub breakdown: Option<&'a Value>,
}

/// The steps of a funnel; of one with a breakdown, those of each value's funnel in turn.
///
/// # Errors
/// As [`series`].
pub fn funnel_steps(insight: &Value) -> Result<Vec<FunnelStep<'_>>> {
    let list = result(insight)?
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let funnels: Vec<&[Value]> = match list.first() {
        Some(Value::Array(_)) => list
            .iter()
            .map(|f| f.as_array().map(Vec::as_slice).unwrap_or_default())
            .collect(),
        _ => vec![list],
    };
    if !funnels
        .iter()
        .all(|steps| !steps.is_empty() && steps.iter().all(is_step))
    {
        return Err(not("a funnel", insight));
    }
    funnels
        .into_iter()
        .flat_map(|steps| steps.iter().map(|step| funnel_step(steps, step)))
        .collect::<Option<_>>()
        .ok_or_else(|| odd(insight))
}

#[allow(clippy::cast_precision_loss)] // persons are fewer than 2^53
fn funnel_step<'a>(steps: &'a [Value], step: &'a Value) -> Option<FunnelStep<'a>> {
    let count = |step: &Value| step.get("count").and_then(Value::as_u64);
    let (first, here) = (count(steps.first()?)?, count(step)?);
    Some(FunnelStep {
        name: text(step, "custom_name")
            .or_else(|| text(step, "name"))
            .unwrap_or(""),
        count: here,
        conversion: if first == 0 {
            0.0
        } else {
            here as f64 / first as f64
        },
        average_conversion_time: number(step, "average_conversion_time"),
        median_conversion_time: number(step, "median_conversion_time"),
        breakdown: step.get("breakdown_value").filter(|v| !v.is_null()),
    })
}

/// One row of a retention: who came first in one period, and how many of them came back in each after it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RetentionCohort<'a> {
    /// PostHog's name of the period, such as `Day 0`.
    pub label: &'a str,
    /// When the period begins.
    pub date: &'a str,
    /// How many came in the period itself, then in each after it.
    pub values: Vec<Option<f64>>,
    /// The value that the cohort is broken down by.
    pub breakdown: Option<&'a Value>,
}

/// The matrix of a retention, a row for each period.
///
/// # Errors
/// As [`series`].
pub fn retention(insight: &Value) -> Result<Vec<RetentionCohort<'_>>> {
    each(
        insight,
        "a retention",
        |c| c.get("values").is_some() && c.get("date").is_some(),
        |cohort| {
            Some(RetentionCohort {
                label: label(cohort),
                date: text(cohort, "date").unwrap_or(""),
                values: cohort
                    .get("values")?
                    .as_array()?
                    .iter()
                    .map(|v| number(v, "count"))
                    .collect(),
                breakdown: cohort.get("breakdown_value").filter(|v| !v.is_null()),
            })
        },
    )
}

/// One edge of a paths insight: persons who went from one place to the next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PathEdge<'a> {
    /// Where from: the number of the step, `_`, and the page or event.
    pub source: &'a str,
    /// Where to, in the same form.
    pub target: &'a str,
    /// How many persons went that way.
    pub value: Option<f64>,
    /// Milliseconds that it took them on average.
    pub average_conversion_time: Option<f64>,
}

/// The edges of a paths insight, in PostHog's order.
///
/// # Errors
/// As [`series`].
pub fn paths(insight: &Value) -> Result<Vec<PathEdge<'_>>> {
    each(
        insight,
        "paths",
        |e| e.get("source").is_some() && e.get("target").is_some(),
        |edge| {
            Some(PathEdge {
                source: text(edge, "source")?,
                target: text(edge, "target")?,
                value: number(edge, "value"),
                average_conversion_time: number(edge, "average_conversion_time"),
            })
        },
    )
}

/// How long persons take through a funnel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TimeToConvert {
    /// Seconds at which a bin begins, and how many persons are in it.
    pub bins: Vec<(f64, Option<f64>)>,
    /// Seconds on average.
    pub average_conversion_time: Option<f64>,
}

/// The histogram of a funnel that shows the time to convert.
///
/// # Errors
/// As [`series`].
pub fn time_to_convert(insight: &Value) -> Result<TimeToConvert> {
    let found = result(insight)?;
    let bins = found
        .get("bins")
        .ok_or_else(|| not("a time to convert", insight))?;
    let bin = |bin: &Value| Some((bin.get(0)?.as_f64()?, bin.get(1)?.as_f64()));
    let bins = bins
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(bin)
        .collect::<Option<_>>();
    Ok(TimeToConvert {
        bins: bins.ok_or_else(|| odd(insight))?,
        average_conversion_time: number(found, "average_conversion_time"),
    })
}

/// Reads each element of a result that `is` all of one kind; an empty list is a list of none of them.
fn each<'a, T>(
    insight: &'a Value,
    kind: &str,
    is: fn(&Value) -> bool,
    read: fn(&'a Value) -> Option<T>,
) -> Result<Vec<T>> {
    match result(insight)? {
        Value::Array(list) if list.iter().all(is) => list
            .iter()
            .map(read)
            .collect::<Option<_>>()
            .ok_or_else(|| odd(insight)),
        _ => Err(not(kind, insight)),
    }
}

fn not(kind: &str, insight: &Value) -> Error {
    Error::Insight(format!(
        "{} does not show {kind}: {}",
        name(insight),
        describe(insight)
    ))
}

fn odd(insight: &Value) -> Error {
    Error::Insight(format!(
        "{} has a result of a shape that is not known: read `result` itself",
        name(insight)
    ))
}

fn day(day: &Value) -> Cow<'_, str> {
    day.as_str()
        .map_or_else(|| Cow::Owned(day.to_string()), Cow::Borrowed)
}

fn numbers(values: &[Value]) -> Vec<Option<f64>> {
    values.iter().map(Value::as_f64).collect()
}

fn number(of: &Value, name: &str) -> Option<f64> {
    of.get(name).and_then(Value::as_f64)
}

fn text<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    of.get(name).and_then(Value::as_str)
}
