//! Proves that an insight, and the list of insights, are returned as recorded.

use posthog_api::Refresh;

use crate::ask::{insight, insight_refreshed, insights, page, send, short_id};
use crate::check::{self, json_of};
use crate::standin::recordings::one;
use crate::standin::{Replay, client};
use crate::table::Class::{Missing, Other};
use crate::table::Means::{Absent, Body, Refused};
use crate::table::{Got, Table};

pub fn rows(t: &mut Table) {
    t.add(
        "2023",
        Body,
        insight,
        "insight_uncached_boldnumber insight_boldnumber insight_table insight_pie insight_boldnumber_two \
         insight_boldnumber_sum insight_boldnumber_zero insight_boldnumber_avg_none \
         insight_boldnumber_formula insight_boldnumber_compare insight_worldmap insight_table_breakdown \
         insight_line_breakdown_bool insight_funnel_breakdown insight_funnel_trends insight_funnel_ttc \
         insight_query_table_hogql insight_query_table_events insight_query_viz_trends",
    );
    t.add(
        "2022 2023",
        Body,
        insight,
        "insight_line insight_line_compare insight_cumulative insight_hourly insight_lifecycle \
         insight_stickiness insight_funnel insight_retention insight_paths insight_no_filters",
    );
    t.add(
        "2022",
        Body,
        insight,
        "insight_uncached_aggregated insight_aggregated_table insight_aggregated_pie \
         insight_aggregated_barvalue_sum insight_aggregated_zero insight_aggregated_breakdown \
         insight_line_breakdown edge_insight_agg_avg_none",
    );
    t.add(
        "2026",
        Body,
        insight,
        "insight_cold_line insight_cold_bold insight_cold_funnel insight_cold_sql insight_line \
         insight_bold insight_bold2 insight_bold_sum insight_bold_dau insight_bold_avg_none \
         insight_bold_formula insight_bold_compare insight_pie insight_table insight_barvalue \
         insight_worldmap insight_cumulative insight_breakdown_line insight_hour insight_calendar \
         insight_box insight_metric insight_slope insight_funnel insight_funnel_bd \
         insight_funnel_time insight_funnel_trends insight_retention insight_paths insight_sticky \
         insight_lifecycle insight_sql insight_sql_cut insight_sql_nan insight_sql_table \
         insight_events_table insight_actors_table insight_bare insight_legacy insight_empty",
    );
    t.add("2023", Body, send, "insight_refresh_boldnumber evict_refresh_true");
    t.add("2022", Body, send, "insight_refresh_aggregated_table");
    t.add(
        "2026",
        Body,
        insight_refreshed,
        "insight_refresh_line insight_refresh_bold insight_bold_refresh_force_cache \
         insight_bold_refresh_async insight_bold_refresh_lazy_async \
         insight_bold_refresh_force_async insight_bold_refresh_async_except_on_cache_miss",
    );
    t.add(
        "2026b",
        Body,
        insight_refreshed,
        "insight_actors_of_trends insight_area insight_barvalue insight_calendar_breakdown \
         insight_compare_to insight_cumulative insight_datatable_actors_nolimit \
         insight_datatable_events insight_datatable_events_nolimit insight_datatable_hogql \
         insight_datatable_sessions insight_dau_bold insight_formula_zero_div insight_funnel_none \
         insight_funnel_strict insight_funnel_ttc_none insight_hist_breakdown \
         insight_hogql_breakdown insight_hour insight_lifecycle insight_lifecycle_toggled \
         insight_line_breakdown insight_minute insight_multi_breakdown \
         insight_none_line_breakdown insight_none_table_breakdown insight_paths_custom \
         insight_pie_breakdown insight_retention insight_retention_sum insight_slope \
         insight_sql_number insight_sql_union insight_sql_variables insight_stackedbar \
         insight_stickiness_compare insight_stickiness_cumulative insight_traces \
         insight_trends_first_time insight_two_bold insight_web_goals insight_web_overview \
         insight_week",
    );
    t.add("2026b", Body, insight, "insight_boxplot_cached_null");
    t.add("2026b", Refused(Missing), insights, "project_other_404");
    t.add("2026", Body, send, "insight_bold_refresh_nonsense insight_short_in_path_bold");
    t.add(
        "2026",
        Refused(Other),
        insight_refreshed,
        "insight_refresh_sql_err insight_refresh_sql_ch_err insight_refresh_empty",
    );
    t.add("2023", Refused(Other), send, "insight_refresh_query_viz_trends insights_delete_hard");
    t.add("2026", Refused(Other), send, "insight_delete");
    t.add("2023", Refused(Missing), insight, "insight_deleted");
    t.add("2022 2026", Refused(Missing), insight, "insight_missing");
    t.add("2022", Refused(Missing), send, "insight_by_shortid_in_path");
    t.add("2026", Refused(Missing), send, "insight_short_missing");

    t.add("2023", Body, insights, "insights_page_1 insights_page_2 insights_list_order_id");
    t.add("2022 2023", Body, insights, "insights_list_offset_past");
    t.add(
        "2022",
        Body,
        insights,
        "insights_list_limit insights_list_limit_offset insights_list_basic insights_walk3_01 \
         insights_walk3_02 insights_walk3_03",
    );
    t.add(
        "2026",
        Body,
        insights,
        "insights_full_order_10 insights_full_order_10__p2 insights_full_order_10__p3 \
         insights_full_order_10__p4 insights_full_order_10__p5 insights_full_order_10__p6 \
         insights_full_order_10__p7 insights_full_order_10__p8 insights_full_order_10__p9 \
         insights_full_order_10__p10 insights_full_order_10__p11 insights_full_order_10__p12 \
         insights_full_order_10__p13 insights_full_order_10__p14",
    );
    t.add(
        "2023",
        Body,
        |c, _| page(c.project(1).insights().basic().page_size(3)),
        "insights_list_basic",
    );
    t.add(
        "2023",
        Body,
        |c, _| page(c.project(1).insights().search("Filler").page_size(2)),
        "insights_list_search",
    );
    t.add(
        "2026",
        Body,
        |c, _| page(c.project(1).insights().param("search", "bold").basic()),
        "insights_search_exact",
    );
    t.add(
        "2026",
        Body,
        |c, _| page(c.project(1).insights().param("search", "bolt").basic()),
        "insights_search_similar",
    );
    t.add(
        "2026",
        Body,
        |c, _| page(c.project(1).insights().search("zzzzqqqq").basic()),
        "insights_search_none",
    );
    t.add("2023", Refused(Other), insights, "insights_list_order_bad insights_list_dashboards_bad");
    t.add("2026", Refused(Other), insights, "insights_order_unknown_500");
    t.add("2022 2023", Body, short_id, "insights_shortid_hit insights_shortid_uncached");
    t.add("2023", Body, short_id, "insights_query_shortid_include");
    t.add("2026", Body, short_id, "insights_shortid_bold insights_shortid_include_sql");
    t.add(
        "2026",
        Body,
        |c, _| c.project(1).insight_refreshed("Tu5f9Gob", Refresh::Blocking).map(Got::Row),
        "insights_shortid_refresh",
    );
    t.add("2022 2023 2026", Absent, short_id, "insights_shortid_miss");
    t.add("2026", Absent, short_id, "insights_shortid_case");
    // The request did not ask for SQL insights, which this server leaves out then.
    t.add("2023", Absent, short_id, "insights_query_shortid");
}

