//! What tests read from an error. Only this file knows the payload of each variant.
use posthog_api::{ApiError, Error};

/// The parts of an error without a usable answer.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    call: Option<(&'a str, &'a str)>,
    message: &'a str,
    body: &'a str,
    request_id: Option<&'a str>,
}

impl<'a> Failed<'a> {
    fn message_only(message: &'a str) -> Failed<'a> {
        Failed { call: None, message, body: "", request_id: None }
    }

    pub fn method(&self) -> &'a str {
        self.call.map_or("", |(method, _)| method)
    }

    pub fn path(&self) -> &'a str {
        self.call.map_or("", |(_, path)| path)
    }

    pub fn message(&self) -> &'a str {
        self.message
    }

    pub fn body(&self) -> &'a str {
        self.body
    }

    pub fn request_id(&self) -> Option<&'a str> {
        self.request_id
    }
}

impl<'a> From<&'a posthog_api::Failure> for Failed<'a> {
    fn from(failure: &'a posthog_api::Failure) -> Failed<'a> {
        let call = Some((failure.method(), failure.path()));
        Failed { call, ..Failed::message_only(failure.message()) }
    }
}

/// The name of the variant.
pub fn variant(error: &Error) -> &'static str {
    match error {
        Error::Config(_) => "Config",
        Error::Transport(_) => "Transport",
        Error::Timeout(_) => "Timeout",
        Error::Api(_) => "Api",
        Error::Redirect { .. } => "Redirect",
        Error::Decode(_) => "Decode",
        Error::TooLarge { .. } => "TooLarge",
        Error::Paging(_) => "Paging",
        Error::Insight(_) => "Insight",
        Error::Query(_) => "Query",
        other => panic!("a variant that this file does not know: {other:?}"),
    }
}

/// Fails the test, which expected another variant.
#[track_caller]
fn not(variant: &str, error: &Error) -> ! {
    panic!("not Error::{variant}: {error:?}")
}

#[track_caller]
pub fn api(error: &Error) -> &ApiError {
    match error {
        Error::Api(error) => error,
        other => not("Api", other),
    }
}

#[track_caller]
pub fn decode(error: &Error) -> Failed<'_> {
    match error {
        Error::Decode(e) => {
            Failed { call: None, message: e.message(), body: e.body(), request_id: e.request_id() }
        }
        other => not("Decode", other),
    }
}

#[track_caller]
pub fn transport(error: &Error) -> Failed<'_> {
    match error {
        Error::Transport(failure) => failure.as_ref().into(),
        other => not("Transport", other),
    }
}

#[track_caller]
pub fn timeout(error: &Error) -> Failed<'_> {
    match error {
        Error::Timeout(failure) if error.is_timeout() => failure.as_ref().into(),
        other => not("Timeout", other),
    }
}

#[track_caller]
pub fn paging(error: &Error) -> Failed<'_> {
    match error {
        Error::Paging(failure) => failure.as_ref().into(),
        other => not("Paging", other),
    }
}

#[track_caller]
pub fn query(error: &Error) -> Failed<'_> {
    match error {
        Error::Query(message) => Failed::message_only(message),
        other => not("Query", other),
    }
}

#[track_caller]
pub fn insight(error: &Error) -> Failed<'_> {
    match error {
        Error::Insight(message) => Failed::message_only(message),
        other => not("Insight", other),
    }
}

/// A connection that was lost before the answer was complete.
#[track_caller]
pub fn broken(error: &Error) -> Failed<'_> {
    let failed = transport(error);
    assert!(failed.message.contains("broke"), "not broken: {error}");
    failed
}

/// Rows that are or may be cut. The message names the remedies.
#[track_caller]
pub fn cut_short(error: &Error) {
    let failed = query(error);
    for word in ["LIMIT", "scan"] {
        assert!(failed.message.contains(word), "no {word} in {error}");
    }
}

/// An answer larger than `max_body_bytes`. The message shows the limit.
#[track_caller]
pub fn too_large(error: &Error, limit: u64) {
    let line = error.to_string();
    match error {
        Error::TooLarge { .. } => {
            assert!(line.contains("max_body_bytes") && line.contains(&limit.to_string()), "{line}");
        }
        other => not("TooLarge", other),
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
