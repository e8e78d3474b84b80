//! Everything that can go wrong: one error type, and one place for its text.

mod api;
mod row;
pub(crate) mod text;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use api::ApiError;
pub(crate) use row::row_as;
use text::line;

/// A result whose error is this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call returned no answer, or not the answer that was asked for.
///
/// `Display` is one line: the method and path, the status, PostHog's own detail, and what to do.
/// The alternate form, `{:#}`, adds the body of the answer. `Debug` prints the same line, so that
/// `fn main() -> posthog_api::Result<()>` shows it; `{:#?}` prints the structure. None of them
/// contains the key.
///
/// # Examples
/// ```
/// use posthog_api::Error;
///
/// fn exit_code(error: &Error) -> i32 {
///     match error {
///         Error::Config(_) => 2,
///         _ if error.is_unauthenticated() => 3,
///         _ if error.is_rate_limited() => 4,
///         _ if error.is_not_computed() || error.is_running() => 5,
///         Error::Transport(_) | Error::Timeout(_) => 6,
///         _ => 1,
///     }
/// }
/// # assert_eq!(exit_code(&Error::Config(String::new())), 2);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Error {
    /// A key, host, id, path, parameter or filter that is not valid. Nothing was sent.
    Config(String),
    /// No complete answer: the connection failed or broke, or the answer is not HTTP.
    Transport(Box<Failure>),
    /// A time limit or deadline passed.
    Timeout(Box<Failure>),
    /// PostHog, or a proxy in front of it, answered with an error status.
    Api(Box<ApiError>),
    /// A redirect that was not followed.
    Redirect {
        /// The method and path of the request.
        call: String,
        /// The status of the redirect: 301, 302, 303, 307 or 308.
        status: u16,
        /// The `Location` header, with the key masked.
        location: String,
        /// Why it was not followed, and what to do.
        reason: String,
    },
    /// The answer is not JSON, or not JSON of the expected shape.
    Decode(Box<Failure>),
    /// The answer is larger than [`max_body_bytes`](crate::ClientBuilder::max_body_bytes).
    TooLarge(Box<Failure>),
    /// A list cannot be continued, or rows of it are missing.
    Paging(Box<Failure>),
    /// An insight has no such value.
    Insight(Box<Failure>),
    /// A query failed, was cut short by the server, or its answer has no rows.
    Query(Box<Failure>),
    /// A lookup returned no row.
    NotFound(Box<Failure>),
}

impl Error {
    pub(crate) fn config(message: impl Into<String>) -> Error {
        Error::Config(message.into())
    }

    pub(crate) fn insight(kind: FailureKind, message: impl Into<String>) -> Error {
        Error::Insight(Failure::new(kind, message))
    }

    pub(crate) fn query(kind: FailureKind, message: impl Into<String>) -> Error {
        Error::Query(Failure::new(kind, message))
    }

