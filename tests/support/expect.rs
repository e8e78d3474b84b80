//! What tests expect of an error: its kind, by groups.
use posthog_api::{Error, ErrorKind as K};

/// The error, which is of one of these kinds.
#[track_caller]
fn one_of<'a>(kinds: &[K], error: &'a Error) -> &'a Error {
    assert!(kinds.contains(&error.kind()), "not {kinds:?}: {error:#?}");
    error
}

/// An answer with an error status.
#[track_caller]
pub fn api(error: &Error) -> &Error {
    let kinds = [
        K::Unauthenticated,
        K::PermissionDenied,
        K::NotFound,
        K::RateLimited,
        K::QueryBudget,
        K::TooSlow,
        K::Refused,
        K::Server,
    ];
    assert!(error.status().is_some(), "{error:#?}");
    one_of(&kinds, error)
}

/// An answer, or a row, that cannot be read.
#[track_caller]
pub fn decode(error: &Error) -> &Error {
    one_of(&[K::Decode, K::Row], error)
}

/// No complete answer, for another reason than time.
#[track_caller]
pub fn transport(error: &Error) -> &Error {
    one_of(&[K::Dns, K::Connect, K::Tls, K::Proxy, K::Broken, K::NotHttp], error)
}

/// No complete answer.
#[track_caller]
pub fn no_answer(error: &Error) -> &Error {
    one_of(&[K::Dns, K::Connect, K::Tls, K::Proxy, K::Broken, K::NotHttp, K::Timeout], error)
}

/// A connection that was lost before the answer was complete.
#[track_caller]
pub fn broken(error: &Error) -> &Error {
    one_of(&[K::Broken], error)
}

#[track_caller]
pub fn timeout(error: &Error) -> &Error {
    one_of(&[K::Timeout], error)
}

#[track_caller]
pub fn paging(error: &Error) -> &Error {
    one_of(&[K::Paging], error)
}

/// A query that failed, or whose answer cannot be used.
#[track_caller]
pub fn query(error: &Error) -> &Error {
    one_of(&[K::QueryFailed, K::WrongShape, K::CutShort, K::Running, K::NotComputed], error)
}

/// An insight without the value that was asked for.
#[track_caller]
pub fn insight(error: &Error) -> &Error {
    one_of(&[K::QueryFailed, K::WrongShape, K::Running, K::NotComputed], error)
}

/// A lookup without a row, or a status 404.
#[track_caller]
pub fn not_found(error: &Error) -> &Error {
    one_of(&[K::NotFound], error)
}

/// Rows that are or may be cut. The hint names the remedies.
#[track_caller]
pub fn cut_short(error: &Error) {
    let hint = one_of(&[K::CutShort], error).hint().unwrap_or_default();
    for word in ["LIMIT", "scan"] {
        assert!(hint.contains(word), "no {word} in {error}");
    }
}

/// An answer larger than `max_body_bytes`. The message shows the limit.
#[track_caller]
pub fn too_large(error: &Error, limit: u64) {
    let text = one_of(&[K::TooLarge], error).to_string();
    for word in ["max_body_bytes", &limit.to_string()] {
        assert!(text.contains(word), "no {word} in {error}");
    }
}

/// Why a key, host, path, parameter, filter or query was refused, and what to do.
#[track_caller]
pub fn config(error: &Error) -> String {
    one_of(&[K::Config], error).to_string()
}

/// Where a redirect points, and why it was not followed.
#[track_caller]
pub fn redirect(error: &Error) -> (&str, String) {
    let location = one_of(&[K::Redirect], error).location().unwrap_or_default();
    (location, error.to_string())
}
