//! Filters on the properties of persons, and the JSON that servers read.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use crate::date::Moment;
use crate::error::excerpt;

/// How many flat lists an OR may expand into: each is read with requests of its own.
const MAX_LISTS: usize = 32;

/// How many there may be before all that others cover are removed.
const MOST_LISTS: usize = MAX_LISTS * MAX_LISTS;

/// How many groups may be inside each other, so that nothing here recurses deeper.
const MAX_DEPTH: usize = 32;

/// A filter on the properties of persons, for [`List::filter`](crate::List::filter), and for
/// cohorts and other routes that take `properties`.
///
/// A filter that a server would misread is a [`Config`](crate::ErrorKind::Config) error when the
/// list is sent: servers ignore what they do not understand and return everybody. It is an error of
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
/// let linux = PersonFilter::property("$initial_os").exact("Linux");
/// assert_eq!(
///     serde_json::to_string(&linux)?,
///     r#"[{"key":"$initial_os","value":["Linux"],"operator":"exact","type":"person"}]"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// It serializes to the value of a `properties` parameter: a flat list, or groups where
/// [`any`](PersonFilter::any) is used.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a filter has no effect before a list has it"]
pub struct PersonFilter {
    node: Node,
    /// How many groups are inside each other.
    depth: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// One condition on one property.
    Leaf {
        key: String,
        operator: &'static str,
        value: Value,
    },
    /// `OR` or `AND`, and two or more filters, none of which is a group of the same kind.
    Group(&'static str, Vec<PersonFilter>),
    Invalid(String),
}

/// A flat list: its conditions, each as JSON.
type FlatList = BTreeSet<String>;

impl PersonFilter {
    /// Starts a filter on a property, such as `email` or `$initial_os`. An operator completes it.
    pub fn property(key: impl Into<String>) -> PersonProperty {
        PersonProperty { key: key.into() }
    }

    /// Persons who match at least one of `filters` (OR).
    ///
    /// PostHog cannot list persons by an OR, so each alternative is a list of its own; see
    /// [`List::filter`](crate::List::filter).
    pub fn any(filters: impl IntoIterator<Item = PersonFilter>) -> PersonFilter {
        PersonFilter::group("OR", filters)
    }

    /// Persons who match each of `filters` (AND).
    pub fn all(filters: impl IntoIterator<Item = PersonFilter>) -> PersonFilter {
        PersonFilter::group("AND", filters)
    }

    /// A group inside a group of the same kind is merged into it when it is made.
    fn group(kind: &'static str, filters: impl IntoIterator<Item = PersonFilter>) -> PersonFilter {
        let (mut members, mut depth) = (Vec::new(), 1);
        for filter in filters {
            match filter.node {
                Node::Invalid(_) => return filter,
                Node::Group(inner_kind, inner) if inner_kind == kind => {
                    depth = depth.max(filter.depth);
                    // The first one moves as it is: a filter may grow in a loop.
                    if members.is_empty() {
                        members = inner;
                    } else {
                        members.extend(inner);
                    }
                }
                _ => {
                    depth = depth.max(filter.depth + 1);
                    members.push(filter);
                }
            }
        }
        if members.len() == 1 {
            return members.remove(0);
        }
        let node = if members.is_empty() {
            let name = if kind == "OR" { "any" } else { "all" };
            let why = "was given no filters: the server would return everybody";
            Node::Invalid(format!("PersonFilter::{name} {why}"))
        } else if depth > MAX_DEPTH {
            let why = "groups are inside each other";
            Node::Invalid(format!("in the filter more than {MAX_DEPTH} {why}"))
        } else {
            Node::Group(kind, members)
        };
        PersonFilter { node, depth }
    }

    fn is_leaf(&self) -> bool {
        matches!(self.node, Node::Leaf { .. })
    }

    /// The property and the values of one `exact`.
    fn as_exact(&self) -> Option<(&str, &[Value])> {
        match &self.node {
            Node::Leaf { key, operator: "exact", value } => Some((key, value.as_array()?)),
            _ => None,
        }
    }

    /// The flat lists, as JSON, whose persons together are those of the filter.
    pub(crate) fn flat_lists(&self) -> Result<Vec<String>, String> {
        let lists = self.expand()?;
        if lists.len() > MAX_LISTS {
            return Err(too_many(lists.len()));
        }
        let json = |list: FlatList| format!("[{}]", Vec::from_iter(list).join(","));
        Ok(lists.into_iter().map(json).collect())
    }

