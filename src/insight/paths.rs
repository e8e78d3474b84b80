//! The edges of paths.

use serde_json::Value;

use super::fields::{number, text};
use super::shape::{Shape, elements};
use crate::error::Result;

/// One edge of paths: persons who went from one page or event to the next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PathEdge {
    /// Where they came from: the number of the step, `_`, and the page or event.
    pub source: String,
    /// Where they went, in the same form.
    pub target: String,
    /// How many persons went this way.
    pub value: Option<f64>,
    /// Milliseconds that it took them on average.
    pub average_conversion_time: Option<f64>,
}

/// The edges of paths, in PostHog's order.
///
/// # Errors
/// [Those of all readers](super).
pub fn paths(insight: &Value) -> Result<Vec<PathEdge>> {
    let read = |edge: &Value| PathEdge {
        source: text(edge, "source").unwrap_or_default(),
        target: text(edge, "target").unwrap_or_default(),
        value: number(edge, "value"),
        average_conversion_time: number(edge, "average_conversion_time"),
    };
    Ok(elements(insight, Shape::Paths, "paths")?.iter().map(read).collect())
}

#[cfg(test)]
mod tests;
