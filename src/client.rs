//! The client: what it is made of, and what is checked before there is one.

use std::env::{self, VarError};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::list::{Any, List};
use crate::project::Project;
use crate::request::{LONGEST_TIMEOUT, Request};
use crate::retry::RetryPolicy;
use crate::secret::Secret;
use crate::shared::{Auth, OnRetry, Pace, RetryEvent, Shared};
use crate::transport::Transport;
use crate::url::{self, Base};

/// PostHog's cloud in the United States.
pub const US: &str = "https://us.posthog.com";
/// PostHog's cloud in the European Union.
pub const EU: &str = "https://eu.posthog.com";

const VERSION: &str = concat!("posthog-api/", env!("CARGO_PKG_VERSION"));

/// A client of PostHog's private REST API.
///
/// Cheap to clone and to share between threads: the clones have one connection pool, and one pace.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("origin", &self.shared.base.origin)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the US cloud with every default.
    ///
    /// # Errors
    /// [`Error::Config`] where the key cannot be one.
    pub fn new(personal_api_key: impl Into<String>) -> Result<Client> {
        Client::builder(personal_api_key).build()
    }

    /// A client from the environment: `POSTHOG_PERSONAL_API_KEY`, and `POSTHOG_HOST`, which defaults to [`US`].
    ///
    /// # Errors
    /// [`Error::Config`] where the key is not set, or one of the two is empty or cannot be right.
    pub fn from_env() -> Result<Client> {
        let key = variable("POSTHOG_PERSONAL_API_KEY")?.ok_or_else(|| {
            Error::Config("POSTHOG_PERSONAL_API_KEY is not set: make a personal API key in PostHog's settings".to_owned())
        })?;
        let builder = Client::builder(key);
        match variable("POSTHOG_HOST")? {
            Some(host) => builder.host(host).build(),
            None => builder.build(),
        }
    }

    /// Begins a client with settings of its own. The key is made in PostHog's settings, under personal API keys (`phx_...`).
    pub fn builder(personal_api_key: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            key: personal_api_key.into(),
            host: US.to_owned(),
            auth: Auth::Bearer,
            timeout: None,
            connect_timeout: Duration::from_secs(10),
            max_body_bytes: 256 * 1024 * 1024,
            retry: RetryPolicy::default(),
            on_retry: None,
            user_agent: None,
            allow_http: false,
            max_requests_per_minute: None,
            agent: None,
        }
    }

    /// The user that the key belongs to, with its `team` (the current project), `organization` and `organizations`.
    ///
    /// `GET /api/users/@me/`, scope `user:read`. `team` and `organization` may be null.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub fn me(&self) -> Result<Value> {
        self.get("/api/users/@me/").send()
    }

    /// The projects of the user's current organization, each an object with at least `id` and `name`.
    ///
    /// `GET /api/projects/`, scope `project:read`; where the key may not use that route (one restricted to single projects may
    /// not), the teams of the organization in [`me`](Client::me): those that the user may see.
    ///
    /// # Errors
    /// As [`List::all`].
    pub fn projects(&self) -> Result<Vec<Value>> {
        let listed = self.list("/api/projects/").all();
        if !listed.as_ref().is_err_and(Error::is_permission_denied) {
            return listed;
        }
        let mut me = self.me()?;
        Ok(
            match me.pointer_mut("/organization/teams").map(Value::take) {
                Some(Value::Array(teams)) => teams,
                _ => me
                    .get_mut("team")
                    .map(Value::take)
                    .into_iter()
                    .filter(Value::is_object)
                    .collect(),
            },
        )
    }

    /// A handle to the project with this id, the number in its web address.
    #[must_use]
    pub fn project(&self, id: u64) -> Project {
        Project::new(self.clone(), id)
    }

    /// A handle to the project with this name, among [`projects`](Client::projects).
    ///
    /// # Errors
    /// As `projects`; [`Error::Config`] where none or several have the name: it lists names and ids.
    pub fn project_named(&self, name: &str) -> Result<Project> {
        let projects = self.projects()?;
        let named: Vec<(&str, u64)> = projects
            .iter()
            .filter_map(|p| Some((p.get("name")?.as_str()?, p.get("id")?.as_u64()?)))
            .collect();
        let mut matching = named.iter().filter(|(n, _)| *n == name);
        if let (Some((_, id)), None) = (matching.next(), matching.next()) {
            return Ok(self.project(*id));
        }
        let how = if named.iter().any(|(n, _)| *n == name) {
            "several projects are"
        } else {
            "no project is"
        };
        let all: Vec<String> = named
            .iter()
            .map(|(n, id)| format!("{n:?} is {id}"))
            .collect();
        let why = Error::Config(format!(
            "{how} named {name:?} in the current organization: {}; take one by its id",
            all.join(", ")
        ));
        Err(self.shared.secret.strip(why))
    }

    /// Any list by its path, such as `/api/organizations/`.
    pub fn list(&self, path: &str) -> List<Any> {
        List::new(&self.shared, url::checked_path(path))
    }

    /// `GET` of any route by its path, such as `/api/organizations/@current/`; parameters go into [`Request::param`].
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", url::checked_path(path))
    }

    /// `POST` to any route by its path.
    pub fn post(&self, path: &str) -> Request {
        self.request("POST", url::checked_path(path))
    }

    /// `PUT` to any route by its path.
    pub fn put(&self, path: &str) -> Request {
        self.request("PUT", url::checked_path(path))
    }

    /// `PATCH` of any route by its path.
    pub fn patch(&self, path: &str) -> Request {
        self.request("PATCH", url::checked_path(path))
    }

    /// `DELETE` of any route by its path. Many of PostHog's things refuse it (405): `PATCH` them with `{"deleted": true}`.
    pub fn delete(&self, path: &str) -> Request {
        self.request("DELETE", url::checked_path(path))
    }

    pub(crate) fn request(&self, method: &'static str, path: Result<String>) -> Request {
        Request::new(&self.shared, method, path)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// A variable of the environment; one that is set to nothing is a mistake worth telling.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) if value.trim().is_empty() => Err(Error::Config(format!(
            "{name} is set but empty: set it, or unset it"
        ))),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::Config(format!("{name} is not valid UTF-8"))),
    }
}

