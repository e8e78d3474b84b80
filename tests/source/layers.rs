//! Proves that imports in src/ point down, without a cycle, also between the files of one folder:
//! lib > env > builder > project > client > lists and queries > HTTP and insights > ids, filters,
//! dates and text > errors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, UseTree};

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

/// Names with `::` between them. `()` at the end: it is called.
type Names = Vec<String>;

/// What a file names, outside of its tests.
#[derive(Default)]
struct Named {
    /// What it imports, by the name that this has in the file.
    imports: Vec<(String, Names)>,
    code: Vec<Names>,
}

impl Named {
    fn of(source: &str) -> Named {
        let mut named = Named::default();
        named.add(syn::parse_file(source).unwrap().items);
        named
    }

    fn add(&mut self, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Use(item) => self.import(&[], &item.tree),
                Item::Mod(item) if item.attrs.iter().any(|a| a.path().is_ident("cfg")) => {}
                Item::Mod(item) => {
                    let mut inner = Named::default();
                    inner.add(item.content.map(|(_, items)| items).unwrap_or_default());
                    // There, the first `super` is this file.
                    let up = |names: Names| match &names[..] {
                        [first, rest @ ..] if first == "super" => rest.to_vec(),
                        _ => names,
                    };
                    let imports = inner.imports.into_iter().map(|(name, names)| (name, up(names)));
                    self.imports.extend(imports);
                    self.code.extend(inner.code.into_iter().map(up));
                }
                item => self.read(item.to_token_stream()),
            }
        }
    }

    fn import(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(tree) => self.import(&with(&tree.ident), &tree.tree),
            UseTree::Name(tree) => self.imports.push((tree.ident.to_string(), with(&tree.ident))),
            UseTree::Rename(tree) => {
                self.imports.push((tree.rename.to_string(), with(&tree.ident)));
            }
            UseTree::Glob(_) => {
                self.imports.push(("*".to_owned(), [before, &["*".to_owned()]].concat()));
            }
            UseTree::Group(tree) => tree.items.iter().for_each(|tree| self.import(before, tree)),
        }
    }

    fn read(&mut self, tokens: TokenStream) {
        let (mut names, mut colons, mut dot) = (Names::new(), 0, false);
        for token in tokens {
            match &token {
                TokenTree::Ident(name) if colons == 2 => names.push(name.to_string()),
                TokenTree::Ident(name) => {
                    let defined = names == ["fn"];
                    self.code.push(std::mem::take(&mut names));
                    if !dot && !defined {
                        names.push(name.to_string());
                    }
                }
                TokenTree::Group(group) => {
                    if group.delimiter() == Delimiter::Parenthesis {
                        names.push("()".to_owned());
                    }
                    self.code.push(std::mem::take(&mut names));
                    self.read(group.stream());
                }
                _ => {}
            }
            let is = |sign| matches!(&token, TokenTree::Punct(p) if p.as_char() == sign);
            colons = if is(':') { colons + 1 } else { 0 };
            dot = is('.');
        }
        self.code.push(names);
    }

    fn all(&self) -> impl Iterator<Item = &Names> {
        self.imports.iter().map(|(_, names)| names).chain(&self.code)
    }
}

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Each set of files that use each other, directly or over others.
fn cycles(arrows: &Arrows) -> BTreeSet<Vec<&str>> {
    let reached = |start: &str| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![start.to_owned()]);
        while let Some(file) = open.pop() {
            for target in arrows.get(&file).into_iter().flatten() {
                if reached.insert(target.clone()) {
                    open.push(target.clone());
                }
            }
        }
        reached
    };
    let all: BTreeMap<&str, _> = arrows.keys().map(|file| (file.as_str(), reached(file))).collect();
    let both = |a: &str, b: &str| all[a].contains(b) && all[b].contains(a);
    let files = || all.keys().copied();
    let cycle = |a| files().filter(|b| both(a, b)).collect::<Vec<_>>();
    files().map(cycle).filter(|cycle| !cycle.is_empty()).collect()
}

