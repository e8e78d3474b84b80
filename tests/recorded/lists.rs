//! Proves that any list is returned as recorded, and that walks follow the recorded `next` links.

use posthog_api::{Client, Error, ErrorKind, List, Page};
use serde_json::{Value, json};

use crate::ask::{any_list, incomplete, list, p};
use crate::check::{self, json_of};
use crate::standin::recordings::{Recorded, one};
use crate::standin::{Replay, client};
use crate::table::Class::Missing;
use crate::table::Means::{Body, More, Refused};
use crate::table::Table;

pub fn rows(t: &mut Table) {
    t.add("2022 2023", Body, incomplete, "events_walk_1 events_walk_2");
    t.add("2026", Body, incomplete, "events_walk events_asc");
    t.add(
        "2023 2026",
        Body,
        list,
        "list_actions list_cohorts list_feature_flags list_annotations list_dashboards \
         list_event_definitions list_groups_types list_surveys",
    );
    t.add(
        "2023",
        Body,
        list,
        "cohort_persons cohort_walk_1 cohort_walk_2 cohort_walk_3 flag_activity",
    );
    t.add(
        "2022",
        Body,
        list,
        "cohorts_list actions_list feature_flags_list annotations_list dashboards_list \
         event_definitions_list events_values",
    );
    t.add(
        "2026",
        Body,
        list,
        "list_endpoints event_definitions_2 event_definitions_2__p2 \
         endpoint_list environments_persons",
    );
    t.add(
        "2026b",
        Body,
        list,
        "list_heatmaps_has_more list_heatmaps_has_more_2 list_actions_all list_trending_limit_2 \
         list_insights_activity list_file_system_3 list_llm_prompts list_web_experiments \
         list_annotations_20 list_annotations_20_p2 list_notebooks_2 list_groups_cursor_2",
    );
    t.add("2026b", More, list, "list_saved_no_next list_saved_no_next_2 list_actions_limit_2");
    for (year, names) in THREE_DAYS {
        t.add(year, Body, incomplete, names);
    }
    t.add("2023 2026", Refused(Missing), list, "list_nosuchthing");
    t.add("2022", Refused(Missing), list, "endpoint_unknown");
    t.add_different(
        "an empty filter is refused",
        "2022 2023",
        Body,
        without_empty_filters,
        "insights_shortid_empty",
    );
    t.add_different(
        "an empty filter is refused",
        "2023",
        Body,
        without_empty_filters,
        "persons_email_empty",
    );
    t.add_different(
        "an empty filter is refused",
        "2022",
        Body,
        without_empty_filters,
        "persons_distinct_empty",
    );
}

/// Lists of session recordings without `date_from`.
const THREE_DAYS: [(&str, &str); 3] = [
    (
        "2023",
        "session_recordings_v3 session_recordings_v3_limit1 session_recordings_v3_limit1_offset1",
    ),
    ("2026", "list_session_recordings"),
    ("2026b", "list_recordings_v4"),
];

/// The server ignores an empty filter, so its answer is that of the list without it.
fn without_empty_filters(client: &Client, recorded: &Recorded) -> crate::table::Asked {
    let mut filterless = recorded.clone();
    let empty = ["short_id=", "email=", "distinct_id="];
    let parts = recorded.target.split(['?', '&']).filter(|part| !empty.contains(part));
    filterless.target = parts.collect::<Vec<_>>().join("&").replacen('&', "?", 1);
    list(client, &filterless)
}

type Begin = fn(&Client) -> Box<dyn Iterator<Item = Result<Page, Error>>>;

fn pages<K: 'static>(list: List<K>) -> Box<dyn Iterator<Item = Result<Page, Error>>> {
    Box::new(list.pages())
}

