//! An error status, and what PostHog's answer says about it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::text::{cut, line};
use super::{add_body, add_request_id};

/// An answer with an error status, and everything that it said.
///
/// PostHog's standard body is `{"type", "code", "detail", "attr"}`. Where the body has another
/// shape, is HTML or is empty, those are `None`, and [`body`](ApiError::body) has the text.
///
/// # Examples
/// A validation error names the field in [`attr`](ApiError::attr):
/// ```
/// use posthog_api::ApiError;
///
/// let body = r#"{"type": "validation_error", "code": "required", "detail": "This field is required.", "attr": "name"}"#;
/// let error = ApiError::new(400, body);
/// assert_eq!((error.attr(), error.code()), (Some("name"), Some("required")));
/// ```
#[derive(Debug, Clone)]
pub struct ApiError {
    status: u16,
    kind: Option<String>,
    code: Option<String>,
    detail: Option<String>,
    attr: Option<String>,
    extra: Option<Value>,
    retry_after: Option<Duration>,
    request_id: Option<String>,
    method: &'static str,
    url: String,
    body: String,
}

impl ApiError {
    /// An error as the client would return it for this status and body, for tests of your own code.
    ///
    /// The method and the URL are empty. [`retry_after`](ApiError::retry_after) is read from the
    /// detail.
    #[must_use]
    pub fn new(status: u16, body: impl Into<String>) -> ApiError {
        let mut error = ApiError::read("", String::new(), status, body.into());
        error.retry_after = error.detail().and_then(ApiError::available_in);
        error.map_text(&|text| cut(text.to_owned()));
        error
    }

    pub(crate) fn read(method: &'static str, url: String, status: u16, body: String) -> ApiError {
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        let field = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        // The poll of a failed query, and a few old views, do not answer in the standard shape.
        let polled = json.pointer("/query_status/error_message").and_then(Value::as_str);
        let detail = field("detail")
            .or_else(|| field("error"))
            .or_else(|| field("message"))
            .or_else(|| polled.map(str::to_owned));
        ApiError {
            status,
            kind: field("type"),
            code: field("code"),
            detail,
            attr: field("attr"),
            extra: json.get("extra").filter(|extra| !extra.is_null()).cloned(),
            retry_after: None,
            request_id: None,
            method,
            url,
            body,
        }
    }

    pub(crate) fn with_headers(
        mut self,
        retry_after: Option<Duration>,
        id: Option<String>,
    ) -> Self {
        self.retry_after = retry_after;
        self.request_id = id;
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// PostHog's `type`: `authentication_error`, `invalid_request`, `validation_error`,
    /// `throttled_error` or `server_error`.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// PostHog's `code`, such as `permission_denied`, `not_found` or `invalid_input`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// PostHog's `detail`: one sentence for a person.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// PostHog's `attr`: the field that is not valid; the parts of a nested field are joined by
    /// `__`.
    #[must_use]
    pub fn attr(&self) -> Option<&str> {
        self.attr.as_deref()
    }

    /// PostHog's `extra`: for an SQL error, `hogql_metadata.errors` has the positions (`start`,
    /// `end`) and messages.
    #[must_use]
    pub fn extra(&self) -> Option<&Value> {
        self.extra.as_ref()
    }

    /// How long PostHog asked to wait, in its `Retry-After` header or in its detail.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The answer's `X-Request-Id` or `CF-Ray`, to quote to PostHog's support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The HTTP method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method
    }

