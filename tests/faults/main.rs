//! Proves that nothing wrong, nothing leaking and nothing hanging comes out of a server that misbehaves.
#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops with a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod background;
mod environment;
mod input;
mod lists;
mod redirects;
mod retry;
mod statuses;
mod table;
mod tls;
mod transport;

use posthog_api::{ApiError, DecodeError, Error, Failure};

#[track_caller]
fn api(error: &Error) -> &ApiError {
    match error {
        Error::Api(error) => error,
        other => panic!("no Error::Api: {other:?}"),
    }
}

#[track_caller]
fn decode(error: &Error) -> &DecodeError {
    match error {
        Error::Decode(error) => error,
        other => panic!("no Error::Decode: {other:?}"),
    }
}

/// The call and the words of an error without an answer to show.
#[track_caller]
fn transport(error: &Error) -> &Failure {
    match error {
        Error::Transport(failure) => failure,
        other => panic!("no Error::Transport: {other:?}"),
    }
}

#[track_caller]
fn timeout(error: &Error) -> &Failure {
    match error {
        Error::Timeout(failure) if error.is_timeout() => failure,
        other => panic!("no Error::Timeout: {other:?}"),
    }
}

#[track_caller]
fn paging(error: &Error) -> &Failure {
    match error {
        Error::Paging(failure) => failure,
        other => panic!("no Error::Paging: {other:?}"),
    }
}

#[track_caller]
fn config(error: &Error) -> &str {
    match error {
        Error::Config(why) => why,
        other => panic!("no Error::Config: {other:?}"),
    }
}

#[track_caller]
fn query(error: &Error) -> &str {
    match error {
        Error::Query(why) => why,
        other => panic!("no Error::Query: {other:?}"),
    }
}

/// Where a redirect pointed, and why it was not followed.
#[track_caller]
fn redirect(error: &Error) -> (&str, &str) {
    match error {
        Error::Redirect { location, reason, .. } => (location, reason),
        other => panic!("no Error::Redirect: {other:?}"),
    }
}
