//! Proves that a person, and the list without property filters, are returned as recorded.

use crate::ask::{distinct_id, email, page, person, persons, search, send, text};
use crate::check::config_error;
use crate::standin::{Replay, client};
use crate::table::Class::{Missing, Other};
use crate::table::Means::{Body, Refused, Unreadable};
use crate::table::Table;

pub fn rows(t: &mut Table) {
    t.add(
        "2023",
        Body,
        persons,
        "persons_walk persons_walk__p2 persons_walk__p3 persons_walk_limit50 persons_walk_limit50__p2 \
         persons_walk_limit50__p5 persons_walk_limit50__p6 persons_limit_1000 persons_edge_limit5 \
         persons_include_total throttle_recovered",
    );
    if cfg!(feature = "gzip") {
        t.add("2023", Body, persons, "gzip_persons");
    } else {
        t.apart("2023", "gzip_persons");
    }
    t.add(
        "2022",
        Body,
        persons,
        "persons_walk_1 persons_walk_2 persons_walk_3 persons_walk_search_1 persons_walk_search_2 \
         host_header_odd xfwd_proto",
    );
    t.add("2026", Body, persons, "persons_last persons_last__p2 persons_limit_1 no_trailing_slash");
    t.add(
        "2026",
        Body,
        |c, _| {
            let persons = c.project(1).persons().search("did-12").page_size(50_001);
            page(persons.allow_missing_rows())
        },
        "persons_limit_50001",
    );
    // The crate refuses it in a list.
    t.add("2023", Refused(Other), send, "persons_limit_neg");
    t.add("2022 2023 2026", Body, search, "persons_search_email");
    t.add("2022", Body, search, "persons_search_plus");
    t.add(
        "2023",
        Body,
        |c, _| page(c.project(1).persons().search("no such thing")),
        "persons_search_none",
    );
    t.add("2026", Body, search, "persons_search_part persons_search_none");
    t.add("2023", Body, email, "persons_email_hit");
    t.add(
        "2026",
        Body,
        email,
        "persons_email_hit persons_email_miss persons_email_upper persons_email_lower",
    );
    t.add(
        "2022 2023",
        Body,
        distinct_id,
        "persons_distinct_hit persons_distinct_miss persons_distinct_plus persons_distinct_unicode",
    );
    t.add(
        "2026",
        Body,
        distinct_id,
        "persons_distinct_hit persons_distinct_miss persons_distinct_odd",
    );
    t.add("2022 2023", Body, text, "persons_csv_format");

    t.add("2022 2023", Body, person, "person_byid person_byid_noproperties");
    t.add("2023", Body, person, "person_byuuid person_edge_257");
    t.add(
        "2022",
        Body,
        person,
        "person_byid_noslash person_byid_nodistinct edge_person_email_is_object",
    );
    t.add(
        "2026",
        Body,
        person,
        "person_id_0 person_id_1 person_id_2 person_id_3 person_id_4 person_uuid_0 person_uuid_1",
    );
    // A distinct id is not an id of a person: the crate refuses it there.
    t.add("2023", Refused(Other), send, "person_bydistinct");
    t.add("2026", Refused(Other), send, "person_distinct_in_path");
    t.add("2023", Refused(Missing), person, "person_missing_id person_missing_uuid");
    t.add("2022", Refused(Missing), person, "person_byuuid person_missing");
    t.add("2026", Refused(Missing), person, "person_missing_id");
    t.add("2022", Unreadable("recursion"), person, "edge_person_nest_150");
    t.add("2022", Unreadable("number"), person, "edge_person_numbers");
}

#[test]
fn a_page_of_more_persons_than_the_server_returns_is_refused() {
    let replay = Replay::start(Vec::new());
    let persons = || client(&replay.url()).project(1).persons();
    let error = persons().page_size(50_001).page().unwrap_err();
    assert!(config_error(&error).contains("50"), "{error}");
    let error = persons().param("limit", 50_001).all().unwrap_err();
    assert!(config_error(&error).contains("50"), "{error}");
    assert_eq!(replay.count(), 0);
}
