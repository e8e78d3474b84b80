//! An error status, and what PostHog says of it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::error::{identify, line, with_body};

/// An error status, with all that the answer said.
///
/// PostHog's standard body is `{"type", "code", "detail", "attr"}`; other shapes, HTML and empty bodies leave those empty and
/// are in [`body`](ApiError::body) as they came.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub(crate) status: u16,
    pub(crate) kind: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) attr: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) request_id: Option<String>,
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) body: String,
}

impl ApiError {
    /// Reads what `body` says of itself; `url` and `body` have the key masked already.
    pub(crate) fn read(method: &'static str, url: String, status: u16, body: String) -> ApiError {
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        let field = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        // A failed query's poll, and a few old views, do not answer in the standard shape.
        let polled = json
            .pointer("/query_status/error_message")
            .and_then(Value::as_str);
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
            retry_after: None,
            request_id: None,
            method,
            url,
            body,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// PostHog's `type`: `authentication_error`, `invalid_request`, `validation_error`, `throttled_error`, `server_error`.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// PostHog's `code`, such as `permission_denied`, `not_found`, `invalid_input`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// PostHog's `detail`: one sentence, for a person.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// PostHog's `attr`: the field that is wrong, nested ones joined by `__`.
    #[must_use]
    pub fn attr(&self) -> Option<&str> {
        self.attr.as_deref()
    }

    /// How long PostHog asked to wait, by its `Retry-After` header or in its detail.
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

    /// The URL that was asked for, the key masked.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The body as it came: its first 64 KiB, the key masked.
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

    fn path(&self) -> &str {
        let after_scheme = self
            .url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, rest)| rest);
        let path = after_scheme
            .find('/')
            .and_then(|at| after_scheme.get(at..))
            .unwrap_or("/");
        path.split_once('?').map_or(path, |(path, _)| path)
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        let long = self.url.len() > 4_000;
        Some(Cow::Borrowed(match self.status {
            _ if self.is_unauthenticated() => {
                "check the key, and that the host is the region it was made in"
            }
            402 => "a billing limit or a paid feature: see the organization's billing page",
            403 => "check the key's scopes, and that it may use this project",
            404 => "check the id, the project and the host",
            405 if self.method == "DELETE" => {
                "delete it with PATCH and the body {\"deleted\": true}"
            }
            413 => "send less at a time",
            400 | 414 | 431 if long => {
                "the URL is too long for the server: ask with HogQL, whose query goes in the body"
            }
            429 => {
                return Some(match self.retry_after {
                    Some(wait) => Cow::Owned(format!(
                        "wait {} s, or let RetryPolicy::patient() do it",
                        wait.as_secs()
                    )),
                    None => Cow::Borrowed("ask less often, or let RetryPolicy::patient() wait"),
                });
            }
            504 | 512 => "it takes the server too long: narrow the query",
            500.. => "the fault is the server's: try again later",
            _ => return None,
        }))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.method,
            line(self.path(), 300),
            self.status
        )?;
        if let Some(code) = &self.code {
            write!(f, " {}", line(code, 80))?;
        }
        if let Some(attr) = &self.attr {
            write!(f, " ({})", line(attr, 80))?;
        }
        match &self.detail {
            Some(detail) => write!(f, ": {}", line(detail, 500).trim_end_matches('.'))?,
            None if self.body.is_empty() => f.write_str(": no body")?,
            None => write!(f, ": the body begins '{}'", line(&self.body, 120))?,
        }
        if let Some(advice) = self.advice() {
            write!(f, "; {advice}")?;
        }
        identify(f, self.request_id.as_deref())?;
        with_body(f, &self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn api(status: u16, method: &'static str, body: &str) -> ApiError {
        ApiError::read(
            method,
            "https://us.posthog.com/api/x/?a=b".into(),
            status,
            body.into(),
        )
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
            api(405, "DELETE", "")
                .to_string()
                .contains(r#"PATCH and the body {"deleted": true}"#)
        );
        assert!(format!("{e:#}").contains("\"attr\":null"));
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
            (
                r#"{"query_status":{"error":true,"error_message":"d"}}"#,
                Some("d"),
            ),
            (r#"{"detail":["e"]}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(api(400, "GET", body).detail(), detail, "{body}");
        }
    }
}
