//! Proves that the public API is the one written down in `public_api.txt`, so that no change
//! of it goes unseen. Private modules and the order of items do not matter.
//!
//! `UPDATE_PUBLIC_API=1 cargo test --test public_api` writes the file again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use syn::punctuated::Punctuated;
use syn::{Attribute, Fields, ImplItem, Item, UseTree, Visibility};

/// Items by the module that they stand in: `["list", "walk"]`; the root is `[]`.
type Modules = BTreeMap<Vec<String>, Vec<Item>>;

/// An item: its module and its name there.
type Place = (Vec<String>, String);

fn read(folder: &Path, file: &Path, module: &[String], modules: &mut Modules) {
    let source = fs::read_to_string(file).unwrap();
    let items = syn::parse_file(&source).unwrap().items;
    add(folder, items, module, modules);
}

/// Adds `items` and those of the modules below them.
fn add(folder: &Path, items: Vec<Item>, module: &[String], modules: &mut Modules) {
    for item in &items {
        let Item::Mod(below) = item else { continue };
        if below.attrs.iter().any(|a| a.path().is_ident("cfg") || a.path().is_ident("doc")) {
            continue;
        }
        let name = below.ident.to_string();
        let path = [module, std::slice::from_ref(&name)].concat();
        let folder = folder.join(&name);
        if let Some((_, items)) = &below.content {
            add(&folder, items.clone(), &path, modules);
        } else {
            let beside = folder.with_extension("rs");
            let file = if beside.exists() { beside } else { folder.join("mod.rs") };
            read(&folder, &file, &path, modules);
        }
    }
    modules.insert(module.to_vec(), items);
}

fn name_of(item: &Item) -> Option<(String, &Visibility)> {
    let (ident, visibility) = match item {
        Item::Fn(i) => (&i.sig.ident, &i.vis),
        Item::Struct(i) => (&i.ident, &i.vis),
        Item::Enum(i) => (&i.ident, &i.vis),
        Item::Const(i) => (&i.ident, &i.vis),
        Item::Type(i) => (&i.ident, &i.vis),
        Item::Trait(i) => (&i.ident, &i.vis),
        Item::Mod(i) => (&i.ident, &i.vis),
        _ => return None,
    };
    Some((ident.to_string(), visibility))
}

/// What a `use` brings in: each name, and the path that it stands for.
fn names(tree: &UseTree, path: &[String], out: &mut Vec<(String, Vec<String>)>) {
    let with = |name: &syn::Ident| [path, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(p) => names(&p.tree, &with(&p.ident), out),
        UseTree::Name(n) => out.push((n.ident.to_string(), with(&n.ident))),
        UseTree::Rename(r) => out.push((r.rename.to_string(), with(&r.ident))),
        UseTree::Group(group) => group.items.iter().for_each(|tree| names(tree, path, out)),
        UseTree::Glob(_) => panic!("a glob hides what is public"),
    }
}

/// Where `path`, written in `module`, is defined; `None` for what is of another crate.
fn place(modules: &Modules, module: &[String], path: &[String]) -> Option<Place> {
    let (first, rest) = path.split_first()?;
    let (start, rest) = match first.as_str() {
        "crate" => (Vec::new(), rest),
        "self" => (module.to_vec(), rest),
        "super" => (module[..module.len() - 1].to_vec(), rest),
        _ => (module.to_vec(), path),
    };
    let (first, rest) = rest.split_first()?;
    let below = [start.clone(), vec![first.clone()]].concat();
    if !rest.is_empty() {
        let known = modules.contains_key(&below);
        return known
            .then(|| place(modules, &below, &[&["self".to_owned()], rest].concat()))
            .flatten();
    }
    let items = modules.get(&start)?;
    if items.iter().filter_map(name_of).any(|(name, _)| name == *first) {
        return Some((start, first.clone()));
    }
    let mut used = Vec::new();
    for item in items {
        if let Item::Use(item) = item {
            names(&item.tree, &[], &mut used);
        }
    }
    let (_, path) = used.into_iter().find(|(name, _)| name == first)?;
    // `use ureq;` names a crate.
    if path.len() > 1 { place(modules, &start, &path) } else { None }
}

