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
            [group @ PersonFilter(Node::Any(_))] => Inner(group).serialize(serializer),
            plain if plain.iter().all(|f| matches!(f.0, Node::Leaf { .. })) => {
                serializer.collect_seq(plain.iter().map(|f| Inner(f)))
            }
            mixed => group(serializer, "AND", mixed.iter().copied()),
        }
    }
}

/// One filter inside a list or a group: a property is an object, not a list of one.
struct Inner<'a>(&'a PersonFilter);

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.0.0 {
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
            Node::Any(filters) => group(serializer, "OR", filters.iter()),
            Node::All(filters) => group(serializer, "AND", filters.iter()),
            Node::Wrong(why) => Err(S::Error::custom(why)),
        }
    }
}

/// A group holds properties or groups, never both (a server answers 400): beside a group, a property is a group of one.
fn group<'a, S: Serializer>(
    serializer: S,
    kind: &str,
    filters: impl Iterator<Item = &'a PersonFilter> + Clone,
) -> std::result::Result<S::Ok, S::Error> {
    let mixed = filters.clone().any(|f| !matches!(f.0, Node::Leaf { .. }));
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("type", kind)?;
    map.serialize_entry("values", &Values { filters, mixed })?;
    map.end()
}

struct Values<I> {
    filters: I,
    mixed: bool,
}

impl<'a, I: Iterator<Item = &'a PersonFilter> + Clone> Serialize for Values<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.filters.clone().map(|filter| Member {
            filter,
            alone: self.mixed,
        }))
    }
}

struct Member<'a> {
    filter: &'a PersonFilter,
    alone: bool,
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.alone && matches!(self.filter.0, Node::Leaf { .. }) {
            group(serializer, "AND", std::iter::once(self.filter))
        } else {
            Inner(self.filter).serialize(serializer)
        }
    }
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

