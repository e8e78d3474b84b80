//! Filters on the properties of persons, and the JSON that servers read.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use crate::date::Moment;
use crate::error::text::excerpt;

/// How many flat lists an OR may expand into: each is read with requests of its own.
const MAX_LISTS: usize = 32;

/// A filter on the properties of persons, for [`List::filter`](crate::List::filter), and for
/// cohorts and other routes that take `properties`.
///
/// A filter that a server would misread is an [`Config`](crate::ErrorKind::Config) when the list
/// is sent: servers ignore what they do not understand and return everybody. It is an error of
/// serde when it is serialized.
///
/// # What servers make of a value
/// - `%` and `_` are wildcards in [`icontains`](PersonProperty::icontains).
/// - A regular expression is one of RE2: current servers answer an invalid one with an error 500.
/// - The negative operators also find persons who do not have the property.
/// - A property that is JSON null counts as absent on current servers.
///
/// # Examples
/// ```
/// use posthog_api::PersonFilter;
///
/// let linux = PersonFilter::property("$initial_os").exact(["Linux"]);
/// let adult = PersonFilter::property("age").gte(18);
/// let paying = PersonFilter::property("plan").is_not("free");
/// let filter = PersonFilter::all([linux, PersonFilter::any([adult, paying])]);
/// # assert!(serde_json::to_string(&filter).is_ok());
/// ```
///
/// It serializes to the value of a `properties` parameter: a flat list, or groups where
/// [`any`](PersonFilter::any) is used.
/// ```
/// # use posthog_api::PersonFilter;
/// let linux = PersonFilter::property("$initial_os").exact(["Linux"]);
/// assert_eq!(
///     serde_json::to_string(&linux)?,
///     r#"[{"key":"$initial_os","value":["Linux"],"operator":"exact","type":"person"}]"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PersonFilter(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Leaf(Leaf),
    Any(Vec<PersonFilter>),
    All(Vec<PersonFilter>),
    Invalid(String),
}

/// One condition on one property.
#[derive(Debug, Clone, PartialEq)]
struct Leaf {
    key: String,
    operator: &'static str,
    value: Value,
}

impl PersonFilter {
    /// Starts a filter on a property, such as `email` or `$initial_os`. An operator completes it.
    pub fn property(key: impl Into<String>) -> PersonProperty {
        PersonProperty { key: key.into() }
    }

    /// Persons who match at least one of `filters` (OR).
    ///
    /// PostHog answers an OR in the list of persons with an error 500, so
    /// [`Project::persons`](crate::Project::persons) reads one list for each alternative and
    /// merges them; see [`List::filter`](crate::List::filter).
    pub fn any(filters: impl IntoIterator<Item = PersonFilter>) -> PersonFilter {
        PersonFilter::group("any", filters, Node::Any)
    }

    /// Persons who match each of `filters` (AND).
    pub fn all(filters: impl IntoIterator<Item = PersonFilter>) -> PersonFilter {
        PersonFilter::group("all", filters, Node::All)
    }

    fn group(
        name: &str,
        filters: impl IntoIterator<Item = PersonFilter>,
        node: fn(Vec<PersonFilter>) -> Node,
    ) -> PersonFilter {
        let mut filters: Vec<PersonFilter> = filters.into_iter().collect();
        PersonFilter(match filters.len() {
            0 => Node::Invalid(format!(
                "PersonFilter::{name} was given no filters: the server would return everybody"
            )),
            1 => filters.remove(0).0,
            _ => node(filters),
        })
    }

    /// What is not valid in it.
    fn mistake(&self) -> Option<&str> {
        match &self.0 {
            Node::Leaf(_) => None,
            Node::Invalid(why) => Some(why),
            Node::Any(filters) | Node::All(filters) => {
                filters.iter().find_map(PersonFilter::mistake)
            }
        }
    }

    fn is_leaf(&self) -> bool {
        matches!(self.0, Node::Leaf(_))
    }

