//! A small PostHog on a loopback port.
//!
//! Its data are the recorded answers of a server of August 2023. Persons and insights are listed,
//! filtered and paged from recorded rows. It answers the statements in `sql.rs` from them and from
//! made-up events, and no other HogQL that was not recorded. Every other
//! route gives its recorded answer byte for byte, found by method, path, parameters and body. What
//! servers of 2026 added is there too: blocking queries, queries in the background, the key's own
//! route. A write changes nothing, and nothing is throttled.
//!
//! [`Replay`] gives a list of answers, recorded or not, one after the other.
#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a part of the tests: a test server may stop with a panic"
)]

mod events;
pub mod http;
mod insights;
mod persons;
mod properties;
mod query;
pub mod recordings;
mod sql;

pub use http::Request;
use http::{Answer, Server, decode};
use insights::Insight;
use persons::Person;
use recordings::Recorded;
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// The key that the recordings use.
pub const KEY: &str = "phx_realposthogLocalTestKey0123456789abcdef";
/// The key of a user without an organization.
pub const NO_ORGANIZATION_KEY: &str = "phx_noOrgLocalTestKey0123456789abcdefghijk";
/// The key of a user whose project 4 has a page with one row too few; [`KEY`] may read it too.
pub const EDGE_KEY: &str = "phx_edgeLocalTestKey0123456789abcdefghijkl";

/// The stand-in; it stops when it is dropped.
pub struct StandIn(Server);

impl StandIn {
    pub fn start() -> StandIn {
        StandIn::with(State::default())
    }

    /// One whose list of persons accepts the filters that the server of 2023 accepted, such as groups.
    pub fn of_2023() -> StandIn {
        StandIn::with(State { old_filters: true, ..State::default() })
    }

    fn with(state: State) -> StandIn {
        let state = Mutex::new(state);
        let world = world();
        StandIn(Server::start(move |request| world.answer(request, &state)))
    }

    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.0.requests()
    }

    /// The same, and removes them.
    pub fn take_requests(&self) -> Vec<Request> {
        self.0.take_requests()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.0.connections()
    }
}

/// Gives its answers one after the other to any requests. A request beyond the last answer gets a 500.
pub struct Replay {
    server: Server,
    answers: usize,
}

impl Replay {
    pub fn start(answers: Vec<Answer>) -> Replay {
        let (given, count) = (AtomicUsize::new(0), answers.len());
        let server = Server::start(move |_| {
            let at = given.fetch_add(1, Ordering::SeqCst);
            let beyond = || Answer::json(500, r#"{"detail":"a request beyond the last answer"}"#);
            answers.get(at).cloned().unwrap_or_else(beyond)
        });
        Replay { server, answers: count }
    }

    pub fn recorded(recordings: &[&Recorded]) -> Replay {
        Replay::start(recordings.iter().map(|recorded| Answer::recorded(recorded)).collect())
    }

    /// Answers 200 with each of these bodies.
    pub fn json(bodies: &[Value]) -> Replay {
        Replay::start(bodies.iter().map(|body| Answer::json(200, &body.to_string())).collect())
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The requests; every answer must have been given by now.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.server.requests();
        assert_eq!(requests.len(), self.answers, "requests: {requests:#?}");
        requests
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.server.requests().len()
    }
}

/// What changes while a stand-in runs.
#[derive(Default)]
struct State {
    old_filters: bool,
    computed: bool,
    tasks: query::Tasks,
}

/// What never changes, read once for all stand-ins of a process.
struct World {
    recorded: &'static [Recorded],
    persons: Vec<Person>,
    insights: Vec<Insight>,
    tables: sql::Tables,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let recorded = recordings::all("2023");
        let persons = persons::table(recorded);
        let counts: Value =
            serde_json::from_slice(&recordings::one("2023", "insight_query_table_hogql").body)
                .unwrap();
        let counts = counts["result"]["results"].as_array().unwrap();
        let tables = sql::Tables {
            events: events::table(counts),
            persons: persons::rows(&persons),
            counts: counts.clone(),
        };
        World { insights: insights::table(recorded), persons, tables, recorded }
    })
}

impl World {
    fn named(&self, name: &str) -> Answer {
        Answer::recorded(self.recorded.iter().find(|r| r.name == name).unwrap())
    }