    /// The HTTP status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Api(e) => Some(e.status()),
            Error::Redirect { status, .. } => Some(*status),
            _ => self.failure()?.status(),
        }
    }

    /// How long PostHog asked to wait, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.api()?.retry_after()
    }

    /// The answer's `X-Request-Id` or `CF-Ray`, to quote to PostHog's support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Error::Api(e) => e.request_id(),
            _ => self.failure()?.request_id(),
        }
    }

    /// Whether a time limit or deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Error::Timeout(_))
    }

    /// Whether PostHog throttled the call (429).
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        self.api().is_some_and(|e| e.status() == 429)
    }

    /// Whether the project has used up its hourly budget of bytes that queries read (429 with the
    /// code `api_queries_budget_exceeded`). [`retry_after`](Error::retry_after) says when it is
    /// renewed.
    #[must_use]
    pub fn is_query_budget_exhausted(&self) -> bool {
        self.api().is_some_and(ApiError::is_query_budget_exhausted)
    }

    /// Whether the key was missing, wrong or expired.
    ///
    /// It reads the answer's code, not its status: PostHog answers 401 on some routes and 403 on
    /// others.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        self.api().is_some_and(ApiError::is_unauthenticated)
    }

    /// Whether the key is valid but may not do this: a missing scope, or a project it has no access
    /// to.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        self.api().is_some_and(|e| e.status() == 403 && !e.is_unauthenticated())
    }

    /// The scope that the key needs and does not have, such as `person:read`, if PostHog names it.
    #[must_use]
    pub fn missing_scope(&self) -> Option<&str> {
        self.api()?.missing_scope()
    }

    /// Whether the thing does not exist: status 404, or a lookup that returned no row.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound(_)) || self.api().is_some_and(|e| e.status() == 404)
    }

    /// Whether the insight has no result because nothing computed it:
    /// [`insight_refreshed`](crate::Project::insight_refreshed) computes it.
    #[must_use]
    pub fn is_not_computed(&self) -> bool {
        self.is_kind(FailureKind::NotComputed)
    }

    /// Whether the result is still being computed: ask again later.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.is_kind(FailureKind::Running)
    }

    /// Whether the server cut the answer, or may have cut it: rows are missing.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        self.is_kind(FailureKind::CutShort)
    }

    pub(crate) fn is_kind(&self, kind: FailureKind) -> bool {
        self.failure().is_some_and(|f| f.kind == kind)
    }

    fn api(&self) -> Option<&ApiError> {
        match self {
            Error::Api(e) => Some(e),
            _ => None,
        }
    }

    fn failure(&self) -> Option<&Failure> {
        match self {
            Error::Transport(f)
            | Error::Timeout(f)
            | Error::Decode(f)
            | Error::TooLarge(f)
            | Error::Paging(f)
            | Error::Insight(f)
            | Error::Query(f)
            | Error::NotFound(f) => Some(f),
            Error::Config(_) | Error::Api(_) | Error::Redirect { .. } => None,
        }
    }

    fn failure_mut(&mut self) -> Option<&mut Failure> {
        match self {
            Error::Transport(f)
            | Error::Timeout(f)
            | Error::Decode(f)
            | Error::TooLarge(f)
            | Error::Paging(f)
            | Error::Insight(f)
            | Error::Query(f)
            | Error::NotFound(f) => Some(f),
            Error::Config(_) | Error::Api(_) | Error::Redirect { .. } => None,
        }
    }

    /// Names the call that failed, where the error does not name one yet.
    pub(crate) fn of_call(mut self, method: &'static str, path: &str) -> Error {
        if let Some(failure) = self.failure_mut() {
            failure.call.get_or_insert_with(|| (method, path.to_owned()));
        }
        self
    }

    /// The same error with `edit` applied to each text in it.
    pub(crate) fn map_text(mut self, edit: &impl Fn(&str) -> String) -> Error {
        match &mut self {
            Error::Config(message) => *message = edit(message),
            Error::Api(e) => e.map_text(edit),
            Error::Redirect { call, status: _, location, reason } => {
                for text in [call, location, reason] {
                    *text = edit(text);
                }
            }
            _ => {
                if let Some(failure) = self.failure_mut() {
                    failure.map_text(edit);
                }
            }
        }
        self
    }
}

impl std::error::Error for Error {
    /// The cause of an [`Error::Transport`], where the operating system gave one.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Transport(f) => f.source.as_deref().map(|e| e as _),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Config(message) => f.write_str(&line(message, 1_000)),
            Error::Api(e) => e.fmt(f),
            Error::Redirect { call, status, location, reason } => {
                let (call, location, reason) =
                    (line(call, 300), line(location, 300), line(reason, 300));
                write!(f, "{call}: {status} redirect to '{location}' was not followed: {reason}")
            }
            _ => self.failure().map_or(Ok(()), |failure| failure.fmt(f)),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        let (name, payload): (&str, &dyn fmt::Debug) = match self {
            Error::Config(message) => ("Config", message),
            Error::Api(e) => ("Api", e),
            Error::Redirect { call, status, location, reason } => {
                return f
                    .debug_struct("Redirect")
                    .field("call", call)
                    .field("status", status)
                    .field("location", location)
                    .field("reason", reason)
                    .finish();
            }
            Error::Transport(e) => ("Transport", e),
            Error::Timeout(e) => ("Timeout", e),
            Error::Decode(e) => ("Decode", e),
            Error::TooLarge(e) => ("TooLarge", e),
            Error::Paging(e) => ("Paging", e),
            Error::Insight(e) => ("Insight", e),
            Error::Query(e) => ("Query", e),
            Error::NotFound(e) => ("NotFound", e),
        };
        f.debug_tuple(name).field(payload).finish()
    }
}

