//! Generates the input of these tests: texts, values, JSON, links, filters and insights.
mod recorded;

pub use recorded::{
    Random, bodies, change_json, change_text, changed_answer, changed_body, random, recorded,
};

use crate::KEY;
use crate::home::Home;
use crate::rules::{as_text, percent_encoded};
use posthog_api::PersonFilter;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::{option, prop_oneof};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Texts with a meaning in a URL, a header, JSON or SQL.
#[rustfmt::skip]
pub const NASTY: &[&str] = &[
    "%", "%2e", "%2E", "%2f", "%00", "%zz", ".", "..", "/", "//", "\\", "?", "#", "&", "=", "+",
    " ", "\0", "\r\n", "\n", "\t", "\u{7f}", "\u{feff}", "\u{2028}", "\u{1f680}", "é", "'", "''",
    "\"", "`", "{", "}", "{a}", "--", "/*", "(", ")", ";", "@", ":", "a", "0", "-1", "null", "NaN",
    "Infinity", "-Infinity", "union", " limit ", "phx_",
];

#[rustfmt::skip]
pub const BODY: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00", "\\ud83d", "\"results\":", "\"next\":",
    "\"detail\":", "\"query_status\":", "\"error\":", "true", "null", "NaN", "-Infinity", "1e400",
    "18446744073709551616", "-", " ", "\u{feff}", "<html>", "\u{1f}\u{8b}\u{8}", KEY, "é",
];

#[rustfmt::skip]
pub const HTTP: &[&str] = &[
    "HTTP/1.1 ", "HTTP/9 ", "100 Continue", "101 ", "200", "204 ", "302 ", "304 ", "999 ", "\r\n",
    "\r\n", "\r\n\r\n", "\r\n\r\n", "\n", "\r", ":", "Content-Length: ", "5", "0",
    "99999999999999999999", "-1", "Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n",
    "5;x=y\r\n", "0\r\n\r\n", "Content-Encoding: gzip\r\n", "\u{1f}", "Location: ", "/api/y/",
    "Connection: close\r\n", "Connection: keep-alive\r\n", "Retry-After: 0\r\n", "[1]", "{}", KEY,
    "Set-Cookie: ", " ", "\t", "\0", "é",
];

#[rustfmt::skip]
pub const HOST: &[&str] = &[
    "http", "https", "HTTPS", "://", "://", "//", "/", ":", "80", "443", "65536", "0", "localhost",
    "127.0.0.1", "[::1]", "[", "]", "@", "user", "eu", ".i.posthog.com", "us.posthog.com", ".",
    "..", "%2e", "?", "#", "\\", " ", "\t", "\0", "é", "-", "_", "*", "{", "^", "\"",
];

/// Any text, with many of the parts in `NASTY`.
pub fn text() -> impl Strategy<Value = String> + Clone {
    let part = prop_oneof![
        3 => select(NASTY).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        1 => "[a-z]{1,3}",
    ];
    vec(part, 0..7).prop_map(|parts| parts.concat())
}

/// The value of a header: no line end, no NUL.
pub fn header() -> impl Strategy<Value = String> {
    vec(prop_oneof![select(BODY), select(NASTY)], 0..5)
        .prop_map(|parts| parts.concat().replace(|c: char| c.is_control(), ""))
}

pub fn bytes(tokens: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let token = select(tokens).prop_map(|t| t.as_bytes().to_vec());
    prop_oneof![
        10 => vec(prop_oneof![9 => token, 1 => vec(any::<u8>(), 1..4)], 0..14).prop_map(|parts| parts.concat()),
        5 => vec(any::<u8>(), 0..60),
        5 => spelled(true).prop_map(|(text, _)| text.into_bytes()),
        // Longer than the excerpt in an error, so that it is cut anywhere.
        2 => ("(\\{\"(detail|code|error)\":\")?[a-z]{0,3}", 30usize..700)
            .prop_map(|(begin, n)| format!("{begin}{}\"}}", "é\u{1f680}".repeat(n)).into_bytes()),
        // Too deep to parse.
        1 => Just(vec![b'['; 20_000]),
    ]
}

pub fn name() -> impl Strategy<Value = String> {
    let known = [
        "token",
        "api_key",
        "personal_api_key",
        "short_id",
        "distinct_id",
        "email",
        "search",
        "Token",
        "token ",
        "limit",
        "offset",
        "next",
    ];
    prop_oneof![2 => text(), 1 => select(known.to_vec()).prop_map(str::to_owned)]
}

pub fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        12 => text().prop_map(Value::from),
        6 => any_json(),
        // Near the longest URL.
        1 => (65_200usize..65_600).prop_map(|n| "a".repeat(n).into()),
    ]
}