/// Which module uses which in a folder, which is `crate::folder`. An import in its `mod` alone is a re-export.
fn arrows(folder: &str, files: &BTreeMap<String, Named>) -> Arrows {
    let is_file = |name: &String| name != "mod" && files.contains_key(name);
    let parent = files.get("mod");
    let exports: BTreeMap<&String, &String> = parent
        .into_iter()
        .flat_map(|parent| &parent.imports)
        .filter(|(_, names)| is_file(&names[0]))
        .map(|(own, names)| (own, &names[0]))
        .collect();
    // The file that these names are of, seen from `mod`.
    let of = |names: &[String]| {
        let first = names.first()?;
        let file = (is_file(first) && names.len() > 1).then_some(first);
        file.or_else(|| exports.get(first).copied()).cloned()
    };
    let target = |names: &Names| match &names[..] {
        [first, second, ..] if first == "super" && is_file(second) => Some(second.clone()),
        [first, rest @ ..] if first == "super" && !rest.is_empty() => {
            Some(of(rest).unwrap_or_else(|| "mod".to_owned()))
        }
        [first, own, rest @ ..] if first == "crate" && own == folder => {
            let file = rest.first().filter(|name| is_file(name)).cloned();
            Some(file.or_else(|| of(rest)).unwrap_or_else(|| "mod".to_owned()))
        }
        _ => None,
    };
    let mut arrows = Arrows::new();
    for (file, named) in files {
        let targets: BTreeSet<String> = if file == "mod" {
            // A variable may have the name of a function.
            let is_used = |names: &&Names| {
                names.len() > 1 || names.first().is_some_and(|n| n.starts_with(char::is_uppercase))
            };
            named.code.iter().filter(is_used).filter_map(|names| of(names)).collect()
        } else {
            named.all().filter_map(target).filter(|target| target != file).collect()
        };
        arrows.insert(file.clone(), targets);
    }
    arrows
}

/// The cycles in a folder. Most files use something of its `mod`, so what `mod` uses itself would make
/// one large cycle: with `mod`, only two files that use each other directly count.
fn inside(mut arrows: Arrows) -> Vec<String> {
    let parent = arrows.remove("mod").unwrap_or_default();
    let pairs = parent.into_iter().filter(|file| arrows[file].contains("mod"));
    let pairs: Vec<String> = pairs.map(|file| format!("mod {file}")).collect();
    cycles(&arrows).iter().map(|cycle| cycle.join(" ")).chain(pairs).collect()
}

fn layer(unit: &str) -> Option<usize> {
    LAYERS.iter().position(|units| units.contains(&unit))
}

/// What is wrong with the arrows between these units.
fn problems(units: &BTreeMap<String, Vec<Named>>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut arrows = Arrows::new();
    for (unit, files) in units {
        let Some(from) = layer(unit) else {
            problems.push(format!("{unit} is in no layer"));
            continue;
        };
        let names = files
            .iter()
            .flat_map(Named::all)
            .filter(|names| names[..].first().is_some_and(|n| n == "crate"));
        // Names of the root of the crate, such as `crate::Error`, count as `lib`.
        let used = names.filter_map(|names| names.get(1));
        let used = used.map(|name| if layer(name).is_some() { name.as_str() } else { "lib" });
        let used: BTreeSet<String> = used.filter(|used| used != unit).map(str::to_owned).collect();
        for target in used.iter().filter(|target| layer(target) < Some(from)) {
            problems.push(format!("{unit} uses {target}, which is above it"));
        }
        arrows.insert(unit.clone(), used);
    }
    problems.extend(cycles(&arrows).iter().map(|cycle| format!("a cycle: {}", cycle.join(" "))));
    problems
}

/// The files of a folder, by name without `.rs`.
fn files(folder: &Path) -> BTreeMap<String, Named> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let entries = entries.filter(|path| !path.ends_with("tests.rs"));
    let sources = entries.filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    sources.map(|path| (stem(&path), Named::of(&fs::read_to_string(&path).unwrap()))).collect()
}

