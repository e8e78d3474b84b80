//! The ways to request a recording through the public API.

use posthog_api::{
    Any, Client, List, PersonFilter, PersonProperty, Project, Query, Refresh, Request,
};
use serde_json::Value;

use crate::standin::recordings::Recorded;
use crate::table::{Asked, Got};

pub type Ask = fn(&Client, &Recorded) -> Asked;

pub fn project(client: &Client, recorded: &Recorded) -> Project {
    client.project(recorded.target.split('/').nth(3).unwrap().parse().unwrap())
}

/// The path after `/api/projects/{id}/`.
pub fn relative(recorded: &Recorded) -> String {
    let path: Vec<&str> = recorded.path().split('/').skip(4).collect();
    path.join("/")
}

/// The parameters but the key.
fn params(recorded: &Recorded) -> Vec<(String, String)> {
    let mut params = recorded.params();
    params.retain(|(name, _)| name != "personal_api_key");
    params
}

/// The value of this parameter.
pub fn param(recorded: &Recorded, name: &str) -> String {
    let mut params = params(recorded).into_iter();
    params.find(|(own, _)| own == name).unwrap().1
}

fn with_params<K>(list: List<K>, recorded: &Recorded) -> List<K> {
    params(recorded).into_iter().fold(list, |list, (name, value)| list.param(&name, value))
}

pub fn page<K>(list: List<K>) -> Asked {
    list.page().map(Got::Page)
}

pub fn me(client: &Client, _: &Recorded) -> Asked {
    client.me().map(Got::Json)
}

pub fn insight(client: &Client, recorded: &Recorded) -> Asked {
    let path = relative(recorded);
    project(client, recorded).insight(path.split('/').nth(1).unwrap()).map(Got::Json)
}

/// An insight with the recorded `refresh`.
pub fn insight_refreshed(client: &Client, recorded: &Recorded) -> Asked {
    let refresh: Refresh = param(recorded, "refresh").parse().unwrap();
    let path = relative(recorded);
    let id = path.split('/').nth(1).unwrap();
    project(client, recorded).insight_refreshed(id, refresh).map(Got::Json)
}

pub fn insights(client: &Client, recorded: &Recorded) -> Asked {
    page(with_params(project(client, recorded).insights(), recorded))
}

pub fn short_id(client: &Client, recorded: &Recorded) -> Asked {
    let short_id = param(recorded, "short_id");
    project(client, recorded).insight(short_id).map(Got::Row)
}

pub fn persons(client: &Client, recorded: &Recorded) -> Asked {
    page(with_params(project(client, recorded).persons(), recorded))
}

pub fn search(client: &Client, recorded: &Recorded) -> Asked {
    page(project(client, recorded).persons().search(&param(recorded, "search")))
}

pub fn email(client: &Client, recorded: &Recorded) -> Asked {
    page(project(client, recorded).persons().email(&param(recorded, "email")))
}

pub fn distinct_id(client: &Client, recorded: &Recorded) -> Asked {
    let id = param(recorded, "distinct_id");
    project(client, recorded).person_by_distinct_id(&id).map(Got::Found)
}

pub fn person(client: &Client, recorded: &Recorded) -> Asked {
    let path = relative(recorded);
    project(client, recorded).person(path.split('/').nth(1).unwrap()).map(Got::Json)
}

/// Any list, by its path.
pub fn list(client: &Client, recorded: &Recorded) -> Asked {
    page(any_list(client, recorded))
}

/// A list that may lose rows, which the caller accepts.
pub fn incomplete(client: &Client, recorded: &Recorded) -> Asked {
    page(any_list(client, recorded).allow_missing_rows())
}

pub fn any_list(client: &Client, recorded: &Recorded) -> List<Any> {
    let list = if recorded.target.starts_with("/api/projects/1/") {
        client.project(1).list(relative(recorded))
    } else {
        client.list(recorded.path())
    };
    with_params(list, recorded)
}

/// Any route, by its path.
fn route(client: &Client, recorded: &Recorded) -> Request {
    let path = relative(recorded);
    let project = || project(client, recorded);
    let request = match recorded.method.as_str() {
        _ if !recorded.target.starts_with("/api/projects/") || path.is_empty() => {
            client.get(recorded.path())
        }
        "GET" => project().get(&path),
        "POST" => project().post(&path),
        "PATCH" => project().patch(&path),
        "DELETE" => project().delete(&path),
        other => panic!("{other}"),
    };
    let body = recorded.request_body.as_deref();
    let request = match body.and_then(|body| serde_json::from_str::<Value>(body).ok()) {
        Some(body) => request.json(body),
        None => request,
    };
    params(recorded).into_iter().fold(request, |request, (name, value)| request.param(&name, value))
}

pub fn send(client: &Client, recorded: &Recorded) -> Asked {
    route(client, recorded).send().map(Got::Json)
}

pub fn text(client: &Client, recorded: &Recorded) -> Asked {
    route(client, recorded).text().map(Got::Text)
}

pub fn query_of(client: &Client, recorded: &Recorded) -> Query {
    let body: Value = serde_json::from_str(recorded.request_body.as_deref().unwrap()).unwrap();
    let project = project(client, recorded);
    let query = match body["query"]["kind"].as_str() {
        Some("HogQLQuery") => {
            let query = project.hogql(body["query"]["query"].as_str().unwrap());
            let values = body["query"]["values"].as_object().cloned().unwrap_or_default();
            values.into_iter().fold(query, |query, (name, value)| query.value(&name, value))
        }
        _ => project.query(&body["query"]),
    };
    // The steps of a query in the background send their own `refresh`.
    match body["refresh"].as_str().filter(|refresh| !refresh.contains("async")) {
        Some(refresh) => query.refresh(refresh.parse().unwrap()),
        None => query,
    }
}

pub fn query(client: &Client, recorded: &Recorded) -> Asked {
    query_of(client, recorded).send().map(Got::Json)
}

pub fn p(key: &str) -> PersonProperty {
    PersonFilter::property(key)
}

pub fn linux() -> PersonFilter {
    p("$initial_os").exact("Linux")
}

pub fn free() -> PersonFilter {
    p("plan").exact("free")
}

pub fn filtered(client: &Client, filters: impl IntoIterator<Item = PersonFilter>) -> Asked {
    page(filters.into_iter().fold(client.project(1).persons(), List::filter))
}
