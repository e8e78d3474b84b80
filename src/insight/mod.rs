//! Readers of insights and of the rows of queries.
//!
//! An insight comes as a [`Value`], and the shape of its result depends on what it shows. [`read`]
//! finds out which shape it is and returns it as an [`InsightResult`]. If you know the shape, call
//! its reader: [`aggregated_value`] for the one number of an insight, [`totals`], [`series`],
//! [`funnel_steps`], [`time_to_convert`], [`retention`], [`paths`], [`table`] and [`rows`]. A
//! reader that does not fit returns an error that names the one that does.
//!
//! All readers accept an insight, and the answer of a query of the same kind. All return the errors
//! of [`result`] where there is no result, and [`WrongShape`](crate::ErrorKind::WrongShape) for an
//! insight of another kind.

mod cut;
mod fields;
mod funnel;
mod paths;
mod result;
mod retention;
mod series;
mod shape;
mod table;
mod totals;

use serde_json::{Value, json};

use crate::error::Result;
use shape::Shape;

pub(crate) use cut::part_obstacle;
pub use fields::{BREAKDOWN_NULL, BREAKDOWN_OTHER};
pub use funnel::{FunnelStep, TimeToConvert, funnel_steps, time_to_convert};
pub use paths::{PathEdge, paths};
pub(crate) use result::computed;
pub use result::result;
pub use retention::{RetentionCohort, retention};
pub use series::{Series, series};
pub(crate) use shape::shown;
pub use table::{Table, rows, table};
pub(crate) use table::{limit_put_on, page_of, rows_of, scan_obstacle, table_of};
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

/// Reads the result of any insight, in the shape that it has. The
/// [cookbook](crate::docs::cookbook#any-insight) has an example.
///
/// A calendar heatmap is [`InsightResult::Totals`]; its days are in `calendar_heatmap_data` of each
/// element of [`result()`]. A box plot is [`InsightResult::Other`], as is every list of objects
/// without a reader of its own: [`rows`] returns its rows.
///
/// For a tile of a dashboard, call `read(&tile["insight"])`, which is null where the tile holds a
/// text.
///
/// An empty result has the shape that the query names; on older servers, the filters name it.
///
/// # Errors
/// As [`result`], if there is no result. As [`table`], [`totals`] and [`series`], if the server cut
/// the rows. [`WrongShape`](crate::ErrorKind::WrongShape), if a number of a result is text, or a
/// line does not have as many points as days.
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
        Shape::Empty | Shape::Unknown => {
            table::check_objects(insight)?;
            InsightResult::Other(found.clone())
        }
    })
}

impl InsightResult {
    /// Any result as columns and rows, for CSV or a terminal. The columns of a kind are always the
    /// same.
    ///
    /// A series has a row for each point, and a retention one for each period of a cohort. Of
    /// [`InsightResult::Other`], a list of objects has a column for each name, and anything else
    /// one column, `value`.
    #[must_use]
    pub fn to_table(&self) -> Table {
        let (columns, rows): (&str, Vec<Value>) = match self {
            InsightResult::Table(table) => return table.clone(),
            InsightResult::Other(other) => return Table::of_objects(other),
            InsightResult::Totals(totals) => {
                let row = |t: &Total| json!([t.label, t.breakdown, t.compare, cell(t.value)]);
                ("label breakdown compare value", totals.iter().map(row).collect())
            }
            InsightResult::Series(lines) => {
                let rows = |s: &Series| -> Vec<Value> {
                    let row = |(day, value): (&String, &Option<f64>)| {
                        json!([s.label, s.breakdown, s.compare, s.status, day, cell(*value)])
                    };
                    s.days.iter().zip(&s.data).map(row).collect()
                };
                ("label breakdown compare status day value", lines.iter().flat_map(rows).collect())
            }
            InsightResult::Funnel(steps) => {
                let row = |s: &FunnelStep| {
                    let times = [s.average_conversion_time, s.median_conversion_time];
                    let [average, median] = times.map(cell);
                    json!([s.name, s.breakdown, s.count, cell(Some(s.conversion)), average, median])
                };
                let columns = "name breakdown count conversion average_conversion_time \
                               median_conversion_time";
                (columns, steps.iter().map(row).collect())
            }
            InsightResult::Retention(cohorts) => {
                let rows = |c: &RetentionCohort| -> Vec<Value> {
                    let row = |(n, value): (usize, &Option<f64>)| {
                        json!([c.label, c.date, c.breakdown, n, cell(*value)])
                    };
                    c.values.iter().enumerate().map(row).collect()
                };
                ("label date breakdown period value", cohorts.iter().flat_map(rows).collect())
            }
            InsightResult::Paths(edges) => {
                let row = |e: &PathEdge| {
                    json!([e.source, e.target, cell(e.value), cell(e.average_conversion_time)])
                };
                ("source target value average_conversion_time", edges.iter().map(row).collect())
            }
            InsightResult::TimeToConvert(times) => {
                let row = |(from, persons): &(f64, Option<f64>)| {
                    json!([cell(Some(*from)), cell(*persons)])
                };
                ("seconds persons", times.bins.iter().map(row).collect())
            }
        };
        Table {
            columns: columns.split(' ').map(str::to_owned).collect(),
            rows: rows.iter().filter_map(Value::as_array).cloned().collect(),
        }
    }
}

/// A number as JSON; a whole one is written without a point.
fn cell(number: Option<f64>) -> Value {
    number.and_then(|n| serde_json::from_str(&n.to_string()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