#[test]
fn walks_send_the_queries_of_the_recorded_next_links() {
    let walks: Vec<(&str, Begin, &str)> = vec![
        (
            "2023",
            |c| pages(c.project(1).persons()),
            "persons_walk persons_walk__p2 persons_walk__p3",
        ),
        (
            "2023",
            |c| pages(c.project(1).persons().page_size(50)),
            "persons_walk_limit50 persons_walk_limit50__p2",
        ),
        (
            "2023",
            |c| pages(c.project(1).persons().page_size(50).param("offset", 200)),
            "persons_walk_limit50__p5 persons_walk_limit50__p6",
        ),
        (
            "2023",
            |c| pages(c.project(1).persons().filter(p("$initial_os").exact(["Linux", "Windows"]))),
            "persons_props_exact_array persons_props_exact_array__p2",
        ),
        (
            "2023",
            |c| pages(any_list(c, one("2023", "persons_props_is_not"))),
            "persons_props_is_not persons_props_is_not__p2",
        ),
        (
            "2023",
            |c| pages(c.project(1).persons().filter(p("email").icontains("USER1"))),
            "persons_props_icontains persons_props_icontains__p2",
        ),
        (
            "2023",
            |c| {
                let recorded = one("2023", "persons_props_group_or");
                pages(any_list(c, recorded))
            },
            "persons_props_group_or persons_props_group_or__p2",
        ),
        (
            "2023",
            |c| pages(c.project(1).insights().page_size(10).param("offset", 0)),
            "insights_page_1 insights_page_2",
        ),
        (
            "2023",
            |c| pages(c.project(1).list("cohorts/2/persons").page_size(62)),
            "cohort_walk_1 cohort_walk_2 cohort_walk_3",
        ),
        (
            "2023",
            |c| {
                let events = c.project(1).list("events").param("event", "purchase");
                pages(
                    events
                        .param("after", "2026-10-20T00:00:00Z")
                        .page_size(20)
                        .allow_missing_rows(),
                )
            },
            "events_walk_1 events_walk_2",
        ),
        (
            "2023",
            |c| {
                let recordings = c.project(1).list("session_recordings");
                pages(recordings.param("version", 3).page_size(1).allow_missing_rows())
            },
            "session_recordings_v3_limit1 session_recordings_v3_limit1_offset1",
        ),
        ("2022", |c| pages(c.project(1).persons()), "persons_walk_1 persons_walk_2 persons_walk_3"),
        (
            "2022",
            |c| pages(c.project(1).persons().search("user1")),
            "persons_walk_search_1 persons_walk_search_2",
        ),
        (
            "2022",
            |c| {
                let events = c.project(1).list("events").param("event", "purchase");
                pages(events.allow_missing_rows())
            },
            "events_walk_1 events_walk_2",
        ),
        (
            "2022",
            |c| pages(c.project(1).insights().page_size(3)),
            "insights_walk3_01 insights_walk3_02 insights_walk3_03",
        ),
        // Links to another host and with another scheme.
        (
            "2022",
            |c| pages(c.project(1).persons()),
            "host_header_odd persons_walk_2 persons_walk_3",
        ),
        ("2022", |c| pages(c.project(1).persons()), "xfwd_proto persons_walk_2 persons_walk_3"),
        (
            "2026",
            |c| pages(c.project(1).persons().page_size(100).param("offset", 2350)),
            "persons_last persons_last__p2",
        ),
        (
            "2026",
            |c| pages(c.project(1).list("event_definitions").page_size(2)),
            "event_definitions_2 event_definitions_2__p2",
        ),
        (
            "2026",
            |c| pages(c.project(1).insights().page_size(10)),
            "insights_full_order_10 insights_full_order_10__p2 insights_full_order_10__p3 \
             insights_full_order_10__p4 insights_full_order_10__p5 insights_full_order_10__p6 \
             insights_full_order_10__p7 insights_full_order_10__p8 insights_full_order_10__p9 \
             insights_full_order_10__p10 insights_full_order_10__p11 insights_full_order_10__p12 \
             insights_full_order_10__p13 insights_full_order_10__p14",
        ),
        (
            "2026b",
            |c| pages(c.project(1).list("saved").page_size(5)),
            "list_saved_no_next list_saved_no_next_2",
        ),
        (
            "2026b",
            |c| {
                let clicks = c.project(1).list("heatmaps").param("type", "click").page_size(5);
                pages(clicks.param("date_from", "2026-11-01"))
            },
            "list_heatmaps_has_more list_heatmaps_has_more_2",
        ),
        (
            "2026b",
            |c| pages(c.project(1).list("annotations").page_size(20)),
            "list_annotations_20 list_annotations_20_p2",
        ),
    ];
    for (year, begin, names) in walks {
        let recordings: Vec<&Recorded> =
            names.split_whitespace().map(|name| one(year, name)).collect();
        let replay = Replay::recorded(&recordings);
        let mut pages = begin(&client(&replay.url()));
        for (recorded, at) in recordings.iter().zip(1..) {
            let (page, body) = (pages.next().unwrap().unwrap(), json_of(recorded));
            let more = at < recordings.len() || check::says_more(&body).unwrap_or(true);
            check::page(&page, &body, more, &recorded.name);
            assert!(more || pages.next().is_none(), "{names:?}");
        }
        for (sent, recorded) in replay.requests().iter().zip(&recordings) {
            check::request(sent, recorded);
        }
    }
}

