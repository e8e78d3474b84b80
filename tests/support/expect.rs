//! What tests read from an error. Only this file knows the payload of each variant.
use posthog_api::{ApiError, Error, Failure, FailureKind};

/// The name of the variant.
pub fn variant(error: &Error) -> &'static str {
    match error {
        Error::Config(_) => "Config",
        Error::Transport(_) => "Transport",
        Error::Timeout(_) => "Timeout",
        Error::Api(_) => "Api",
        Error::Redirect { .. } => "Redirect",
        Error::Decode(_) => "Decode",
        Error::TooLarge(_) => "TooLarge",
        Error::Paging(_) => "Paging",
        Error::Insight(_) => "Insight",
        Error::Query(_) => "Query",
        Error::NotFound(_) => "NotFound",
        other => panic!("a variant that this file does not know: {other:?}"),
    }
}

/// Fails the test, which expected another variant.
#[track_caller]
fn not(expected: &str, error: &Error) -> ! {
    panic!("not Error::{expected}: {error:#?}")
}

#[track_caller]
pub fn api(error: &Error) -> &ApiError {
    match error {
        Error::Api(error) => error,
        other => not("Api", other),
    }
}

#[track_caller]
pub fn decode(error: &Error) -> &Failure {
    match error {
        Error::Decode(failure) => failure,
        other => not("Decode", other),
    }
}

#[track_caller]
pub fn transport(error: &Error) -> &Failure {
    match error {
        Error::Transport(failure) => failure,
        other => not("Transport", other),
    }
}

/// A connection that was lost before the answer was complete.
#[track_caller]
pub fn broken(error: &Error) -> &Failure {
    let failure = transport(error);
    assert_eq!(failure.kind(), FailureKind::Broken, "{error}");
    failure
}

#[track_caller]
pub fn timeout(error: &Error) -> &Failure {
    match error {
        Error::Timeout(failure) if error.is_timeout() => failure,
        other => not("Timeout", other),
    }
}

#[track_caller]
pub fn paging(error: &Error) -> &Failure {
    match error {
        Error::Paging(failure) => failure,
        other => not("Paging", other),
    }
}

#[track_caller]
pub fn query(error: &Error) -> &Failure {
    match error {
        Error::Query(failure) => failure,
        other => not("Query", other),
    }
}

#[track_caller]
pub fn insight(error: &Error) -> &Failure {
    match error {
        Error::Insight(failure) => failure,
        other => not("Insight", other),
    }
}

#[track_caller]
pub fn not_found(error: &Error) -> &Failure {
    match error {
        Error::NotFound(failure) if error.is_not_found() => failure,
        other => not("NotFound", other),
    }
}

/// Rows that are or may be cut. The message names the remedies.
#[track_caller]
pub fn cut_short(error: &Error) {
    let failure = query(error);
    assert_eq!(failure.kind(), FailureKind::CutShort, "{error}");
    assert!(error.is_cut_short());
    for word in ["LIMIT", "scan"] {
        assert!(failure.message().contains(word), "no {word} in {error}");
    }
}

/// An answer larger than `max_body_bytes`. The message shows the limit.
#[track_caller]
pub fn too_large(error: &Error, limit: u64) {
    let Error::TooLarge(failure) = error else { not("TooLarge", error) };
    for word in ["max_body_bytes", &limit.to_string()] {
        assert!(failure.message().contains(word), "no {word} in {error}");
    }
}

/// Why a key, host, path, parameter, filter or query was refused.
#[track_caller]
pub fn config(error: &Error) -> &str {
    match error {
        Error::Config(why) => why,
        other => not("Config", other),
    }
}

/// Where a redirect points, and why it was not followed.
#[track_caller]
pub fn redirect(error: &Error) -> (&str, &str) {
    match error {
        Error::Redirect { location, reason, .. } => (location, reason),
        other => not("Redirect", other),
    }
}
