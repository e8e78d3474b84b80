//! Ids of insights and persons, in every form in which a program has them.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::error::{Error, Result, excerpt};

/// The id of an insight: a number, a short id, an address copied from the browser, or a row that
/// has an `id`.
///
/// An address may have `filters_override`, `variables_override` and `dashboard`, as the browser
/// shows them: they are sent too. An id that is not valid is a [`Config`](crate::ErrorKind::Config)
/// error when the request is sent.
///
/// # Examples
/// ```
/// use posthog_api::InsightId;
///
/// let number = InsightId::from(28);
/// assert_eq!(InsightId::from("28"), number);
/// assert_eq!(InsightId::from(&serde_json::json!({"id": 28, "name": "Signups"})), number);
///
/// assert_eq!(InsightId::short_id("VdpVGSw3"), InsightId::from("VdpVGSw3"));
/// // A short id that has only digits looks like a number:
/// assert_ne!(InsightId::short_id("12345678"), InsightId::from("12345678"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsightId(std::result::Result<Insight, String>);

/// What the server finds an insight by, and what an address says beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Insight {
    /// A number, or a short id.
    pub(crate) id: String,
    pub(crate) is_number: bool,
    /// The parameters of the request that an address names.
    pub(crate) params: Vec<(&'static str, String)>,
    /// The number of the project in an address.
    project: Option<u64>,
}

impl Insight {
    fn new(id: String, is_number: bool) -> Insight {
        Insight { id, is_number, params: Vec::new(), project: None }
    }
}

impl InsightId {
    /// A short id: the eight characters at the end of an insight's address. Upper and lower case
    /// differ.
    #[must_use]
    pub fn short_id(short_id: impl Into<String>) -> InsightId {
        let short_id = short_id.into();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        InsightId(if short_id.is_empty() {
            Err("the short id is empty: the server would return every insight".to_owned())
        } else if !short_id.bytes().all(fits) {
            let shown = excerpt(&short_id);
            Err(format!("{shown:?} is not a short id, which has only letters, digits, - and _"))
        } else {
            Ok(Insight::new(short_id, false))
        })
    }

    /// The insight to look for in the project with this number.
    pub(crate) fn in_project(self, project: u64) -> Result<Insight> {
        match self.0.map_err(Error::config)? {
            Insight { project: Some(other), .. } if other != project => {
                Err(Error::config(format!(
                    "the address is of project {other}, and this is project {project}; use Client::project({other})"
                )))
            }
            insight => Ok(insight),
        }
    }
}

impl From<u64> for InsightId {
    fn from(number: u64) -> InsightId {
        InsightId(Ok(Insight::new(number.to_string(), true)))
    }
}

impl From<&str> for InsightId {
    fn from(text: &str) -> InsightId {
        let text = text.trim();
        if text.contains('/') {
            return InsightId(of_address(text));
        }
        match number(text) {
            Some(number) => InsightId(number.map(|number| Insight::new(number.to_string(), true))),
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
        let id = match value.as_object() {
            Some(row) => of_row(row, &["id"], "an insight"),
            None => of_value(value, "an insight"),
        };
        id.unwrap_or_else(|why| InsightId(Err(why)))
    }
}

/// The insight of an address such as `https://us.posthog.com/project/1/insights/VdpVGSw3`.
fn of_address(address: &str) -> std::result::Result<Insight, String> {
    let wrong = |why: &str| format!("the address {:?} {why}", excerpt(address));
    let (address, _) = address.split_once('#').unwrap_or((address, ""));
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let segments: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(decoded).collect();
    let behind = |names: &'static [&str]| {
        let is = move |name: &String| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        segments.iter().zip(segments.iter().skip(1)).filter(move |(name, _)| is(name))
    };
    let Some((_, id)) = behind(&["insights", "insight"]).next_back() else {
        return Err(wrong(if behind(&["dashboard", "dashboards"]).next().is_some() {
            "is of a dashboard; open one of its insights and copy that address"
        } else {
            "does not name an insight: it has no /insights/ followed by an id"
        }));
    };
    if id.eq_ignore_ascii_case("new") {
        return Err(wrong("is of an insight that was not saved; save it first"));
    }
    // Only the paths of the API have numbers.
    let of_api = segments.iter().any(|segment| segment.eq_ignore_ascii_case("api"));
    let mut insight = match number(id).filter(|_| of_api) {
        Some(number) => Insight::new(number?.to_string(), true),
        None => InsightId::short_id(id.as_str()).0?,
    };
    for (_, project) in behind(&["project", "projects", "environments", "environment"]) {
        let Some(project) = number(project).transpose()? else { continue };
        if insight.project.replace(project).is_some_and(|other| other != project) {
            return Err(wrong("names two projects"));
        }
    }
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // The app and the API name the dashboard of an insight differently.
        let sent = match decoded(name).as_str() {
            "filters_override" => "filters_override",
            "variables_override" => "variables_override",
            "dashboard" | "from_dashboard" => "from_dashboard",
            _ => continue,
        };
        insight.params.push((sent, decoded(&value.replace('+', " "))));
    }
    Ok(insight)
}

fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// A string of digits as a number; `None` for any other string.
fn number(text: &str) -> Option<std::result::Result<u64, String>> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().map_err(|_| format!("{} is too large for an id", excerpt(text))))
}

/// The id of a person: a number, a UUID, or a row of a list, which has a `uuid` or an `id`.
///
/// An id that is not valid is a [`Config`](crate::ErrorKind::Config) error when the request is
/// sent. A distinct id is not an id of a person:
/// [`Project::person_by_distinct_id`](crate::Project::person_by_distinct_id) finds it.
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
        let row = value.as_object().map(PersonId::from);
        row.unwrap_or_else(|| of_value(value, "a person").unwrap_or_else(|why| PersonId(Err(why))))
    }
}

impl From<&Map<String, Value>> for PersonId {
    fn from(row: &Map<String, Value>) -> PersonId {
        of_row(row, &["uuid", "id"], "a person").unwrap_or_else(|why| PersonId(Err(why)))
    }
}

/// The id of a row, which has it under one of these names.
fn of_row<I>(row: &Map<String, Value>, names: &[&str], what: &str) -> std::result::Result<I, String>
where
    I: From<u64> + for<'a> From<&'a str>,
{
    let id = names.iter().find_map(|name| row.get(*name).filter(|id| !id.is_null()));
    let why = || format!("the row has no `{}`", names.join("` and no `"));
    of_value(id.ok_or_else(why)?, what)
}

/// An id that is a number or text.
fn of_value<I>(value: &Value, what: &str) -> std::result::Result<I, String>
where
    I: From<u64> + for<'a> From<&'a str>,
{
    match (value.as_u64(), value.as_str()) {
        (Some(number), _) => Ok(number.into()),
        (_, Some(text)) => Ok(text.into()),
        _ => Err(format!("{} is not the id of {what}", excerpt(&value.to_string()))),
    }
}

/// 32 hex digits, with or without the dashes of a UUID.
pub(crate) fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    hex && (groups == [32] || groups == [8, 4, 4, 4, 12])
}

#[cfg(test)]
mod tests;
