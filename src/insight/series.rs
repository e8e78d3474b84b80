//! The lines of an insight: trends, stickiness, lifecycle, and a funnel over time.

use serde_json::Value;

use super::fields::{breakdown, label, text};
use super::result::name;
use super::shape::{Shape, elements};
use super::table::all_values;
use crate::error::{Error, ErrorKind, Result, excerpt};
use crate::text::display_text;

/// One line of an insight.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// PostHog's name of the line; empty if it has none.
    pub label: String,
    /// What each point stands for: a day (`YYYY-MM-DD`), an hour (`YYYY-MM-DD HH:MM:SS`), or, for
    /// stickiness, a number of days.
    pub days: Vec<String>,
    /// The points, one for each of `days`. `None` if the server sends no number, as for NaN.
    pub data: Vec<Option<f64>>,
    /// The value of the breakdown: text, a number, a boolean or a list of them.
    pub breakdown: Option<Value>,
    /// `current` or `previous`, if the insight compares two periods.
    pub compare: Option<String>,
    /// `new`, `returning`, `resurrecting` or `dormant`, if the insight is a lifecycle.
    pub status: Option<String>,
}

/// The lines of an insight, in PostHog's order.
///
/// # Errors
/// [Those of all readers](super); [`WrongShape`](crate::ErrorKind::WrongShape) also if a line does
/// not have as many points as days; [`CutShort`](crate::ErrorKind::CutShort) if a breakdown has more
/// values and none of the lines holds the [rest](super::BREAKDOWN_OTHER).
pub fn series(insight: &Value) -> Result<Vec<Series>> {
    let lines = all_values(insight, elements(insight, Shape::Series, "series")?)?;
    lines.iter().map(|line| read(insight, line)).collect()
}

fn read(insight: &Value, line: &Value) -> Result<Series> {
    let list = |name: &str| line.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (days, data, label) = (list("days"), list("data"), label(line));
    if days.len() != data.len() {
        let (label, of) = (excerpt(&label), name(insight));
        let (points, days) = (data.len(), days.len());
        let message = format!("series '{label}' of {of} has {points} points for {days} days");
        return Err(Error::new(ErrorKind::WrongShape, message));
    }
    Ok(Series {
        label,
        days: days.iter().map(|day| display_text(day).into_owned()).collect(),
        data: data.iter().map(Value::as_f64).collect(),
        breakdown: breakdown(line),
        compare: text(line, "compare_label"),
        status: text(line, "status"),
    })
}

#[cfg(test)]
mod tests;
