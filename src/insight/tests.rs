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
    let trends =
        |display: Value| viz(json!({"kind": "TrendsQuery", "trendsFilter": {"display": display}}));
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
        (json!({"query": {"kind": "DataTableNode", "source": {"kind": "EventsQuery"}}}), "table"),
        (json!({"query": {"kind": "DataTableNode", "source": {"kind": "WebGoalsQuery"}}}), "table"),
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
        (
            json!({"query": {"kind": "TrendsQuery"}, "filters": {"insight": "TRENDS", "display": "BoldNumber"}}),
            "series",
        ),
        (
            json!({"query": {"kind": "FunnelsQuery"}, "filters": {"funnel_viz_type": "trends"}}),
            "funnel",
        ),
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
