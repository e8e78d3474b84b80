//! Ids of insights and persons, in every form in which a program has them.

use serde_json::{Map, Value};

use crate::error::text::excerpt;
use crate::error::{Error, Result};

/// The id of an insight: a number, a short id, an address copied from the browser, or a row that
/// has an `id`.
///
/// An id that is not valid is an [`Config`](crate::ErrorKind::Config) when the request is sent.
///
/// # Examples
/// ```
/// use posthog_api::InsightId;
///
/// let number = InsightId::from(28);
/// assert_eq!(InsightId::from("28"), number);
/// assert_eq!(InsightId::from(&serde_json::json!({"id": 28, "name": "Signups"})), number);
///
/// let short_id = InsightId::from("VdpVGSw3");
/// assert_eq!(InsightId::short_id("VdpVGSw3"), short_id);
/// // A short id that has only digits looks like a number:
/// assert_ne!(InsightId::short_id("12345678"), InsightId::from("12345678"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsightId(Insight);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Insight {
    Key(InsightKey),
    /// An address, with the number of its project where it has one.
    Address(Option<u64>, InsightKey),
    Invalid(String),
}

/// What the server finds an insight by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InsightKey {
    Number(u64),
    ShortId(String),
}

impl InsightId {
    /// A short id: the eight characters at the end of an insight's address. Upper and lower case
    /// differ.
    #[must_use]
    pub fn short_id(short_id: impl Into<String>) -> InsightId {
        let short_id = short_id.into();
        InsightId(if short_id.is_empty() {
            Insight::Invalid(
                "the short id is empty: the server would return every insight".to_owned(),
            )
        } else {
            Insight::Key(InsightKey::ShortId(short_id))
        })
    }

    /// The key to look for in the project with this number.
    pub(crate) fn key_in(self, project: u64) -> Result<InsightKey> {
        match self.0 {
            Insight::Address(Some(other), _) if other != project => Err(Error::config(format!(
                "the address is of project {other}, and this is project {project}; use Client::project({other})"
            ))),
            Insight::Key(key) | Insight::Address(_, key) => Ok(key),
            Insight::Invalid(why) => Err(Error::config(why)),
        }
    }
}

impl From<u64> for InsightId {
    fn from(number: u64) -> InsightId {
        InsightId(Insight::Key(InsightKey::Number(number)))
    }
}

impl From<&str> for InsightId {
    fn from(text: &str) -> InsightId {
        let text = text.trim();
        if text.contains('/') {
            return InsightId(of_address(text).unwrap_or_else(Insight::Invalid));
        }
        match number(text) {
            Some(Ok(number)) => number.into(),
            Some(Err(why)) => InsightId(Insight::Invalid(why)),
            None => InsightId::short_id(text),
        }
    }
}

impl From<String> for InsightId {
    fn from(text: String) -> InsightId {
        text.as_str().into()
    }
}

impl From<&String> for InsightId {
    fn from(text: &String) -> InsightId {
        text.as_str().into()
    }
}

impl From<&Value> for InsightId {
    fn from(value: &Value) -> InsightId {
        match value {
            Value::Number(n) if n.is_u64() => n.as_u64().unwrap_or_default().into(),
            Value::String(text) => text.into(),
            Value::Object(row) => match row.get("id") {
                Some(id @ (Value::Number(_) | Value::String(_))) => id.into(),
                _ => InsightId(Insight::Invalid(
                    "the row has no `id` that is a number or a string".to_owned(),
                )),
            },
            other => InsightId(Insight::Invalid(format!(
                "{} is not the id of an insight",
                excerpt(&other.to_string())
            ))),
        }
    }
}

/// The insight of an address such as `https://us.posthog.com/project/1/insights/VdpVGSw3`.
fn of_address(address: &str) -> std::result::Result<Insight, String> {
    let wrong = |why: &str| format!("the address {:?} {why}", excerpt(address));
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let behind = |name: &str| {
        let at = segments.iter().rposition(|segment| *segment == name)?;
        segments.get(at + 1).copied()
    };
    let project = behind("project").or_else(|| behind("projects"));
    match behind("insights").or_else(|| behind("insight")) {
        Some("new") => Err(wrong("is of an insight that was not saved; save it first")),
        Some(id) => {
            // Only the paths of the API have numbers.
            let key = match number(id).filter(|_| segments.contains(&"api")) {
                Some(number) => InsightKey::Number(number?),
                None => InsightKey::ShortId(id.to_owned()),
            };
            Ok(Insight::Address(project.and_then(|id| id.parse().ok()), key))
        }
        None if behind("dashboard").or_else(|| behind("dashboards")).is_some() => {
            Err(wrong("is of a dashboard; open one of its insights and copy that address"))
        }
        None => Err(wrong("does not name an insight: it has no /insights/ followed by an id")),
    }
}

/// A string of digits as a number; `None` for any other string.
fn number(text: &str) -> Option<std::result::Result<u64, String>> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().map_err(|_| format!("{} is too large for an id", excerpt(text))))
}

