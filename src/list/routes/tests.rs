use super::*;

#[test]
fn the_whole_path_below_the_project_decides() {
    for (path, known) in [
        ("/api/projects/1/events/", "events"),
        ("/api/environments/1/%65vents", "events"),
        ("/api/projects/@current/cohorts/5/persons/", "persons"),
        ("/api/projects/1/heatmaps/events/", ""),
        ("/api/projects/1/insights/5/activity/", ""),
        ("/api/projects/1/", ""),
        ("/api/events/", ""),
    ] {
        assert_eq!(of(path).paths.first().copied().unwrap_or(""), known, "{path}");
    }
}
