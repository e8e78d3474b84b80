//! Filters on the properties of persons, and the JSON that they are on the wire.

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A filter on the properties of persons, for [`List::filter`](crate::List::filter) and for the `properties` parameter of
/// other routes that answer with persons.
///
/// ```
/// use posthog_api::PersonFilter;
///
/// let linux = PersonFilter::property("$initial_os").exact(["Linux"]);
/// assert_eq!(
///     serde_json::to_string(&linux)?,
///     r#"[{"key":"$initial_os","value":["Linux"],"operator":"exact","type":"person"}]"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// It serializes to the whole value of a `properties` parameter: a flat list, which every server knows; nested groups only where
/// [`any`](PersonFilter::any) is used. A filter that a server would misread is an error when it is serialized or sent: servers
/// drop what they do not understand and return everybody.
///
/// What the server makes of a value, and no client can mend:
/// - `%` and `_` in [`icontains`](PersonProperty::icontains) are wildcards on servers since 2023;
/// - values with a quote, a backslash, a tab or a newline are found by [`hogql`](crate::Project::hogql) only, since 2023;
/// - regular expressions are RE2's: an invalid one finds nobody, a lookahead is an error 500;
/// - the negative operators find persons without the property too.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonFilter(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Leaf {
        key: String,
        value: Value,
        operator: &'static str,
    },
    Any(Vec<PersonFilter>),
    All(Vec<PersonFilter>),
    Wrong(String),
}

impl PersonFilter {
    /// Begins a filter on the property `key`, such as `email` or `$initial_os`.
    pub fn property(key: impl Into<String>) -> PersonProperty {
        PersonProperty { key: key.into() }
    }

    /// Persons that at least one of `filters` finds: OR.
    pub fn any(filters: impl IntoIterator<Item = PersonFilter>) -> PersonFilter {
        PersonFilter::group("any", filters, Node::Any)
    }

    /// Persons that each of `filters` finds: AND, for use inside [`any`](PersonFilter::any).
    pub fn all(filters: impl IntoIterator<Item = PersonFilter>) -> PersonFilter {
        PersonFilter::group("all", filters, Node::All)
    }

    fn group(
        name: &str,
        filters: impl IntoIterator<Item = PersonFilter>,
        node: fn(Vec<PersonFilter>) -> Node,
    ) -> PersonFilter {
        let mut filters: Vec<PersonFilter> = filters.into_iter().collect();
        PersonFilter(match (filters.pop(), filters.is_empty()) {
            (None, _) => Node::Wrong(format!(
                "{name} of no filters: the server would drop it and return everybody"
            )),
            (Some(only), true) => only.0,
            (Some(last), false) => {
                filters.push(last);
                node(filters)
            }
        })
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn fault(&self) -> Option<&str> {
        match &self.0 {
            Node::Leaf { .. } => None,
            Node::Wrong(why) => Some(why),
            Node::Any(filters) | Node::All(filters) => filters.iter().find_map(PersonFilter::fault),
        }
    }

    fn is_leaf(&self) -> bool {
        matches!(self.0, Node::Leaf { .. })
    }

    /// The filters that it ANDs.
    fn conjuncts<'a>(&'a self, out: &mut Vec<&'a PersonFilter>) {
        match &self.0 {
            Node::All(filters) => filters.iter().for_each(|f| f.conjuncts(out)),
            _ => out.push(self),
        }
    }
}

impl Serialize for PersonFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if let Some(why) = self.fault() {
            return Err(S::Error::custom(why));
        }
        let mut conjuncts = Vec::new();
        self.conjuncts(&mut conjuncts);
        match conjuncts.as_slice() {
            [only @ PersonFilter(Node::Any(_))] => Inner {
                filter: only,
                beside_group: false,
            }
            .serialize(serializer),
            plain if plain.iter().all(|f| f.is_leaf()) => inner(plain, false).serialize(serializer),
            mixed => group(serializer, "AND", mixed),
        }
    }
}

