//! A project's handle, and where its routes are.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use crate::client::{Client, variable};
use crate::error::{Error, Result};
use crate::insights::Insights;
use crate::list::{Any, List, in_order};
use crate::persons::Persons;
use crate::query::{Query, Refresh};
use crate::request::Request;
use crate::url;

/// A project of PostHog's, by its id: a cheap handle, for which nothing is sent.
///
/// Its routes are those under `/api/projects/{id}/`. Servers of 2024 and 2025 have some only under `/api/environments/{id}/`:
/// reach them by [`Client::get`] and its kin.
#[derive(Debug, Clone)]
pub struct Project {
    client: Client,
    id: u64,
}

impl Project {
    pub(crate) fn new(client: Client, id: u64) -> Project {
        Project { client, id }
    }

    /// The project that the environment names: `POSTHOG_PROJECT_ID`, and what [`Client::from_env`] reads.
    ///
    /// # Errors
    /// [`Error::Config`] where one of them is not set, empty, or cannot be right.
    pub fn from_env() -> Result<Project> {
        let client = Client::from_env()?;
        match variable("POSTHOG_PROJECT_ID")?
            .as_deref()
            .map(|id| id.trim().parse())
        {
            Some(Ok(id)) if id > 0 => Ok(client.project(id)),
            Some(_) => Err(Error::Config(
                "POSTHOG_PROJECT_ID is not a project's number".to_owned(),
            )),
            None => Err(Error::Config(
                "POSTHOG_PROJECT_ID is not set: it is the number in the project's web address"
                    .to_owned(),
            )),
        }
    }

    /// The project's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The project's insights, SQL insights too, in the order of their ids unless `order` is given.
    ///
    /// `GET insights/`, scope `insight:read`. A `result` is null unless PostHog has it cached.
    pub fn insights(&self) -> List<Insights> {
        List::of_kind(
            self.client.shared(),
            self.path("insights/"),
            Insights,
            |_, params| in_order(params),
        )
    }