pub fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ]
}

pub fn any_json() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(object),
        ]
    })
}

fn object(entries: Vec<(String, Value)>) -> Value {
    Value::Object(entries.into_iter().collect())
}

/// JSON as a server writes it, and its value. `bare`: with NaN and Infinity, which are not JSON.
pub fn spelled(bare: bool) -> impl Strategy<Value = (String, Value)> {
    let whole = |text: String, value: Value| (text, value);
    let word = select(&["NaN", "Infinity", "-Infinity"][..]);
    let leaf = prop_oneof![
        1 => Just(whole("null".into(), Value::Null)),
        1 => any::<bool>().prop_map(|b| (b.to_string(), b.into())),
        1 => any::<u64>().prop_map(|n| (n.to_string(), n.into())),
        1 => any::<i64>().prop_map(|n| (n.to_string(), n.into())),
        1 => select(vec![u64::MAX, 1 << 63, (1 << 53) + 1]).prop_map(|n| (n.to_string(), n.into())),
        1 => Just((i64::MIN.to_string(), i64::MIN.into())),
        // A float holds these exactly.
        1 => any::<i32>().prop_map(|n| (format!("{:?}", f64::from(n) / 8.0), (f64::from(n) / 8.0).into())),
        3 => string().prop_map(|(text, s)| (text, s.into())),
        2 => word.prop_map(move |word| if bare {
            (word.to_owned(), Value::Null)
        } else {
            (format!("\"{word}\""), word.into())
        }),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let space = select(&["", " ", "\n\t"][..]);
        let object = vec((string(), inner.clone()), 0..4);
        prop_oneof![
            (vec(inner, 0..4), space.clone()).prop_map(|(items, space)| {
                let texts: Vec<&str> = items.iter().map(|(text, _)| text.as_str()).collect();
                let text = texts.join(&format!("{space},{space}"));
                let values: Vec<Value> = items.iter().map(|(_, v)| v.clone()).collect();
                (format!("[{space}{text}{space}]"), values.into())
            }),
            (object, space).prop_map(|(fields, space)| {
                let (mut text, mut map) = (String::from("{"), Map::new());
                for ((key_text, key), (value_text, value)) in fields {
                    let comma = if map.is_empty() && text.len() == 1 { "" } else { "," };
                    write!(text, "{comma}{key_text}{space}:{space}{value_text}{space}").unwrap();
                    map.insert(key, value);
                }
                (text + "}", map.into())
            }),
        ]
    })
}

/// A JSON string: with few escapes, or with every character escaped.
fn string() -> impl Strategy<Value = (String, String)> {
    (text(), any::<bool>()).prop_map(|(text, escaped)| {
        let mut json = String::from("\"");
        for unit in text.chars() {
            match unit {
                '"' | '\\' if !escaped => json.extend(['\\', unit]),
                unit if escaped || unit < ' ' => {
                    for unit in unit.encode_utf16(&mut [0; 2]) {
                        write!(json, "\\u{unit:04x}").unwrap();
                    }
                }
                unit => json.push(unit),
            }
        }
        (json + "\"", text)
    })
}

/// Links of a server: likely and unlikely ones, some to another host, some with the key.
pub fn link(server: &Home) -> impl Strategy<Value = Vec<u8>> + use<> {
    let home = server.url.trim_start_matches("http://").to_owned();
    #[rustfmt::skip]
    let mut tokens: Vec<Vec<u8>> = [
        "http:", "https:", "//", "://", "/", "\\", "@", ":", ".", "..", "%2e%2e", "?", "#", "&",
        "=", "api", "x", "sub", "y?a=1", "offset=2", "+", "%zz", "evil.example", "127.0.0.1:9", " ",
        "\t", "personal_api_key=", "%70ersonal_api_key=", "token=", "limit=", KEY, "é",
    ]
    .map(|token| token.as_bytes().to_vec())
    .to_vec();
    tokens.extend([
        home.clone().into_bytes(),
        server.url.clone().into_bytes(),
        percent_encoded(KEY).into_bytes(),
        percent_encoded(KEY).to_lowercase().into_bytes(),
        vec![0xff],
    ]);
    let likely = ["/api/y/?", "/sub/api/y/?", "?", "http://evil.example/api/y/?"].map(String::from);
    let likely = select([&likely[..], &[format!("http://{home}/api/y/?")]].concat());
    let begin = option::of(likely).prop_map(|b| b.unwrap_or_default().into_bytes());
    (begin, vec(select(tokens), 0..7)).prop_map(|(begin, rest)| [begin, rest.concat()].concat())
}