/// One filter inside a list or a group: a property is an object, not a list of one.
struct Inner<'a> {
    filter: &'a PersonFilter,
    /// It stands beside a group. A group holds properties or groups, never both (a server answers 400): there, a property is a
    /// group of one.
    beside_group: bool,
}

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.filter.0 {
            Node::Leaf { .. } if self.beside_group => group(serializer, "AND", &[self.filter]),
            Node::Leaf {
                key,
                value,
                operator,
            } => {
                let mut map = serializer.serialize_map(Some(4))?;
                map.serialize_entry("key", key)?;
                map.serialize_entry("value", value)?;
                map.serialize_entry("operator", operator)?;
                map.serialize_entry("type", "person")?;
                map.end()
            }
            Node::Any(filters) => group(serializer, "OR", &filters.iter().collect::<Vec<_>>()),
            Node::All(filters) => group(serializer, "AND", &filters.iter().collect::<Vec<_>>()),
            Node::Wrong(why) => Err(S::Error::custom(why)),
        }
    }
}

fn inner<'a>(filters: &[&'a PersonFilter], beside_group: bool) -> Vec<Inner<'a>> {
    filters
        .iter()
        .map(|filter| Inner {
            filter,
            beside_group,
        })
        .collect()
}

fn group<S: Serializer>(
    serializer: S,
    kind: &str,
    filters: &[&PersonFilter],
) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("type", kind)?;
    let mixed = !filters.iter().all(|f| f.is_leaf());
    map.serialize_entry("values", &inner(filters, mixed))?;
    map.end()
}

/// A property of persons: say with an operator what it must be.
///
/// The 15 operators of the persons route. Others that PostHog has elsewhere (`between`, `in`, `not_in`, `min`, `max`,
/// `starts_with`, `semver_*`) are read as `exact` by it, `not_in` as its own opposite, so they cannot be written here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a property is no filter before an operator says what it must be"]
pub struct PersonProperty {
    key: String,
}

impl PersonProperty {
    /// It is one of `values`; booleans go as the strings "true" and "false", which every server matches.
    pub fn exact(self, values: impl Serialize) -> PersonFilter {
        self.filter("exact", set(values))
    }

    /// It is none of `values`, or not there.
    pub fn is_not(self, values: impl Serialize) -> PersonFilter {
        self.filter("is_not", set(values))
    }

    /// It contains this text, in any case; `%` and `_` are wildcards on servers since 2023.
    pub fn icontains(self, value: impl Into<String>) -> PersonFilter {
        self.text("icontains", value, not_empty)
    }

    /// It does not contain this text, or is not there.
    pub fn not_icontains(self, value: impl Into<String>) -> PersonFilter {
        self.text("not_icontains", value, not_empty)
    }

    /// It matches this regular expression of RE2.
    pub fn regex(self, value: impl Into<String>) -> PersonFilter {
        self.text("regex", value, not_empty)
    }

    /// It does not match this regular expression of RE2, or is not there.
    pub fn not_regex(self, value: impl Into<String>) -> PersonFilter {
        self.text("not_regex", value, not_empty)
    }

    /// It is greater than this number.
    pub fn gt(self, value: impl Serialize) -> PersonFilter {
        self.filter("gt", number(value))
    }

    /// It is this number or greater.
    pub fn gte(self, value: impl Serialize) -> PersonFilter {
        self.filter("gte", number(value))
    }

    /// It is less than this number.
    pub fn lt(self, value: impl Serialize) -> PersonFilter {
        self.filter("lt", number(value))
    }

    /// It is this number or less.
    pub fn lte(self, value: impl Serialize) -> PersonFilter {
        self.filter("lte", number(value))
    }

    /// It is there, be it as JSON null.
    #[must_use]
    pub fn is_set(self) -> PersonFilter {
        // A filter without a value is dropped by servers of 2022 and 2023.
        self.filter("is_set", Ok("is_set".into()))
    }

    /// It is not there.
    #[must_use]
    pub fn is_not_set(self) -> PersonFilter {
        self.filter("is_not_set", Ok("is_not_set".into()))
    }

    /// It is this day (`YYYY-MM-DD`) or moment (`YYYY-MM-DD hh:mm:ss`).
    pub fn is_date_exact(self, value: impl Into<String>) -> PersonFilter {
        self.text("is_date_exact", value, date)
    }