    /// The filters that it ANDs.
    fn conjuncts<'a>(&'a self, out: &mut Vec<&'a PersonFilter>) {
        match &self.0 {
            Node::All(filters) => filters.iter().for_each(|f| f.conjuncts(out)),
            _ => out.push(self),
        }
    }

    /// The flat lists, as JSON, whose persons together are those of the filter.
    pub(crate) fn flat_lists(&self) -> std::result::Result<Vec<String>, String> {
        if let Some(why) = self.mistake() {
            return Err(why.to_owned());
        }
        let lists = self.expand()?;
        if lists.len() > MAX_LISTS {
            return Err(too_many(lists.len()));
        }
        let json = |list: &Vec<Leaf>| serde_json::to_string(list).map_err(|e| e.to_string());
        lists.iter().map(json).collect()
    }

    /// The disjunctive normal form: an OR of ANDs.
    fn expand(&self) -> std::result::Result<Vec<Vec<Leaf>>, String> {
        let mut lists: Vec<Vec<Leaf>> = match &self.0 {
            Node::Leaf(leaf) => vec![vec![leaf.clone()]],
            Node::Any(filters) => {
                let mut lists = Vec::new();
                for filter in filters {
                    lists.extend(filter.expand()?);
                }
                let lists = join_exact(lists);
                if lists.len() > MAX_LISTS * MAX_LISTS {
                    return Err(too_many(lists.len()));
                }
                lists
            }
            Node::All(filters) => {
                let mut lists = vec![Vec::new()];
                for filter in filters {
                    let alternatives = filter.expand()?;
                    // Far more than can remain once equal lists are removed.
                    if lists.len() * alternatives.len() > MAX_LISTS * MAX_LISTS {
                        return Err(too_many(lists.len() * alternatives.len()));
                    }
                    lists = product(&lists, &alternatives);
                }
                lists
            }
            Node::Invalid(why) => return Err(why.clone()),
        };
        remove_covered(&mut lists);
        Ok(lists)
    }
}

fn too_many(lists: usize) -> String {
    format!(
        "the filter expands into {lists} lists, and at most {MAX_LISTS} are read; use HogQL (SELECT ... FROM persons WHERE ...)"
    )
}

/// Each list of `left` with each of `right`.
fn product(left: &[Vec<Leaf>], right: &[Vec<Leaf>]) -> Vec<Vec<Leaf>> {
    let mut out = Vec::with_capacity(left.len() * right.len());
    for a in left {
        for b in right {
            let mut list = a.clone();
            list.extend(b.iter().filter(|leaf| !a.contains(leaf)).cloned());
            out.push(list);
        }
    }
    out
}

/// Alternatives that are each one `exact` on the same property become one `exact` with all their
/// values.
fn join_exact(lists: Vec<Vec<Leaf>>) -> Vec<Vec<Leaf>> {
    let mut out: Vec<Vec<Leaf>> = Vec::with_capacity(lists.len());
    // By property: the place of its list in `out`, and the values that it has.
    let mut joined: HashMap<String, (usize, HashSet<String>)> = HashMap::new();
    for list in lists {
        let [Leaf { key, operator: "exact", value: Value::Array(values) }] = list.as_slice() else {
            out.push(list);
            continue;
        };
        let (at, seen) = joined.entry(key.clone()).or_insert((out.len(), HashSet::new()));
        let new: Vec<Value> =
            values.iter().filter(|v| seen.insert(v.to_string())).cloned().collect();
        match out.get_mut(*at).and_then(|list| list.first_mut()) {
            Some(Leaf { value: Value::Array(values), .. }) => values.extend(new),
            _ => out.push(list),
        }
    }
    out
}

/// Removes each list that has all the conditions of another: the other list finds its persons too.
fn remove_covered(lists: &mut Vec<Vec<Leaf>>) {
    let mut kept: Vec<Vec<Leaf>> = Vec::with_capacity(lists.len());
    let covers = |a: &[Leaf], b: &[Leaf]| a.iter().all(|leaf| b.contains(leaf));
    for list in lists.drain(..) {
        if !kept.iter().any(|other| covers(other, &list)) {
            kept.retain(|other| !covers(&list, other));
            kept.push(list);
        }
    }
    *lists = kept;
}

impl Serialize for PersonFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if let Some(why) = self.mistake() {
            return Err(S::Error::custom(why));
        }
        let mut conjuncts = Vec::new();
        self.conjuncts(&mut conjuncts);
        match conjuncts.as_slice() {
            [only @ PersonFilter(Node::Any(_))] => {
                Member { filter: only, beside_group: false }.serialize(serializer)
            }
            plain if plain.iter().all(|f| f.is_leaf()) => {
                members(plain, false).serialize(serializer)
            }
            mixed => serialize_group(serializer, "AND", mixed),
        }
    }
}

