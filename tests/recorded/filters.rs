//! Proves that filters are sent as the servers read them, and find the recorded persons.

use serde_json::{Value, json};

use crate::ask::{Ask, filtered, free, linux, list, p, page};
use crate::check::{config_error, params};
use crate::standin::recordings::one;
use crate::standin::{Replay, client};
use crate::table::Class::{Other, TooLong};
use crate::table::Means::{Body, Refused};
use crate::table::Table;

pub fn rows(t: &mut Table) {
    let filters: [(&str, Ask, &str); 29] = [
        ("2022 2023 2026", |c, _| filtered(c, [linux()]), "persons_props_exact"),
        ("2023", |c, _| filtered(c, [linux()]), "persons_props_exact_array_one"),
        (
            "2022 2023",
            |c, _| filtered(c, [p("$initial_os").exact(["Linux", "Windows"])]),
            "persons_props_exact_array",
        ),
        (
            "2022 2023",
            |c, _| filtered(c, [p("$initial_os").is_not("Linux")]),
            "persons_props_is_not",
        ),
        (
            "2022 2023",
            |c, _| filtered(c, [p("email").icontains("USER1")]),
            "persons_props_icontains",
        ),
        (
            "2022 2023",
            |c, _| filtered(c, [p("email").regex("^user1[0-9]@")]),
            "persons_props_regex",
        ),
        ("2022 2023", |c, _| filtered(c, [p("age").gt(60)]), "persons_props_gt"),
        ("2023", |c, _| filtered(c, [p("age").gte(60)]), "persons_props_gte"),
        ("2022 2023", |c, _| filtered(c, [p("age").lt(20)]), "persons_props_lt"),
        ("2023", |c, _| filtered(c, [p("age").lte(20)]), "persons_props_lte"),
        ("2026", |c, _| filtered(c, [p("age").lte(40)]), "persons_props_lte"),
        ("2022 2023", |c, _| filtered(c, [p("nullable").is_set()]), "persons_props_is_set"),
        ("2026", |c, _| filtered(c, [p("nothing").is_set()]), "persons_props_is_set_null"),
        (
            "2023",
            |c, _| filtered(c, [p("signup_date").is_date_after("2021-06-01")]),
            "persons_props_is_date_after",
        ),
        (
            "2026",
            |c, _| filtered(c, [p("signup_date").is_date_before("2024-02-01")]),
            "persons_props_is_date_before",
        ),
        (
            "2026",
            |c, _| filtered(c, [p("signup_date").is_date_exact("2024-01-01")]),
            "persons_props_is_date_exact",
        ),
        ("2023", |c, _| filtered(c, [p("is_paying").exact(true)]), "persons_props_bool_string"),
        ("2026", |c, _| filtered(c, [p("nick").exact("O'Brien")]), "persons_props_quote"),
        (
            "2026",
            |c, _| page(c.project(1).persons().filter(p("mixed").exact("1")).page_size(3)),
            "persons_number_as_text",
        ),
        ("2022 2023", |c, _| filtered(c, [linux(), free()]), "persons_props_two"),
        ("2026", |c, _| filtered(c, [free()]), "persons_flat_free"),
        ("2026", |c, _| filtered(c, [linux(), free()]), "persons_flat_linux_free"),
        ("2026", |c, _| filtered(c, [free(), p("age").gt(40)]), "persons_flat_free_old"),
        (
            "2026",
            |c, _| filtered(c, [linux(), p("age").gt(40), free()]),
            "persons_flat_linux_old_free",
        ),
        ("2026", |c, _| filtered(c, [p("nick").is_set(), free()]), "persons_flat_nick_free"),
        ("2026", |c, _| filtered(c, [p("nick").is_set(), linux()]), "persons_flat_nick_linux"),
        ("2026", |c, _| filtered(c, [p("age").exact([30])]), "persons_props_number"),
        ("2026", |c, _| filtered(c, [p("age").exact([30.0])]), "persons_props_number_float"),
        (
            "2026",
            |c, _| {
                let nick = p("nick").exact("say \"hi\"");
                page(c.project(1).persons().filter(nick).page_size(3))
            },
            "persons_quote_escaped",
        ),
    ];
    for (years, ask, name) in filters {
        t.add(years, Body, ask, name);
    }
    t.add(
        "2026",
        Refused(Other),
        |c, _| filtered(c, [p("email").regex("(")]),
        "persons_props_regex_bad",
    );
    t.add(
        "2026",
        Refused(Other),
        |c, _| page(c.project(1).persons().filter(p("mixed").gt(0)).page_size(3)),
        "persons_gt_untyped_500",
    );
    // What the builder refuses or sends in another form, requested through any list.
    t.add("2022 2023", Body, list, "persons_props_no_type");
    t.add(
        "2023",
        Body,
        list,
        "persons_props_exact_array__p2 persons_props_is_not__p2 persons_props_icontains__p2 \
         persons_props_group_or persons_props_group_or__p2 persons_props_group_nested \
         persons_props_between persons_props_not_in_operator \
         persons_props_bool_true persons_props_exact_empty",
    );
    t.add("2022", Body, list, "persons_props_unknown_operator persons_props_object_and_group");
    t.add(
        "2026",
        Body,
        list,
        "persons_props_between persons_props_empty persons_props_is_date_relative \
         persons_props_cohort persons_quote_raw persons_quote_both \
         persons_date_iso",
    );
    t.add("2022 2023 2026", Refused(Other), list, "persons_props_malformed");
    t.add(
        "2023",
        Refused(Other),
        list,
        "persons_props_group_mixed persons_props_is_date_before_iso",
    );
    t.add(
        "2026",
        Refused(Other),
        list,
        "persons_props_null persons_props_in persons_props_not_in persons_props_unknown \
         persons_props_object persons_props_group_or persons_props_group_and \
         persons_props_event_type persons_group_a_or_b persons_group_nested \
         persons_number_untyped_500",
    );
    t.add(
        "2022",
        Refused(TooLong),
        |c, r| {
            let (_, query) = r.target.split_once('?').unwrap();
            let filter = params(query)["properties"][0].clone();
            assert_eq!((&filter["key"], &filter["operator"]), (&json!("email"), &json!("exact")));
            filtered(c, [p("email").exact(&filter["value"])])
        },
        "long_query_4200",
    );
    t.add(
        "2023",
        Refused(TooLong),
        |c, r| page(c.project(1).persons().search(&crate::ask::param(r, "search"))),
        "long_line_17k",
    );
    t.add("2026", Refused(TooLong), list, "uri_too_long_414");
}