/// The operators that take one string, or nothing but the server wants a value all the same.
macro_rules! operators {
    ($check:ident: $($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        pub fn $name(self, value: impl Into<String>) -> PersonFilter {
            let value = value.into();
            self.filter(stringify!($name), $check(&value).map(|()| Value::String(value)))
        }
    )* };
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

    operators! { not_empty:
        /// It contains this text, in any case; `%` and `_` are wildcards on servers since 2023.
        icontains;
        /// It does not contain this text, or is not there.
        not_icontains;
        /// It matches this regular expression of RE2.
        regex;
        /// It does not match this regular expression of RE2, or is not there.
        not_regex;
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
    pub fn is_set(self) -> PersonFilter {
        // A filter without a value is dropped by servers of 2022 and 2023.
        self.filter("is_set", Ok("is_set".into()))
    }

    /// It is not there.
    pub fn is_not_set(self) -> PersonFilter {
        self.filter("is_not_set", Ok("is_not_set".into()))
    }

    operators! { date:
        /// It is this day (`YYYY-MM-DD`) or moment (`YYYY-MM-DD hh:mm:ss`).
        is_date_exact;
        /// It is before this day or moment.
        is_date_before;
        /// It is after this day or moment.
        is_date_after;
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
        Value::Number(_) => Ok(value),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wire(filter: &PersonFilter) -> String {
        serde_json::to_string(filter).unwrap_or_else(|e| format!("refused: {e}"))
    }

    fn p(key: &str) -> PersonProperty {
        PersonFilter::property(key)
    }

    fn leaf(key: &str, value: &str, operator: &str) -> String {
        format!(r#"{{"key":"{key}","value":{value},"operator":"{operator}","type":"person"}}"#)
    }

    #[test]
    fn each_operator_by_its_name_on_the_wire() {
        for (filter, value, operator) in [
            (p("k").exact(["a", "b"]), r#"["a","b"]"#, "exact"),
            (p("k").exact("a"), r#"["a"]"#, "exact"),
            (p("k").exact([true, false]), r#"["true","false"]"#, "exact"),
            (
                p("k").is_not(json!([1, "a", 2.5])),
                r#"[1,"a",2.5]"#,
                "is_not",
            ),
            (p("k").icontains("A"), r#""A""#, "icontains"),
            (p("k").not_icontains("A"), r#""A""#, "not_icontains"),
            (p("k").regex("^a"), r#""^a""#, "regex"),
            (p("k").not_regex("^a"), r#""^a""#, "not_regex"),
            (p("k").gt(1), "1", "gt"),
            (p("k").gte(u64::MAX), "18446744073709551615", "gte"),
            (p("k").lt(1.5), "1.5", "lt"),
            (p("k").lte(-3), "-3", "lte"),
            (p("k").is_set(), r#""is_set""#, "is_set"),
            (p("k").is_not_set(), r#""is_not_set""#, "is_not_set"),
            (
                p("k").is_date_exact("2021-06-01"),
                r#""2021-06-01""#,
                "is_date_exact",
            ),
            (
                p("k").is_date_before("2024-02-29 23:59:59"),
                r#""2024-02-29 23:59:59""#,
                "is_date_before",
            ),
            (
                p("k").is_date_after("2021-06-01"),
                r#""2021-06-01""#,
                "is_date_after",
            ),
        ] {
            assert_eq!(wire(&filter), format!("[{}]", leaf("k", value, operator)));
        }
    }

    #[test]
    fn what_a_server_would_misread_is_refused() {
        let nothing: [&str; 0] = [];
        for (filter, why) in [
            (p("").exact(["x"]), "without a name"),
            (p("k").exact(nothing), "no values"),
            (p("k").exact([""]), "empty text"),
            (p("k").exact(""), "empty text"),
            (p("k").is_not(["a", ""]), "empty text"),
            (p("k").exact(json!(null)), "null"),
            (p("k").exact(json!([null])), "null"),
            (p("k").exact(json!([["a"]])), "a list or an object"),
            (p("k").exact(json!({"a": 1})), "a list or an object"),
            (p("k").icontains(""), "empty text"),
            (p("k").regex(""), "empty text"),
            (p("k").gt("abc"), "no number"),
            (p("k").gt([1, 2]), "no number"),
            (p("k").lt(f64::NAN), "no number"),
            (p("k").lte(true), "no number"),
            (p("k").is_date_after("-3d"), "no date"),
            (p("k").is_date_before("2026-11-20T00:00:00Z"), "no date"),
            (p("k").is_date_exact("2021-02-29"), "no date"),
            (p("k").is_date_exact("2021-13-01"), "no date"),
            (p("k").is_date_exact("2021-06-01 24:00:00"), "no date"),
            (p("k").is_date_exact("2021-06-01 "), "no date"),
            (p("k").is_date_exact("+021-06-01"), "no date"),
            (PersonFilter::any([]), "no filters"),
            (
                PersonFilter::any([p("k").is_set(), PersonFilter::all([])]),
                "no filters",
            ),
            (
                PersonFilter::all([p("k").is_set(), p("k").exact("")]),
                "empty text",
            ),
        ] {
            assert!(
                filter.fault().is_some_and(|f| f.contains(why)),
                "{filter:?}"
            );
            assert!(wire(&filter).contains(why), "{}", wire(&filter));
        }
    }

    #[test]
    fn groups_only_where_any_is_used() {
        let [a, b, c] = ["a", "b", "c"].map(|k| p(k).is_set());
        let [la, lb, lc] = ["a", "b", "c"].map(|k| leaf(k, r#""is_set""#, "is_set"));
        for (filter, out) in [
            (PersonFilter::any([a.clone()]), format!("[{la}]")),
            (
                PersonFilter::all([a.clone(), PersonFilter::all([b.clone(), c.clone()])]),
                format!("[{la},{lb},{lc}]"),
            ),
            (
                PersonFilter::any([a.clone(), b.clone()]),
                format!(r#"{{"type":"OR","values":[{la},{lb}]}}"#),
            ),
            (
                PersonFilter::any([PersonFilter::all([a.clone(), b.clone()]), c.clone()]),
                format!(
                    r#"{{"type":"OR","values":[{{"type":"AND","values":[{la},{lb}]}},{{"type":"AND","values":[{lc}]}}]}}"#
                ),
            ),
            (
                PersonFilter::all([a, PersonFilter::any([b, c])]),
                format!(
                    r#"{{"type":"AND","values":[{{"type":"AND","values":[{la}]}},{{"type":"OR","values":[{lb},{lc}]}}]}}"#
                ),
            ),
        ] {
            assert_eq!(wire(&filter), out);
        }
    }
}
