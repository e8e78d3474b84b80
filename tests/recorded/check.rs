//! Checks of requests, answers and errors. What a test knows about the fields of an error is here.

use std::collections::BTreeMap;
use std::time::Duration;

use posthog_api::{Error, ErrorKind, Page};
use serde_json::{Map, Value, json};

use crate::standin::KEY;
use crate::standin::http::{Request, decode, pairs};
use crate::standin::recordings::Recorded;
use crate::table::{Class, Got};

/// The body as JSON. One body is not JSON: there, null replaces what JSON cannot express.
pub fn json_of(recorded: &Recorded) -> Value {
    match recorded.name.as_str() {
        "query_inf_nan" => {
            let bare = "[[Infinity, NaN, -Infinity]]";
            assert!(recorded.text().contains(bare));
            let text = recorded.text().replace(bare, "[[null,null,null]]");
            serde_json::from_str(&text).unwrap()
        }
        "gzip_persons" | "gzip_me" => {
            serde_json::from_reader(flate2::read::GzDecoder::new(&recorded.body[..])).unwrap()
        }
        _ => serde_json::from_slice(&recorded.body).unwrap(),
    }
}

/// The parameters; `properties` as JSON, in one form.
pub fn params(query: &str) -> BTreeMap<String, Value> {
    let pairs = pairs(query);
    let count = pairs.len();
    let read = |(name, value): (String, String)| {
        let json = serde_json::from_str(&value).ok().filter(|_| name == "properties");
        (name, json.map_or(Value::String(value), |json| one_form(&json)))
    };
    let map: BTreeMap<String, Value> = pairs.into_iter().map(read).collect();
    assert_eq!(map.len(), count, "a parameter twice: {query}");
    map
}

/// `exact` and `is_not` compare with a set of texts: some recordings have one value, or numbers.
pub fn one_form(filter: &Value) -> Value {
    match filter {
        Value::Array(filters) => {
            // AND and OR have no order.
            let mut filters: Vec<Value> = filters.iter().map(one_form).collect();
            filters.sort_by_key(Value::to_string);
            filters.into()
        }
        Value::Object(fields) => {
            let form = |(name, value): (&String, &Value)| {
                let value = if name == "values" { one_form(value) } else { value.clone() };
                (name.clone(), value)
            };
            let mut fields: Map<String, Value> = fields.iter().map(form).collect();
            let set = fields.get("operator").is_some_and(|o| o == "exact" || o == "is_not");
            if let Some(value) = fields.get_mut("value").filter(|_| set) {
                let one = std::slice::from_ref(value);
                let mut texts: Vec<Value> =
                    value.as_array().map_or(one, Vec::as_slice).iter().map(as_text).collect();
                texts.sort_by_key(Value::to_string);
                *value = texts.into();
            }
            Value::Object(fields)
        }
        other => other.clone(),
    }
}

fn as_text(value: &Value) -> Value {
    value.as_f64().map_or_else(|| value.clone(), |number| number.to_string().into())
}

/// The request is the recorded one, except for the parameters that the crate adds.
pub fn request(sent: &Request, recorded: &Recorded) {
    let what = format!("{} for {}: {}", sent.target, recorded.name, recorded.target);
    assert_eq!(sent.method, recorded.method, "{what}");
    let path = decode(recorded.path());
    let slash = if path.ends_with('/') { "" } else { "/" };
    let sent_path = decode(sent.path());
    assert!(sent_path == path || sent_path == format!("{path}{slash}"), "{what}");
    let query = recorded.target.split_once('?').map_or("", |(_, query)| query);
    let (mut given, expected) = (params(sent.query()), params(query));
    for (name, value) in [
        ("limit", "1000"),
        ("order", "id"),
        ("include_query_insights", "true"),
        ("limit", "50"),
        ("version", "3"),
    ] {
        if !expected.contains_key(name) && given.get(name).is_some_and(|v| v == value) {
            given.remove(name);
        }
    }
    assert_eq!(given, expected, "{what}");
    let body = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap_or_default() };
    let expected = recorded.request_body.as_deref().unwrap_or_default();
    assert_eq!(body(&sent.body), body(expected.as_bytes()), "{what}");
}

/// What a call returned is what the body holds.
pub fn body(got: Got, recorded: &Recorded, what: &str) {
    match got {
        Got::Json(value) => assert_eq!(value, json_of(recorded), "{what}"),
        Got::Text(value) => assert_eq!(value, recorded.text(), "{what}"),
        Got::Page(page) => {
            let body = json_of(recorded);
            self::page(&page, &body, says_more(&body).unwrap_or(false), what);
        }
        Got::Row(row) => assert_eq!(json!([row]), json_of(recorded)["results"], "{what}"),
        Got::Found(found) => {
            let rows = json_of(recorded)["results"].as_array().unwrap().clone();
            assert!(rows.len() < 2, "{what}");
            assert_eq!(found, rows.into_iter().next(), "{what}");
        }
    }
}

