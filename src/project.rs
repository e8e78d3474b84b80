//! A project: where each of its routes is.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result, excerpt};
use crate::http::{Request, after, checked_path};
use crate::id::{Insight, InsightId, PersonId};
use crate::insight;
use crate::list::{Any, Insights, List, Persons};
use crate::query::{Events, Query};
use crate::refresh::Refresh;

/// How long an insight is waited for in all, unless the client has a timeout.
const LONGEST_COMPUTATION: Duration = Duration::from_secs(600);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Client {
    /// The projects of the user's current organization, each an object with at least `id` and
    /// `name`.
    ///
    /// `GET /api/projects/`, scope `project:read`. PostHog refuses this route to a key that is
    /// restricted to some projects. For such a key the projects are taken from
    /// [`me`](Client::me), which needs the scope `user:read`. Those that the key may not use are
    /// left out, if the server has [`key_info`](Client::key_info).
    ///
    /// # Errors
    /// As [`List::all`].
    pub fn projects(&self) -> Result<Vec<Value>> {
        let listed = self.list("/api/projects/").all();
        if !listed.as_ref().is_err_and(|e| e.kind() == ErrorKind::PermissionDenied) {
            return listed;
        }
        let Ok(mut me) = self.me() else { return listed };
        let mut teams = match me.pointer_mut("/organization/teams").map(Value::take) {
            Some(Value::Array(teams)) => teams,
            _ => me.get_mut("team").map(Value::take).into_iter().filter(Value::is_object).collect(),
        };
        let key = self.key_info().unwrap_or_default();
        let scoped = key.get("scoped_teams").and_then(Value::as_array);
        if let Some(scoped) = scoped.filter(|scoped| !scoped.is_empty()) {
            teams.retain(|team| team.get("id").is_some_and(|id| scoped.contains(id)));
        }
        Ok(teams)
    }

    /// The project that PostHog uses for the key's user at present.
    ///
    /// `GET /api/projects/@current/`, scope `project:read`.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub fn current_project(&self) -> Result<Project> {
        let request = self.get("/api/projects/@current/");
        let project = request.clone().send()?;
        let id = project.get("id").and_then(Value::as_u64);
        let id = id.ok_or_else(|| Error::new(ErrorKind::Decode, "the project has no `id`"));
        id.map(|id| self.project(id)).map_err(|e| request.error(e))
    }

    /// A handle to the project with this id, the number in its address. Nothing is sent.
    #[must_use]
    pub fn project(&self, id: u64) -> Project {
        Project { client: self.clone(), id }
    }

    /// A handle to the project with this name, among [`projects`](Client::projects).
    ///
    /// # Errors
    /// As [`projects`](Client::projects); [`Config`](crate::ErrorKind::Config) where no project or
    /// several have the name: it lists names and ids.
    pub fn project_named(&self, name: &str) -> Result<Project> {
        let projects = self.projects()?;
        let named = projects.iter().filter_map(|p| Some((p.get("name")?.as_str()?, p.get("id")?)));
        let named: Vec<(&str, &Value)> = named.collect();
        let matching = named.iter().filter(|(n, _)| *n == name).filter_map(|(_, id)| id.as_u64());
        let all = named.iter().take(50).map(|(n, id)| format!("{:?} is {id}", excerpt(n)));
        let (all, shown) = (all.collect::<Vec<_>>().join(", "), excerpt(name));
        let why = match matching.collect::<Vec<_>>().as_slice() {
            [id] => return Ok(self.project(*id)),
            [] => format!("no project of the current organization is named {shown:?}: {all}"),
            _ => format!("several projects are named {shown:?}, use an id: {all}"),
        };
        Err(self.http.conceal(Error::config(why)))
    }
}

/// A handle to a project. It is cheap to clone, and nothing is sent for it.
///
/// Its routes are those under `/api/projects/{id}/`. Servers of 2024 and 2025 have some only under
/// `/api/environments/{id}/`: [`Client::get`] and [`Client::list`] reach them by their path.
#[derive(Debug, Clone)]
pub struct Project {
    client: Client,
    id: u64,
}