impl Serialize for Leaf {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("key", &self.key)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("operator", self.operator)?;
        map.serialize_entry("type", "person")?;
        map.end()
    }
}

/// One filter inside a list or a group: a condition is an object there, not a list of one.
struct Member<'a> {
    filter: &'a PersonFilter,
    /// It stands beside a group. A group holds conditions or groups, never both (a server answers
    /// 400), so a condition becomes a group of one.
    beside_group: bool,
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.filter.0 {
            Node::Leaf(_) if self.beside_group => {
                serialize_group(serializer, "AND", &[self.filter])
            }
            Node::Leaf(leaf) => leaf.serialize(serializer),
            Node::Any(filters) => {
                serialize_group(serializer, "OR", &filters.iter().collect::<Vec<_>>())
            }
            Node::All(filters) => {
                serialize_group(serializer, "AND", &filters.iter().collect::<Vec<_>>())
            }
            Node::Invalid(why) => Err(S::Error::custom(why)),
        }
    }
}

fn members<'a>(filters: &[&'a PersonFilter], beside_group: bool) -> Vec<Member<'a>> {
    filters.iter().map(|filter| Member { filter, beside_group }).collect()
}

fn serialize_group<S: Serializer>(
    serializer: S,
    kind: &str,
    filters: &[&PersonFilter],
) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("type", kind)?;
    let mixed = !filters.iter().all(|f| f.is_leaf());
    map.serialize_entry("values", &members(filters, mixed))?;
    map.end()
}

/// A property of persons: an operator makes a filter of it.
///
/// There are the 15 operators that the list of persons knows on every server. Others that PostHog
/// has elsewhere (`between`, `in`, `not_in`, `min`, `max`, `starts_with`, `semver_*`) are misread
/// there, so they do not exist here; HogQL has them all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a property is not a filter before an operator completes it"]
pub struct PersonProperty {
    key: String,
}

impl PersonProperty {
    /// The property is one of `values`: one text, number or boolean, or a list of them.
    ///
    /// Numbers and booleans are sent as text, which every server compares correctly.
    pub fn exact(self, values: impl Serialize) -> PersonFilter {
        self.filter("exact", set(values))
    }

    /// The property is none of `values`, or is absent.
    pub fn is_not(self, values: impl Serialize) -> PersonFilter {
        self.filter("is_not", set(values))
    }

    /// The property contains this text, in upper or lower case; `%` and `_` are wildcards. A
    /// backslash is not possible: servers find the wrong persons.
    pub fn icontains(self, value: impl Into<String>) -> PersonFilter {
        self.text("icontains", value, without_backslash)
    }

    /// The property does not contain this text, or is absent.
    pub fn not_icontains(self, value: impl Into<String>) -> PersonFilter {
        self.text("not_icontains", value, without_backslash)
    }

    /// The property matches this regular expression of RE2.
    pub fn regex(self, value: impl Into<String>) -> PersonFilter {
        self.text("regex", value, not_empty)
    }

    /// The property does not match this regular expression of RE2, or is absent.
    pub fn not_regex(self, value: impl Into<String>) -> PersonFilter {
        self.text("not_regex", value, not_empty)
    }

    /// The property is greater than this number.
    ///
    /// Current servers compare only a property that is defined as Numeric, and answer 500 for any
    /// other.
    pub fn gt(self, value: impl Serialize) -> PersonFilter {
        self.filter("gt", number(value))
    }

    /// The property is this number or greater; see [`gt`](PersonProperty::gt).
    pub fn gte(self, value: impl Serialize) -> PersonFilter {
        self.filter("gte", number(value))
    }

    /// The property is less than this number; see [`gt`](PersonProperty::gt).
    pub fn lt(self, value: impl Serialize) -> PersonFilter {
        self.filter("lt", number(value))
    }

    /// The property is this number or less; see [`gt`](PersonProperty::gt).
    pub fn lte(self, value: impl Serialize) -> PersonFilter {
        self.filter("lte", number(value))
    }

