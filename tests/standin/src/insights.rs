//! The insights routes: a list that loses rows unless it is ordered, and results that must be computed.
use super::http::{Answer, Request};
use super::persons::origin;
use super::properties::Refusal;
use super::recordings::{self, Recorded};
use serde_json::Value;
use std::collections::BTreeMap;

/// An insight without a result; the first refresh computes it.
const NEVER_COMPUTED: u64 = 28;

pub(crate) struct Insight {
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
pub(crate) fn table(recorded: &[Recorded]) -> Vec<Insight> {
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
    // Lists that were requested with `basic` have rows without some fields.
    listed.retain(|(_, value)| value.get("result").is_some());
    let mut insights: Vec<Insight> = Vec::new();
    for (raw, value) in retrieved.into_iter().chain(listed) {
        let id = value["id"].as_u64().unwrap();
        if insights.iter().all(|insight| insight.id != id) {
            let before = if id == NEVER_COMPUTED { before.take() } else { None };
            insights.push(Insight { id, raw, value, before });
        }
    }
    insights.sort_by_key(|insight| insight.id);
    insights
}

/// Whether this request makes PostHog compute: any `refresh` does that does not mean no.
fn computes(request: &Request) -> bool {
    let refresh = request.param("refresh").unwrap_or_default();
    !matches!(refresh.as_str(), "" | "false" | "force_cache" | "0" | "no")
}

pub(crate) fn retrieve(
    request: &Request,
    key: &str,
    insights: &[Insight],
    computed: &mut bool,
) -> Result<Answer, Refusal> {
    // A short id is not an id on this server, and 69 is soft-deleted: both are a 404.
    let insight =
        insights.iter().find(|insight| key.parse() == Ok(insight.id)).ok_or("insight_deleted")?;
    match insight.id {
        70 if computes(request) => return Err("insight_refresh_query_viz_trends"),
        NEVER_COMPUTED if computes(request) && !std::mem::replace(computed, true) => {
            return Err("insight_refresh_boldnumber");
        }
        _ => {}
    }
    let (raw, value) = insight.now(*computed);
    let short = truthy(request, "basic");
    Ok(Answer::json(200, &if short { basic(value) } else { raw.to_owned() }))
}

/// The list, or the name of a recorded error answer.
pub(crate) fn list(
    request: &Request,
    insights: &[Insight],
    computed: &mut bool,
) -> Result<Answer, Refusal> {
    let param = |name| request.param(name).filter(|value| !value.is_empty());
    if param("dashboards").is_some_and(|ids| serde_json::from_str::<Vec<u64>>(&ids).is_err()) {
        return Err("insights_list_dashboards_bad");
    }
    let (short_id, search) = (param("short_id"), param("search").map(|s| s.to_lowercase()));
    let saved = param("saved").map(|_| truthy(request, "saved"));
    let (with_queries, short) =
        (truthy(request, "include_query_insights"), truthy(request, "basic"));
    let fits = |(_, value): &(&str, &Value)| {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_lowercase();
        let has = |part: &String| {
            ["name", "derived_name", "description"].iter().any(|f| text(f).contains(part))
        };
        let kept = value["saved"] == true || value["dashboards"] != Value::Array(Vec::new());
        (with_queries || value["query"].is_null())
            && short_id.as_ref().is_none_or(|id| value["short_id"] == **id)
            && search.as_ref().is_none_or(has)
            && saved.is_none_or(|saved| saved == kept)
    };
    *computed |= computes(request);
    let mut found: Vec<_> = insights.iter().map(|insight| insight.now(*computed)).collect();
    found.retain(fits);
    let (limit, offset) = limit_offset(request);
    let from = match param("order") {
        Some(order) => sort(&mut found, &order).map(|()| offset)?,
        None => lossy(limit, offset),
    };
    let size = limit.min(found.len().saturating_sub(offset));
    let row = |(raw, value): &(&str, &Value)| {
        if short { basic(value) } else { (*raw).to_owned() }
    };
    let rows: Vec<String> = found.iter().skip(from).take(size).map(row).collect();
    Ok(page(request, found.len(), &rows))
}

/// The real order is by a column that is null nearly everywhere, so the order of equal rows changes
/// from page to page. Here a later page starts a little early: it repeats rows, and the last rows are
/// never returned.
fn lossy(limit: usize, offset: usize) -> usize {
    let early = if limit < 40 { (offset / limit).div_ceil(2) } else { 0 };
    offset - early
}

fn sort(found: &mut [(&str, &Value)], order: &str) -> Result<(), Refusal> {
    const FIELDS: &str = "id short_id name created_at updated_at last_modified_at last_refresh";
    let field = order.trim_start_matches('-');
    if !FIELDS.split(' ').any(|known| known == field) {
        return Err("insights_list_order_bad");
    }
    found.sort_by_key(|(_, value)| {
        (value[field].as_u64(), value[field].as_str().map(str::to_owned))
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
    const FIELDS: &str = "id short_id name derived_name filters query dashboards dashboard_tiles description \
        last_refresh saved updated_at created_by created_at last_modified_at favorited tags";
    let fields = FIELDS.split(' ').map(|field| (field, &value[field]));
    let no = Value::from(false);
    serde_json::to_string(&fields.chain([("refreshing", &no)]).collect::<BTreeMap<_, _>>()).unwrap()
}

/// PostHog's default paging: anything but a positive number means the default.
pub(crate) fn limit_offset(request: &Request) -> (usize, usize) {
    let number = |name| request.param(name).and_then(|text| text.trim().parse::<usize>().ok());
    (number("limit").filter(|limit| *limit > 0).unwrap_or(100), number("offset").unwrap_or(0))
}

/// One page of a list that has a `count`.
pub(crate) fn page(request: &Request, count: usize, rows: &[String]) -> Answer {
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

/// Unlike those of persons, these links have their parameters sorted and encoded again.
fn link(request: &Request, limit: usize, offset: usize) -> String {
    let mut params = request.params();
    params.retain(|(name, _)| name != "limit" && name != "offset");
    params.push(("limit".into(), limit.to_string()));
    if offset > 0 {
        params.push(("offset".into(), offset.to_string()));
    }
    params.sort();
    let pairs: Vec<String> =
        params.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
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
