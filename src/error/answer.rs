//! An answer that cannot be used, and what PostHog says in it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::kind::ErrorKind;
use super::text::line;

/// What an error keeps of an answer.
///
/// PostHog's standard body is `{"type", "code", "detail", "attr"}`. Where the body has another
/// shape, is HTML or is empty, those are `None`.
#[derive(Debug, Clone)]
pub(crate) struct ErrorAnswer {
    pub(crate) status: u16,
    pub(crate) error_type: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) attr: Option<String>,
    pub(crate) extra: Option<Value>,
    pub(crate) content_type: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) request_id: Option<String>,
    pub(crate) body: String,
}

impl ErrorAnswer {
    /// Reads an answer. `edit` masks each text before any of it is cut.
    pub(crate) fn read(status: u16, body: &str, edit: &impl Fn(&str) -> String) -> ErrorAnswer {
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        let field = |name: &str| json.get(name).and_then(Value::as_str).map(edit);
        // The poll of a failed query, and a few old views, do not answer in the standard shape.
        let polled = json.pointer("/query_status/error_message").and_then(Value::as_str);
        let detail = ["detail", "error", "message"].into_iter().find_map(field);
        let detail = detail.or_else(|| polled.map(edit));
        let mut extra = json.get("extra").filter(|extra| !extra.is_null()).cloned();
        if let Some(extra) = &mut extra {
            map_strings(extra, edit);
        }
        ErrorAnswer {
            status,
            error_type: field("type"),
            code: field("code"),
            retry_after: detail.as_deref().and_then(seconds_in_detail),
            detail,
            attr: field("attr"),
            extra,
            content_type: None,
            request_id: None,
            body: edit(body),
        }
    }

    /// The kind of an error status.
    pub(super) fn kind(&self) -> ErrorKind {
        match (self.status, self.code.as_deref()) {
            (_, Some("not_authenticated" | "authentication_failed")) => ErrorKind::Unauthenticated,
            (401, code) if code != Some("permission_denied") => ErrorKind::Unauthenticated,
            (401 | 403, _) => ErrorKind::PermissionDenied,
            (404, _) => ErrorKind::NotFound,
            (429, Some("api_queries_budget_exceeded")) => ErrorKind::QueryBudget,
            (504 | 512 | 524, _) | (_, Some("query_timeout")) => ErrorKind::TooSlow,
            (429, _) => ErrorKind::RateLimited,
            (500.., _) => ErrorKind::Server,
            _ => ErrorKind::Refused,
        }
    }

    /// What an error status says, on one line.
    pub(super) fn message(&self) -> String {
        let mut out = self.status.to_string();
        if let Some(code) = &self.code {
            let _ = write!(out, " {}", line(code, 80)); // a String takes all
        }
        if let Some(attr) = &self.attr {
            let _ = write!(out, " ({})", line(attr, 80));
        }
        let why = match &self.detail {
            Some(detail) => line(detail, 500).trim_end_matches('.').to_owned(),
            None => self.begin_of_body(),
        };
        format!("{out}: {why}{}", self.request())
    }

    /// The same of a 2xx answer that cannot be used for this reason.
    pub(super) fn unusable(&self, why: &str) -> String {
        let content_type = line(self.content_type.as_deref().unwrap_or("no content type"), 80);
        let (why, body) = (line(why, 500), self.begin_of_body());
        format!("{} ({content_type}): {why}: {body}{}", self.status, self.request())
    }

    fn begin_of_body(&self) -> String {
        match line(&self.body, 120) {
            body if body.is_empty() => "the body is empty".to_owned(),
            body => format!("the body begins '{body}'"),
        }
    }

    fn request(&self) -> String {
        let id = self.request_id.as_deref().map(|id| line(id, 80));
        id.map_or(String::new(), |id| format!(" (request {id})"))
    }

    pub(super) fn is_web_page(&self) -> bool {
        self.body.trim_start().starts_with('<')
    }

    /// `person:read`, out of `API key missing required scope 'person:read'`.
    pub(super) fn missing_scope(&self) -> Option<&str> {
        let (_, after) = self.detail.as_deref()?.split_once("missing required scope")?;
        after.split('\'').nth(1).filter(|scope| self.status == 403 && scope.contains(':'))
    }

    /// The lines of an SQL statement in which PostHog found errors, each with a caret under the
    /// error.
    pub(super) fn places_in_sql(&self) -> Vec<String> {
        let metadata = self.extra.as_ref().and_then(|extra| extra.get("hogql_metadata"));
        let sql = metadata.and_then(|metadata| metadata.get("query")).and_then(Value::as_str);
        let errors = metadata.and_then(|metadata| metadata.get("errors")).and_then(Value::as_array);
        let (Some(sql), Some(errors)) = (sql, errors) else { return Vec::new() };
        let start = |error: &Value| usize::try_from(error.get("start")?.as_u64()?).ok();
        errors.iter().take(10).filter_map(start).map(|start| with_caret(sql, start)).collect()
    }