impl Project {
    /// The project's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The client that this handle was made from.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same project with a deadline; see [`Client::with_deadline`].
    #[must_use]
    pub fn with_deadline(&self, at: Instant) -> Project {
        Project { client: self.client.with_deadline(at), id: self.id }
    }

    /// The project's insights, SQL insights too, ordered by id unless `order` is given.
    ///
    /// `GET insights/`, scope `insight:read`. A `result` is null unless PostHog has it in its
    /// cache.
    pub fn insights(&self) -> List<Insights> {
        List::new(&self.client.http, self.path("insights/"))
    }

    /// An insight, by its number, its short id, its address or its row. Its `result` is the one in
    /// PostHog's cache, and may be null: [`insight_computed`](Project::insight_computed)
    /// computes it.
    ///
    /// `GET insights/{id}/`, or `GET insights/?short_id=...`, scope `insight:read`.
    /// [`read`](crate::read) reads the result.
    ///
    /// # Errors
    /// As [`Request::send`]; [`NotFound`](crate::ErrorKind::NotFound) where there is none;
    /// [`Config`](crate::ErrorKind::Config) for an id that is not valid, or an address of another
    /// project.
    pub fn insight(&self, id: impl Into<InsightId>) -> Result<Value> {
        self.insight_with(id.into(), None)
    }

    /// An insight, computed as `refresh` says: see also
    /// [`insight_computed`](Project::insight_computed), which waits for a result.
    ///
    /// `GET insights/{id}/?refresh=...`, or `GET insights/?short_id=...&refresh=...`, scope
    /// `insight:read`.
    ///
    /// # Errors
    /// As [`insight`](Project::insight); a query of the insight that fails is an error of the kind
    /// [`Refused`](ErrorKind::Refused), or a null result, which
    /// [`insight::result`](crate::insight::result) explains.
    pub fn insight_refreshed(&self, id: impl Into<InsightId>, refresh: Refresh) -> Result<Value> {
        self.insight_with(id.into(), Some(refresh))
    }

    /// An insight with its result, however long PostHog computes it: the one in the cache where
    /// PostHog calls it fresh, else a new one, which is waited for.
    ///
    /// `GET insights/{id}/?refresh=async`, asked again until the result is there, for the client's
    /// timeout, else 600 s; scope `insight:read`. A server of 2023 does not start in the
    /// background: there, an insight without a result is computed in one request.
    ///
    /// # Errors
    /// As [`insight`](Project::insight); [`QueryFailed`](ErrorKind::QueryFailed) where the query of
    /// the insight fails; [`Timeout`](ErrorKind::Timeout) where PostHog still computes when the
    /// time is over: it goes on, so a later call may find the result.
    pub fn insight_computed(&self, id: impl Into<InsightId>) -> Result<Value> {
        let insight = self.checked(id.into())?;
        let timeout = self.client.http.core.timeout.unwrap_or(LONGEST_COMPUTATION);
        let project = self.with_deadline(after(timeout));
        let http = &project.client.http;
        let number = project.number_of(&insight)?;
        let request = with_params(project.get(format!("insights/{number}/")), &insight);
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = request.clone().param("refresh", Refresh::Async.name()).send()?;
            match insight::computed(&answer) {
                Ok(()) => return Ok(answer),
                Err(e) if e.is_transient() => {}
                Err(e) if e.kind() == ErrorKind::NotComputed => break,
                Err(e) => return Err(request.error(e)),
            }
            if http.left().is_some_and(|left| left <= pause) {
                let why = "PostHog was still computing the insight when the time was over; it goes on, so call again later";
                return Err(request.error(Error::from_text(ErrorKind::Timeout, why)));
            }
            thread::sleep(pause);
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
        // A server of 2023 knows no other word, and starts nothing in the background.
        let answer = request.clone().param("refresh", true).slow(true).send()?;
        insight::computed(&answer).map(|()| answer).map_err(|e| {
            let why = "the server was asked to compute the insight, and returned no result; open it in PostHog, which shows why";
            let is_missing = e.kind() == ErrorKind::NotComputed;
            request.error(if is_missing { Error::from_text(ErrorKind::NotComputed, why) } else { e })
        })
    }

