//! The rules of the crate, implemented a second time in another way.
use crate::KEY;
use crate::home::query_pairs;
use crate::support::Request;
use posthog_api::Error;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The value of a filter as it must be sent, or `None` where it must be refused.
pub fn operand_on_the_wire(operator: &str, value: &Value) -> Option<Value> {
    let text = as_text(value).unwrap_or_default();
    match operator {
        "exact" | "is_not" => {
            let one = std::slice::from_ref(value);
            let mut texts = Vec::new();
            for value in value.as_array().map_or(one, Vec::as_slice) {
                match value {
                    Value::String(text) if text.is_empty() => return None,
                    Value::Null | Value::Array(_) | Value::Object(_) => return None,
                    Value::String(text) => texts.push(in_json(text)),
                    Value::Number(n) if n.is_f64() => texts.push(float(&n.to_string())),
                    Value::Number(n) => texts.push(n.to_string()),
                    Value::Bool(b) => texts.push(b.to_string()),
                }
            }
            (!texts.is_empty()).then(|| as_set(texts))
        }
        "icontains" | "not_icontains" => {
            (!text.is_empty() && !text.contains('\\')).then(|| in_json(&text).into())
        }
        "regex" | "not_regex" => (!text.is_empty()).then(|| text.into()),
        "gt" | "gte" | "lt" | "lte" => value.is_number().then(|| value.clone()),
        "is_set" | "is_not_set" => Some(operator.into()),
        _ => is_date(&text).then(|| text.into()),
    }
}

/// A text as servers compare it: its JSON, without the quotes.
fn in_json(text: &str) -> String {
    let json = Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// A float, given in any notation, as servers write it: 30, 0.000001, 1e-7 and 1e21.
fn float(text: &str) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    let (number, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let zeros = i32::try_from(all.len() - digits.len()).unwrap();
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return "0".to_owned();
    }
    // How many digits are before the point.
    let point = i32::try_from(whole.len()).unwrap() - zeros + exponent.parse::<i32>().unwrap();
    let places = |n: i32| usize::try_from(n).unwrap();
    let with_point = |at: usize| match digits.split_at(at) {
        (whole, "") => whole.to_owned(),
        (whole, fraction) => format!("{whole}.{fraction}"),
    };
    match point {
        -5..=0 => format!("{sign}0.{}{digits}", "0".repeat(places(-point))),
        1..=21 if digits.len() > places(point) => format!("{sign}{}", with_point(places(point))),
        1..=21 => format!("{sign}{digits:0<width$}", width = places(point)),
        _ => format!("{sign}{}e{}", with_point(1), point - 1),
    }
}

/// The values of `exact` and `is_not`: in one order, each once.
fn as_set(texts: impl IntoIterator<Item = String>) -> Value {
    Vec::from_iter(BTreeSet::from_iter(texts)).into()
}

/// Removes values that are equal to an earlier one.
pub fn keep_first(values: &mut Vec<Value>) {
    let mut kept = Vec::new();
    for value in values.drain(..) {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    *values = kept;
}

/// The filters of an OR that are read one after the other: all `exact` on one property become one.
pub fn alternatives(leaves: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for leaf in leaves {
        let same = |other: &&mut Value| {
            leaf["operator"] == "exact"
                && other["operator"] == "exact"
                && other["key"] == leaf["key"]
        };
        if let Some(other) = out.iter_mut().find(same) {
            let values = [&other["value"], &leaf["value"]].map(|set| set.as_array().unwrap());
            let texts = values.into_iter().flatten().map(|text| text.as_str().unwrap().to_owned());
            other["value"] = as_set(texts);
        } else {
            out.push(leaf);
        }
    }
    keep_first(&mut out);
    out
}

/// `YYYY-MM-DD` or `YYYY-MM-DD hh:mm:ss` of a day that exists.
fn is_date(text: &str) -> bool {
    let fields: Vec<u32> = text.split(['-', ' ', ':']).flat_map(str::parse).collect();
    let ([year, month, day], time) = match fields[..] {
        [year, month, day] => ([year, month, day], None),
        [year, month, day, h, min, s] => ([year, month, day], Some([h, min, s])),
        _ => return false,
    };
    let mut written = format!("{year:04}-{month:02}-{day:02}");
    if let Some([h, min, s]) = time {
        write!(written, " {h:02}:{min:02}:{s:02}").unwrap();
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let last = (month as usize).checked_sub(1).and_then(|at| days.get(at));
    written == text
        && last.is_some_and(|last| (1..=*last).contains(&day))
        && time.is_none_or(|[h, min, s]| h < 24 && min < 60 && s < 60)
}

pub fn may_be_sent(name: &str, text: Option<&str>) -> bool {
    let reserved = matches!(name, "" | "token" | "api_key" | "personal_api_key");
    let no_filter = matches!(name, "short_id" | "distinct_id" | "email" | "search");
    !(reserved || no_filter && text == Some(""))
}

/// Whether servers read a `limit` or an `offset` of a list in one way only.
pub fn may_page(name: &str, text: &str) -> bool {
    match name {
        "limit" => text.parse::<u64>().is_ok_and(|limit| limit > 0),
        "offset" => text.parse::<u64>().is_ok(),
        _ => true,
    }
}

/// The length of a text in a query.
pub fn length(text: &str) -> usize {
    percent_encoded(text).len()
}

pub fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").unwrap(),
        }
    }
    out
}

