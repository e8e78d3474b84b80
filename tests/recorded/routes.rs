//! Proves that any route, called by its path, returns what was recorded; writes included.

use crate::ask::{Ask, send};
use crate::table::Class::{Forbidden, Missing, Other};
use crate::table::Means::{Body, Nothing, Refused};
use crate::table::{Got, Table};

pub fn rows(t: &mut Table) {
    t.add("2023", Body, send, "flow_cohorts_create flow_cohorts_patch flow_cohorts_soft_delete");
    t.add(
        "2026",
        Body,
        send,
        "flow_cohort_create flow_cohort_patch flow_cohort_soft_delete flow_cohort_gone \
         flow_cohort_bad flow_annotation_create flow_flag_create endpoint_create_plain \
         endpoint_run endpoint_run_limit",
    );
    t.add("2023", Nothing, send, "flow_surveys_delete");
    t.add("2022", Nothing, send, "person_delete");
    t.add("2022 2023", Refused(Other), send, "persons_post");
    t.add(
        "2022",
        Refused(Other),
        send,
        "flags_post_missing_key annotations_post_bad_date method_patch_list",
    );
    t.add("2023", Refused(Other), send, "flow_cohorts_delete flag_post_nokey annotation_bad_date");
    t.add(
        "2026",
        Refused(Other),
        send,
        "flow_cohort_delete flow_annotation_bad flow_flag_nokey flow_flag_dup endpoint_create",
    );
    t.add("2023", Refused(Forbidden), send, "paid_feature_dashboard_description");
    t.add("2022", Refused(Missing), send, "cohorts_missing");
    t.add("2023", Refused(Missing), send, "api_unknown");
    t.add("2026b", Refused(Other), send, "batch_export_400");
    t.add("2026b", Refused(Forbidden), send, "403_search_no_personal_key");
    t.add("2026b", Refused(Missing), send, "dashboard");
    t.add("2026", Refused(Missing), send, "endpoint_run_missing");

    t.add_different(
        "a body is always valid JSON",
        "2023",
        Refused(Other),
        send,
        "insights_post_badjson",
    );
    let other_path: [(&str, Ask, &str); 3] = [
        ("2023", |c, _| c.project(1).get("insights/").send().map(Got::Json), "double_slash"),
        ("2022", |c, _| c.project(1).get("persons/").send().map(Got::Json), "path_double_slash"),
        ("2026", |c, _| c.get("/api/projects/").send().map(Got::Json), "double_slash"),
    ];
    for (year, ask, name) in other_path {
        t.add_different("such a path is refused", year, Refused(Missing), ask, name);
    }
}