#[test]
fn all_insights_of_the_newest_server_come_once_each() {
    let names = (1..=14).map(|page| match page {
        1 => "insights_full_order_10".to_owned(),
        page => format!("insights_full_order_10__p{page}"),
    });
    let recordings: Vec<&Recorded> = names.map(|name| one("2026", &name)).collect();
    let replay = Replay::recorded(&recordings);
    let mut items = client(&replay.url()).project(1).insights().page_size(10).items();
    let ids: std::collections::BTreeSet<u64> =
        items.by_ref().map(|insight| insight.unwrap()["id"].as_u64().unwrap()).collect();
    assert_eq!((ids.len(), items.total()), (133, Some(133)));
}

#[test]
fn actions_with_a_page_size_are_all_read_though_no_page_says_that_more_come() {
    let all = json_of(one("2026b", "list_actions_all"));
    let all = all["results"].as_array().unwrap();
    let first = json_of(one("2026b", "list_actions_limit_2"));
    assert_eq!((&first, all.len()), (&json!({"results": all[..2]}), 7));
    let page = |rows: &[Value]| json!({"results": rows});
    let actions =
        |replay: &Replay| client(&replay.url()).project(1).list("actions").page_size(2).all();

    let replay = Replay::json(&all.chunks(2).map(page).collect::<Vec<_>>());
    assert_eq!(&actions(&replay).unwrap(), all);
    let offsets: Vec<_> = replay.requests().iter().map(|r| r.param("offset")).collect();
    let sent = |offset: &str| Some(offset.to_owned());
    assert_eq!(offsets, [None, sent("2"), sent("4"), sent("6")]);

    // A server that ignores `offset`.
    let replay = Replay::json(&[first.clone(), first, page(all)]);
    let error = actions(&replay).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Paging, "{error}");
    let last = &replay.requests()[2];
    assert_eq!((last.param("limit"), last.param("offset")), (None, None));
}

#[test]
fn recordings_without_date_from_are_refused_since_the_server_looks_at_three_days() {
    for (year, names) in THREE_DAYS {
        for name in names.split_whitespace() {
            let replay = Replay::start(Vec::new());
            let list = any_list(&client(&replay.url()), one(year, name));
            let error = list.page().unwrap_err();
            assert!(check::config_error(&error).contains("date_from"), "{name}: {error}");
            assert_eq!(replay.count(), 0);
        }
    }
    let recorded = one("2026b", "list_recordings_v4");
    let replay = Replay::recorded(&[recorded]);
    let list = any_list(&client(&replay.url()), recorded).param("date_from", "all");
    assert!(list.all().unwrap().is_empty());
}

#[test]
fn the_list_of_events_is_refused_since_it_loses_rows() {
    let replay = Replay::start(Vec::new());
    let error = client(&replay.url()).project(1).list("events").page().unwrap_err();
    assert!(check::config_error(&error).contains("events()"), "{error}");
    assert_eq!(replay.count(), 0);
}