fn hex(pair: Option<&[u8]>) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let &[high, low] = pair? else { return None };
    Some(digit(high)? * 16 + digit(low)?)
}

/// Decodes percent-encoding as a server does: a `%` that begins no escape stays.
pub fn loosely_decoded(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let escape = hex(bytes.get(at + 1..at + 3)).filter(|_| byte == b'%');
        out.push(escape.unwrap_or(byte));
        at += if escape.is_some() { 3 } else { 1 };
    }
    out
}

/// Decodes what came over the wire, where only complete escapes and visible ASCII are allowed.
pub fn strictly_decoded(text: &str) -> Result<Vec<u8>, TestCaseError> {
    prop_assert!(
        text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&b)),
        "{}",
        text
    );
    prop_assert!(escapes_are_whole(text), "{}", text);
    Ok(loosely_decoded(text))
}

pub fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).all(|at| bytes[at] != b'%' || hex(bytes.get(at + 1..at + 3)).is_some())
}

pub fn has_dot_segment(path: &str) -> bool {
    let path = loosely_decoded(path);
    path.split(|b| *b == b'/').any(|s| s == b"." || s == b"..")
}

/// The project that a path names, in each of the ways in which servers read it.
pub fn project_of(path: &str) -> Option<String> {
    let path = String::from_utf8(loosely_decoded(path)).ok()?.to_lowercase();
    let names = ["projects", "project", "environments", "environment"];
    let mut below = names.iter().filter_map(|name| path.strip_prefix(&format!("/api/{name}/")));
    Some(below.next()?.split('/').next()?.to_owned())
}

pub fn has_placeholder(sql: &str, name: &str) -> bool {
    !name.is_empty()
        && sql.match_indices('{').any(|(at, _)| {
            let inside = sql[at + 1..].split('}').next().unwrap_or_default();
            inside.len() + at + 1 < sql.len() && inside.trim() == name && !inside.contains('{')
        })
}

pub fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains("//")
        && !path.contains(['?', '#'])
        && escapes_are_whole(path)
        && !has_dot_segment(path)
}

/// Scheme, name and port of a host, or `None` where it must be refused.
pub fn origin(host: &str, allow_http: bool) -> Option<(String, String, u16)> {
    let (scheme, rest) = host.trim().split_once("://")?;
    let (scheme, rest) = (scheme.to_ascii_lowercase(), rest.to_ascii_lowercase());
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (name, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let port: u16 = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None if scheme == "https" => 443,
        None => 80,
    };
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_name = match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'))
        }
    };
    let address = v6.unwrap_or(name).parse::<IpAddr>();
    let loopback = name == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
    let path = path.trim_end_matches('/');
    let right = port > 0
        && is_name
        && !name.trim_end_matches('.').ends_with(".i.posthog.com")
        && (scheme == "https" || scheme == "http" && (allow_http || loopback))
        && !rest.contains(['?', '#'])
        && (path.is_empty() || is_path(path));
    right.then(|| (scheme, name.to_owned(), port))
}

pub fn from_bytes(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

pub fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A value after it was written and read: the last digit of a float may differ.
pub fn reparsed(value: &Value) -> Value {
    parsed(&value.to_string())
}

/// Fails if any form of an error shows the key, plain or escaped as in URLs, JSON and `Debug`.
pub fn hides_key(error: &Error, key: &str) -> TestCaseResult {
    let quoted = |text: &str| {
        let text = format!("{text:?}");
        text[1..text.len() - 1].to_owned()
    };
    let encoded = percent_encoded(key);
    let forms = [
        key.to_owned(),
        quoted(key),
        quoted(&quoted(key)),
        encoded.replace("%2F", "/"),
        encoded.to_lowercase(),
        encoded,
    ];
    for printed in
        [format!("{error}"), format!("{error:#}"), format!("{error:?}"), format!("{error:#?}")]
    {
        for form in &forms {
            prop_assert!(!printed.contains(form), "the key is in {}", printed);
        }
    }
    Ok(())
}

/// Fails if the target has the key, unless `way` is 2: then the query must have it once.
pub fn carries_key_only_as(way: usize, seen: &Request) -> TestCaseResult {
    let params = query_pairs(seen)?;
    let keyed = params.iter().filter(|(name, value)| {
        matches!(name.as_str(), "personal_api_key" | "token" | "api_key") || value.contains(KEY)
    });
    prop_assert_eq!(keyed.count(), usize::from(way == 2), "{}", seen.target);
    let path = String::from_utf8_lossy(&loosely_decoded(seen.path())).into_owned();
    prop_assert!(!path.contains(KEY), "{}", path);
    Ok(())
}