    fn insight_with(&self, id: InsightId, refresh: Option<Refresh>) -> Result<Value> {
        let insight = self.checked(id)?;
        // A list does not take the dashboard of an address.
        if insight.is_number || insight.params.iter().any(|(name, _)| *name == "from_dashboard") {
            let request = self.get(format!("insights/{}/", self.number_of(&insight)?));
            let request =
                with_params(request, &insight).param("refresh", refresh.map(Refresh::name));
            return request.slow(refresh.is_some_and(Refresh::computes)).send();
        }
        let params = insight.params.iter();
        let mut list = params.fold(self.insights(), |list, (name, value)| list.param(name, value));
        if let Some(refresh) = refresh {
            list = list.refresh(refresh);
        }
        self.by_short_id(list, &insight.id)
    }

    fn checked(&self, id: InsightId) -> Result<Insight> {
        id.in_project(self.id).map_err(|e| self.client.http.conceal(e))
    }

    /// The number of an insight; a short id is looked up.
    fn number_of(&self, insight: &Insight) -> Result<String> {
        if insight.is_number {
            return Ok(insight.id.clone());
        }
        let row = self.by_short_id(self.insights().basic(), &insight.id)?;
        row.get("id").and_then(Value::as_u64).map(|id| id.to_string()).ok_or_else(|| {
            self.get("insights/").error(Error::new(ErrorKind::Decode, "the insight has no `id`"))
        })
    }

    /// The insight with this short id. Servers of 2023 answer 404 to one in the path.
    fn by_short_id(&self, list: List<Insights>, short_id: &str) -> Result<Value> {
        let fits = |insight: &Value| insight.get("short_id").is_none_or(|id| id == short_id);
        list.only("short_id", short_id, fits)?.ok_or_else(|| {
            let why = format!("no insight has the short id {short_id:?}");
            self.get("insights/").error(Error::new(ErrorKind::NotFound, why))
        })
    }

    /// The project's persons, the newest first, 1,000 a page.
    ///
    /// `GET persons/`, scope `person:read`. The `id` of a person is its UUID here, and a number in
    /// [`person`](Project::person).
    pub fn persons(&self) -> List<Persons> {
        List::persons(&self.client.http, self.path("persons/"))
    }

    /// A person, by number, UUID or row.
    ///
    /// `GET persons/{id}/`, scope `person:read`. The `id` of the person is the number here, and the
    /// UUID in [`persons`](Project::persons).
    ///
    /// # Errors
    /// As [`Request::send`]; [`NotFound`](crate::ErrorKind::NotFound) where there is none;
    /// [`Config`](crate::ErrorKind::Config) for an id that is not valid, such as a distinct id: use
    /// [`person_by_distinct_id`](Project::person_by_distinct_id).
    pub fn person(&self, id: impl Into<PersonId>) -> Result<Value> {
        let path = id.into().segment().and_then(|id| self.path(&format!("persons/{id}/")));
        self.request("GET", path).send()
    }

    /// The person with exactly this distinct id, or `None`.
    ///
    /// `GET persons/?distinct_id=...`, scope `person:read`.
    ///
    /// # Errors
    /// As [`List::all`]; [`Config`](crate::ErrorKind::Config) for an empty distinct id;
    /// [`Paging`](crate::ErrorKind::Paging) where the server ignored the filter.
    pub fn person_by_distinct_id(&self, distinct_id: &str) -> Result<Option<Value>> {
        // Of many distinct ids the server lists a thousand.
        self.list("persons").only("distinct_id", distinct_id, |person| {
            let ids = person.get("distinct_ids").and_then(Value::as_array);
            ids.is_none_or(|ids| {
                ids.is_empty() || ids.len() >= 1_000 || ids.iter().any(|id| id == distinct_id)
            })
        })
    }

