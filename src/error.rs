//! Everything that can go wrong, and the one place that words it.

use std::fmt;
use std::time::Duration;

use crate::api_error::ApiError;

/// A result whose error is this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call gave no answer, or not the one that was asked for.
///
/// `Display` is one line: the method and path, the status, PostHog's own words, and what to do. The alternate form, `{:#}`,
/// adds the body of the answer, as it came. The key is in neither, nor in `Debug`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// A key, host, id, path, parameter or filter that cannot be right; nothing was sent.
    Config(String),
    /// No complete answer: the connection could not be made, broke, or carried something that is not HTTP.
    Transport(Box<Failure>),
    /// A time limit ran out; the message says in which phase.
    Timeout(Box<Failure>),
    /// PostHog, or what stands before it, answered with an error status.
    Api(Box<ApiError>),
    /// A redirect that was not followed, because it leaves the configured origin or cannot be followed safely.
    Redirect {
        /// The method and path that were asked for.
        call: String,
        /// The status of the redirect: 301, 302, 303, 307 or 308.
        status: u16,
        /// Where it points, as the server wrote it, the key masked.
        location: String,
        /// Why it was not followed, and what to do.
        reason: String,
    },
    /// The answer is not the JSON, or not the shape of JSON, that was expected.
    Decode(Box<DecodeError>),
    /// The answer is larger than [`max_body_bytes`](crate::ClientBuilder::max_body_bytes).
    TooLarge {
        /// The limit that was passed, in decoded bytes.
        limit: u64,
    },
    /// A list that cannot be walked on: its `next` repeats, or cannot be read.
    Paging(Box<Failure>),
    /// Why an insight has no such value.
    Insight(String),
    /// A query that failed, was cut short by the server, or whose answer has no rows.
    Query(String),
}

impl Error {
    /// The HTTP status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Api(e) => Some(e.status()),
            Error::Decode(e) => Some(e.status),
            Error::Redirect { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long PostHog asked to wait, where it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.api().and_then(ApiError::retry_after)
    }

    /// Whether a time limit ran out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Error::Timeout(_))
    }

    /// Whether PostHog throttled the call (429).
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        self.api().is_some_and(|e| e.status() == 429)
    }

    /// Whether the key was missing, wrong or expired.
    ///
    /// Told by the answer's code rather than its status: PostHog says 401 on some routes and 403 on others.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        self.api().is_some_and(ApiError::is_unauthenticated)
    }

    /// Whether the key is good but may not do this: a missing scope, a project it has no access to.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        self.api()
            .is_some_and(|e| e.status() == 403 && !e.is_unauthenticated())
    }

    /// Whether there is no such thing (404).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.api().is_some_and(|e| e.status() == 404)
    }

    fn api(&self) -> Option<&ApiError> {
        match self {
            Error::Api(e) => Some(e),
            _ => None,
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Config(m) | Error::Insight(m) | Error::Query(m) => f.write_str(&line(m, 1_000)),
            Error::Transport(e) | Error::Timeout(e) | Error::Paging(e) => e.fmt(f),
            Error::Api(e) => e.fmt(f),
            Error::Redirect {
                call,
                status,
                location,
                reason,
            } => {
                write!(
                    f,
                    "{}: {status} redirect to '{}' was not followed: {reason}",
                    line(call, 300),
                    line(location, 300)
                )
            }
            Error::Decode(e) => e.fmt(f),
            Error::TooLarge { limit } => write!(
                f,
                "the answer is larger than {limit} bytes: ask for fewer rows a page, or raise max_body_bytes"
            ),
        }
    }
}

/// A call that did not come to an answer that can be used: which call, and what happened.
#[derive(Debug, Clone)]
pub struct Failure {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(
        method: &'static str,
        path: &str,
        message: impl Into<String>,
    ) -> Box<Failure> {
        Box::new(Failure {
            method,
            path: path.to_owned(),
            message: message.into(),
        })
    }

    /// The HTTP method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method
    }

    /// The path that was asked for, without host and query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What happened, and what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.method,
            line(&self.path, 300),
            line(&self.message, 500)
        )
    }
}

/// An answer that is not the JSON that was expected.
#[derive(Debug, Clone)]
pub struct DecodeError {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) message: String,
    pub(crate) body: String,
}

impl DecodeError {
    /// The HTTP status of the answer, a 2xx.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The answer's `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The answer's `X-Request-Id` or `CF-Ray`, to quote to PostHog's support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// What could not be read, with line and column.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// An excerpt of the body: its beginning, 64 KiB at most.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.content_type.as_deref().unwrap_or("no content type");
        let excerpt = line(&self.body, 120);
        write!(
            f,
            "{} {}: {} ({}): {}",
            self.method,
            line(&self.path, 300),
            self.status,
            line(kind, 80),
            line(&self.message, 300)
        )?;
        if excerpt.is_empty() {
            f.write_str("; the body is empty")?;
        } else {
            write!(f, "; the body begins '{excerpt}'")?;
        }
        if excerpt.trim_start().starts_with('<') {
            f.write_str(": a web page: check the host, and that the path begins with /api/")?;
        }
        identify(f, self.request_id.as_deref())?;
        with_body(f, &self.body)
    }
}

pub(crate) fn identify(f: &mut fmt::Formatter<'_>, request_id: Option<&str>) -> fmt::Result {
    match request_id {
        Some(id) => write!(f, " (request {})", line(id, 80)),
        None => Ok(()),
    }
}

pub(crate) fn with_body(f: &mut fmt::Formatter<'_>, body: &str) -> fmt::Result {
    if f.alternate() && !body.is_empty() {
        write!(f, "\n{body}")?;
    }
    Ok(())
}

/// `text` on one line, `most` characters at most.
pub(crate) fn line(text: &str, most: usize) -> String {
    let mut out: String = text
        .chars()
        .take(most)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(most).is_some() {
        out.push_str("...");
    }
    out
}