/// What the outside sees of `module`: names, and where each is defined.
fn exports(modules: &Modules, module: &[String], out: &mut BTreeMap<Place, Option<Place>>) {
    for item in &modules[module] {
        match item {
            Item::Use(item) if is_public(&item.vis) => {
                let mut used = Vec::new();
                names(&item.tree, &[], &mut used);
                for (name, path) in used {
                    let defined = place(modules, module, &path);
                    out.insert((module.to_vec(), name), defined);
                }
            }
            Item::Mod(below) if is_public(&below.vis) => {
                let path = [module, &[below.ident.to_string()]].concat();
                if modules.contains_key(&path) {
                    exports(modules, &path, out);
                }
            }
            item => {
                let Some((name, visibility)) = name_of(item) else { continue };
                if is_public(visibility) {
                    let place = (module.to_vec(), name);
                    out.insert(place.clone(), Some(place));
                }
            }
        }
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Keeps the attributes that matter to a caller.
fn clean(attrs: &mut Vec<Attribute>) {
    let felt = ["derive", "non_exhaustive", "must_use"];
    attrs.retain(|a| felt.iter().any(|name| a.path().is_ident(name)));
}

/// An item without bodies, documentation and what is private in it.
fn shown(item: &Item) -> String {
    let mut item = item.clone();
    match &mut item {
        Item::Fn(f) => {
            clean(&mut f.attrs);
            *f.block = syn::parse_quote!({});
        }
        Item::Struct(s) => {
            clean(&mut s.attrs);
            match &mut s.fields {
                Fields::Named(fields) => {
                    let all = std::mem::take(&mut fields.named);
                    fields.named = all.into_iter().filter(|f| is_public(&f.vis)).collect();
                    fields.named.iter_mut().for_each(|f| clean(&mut f.attrs));
                }
                Fields::Unnamed(fields) => fields.unnamed = Punctuated::new(),
                Fields::Unit => {}
            }
        }
        Item::Enum(e) => {
            clean(&mut e.attrs);
            for variant in &mut e.variants {
                clean(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|f| clean(&mut f.attrs));
            }
        }
        Item::Const(c) => clean(&mut c.attrs),
        Item::Type(t) => clean(&mut t.attrs),
        Item::Trait(t) => clean(&mut t.attrs),
        _ => {}
    }
    printed(item)
}

fn printed(item: Item) -> String {
    prettyplease::unparse(&syn::File { shebang: None, attrs: vec![], items: vec![item] })
}

/// The identifiers in a piece of Rust.
fn identifiers(text: &str) -> BTreeSet<String> {
    let split = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    split.map(str::to_owned).collect()
}

/// The `impl` that `debug!(List<K>, ..)` stands for.
fn debug_impl(written: &syn::Macro) -> Option<Item> {
    let text = written.tokens.to_string().replace(' ', "");
    let handle = text.split(",|").next()?;
    let parameters = &handle[handle.find('<').unwrap_or(handle.len())..];
    syn::parse_str(&format!("impl{parameters} fmt::Debug for {handle} {{}}")).ok()
}

/// Each `impl` of public types: its head, and its public functions in the order of their names.
fn impls(
    modules: &Modules,
    hidden: &BTreeSet<String>,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut out: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for item in modules.values().flatten() {
        // `debug!(List<K>, ..)` writes an `impl` of `Debug`.
        let written = match item {
            Item::Macro(written) if written.mac.path.is_ident("debug") => debug_impl(&written.mac),
            _ => None,
        };
        let Some(Item::Impl(block)) = written.as_ref().or(Some(item)) else { continue };
        let mut head = block.clone();
        head.attrs.clear();
        head.items.clear();
        let head = printed(Item::Impl(head)).replace(" {}", "").trim().to_owned();
        if !identifiers(&head).is_disjoint(hidden) {
            continue;
        }
        let mut functions = BTreeMap::new();
        for item in &block.items {
            let ImplItem::Fn(f) = item else { continue };
            if block.trait_.is_none() && is_public(&f.vis) {
                let mut f = f.clone();
                clean(&mut f.attrs);
                f.block = syn::parse_quote!({});
                let name = f.sig.ident.to_string();
                let f: ImplItem = ImplItem::Fn(f);
                let block: Item = syn::parse_quote!(impl X { #f });
                let text = printed(block);
                let text = text.trim().trim_start_matches("impl X {").trim_end_matches('}');
                functions.insert(name, text.trim_matches('\n').to_owned());
            }
        }
        if block.trait_.is_some() || !functions.is_empty() {
            out.entry(head).or_default().extend(functions);
        }
    }
    out
}

fn public_api(src: &Path) -> String {
    let mut modules = Modules::new();
    read(src, &src.join("lib.rs"), &[], &mut modules);
    let mut all = BTreeMap::new();
    exports(&modules, &[], &mut all);
    let public: BTreeSet<&Place> = all.values().flatten().collect();
    // Types of this crate that the outside does not see: no `impl` that names one is public.
    let mut hidden = BTreeSet::new();
    for (module, items) in &modules {
        for (name, _) in items.iter().filter(|i| !matches!(i, Item::Fn(_))).filter_map(name_of) {
            if !public.contains(&(module.clone(), name.clone())) {
                hidden.insert(name);
            }
        }
    }
    hidden.retain(|name| !public.iter().any(|(_, known)| known == name));

    let mut out = String::new();
    for ((module, name), defined) in &all {
        let path = [&["posthog_api".to_owned()], &module[..]].concat().join("::");
        writeln!(out, "// {path}::{name}").unwrap();
        let item = defined.as_ref().and_then(|(module, name)| {
            modules[module].iter().find(|i| name_of(i).is_some_and(|(n, _)| n == *name))
        });
        match item {
            Some(item) => out += &shown(item),
            None => out += "// of another crate\n",
        }
    }
    for (head, functions) in impls(&modules, &hidden) {
        let functions: Vec<String> = functions.into_values().collect();
        if functions.is_empty() {
            writeln!(out, "{head} {{}}").unwrap();
        } else {
            writeln!(out, "{head} {{\n{}\n}}", functions.join("\n")).unwrap();
        }
    }
    out
}

#[test]
fn the_public_api_is_the_one_written_down() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let now = public_api(&here.join("../../src"));
    let written = here.join("public_api.txt");
    if std::env::var_os("UPDATE_PUBLIC_API").is_some() {
        fs::write(&written, &now).unwrap();
    }
    let then = fs::read_to_string(&written).unwrap_or_default();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (now, then) = (lines(&now), lines(&then));
    let gone: Vec<_> = then.iter().filter(|line| !now.contains(line)).collect();
    let come: Vec<_> = now.iter().filter(|line| !then.contains(line)).collect();
    assert!(
        now == then,
        "gone: {gone:#?}\ncome: {come:#?}\nif that is intended: UPDATE_PUBLIC_API=1 cargo test -p source --test public_api"
    );
}
