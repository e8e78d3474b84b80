//! Everything that can go wrong: one error type, and one place for its text.

mod answer;
mod kind;
mod row;
mod text;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

pub(crate) use answer::ErrorAnswer;
pub use kind::ErrorKind;
pub(crate) use row::{row_as, row_error};
pub(crate) use text::{MAX_TEXT, begin, cut, excerpt, line};

/// A result whose error is this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call returned no answer, or not the answer that was asked for.
///
/// A program acts on the [`kind`](Error::kind). `Display` is one line for a person:
/// `METHOD path: message; hint`. The alternate form, `{:#}`, adds the body of the answer. `Debug`
/// prints the same line, so that `fn main() -> posthog_api::Result<()>` shows it; `{:#?}` prints
/// the structure. None of them contains the key. The [cookbook](crate::docs::cookbook#exit-codes)
/// makes exit codes of the kinds.
#[derive(Clone)]
pub struct Error(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    kind: ErrorKind,
    message: String,
    hint: Option<Cow<'static, str>>,
    call: Option<(&'static str, String)>,
    answer: Option<ErrorAnswer>,
    location: Option<String>,
    may_have_been_done: bool,
}

#[allow(clippy::must_use_candidate, reason = "most of them only return a part")]
impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Parts {
            kind,
            message: message.into(),
            hint: None,
            call: None,
            answer: None,
            location: None,
            may_have_been_done: false,
        }))
    }

    /// An error from the text that `Display` shows: after the last `; ` comes the hint.
    pub(crate) fn from_text(kind: ErrorKind, text: &str) -> Error {
        match text.rsplit_once("; ") {
            Some((message, hint)) => Error::new(kind, message).with_hint(hint.to_owned()),
            None => Error::new(kind, text),
        }
    }

    pub(crate) fn config(text: impl AsRef<str>) -> Error {
        Error::from_text(ErrorKind::Config, text.as_ref())
    }

    /// The error of an answer with an error status.
    pub(crate) fn of_answer(answer: ErrorAnswer) -> Error {
        let mut error = Error::new(answer.kind(), answer.message());
        error.0.may_have_been_done = answer.status >= 500 || answer.status == 408;
        error.with_answer(answer)
    }

    /// The error of a 2xx answer that cannot be used.
    pub(crate) fn of_unusable(message: &str, answer: ErrorAnswer) -> Error {
        let mut error = Error::new(ErrorKind::Decode, answer.unusable(message));
        error.0.hint = answer.is_web_page().then_some(Cow::Borrowed(
            "this is a web page: check the host, and that the path begins with /api/",
        ));
        error.0.may_have_been_done = true;
        error.with_answer(answer)
    }

    pub(crate) fn with_answer(mut self, answer: ErrorAnswer) -> Error {
        self.0.answer = Some(answer);
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_location(mut self, location: &str) -> Error {
        self.0.location = Some(location.to_owned());
        self
    }

    /// `may`: the request may have reached the server, and changes something there.
    pub(crate) fn done(mut self, may: bool) -> Error {
        self.0.may_have_been_done = may;
        self
    }

    /// Names the call that failed, and what to do about its answer. An error that names a call
    /// already stays as it is.
    pub(crate) fn of_call(mut self, method: &'static str, path: &str, query: &str) -> Error {
        let Parts { kind, call, answer, hint, .. } = &mut *self.0;
        if call.is_none() && *kind != ErrorKind::Config {
            *call = Some((method, path.to_owned()));
            if let (None, Some(answer)) = (&hint, answer) {
                *hint = answer.hint(method, path, query);
            }
        }
        self
    }

    /// The same error with `edit` applied to each text in it.
    pub(crate) fn map_text(mut self, edit: &impl Fn(&str) -> String) -> Error {
        let Parts { message, hint, call, answer, location, .. } = &mut *self.0;
        *message = edit(message);
        if let Some(Cow::Owned(hint)) = hint {
            *hint = edit(hint);
        }
        for text in call.iter_mut().map(|(_, path)| path).chain(location) {
            *text = edit(text);
        }
        if let Some(answer) = answer {
            answer.map_text(edit);
        }
        self
    }

    /// An error as the client would return it for an answer with this error status and body, for
    /// tests of your own code.
    ///
    /// It has no call. [`retry_after`](Error::retry_after) is read from PostHog's detail.
    pub fn from_answer(status: u16, body: impl Into<String>) -> Error {
        let answer = ErrorAnswer::read(status, &body.into(), &|text| cut(text.to_owned()));
        let hint = answer.hint("", "", "");
        let mut error = Error::of_answer(answer);
        error.0.hint = hint;
        error
    }

    /// An error of this kind, for tests of your own code. It has no call and no answer.
    pub fn from_kind(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, cut(message.into()))
    }

    /// What went wrong, for a program to act on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, without the call and without the [`hint`](Error::hint).
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do. Some hints name functions of this crate, such as `Query::scan`.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The method and the path of the call, without host and query. `None` where no call was made,
    /// as for a reader of an insight.
    pub fn call(&self) -> Option<(&str, &str)> {
        self.0.call.as_ref().map(|(method, path)| (*method, path.as_str()))
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.answer().map(|answer| answer.status)
    }

    /// PostHog's `type`: `authentication_error`, `invalid_request`, `validation_error`,
    /// `throttled_error` or `server_error`.
    pub fn error_type(&self) -> Option<&str> {
        self.answer()?.error_type.as_deref()
    }

    /// PostHog's `code`, such as `permission_denied`, `not_found` or `invalid_input`.
    pub fn code(&self) -> Option<&str> {
        self.answer()?.code.as_deref()
    }

    /// PostHog's `detail`: one sentence for a person.
    pub fn detail(&self) -> Option<&str> {
        self.answer()?.detail.as_deref()
    }

    /// PostHog's `attr`: the field that is not valid; the parts of a nested field are joined by
    /// `__`.
    pub fn attr(&self) -> Option<&str> {
        self.answer()?.attr.as_deref()
    }

    /// PostHog's `extra`: for an SQL error, `hogql_metadata.errors` has the positions (`start`,
    /// `end`) and messages.
    pub fn extra(&self) -> Option<&Value> {
        self.answer()?.extra.as_ref()
    }

    /// The answer's `Content-Type`, if there was one.
    pub fn content_type(&self) -> Option<&str> {
        self.answer()?.content_type.as_deref()
    }

    /// The beginning of the answer's body, at most 64 KiB, with the key masked.
    pub fn body(&self) -> Option<&str> {
        self.answer().map(|answer| answer.body.as_str())
    }

    /// How long PostHog asked to wait, in its `Retry-After` header or in its detail.
    pub fn retry_after(&self) -> Option<Duration> {
        self.answer()?.retry_after
    }

    /// The answer's `X-Request-Id` or `CF-Ray`, to quote to PostHog's support.
    pub fn request_id(&self) -> Option<&str> {
        self.answer()?.request_id.as_deref()
    }

    /// The scope that the key needs and does not have, such as `person:read`, if PostHog names it.
    pub fn missing_scope(&self) -> Option<&str> {
        self.answer()?.missing_scope()
    }

    /// The `Location` header of a redirect that was not followed, with the key masked.
    pub fn location(&self) -> Option<&str> {
        self.0.location.as_deref()
    }

    /// Whether the same call may succeed later: the network or the server was in trouble, the calls
    /// were too many, or the result is still being computed.
    pub fn is_transient(&self) -> bool {
        use ErrorKind as K;
        let kind = self.kind();
        matches!(kind, K::Dns | K::Connect | K::Broken | K::Timeout)
            || matches!(kind, K::RateLimited | K::QueryBudget | K::TooSlow | K::Running)
            || (kind == K::Server && self.status() != Some(501))
    }

    /// Of a write that failed: whether the server may have received it, so that it may have been
    /// done. Always false for reads and queries.
    pub fn may_have_been_done(&self) -> bool {
        self.0.may_have_been_done
    }

    fn answer(&self) -> Option<&ErrorAnswer> {
        self.0.answer.as_ref()
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((method, path)) = self.call() {
            write!(f, "{method} {}: ", line(path, 300))?;
        }
        f.write_str(&line(self.message(), 1_000))?;
        if let Some(hint) = self.hint() {
            write!(f, "; {}", line(hint, 1_000))?;
        }
        let Some(answer) = self.answer().filter(|_| f.alternate()) else { return Ok(()) };
        for place in answer.places_in_sql() {
            write!(f, "\n{place}")?;
        }
        if answer.body.is_empty() { Ok(()) } else { write!(f, "\n{}", answer.body) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { self.0.fmt(f) } else { fmt::Display::fmt(self, f) }
    }
}
