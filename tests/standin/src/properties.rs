//! The parameter `properties` as the persons list of August 2023 reads it. It ignores what it does not
//! understand.
use super::http::Request;
use regex_lite::Regex;
use serde_json::{Map, Value};

/// The name of a recorded error answer.
pub(crate) type Refusal = &'static str;
pub(crate) const SERVER_ERROR: Refusal = "persons_limit_neg";
const MALFORMED: Refusal = "persons_props_malformed";
const MIXED: Refusal = "persons_props_group_mixed";

type Test = Box<dyn Fn(&Map<String, Value>) -> bool>;

/// The filter that PostHog makes of the parameter, without the parts that it ignores.
pub(crate) fn filter(text: &str) -> Result<Test, Refusal> {
    match text.trim() {
        "" => return Ok(everybody()),
        // Python's json reads these as numbers.
        "NaN" | "Infinity" | "-Infinity" => return Err(SERVER_ERROR),
        _ => {}
    }
    match serde_json::from_str(text).map_err(|_| MALFORMED)? {
        Value::Array(items) => Ok(group(&items, false)?.unwrap_or_else(everybody)),
        Value::Object(object) => Ok(from_object(&object)?.unwrap_or_else(everybody)),
        Value::String(_) => Err(MALFORMED),
        Value::Null => Ok(everybody()),
        Value::Bool(_) | Value::Number(_) => Err(SERVER_ERROR),
    }
}

/// Whether the server of 2026 answers 500: to a group, to a number in `exact` and `is_not`, and to a
/// regular expression that is not valid.
pub(crate) fn fail_in_2026(request: &Request) -> bool {
    let text = request.param("properties").unwrap_or_default();
    let fails = |filter: &Value| {
        let values = filter["value"].as_array().map_or(&[][..], Vec::as_slice);
        match filter["operator"].as_str() {
            Some("exact" | "is_not") => values.iter().any(Value::is_number),
            Some("regex" | "not_regex") => Regex::new(&plain(&filter["value"])).is_err(),
            _ => false,
        }
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(_)) => true,
        Ok(Value::Array(filters)) => filters.iter().any(fails),
        _ => false,
    }
}

fn everybody() -> Test {
    Box::new(|_| true)
}

/// A group. An object without `values` is the oldest form, for events, and is ignored.
fn from_object(object: &Map<String, Value>) -> Result<Option<Test>, Refusal> {
    let Some(Value::Array(items)) = object.get("values") else {
        return Ok(None);
    };
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
    group(items, kind.eq_ignore_ascii_case("OR"))
}

fn group(items: &[Value], or: bool) -> Result<Option<Test>, Refusal> {
    let objects: Vec<_> = items.iter().filter_map(Value::as_object).collect();
    let groups = objects.iter().filter(|object| object.contains_key("values")).count();
    if groups > 0 && groups < objects.len() {
        return Err(MIXED);
    }
    let mut tests = Vec::new();
    for object in objects {
        if groups > 0 {
            tests.extend(from_object(object)?);
            continue;
        }
        match property(object)? {
            Some(test) => tests.push(test),
            // One filter that is not about persons makes PostHog ignore the whole OR.
            None if or => return Ok(None),
            None => {}
        }
    }
    Ok(match tests.is_empty() {
        true => None,
        false if or => Some(Box::new(move |p| tests.iter().any(|test| test(p)))),
        false => Some(Box::new(move |p| tests.iter().all(|test| test(p)))),
    })
}

