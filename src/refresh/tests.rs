use super::*;

/// The variants as they stand in the source: one that the table lacks is found.
fn variants() -> Vec<&'static str> {
    let (_, rest) = include_str!("../refresh.rs").split_once("pub enum Refresh {").unwrap();
    let (variants, _) = rest.split_once("\n}").unwrap();
    let lines = variants.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.filter_map(|line| line.strip_suffix(',')).collect()
}

#[test]
fn each_variant_is_named_as_posthog_names_it() {
    let of_debug = |refresh: Refresh| format!("{refresh:?}");
    assert_eq!(variants(), NAMES.map(|(refresh, _)| of_debug(refresh)));
    for (refresh, name) in NAMES {
        // PostHog's word is that of the variant in small letters, with underscores.
        assert_eq!(name.replace('_', ""), of_debug(refresh).to_lowercase());
        assert_eq!((refresh.name(), refresh.to_string().as_str()), (name, name));
        assert_eq!(name.parse::<Refresh>().unwrap(), refresh);
    }
    assert!("now".parse::<Refresh>().unwrap_err().message().contains("now"));
}
