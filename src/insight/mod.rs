//! Readers of insights and of the rows of queries.
//!
//! An insight comes as a [`Value`], and the shape of its result depends on what it shows. [`read`]
//! finds out which shape it is and returns it as an [`InsightResult`]. If you know the shape, call
//! its reader: [`aggregated_value`] for the one number of an insight, [`totals`], [`series`],
//! [`funnel_steps`], [`time_to_convert`], [`retention`], [`paths`], [`table`] and [`rows`]. A reader
//! that does not fit returns an error that names the one that does.
//!
//! All readers accept an insight, and the answer of a query of the same kind.

mod funnel;
mod limit;
mod paths;
mod result;
mod retention;
mod series;
mod shape;
mod sql;
mod table;
mod totals;

use serde_json::Value;

use crate::error::Result;
use shape::Shape;

pub use funnel::{FunnelStep, TimeToConvert, funnel_steps, time_to_convert};
pub use paths::{PathEdge, paths};
pub use result::result;
pub use retention::{RetentionCohort, retention};
pub use series::{Series, series};
pub(crate) use sql::scan_obstacle;
pub(crate) use table::{Page, limit_put_on, page_of, rows_of, table_of};
pub use table::{Table, rows, table};
pub use totals::{Total, aggregated_value, totals};

/// The result of an insight, in the shape that it has.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum InsightResult {
    /// Numbers: the bold number, the pie, the bar by value, the table of a trend, the world map.
    Totals(Vec<Total>),
    /// Lines: trends, stickiness, lifecycle, and a funnel over time.
    Series(Vec<Series>),
    /// The steps of a funnel; of one with a breakdown, those of each value in turn.
    Funnel(Vec<FunnelStep>),
    /// The rows of a retention.
    Retention(Vec<RetentionCohort>),
    /// The edges of paths.
    Paths(Vec<PathEdge>),
    /// A funnel that shows the time to convert.
    TimeToConvert(TimeToConvert),
    /// The rows of SQL, or of a list of events or persons.
    Table(Table),
    /// A result of another shape, as the server sends it.
    Other(Value),
}

/// Reads the result of any insight, in the shape that it has.
///
/// An empty result has the shape that the insight's query (or, on older servers, its filters) names;
/// if they name none, it is [`InsightResult::Other`].
///
/// # Errors
/// As [`result`], if there is no result. As [`table`], if the server cut the rows of a table.
/// [`Error::Insight`](crate::Error::Insight), if a number of a result is text, or a line does not
/// have as many points as days.
///
/// # Examples
/// ```
/// use posthog_api::insight::InsightResult;
/// use posthog_api::read;
/// use serde_json::json;
///
/// let insight = json!({"id": 7, "result": [{"label": "Pageviews", "aggregated_value": 3}]});
/// match read(&insight)? {
///     InsightResult::Totals(totals) => {
///         for total in totals {
///             println!("{}: {}", total.label, total.value.unwrap_or_default());
///         }
///     }
///     InsightResult::Series(lines) => println!("{} lines", lines.len()),
///     InsightResult::Table(table) => println!("{}", table.columns.join(", ")),
///     other => println!("{other:?}"),
/// }
/// # assert!(matches!(read(&insight)?, InsightResult::Totals(_)));
/// # Ok::<(), posthog_api::Error>(())
/// ```
pub fn read(insight: &Value) -> Result<InsightResult> {
    let found = result(insight)?;
    Ok(match Shape::of(insight) {
        Shape::Totals => InsightResult::Totals(totals(insight)?),
        Shape::Series => InsightResult::Series(series(insight)?),
        Shape::Funnel => InsightResult::Funnel(funnel_steps(insight)?),
        Shape::Retention => InsightResult::Retention(retention(insight)?),
        Shape::Paths => InsightResult::Paths(paths(insight)?),
        Shape::TimeToConvert => InsightResult::TimeToConvert(time_to_convert(insight)?),
        Shape::Table => InsightResult::Table(table(insight)?),
        Shape::Empty | Shape::Unknown => InsightResult::Other(found.clone()),
    })
}

fn text(of: &Value, name: &str) -> Option<String> {
    of.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn number(of: &Value, name: &str) -> Option<f64> {
    of.get(name).and_then(Value::as_f64)
}

fn label(of: &Value) -> String {
    text(of, "label").unwrap_or_default()
}

fn breakdown(of: &Value) -> Option<Value> {
    of.get("breakdown_value").filter(|value| !value.is_null()).cloned()
}
