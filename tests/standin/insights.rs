//! The insights routes: a list that loses rows unless it is ordered, and results that must be computed first.
use super::http::{Answer, Request};
use super::persons::origin;
use super::properties::Refusal;
use super::recordings::{self, Recorded};
use serde_json::Value;

/// An insight that nobody has looked at yet; it is computed on the first refresh.
pub const NEVER_COMPUTED: u64 = 28;

pub struct Insight {
    pub id: u64,
    raw: String,
    value: Value,
    /// As it was before its first computation.
    before: Option<(String, Value)>,
}

impl Insight {
    fn now(&self, computed: bool) -> (&str, &Value) {
        match &self.before {
            Some((raw, value)) if !computed => (raw, value),
            _ => (&self.raw, &self.value),
        }
    }
}

/// Every insight that was recorded, retrieved or in a list, by id.
pub fn table(recorded: &[Recorded]) -> Vec<Insight> {
    let ok = |r: &&Recorded| r.status == 200 && r.target.contains("/api/projects/1/insights/");
    let (mut retrieved, mut listed, mut before) = (Vec::new(), Vec::new(), None);
    for recorded in recorded.iter().filter(ok) {
        let raw = String::from_utf8(recorded.body.clone()).unwrap();
        if recorded.name == "insight_uncached_boldnumber" {
            before = serde_json::from_str(&raw).ok().map(|value| (raw, value));
        } else if recorded.target.contains("insights/?") {
            listed.extend(recordings::results(&recorded.body));
        } else if !recorded.target.contains('?') {
            let value = serde_json::from_str(&raw).unwrap();
            retrieved.push((raw, value));
        }
    }
    // Some lists were asked for `basic`: those items lack fields that every other has.
    listed.retain(|(_, value)| value.get("result").is_some());
    let mut insights: Vec<Insight> = Vec::new();
    for (raw, value) in retrieved.into_iter().chain(listed) {
        let id = value["id"].as_u64().unwrap();
        if insights.iter().all(|insight| insight.id != id) {
            let before = if id == NEVER_COMPUTED {
                before.take()
            } else {
                None
            };
            insights.push(Insight {
                id,
                raw,
                value,
                before,
            });
        }
    }
    insights.sort_by_key(|insight| insight.id);
    insights
}

/// Whether this request makes PostHog compute: an unknown word and the falsy ones read the cache.
pub fn computes(request: &Request) -> bool {
    let refresh = request.param("refresh").unwrap_or_default();
    !matches!(refresh.as_str(), "" | "false" | "force_cache" | "0" | "no")
}

pub fn retrieve(
    request: &Request,
    key: &str,
    insights: &[Insight],
    computed: bool,
) -> Result<Answer, Refusal> {
    // A short id is no id here, and 69 is soft-deleted: both are simply not there.
    let id: Option<u64> = key.parse().ok();
    let insight = insights.iter().find(|insight| Some(insight.id) == id);
    let (raw, value) = insight.ok_or("insight_deleted")?.now(computed);
    if id == Some(70) && computes(request) {
        return Err("insight_refresh_query_viz_trends");
    }
    Ok(match truthy(request, "basic") {
        true => Answer::json(200, &basic(value)),
        false => Answer::json(200, raw),
    })
}

/// The list, or the name of the recorded answer that refuses it.
pub fn list(request: &Request, insights: &[Insight], computed: bool) -> Result<Answer, Refusal> {
    let param = |name| request.param(name).filter(|value| !value.is_empty());
    if param("dashboards").is_some_and(|ids| serde_json::from_str::<Vec<u64>>(&ids).is_err()) {
        return Err("insights_list_dashboards_bad");
    }
    let (short_id, search, saved) = (param("short_id"), param("search"), param("saved"));
    let with_queries = truthy(request, "include_query_insights");
    let fits = |(_, value): &(&str, &Value)| {
        let has = |text: &String| {
            let text = text.to_lowercase();
            let named = ["name", "derived_name", "description"].iter();
            named
                .filter_map(|field| value[*field].as_str())
                .any(|own| own.to_lowercase().contains(&text))
        };
        let kept = value["saved"] == true || value["dashboards"] != Value::Array(Vec::new());
        (with_queries || value["query"].is_null())
            && short_id
                .as_ref()
                .is_none_or(|id| value["short_id"] == id.as_str())
            && search.as_ref().is_none_or(has)
            && saved
                .as_ref()
                .is_none_or(|_| truthy(request, "saved") == kept)
    };
    let mut found: Vec<_> = insights
        .iter()
        .map(|i| i.now(computed))
        .filter(fits)
        .collect();
    let order = param("order");
    if let Some(order) = &order {
        sort(&mut found, order)?;
    }
    let (limit, offset) = limit_offset(request);
    let from = if order.is_none() {
        lossy(limit, offset)
    } else {
        offset
    };
    let size = limit.min(found.len().saturating_sub(offset));
    let short = truthy(request, "basic");
    let rows = found.iter().skip(from).take(size);
    let rows: Vec<String> = rows
        .map(|(raw, value)| {
            if short {
                basic(value)
            } else {
                (*raw).to_owned()
            }
        })
        .collect();
    Ok(page(request, found.len(), &rows))
}