    /// The disjunctive normal form: an OR of ANDs.
    fn expand(&self) -> Result<Vec<FlatList>, String> {
        match &self.node {
            leaf @ Node::Leaf { .. } => {
                let json = serde_json::to_string(leaf).map_err(|e| e.to_string())?;
                Ok(vec![FlatList::from([json])])
            }
            Node::Group("OR", filters) => {
                let mut lists = Vec::new();
                for filter in join_exact(filters) {
                    for list in filter.expand()? {
                        add(&mut lists, list)?;
                    }
                }
                Ok(lists)
            }
            Node::Group(_, filters) => {
                let (leaves, groups): (Vec<_>, Vec<_>) = filters.iter().partition(|f| f.is_leaf());
                let mut own = FlatList::new();
                for leaf in leaves {
                    own.extend(leaf.expand()?.into_iter().flatten());
                }
                let mut lists = vec![own];
                for group in groups {
                    let alternatives = group.expand()?;
                    // Far more than can remain once covered lists are removed.
                    if lists.len() * alternatives.len() > MOST_LISTS {
                        return Err(too_many(lists.len() * alternatives.len()));
                    }
                    let mut product = Vec::new();
                    for list in &lists {
                        for alternative in &alternatives {
                            add(&mut product, list | alternative)?;
                        }
                    }
                    lists = product;
                }
                Ok(lists)
            }
            Node::Invalid(why) => Err(why.clone()),
        }
    }
}

fn too_many(lists: usize) -> String {
    let hint = "use HogQL (SELECT ... FROM persons WHERE ...)";
    format!("the filter expands into {lists} lists, and at most {MAX_LISTS} are read; {hint}")
}

/// Adds a list, unless another one finds its persons too: one that has no other conditions.
fn add(lists: &mut Vec<FlatList>, list: FlatList) -> Result<(), String> {
    if !lists.iter().any(|other| other.is_subset(&list)) {
        lists.retain(|other| !list.is_subset(other));
        lists.push(list);
    }
    if lists.len() > MOST_LISTS { Err(too_many(lists.len())) } else { Ok(()) }
}

/// Alternatives that are each one `exact` on the same property become one `exact` with all their
/// values, where the first one is.
fn join_exact(filters: &[PersonFilter]) -> Vec<PersonFilter> {
    let mut joined: HashMap<&str, Vec<Value>> = HashMap::new();
    for (key, values) in filters.iter().filter_map(PersonFilter::as_exact) {
        joined.entry(key).or_default().extend_from_slice(values);
    }
    let join = |filter: &PersonFilter| {
        let Some((key, _)) = filter.as_exact() else { return Some(filter.clone()) };
        let mut values = joined.remove(key)?;
        sort(&mut values);
        let (key, value) = (key.to_owned(), values.into());
        Some(PersonFilter { node: Node::Leaf { key, operator: "exact", value }, depth: 0 })
    };
    filters.iter().filter_map(join).collect()
}

/// Puts the texts of a set in one order, each once.
fn sort(values: &mut Vec<Value>) {
    values.sort_unstable_by(|a, b| a.as_str().cmp(&b.as_str()));
    values.dedup();
}

impl Serialize for PersonFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.node {
            Node::Leaf { .. } => [&self.node].serialize(serializer),
            Node::Group("AND", filters) if filters.iter().all(PersonFilter::is_leaf) => {
                serializer.collect_seq(filters.iter().map(|filter| &filter.node))
            }
            node => node.serialize(serializer),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Node::Leaf { key, operator, value } => {
                map.serialize_entry("key", key)?;
                map.serialize_entry("value", value)?;
                map.serialize_entry("operator", operator)?;
                map.serialize_entry("type", "person")?;
            }
            Node::Group(kind, filters) => {
                // A group holds conditions or groups, never both (a server answers 400): beside a
                // group, a condition becomes a group of one.
                let has_group = !filters.iter().all(PersonFilter::is_leaf);
                let member = |filter: &PersonFilter| match &filter.node {
                    Node::Leaf { .. } if has_group => Node::Group("AND", vec![filter.clone()]),
                    node => node.clone(),
                };
                map.serialize_entry("type", kind)?;
                map.serialize_entry("values", &filters.iter().map(member).collect::<Vec<_>>())?;
            }
            Node::Invalid(why) => return Err(S::Error::custom(why)),
        }
        map.end()
    }
}

/// A property of persons: an operator makes a filter of it.
///
/// These are the 15 operators that the list of persons knows on every server. Others are misread
/// there; HogQL has them all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a property is not a filter before an operator completes it"]
pub struct PersonProperty {
    key: String,
}

impl PersonProperty {
    /// The property is one of `values`: one text, number or boolean, or a list of them.
    ///
    /// Numbers and booleans are sent as the text that servers compare: 30 for 30.0. Servers of 2022
    /// do not find text with a quote, a backslash, a tab or a line break.
    pub fn exact(self, values: impl Serialize) -> PersonFilter {
        self.filter("exact", set(values))
    }

    /// The property is none of `values`, or is absent.
    pub fn is_not(self, values: impl Serialize) -> PersonFilter {
        self.filter("is_not", set(values))
    }

    /// The property contains this text, in upper or lower case. A backslash is an error.
    pub fn icontains(self, value: impl Into<String>) -> PersonFilter {
        self.filter("icontains", contained(value.into()))
    }

    /// The property does not contain this text, or is absent.
    pub fn not_icontains(self, value: impl Into<String>) -> PersonFilter {
        self.filter("not_icontains", contained(value.into()))
    }

    /// The property matches this regular expression of RE2.
    pub fn regex(self, value: impl Into<String>) -> PersonFilter {
        self.filter("regex", not_empty(value.into()).map(Value::from))
    }