/// Whether more pages come, if the page says it.
pub fn says_more(page: &Value) -> Option<bool> {
    let has = || ["has_next", "has_more"].iter().find_map(|name| page.get(name)?.as_bool());
    page.get("next").map(Value::is_string).or_else(has)
}

pub fn page(page: &Page, body: &Value, more: bool, what: &str) {
    let list = body.get("results").unwrap_or(body).as_array().unwrap();
    assert_eq!(&page.results, list, "{what}");
    let count = body.get("count").or_else(|| body.get("total_count")).and_then(Value::as_u64);
    assert_eq!(page.count, count, "{what}");
    assert_eq!(page.has_next, more, "{what}");
}

pub fn refused(error: &Error, recorded: &Recorded, class: Class, what: &str) {
    let api = error;
    let body: Value = serde_json::from_slice(&recorded.body).unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str);
    // The poll of a failed query has its message in another place.
    let detail = body.pointer("/query_status/error_message").and_then(Value::as_str);
    assert_eq!(error.status(), Some(recorded.status), "{what}");
    assert_eq!(
        (api.error_type(), api.code(), api.detail(), api.attr()),
        (field("type"), field("code"), field("detail").or(detail), field("attr")),
        "{what}"
    );
    assert_eq!(
        (api.call().map(|(method, _)| method), api.body()),
        (Some(&recorded.method[..]), Some(recorded.text())),
        "{what}"
    );
    let wait = match class {
        Class::Throttled(seconds) => seconds.map(Duration::from_secs),
        _ => None,
    };
    assert_eq!(api.retry_after(), wait, "{what}");
    assert_eq!(
        (
            error.kind() == posthog_api::ErrorKind::Unauthenticated,
            error.kind() == posthog_api::ErrorKind::PermissionDenied,
            error.kind() == posthog_api::ErrorKind::NotFound,
            error.kind() == posthog_api::ErrorKind::RateLimited,
            error.kind() == posthog_api::ErrorKind::TooSlow
        ),
        (
            class == Class::Key,
            class == Class::Forbidden,
            class == Class::Missing,
            matches!(class, Class::Throttled(_)),
            recorded.status == 504
        ),
        "{what}"
    );
    let scope = api.detail().and_then(|detail| detail.split_once("required scope '"));
    let scope = scope.map(|(_, scope)| scope.trim_end_matches('\''));
    assert_eq!(error.missing_scope(), scope, "{what}");
    assert_eq!(api.extra(), body.get("extra"), "{what}");
    let line = error.to_string();
    assert!(!line.contains('\n') && line.contains(&recorded.status.to_string()), "{what}: {line}");
    let path = recorded.path().trim_end_matches('/');
    assert!(
        line.starts_with(&format!("{} {path}", recorded.method))
            || recorded.name.ends_with("double_slash"),
        "{what}: {line}"
    );
    assert!(class != Class::TooLong || line.contains("HogQL"), "{what}: {line}");
    // The long form adds the body.
    assert!(format!("{error:#}").contains(recorded.text()), "{what}");
}

/// A lookup that returned no row.
pub fn absent(error: &Error, what: &str) {
    assert_eq!(error.kind(), ErrorKind::NotFound, "{what}: {error:?}");
}

pub fn unreadable(error: &Error, recorded: &Recorded, word: &str, what: &str) {
    assert_eq!((error.kind(), error.status()), (ErrorKind::Decode, Some(200)), "{what}");
    assert_eq!(error.body(), Some(&without_key(recorded.text())[..]), "{what}");
    let line = error.to_string();
    let kind = recorded.header("Content-Type").unwrap();
    assert!(line.contains(word) && line.contains(kind) && !line.contains('\n'), "{what}: {line}");
}

/// The text as errors show it: any 8 bytes that are in the key are hidden, even digits of a number.
fn without_key(text: &str) -> String {
    let in_key = |run: &[u8]| KEY.as_bytes().windows(8).any(|part| part == run);
    let runs = text.as_bytes().windows(8).enumerate().filter(|(_, run)| in_key(run));
    let mut hidden = text.as_bytes().to_vec();
    for (at, _) in runs {
        hidden[at..at + 8].fill(0);
    }
    let hidden = String::from_utf8(hidden).unwrap();
    regex_lite::Regex::new("\0+").unwrap().replace_all(&hidden, "***").into_owned()
}

/// The rows of an answer are not all.
pub fn cut_short(error: &Error, what: &str) {
    assert_eq!(error.kind(), ErrorKind::CutShort, "{what}: {error:?}");
}

pub fn config_error(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    error.to_string()
}
