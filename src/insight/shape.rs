//! What the result of an insight is.

use serde_json::Value;

use super::result::{found, name, result, tabular};
use crate::error::{Error, ErrorKind, Result};

/// What a result is, and so which reader reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Totals,
    Series,
    Funnel,
    Retention,
    Paths,
    TimeToConvert,
    Table,
    /// An empty list, of an insight that does not say what it shows.
    Empty,
    Unknown,
}

impl Shape {
    /// The shape of the result; of an empty one, the shape that the query or the filters name.
    pub(super) fn of(insight: &Value) -> Shape {
        if tabular(insight).is_some() {
            return Shape::Table;
        }
        match found(insight) {
            Some(Value::Array(list)) => Shape::of_list(list, insight),
            Some(object) if is_time_to_convert(object) => Shape::TimeToConvert,
            _ => Shape::Unknown,
        }
    }

    fn of_list(list: &[Value], insight: &Value) -> Shape {
        let Some(first) = list.first() else {
            return Shape::named(insight);
        };
        let shape = Shape::of_element(first);
        // The steps of a funnel are in one list, or in a list for each value of a breakdown.
        let same = |element: &Value| {
            Shape::of_element(element) == shape && element.is_array() == first.is_array()
        };
        if list.iter().all(same) { shape } else { Shape::Unknown }
    }

    fn of_element(element: &Value) -> Shape {
        let has = |name: &str| element.get(name).is_some();
        let is = |name: &str, kind: fn(&Value) -> bool| element.get(name).is_some_and(kind);
        if let Value::Array(steps) = element {
            let all = !steps.is_empty() && steps.iter().all(is_step);
            return if all { Shape::Funnel } else { Shape::Unknown };
        }
        if has("aggregated_value") {
            Shape::Totals
        } else if is("source", Value::is_string) && is("target", Value::is_string) {
            Shape::Paths
        } else if is("values", Value::is_array) && has("date") {
            Shape::Retention
        } else if is("data", Value::is_array) && is("days", Value::is_array) {
            Shape::Series
        } else if is_step(element) {
            Shape::Funnel
        } else {
            Shape::Unknown
        }
    }

    /// The shape that the query names; on older servers, the filters name it.
    fn named(insight: &Value) -> Shape {
        let query = shown(insight.get("query").unwrap_or(&Value::Null));
        let filters = insight.get("filters").unwrap_or(&Value::Null);
        let node = text(insight, "/query/kind");
        let by_query = text(query, "/kind");
        let kind = by_query.or(text(filters, "/insight")).unwrap_or_default();
        // Filters that an insight kept from an older server do not count beside a query.
        let display = |new, old| by_query.map_or(text(filters, old), |_| text(query, new));
        match kind.trim_end_matches("Query").to_ascii_uppercase().as_str() {
            "TRENDS" => match display("/trendsFilter/display", "/display") {
                Some(
                    "BoldNumber" | "ActionsPie" | "ActionsBarValue" | "ActionsTable" | "WorldMap"
                    | "CalendarHeatmap",
                ) => Shape::Totals,
                Some("BoxPlot") => Shape::Empty,
                _ => Shape::Series,
            },
            "FUNNELS" => match display("/funnelsFilter/funnelVizType", "/funnel_viz_type") {
                Some("time_to_convert") => Shape::TimeToConvert,
                Some("trends") => Shape::Series,
                Some("steps") | None => Shape::Funnel,
                Some(_) => Shape::Empty,
            },
            "RETENTION" => Shape::Retention,
            "PATHS" => Shape::Paths,
            "STICKINESS" | "LIFECYCLE" => Shape::Series,
            "HOGQL" | "EVENTS" | "ACTORS" => Shape::Table,
            _ if matches!(node, Some("DataVisualizationNode" | "DataTableNode")) => Shape::Table,
            _ => Shape::Empty,
        }
    }

    /// What the result of an insight is, in words, and which function reads it.
    pub(super) fn hint_of(insight: &Value) -> &'static str {
        match found(insight) {
            Some(Value::Array(list)) if list.is_empty() => Shape::Empty.hint(),
            _ => Shape::of(insight).hint(),
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Shape::Totals => "it is a total; use insight::totals or insight::aggregated_value",
            Shape::Series => "it is a line; use insight::series",
            Shape::Funnel => "it is a funnel; use insight::funnel_steps",
            Shape::Retention => "it is a retention; use insight::retention",
            Shape::Paths => "it is paths; use insight::paths",
            Shape::TimeToConvert => "it is a time to convert; use insight::time_to_convert",
            Shape::Table => "it is a table; use insight::table or insight::rows",
            Shape::Empty => "it has no series: no event is chosen, or nothing was found",
            Shape::Unknown => "its shape is not known: read `result` itself",
        }
    }
}

/// A query without the nodes that say how to show it.
pub(crate) fn shown(mut query: &Value) -> &Value {
    const SHOWS: [&str; 3] = ["InsightVizNode", "DataVisualizationNode", "DataTableNode"];
    while let (Some(kind), Some(source)) = (text(query, "/kind"), query.get("source")) {
        if !SHOWS.contains(&kind) {
            break;
        }
        query = source;
    }
    query
}

/// The elements of a result of this shape. An empty list has no elements of any shape.
pub(super) fn elements<'a>(insight: &'a Value, shape: Shape, what: &str) -> Result<&'a [Value]> {
    match result(insight)? {
        Value::Array(list) if list.is_empty() || Shape::of(insight) == shape => Ok(list),
        _ => Err(not(what, insight)),
    }
}

/// The error of a reader that got an insight of another shape.
pub(super) fn not(what: &str, insight: &Value) -> Error {
    let hint = Shape::hint_of(insight);
    Error::from_text(ErrorKind::WrongShape, &format!("{} has no {what}: {hint}", name(insight)))
}

fn is_step(value: &Value) -> bool {
    value.get("count").is_some_and(Value::is_u64)
        && value.get("order").is_some()
        && value.get("data").is_none()
}

fn is_time_to_convert(value: &Value) -> bool {
    let is_bin = |bin: &Value| bin.get(0).is_some_and(Value::is_number);
    value.get("bins").and_then(Value::as_array).is_some_and(|bins| bins.iter().all(is_bin))
}

fn text<'a>(of: &'a Value, pointer: &str) -> Option<&'a str> {
    of.pointer(pointer).and_then(Value::as_str)
}