    /// It is before this day or moment.
    pub fn is_date_before(self, value: impl Into<String>) -> PersonFilter {
        self.text("is_date_before", value, date)
    }

    /// It is after this day or moment.
    pub fn is_date_after(self, value: impl Into<String>) -> PersonFilter {
        self.text("is_date_after", value, date)
    }

    fn text(
        self,
        operator: &'static str,
        value: impl Into<String>,
        check: fn(&str) -> Result<(), String>,
    ) -> PersonFilter {
        let value = value.into();
        self.filter(operator, check(&value).map(|()| value.into()))
    }

    fn filter(self, operator: &'static str, value: Result<Value, String>) -> PersonFilter {
        PersonFilter(match value {
            _ if self.key.is_empty() => {
                Node::Wrong("a filter on a property without a name: the server would drop it and return everybody".into())
            }
            Ok(value) => Node::Leaf { key: self.key, value, operator },
            Err(why) => Node::Wrong(format!("the filter {} on {:?}: {why}", operator, self.key)),
        })
    }
}

fn json(value: impl Serialize) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|e| e.to_string())
}

fn set(values: impl Serialize) -> Result<Value, String> {
    let values = match json(values)? {
        Value::Array(values) => values,
        one => vec![one],
    };
    if values.is_empty() {
        return Err(
            "it has no values to compare with: the server would find nobody, or everybody".into(),
        );
    }
    values
        .into_iter()
        .map(scalar)
        .collect::<Result<Vec<_>, _>>()
        .map(Value::Array)
}

fn scalar(value: Value) -> Result<Value, String> {
    match value {
        Value::Bool(b) => Ok(b.to_string().into()),
        Value::Number(n) => Ok(whole(n)),
        Value::String(s) => not_empty(&s).map(|()| s.into()),
        Value::Null => Err(
            "null is no value: the server would drop the filter; is_not_set finds what is missing"
                .into(),
        ),
        Value::Array(_) | Value::Object(_) => {
            Err("a list or an object is no value: compare with text, numbers or booleans".into())
        }
    }
}

/// A whole float as the integer that it is: the server compares text, and nobody's 30 is written 30.0.
#[allow(clippy::cast_possible_truncation, clippy::float_cmp)] // within 2^53
fn whole(n: serde_json::Number) -> Value {
    match n.as_f64() {
        Some(f) if n.is_f64() && f.trunc() == f && f.abs() < 9e15 => (f as i64).into(),
        _ => n.into(),
    }
}

fn number(value: impl Serialize) -> Result<Value, String> {
    match json(value)? {
        number @ Value::Number(_) => Ok(number),
        other => Err(format!(
            "{other} is no number: the server would fail; for dates there is is_date_after and its kin"
        )),
    }
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("an empty text is no value: the server would return everybody".into());
    }
    Ok(())
}

/// `YYYY-MM-DD`, and ` hh:mm:ss` behind it or not: what else PostHog writes for dates finds nobody here, or is an error 500.
fn date(text: &str) -> Result<(), String> {
    let (day, time) = text
        .split_once(' ')
        .map_or((text, None), |(day, time)| (day, Some(time)));
    let right = |parts: Option<[u32; 3]>, from: [u32; 3], to: [u32; 3]| {
        parts.is_some_and(|p| {
            p.iter()
                .zip(from.iter().zip(&to))
                .all(|(n, (from, to))| from <= n && n <= to)
        })
    };
    let date = numbers(day, '-', [4, 2, 2]);
    let last = date.map_or(31, |[year, month, _]| match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    });
    let is_day = right(date, [0, 1, 1], [9999, 12, last]);
    if is_day && time.is_none_or(|t| right(numbers(t, ':', [2, 2, 2]), [0; 3], [23, 59, 59])) {
        return Ok(());
    }
    Err(format!(
        "{text:?} is no date that the server reads: write YYYY-MM-DD or YYYY-MM-DD hh:mm:ss"
    ))
}

fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u32; 3]> {
    let mut out = [0; 3];
    let mut parts = text.split(between);
    for (slot, len) in out.iter_mut().zip(digits) {
        let part = parts
            .next()
            .filter(|p| p.len() == len && p.bytes().all(|b| b.is_ascii_digit()))?;
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}