/// The id of a person: a number, a UUID, or a row of a list, which has a `uuid` or an `id`.
///
/// An id that is not valid is an [`Config`](crate::ErrorKind::Config) when the request is sent. A distinct id is not
/// an id of a person: [`Project::person_by_distinct_id`](crate::Project::person_by_distinct_id)
/// finds it.
///
/// # Examples
/// ```
/// use posthog_api::PersonId;
/// use serde_json::json;
///
/// let uuid = PersonId::from("0190f3a8-0000-7000-8000-000000000000");
/// let row = json!({"id": 5, "uuid": "0190f3a8-0000-7000-8000-000000000000"});
/// assert_eq!(PersonId::from(&row), uuid);
/// assert_eq!(PersonId::from(5), PersonId::from("5"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonId(std::result::Result<String, String>);

impl PersonId {
    /// The id as a segment of a path: digits, or hex digits and dashes.
    pub(crate) fn segment(self) -> Result<String> {
        self.0.map_err(Error::config)
    }
}

impl From<u64> for PersonId {
    fn from(number: u64) -> PersonId {
        PersonId(Ok(number.to_string()))
    }
}

impl From<&str> for PersonId {
    fn from(text: &str) -> PersonId {
        let text = text.trim();
        PersonId(match number(text) {
            _ if is_uuid(text) => Ok(text.to_owned()),
            Some(number) => number.map(|number| number.to_string()),
            None => Err(format!(
                "{:?} is not the id of a person, which is a number or a UUID; for a distinct id use person_by_distinct_id",
                excerpt(text)
            )),
        })
    }
}

impl From<String> for PersonId {
    fn from(text: String) -> PersonId {
        text.as_str().into()
    }
}

impl From<&String> for PersonId {
    fn from(text: &String) -> PersonId {
        text.as_str().into()
    }
}

impl From<&Value> for PersonId {
    fn from(value: &Value) -> PersonId {
        match value {
            Value::Number(n) if n.is_u64() => n.as_u64().unwrap_or_default().into(),
            Value::String(text) => text.into(),
            Value::Object(row) => row.into(),
            other => {
                PersonId(Err(format!("{} is not the id of a person", excerpt(&other.to_string()))))
            }
        }
    }
}

impl From<&Map<String, Value>> for PersonId {
    fn from(row: &Map<String, Value>) -> PersonId {
        match row.get("uuid").filter(|uuid| !uuid.is_null()).or_else(|| row.get("id")) {
            Some(id @ (Value::Number(_) | Value::String(_))) => id.into(),
            _ => PersonId(Err("the row has no `uuid` and no `id`".to_owned())),
        }
    }
}

/// 32 hex digits, with or without the dashes of a UUID.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    hex && (groups == [32] || groups == [8, 4, 4, 4, 12])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_form_of_an_insights_id_is_read() {
        let number = |n| Some(InsightKey::Number(n));
        let short = |id: &str| Some(InsightKey::ShortId(id.to_owned()));
        for (text, key) in [
            ("28", number(28)),
            (" 28 ", number(28)),
            ("VdpVGSw3", short("VdpVGSw3")),
            ("https://us.posthog.com/project/1/insights/VdpVGSw3", short("VdpVGSw3")),
            (
                "https://posthog.example/sub/project/1/insights/VdpVGSw3/edit?a=b#c",
                short("VdpVGSw3"),
            ),
            ("https://eu.posthog.com/insights/VdpVGSw3", short("VdpVGSw3")),
            ("us.posthog.com/project/1/insights/12345678/", short("12345678")),
            ("https://h.example/insights/project/1/insights/VdpVGSw3", short("VdpVGSw3")),
            ("/api/projects/1/insights/28/", number(28)),
            ("https://us.posthog.com/project/2/insights/VdpVGSw3", None),
            ("https://us.posthog.com/project/1/insights/new", None),
            ("https://us.posthog.com/project/1/insights/", None),
            ("https://us.posthog.com/project/1/dashboard/5", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(InsightId::from(text).key_in(1).ok(), key, "{text}");
        }
        for (value, key) in [
            (json!(28), number(28)),
            (json!("VdpVGSw3"), short("VdpVGSw3")),
            (json!({"id": 28, "short_id": "x"}), number(28)),
            (json!(-1), None),
            (json!(1.5), None),
            (json!(null), None),
            (json!({}), None),
            (json!({"id": {"id": 1}}), None),
        ] {
            assert_eq!(InsightId::from(&value).key_in(1).ok(), key, "{value}");
        }
    }

    #[test]
    fn each_form_of_a_persons_id_is_read() {
        let uuid = "0190f3a8-0000-7000-8000-00000000abCD";
        let bare = uuid.replace('-', "");
        for (value, id) in [
            (json!(5), Some("5")),
            (json!("5"), Some("5")),
            (json!(uuid), Some(uuid)),
            (json!(bare), Some(bare.as_str())),
            (json!("1".repeat(32)), Some("11111111111111111111111111111111")),
            (json!({"uuid": uuid, "id": 5}), Some(uuid)),
            (json!({"uuid": null, "id": 5}), Some("5")),
            (json!("did-0"), None),
            (json!("../5"), None),
            (json!(""), None),
            (json!({"id": null}), None),
            (json!([5]), None),
        ] {
            assert_eq!(PersonId::from(&value).segment().ok().as_deref(), id, "{value}");
        }
    }
}
