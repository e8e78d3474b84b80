//! The recorded answers of two real PostHog servers, read from tests/recordings at run time.
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// One recorded exchange: what was asked, and the answer as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub name: String,
    pub method: String,
    pub target: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub request_body: Option<String>,
    /// The whole answer, status line and headers included.
    pub raw: Arc<Vec<u8>>,
}

/// Every exchange of that year, in the order in which it was recorded.
pub fn all(year: &str) -> Vec<Recorded> {
    let index = std::fs::read(dir().join(year).join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    index.iter().map(|entry| load(year, entry)).collect()
}

/// The exchange of that name; panics where there is none.
pub fn one(year: &str, name: &str) -> Recorded {
    all(year)
        .into_iter()
        .find(|recorded| recorded.name == name)
        .unwrap_or_else(|| panic!("no recording {year}/{name}"))
}

/// A JSON file that stands beside the recordings, such as `persons_totals.json`.
pub fn json(year: &str, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(dir().join(year).join(file)).unwrap()).unwrap()
}

/// A package further down the tree may include this file, so look upwards too.
fn dir() -> PathBuf {
    let mut at = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    loop {
        let found = at.join("tests/recordings");
        if found.is_dir() {
            return found;
        }
        assert!(at.pop(), "tests/recordings is not above this package");
    }
}

fn load(year: &str, entry: &Value) -> Recorded {
    let text = |field: &str| entry[field].as_str().unwrap().to_owned();
    let name = text("name");
    let raw = std::fs::read(dir().join(year).join(format!("{name}.http"))).unwrap();
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&raw[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    Recorded {
        method: text("method"),
        target: text("target"),
        status: status.parse().unwrap(),
        headers: lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        body: raw[end + 4..].to_vec(),
        request_body: entry["request_body"].as_str().map(str::to_owned),
        raw: Arc::new(raw),
        name,
    }
}

/// The elements of `results` in a list's body: each as it was written, and read.
///
/// The bytes are kept so that an assembled page repeats the server's own key order.
pub fn results(body: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(body).unwrap();
    let Some(start) = text.find("\"results\":[") else {
        return Vec::new();
    };
    let mut rest = &text[start + "\"results\":[".len()..];
    let mut found = Vec::new();
    while !rest.starts_with(']') {
        let (raw, value) = first_value(rest);
        found.push((raw.to_owned(), value));
        rest = rest[raw.len()..].trim_start_matches(',');
    }
    found
}

/// A field's value as it was written; looks at the first such key in the text.
pub fn raw_field<'a>(raw: &'a str, field: &str) -> &'a str {
    let key = format!("\"{field}\":");
    first_value(&raw[raw.find(&key).unwrap() + key.len()..]).0
}

fn first_value(text: &str) -> (&str, Value) {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter();
    let value = stream.next().unwrap().unwrap();
    (&text[..stream.byte_offset()], value)
}