#[rustfmt::skip]
pub const OPERATORS: &[&str] = &[
    "exact", "is_not", "icontains", "not_icontains", "regex", "not_regex", "gt", "gte", "lt", "lte",
    "is_set", "is_not_set", "is_date_exact", "is_date_before", "is_date_after",
];

pub fn operand() -> impl Strategy<Value = Value> {
    let date =
        "(0000|1900|2000|2023|2024)-(00|02|04|12|13)-(00|01|28|29|30|31)( (00|23|24):59:(59|61))?";
    // Where servers begin to write an exponent.
    let float = (-99i32..99, prop_oneof![-8i32..-5, 19..22])
        .prop_map(|(n, exponent)| format!("{n}e{exponent}").parse::<f64>().unwrap().into());
    prop_oneof![
        4 => scalar(),
        2 => float,
        2 => date.prop_map(Value::from),
        1 => vec(scalar(), 0..3).prop_map(Value::from),
        1 => any_json(),
    ]
}

pub fn filter(key: &str, operator: &str, value: &Value) -> PersonFilter {
    let (on, text) = (PersonFilter::property(key), as_text(value).unwrap_or_default());
    match operator {
        "exact" => on.exact(value),
        "is_not" => on.is_not(value),
        "icontains" => on.icontains(text),
        "not_icontains" => on.not_icontains(text),
        "regex" => on.regex(text),
        "not_regex" => on.not_regex(text),
        "gt" => on.gt(value),
        "gte" => on.gte(value),
        "lt" => on.lt(value),
        "lte" => on.lte(value),
        "is_set" => on.is_set(),
        "is_not_set" => on.is_not_set(),
        "is_date_exact" => on.is_date_exact(text),
        "is_date_before" => on.is_date_before(text),
        _ => on.is_date_after(text),
    }
}

/// Values with the shapes of insights and queries, or similar ones.
pub fn insight() -> impl Strategy<Value = Value> {
    #[rustfmt::skip]
    let names = [
        "result", "results", "aggregated_value", "aggregated_value::marker", "label", "days",
        "data", "count", "order", "name", "custom_name", "values", "source", "target", "value",
        "date", "bins", "average_conversion_time", "columns", "hasMore", "hogql", "limit",
        "query_status", "error", "error_message", "complete", "id", "breakdown_value",
        "compare_label", "status", "action_id", "types", "query", "kind",
    ];
    let name = prop_oneof![9 => select(names.to_vec()).prop_map(str::to_owned), 1 => text()];
    let leaf = prop_oneof![
        4 => scalar(),
        1 => select(&["current", "DataVisualizationNode", "select 1 limit 2", "2024-01-01"][..]).prop_map(Value::from),
        1 => (0u8..4).prop_map(Value::from),
    ];
    let any_shape = leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            2 => vec((name.clone(), inner), 0..6).prop_map(object),
        ]
    });
    prop_oneof![any_shape.prop_map(|inner| inner), likely_insight(),]
}

/// A known shape with one part replaced.
fn likely_insight() -> impl Strategy<Value = Value> {
    let shapes = vec![
        json!({"result": [{"label": "a", "aggregated_value": 1}, {"aggregated_value": null}]}),
        json!({"result": [{"label": "a", "days": ["2024-01-01", 2], "data": [1, null], "status": "new"}]}),
        json!({"result": [{"order": 0, "name": "a", "count": 9}, {"order": 1, "count": 0}]}),
        json!({"result": [[{"order": 0, "name": "a", "count": 9, "breakdown_value": ["x"]}]]}),
        json!({"result": [{"date": "2024-01-01", "label": "Day 0", "values": [{"count": 1}, {"count": 0}]}]}),
        json!({"result": [{"source": "1_/a", "target": "2_/b", "value": 3, "average_conversion_time": 1.5}]}),
        json!({"result": {"bins": [[0, 1], [60, 2]], "average_conversion_time": 30}}),
        json!({"columns": ["a", "b"], "results": [[1, 2], [3]], "hasMore": true, "hogql": "SELECT 1 LIMIT 101"}),
        json!({"result": null, "query_status": {"error": true, "error_message": "no", "complete": false, "id": "x"}}),
    ];
    (select(shapes), any::<proptest::sample::Index>(), any_json()).prop_map(
        |(mut shape, at, part)| {
            let mut all = Vec::new();
            pointers(&shape, "", &mut all);
            if let Some(slot) = shape.pointer_mut(at.get(&all[..]).as_str()) {
                *slot = part;
            }
            shape
        },
    )
}

fn pointers(value: &Value, here: &str, out: &mut Vec<String>) {
    out.push(here.to_owned());
    match value {
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(at, item)| pointers(item, &format!("{here}/{at}"), out));
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.for_each(|(name, field)| pointers(field, &format!("{here}/{name}"), out));
        }
        _ => {}
    }
}
