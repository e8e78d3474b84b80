//! Readers of insights and of the rows of queries.
//!
//! An insight comes as a [`Value`], and the shape of its result depends on what it shows. [`read`]
//! finds out which shape it is and returns it as an [`InsightResult`]. If you know the shape, call
//! its reader: [`aggregated_value`] for the one number of an insight, [`totals`], [`series`],
//! [`funnel_steps`], [`time_to_convert`], [`retention`], [`paths`], [`table`] and [`rows`]. A
//! reader that does not fit returns an error that names the one that does.
//!
//! All readers accept an insight, and the answer of a query of the same kind.

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

/// Reads the result of any insight, in the shape that it has.
///
/// A calendar heatmap is [`InsightResult::Totals`]; its days are in `calendar_heatmap_data` of each
/// element of [`result()`]. A box plot is [`InsightResult::Other`], as is every list of objects
/// without a reader of its own: [`rows`] returns its rows.
///
/// For a tile of a dashboard, call `read(&tile["insight"])`, which is null where the tile holds a
/// text.
///
/// An empty result has the shape that the insight's query (or, on older servers, its filters)
/// names; if they name none, it is [`InsightResult::Other`].
///
/// # Errors
/// As [`result`], if there is no result. As [`table`], [`totals`] and [`series`], if the server cut
/// the rows. [`WrongShape`](crate::ErrorKind::WrongShape), if a number of a result is text, or a
/// line does not have as many points as days.
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
    ///
    /// # Examples
    /// ```
    /// use posthog_api::{display_text, read};
    /// use serde_json::json;
    ///
    /// let insight = json!({"id": 7, "result": [{"label": "Pageviews", "aggregated_value": 3}]});
    /// let table = read(&insight)?.to_table();
    /// println!("{}", table.columns.join(","));
    /// for row in &table.rows {
    ///     let cells: Vec<_> = row.iter().map(|cell| display_text(cell)).collect();
    ///     println!("{}", cells.join(","));
    /// }
    /// # assert_eq!(table.columns, ["label", "breakdown", "compare", "value"]);
    /// # assert_eq!(table.rows, [[json!("Pageviews"), json!(null), json!(null), json!(3)]]);
    /// # Ok::<(), posthog_api::Error>(())
    /// ```
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
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn any_result_becomes_a_table() {
        let table = |result: Value| {
            let table = read(&json!({"id": 1, "result": result})).unwrap().to_table();
            json!([table.columns, table.rows])
        };
        for (result, expected) in [
            (
                json!([{"label": "a", "aggregated_value": 2.5, "breakdown_value": "x"}, {"label": "b", "aggregated_value": 3.0, "breakdown_value": "y"}]),
                json!([
                    ["label", "breakdown", "compare", "value"],
                    [["a", "x", null, 2.5], ["b", "y", null, 3]]
                ]),
            ),
            (
                json!([{"label": "a", "data": [1, null], "days": ["d", "e"], "status": "new"}]),
                json!([
                    ["label", "breakdown", "compare", "status", "day", "value"],
                    [["a", null, null, "new", "d", 1], ["a", null, null, "new", "e", null]]
                ]),
            ),
            (
                json!([{"name": "a", "order": 0, "count": 4}, {"name": "b", "order": 1, "count": 1}]),
                json!([
                    [
                        "name",
                        "breakdown",
                        "count",
                        "conversion",
                        "average_conversion_time",
                        "median_conversion_time"
                    ],
                    [["a", null, 4, 1, null, null], ["b", null, 1, 0.25, null, null]]
                ]),
            ),
            (
                json!([{"label": "Day 0", "date": "d", "values": [{"count": 9}, {"count": 4}]}]),
                json!([
                    ["label", "date", "breakdown", "period", "value"],
                    [["Day 0", "d", null, 0, 9], ["Day 0", "d", null, 1, 4]]
                ]),
            ),
            (
                json!([{"source": "1_a", "target": "2_b", "value": 6}]),
                json!([
                    ["source", "target", "value", "average_conversion_time"],
                    [["1_a", "2_b", 6, null]]
                ]),
            ),
            (json!({"bins": [[0, 20]]}), json!([["seconds", "persons"], [[0, 20]]])),
            (json!({"columns": ["a", "a"], "results": [[1, 2]]}), json!([["a", "a"], [[1, 2]]])),
            (
                json!([{"day": "d", "min": 1}, {"max": 9, "min": 2}]),
                json!([["day", "max", "min"], [["d", null, 1], [null, 9, 2]]]),
            ),
            (json!([1, "x"]), json!([["value"], [[1], ["x"]]])),
            (json!({"a": 1}), json!([["a"], [[1]]])),
            (json!(5), json!([["value"], [[5]]])),
            (json!([]), json!([[], []])),
        ] {
            assert_eq!(table(result.clone()), expected, "{result}");
        }
    }

    /// The shape that `read` returns, and how many elements it has.
    fn shape(insight: &Value) -> (&'static str, usize) {
        match read(insight).unwrap() {
            InsightResult::Totals(list) => ("totals", list.len()),
            InsightResult::Series(list) => ("series", list.len()),
            InsightResult::Funnel(list) => ("funnel", list.len()),
            InsightResult::Retention(list) => ("retention", list.len()),
            InsightResult::Paths(list) => ("paths", list.len()),
            InsightResult::TimeToConvert(times) => ("time to convert", times.bins.len()),
            InsightResult::Table(table) => ("table", table.rows.len()),
            InsightResult::Other(_) => ("other", 0),
        }
    }

    #[test]
    fn a_result_is_read_in_the_shape_that_it_has() {
        let step = json!({"count": 1, "order": 0, "name": "a"});
        for (result, expected) in [
            (json!([{"aggregated_value": 1}, {"aggregated_value": null}]), ("totals", 2)),
            (json!([{"data": null, "days": [], "aggregated_value": 2.5}]), ("totals", 1)),
            (json!([{"data": [1], "days": ["d"]}]), ("series", 1)),
            (json!([step, step]), ("funnel", 2)),
            (json!([[step, step], [step, step]]), ("funnel", 4)),
            (json!([{"values": [], "date": null}]), ("retention", 1)),
            (json!([{"source": "1_a", "target": "2_b"}]), ("paths", 1)),
            (json!({"bins": [[1, 2]]}), ("time to convert", 1)),
            (json!({"columns": ["a"], "results": [[1], [2]]}), ("table", 2)),
            (json!([{"data": [1], "days": ["d"]}, step]), ("other", 0)),
            (json!([{"data": 5, "days": []}]), ("other", 0)),
            (json!([{"order": 0, "count": "x"}]), ("other", 0)),
            (json!([{"source": 1, "target": 2}]), ("other", 0)),
            (json!({"bins": [["x", 1]]}), ("other", 0)),
            (json!([[]]), ("other", 0)),
            (json!(5), ("other", 0)),
        ] {
            assert_eq!(shape(&json!({"id": 1, "result": result})), expected, "{result}");
            assert_eq!(shape(&json!({"results": result})), expected, "{result}");
        }
    }

    #[test]
    fn an_empty_result_has_the_shape_that_the_insight_names() {
        let viz = |source: Value| json!({"query": {"kind": "InsightVizNode", "source": source}});
        let trends = |display: Value| {
            viz(json!({"kind": "TrendsQuery", "trendsFilter": {"display": display}}))
        };
        let funnel = |display: Value| {
            viz(json!({"kind": "FunnelsQuery", "funnelsFilter": {"funnelVizType": display}}))
        };
        let kind = |kind: &str| viz(json!({"kind": kind}));
        let filters = |filters: Value| json!({"query": null, "filters": filters});
        for (insight, expected) in [
            (trends(json!("BoldNumber")), "totals"),
            (trends(json!("WorldMap")), "totals"),
            (trends(json!("ActionsLineGraph")), "series"),
            (trends(json!("Metric")), "series"),
            (trends(json!("BoxPlot")), "other"),
            (trends(json!(null)), "series"),
            (kind("TrendsQuery"), "series"),
            (funnel(json!("steps")), "funnel"),
            (funnel(json!("trends")), "series"),
            (funnel(json!("time_to_convert")), "time to convert"),
            (kind("FunnelsQuery"), "funnel"),
            (kind("RetentionQuery"), "retention"),
            (kind("PathsQuery"), "paths"),
            (kind("StickinessQuery"), "series"),
            (kind("LifecycleQuery"), "series"),
            (kind("SomethingNew"), "other"),
            (json!({"query": {"kind": "TrendsQuery"}}), "series"),
            (
                json!({"query": {"kind": "DataTableNode", "source": {"kind": "EventsQuery"}}}),
                "table",
            ),
            (
                json!({"query": {"kind": "DataTableNode", "source": {"kind": "WebGoalsQuery"}}}),
                "table",
            ),
            (
                json!({"query": {"kind": "DataVisualizationNode", "source": {"kind": "HogQLQuery"}}}),
                "table",
            ),
            (
                json!({"query": {"kind": "DataTableNode", "source": {"kind": "ActorsQuery", "source": {"kind": "TrendsQuery"}}}}),
                "table",
            ),
            (filters(json!({"insight": "TRENDS", "display": "ActionsPie"})), "totals"),
            (filters(json!({"insight": "TRENDS"})), "series"),
            (filters(json!({"insight": "FUNNELS", "display": "FunnelViz"})), "funnel"),
            (filters(json!({"insight": "FUNNELS", "funnel_viz_type": "trends"})), "series"),
            (filters(json!({"insight": "RETENTION", "display": "ActionsTable"})), "retention"),
            (filters(json!({"insight": "PATHS"})), "paths"),
            (filters(json!({"insight": "STICKINESS"})), "series"),
            (filters(json!({"insight": "LIFECYCLE"})), "series"),
            (filters(json!({})), "other"),
            (json!({"query": "x", "filters": 5}), "other"),
            (json!({}), "other"),
        ] {
            let mut insight = insight;
            insight["result"] = json!([]);
            assert_eq!(shape(&insight), (expected, 0), "{insight}");
        }
        let cut = json!({"id": 7, "columns": ["a"], "result": [[1]], "hasMore": true});
        assert_eq!(read(&cut).unwrap_err().kind(), crate::error::ErrorKind::CutShort);
        assert_eq!(
            read(&json!({"id": 7, "result": null})).unwrap_err().kind(),
            crate::error::ErrorKind::NotComputed
        );
    }

    #[test]
    fn a_reader_of_another_shape_names_the_one_that_fits() {
        let line = json!({"id": 7, "result": [{"data": [1], "days": ["d"]}]});
        for error in [
            aggregated_value(&line).unwrap_err(),
            totals(&line).unwrap_err(),
            funnel_steps(&line).unwrap_err(),
            retention(&line).unwrap_err(),
            paths(&line).unwrap_err(),
            time_to_convert(&line).unwrap_err(),
            table(&line).unwrap_err(),
            rows(&line).unwrap_err(),
        ] {
            assert!(error.to_string().ends_with("it is a line; use insight::series"), "{error}");
        }
        let total = json!({"id": 7, "result": [{"data": [], "days": [], "aggregated_value": 1}]});
        let error = series(&total).unwrap_err().to_string();
        assert!(error.starts_with("insight 7 has no series: it is a total"), "{error}");
    }
}