    /// The URL of the request, with the key masked.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The beginning of the body, at most 64 KiB, with the key masked.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    pub(crate) fn is_unauthenticated(&self) -> bool {
        match self.code.as_deref() {
            Some("not_authenticated" | "authentication_failed") => true,
            Some("permission_denied") => false,
            _ => self.status == 401,
        }
    }

    pub(crate) fn is_query_budget_exhausted(&self) -> bool {
        self.status == 429 && self.code() == Some("api_queries_budget_exceeded")
    }

    /// `person:read`, out of `API key missing required scope 'person:read'`.
    pub(crate) fn missing_scope(&self) -> Option<&str> {
        let (_, after) = self.detail()?.split_once("missing required scope")?;
        after.split('\'').nth(1).filter(|scope| self.status == 403 && scope.contains(':'))
    }

    /// The wait in a detail such as `Expected available in 12 seconds.`
    pub(crate) fn available_in(detail: &str) -> Option<Duration> {
        let (_, after) = detail.split_once("available in ")?;
        let end = after.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = after.split_at_checked(end)?;
        unit.strip_prefix(" second")?;
        digits.parse().ok().map(Duration::from_secs)
    }

    /// The lines of an SQL statement in which PostHog found errors, each with a caret under the error.
    fn places_in_sql(&self) -> Vec<String> {
        let metadata = self.extra.as_ref().and_then(|extra| extra.get("hogql_metadata"));
        let sql = metadata.and_then(|metadata| metadata.get("query")).and_then(Value::as_str);
        let errors = metadata.and_then(|metadata| metadata.get("errors")).and_then(Value::as_array);
        let (Some(sql), Some(errors)) = (sql, errors) else { return Vec::new() };
        let start = |error: &Value| usize::try_from(error.get("start")?.as_u64()?).ok();
        errors.iter().take(10).filter_map(start).map(|start| with_caret(sql, start)).collect()
    }

    fn detail_has(&self, text: &str) -> bool {
        self.detail().is_some_and(|detail| detail.contains(text))
    }

    fn path(&self) -> &str {
        let (_, after_scheme) = self.url.split_once("://").unwrap_or(("", &self.url));
        let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or("");
        path.split_once('?').map_or(path, |(path, _)| path)
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        let path = self.path();
        let filtered = path.ends_with("/persons/") && self.url.contains("properties=");
        Some(Cow::Borrowed(match self.status {
            _ if self.is_unauthenticated() => {
                "check the key, and that the host is the region in which it was made"
            }
            402 => "a billing limit or a paid feature: see the organization's billing page",
            403 => match self.missing_scope() {
                Some(scope) => {
                    return Some(Cow::Owned(format!("give the key the scope {}", line(scope, 80))));
                }
                None if self.detail_has("does not support personal API key") => {
                    "PostHog does not open this route to personal API keys; no scope changes that"
                }
                None => "check the key's scopes, and that it may use this project",
            },
            404 => "check the id, the project and the host",
            405 if self.method == "DELETE" => {
                "send a PATCH with the body {\"deleted\": true} instead"
            }
            413 => "send less at a time",
            400 | 414 | 431 if self.url.len() > 4_000 => {
                "the URL is too long for the server: use HogQL, which sends the query in the body"
            }
            400 if self.detail_has("OFFSET") => {
                "personal API keys may not use OFFSET: read all rows with Query::scan"
            }
            504 | 512 if !path.contains("/query/") => "it takes the server too long: ask for less",
            _ if self.code() == Some("query_timeout") => TOO_SLOW,
            429 => return Some(self.advice_of_429()),
            504 | 512 => TOO_SLOW,
            500 if filtered => PERSON_FILTERS,
            500.. => "this is an error of the server: try again later",
            _ => return None,
        }))
    }

    fn advice_of_429(&self) -> Cow<'static, str> {
        let wait = self.retry_after.map(|wait| wait.as_secs());
        if self.is_query_budget_exhausted() {
            let when = wait
                .map_or(" every hour".to_owned(), |s| format!(" in {} minutes", s.div_ceil(60)));
            return Cow::Owned(format!(
                "the queries of this project may read a certain number of bytes an hour, and have read them; the budget is \
                 renewed{when}: \
                 select fewer columns or a shorter time"
            ));
        }
        if self.detail_has("Too many queries") || self.detail_has("concurrency") {
            return Cow::Borrowed(
                "PostHog runs three queries of a project at once: run fewer at the same time",
            );
        }
        match wait {
            Some(0) => Cow::Borrowed("try again"),
            Some(s) => Cow::Owned(format!("wait {s} s, or let RetryPolicy::patient() wait")),
            None => Cow::Borrowed("send fewer requests, or let RetryPolicy::patient() wait"),
        }
    }

    pub(super) fn map_text(&mut self, edit: &impl Fn(&str) -> String) {
        let ApiError {
            status: _,
            kind,
            code,
            detail,
            attr,
            extra,
            retry_after: _,
            request_id,
            method: _,
            url,
            body,
        } = self;
        for text in [kind, code, detail, attr, request_id].into_iter().flatten() {
            *text = edit(text);
        }
        for text in [url, body] {
            *text = edit(text);
        }
        if let Some(extra) = extra {
            map_strings(extra, edit);
        }
    }
}

const TOO_SLOW: &str = "it takes the server too long: run the query with .background(), which gives it more time, or narrow it";

