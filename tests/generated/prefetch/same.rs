//! Proves that a list is the same with pages in flight and without, whatever its server does.
use super::host::Host;
use super::model::{self, Item, Way};
use super::script::{self, List, SEARCH};
use crate::check_together;
use crate::support::seen;
use posthog_api::{Error, Result};
use proptest::prelude::Strategy;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use proptest::{option, prop_assert, prop_assert_eq};
use serde_derive::Deserialize;
use serde_json::Value;
use std::thread;
use std::time::Duration;

#[derive(Deserialize)]
struct Thing {
    id: u64,
}

/// How the caller reads a list.
#[derive(Clone, Debug)]
struct Caller {
    way: Way,
    ahead: usize,
    /// How long it works on each row, in half milliseconds.
    slow: u8,
    /// It drops the iterator after so many rows.
    until: Option<usize>,
}

fn caller() -> impl Strategy<Value = Caller> {
    let way = select(vec![Way::Values, Way::Values, Way::Typed, Way::Pages]);
    let slow = select(vec![0, 0, 0, 1, 4]);
    (way, 1..12usize, slow, option::weighted(0.2, 0..30usize))
        .prop_map(|(way, ahead, slow, until)| Caller { way, ahead, slow, until })
}

/// What an iterator returned: rows as text, errors as they are.
type Read = std::result::Result<String, Error>;

/// Reads a list to its end, or as far as the caller wants.
fn read(host: &Host, list: &List, path: &str, caller: &Caller) -> Vec<Read> {
    let mut request = host.client(list.policy).list(path).prefetch(caller.ahead);
    if let Some(limit) = list.limit {
        request = request.page_size(limit.into());
    }
    if list.start > 0 {
        request = request.param("offset", list.start);
    }
    if list.search {
        request = request.param("search", SEARCH);
    }
    let id = |row: &Value| row["id"].to_string();
    match caller.way {
        Way::Values => collect(request.items().map(|row| row.map(|row| id(&row))), caller),
        Way::Typed => {
            collect(request.items_as().map(|row| row.map(|Thing { id }| id.to_string())), caller)
        }
        Way::Pages => {
            let rows = |rows: &[Value]| rows.iter().map(id).collect::<Vec<_>>().join(" ");
            let page =
                |page: posthog_api::Page| format!("{} of {:?}", rows(&page.results), page.count);
            collect(request.pages().map(|found| found.map(page)), caller)
        }
    }
}

fn collect(rows: impl Iterator<Item = Result<String>>, caller: &Caller) -> Vec<Read> {
    let rows = rows.inspect(|_| {
        if caller.slow > 0 {
            thread::sleep(Duration::from_micros(500) * caller.slow.into());
        }
    });
    // A list without an end fails its test.
    rows.take(caller.until.unwrap_or(10_000)).map(|row| row.map_err(seen)).collect()
}

/// Rows and errors as text, without the path: that is another one in each reading.
fn shown(read: &[Read], path: &str) -> Vec<String> {
    let error = |error: &Error| {
        let line = error.to_string().replace(path, "PATH");
        format!("{}: {line}", error.kind())
    };
    read.iter().map(|row| row.as_ref().map_or_else(error, String::clone)).collect()
}

fn case(host: &Host, list: &List, caller: &Caller) -> std::result::Result<(), TestCaseError> {
    let all = Caller { until: None, ahead: 0, slow: 0, ..caller.clone() };
    let (path, reading) = host.serve(list);
    let alone = read(host, list, &path, &all);
    let alone_shown = shown(&alone, &path);
    prop_assert_eq!(reading.most(), 1, "requests at once without prefetch");
    let expected = model::items(list, caller.way);
    let as_expected = expected.len() == alone.len()
        && expected.iter().zip(&alone).all(|pair| match pair {
            (Item::Row(row), Ok(read)) => row == read,
            (Item::Error(name, word), Err(error)) => {
                *name == error.kind() && error.to_string().contains(word)
            }
            _ => false,
        });
    prop_assert!(as_expected, "without prefetch: {:?}\ninstead of: {:?}", alone_shown, expected);

    let (path, reading) = host.serve(list);
    let mut wanted = alone_shown;
    wanted.truncate(caller.until.unwrap_or(usize::MAX));
    let ahead = read(host, list, &path, caller);
    prop_assert_eq!(shown(&ahead, &path), wanted, "with prefetch");
    let (most, limit) = (reading.most(), caller.ahead + 1);
    prop_assert!(most <= limit, "{} requests at once, {} at most", most, limit);
    Ok(())
}

#[test]
fn rows_order_and_errors_are_those_of_one_page_after_the_other() {
    let host = Host::start();
    check_together(
        400,
        || (script::list(), caller()),
        |(list, caller)| case(&host, &list, &caller),
    );
}