/// One filter; none if PostHog ignores it.
fn property(object: &Map<String, Value>) -> Result<Option<Test>, Refusal> {
    let text = |field: &str| object.get(field).and_then(Value::as_str);
    let (Some("person"), Some(key)) = (text("type"), text("key")) else {
        return Ok(None);
    };
    let Some(value) = object.get("value").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let key = key.to_owned();
    Ok(Some(match text("operator").unwrap_or("exact") {
        "is_set" => Box::new(move |p| p.contains_key(&key)),
        "is_not_set" => Box::new(move |p| !p.contains_key(&key)),
        "is_not" => not(exact(key, value)),
        "icontains" => contains(key, value),
        "not_icontains" => not(contains(key, value)),
        "regex" => regex(key, value, false)?,
        "not_regex" => regex(key, value, true)?,
        "gt" => compare(key, value, |a, b| a > b)?,
        "gte" => compare(key, value, |a, b| a >= b)?,
        "lt" => compare(key, value, |a, b| a < b)?,
        "lte" => compare(key, value, |a, b| a <= b)?,
        "is_date_exact" => date(key, value, |p, first, last| first <= p && p <= last)?,
        "is_date_before" => date(key, value, |p, first, _| p < first)?,
        "is_date_after" => date(key, value, |p, _, last| p > last)?,
        _ if value.as_str() == Some("") => everybody(),
        // An unknown operator means `exact`: `not_in` finds what it should leave out.
        _ => exact(key, value),
    }))
}

fn not(test: Test) -> Test {
    Box::new(move |p| !test(p))
}

/// A property as PostHog compares it: its JSON text, escapes included, without the outer quotes.
pub(crate) fn text(properties: &Map<String, Value>, key: &str) -> String {
    let raw = properties.get(key).map(Value::to_string).unwrap_or_default();
    let raw = raw.strip_prefix('"').unwrap_or(&raw);
    raw.strip_suffix('"').unwrap_or(raw).to_owned()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn exact(key: String, value: &Value) -> Test {
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    // JSON true becomes Python's `True`, which never equals the text of a property.
    let texts: Vec<_> = values.iter().filter(|v| !v.is_boolean()).map(plain).collect();
    Box::new(move |p| texts.contains(&text(p, &key)))
}

fn contains(key: String, value: &Value) -> Test {
    if value.is_array() || value.is_object() {
        return Box::new(|_| false);
    }
    let part = plain(value);
    Box::new(move |p| like(&part, &text(p, &key)))
}

/// `ILIKE '%part%'`: `%` and `_` in the part are wildcards.
pub(crate) fn like(part: &str, text: &str) -> bool {
    fn at(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|skip| at(rest, &text[skip..])),
            Some((c, rest)) => text
                .split_first()
                .is_some_and(|(first, text)| (*c == '_' || c == first) && at(rest, text)),
        }
    }
    let pattern: Vec<char> = format!("%{}%", part.to_lowercase()).chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    at(&pattern, &text)
}

/// An invalid expression finds nobody. One that Python accepts and RE2 does not is a 500.
fn regex(key: String, value: &Value, inverted: bool) -> Result<Test, Refusal> {
    let pattern = plain(value);
    match Regex::new(&pattern) {
        Ok(regex) => Ok(Box::new(move |p| regex.is_match(&text(p, &key)) != inverted)),
        Err(_) if pattern.contains("(?") => Err(SERVER_ERROR),
        Err(_) => Ok(Box::new(|_| false)),
    }
}

fn compare(key: String, value: &Value, holds: fn(f64, f64) -> bool) -> Result<Test, Refusal> {
    let number: f64 = plain(value).parse().map_err(|_| SERVER_ERROR)?;
    Ok(Box::new(move |p| text(p, &key).parse().is_ok_and(|own| holds(own, number))))
}

/// `holds` gets the time of the property, and the first and last time of the value, as sortable text.
fn date(key: String, value: &Value, holds: fn(&str, &str, &str) -> bool) -> Result<Test, Refusal> {
    let value = value.as_str().ok_or(SERVER_ERROR)?;
    if !is_date(value) {
        return Ok(Box::new(|_| false));
    }
    let (first, last) = match value.len() {
        10 => (format!("{value} 00:00:00"), format!("{value} 23:59:59")),
        19 if value.as_bytes()[10] == b' ' => (value.to_owned(), value.to_owned()),
        _ => return Err(SERVER_ERROR),
    };
    Ok(Box::new(move |p| {
        let own = text(p, &key);
        let time = own.get(11..19).unwrap_or("00:00:00");
        is_date(&own) && holds(&format!("{} {time}", &own[..10]), &first, &last)
    }))
}

fn is_date(text: &str) -> bool {
    let shape = text.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b });
    shape.take(10).eq(*b"0000-00-00")
}