/// The folders of src/ that have source, and their files.
fn folders() -> BTreeMap<String, BTreeMap<String, Named>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src");
    let entries = fs::read_dir(src).unwrap().map(|entry| entry.unwrap().path());
    let folders = entries.filter(|path| path.join("mod.rs").is_file());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    folders.map(|path| (name(&path), files(&path))).collect()
}

#[test]
fn imports_point_down_and_there_is_no_cycle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src");
    let alone = files(&src).into_iter().map(|(name, file)| (name, vec![file]));
    let folders = folders().into_iter().map(|(name, files)| (name, files.into_values().collect()));
    let units: BTreeMap<String, Vec<Named>> = alone.chain(folders).collect();
    let layered: BTreeSet<&str> = LAYERS.concat().into_iter().collect();
    assert!(units.keys().eq(layered), "every file and folder of src/ has a layer");
    assert_eq!(problems(&units), Vec::<String>::new());
}

#[test]
fn no_files_of_a_folder_use_each_other() {
    let mut found = Vec::new();
    for (folder, files) in folders() {
        let arrows = arrows(&folder, &files);
        found.extend(inside(arrows).iter().map(|cycle| format!("{folder}: {cycle}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn an_arrow_that_points_up_and_a_cycle_are_found() {
    for (files, found) in [
        (&[("error", "use crate::http::Request;")][..], "above"),
        (&[("http", "use crate::{error::{A, b}, list};")], "above"),
        (&[("list", "fn f() { crate::Client::new() }")], "above"),
        (&[("id", "use crate::date::Moment;"), ("date", "fn f() { crate::id::x() }")], "cycle"),
        (&[("extra", "")], "no layer"),
        (&[("list", "// crate::Client\nuse crate::error::Result;\nuse crate::http::Http;")], ""),
        (&[("list", "#[cfg(test)] mod tests { use crate::Client; }")], ""),
    ] {
        let named = |(unit, source): &(&str, &str)| (unit.to_string(), vec![Named::of(source)]);
        let problems = problems(&files.iter().map(named).collect()).join("; ");
        assert!(problems.contains(found) && problems.is_empty() == found.is_empty(), "{problems}");
    }
}

#[test]
fn files_of_a_folder_that_use_each_other_are_found() {
    for (parent, a, b, found) in [
        ("mod a; mod b;", "use super::b::B;", "use super::a::A;", "a b"),
        ("mod a; mod b; pub use b::B;", "use super::B;", "fn f() { super::a::f() }", "a b"),
        ("mod a; mod b;", "use crate::x::b;", "use super::{a::{self}, C};", "a b"),
        ("mod a; mod b;", "fn f() { vec![super::b::f()] }", "use super::a;", "a b"),
        ("mod a; pub use a::A; struct M { a: A }", "use super::M;", "", "mod a"),
        ("mod a; use a::f; fn g() { f() }", "use super::*;", "", "mod a"),
        ("mod a; fn g() { a::f() }", "fn f() { super::g() }", "", "mod a"),
        ("mod a; mod b; pub use {a::A, b::B}; struct M;", "use super::M;", "use super::A;", ""),
        ("mod a; fn g(a: u8) { a.f() }", "use super::g;", "", ""),
        ("mod a; fn g() { a::f() }", "pub(super) fn f() {}", "", ""),
        ("mod a; mod b;", "use super::b::B;", "mod i { use super::f; }", ""),
        (
            "mod a; mod b;",
            "use super::b::B;",
            "#[cfg(test)] mod tests { use super::super::a; }",
            "",
        ),
    ] {
        let files = [("mod", parent), ("a", a), ("b", b)];
        let files = files.map(|(name, source)| (name.to_owned(), Named::of(source)));
        let cycles = inside(arrows("x", &BTreeMap::from(files)));
        assert_eq!(cycles.join("; "), found, "{parent} | {a} | {b}");
    }
}
