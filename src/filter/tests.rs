use super::*;

fn p(key: &str) -> PersonProperty {
    PersonFilter::property(key)
}

/// The lists, each as `key operator value & ...`.
fn lists(filter: &PersonFilter) -> Vec<String> {
    let lists = filter.flat_lists().unwrap();
    let one = |leaf: &Value| {
        format!(
            "{} {} {}",
            leaf["key"].as_str().unwrap(),
            leaf["operator"].as_str().unwrap(),
            leaf["value"]
        )
    };
    let list = |json: &String| {
        let leaves: Vec<Value> = serde_json::from_str(json).unwrap();
        leaves.iter().map(one).collect::<Vec<_>>().join(" & ")
    };
    lists.iter().map(list).collect()
}

#[test]
fn an_or_becomes_flat_lists() {
    let any = |filters: Vec<PersonFilter>| PersonFilter::any(filters);
    let all = |filters: Vec<PersonFilter>| PersonFilter::all(filters);
    let (a, b, c) = (|| p("a").is_set(), || p("b").gt(1), || p("c").exact("x"));
    for (filter, expected) in [
        (a(), vec!["a is_set \"is_set\""]),
        (all(vec![a(), b()]), vec!["a is_set \"is_set\" & b gt 1"]),
        (any(vec![a(), b()]), vec!["a is_set \"is_set\"", "b gt 1"]),
        (
            all(vec![any(vec![a(), b()]), c()]),
            vec!["a is_set \"is_set\" & c exact [\"x\"]", "b gt 1 & c exact [\"x\"]"],
        ),
        (
            any(vec![all(vec![a(), b()]), c()]),
            vec!["a is_set \"is_set\" & b gt 1", "c exact [\"x\"]"],
        ),
        (any(vec![c(), p("c").exact(["y", "x"])]), vec!["c exact [\"x\",\"y\"]"]),
        (any(vec![c(), p("d").exact("x")]), vec!["c exact [\"x\"]", "d exact [\"x\"]"]),
        (any(vec![a(), a()]), vec!["a is_set \"is_set\""]),
        (any(vec![a(), all(vec![a(), b()])]), vec!["a is_set \"is_set\""]),
        (
            all(vec![any(vec![a(), b()]), any(vec![a(), b()])]),
            vec!["a is_set \"is_set\"", "b gt 1"],
        ),
    ] {
        assert_eq!(lists(&filter), expected, "{filter:?}");
    }
}

#[test]
fn too_many_alternatives_are_refused_with_hogql() {
    let any = |n: usize| PersonFilter::any((0..n).map(|i| p(&format!("k{i}")).is_set()));
    assert_eq!(any(32).flat_lists().unwrap().len(), 32);
    for filter in [
        any(33),
        any(2_000),
        PersonFilter::all((0..40).map(|i| {
            PersonFilter::any([p(&format!("a{i}")).is_set(), p(&format!("b{i}")).is_set()])
        })),
    ] {
        assert!(filter.flat_lists().unwrap_err().contains("HogQL"));
    }
}

#[test]
fn values_are_sent_as_the_text_that_servers_compare() {
    for (value, sent) in [
        (serde_json::json!(true), r#"["true"]"#),
        (serde_json::json!(30), r#"["30"]"#),
        (serde_json::json!(30.0), r#"["30"]"#),
        (serde_json::json!(-0.0), r#"["0"]"#),
        (serde_json::json!(-0.5), r#"["-0.5"]"#),
        (serde_json::json!(1e20), r#"["100000000000000000000"]"#),
        (serde_json::json!(1e21), r#"["1e21"]"#),
        (serde_json::json!(-2.5e-7), r#"["-2.5e-7"]"#),
        (serde_json::json!(u64::MAX), r#"["18446744073709551615"]"#),
        (serde_json::json!(["b", "a", "b"]), r#"["a","b"]"#),
        (serde_json::json!("say \"hi\""), r#"["say \\\"hi\\\""]"#),
        (serde_json::json!("a\tb\\"), r#"["a\\tb\\\\"]"#),
    ] {
        for filter in [p("k").exact(&value), p("k").is_not(&value)] {
            let Node::Leaf { value: kept, .. } = filter.node else { panic!("{value}") };
            assert_eq!(kept.to_string(), sent, "{value}");
        }
    }
    for (text, sent) in [("say \"hi", r#""say \\\"hi""#), ("a\tb\n", r#""a\\tb\\n""#)] {
        for filter in [p("k").icontains(text), p("k").not_icontains(text)] {
            let Node::Leaf { value, .. } = filter.node else { panic!("{text}") };
            assert_eq!(value.to_string(), sent, "{text}");
        }
    }
    let Node::Leaf { value, .. } = p("k").regex("say \"hi").node else { panic!() };
    assert_eq!(value, "say \"hi");
}

#[test]
fn lists_that_others_cover_are_removed_before_they_are_counted() {
    let is_set = |key: &str| p(key).is_set();
    let either = || PersonFilter::any([is_set("a"), is_set("b")]);
    let both = || PersonFilter::all([is_set("a"), is_set("b")]);
    for (filter, expected) in [
        (PersonFilter::all((0..11).map(|_| either())), vec!["a is_set", "b is_set"]),
        (PersonFilter::any([both(), is_set("a")]), vec!["a is_set"]),
        (PersonFilter::any([is_set("a"), both()]), vec!["a is_set"]),
        (PersonFilter::any((0..2_000).map(|_| is_set("a"))), vec!["a is_set"]),
        (PersonFilter::all([is_set("a"), either()]), vec!["a is_set"]),
    ] {
        let lists: Vec<String> =
            lists(&filter).iter().map(|list| list.replace(" \"is_set\"", "")).collect();
        assert_eq!(lists, expected, "{filter:?}");
    }
    let (xy, yx) = (p("k").exact(["x", "y"]), p("k").exact(["y", "x"]));
    let other = || p("l").gt(1);
    let either =
        PersonFilter::any([PersonFilter::all([xy, other()]), PersonFilter::all([other(), yx])]);
    assert_eq!(lists(&either), ["k exact [\"x\",\"y\"] & l gt 1"]);
}

/// On a thread with a small stack, as a caller's may be.
#[test]
fn a_filter_built_in_a_loop_is_neither_deep_nor_slow() {
    type Step = fn(PersonFilter, PersonFilter) -> PersonFilter;
    let steps: [(Step, Option<usize>); 5] = [
        (|f, x| PersonFilter::any([f, x]), Some(1)),
        (|f, x| PersonFilter::any([x, f]), Some(1)),
        (|f, x| PersonFilter::all([f, x]), Some(1)),
        (|f, x| PersonFilter::all([x, f]), Some(1)),
        (|f, x| PersonFilter::any([PersonFilter::all([f, x.clone()]), x]), None),
    ];
    let test = move || {
        let start = std::time::Instant::now();
        for (at, (step, lists)) in steps.into_iter().enumerate() {
            let mut filter = p("k").exact("x");
            for i in 0..10_000 {
                filter = step(filter, p("k").exact(i.to_string()));
            }
            let copy = filter.clone();
            assert!(!format!("{copy:?}").is_empty());
            assert_eq!(copy, filter);
            assert_eq!(serde_json::to_string(&copy).is_ok(), lists.is_some(), "{at}");
            assert_eq!(filter.flat_lists().ok().map(|lists| lists.len()), lists, "{at}");
        }
        let took = start.elapsed();
        assert!(took.as_secs() < 20, "{took:?}");
    };
    let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(test).unwrap();
    thread.join().unwrap();
}