/// The reason behind a [`Failure`], for a program to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The host name could not be resolved.
    Dns,
    /// No connection was made.
    Connect,
    /// The TLS handshake failed: a certificate, or a protocol version.
    Tls,
    /// The proxy refused or failed.
    Proxy,
    /// The connection broke before the answer was complete.
    Broken,
    /// The answer is not HTTP.
    NotHttp,
    /// The result was never computed, or is no longer in the cache.
    NotComputed,
    /// The result is still being computed.
    Running,
    /// The server cut the answer, or may have cut it.
    CutShort,
    /// One row could not be read; the other rows can.
    Row,
    /// Any other reason: the message says it.
    Other,
}

/// A call without a usable answer: which call, and what happened.
#[derive(Debug, Clone)]
pub struct Failure {
    kind: FailureKind,
    message: String,
    call: Option<(&'static str, String)>,
    answer: Option<Answered>,
    source: Option<Arc<io::Error>>,
}

/// What an answer said that could not be used.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) body: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Box<Failure> {
        let message = message.into();
        Box::new(Failure { kind, message, call: None, answer: None, source: None })
    }

    pub(crate) fn with_answer(mut self: Box<Self>, answer: Answered) -> Box<Failure> {
        self.answer = Some(answer);
        self
    }

    pub(crate) fn with_source(mut self: Box<Self>, kind: Option<io::ErrorKind>) -> Box<Failure> {
        self.source = kind.map(|kind| Arc::new(io::Error::from(kind)));
        self
    }

    /// The reason, for a program to act on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What happened, and what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The method and the path of the call, without host and query. `None` where no call was made,
    /// as for a reader of an insight.
    #[must_use]
    pub fn call(&self) -> Option<(&str, &str)> {
        self.call.as_ref().map(|(method, path)| (*method, path.as_str()))
    }

    /// The HTTP status, if there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|a| a.status)
    }

    /// The answer's `Content-Type`, if there was one.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.answer.as_ref()?.content_type.as_deref()
    }

    /// The answer's `X-Request-Id` or `CF-Ray`, to quote to PostHog's support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.answer.as_ref()?.request_id.as_deref()
    }

    /// The beginning of the answer's body, at most 64 KiB; empty if there was no answer.
    #[must_use]
    pub fn body(&self) -> &str {
        self.answer.as_ref().map_or("", |a| &a.body)
    }

    fn map_text(&mut self, edit: &impl Fn(&str) -> String) {
        self.message = edit(&self.message);
        if let Some((_, path)) = &mut self.call {
            *path = edit(path);
        }
        if let Some(Answered { status: _, content_type, request_id, body }) = &mut self.answer {
            *body = edit(body);
            for text in [content_type, request_id].into_iter().flatten() {
                *text = edit(text);
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((method, path)) = &self.call {
            write!(f, "{method} {}: ", line(path, 300))?;
        }
        let Some(answer) = &self.answer else {
            return f.write_str(&line(&self.message, 1_000));
        };
        let content_type = answer.content_type.as_deref().unwrap_or("no content type");
        write!(f, "{} ({}): {}", answer.status, line(content_type, 80), line(&self.message, 500))?;
        if answer.body.is_empty() {
            f.write_str("; the body is empty")?;
        } else {
            write!(f, "; the body begins '{}'", line(&answer.body, 120))?;
        }
        if answer.body.trim_start().starts_with('<') {
            f.write_str(
                ": this is a web page: check the host, and that the path begins with /api/",
            )?;
        }
        add_request_id(f, answer.request_id.as_deref())?;
        add_body(f, &answer.body)
    }
}

fn add_request_id(f: &mut fmt::Formatter<'_>, request_id: Option<&str>) -> fmt::Result {
    match request_id {
        Some(id) => write!(f, " (request {})", line(id, 80)),
        None => Ok(()),
    }
}

fn add_body(f: &mut fmt::Formatter<'_>, body: &str) -> fmt::Result {
    if f.alternate() && !body.is_empty() {
        write!(f, "\n{body}")?;
    }
    Ok(())
}