/// The settings of a client; [`build`](ClientBuilder::build) checks them all.
#[must_use = "there is no client before .build()"]
pub struct ClientBuilder {
    key: String,
    host: String,
    auth: Auth,
    timeout: Option<Duration>,
    connect_timeout: Duration,
    max_body_bytes: u64,
    retry: RetryPolicy,
    on_retry: Option<OnRetry>,
    user_agent: Option<String>,
    allow_http: bool,
    max_requests_per_minute: Option<u32>,
    agent: Option<ureq::Agent>,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("auth", &self.auth)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Sets the server: [`US`], [`EU`], or the base URL of your own, which may have a sub-path. Defaults to [`US`].
    pub fn host(mut self, url: impl Into<String>) -> Self {
        self.host = url.into();
        self
    }

    /// Sets where the key goes. Defaults to [`Auth::Bearer`].
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Sets how long one attempt may wait for the answer to begin, and then for it to end.
    /// Defaults to 120 s, and 600 s for queries and refreshes.
    pub fn timeout(mut self, d: Duration) -> Self {
        self.timeout = Some(d);
        self
    }

    /// Sets how long one attempt may take to look up the host's name, and then to connect, TLS included. Defaults to 10 s.
    pub fn connect_timeout(mut self, d: Duration) -> Self {
        self.connect_timeout = d;
        self
    }

    /// Sets how many bytes an answer may have, after decompression. Defaults to 256 MiB.
    pub fn max_body_bytes(mut self, n: u64) -> Self {
        self.max_body_bytes = n;
        self
    }

    /// Sets when a call is tried again. Defaults to [`RetryPolicy::default`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets a hook that sees each wait before it is made: before a retry, and for
    /// [`max_requests_per_minute`](ClientBuilder::max_requests_per_minute). Defaults to none.
    pub fn on_retry(mut self, f: impl Fn(&RetryEvent) + Send + Sync + 'static) -> Self {
        self.on_retry = Some(Box::new(f));
        self
    }

