//! The client: the user, the key, and any route by its path.

use std::time::Instant;

use serde_json::Value;

use crate::error::Result;
use crate::http::{Http, Request, checked_path, debug};
use crate::list::{Any, List};

/// A client of PostHog's private REST API.
///
/// It is cheap to clone and to share between threads: clones share one connection pool and one
/// pace. Clients that are built separately share neither.
#[derive(Clone)]
pub struct Client {
    pub(crate) http: Http,
}

debug!(Client, |it| it.http, origin: it.http.core.base.origin.text);

impl Client {
    /// The same client with a deadline, such as `Instant::now() + Duration::from_secs(5)`: a call
    /// without an answer by then ends with the error [`Timeout`](crate::ErrorKind::Timeout).
    ///
    /// It holds for everything that is made from the new handle; of two, the earlier one holds.
    /// [Behaviour](crate::docs::behaviour#deadlines) says what a deadline does not interrupt.
    #[must_use]
    pub fn with_deadline(&self, at: Instant) -> Client {
        Client { http: self.http.with_deadline(at) }
    }

    /// The user that the key belongs to, with `team` (the current project), `organization` and
    /// `organizations`.
    ///
    /// `GET /api/users/@me/`, scope `user:read`. `team` and `organization` may be null.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub fn me(&self) -> Result<Value> {
        self.get("/api/users/@me/").send()
    }

    /// What the key may do: `scopes`, `scoped_teams` (projects) and `scoped_organizations`, each
    /// null or empty if not restricted.
    ///
    /// `GET /api/personal_api_keys/@current/`; it needs no scope. Servers before 2025 do not have
    /// it.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub fn key_info(&self) -> Result<Value> {
        self.get("/api/personal_api_keys/@current/").send()
    }

    /// Any list by its path, such as `/api/organizations/`.
    pub fn list(&self, path: impl AsRef<str>) -> List<Any> {
        List::new(&self.http, checked_path(path.as_ref()))
    }

    /// A `GET` of any route by its path, such as `/api/organizations/@current/`. Parameters are
    /// given with [`Request::param`].
    pub fn get(&self, path: impl AsRef<str>) -> Request {
        Request::new(&self.http, "GET", checked_path(path.as_ref()))
    }

    /// A `POST` to any route by its path.
    pub fn post(&self, path: impl AsRef<str>) -> Request {
        Request::new(&self.http, "POST", checked_path(path.as_ref()))
    }

    /// A `PUT` to any route by its path.
    pub fn put(&self, path: impl AsRef<str>) -> Request {
        Request::new(&self.http, "PUT", checked_path(path.as_ref()))
    }

    /// A `PATCH` of any route by its path.
    pub fn patch(&self, path: impl AsRef<str>) -> Request {
        Request::new(&self.http, "PATCH", checked_path(path.as_ref()))
    }

    /// A `DELETE` of any route by its path. PostHog refuses it for many things (405): send a
    /// `PATCH` with `{"deleted": true}`.
    pub fn delete(&self, path: impl AsRef<str>) -> Request {
        Request::new(&self.http, "DELETE", checked_path(path.as_ref()))
    }
}