const PERSON_FILTERS: &str = "these filters are known to fail on current servers: gt, gte, lt and lte on a property that is not \
     defined as Numeric (change its definition in PostHog, or use HogQL), and a regular expression that RE2 does not know";

fn map_strings(json: &mut Value, edit: &impl Fn(&str) -> String) {
    match json {
        Value::String(text) => *text = edit(text),
        Value::Array(list) => list.iter_mut().for_each(|value| map_strings(value, edit)),
        Value::Object(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(name, mut value)| {
                    map_strings(&mut value, edit);
                    (edit(&name), value)
                })
                .collect();
        }
        _ => {}
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.method.is_empty() {
            write!(f, "{} {}: ", self.method, line(self.path(), 300))?;
        }
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {}", line(code, 80))?;
        }
        if let Some(attr) = &self.attr {
            write!(f, " ({})", line(attr, 80))?;
        }
        match &self.detail {
            Some(detail) => write!(f, ": {}", line(detail, 500).trim_end_matches('.'))?,
            None if self.body.is_empty() => f.write_str(": the body is empty")?,
            None => write!(f, ": the body begins '{}'", line(&self.body, 120))?,
        }
        if let Some(advice) = self.advice() {
            write!(f, "; {advice}")?;
        }
        add_request_id(f, self.request_id())?;
        if f.alternate() {
            for place in self.places_in_sql() {
                write!(f, "\n{place}")?;
            }
        }
        add_body(f, &self.body)
    }
}

/// Two lines: the line of `sql` with the character at `start`, and a caret under it. Other characters are counted as one column.
fn with_caret(sql: &str, start: usize) -> String {
    let before: String = sql.chars().take(start).collect();
    let first = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = sql.get(first..).unwrap_or_default();
    let text = rest.split('\n').next().unwrap_or_default().trim_end();
    let indent: String = before
        .get(first..)
        .unwrap_or_default()
        .chars()
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    format!("{text}\n{indent}^")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn api(status: u16, method: &'static str, body: &str) -> ApiError {
        ApiError::read(method, "https://us.posthog.com/api/x/?a=b".into(), status, body.into())
    }

    #[test]
    fn display_names_call_status_detail_and_what_to_do() {
        let e = api(
            403,
            "GET",
            r#"{"type":"authentication_error","code":"permission_denied","detail":"Missing scope.","attr":null}"#,
        );
        assert_eq!(
            e.to_string(),
            "GET /api/x/: 403 permission_denied: Missing scope; check the key's scopes, and that it may use this project"
        );
        assert_eq!(api(502, "GET", "<html>\nno").to_string().lines().count(), 1);
        assert!(
            api(405, "DELETE", "").to_string().contains(r#"PATCH with the body {"deleted": true}"#)
        );
        assert!(format!("{e:#}").contains("\"attr\":null"));
    }

    #[test]
    fn a_caret_stands_under_the_error_in_the_sql() {
        for (sql, start, shown) in [
            ("select nosuch from events", 7, "select nosuch from events\n       ^"),
            ("select 1,\n\té, x\nfrom t", 13, "\té, x\n\t  ^"),
            ("select", 99, "select\n      ^"),
            ("", 0, "\n^"),
        ] {
            assert_eq!(with_caret(sql, start), shown);
        }
    }

    #[test]
    fn codes_outrank_statuses() {
        let bad_key = r#"{"type":"authentication_error","code":"authentication_failed","detail":"x","attr":null}"#;
        let scope = r#"{"type":"authentication_error","code":"permission_denied","detail":"x","attr":null}"#;
        for (status, body, unauthenticated, denied) in [
            (401, bad_key, true, false),
            (403, bad_key, true, false),
            (403, scope, false, true),
            (401, "", true, false),
        ] {
            let e = Error::Api(Box::new(api(status, "GET", body)));
            assert_eq!(
                (e.is_unauthenticated(), e.is_permission_denied()),
                (unauthenticated, denied),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn detail_is_found_in_every_shape() {
        for (body, detail) in [
            (r#"{"detail":"a"}"#, Some("a")),
            (r#"{"error":"b"}"#, Some("b")),
            (r#"{"success":false,"message":"c"}"#, Some("c")),
            (r#"{"query_status":{"error":true,"error_message":"d"}}"#, Some("d")),
            (r#"{"detail":["e"]}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(api(400, "GET", body).detail(), detail, "{body}");
        }
    }
}