    /// Sets what stands before `posthog-api/<version>` in the `User-Agent`, such as `my-tool/1.2`. Defaults to nothing.
    pub fn user_agent(mut self, product: impl Into<String>) -> Self {
        self.user_agent = Some(product.into());
        self
    }

    /// Allows plain http to a host that is not this machine. Defaults to false.
    pub fn allow_http(mut self, yes: bool) -> Self {
        self.allow_http = yes;
        self
    }

    /// Spreads the requests of this client and its clones evenly, so that no minute has more than `n`: PostHog allows 240 a
    /// minute to most routes. Its waits are seen by [`on_retry`](ClientBuilder::on_retry). Defaults to no limit.
    pub fn max_requests_per_minute(mut self, n: u32) -> Self {
        self.max_requests_per_minute = Some(n);
        self
    }

    /// Sets the agent that makes the connections: for a proxy, certificates or a resolver of your own.
    ///
    /// Its timeouts, redirects and treatment of error statuses are overridden with this client's. Defaults to one with the TLS
    /// of the features that are on and, but for a host on this machine, the proxy of the environment: `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, the first that is
    /// set serving http and https alike, less what `NO_PROXY` names. A `socks5://` proxy needs ureq's `socks-proxy` feature and is
    /// passed over without it.
    pub fn agent(mut self, agent: ureq::Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Config`] where a setting cannot be right: a key that is empty or has a space, control or non-ASCII character in
    /// it; a host that is no http or https URL, has a user, query or fragment, takes events only, or would be sent the key in
    /// clear; https without a TLS feature; a user agent that no header can hold; a limit of zero.
    pub fn build(self) -> Result<Client> {
        let ClientBuilder {
            key,
            host,
            auth,
            timeout,
            connect_timeout,
            max_body_bytes,
            retry: policy,
            on_retry,
            user_agent,
            allow_http,
            max_requests_per_minute,
            agent,
        } = self;
        let config = |m: &str| Err(Error::Config(m.to_owned()));
        let key = key.trim().to_owned();
        if key.is_empty() {
            return config("the personal API key is empty");
        }
        if key.starts_with("phc_") {
            return config(
                "the key begins with phc_: that is a project key, which only sends events; make a personal API key (phx_)",
            );
        }
        if !key.bytes().all(|b| b.is_ascii_graphic()) {
            return config(
                "the personal API key has a space, control or non-ASCII character in it: copy it again",
            );
        }
        let user_agent = match user_agent.as_deref().map(str::trim) {
            None => VERSION.to_owned(),
            Some(product)
                if !product.is_empty()
                    && product.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) =>
            {
                format!("{product} {VERSION}")
            }
            Some(_) => {
                return config(
                    "the user agent is empty, or has a control or non-ASCII character in it",
                );
            }
        };
        if timeout.is_some_and(|d| d.is_zero()) || connect_timeout.is_zero() {
            return config("a timeout is zero: no call could be made");
        }
        if max_body_bytes == 0 || max_requests_per_minute == Some(0) {
            return config(
                "max_body_bytes or max_requests_per_minute is zero: no call could be made",
            );
        }
        let secret = Secret::new(key);
        let base = Base::parse(&host, allow_http).map_err(|e| secret.strip(e))?;
        let transport = Transport::new(
            agent,
            &base.peer(),
            connect_timeout.min(LONGEST_TIMEOUT),
            max_body_bytes,
        )?;
        let pace = max_requests_per_minute.map(|n| Pace {
            interval: Duration::from_secs(60) / n,
            next: Mutex::new(Instant::now()),
        });
        let bearer = format!("Bearer {}", secret.key());
        Ok(Client {
            shared: Arc::new(Shared {
                base,
                secret,
                auth,
                bearer,
                user_agent,
                timeout,
                policy,
                on_retry,
                pace,
                transport,
            }),
        })
    }
}
