//! Routes with rules of their own: default parameters, refusals, and the name of the cursor.

use percent_encoding::percent_decode_str;

use crate::http::Params;

/// What is special about a route.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// Below the project; `*` is an id.
    paths: &'static [&'static str],
    /// Parameters that are sent unless the caller gives them.
    pub(super) sends: &'static [(&'static str, &'static str)],
    /// Why rows would be missing.
    pub(super) loses: fn(&Params) -> Option<&'static str>,
    /// The parameter that takes `next_cursor`.
    pub(super) cursor: &'static str,
}

/// Any other route.
const OTHER: Route = Route { paths: &[], sends: &[], loses: |_| None, cursor: "cursor" };

const ROUTES: [Route; 4] = [
    // Without an order the server repeats rows and loses others; servers of 2023 hide SQL insights
    // without the second.
    Route {
        paths: &["insights"],
        sends: &[("order", "id"), ("include_query_insights", "true")],
        ..OTHER
    },
    // PostHog's 100 a page would be slow at its 240 requests a minute.
    Route {
        paths: &["persons", "cohorts/*/persons"],
        sends: &[("limit", "1000")],
        loses: |params| {
            let why = "a page of persons has at most 50000 rows, and the server would leave out the others; set a smaller page_size";
            params.number("limit").is_some_and(|limit| limit > 50_000).then_some(why)
        },
        ..OTHER
    },
    Route {
        paths: &["events"],
        loses: |_| {
            Some(
                "the list of events loses rows in every order; use Project::events(), which returns each event once, or \
                 allow_missing_rows()",
            )
        },
        ..OTHER
    },
    // Servers of 2023 return nothing without `version=3`. Recordings that were deleted are missing
    // in a page, so its `limit` tells where the next one begins.
    Route {
        paths: &["session_recordings", "session_recording_playlists/*/recordings"],
        sends: &[("limit", "50"), ("version", "3")],
        loses: |params| {
            let why = "without date_from the server returns the recordings of three days; add .param(\"date_from\", \"all\"), or \
                       allow_missing_rows()";
            (!params.has("date_from")).then_some(why)
        },
        cursor: "after",
    },
];

/// The route of a path, such as `/api/projects/1/insights/`.
pub(super) fn of(path: &str) -> Route {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let below = |root: &str| decoded.strip_prefix(root)?.split_once('/');
    let found = below("/api/projects/").or_else(|| below("/api/environments/"));
    let Some((_, path)) = found else { return OTHER };
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let is = |path: &&str| {
        let fits = |(name, segment): (&str, &&str)| name == "*" || name == *segment;
        path.split('/').count() == segments.len() && path.split('/').zip(&segments).all(fits)
    };
    ROUTES.into_iter().find(|route| route.paths.iter().any(is)).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests;
