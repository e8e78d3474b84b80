//! Proves that an export returns each event once and in order, whatever is stored, however many
//! requests are sent ahead, and whatever the server answers in between.
use crate::check_together;
use crate::model::{Rules, serve_with, too_slow};
use crate::stored::{DAY, Event, MARCH, MINUTE, SECOND, Stored, uuid};
use crate::support::{Act, builder};
use posthog_api::RetryPolicy;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use proptest::{prop_assert, prop_assert_eq};

/// Events in bursts: many in one microsecond, many in a second, few in a year.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let gap = select(vec![1, SECOND, MINUTE, DAY / 7, 3 * DAY, 200 * DAY]);
    let step = select(vec![0, 0, 1, 250_000, SECOND, MINUTE, DAY / 3]);
    let burst = (gap, step, 1..80_i64, 1..30_i64);
    let kind = (select(vec!["click", "scroll"]), select(vec!["me", "you"]), any::<bool>());
    (vec(burst, 0..6), vec(kind, 1..9)).prop_map(|(bursts, kinds)| {
        let (mut at, mut events, mut kinds) = (MARCH - 900 * DAY, Vec::new(), kinds.iter().cycle());
        for (gap, step, count, ids) in bursts {
            at += gap;
            for n in 0..count {
                let &(name, distinct_id, is_stored_twice) = kinds.next().unwrap();
                let event = Event { micros: at, uuid: uuid(n % ids), name, distinct_id };
                events.extend(is_stored_twice.then(|| event.clone()));
                events.push(event);
                at += step;
            }
        }
        events
    })
}

/// What some queries get in place of an answer.
fn fault() -> impl Strategy<Value = Option<Act>> {
    let throttled = Act::error(429, "throttled_error", "throttled", "Too many queries");
    let broken = Act::error(502, "server_error", "error", "Bad gateway");
    let at_once = |act: Act| act.header("Retry-After", "0");
    prop_oneof![
        8 => Just(None),
        1 => Just(Some(too_slow())),
        1 => Just(Some(at_once(throttled))),
        1 => Just(Some(at_once(broken))),
    ]
}

/// Events, rules, max_body_bytes, prefetch, faults, offset from UTC.
type Input = (Vec<Event>, (usize, bool, usize), u64, usize, Vec<Option<Act>>, i64);

fn input() -> impl Strategy<Value = Input> {
    let rules = (
        select(vec![1, 7, 40, 10_000, 50_000]),
        any::<bool>(),
        select(vec![60, 200, usize::MAX, usize::MAX]),
    );
    let body = select(vec![2_000, 6_000, 40_000, 268_435_456_u64]);
    let offset = select(vec![0, 20_700, -14_400]);
    (events(), rules, body, 0..9usize, vec(fault(), 1..120), offset)
}

fn case((events, rules, body, prefetch, faults, offset): Input) -> TestCaseResult {
    let (cap, shows_limit, patience) = rules;
    // Each page in the background takes 0.2 s, and an event some 200 bytes.
    let page = cap.min(usize::try_from(body / 200).unwrap());
    let patience = if events.len() / page > 10 { usize::MAX } else { patience };
    let table = Stored { events, offset };
    let all = table.all();
    let rules = Rules { cap, shows_limit, patience };
    let server = serve_with(table, rules, move |n| faults.get(n).cloned().flatten());
    let client =
        builder(server.url()).max_body_bytes(body).retry(RetryPolicy::patient().max_retries(100));
    let export = client.build().unwrap().project(1).events();
    let range = export.after("2022-01-01").before("2027-01-01").prefetch(prefetch);
    let mut found = Vec::new();
    let mut last = None;
    for event in range.clone() {
        let event = event.map_err(|e| TestCaseError::fail(e.to_string()))?;
        found.push(event["uuid"].as_str().unwrap().to_owned());
        if found.len() == all.len() / 2 + 1 {
            last = Some(event);
        }
    }
    prop_assert_eq!(&found, &all);
    if let Some(last) = last {
        let rest: Vec<String> = range
            .resume(&last)
            .into_iter()
            .map(|event| event.unwrap()["uuid"].as_str().unwrap().to_owned())
            .collect();
        prop_assert!(rest == all[all.len() / 2 + 1..], "resumed");
    }
    Ok(())
}

#[test]
fn every_export_is_the_same_as_a_plain_sort() {
    check_together(64, input, case);
}