#[test]
fn values_of_exact_are_sent_as_text() {
    for (filter, texts) in [
        (p("age").exact(30), json!(["30"])),
        (p("age").exact([30.0, 0.5]), json!(["0.5", "30"])),
        (p("age").is_not([1, 2]), json!(["1", "2"])),
        (p("is_paying").exact(true), json!(["true"])),
        (p("nick").exact("O'Brien"), json!(["O'Brien"])),
        (p("nick").exact("a\\b"), json!(["a\\\\b"])),
        (p("nick").is_not("tab\tname"), json!(["tab\\tname"])),
        (p("nick").exact("two\nlines"), json!(["two\\nlines"])),
    ] {
        let replay = Replay::recorded(&[one("2026", "persons_search_none")]);
        client(&replay.url()).project(1).persons().filter(filter).page().unwrap();
        let properties = replay.requests()[0].param("properties").unwrap();
        let properties: Value = serde_json::from_str(&properties).unwrap();
        assert_eq!(properties[0]["value"], texts);
    }
}

#[test]
fn filters_that_find_the_wrong_persons_are_refused() {
    let replay = Replay::start(Vec::new());
    for (filter, word) in [
        (p("nick").icontains("a\\b"), "icontains"),
        (p("created_at").is_date_after("2024-01-01"), "HogQL"),
        (p("created_at").is_date_before("2024-01-01"), "HogQL"),
        (p("signup_date").is_date_after("-30d"), "-30d"),
        (p("age").gt("old"), "age"),
    ] {
        let error = client(&replay.url()).project(1).persons().filter(filter).page().unwrap_err();
        assert!(config_error(&error).contains(word), "{error}");
    }
    assert_eq!(replay.count(), 0);
}

#[test]
fn a_filter_that_the_server_fails_on_is_named_by_the_error() {
    for (year, name, words) in [
        ("2026", "persons_gt_untyped_500", "Numeric HogQL"),
        ("2026", "persons_props_regex_bad", "regular"),
    ] {
        let table = crate::table();
        let row = table.rows.iter().find(|row| (row.year, row.name) == (year, name)).unwrap();
        let line = row.error().to_string();
        assert!(words.split(' ').all(|word| line.contains(word)), "{words}: {line}");
    }
}
