//! What is special about some lists.

use percent_encoding::percent_decode_str;

use crate::http::Params;

/// What is special about a route.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// Below the project; `*` is an id.
    path: &'static str,
    /// Parameters that are sent unless the caller gives them.
    pub(super) sends: &'static [(&'static str, &'static str)],
    /// Why rows would be missing.
    pub(super) loses: fn(&Params) -> Option<&'static str>,
    /// The parameter that takes `next_cursor`.
    pub(super) cursor: &'static str,
}

/// Any other route.
const OTHER: Route = Route { path: "", sends: &[], loses: |_| None, cursor: "cursor" };

/// Servers of 2023 return nothing without `version=3`. Recordings that were deleted are missing in
/// a page, so its `limit` tells where the next one begins.
const RECORDINGS: Route = Route {
    sends: &[("limit", "50"), ("version", "3")],
    loses: |params| {
        let why = "without date_from the server returns the recordings of three days; add .param(\"date_from\", \"all\"), or \
                   allow_missing_rows()";
        (!params.has("date_from")).then_some(why)
    },
    cursor: "after",
    ..OTHER
};

/// PostHog's 100 a page would be slow at its 240 requests a minute.
const PERSONS: Route = Route {
    sends: &[("limit", "1000")],
    loses: |params| {
        let why = "a page of persons has at most 50000 rows, and the server would leave out the others; set a smaller page_size";
        params.number("limit").is_some_and(|limit| limit > 50_000).then_some(why)
    },
    ..OTHER
};

const ROUTES: [Route; 6] = [
    // Without an order the server repeats rows and loses others; servers of 2023 hide SQL insights
    // without the second.
    Route {
        path: "insights",
        sends: &[("order", "id"), ("include_query_insights", "true")],
        ..OTHER
    },
    Route { path: "persons", ..PERSONS },
    Route { path: "cohorts/*/persons", ..PERSONS },
    Route {
        path: "events",
        loses: |_| {
            Some(
                "the list of events loses rows in every order; use Project::events(), which returns each event once, or \
                 allow_missing_rows()",
            )
        },
        ..OTHER
    },
    Route { path: "session_recordings", ..RECORDINGS },
    Route { path: "session_recording_playlists/*/recordings", ..RECORDINGS },
];

/// The route of a path, such as `/api/projects/1/insights/`.
pub(super) fn of(path: &str) -> Route {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let below = |root: &str| decoded.strip_prefix(root)?.split_once('/');
    let found = below("/api/projects/").or_else(|| below("/api/environments/"));
    let Some((_, path)) = found else { return OTHER };
    let path = path.trim_end_matches('/');
    let is = |route: &&Route| {
        let names = route.path.split('/');
        let fits = |(name, segment): (&str, &str)| name == "*" || name == segment;
        names.clone().count() == path.split('/').count() && names.zip(path.split('/')).all(fits)
    };
    ROUTES.iter().find(is).copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_path_below_the_project_decides() {
        for (path, known) in [
            ("/api/projects/1/events/", "events"),
            ("/api/environments/1/%65vents", "events"),
            ("/api/projects/@current/cohorts/5/persons/", "cohorts/*/persons"),
            ("/api/projects/1/heatmaps/events/", ""),
            ("/api/projects/1/insights/5/activity/", ""),
            ("/api/projects/1/", ""),
            ("/api/events/", ""),
        ] {
            assert_eq!(of(path).path, known, "{path}");
        }
    }
}
