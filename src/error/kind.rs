//! The kinds of errors.

use std::fmt;

/// What went wrong. `Display` is a stable name for logs, such as `rate_limited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A mistake in what was given: a key, host, id, path, parameter, filter or query. Nothing was
    /// changed.
    Config,
    /// The host name could not be resolved.
    Dns,
    /// No connection was made, or not in time.
    Connect,
    /// The TLS handshake failed: a certificate, or a protocol version.
    Tls,
    /// The proxy refused or failed.
    Proxy,
    /// The connection broke before the answer was complete.
    Broken,
    /// The answer is not HTTP.
    NotHttp,
    /// There was no complete answer within the timeout or before the deadline.
    Timeout,
    /// The key is missing, wrong or expired.
    ///
    /// PostHog's code decides, not the status: it answers 401 on some routes and 403 on others.
    Unauthenticated,
    /// The key is valid but may not do this: a missing scope, or a project that it cannot use.
    PermissionDenied,
    /// The thing does not exist: status 404, or a lookup that returned no row.
    NotFound,
    /// Too many requests (429), or too many queries at once.
    /// [`Error::retry_after`](crate::Error::retry_after) says how long PostHog asked to wait.
    RateLimited,
    /// The queries of the project have read as many bytes as they may in an hour (429).
    QueryBudget,
    /// The query takes the server too long: status 504, 512 or 524, or the code `query_timeout`.
    TooSlow,
    /// Another error status from 400 to 499.
    Refused,
    /// Another error status from 500.
    Server,
    /// A redirect that was not followed; see [`Error::location`](crate::Error::location).
    Redirect,
    /// The answer cannot be read as what was asked for.
    Decode,
    /// One row cannot be read as what was asked for; an iterator goes on with the next row.
    Row,
    /// The answer is larger than [`max_body_bytes`](crate::ClientBuilder::max_body_bytes).
    TooLarge,
    /// A list, a scan or an export cannot be continued, or rows of it are missing.
    Paging,
    /// An insight has no result because nothing computed it, or it is no longer in the cache.
    NotComputed,
    /// The result is still being computed.
    Running,
    /// The server cut the rows of the answer, or may have cut them.
    CutShort,
    /// The query failed on the server.
    QueryFailed,
    /// The result is there, but does not have the shape that was asked for.
    WrongShape,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        }
        f.pad(&name)
    }
}
