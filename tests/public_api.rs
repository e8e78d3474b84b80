//! Proves that the public API is the one written down in `tests/public_api.txt`, so that no change of it goes unseen.
//!
//! `UPDATE_PUBLIC_API=1 cargo test --test public_api` writes the file anew.

use std::fs;
use std::path::Path;

use syn::{Fields, ImplItem, Item, Visibility};

/// The items of one file that the outside sees, each on a line, without bodies and docs.
fn items_of(file: syn::File, out: &mut Vec<String>) {
    for mut item in file.items {
        let shown = match &mut item {
            Item::Fn(f) => {
                *f.block = syn::parse_quote!({});
                is_public(&f.vis)
            }
            Item::Struct(s) => {
                match &mut s.fields {
                    Fields::Named(fields) => {
                        let public = std::mem::take(&mut fields.named);
                        fields.named = public.into_iter().filter(|f| is_public(&f.vis)).collect();
                        fields.named.iter_mut().for_each(|f| clean(&mut f.attrs));
                    }
                    Fields::Unnamed(fields) => fields.unnamed.clear(),
                    Fields::Unit => {}
                }
                is_public(&s.vis)
            }
            Item::Enum(e) => {
                for variant in &mut e.variants {
                    clean(&mut variant.attrs);
                    variant.fields.iter_mut().for_each(|f| clean(&mut f.attrs));
                }
                is_public(&e.vis)
            }
            Item::Const(c) => is_public(&c.vis),
            Item::Type(t) => is_public(&t.vis),
            Item::Use(u) => is_public(&u.vis),
            Item::Impl(i) => {
                for item in &mut i.items {
                    if let ImplItem::Fn(f) = item {
                        f.block = syn::parse_quote!({});
                        clean(&mut f.attrs);
                    }
                }
                if i.trait_.is_none() {
                    i.items.retain(|item| matches!(item, ImplItem::Fn(f) if is_public(&f.vis)));
                } else {
                    i.items.clear();
                }
                i.trait_.is_some() || !i.items.is_empty()
            }
            _ => false,
        };
        if shown {
            if let Item::Fn(syn::ItemFn { attrs, .. })
            | Item::Struct(syn::ItemStruct { attrs, .. })
            | Item::Enum(syn::ItemEnum { attrs, .. })
            | Item::Const(syn::ItemConst { attrs, .. })
            | Item::Type(syn::ItemType { attrs, .. })
            | Item::Use(syn::ItemUse { attrs, .. })
            | Item::Impl(syn::ItemImpl { attrs, .. }) = &mut item
            {
                clean(attrs);
            }
            out.push(prettyplease::unparse(&syn::File {
                shebang: None,
                attrs: vec![],
                items: vec![item],
            }));
        }
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Of the attributes, those stay that a caller can feel.
fn clean(attrs: &mut Vec<syn::Attribute>) {
    attrs.retain(|a| {
        ["derive", "non_exhaustive", "must_use"].iter().any(|name| a.path().is_ident(name))
    });
}

#[test]
fn the_public_api_is_the_one_written_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> =
        fs::read_dir(root.join("src")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let mut items = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        items_of(syn::parse_file(&source).unwrap(), &mut items);
    }
    let now = items.concat();
    let written = root.join("tests/public_api.txt");
    if std::env::var_os("UPDATE_PUBLIC_API").is_some() {
        fs::write(&written, &now).unwrap();
    }
    let then = fs::read_to_string(&written).unwrap_or_default();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (now, then) = (lines(&now), lines(&then));
    let gone: Vec<_> = then.iter().filter(|line| !now.contains(line)).collect();
    let come: Vec<_> = now.iter().filter(|line| !then.contains(line)).collect();
    assert!(now == then, "gone: {gone:#?}\ncome: {come:#?}\nif that is meant, write the file anew");
}