    fn answer(&self, request: &Request, state: &Mutex<State>) -> Answer {
        let line = request.method.len() + request.target.len() + " HTTP/1.1 ".len();
        if line > 16 * 1024 {
            return self.named("long_line_17k");
        }
        let path = decode(request.path());
        if !path.starts_with("/api/") {
            let location = format!(
                "Content-Type: text/html; charset=utf-8\r\nLocation: /login?next={path}\r\n"
            );
            return Answer::new(302, &location, "");
        }
        if path.contains("//") {
            return self.named("double_slash");
        }
        let segments: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
        if !self.knows(&segments) {
            return self.named("api_unknown");
        }
        let accept = request.header("accept").unwrap_or("*/*");
        if !["json", "*/*", "application/*", "text/csv"].iter().any(|kind| accept.contains(kind)) {
            return self.named("accept_text_plain");
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match self.key(request, &body, segments.get(2) == Some(&"actions")) {
            Ok(key) => self.route(request, &key, &segments, &body, state),
            Err(refused) => refused,
        }
    }

    /// Whether PostHog has such a route. An unknown one is a 404 with any key.
    fn knows(&self, segments: &[&str]) -> bool {
        match segments {
            ["users" | "projects"] | ["users" | "projects" | "personal_api_keys", _] => true,
            ["projects", _, resource, ..] => self.recorded.iter().any(|recorded| {
                let path = recorded.target.split('?').next().unwrap_or_default();
                recorded.name != "list_nosuchthing" && path.split('/').nth(4) == Some(resource)
            }),
            _ => false,
        }
    }

    /// The key in the first place that has one, or the error answer: 403 for actions, 401 elsewhere.
    fn key(&self, request: &Request, body: &Value, forbidden: bool) -> Result<String, Answer> {
        let bearer =
            request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let bearer = bearer.map(|key| ("Authorization header", key.trim().to_owned()));
        let in_body = || body["personal_api_key"].as_str().map(|key| ("body", key.to_owned()));
        let in_query = || request.param("personal_api_key").map(|key| ("query string", key));
        match bearer.or_else(in_body).or_else(in_query) {
            Some((_, key)) if [KEY, NO_ORGANIZATION_KEY, EDGE_KEY].contains(&key.as_str()) => {
                Ok(key)
            }
            Some(("Authorization header", _)) if !forbidden => Err(self.named("auth_me_invalid")),
            Some((place, _)) => {
                let body = format!(
                    "{{\"type\":\"authentication_error\",\"code\":\"authentication_failed\",\
                     \"detail\":\"Personal API key found in request {place} is invalid.\",\"attr\":null}}"
                );
                Err(Answer::json(if forbidden { 403 } else { 401 }, &body))
            }
            None if forbidden => Err(self.named("auth_actions_missing")),
            None => Err(self.named("auth_me_missing")),
        }
    }

    fn route(
        &self,
        request: &Request,
        key: &str,
        segments: &[&str],
        body: &Value,
        state: &Mutex<State>,
    ) -> Answer {
        let lonely = key == NO_ORGANIZATION_KEY;
        match segments {
            ["personal_api_keys", "@current"] => {
                Answer::recorded(recordings::one("2026", "key_current_all"))
            }
            ["users", _] if lonely => self.named("auth_me_noorg"),
            ["projects", "1" | "@current", resource @ ..] if !lonely => {
                self.main_project(request, resource, body, state)
            }
            ["projects", "4", resource @ ..] if !lonely => {
                self.edge_project(request, resource, body)
            }
            ["projects", "2", "persons"] if !lonely => {
                persons::list(request, &[]).unwrap_or_else(|name| self.named(name))
            }
            ["projects", "2", "insights"] if !lonely => insights::page(request, 0, &[]),
            ["projects", "3"] => self.named("projects_other_org"),
            ["projects", "1" | "2" | "3" | "4", ..] => self.named("tenant_persons_other_org"),
            ["projects", _] => self.named("projects_missing"),
            ["projects", _, ..] => self.named("tenant_insights_missing_project"),
            _ => self.found(request, segments, body),
        }
    }

    fn main_project(
        &self,
        request: &Request,
        resource: &[&str],
        body: &Value,
        state: &Mutex<State>,
    ) -> Answer {
        let segments = [&["projects", "1"], resource].concat();
        let answer = match (request.method.as_str(), resource) {
            ("GET", ["persons"])
                if !state.lock().unwrap().old_filters && properties::fail_in_2026(request) =>
            {
                Err(properties::SERVER_ERROR)
            }
            // Recorded: CSV, and persons whose retrieved form has its distinct ids in another order.
            ("GET", ["persons"]) if request.param("format").is_none() => {
                persons::list(request, &self.persons)
            }
            ("GET", ["persons"] | ["persons", _]) => {
                match (self.exact(request, &segments, body), resource) {
                    (Some(recorded), _) => Ok(Answer::recorded(recorded)),
                    (None, ["persons", key]) => persons::retrieve(key, &self.persons),
                    (None, _) => persons::list(request, &self.persons),
                }
            }
            ("POST", ["persons"]) => Err("persons_post"),
            ("GET", ["insights"]) => {
                let computed = &mut state.lock().unwrap().computed;
                insights::list(request, &self.insights, computed)
            }
            ("GET", ["insights", key]) => {
                let computed = &mut state.lock().unwrap().computed;
                insights::retrieve(request, key, &self.insights, computed)
            }
            ("DELETE", ["insights", _]) => Err("insights_delete_hard"),
            ("GET", [_, id]) if self.row(&segments, id).is_some() => {
                Ok(Answer::json(200, &self.row(&segments, id).unwrap()))
            }
            (_, ["query", id @ ..]) => {
                let tasks = &mut state.lock().unwrap().tasks;
                query::route(request, id, body, self.recorded, &self.tables, tasks)
            }
            // Two pages of events were recorded, and the second has a next.
            ("GET", ["events"])
                if self.exact(request, &segments, body).is_none()
                    && request.param("before").is_some() =>
            {
                Ok(Answer::json(200, "{\"next\":null,\"results\":[]}"))
            }
            _ => return self.found(request, &segments, body),
        };
        answer.unwrap_or_else(|name| self.named(name))
    }

    /// Its first page has one row too few and a next; the second page is empty.
    fn edge_project(&self, request: &Request, resource: &[&str], body: &Value) -> Answer {
        match resource {
            ["persons"] if insights::limit_offset(request).1 == 0 => {
                self.named("persons_edge_limit5")
            }
            ["persons"] => self.named("persons_search_none"),
            _ => self.found(request, &[&["projects", "4"], resource].concat(), body),
        }
    }

    /// The recorded answer, or a page of a recorded list that has all its rows.
    fn found(&self, request: &Request, segments: &[&str], body: &Value) -> Answer {
        if let Some(recorded) = self.exact(request, segments, body) {
            return Answer::recorded(recorded);
        }
        let mut whole = request.clone();
        whole.target = request.path().to_owned();
        let only_paging = request
            .params()
            .iter()
            .all(|(name, _)| ["limit", "offset", "personal_api_key"].contains(&name.as_str()));
        match self.exact(&whole, segments, body) {
            Some(list)
                if only_paging
                    && request.method == "GET"
                    && list.body.starts_with(b"{\"count\":") =>
            {
                let rows: Vec<String> =
                    recordings::results(&list.body).into_iter().map(|(raw, _)| raw).collect();
                let (limit, offset) = insights::limit_offset(request);
                let end = (offset.saturating_add(limit)).min(rows.len());
                insights::page(request, rows.len(), &rows[offset.min(end)..end])
            }
            _ => self.named("api_unknown"),
        }
    }

    /// The row with this id in a recorded list, such as `cohorts/2`, unless the route was recorded.
    fn row(&self, segments: &[&str], id: &str) -> Option<String> {
        let list = format!("/api/{}/", segments[..segments.len() - 1].join("/"));
        let list = self.recorded.iter().find(|r| {
            r.method == "GET" && r.status == 200 && r.target == list && !r.name.starts_with("gzip")
        })?;
        let rows = recordings::results(&list.body).into_iter();
        rows.map(|(raw, value)| (raw, value["id"].to_string()))
            .find(|(_, own)| own == id)
            .map(|(raw, _)| raw)
    }

    /// The exchange with this method, path, parameters and body, in any spelling.
    fn exact(&self, request: &Request, segments: &[&str], body: &Value) -> Option<&Recorded> {
        let asked = request.params();
        self.recorded.iter().find(|recorded| {
            let (path, query) = recorded.target.split_once('?').unwrap_or((&recorded.target, ""));
            recorded.method == request.method
                && !["throttle_", "auth_actions", "gzip_"]
                    .iter()
                    .any(|kind| recorded.name.starts_with(kind))
                && path.trim_matches('/').split('/').skip(1).eq(segments.iter().copied())
                && same_params(query, &asked)
                && same_body(recorded.request_body.as_deref(), &request.body, body)
        })
    }
}

fn same_params(recorded: &str, asked: &[(String, String)]) -> bool {
    let target = format!("?{recorded}");
    let recorded = Request { target, ..Request::default() };
    let sorted = |mut params: Vec<(String, String)>| {
        params.retain(|(name, _)| name != "personal_api_key");
        params.sort();
        params
    };
    sorted(recorded.params()) == sorted(asked.to_vec())
}

/// Equal as JSON, without a key; text that is not JSON must be equal itself.
fn same_body(recorded: Option<&str>, raw: &[u8], asked: &Value) -> bool {
    let mut asked = asked.clone();
    asked.as_object_mut().map(|object| object.remove("personal_api_key"));
    let nothing = raw.is_empty() || asked == Value::Object(serde_json::Map::new());
    match recorded {
        None => nothing,
        Some(text) => match serde_json::from_str::<Value>(text) {
            Ok(value) => value == asked,
            Err(_) => text.as_bytes() == raw,
        },
    }
}