    /// The property exists. On current servers, one that is JSON null does not.
    #[must_use]
    pub fn is_set(self) -> PersonFilter {
        // Servers of 2022 and 2023 ignore a filter without a value.
        self.filter("is_set", Ok("is_set".into()))
    }

    /// The property does not exist.
    #[must_use]
    pub fn is_not_set(self) -> PersonFilter {
        self.filter("is_not_set", Ok("is_not_set".into()))
    }

    /// The property is this day or moment: `YYYY-MM-DD`, `YYYY-MM-DD hh:mm:ss`, or RFC 3339, which
    /// is sent as whole seconds in UTC.
    ///
    /// A day equals only a property that is that day alone; a moment, only a property that is that
    /// second.
    pub fn is_date_exact(self, value: impl Display) -> PersonFilter {
        self.date("is_date_exact", &value)
    }

    /// The property is before this day or moment; see
    /// [`is_date_exact`](PersonProperty::is_date_exact).
    pub fn is_date_before(self, value: impl Display) -> PersonFilter {
        self.date("is_date_before", &value)
    }

    /// The property is after this day or moment; see
    /// [`is_date_exact`](PersonProperty::is_date_exact).
    pub fn is_date_after(self, value: impl Display) -> PersonFilter {
        self.date("is_date_after", &value)
    }

    fn date(self, operator: &'static str, value: &dyn Display) -> PersonFilter {
        if self.key == "created_at" {
            let why = "created_at is not a property, and nobody would be found; use HogQL \
                       (SELECT ... FROM persons WHERE created_at >= toDateTime({t}))";
            return self.filter(operator, Err(why.to_owned()));
        }
        let text = value.to_string();
        let moment = Moment::parse(&text).map(|moment| Value::from(moment.for_filter()));
        self.filter(
            operator,
            moment.ok_or_else(|| {
                format!(
                    "{:?} is not a date; write YYYY-MM-DD, YYYY-MM-DD hh:mm:ss, or RFC 3339",
                    excerpt(&text)
                )
            }),
        )
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
            _ if self.key.is_empty() => Node::Invalid(
                "a filter has an empty property name: the server would ignore it and return everybody"
                    .into(),
            ),
            Ok(value) => Node::Leaf(Leaf { key: self.key, operator, value }),
            Err(why) => {
                Node::Invalid(format!("the filter {operator} on {:?}: {why}", excerpt(&self.key)))
            }
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
        return Err("there are no values: the server would return everybody".into());
    }
    let mut seen = HashSet::with_capacity(values.len());
    let mut texts = Vec::with_capacity(values.len());
    for value in values {
        for text in as_texts(value)? {
            if seen.insert(text.clone()) {
                texts.push(Value::String(text));
            }
        }
    }
    Ok(Value::Array(texts))
}

/// A value as the texts that it is compared with.
fn as_texts(value: Value) -> Result<Vec<String>, String> {
    match value {
        Value::Bool(b) => Ok(vec![b.to_string()]),
        Value::Number(n) => Ok(vec![number_text(&n)]),
        Value::String(text) => {
            not_empty(&text)?;
            // Current servers compare a property's JSON text, older ones the text itself.
            let json = Value::from(text.as_str()).to_string();
            let escaped = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
            Ok(if escaped == text { vec![text] } else { vec![text, escaped] })
        }
        Value::Null => {
            Err("null or NaN is not a value; use is_not_set to find persons without the property"
                .into())
        }
        Value::Array(_) | Value::Object(_) => {
            Err("a list or an object is not a value; use text, numbers or booleans".into())
        }
    }
}

/// A number as servers write it: they compare text, and 30 is not written 30.0.
#[allow(clippy::float_cmp)] // whole or not, exactly
fn number_text(n: &Number) -> String {
    match n.as_f64() {
        Some(f) if n.is_f64() && f.trunc() == f && f.abs() < 9e15 => {
            format!("{:.0}", f + 0.0) // and not -0
        }
        _ => n.to_string(),
    }
}

fn number(value: impl Serialize) -> Result<Value, String> {
    match json(value)? {
        number @ Value::Number(_) => Ok(number),
        other => Err(format!(
            "{} is not a number, and the server would fail; for dates use is_date_after or is_date_before",
            excerpt(&other.to_string())
        )),
    }
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("the text is empty: servers would return everybody".into());
    }
    Ok(())
}