    /// The property does not match this regular expression of RE2, or is absent.
    pub fn not_regex(self, value: impl Into<String>) -> PersonFilter {
        self.filter("not_regex", not_empty(value.into()).map(Value::from))
    }

    /// The property is greater than this number. Current servers compare only a property that is
    /// defined as Numeric, and answer 500 for any other.
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

    /// The property is a number from `least` to `most`, both included.
    pub fn between(self, least: impl Serialize, most: impl Serialize) -> PersonFilter {
        PersonFilter::all([self.clone().gte(least), self.lte(most)])
    }

    /// The property exists.
    pub fn is_set(self) -> PersonFilter {
        // Servers of 2022 and 2023 ignore a filter without a value.
        self.filter("is_set", Ok("is_set".into()))
    }

    /// The property does not exist.
    pub fn is_not_set(self) -> PersonFilter {
        self.filter("is_not_set", Ok("is_not_set".into()))
    }

    /// The property is this day, `YYYY-MM-DD`, or this second, `YYYY-MM-DD hh:mm:ss` or RFC 3339. A
    /// day equals only a property that is a day too.
    pub fn is_date_exact(self, value: impl Display) -> PersonFilter {
        self.date("is_date_exact", &value)
    }

    /// The property is before this day or second; see [`is_date_exact`](Self::is_date_exact).
    pub fn is_date_before(self, value: impl Display) -> PersonFilter {
        self.date("is_date_before", &value)
    }

    /// The property is after this day or second; see [`is_date_exact`](Self::is_date_exact).
    pub fn is_date_after(self, value: impl Display) -> PersonFilter {
        self.date("is_date_after", &value)
    }

    fn date(self, operator: &'static str, value: &dyn Display) -> PersonFilter {
        if self.key == "created_at" {
            let why = "created_at is not a property, and nobody would be found; use HogQL \
                       (SELECT ... FROM persons WHERE created_at >= toDateTime({t}))";
            return self.filter(operator, Err(why.into()));
        }
        let text = value.to_string();
        let why = || {
            let text = excerpt(&text);
            format!("{text:?} is not a date; write YYYY-MM-DD, YYYY-MM-DD hh:mm:ss, or RFC 3339")
        };
        let moment = Moment::parse(&text).ok_or_else(why);
        self.filter(operator, moment.map(|moment| moment.for_filter().into()))
    }

    fn filter(self, operator: &'static str, value: Result<Value, String>) -> PersonFilter {
        let node = match value {
            _ if self.key.is_empty() => {
                let why = "the server would ignore it and return everybody";
                Node::Invalid(format!("a filter has an empty property name: {why}"))
            }
            Ok(value) => Node::Leaf { key: self.key, operator, value },
            Err(why) => {
                Node::Invalid(format!("the filter {operator} on {:?}: {why}", excerpt(&self.key)))
            }
        };
        PersonFilter { node, depth: 0 }
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
    let mut texts = values.into_iter().map(as_text).collect::<Result<Vec<Value>, String>>()?;
    sort(&mut texts);
    Ok(Value::Array(texts))
}

/// A value as the text that it is compared with.
fn as_text(value: Value) -> Result<Value, String> {
    match value {
        Value::Bool(b) => Ok(b.to_string().into()),
        Value::Number(n) => Ok(number_text(&n).into()),
        Value::String(text) => not_empty(text).map(|text| escaped(&text).into()),
        Value::Null => Err("null or NaN is not a value; use is_not_set instead".into()),
        _ => Err("a list or an object is not a value; use text, numbers or booleans".into()),
    }
}

/// Text as it stands in JSON, without the quotes: servers compare a property's JSON text.
fn escaped(text: &str) -> String {
    let json = Value::from(text).to_string();
    json.get(1..json.len() - 1).unwrap_or_default().to_owned()
}

/// A number as servers write it, since they compare text: 30 and not 30.0, and 1e21.
fn number_text(n: &Number) -> String {
    match n.as_f64() {
        Some(f) if n.is_f64() && f != 0.0 && !(1e-6..1e21).contains(&f.abs()) => format!("{f:e}"),
        Some(f) if n.is_f64() => (f + 0.0).to_string(), // 0 and not -0
        _ => n.to_string(),
    }
}

fn number(value: impl Serialize) -> Result<Value, String> {
    match json(value)? {
        number @ Value::Number(_) => Ok(number),
        other => {
            let why = "is not a number, and the server would fail; for dates use is_date_after";
            Err(format!("{} {why}", excerpt(&other.to_string())))
        }
    }
}

fn not_empty(text: String) -> Result<String, String> {
    if text.is_empty() {
        return Err("the text is empty: servers would return everybody".into());
    }
    Ok(text)
}

fn contained(text: String) -> Result<Value, String> {
    let text = not_empty(text)?;
    if text.contains('\\') {
        return Err("a backslash would find the wrong persons; use HogQL".into());
    }
    Ok(escaped(&text).into())
}

#[cfg(test)]
mod tests;