/// The real order is by a column that is null nearly everywhere, so each page is cut from another
/// shuffle. Here a later page starts a little early: it repeats rows, and the last ones never come.
fn lossy(limit: usize, offset: usize) -> usize {
    let pages_before = offset / limit;
    if limit < 40 {
        offset - pages_before.div_ceil(2)
    } else {
        offset
    }
}

fn sort(found: &mut [(&str, &Value)], order: &str) -> Result<(), Refusal> {
    let field = order.trim_start_matches('-');
    const FIELDS: [&str; 9] = [
        "id",
        "short_id",
        "name",
        "created_at",
        "updated_at",
        "last_modified_at",
        "last_refresh",
        "saved",
        "deleted",
    ];
    if !FIELDS.contains(&field) {
        return Err("insights_list_order_bad");
    }
    found.sort_by_key(|(_, value)| {
        let own = &value[field];
        (
            own.as_u64(),
            own.as_str().unwrap_or_default().to_owned(),
            own.as_bool(),
        )
    });
    if order.starts_with('-') {
        found.reverse();
    }
    Ok(())
}

fn truthy(request: &Request, name: &str) -> bool {
    let value = request.param(name).unwrap_or_default().to_lowercase();
    matches!(value.as_str(), "1" | "true" | "t" | "yes" | "y" | "on")
}

fn basic(value: &Value) -> String {
    const FIELDS: [&str; 17] = [
        "id",
        "short_id",
        "name",
        "derived_name",
        "filters",
        "query",
        "dashboards",
        "dashboard_tiles",
        "description",
        "last_refresh",
        "saved",
        "updated_at",
        "created_by",
        "created_at",
        "last_modified_at",
        "favorited",
        "tags",
    ];
    let mut object: serde_json::Map<_, _> = FIELDS
        .iter()
        .map(|field| ((*field).to_owned(), value[*field].clone()))
        .collect();
    object.insert("refreshing".into(), false.into());
    Value::Object(object).to_string()
}

/// PostHog's default paging: what is no positive number is silently the default.
pub fn limit_offset(request: &Request) -> (usize, usize) {
    let number = |name| {
        request
            .param(name)
            .and_then(|text| text.trim().parse::<usize>().ok())
    };
    (
        number("limit").filter(|limit| *limit > 0).unwrap_or(100),
        number("offset").unwrap_or(0),
    )
}

/// One page of a list that counts: `rows` are what stands on it.
pub fn page(request: &Request, count: usize, rows: &[String]) -> Answer {
    let (limit, offset) = limit_offset(request);
    let next = (offset + limit < count).then(|| link(request, limit, offset + limit));
    let previous = (offset > 0).then(|| link(request, limit, offset.saturating_sub(limit)));
    let body = format!(
        "{{\"count\":{count},\"next\":{},\"previous\":{},\"results\":[{}]}}",
        Value::from(next),
        Value::from(previous),
        rows.join(",")
    );
    Answer::json(200, &body)
}

/// These links, unlike those of persons, carry their parameters sorted and encoded anew.
fn link(request: &Request, limit: usize, offset: usize) -> String {
    let mut params = request.params();
    params.retain(|(name, _)| name != "limit" && name != "offset");
    params.push(("limit".into(), limit.to_string()));
    if offset > 0 {
        params.push(("offset".into(), offset.to_string()));
    }
    params.sort();
    let pairs: Vec<String> = params
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    format!("{}{}?{}", origin(request), request.path(), pairs.join("&"))
}

fn encode(text: &str) -> String {
    let byte = |b: u8| match b {
        b' ' => "+".to_owned(),
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}
