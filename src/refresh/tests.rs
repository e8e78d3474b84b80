use super::*;

/// The compiler says here which variant the table lacks.
fn of_variant(refresh: Refresh) -> &'static str {
    match refresh {
        Refresh::ForceCache => "force_cache",
        Refresh::Blocking => "blocking",
        Refresh::ForceBlocking => "force_blocking",
        Refresh::Async => "async",
        Refresh::LazyAsync => "lazy_async",
        Refresh::ForceAsync => "force_async",
        Refresh::AsyncExceptOnCacheMiss => "async_except_on_cache_miss",
    }
}

#[test]
fn each_variant_is_named_as_posthog_names_it() {
    for (refresh, name) in NAMES {
        assert_eq!((of_variant(refresh), refresh.name()), (name, name));
        assert_eq!(name.parse::<Refresh>().unwrap(), refresh);
    }
    let words: std::collections::HashSet<&str> = NAMES.map(|(_, name)| name).into();
    assert_eq!(words.len(), NAMES.len());
    assert!("now".parse::<Refresh>().unwrap_err().message().contains("now"));
}
