//! Proves that imports in src/ point down: lib > env > builder > project > client > lists and queries >
//! HTTP and insights > ids, filters, dates and text > errors, without a cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// The layers, from top to bottom. Units of one layer may use each other, but not in a cycle.
const LAYERS: [&[&str]; 9] = [
    &["lib"],
    &["env"],
    &["builder"],
    &["project"],
    &["client"],
    &["list", "query"],
    &["http", "insight"],
    &["id", "filter", "refresh", "date", "text"],
    &["error"],
];

fn layer(unit: &str) -> Option<usize> {
    LAYERS.iter().position(|units| units.contains(&unit))
}

/// The units that a source file uses: the first names of its `crate::` paths. Names of the crate's root, such as
/// `crate::Error`, count as `lib`.
fn used(source: &str) -> BTreeSet<String> {
    let comment = Regex::new(r"(?m)//.*$").unwrap();
    let source = comment.replace_all(source, "");
    let path = Regex::new(r"\bcrate::(\w+)").unwrap();
    let group = Regex::new(r"(?s)\bcrate::\{(.*?)\};").unwrap();
    let first = Regex::new(r"(?:^|,)\s*(\w+)").unwrap();
    let inner = Regex::new(r"(?s)\{[^{}]*\}").unwrap();
    let mut names: BTreeSet<String> =
        path.captures_iter(&source).map(|c| c[1].to_owned()).collect();
    for members in group.captures_iter(&source) {
        // Of `a::{b, c}, d` only `a` and `d` are of the root.
        let inner = inner.replace_all(&members[1], "");
        names.extend(first.captures_iter(&inner).map(|c| c[1].to_owned()));
    }
    let unit = |name: String| if layer(&name).is_some() { name } else { "lib".to_owned() };
    names.into_iter().map(unit).collect()
}

/// What is wrong with the arrows between these files, given by unit and source.
fn problems(files: &[(String, String)]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut arrows: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (unit, source) in files {
        let Some(from) = layer(unit) else {
            problems.push(format!("{unit} is in no layer"));
            continue;
        };
        for target in used(source) {
            if target == *unit {
                continue;
            }
            if layer(&target) < Some(from) {
                problems.push(format!("{unit} uses {target}, which is above it"));
            }
            arrows.entry(unit).or_default().insert(target);
        }
    }
    for start in arrows.keys() {
        let mut reached = BTreeSet::new();
        let mut open = vec![*start];
        while let Some(unit) = open.pop() {
            for target in arrows.get(unit).into_iter().flatten() {
                if reached.insert(target.as_str()) {
                    open.push(target);
                }
            }
        }
        if reached.contains(start) {
            problems.push(format!("{start} is in a cycle"));
        }
    }
    problems
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut files: Vec<PathBuf> =
        files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "rs")).collect();
    files.extend(folders.iter().flat_map(|folder| rust_files(folder)));
    files
}

#[test]
fn imports_point_down_and_there_is_no_cycle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<(String, String)> = rust_files(&src)
        .iter()
        .map(|file| {
            let first = file.strip_prefix(&src).unwrap().components().next().unwrap();
            let unit = first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
            (unit, fs::read_to_string(file).unwrap())
        })
        .collect();
    let units: BTreeSet<&str> = files.iter().map(|(unit, _)| unit.as_str()).collect();
    let layered: BTreeSet<&str> = LAYERS.concat().into_iter().collect();
    assert_eq!(units, layered, "every file and folder of src/ has a layer");
    assert_eq!(problems(&files), Vec::<String>::new());
}

#[test]
fn an_arrow_that_points_up_and_a_cycle_are_found() {
    let file = |unit: &str, source: &str| (unit.to_owned(), source.to_owned());
    for (files, found) in [
        (vec![file("error", "use crate::http::Request;")], "above"),
        (vec![file("http", "use crate::{error::{A, b}, list};")], "above"),
        (vec![file("list", "fn f() { crate::Client::new() }")], "above"),
        (vec![file("id", "use crate::date::Moment;"), file("date", "use crate::id::X;")], "cycle"),
        (vec![file("extra", "")], "no layer"),
    ] {
        let problems = problems(&files).join("; ");
        assert!(problems.contains(found), "{problems}");
    }
    let down = file("list", "// crate::Client\nuse crate::error::Result;\nuse crate::http::Http;");
    assert_eq!(problems(&[down]), Vec::<String>::new());
}
