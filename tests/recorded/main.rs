//! Proves that every recorded answer of four real PostHog servers, when requested through the
//! public API, is returned as what it means.
#![allow(
    clippy::cast_precision_loss,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "counts of a few thousand; tables; a test crate exports nothing"
)]

mod ask;
mod check;
mod errors;
mod filters;
mod insights;
mod keys;
mod lists;
mod persons;
mod queries;
mod readers;
mod routes;
#[path = "../support/standin.rs"]
mod standin;
mod table;
mod union;

use std::collections::BTreeSet;

use standin::recordings;
use table::{Row, Table};

/// What each recording means, by topic.
fn table() -> Table {
    let mut table = Table::default();
    keys::rows(&mut table);
    insights::rows(&mut table);
    persons::rows(&mut table);
    filters::rows(&mut table);
    queries::rows(&mut table);
    lists::rows(&mut table);
    routes::rows(&mut table);
    errors::rows(&mut table);
    table
}

#[test]
fn every_recording_has_a_test() {
    let table = table();
    let mut tested: BTreeSet<(&str, &str)> = BTreeSet::new();
    let rows = table.rows.iter().map(|row| (row.year, row.name));
    for (year, name) in rows.chain(table.apart) {
        assert!(tested.insert((year, name)), "twice: {year} {name}");
    }
    for year in recordings::YEARS {
        for recorded in recordings::all(year) {
            let name = recorded.name.as_str();
            assert!(tested.remove(&(year, name)), "no test of {year}/{name}");
        }
        let folder = recordings::folder(year);
        let files = std::fs::read_dir(folder).unwrap().filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".http").map(str::to_owned)
        });
        let files: BTreeSet<String> = files.collect();
        let index: BTreeSet<String> =
            recordings::all(year).iter().map(|recorded| recorded.name.clone()).collect();
        assert_eq!(files, index, "{year}: index.json and the files differ");
    }
    assert!(tested.is_empty(), "no such recordings: {tested:?}");
}

#[test]
fn every_recorded_answer_is_returned_as_what_it_means() {
    let rows = table().rows;
    let fails = |row: &&Row| std::panic::catch_unwind(|| row.check()).is_err();
    let failed: Vec<String> = rows.iter().filter(fails).map(Row::to_string).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
