//! Proves steps 3 and 4: insights, and one number of an insight.

use posthog_api::insight::{series, totals};
use posthog_api::{Refresh, aggregated_value};
use serde_json::{Value, json};

use crate::standin::{Replay, StandIn, client};
use crate::{all_sent, config, get, one_sent, recorded};

#[test]
fn all_pages_of_insights_come_once_and_in_order() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let mut items = project.insights().page_size(10).items();
    assert_eq!((standin.requests().len(), items.total()), (0, None));
    let ids: Vec<u64> =
        items.by_ref().map(|insight| insight.unwrap()["id"].as_u64().unwrap()).collect();
    assert_eq!(items.total(), Some(ids.len() as u64));
    assert!(ids.windows(2).all(|two| two[0] < two[1]), "{ids:?}");
    for id in [28, 42, 71] {
        assert!(ids.contains(&id), "{id}");
    }
    let pages = ids.len().div_ceil(10);
    assert!(pages > 3, "{pages}");
    let expected: Vec<String> = (0..pages)
        .map(|page| match page {
            0 => get("/api/projects/1/insights/?limit=10&order=id&include_query_insights=true"),
            // The parameters are in the order of the server's `next`.
            n => get(&format!(
                "/api/projects/1/insights/?include_query_insights=true&limit=10&offset={}&order=id",
                n * 10
            )),
        })
        .collect();
    assert_eq!(all_sent(&standin), expected);
}

#[test]
fn insights_are_listed_with_the_options_of_the_list() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let defaults = "order=id&include_query_insights=true";
    let any: fn(&Value) -> bool = |_| true;
    for (list, query, fits) in [
        (project.insights(), defaults.to_owned(), any),
        (project.insights().basic(), format!("basic=true&{defaults}"), |i| {
            i.get("result").is_none() && i["name"].is_string()
        }),
        (project.insights().search("one BIG"), format!("search=one%20BIG&{defaults}"), |i| {
            i["short_id"] == "VdpVGSw3"
        }),
        (project.insights().saved(true), format!("saved=true&{defaults}"), |i| {
            i["saved"] == true || i["dashboards"] != json!([])
        }),
        (project.insights().saved(false), format!("saved=false&{defaults}"), any),
        (
            project.insights().refresh(Refresh::ForceBlocking),
            format!("refresh=force_blocking&{defaults}"),
            any,
        ),
        (
            project.insights().param("order", "-created_at"),
            "order=-created_at&include_query_insights=true".to_owned(),
            any,
        ),
        (
            project.insights().param("include_query_insights", false),
            "include_query_insights=false&order=id".to_owned(),
            |i| i["query"].is_null(),
        ),
    ] {
        let page = list.page().unwrap();
        // Every insight that was recorded is saved, or on a dashboard.
        let none = query.starts_with("saved=false");
        assert_eq!(page.results.is_empty(), none, "{query}");
        assert_eq!(page.count, Some(page.results.len() as u64), "{query}");
        assert!(page.results.iter().all(fits), "{query}");
        assert_eq!(one_sent(&standin), get(&format!("/api/projects/1/insights/?{query}")));
    }
    assert!(config(project.insights().search("").page()).contains("search"));
    assert!(standin.requests().is_empty());
}

#[test]
fn an_insight_is_found_by_its_short_id() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    for (id, short_id, found) in [
        ("VdpVGSw3", "VdpVGSw3", Some(28)),
        ("MQC1gxJQ", "MQC1gxJQ", Some(71)), // an SQL insight
        ("https://us.posthog.com/project/1/insights/VdpVGSw3", "VdpVGSw3", Some(28)),
        ("vdpvgsw3", "vdpvgsw3", None),
        ("NoSuchId", "NoSuchId", None),
    ] {
        match (project.insight(id), found) {
            (Ok(insight), found) => assert_eq!(insight["id"].as_u64(), found, "{id}"),
            (Err(error), None) => {
                assert!(error.kind() == posthog_api::ErrorKind::NotFound, "{error:?}");
            }
            (Err(error), Some(_)) => panic!("{id}: {error}"),
        }
        assert_eq!(
            one_sent(&standin),
            get(&format!(
                "/api/projects/1/insights/?short_id={short_id}&order=id&include_query_insights=true"
            ))
        );
    }
    for id in [
        "",
        "https://us.posthog.com/project/2/insights/VdpVGSw3",
        "https://us.posthog.com/project/1/insights/new",
        "https://us.posthog.com/project/1/dashboard/5",
    ] {
        config(project.insight(id));
    }
    assert!(standin.requests().is_empty());
    // A server that ignores the filter must not return another insight.
    for results in [
        json!([{"id": 1, "short_id": "other"}]),
        json!([{"id": 1, "short_id": "VdpVGSw3"}, {"id": 2, "short_id": "other"}]),
    ] {
        let replay = Replay::json(&[
            json!({"count": 1, "next": null, "previous": null, "results": results}),
        ]);
        let error = client(&replay.url()).project(1).insight("VdpVGSw3").unwrap_err();
        assert_eq!(error.kind(), posthog_api::ErrorKind::Paging, "{error:?}");
        replay.requests();
    }
}