#[test]
fn an_insight_that_is_being_computed_is_asked_again_until_it_has_a_result() {
    let [running, done] = ["insight_bold_refresh_force_async", "insight_bold_refresh_async"]
        .map(|name| one("2026", name));
    let replay = Replay::recorded(&[running, done]);
    let id: u64 = crate::ask::relative(done).split('/').nth(1).unwrap().parse().unwrap();
    let insight = client(&replay.url()).project(1).insight_computed(id).unwrap();
    assert_eq!(insight, json_of(done));
    replay.requests().iter().for_each(|request| check::request(request, done));
}

#[test]
fn a_search_returns_no_insights_with_merely_similar_names() {
    for (name, search, exact, similar) in
        [("insights_search_similar", "bolt", 0, 8), ("insights_search_exact", "bold", 7, 1)]
    {
        let recorded = one("2026", name);
        let mut rows = json_of(recorded)["results"].as_array().unwrap().clone();
        assert_eq!(rows.len(), exact + similar, "{name}");
        rows.retain(|row| row["search_match_type"] == "exact");
        let replay = Replay::recorded(&[recorded]);
        let list = client(&replay.url()).project(1).insights().search(search).basic();
        let found = list.all().unwrap();
        assert_eq!(found, rows, "{name}");
        assert_eq!(found.len(), exact, "{name}");
        check::request(&replay.requests()[0], recorded);
    }
}
