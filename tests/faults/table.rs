//! Proves that the tables of tests/README.md name every test here, and no other.
use std::collections::BTreeSet;
use std::fs;

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

/// Those that prove nothing of the crate.
const BESIDE: [&str; 2] = ["environment::child", "statuses::the_dates_of_these_tests_are_right"];

/// Every test of this folder, by its module and name.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(format!("{TESTS}/faults")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_none_or(|e| e != "rs") || module == "table" {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for after in source.split("#[test]\n").skip(1) {
            let name = after.split_once("fn ").unwrap().1;
            let name = name.split('(').next().unwrap();
            assert!(found.insert(format!("{module}::{name}")), "{name} twice");
        }
    }
    found.retain(|name| !BESIDE.contains(&name.as_str()));
    found
}

#[test]
fn every_fault_has_its_test_and_every_test_its_row() {
    let page = fs::read_to_string(format!("{TESTS}/README.md")).unwrap();
    let (_, tables) = page.split_once("\n## Faults\n").unwrap();
    let tables = tables.split("\n## ").next().unwrap();
    let mut named = BTreeSet::new();
    for row in tables.lines().filter(|line| line.ends_with("` |")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        assert!(cells.iter().all(|cell| !cell.trim_matches(['|', ' ']).is_empty()), "{row}");
        let test = cells[2].trim_end_matches(" |").trim_matches('`');
        assert!(named.insert(test.to_owned()), "{test} twice");
    }
    let tests = tests();
    let missing: Vec<&String> = tests.symmetric_difference(&named).collect();
    assert!(missing.is_empty(), "in one of the two only: {missing:#?}");
    assert!(named.len() >= 120, "{} rows", named.len());
}
