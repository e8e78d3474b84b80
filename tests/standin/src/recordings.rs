//! The recorded answers of four real PostHog servers, read from tests/recordings at run time.
use super::http::pairs;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// One recorded exchange: a request, and the server's answer to it.
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

/// The years in which the recorded servers ran: two of them in 2026.
pub const YEARS: [&str; 4] = ["2022", "2023", "2026", "2026b"];

impl Recorded {
    /// The path of the request, still encoded.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// The parameters of the request, decoded.
    pub fn params(&self) -> Vec<(String, String)> {
        self.target.split_once('?').map_or_else(Vec::new, |(_, query)| pairs(query))
    }

    /// The body of the answer as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Every exchange of that year, in the order in which it was recorded.
pub fn all(year: &str) -> &'static [Recorded] {
    static ALL: [OnceLock<Vec<Recorded>>; YEARS.len()] = [const { OnceLock::new() }; YEARS.len()];
    let at = YEARS.iter().position(|known| *known == year).unwrap();
    ALL[at].get_or_init(|| {
        let index = json(year, "index.json");
        index.as_array().unwrap().iter().map(|entry| load(year, entry)).collect()
    })
}

/// The exchange of that name; panics if there is none.
pub fn one(year: &str, name: &str) -> &'static Recorded {
    all(year)
        .iter()
        .find(|recorded| recorded.name == name)
        .unwrap_or_else(|| panic!("no recording {year}/{name}"))
}

/// A JSON file beside the recordings, such as `persons_totals.json`.
pub fn json(year: &str, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(dir().join(year).join(file)).unwrap()).unwrap()
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../recordings")
}

/// The folder of that year.
pub fn folder(year: &str) -> PathBuf {
    dir().join(year)
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

/// The elements of `results` in a list's body: the text and the value of each.
///
/// The text is kept so that an assembled page repeats the server's own order of keys.
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

/// The text of a field's value; takes the first such key in the text.
pub fn raw_field<'a>(raw: &'a str, field: &str) -> &'a str {
    let key = format!("\"{field}\":");
    first_value(&raw[raw.find(&key).unwrap() + key.len()..]).0
}

fn first_value(text: &str) -> (&str, Value) {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter();
    let value = stream.next().unwrap().unwrap();
    (&text[..stream.byte_offset()], value)
}