#[test]
fn an_insight_is_read_by_its_number_and_computed() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    let path = "/api/projects/1/insights/28/";
    assert_eq!(project.insight(28).unwrap(), recorded("insight_uncached_boldnumber"));
    assert_eq!(one_sent(&standin), get(path));
    let cached = project.insight_refreshed(28, Refresh::ForceCache).unwrap();
    assert_eq!(cached, recorded("insight_uncached_boldnumber"));
    assert_eq!(one_sent(&standin), get(&format!("{path}?refresh=force_cache")));
    let computed = project.insight_refreshed(28, Refresh::Blocking).unwrap();
    assert_eq!(computed, recorded("insight_refresh_boldnumber"));
    assert_eq!(one_sent(&standin), get(&format!("{path}?refresh=blocking")));
    assert_eq!(project.insight(28).unwrap(), recorded("insight_boldnumber"));
    assert_eq!(one_sent(&standin), get(path));
    for (refresh, word) in [
        (Refresh::ForceBlocking, "force_blocking"),
        (Refresh::Async, "async"),
        (Refresh::LazyAsync, "lazy_async"),
        (Refresh::ForceAsync, "force_async"),
        (Refresh::AsyncExceptOnCacheMiss, "async_except_on_cache_miss"),
    ] {
        project.insight_refreshed(28, refresh).unwrap();
        assert_eq!(one_sent(&standin), get(&format!("{path}?refresh={word}")));
    }
    let error = project.insight(69).unwrap_err();
    assert!(error.kind() == posthog_api::ErrorKind::NotFound, "{error:?}");
    let line = error.to_string();
    assert!(line.starts_with("GET /api/projects/1/insights/69/") && line.contains("404"), "{line}");
}

#[test]
fn the_aggregated_value_is_read_or_the_error_says_why_there_is_none() {
    let standin = StandIn::start();
    let project = client(&standin.url()).project(1);
    check_error(&project.insight(28).unwrap(), "28 insight_computed");
    let computed = project.insight_refreshed(28, Refresh::Blocking).unwrap();
    assert_eq!(aggregated_value(&computed).unwrap().to_string(), "1183");
    let totals = totals(&computed).unwrap();
    assert_eq!(
        (totals.len(), &totals[0].label[..], totals[0].value),
        (1, "$pageview", Some(1183.0))
    );
    check_error(&project.insight(42).unwrap(), "42 series");
    let line = project.insight(42).unwrap();
    let line = series(&line).unwrap();
    assert_eq!(line.len(), 1);
    assert_eq!(line[0].data.iter().flatten().sum::<f64>().to_string(), "1183");
    check_error(&project.insight(34).unwrap(), "34 never");
    standin.take_requests();

    let insight = |status: Value| json!({"id": 5, "result": null, "last_refresh": null, "query_status": status});
    for (answer, words) in [
        (insight(json!({"id": "q-1", "complete": false, "error": false})), "5 q-1"),
        (
            insight(json!({
                "id": "q-1", "complete": true, "error": true, "error_message": "Unknown table"
            })),
            "5 failed Unknown",
        ),
        (
            insight(json!({"id": "q-1", "complete": true, "error": true, "error_message": null})),
            "5 failed",
        ),
        (
            insight(json!({"error": true, "error_message": "concurrency_limit_exceeded"})),
            "5 queries",
        ),
        (json!({"id": 5, "result": []}), "5 series"),
        (json!({"id": 5, "name": "basic"}), "5 basic"),
    ] {
        let replay = Replay::json(std::slice::from_ref(&answer));
        check_error(&client(&replay.url()).project(3).insight(5).unwrap(), words);
        assert_eq!(replay.requests()[0].target, "/api/projects/3/insights/5/");
    }
}

/// The insight has no aggregated value, and the error has these key words.
#[track_caller]
fn check_error(insight: &Value, words: &str) {
    let error = aggregated_value(insight).unwrap_err();
    let kinds = [
        posthog_api::ErrorKind::NotComputed,
        posthog_api::ErrorKind::Running,
        posthog_api::ErrorKind::QueryFailed,
        posthog_api::ErrorKind::RateLimited,
        posthog_api::ErrorKind::WrongShape,
    ];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    let line = error.to_string();
    assert!(words.split(' ').all(|word| line.contains(word)), "{words}: {line}");
}