    /// The insight with this number, its result as PostHog has it cached, which may be null.
    ///
    /// `GET insights/{id}/`, scope `insight:read`.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub fn insight(&self, id: u64) -> Result<Value> {
        self.get(&format!("insights/{id}/")).send()
    }

    /// The insight with this number, computed as `refresh` says.
    ///
    /// `GET insights/{id}/?refresh=...`, scope `insight:read`. [`Refresh::Blocking`] is what most callers want.
    ///
    /// # Errors
    /// As [`Request::send`]; a query in the insight that fails is a 400 or a null result, which [`result`](crate::result) explains.
    pub fn insight_refreshed(&self, id: u64, refresh: Refresh) -> Result<Value> {
        self.get(&format!("insights/{id}/"))
            .param("refresh", refresh.name())
            .slow(refresh.computes())
            .send()
    }

    /// The insight with this short id, the one in its web address; `None` where there is none.
    ///
    /// `GET insights/?short_id=...`, scope `insight:read`. Case counts.
    ///
    /// # Errors
    /// As [`List::all`]; [`Error::Config`] where it is empty, which would be no filter; [`Error::Paging`] where the server left
    /// the filter out and answered with others.
    pub fn insight_by_short_id(&self, short_id: &str) -> Result<Option<Value>> {
        let list = self.list("insights").param("short_id", short_id);
        self.only(list, "short_id", |insight| {
            insight.get("short_id").is_none_or(|id| id == short_id)
        })
    }

    /// The project's persons, the newest first, 1,000 a page.
    ///
    /// `GET persons/`, scope `person:read`. A person's `id` is its UUID here, and a number in [`person`](Project::person).
    pub fn persons(&self) -> List<Persons> {
        List::of_kind(
            self.client.shared(),
            self.path("persons/"),
            Persons::default(),
            Persons::finish,
        )
    }

    /// The person with this number or UUID.
    ///
    /// `GET persons/{id}/`, scope `person:read`. Its `id` is the number here, and the UUID in [`persons`](Project::persons).
    ///
    /// # Errors
    /// As [`Request::send`]; a distinct id is a 400: use [`person_by_distinct_id`](Project::person_by_distinct_id).
    pub fn person(&self, id: impl Display) -> Result<Value> {
        let path =
            url::segment(&id.to_string()).and_then(|id| self.path(&format!("persons/{id}/")));
        self.client.request("GET", path).send()
    }

    /// The person with exactly this distinct id; `None` where there is none.
    ///
    /// `GET persons/?distinct_id=...`, scope `person:read`.
    ///
    /// # Errors
    /// As [`List::all`]; [`Error::Config`] where it is empty, which would be no filter; [`Error::Paging`] where the server left
    /// the filter out and answered with others.
    pub fn person_by_distinct_id(&self, distinct_id: &str) -> Result<Option<Value>> {
        let list = self.list("persons").param("distinct_id", distinct_id);
        // Of many distinct ids, the server lists a thousand.
        self.only(list, "distinct_id", |person| {
            let ids = person.get("distinct_ids").and_then(Value::as_array);
            ids.is_none_or(|ids| {
                ids.is_empty() || ids.len() >= 1_000 || ids.iter().any(|id| id == distinct_id)
            })
        })
    }

    /// The one row of a list that a filter can leave.
    fn only(
        &self,
        list: List,
        filter: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Option<Value>> {
        let mut rows = list.items();
        match (rows.next().transpose()?, rows.next().transpose()?) {
            (None, _) => Ok(None),
            (Some(row), None) if fits(&row) => Ok(Some(row)),
            _ => {
                let why = format!(
                    "the server answered with others than the {filter} asked for: it left the filter out"
                );
                let path = format!("/api/projects/{}/", self.id);
                Err(Error::Paging(crate::error::Failure::new("GET", &path, why)))
            }
        }
    }

    /// Begins a HogQL query.
    ///
    /// `POST query/`, scope `query:read`. Values go into `{placeholders}`, by [`Query::value`], never into the text. PostHog gives
    /// 100 rows unless the SQL says LIMIT, and 50,000 at most (10,000 on servers of 2023).
    pub fn hogql(&self, sql: impl Into<String>) -> Query {
        Query::hogql(self.client.shared(), self.path("query/"), &sql.into())
    }

    /// Begins a query of any kind: an object with `kind`, such as a `TrendsQuery` or an `EventsQuery`.
    ///
    /// `POST query/`, scope `query:read`.
    pub fn query(&self, query: impl Serialize) -> Query {
        Query::new(self.client.shared(), self.path("query/"), query)
    }

    /// Any list of the project by its name, such as `cohorts`, `feature_flags`, `cohorts/5/persons`, `error_tracking/issues`.
    ///
    /// `session_recordings` come from an old, empty table on servers of 2023 without `.param("version", 3)`.
    pub fn list(&self, resource: &str) -> List<Any> {
        let slash = if resource.ends_with('/') { "" } else { "/" };
        List::new(
            self.client.shared(),
            self.path(&format!("{resource}{slash}")),
        )
    }

    /// `GET` of any route of the project by its path behind `/api/projects/{id}/`, such as `cohorts/5/`; an empty path is the
    /// project itself.
    pub fn get(&self, path: &str) -> Request {
        self.client.request("GET", self.path(path))
    }

    /// `POST` to any route of the project.
    pub fn post(&self, path: &str) -> Request {
        self.client.request("POST", self.path(path))
    }

    /// `PUT` to any route of the project.
    pub fn put(&self, path: &str) -> Request {
        self.client.request("PUT", self.path(path))
    }

    /// `PATCH` of any route of the project.
    pub fn patch(&self, path: &str) -> Request {
        self.client.request("PATCH", self.path(path))
    }

    /// `DELETE` of any route of the project. Insights, cohorts, dashboards and many others refuse it (405): `PATCH` them with
    /// `{"deleted": true}`.
    pub fn delete(&self, path: &str) -> Request {
        self.client.request("DELETE", self.path(path))
    }

    fn path(&self, relative: &str) -> Result<String> {
        if self.id == 0 {
            return Err(Error::Config("0 is no project's id".to_owned()));
        }
        if relative.starts_with('/') {
            return Err(Error::Config(format!(
                "the path {relative:?} begins with a slash: a project's paths are relative to it; Client has the others"
            )));
        }
        url::checked_path(&format!("/api/projects/{}/{relative}", self.id))
    }
}
