//! Proves that each test that the page of promises names exists, and that `tests/README.md` names
//! every entry of its folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex_lite::Regex;

/// The names of all tests below a folder.
fn tests(folder: &Path) -> BTreeSet<String> {
    let name = Regex::new(r"#\[test\]\s*(?:(?:#\[.*\]|//.*)\s*)*fn (\w+)\(").unwrap();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tests(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            found.extend(name.captures_iter(&source).map(|captures| captures[1].to_owned()));
        }
    }
    found
}

/// The rows of the table of promises: each promise, and the tests that it names.
fn promises(page: &str) -> Vec<(&str, Vec<&str>)> {
    let (_, section) = page.split_once("## Promises").expect("the page has a section of promises");
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| row.trim_matches([' ', '|']).split_once(" | ").unwrap());
    let named = |(promise, names)| {
        let names: &str = names;
        (promise, names.split(", ").map(|name| name.trim_matches('`')).collect())
    };
    cells.skip(2).map(named).collect()
}

#[test]
fn each_promise_names_tests_that_exist() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(home.join("src/docs/behaviour.md")).unwrap();
    let (tests, promises) = (tests(&home.join("tests")), promises(&page));
    assert!(promises.len() >= 24, "{} promises were found", promises.len());
    for (promise, names) in promises {
        for name in names {
            assert!(tests.contains(name), "{promise:?} names {name:?}, which is not a test");
        }
    }
}

#[test]
fn the_readme_names_every_file_and_folder_of_the_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let named: BTreeSet<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split(" | ").next().unwrap().split('`').skip(1).step_by(2))
        .collect();
    let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let entries: BTreeSet<String> =
        fs::read_dir(folder).unwrap().map(|entry| stem(&entry.unwrap().path())).collect();
    let entries: BTreeSet<&str> =
        entries.iter().map(String::as_str).filter(|&name| name != "README").collect();
    assert_eq!(named, entries);
}