    /// The persons of a cohort, by the number in its address.
    ///
    /// `GET cohorts/{id}/persons/`, scope `cohort:read`.
    pub fn cohort_persons(&self, id: u64) -> List<Any> {
        self.list(format!("cohorts/{id}/persons"))
    }

    /// A HogQL query.
    ///
    /// `POST query/`, scope `query:read`. Give values with [`Query::value`] for `{placeholders}`;
    /// never paste them into the SQL. PostHog returns 100 rows unless the SQL has a LIMIT, and
    /// 50,000 at most: [`Query::rows`] returns an error for an answer that was cut, and
    /// [`Query::scan`] reads all rows.
    pub fn hogql(&self, sql: impl Into<String>) -> Query {
        Query::hogql(&self.client.http, self.path("query/"), &sql.into())
    }

    /// A query of any kind: an object with a `kind`, such as `TrendsQuery` or `EventsQuery`.
    ///
    /// `POST query/`, scope `query:read`.
    pub fn query(&self, query: impl Serialize) -> Query {
        Query::new(&self.client.http, self.path("query/"), query)
    }

    /// Every event of a time range, each once: see [`Events`].
    ///
    /// `POST query/`, scope `query:read`.
    pub fn events(&self) -> Events {
        Events::new(&self.client.http, self.path("query/"))
    }

    /// Any list of the project by its name, such as `cohorts`, `feature_flags`,
    /// `cohorts/5/persons`, `error_tracking/issues`.
    ///
    /// The scope is the name of the resource with `:read`, such as `cohort:read`.
    pub fn list(&self, resource: impl AsRef<str>) -> List<Any> {
        let resource = resource.as_ref();
        let slash = if resource.ends_with('/') { "" } else { "/" };
        List::new(&self.client.http, self.path(&format!("{resource}{slash}")))
    }

    /// A `GET` of any route of the project, by its path below `/api/projects/{id}/`, such as
    /// `cohorts/5/`. An empty path is the project itself.
    pub fn get(&self, path: impl AsRef<str>) -> Request {
        self.request("GET", self.path(path.as_ref()))
    }

    /// A `POST` to any route of the project.
    pub fn post(&self, path: impl AsRef<str>) -> Request {
        self.request("POST", self.path(path.as_ref()))
    }

    /// A `PUT` to any route of the project.
    pub fn put(&self, path: impl AsRef<str>) -> Request {
        self.request("PUT", self.path(path.as_ref()))
    }

    /// A `PATCH` of any route of the project.
    pub fn patch(&self, path: impl AsRef<str>) -> Request {
        self.request("PATCH", self.path(path.as_ref()))
    }

    /// A `DELETE` of any route of the project. PostHog refuses it (405) for insights, cohorts,
    /// dashboards and many others: send a `PATCH` with `{"deleted": true}`.
    pub fn delete(&self, path: impl AsRef<str>) -> Request {
        self.request("DELETE", self.path(path.as_ref()))
    }

    fn request(&self, method: &'static str, path: Result<String>) -> Request {
        Request::new(&self.client.http, method, path)
    }

    fn path(&self, relative: &str) -> Result<String> {
        if self.id == 0 {
            return Err(Error::config("0 is not a valid project id"));
        }
        if relative.starts_with('/') {
            let why =
                "begins with a slash: a project's paths are relative; Client takes absolute ones";
            return Err(Error::config(format!("the path {:?} {why}", excerpt(relative))));
        }
        checked_path(&format!("/api/projects/{}/{relative}", self.id))
    }
}

/// The request of an insight with the parameters that its address has.
fn with_params(request: Request, insight: &Insight) -> Request {
    insight.params.iter().fold(request, |request, (name, value)| request.param(name, value))
}