    /// What to do about an error status.
    pub(super) fn hint(&self, method: &str, path: &str, query: &str) -> Option<Cow<'static, str>> {
        let filtered = path.ends_with("/persons/") && query.contains("properties=");
        let query_route = path.contains("/query/");
        Some(Cow::Borrowed(match self.status {
            _ if self.kind() == ErrorKind::Unauthenticated => {
                "check the key, and that the host is the region in which it was made"
            }
            200..=299 => return None,
            402 => "a billing limit or a paid feature: see the organization's billing page",
            403 => match self.missing_scope() {
                Some(scope) => {
                    return Some(Cow::Owned(format!("give the key the scope {}", line(scope, 80))));
                }
                None if self.detail_has("does not support personal api key") => {
                    "PostHog does not open this route to personal API keys; no scope changes that"
                }
                None => "check the key's scopes, and that it may use this project",
            },
            404 if path.ends_with("/personal_api_keys/@current/") => {
                "servers before 2025 do not have this route: use Client::me"
            }
            404 => "check the id, the project and the host",
            405 if method == "DELETE" && path.contains("/persons/") => {
                "send a POST to persons/bulk_delete/ with the body {\"distinct_ids\": [...]} instead"
            }
            405 if method == "DELETE" => "send a PATCH with the body {\"deleted\": true} instead",
            413 => "send less at a time",
            400 | 414 | 431 if path.len() + query.len() > 4_000 => {
                "the URL is too long for the server: use HogQL, which sends the query in the body"
            }
            400 if self.detail_has("offset") => {
                "personal API keys may not use OFFSET: read all rows with Query::scan"
            }
            400 if self.detail_has("cannot redefine an alias") => {
                "name each column once: `*` already has the columns of the table"
            }
            400 if self.code.as_deref() == Some("type_mismatch") => {
                "a time or a UUID may be compared with text: use toDateTime or toUUID"
            }
            _ if self.kind() == ErrorKind::TooSlow => match () {
                () if self.detail_has("memory") => {
                    "it needs too much memory: select less, or narrow it"
                }
                () if path.trim_end_matches('/').ends_with("/run") => {
                    "the endpoint takes the server too long: narrow its query, or materialize it in PostHog"
                }
                () if query_route => {
                    "it takes the server too long: run the query with .background(), which gives it more time, or narrow it"
                }
                () => "it takes the server too long: ask for less",
            },
            429 => return Some(self.hint_of_429()),
            500 if filtered => PERSON_FILTERS,
            500 if query_route => QUERY_500,
            500.. => "this is an error of the server: try again later",
            _ => return None,
        }))
    }

    fn hint_of_429(&self) -> Cow<'static, str> {
        let wait = self.retry_after.map(|wait| wait.as_secs());
        if self.kind() == ErrorKind::QueryBudget {
            let when = wait
                .map_or(" every hour".to_owned(), |s| format!(" in {} minutes", s.div_ceil(60)));
            return Cow::Owned(format!(
                "the queries of this project may read a certain number of bytes an hour, and have \
                 read them; the budget is renewed{when}: select fewer columns or a shorter time"
            ));
        }
        if self.detail_has("too many queries") || self.detail_has("concurrency") {
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

    /// Whether the detail has this text, which is in small letters, in any case.
    fn detail_has(&self, text: &str) -> bool {
        self.detail.as_deref().is_some_and(|detail| detail.to_lowercase().contains(text))
    }

    pub(super) fn map_text(&mut self, edit: &impl Fn(&str) -> String) {
        let ErrorAnswer { error_type, code, detail, attr, content_type, request_id, .. } = self;
        let texts = [error_type, code, detail, attr, content_type, request_id];
        for text in texts.into_iter().flatten().chain([&mut self.body]) {
            *text = edit(text);
        }
        if let Some(extra) = &mut self.extra {
            map_strings(extra, edit);
        }
    }
}

/// The wait in a detail such as `Expected available in 12 seconds.`
fn seconds_in_detail(detail: &str) -> Option<Duration> {
    let (_, after) = detail.split_once("available in ")?;
    let end = after.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = after.split_at_checked(end)?;
    unit.strip_prefix(" second")?;
    digits.parse().ok().map(Duration::from_secs)
}

const PERSON_FILTERS: &str = "these filters are known to fail on current servers: gt, gte, lt and lte on a property that is not \
     defined as Numeric (change its definition in PostHog, or use HogQL), and a regular expression that RE2 does not know";

const QUERY_500: &str = "the server cannot run this SQL, or is in trouble: frequent causes are a time or a UUID that is \
     compared with text (use toDateTime or toUUID); PostHog's SQL editor shows the reason";

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

/// Two lines: the line of `sql` with the character at `start`, and a caret under it. Other
/// characters are counted as one column.
fn with_caret(sql: &str, start: usize) -> String {
    let before: String = sql.chars().take(start).collect();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let rest = sql.get(before.len() - line.len()..).unwrap_or_default();
    let text = rest.split('\n').next().unwrap_or_default().trim_end();
    let indent: String = line.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    format!("{text}\n{indent}^")
}

#[cfg(test)]
mod tests;