fn without_backslash(text: &str) -> Result<(), String> {
    not_empty(text)?;
    if text.contains('\\') {
        return Err("a backslash would find the wrong persons; use HogQL".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(key: &str) -> PersonProperty {
        PersonFilter::property(key)
    }

    /// The lists, each as `key operator value & ...`.
    fn lists(filter: &PersonFilter) -> Vec<String> {
        let lists = filter.flat_lists().unwrap();
        let one = |leaf: &Value| {
            format!(
                "{} {} {}",
                leaf["key"].as_str().unwrap(),
                leaf["operator"].as_str().unwrap(),
                leaf["value"]
            )
        };
        let list = |json: &String| {
            let leaves: Vec<Value> = serde_json::from_str(json).unwrap();
            leaves.iter().map(one).collect::<Vec<_>>().join(" & ")
        };
        lists.iter().map(list).collect()
    }

    #[test]
    fn an_or_becomes_flat_lists() {
        let any = |filters: Vec<PersonFilter>| PersonFilter::any(filters);
        let all = |filters: Vec<PersonFilter>| PersonFilter::all(filters);
        let (a, b, c) = (|| p("a").is_set(), || p("b").gt(1), || p("c").exact("x"));
        for (filter, expected) in [
            (a(), vec!["a is_set \"is_set\""]),
            (all(vec![a(), b()]), vec!["a is_set \"is_set\" & b gt 1"]),
            (any(vec![a(), b()]), vec!["a is_set \"is_set\"", "b gt 1"]),
            (
                all(vec![any(vec![a(), b()]), c()]),
                vec!["a is_set \"is_set\" & c exact [\"x\"]", "b gt 1 & c exact [\"x\"]"],
            ),
            (
                any(vec![all(vec![a(), b()]), c()]),
                vec!["a is_set \"is_set\" & b gt 1", "c exact [\"x\"]"],
            ),
            (any(vec![c(), p("c").exact(["y", "x"])]), vec!["c exact [\"x\",\"y\"]"]),
            (any(vec![c(), p("d").exact("x")]), vec!["c exact [\"x\"]", "d exact [\"x\"]"]),
            (any(vec![a(), a()]), vec!["a is_set \"is_set\""]),
            (any(vec![a(), all(vec![a(), b()])]), vec!["a is_set \"is_set\""]),
            (
                all(vec![any(vec![a(), b()]), any(vec![a(), b()])]),
                vec!["a is_set \"is_set\"", "b gt 1"],
            ),
        ] {
            assert_eq!(lists(&filter), expected, "{filter:?}");
        }
    }

    #[test]
    fn too_many_alternatives_are_refused_with_hogql() {
        let any = |n: usize| PersonFilter::any((0..n).map(|i| p(&format!("k{i}")).is_set()));
        assert_eq!(any(32).flat_lists().unwrap().len(), 32);
        for filter in [
            any(33),
            any(2_000),
            PersonFilter::all((0..40).map(|i| {
                PersonFilter::any([p(&format!("a{i}")).is_set(), p(&format!("b{i}")).is_set()])
            })),
        ] {
            assert!(filter.flat_lists().unwrap_err().contains("HogQL"));
        }
    }

    #[test]
    fn values_are_sent_as_text_in_each_form_that_servers_compare() {
        for (value, sent) in [
            (serde_json::json!(true), r#"["true"]"#),
            (serde_json::json!(30), r#"["30"]"#),
            (serde_json::json!(30.0), r#"["30"]"#),
            (serde_json::json!(-0.5), r#"["-0.5"]"#),
            (serde_json::json!(u64::MAX), r#"["18446744073709551615"]"#),
            (serde_json::json!(["a", "a"]), r#"["a"]"#),
            (serde_json::json!("say \"hi\""), r#"["say \"hi\"","say \\\"hi\\\""]"#),
            (serde_json::json!("a\tb\\"), r#"["a\tb\\","a\\tb\\\\"]"#),
        ] {
            let Node::Leaf(leaf) = p("k").exact(&value).0 else { panic!("{value}") };
            assert_eq!(leaf.value.to_string(), sent, "{value}");
        }
    }
}
