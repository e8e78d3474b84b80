//! How a client is made: its settings, and their checks.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::http::{
    Auth, Base, Core, Http, Key, MAX_TIMEOUT, OnRetry, Pace, RetryEvent, RetryPolicy, Transport,
    US, debug,
};

const VERSION: &str = concat!("posthog-api/", env!("CARGO_PKG_VERSION"));

impl Client {
    /// A client of the US cloud, with every default.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the key is not valid.
    pub fn new(personal_api_key: impl Into<String>) -> Result<Client> {
        Client::builder(personal_api_key).build()
    }

    /// Starts a client with settings of its own. The key is made in PostHog's settings, under
    /// personal API keys (`phx_...`).
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
}

/// The settings of a client, from [`Client::builder`] or [`ClientBuilder::from_env`].
/// [`build`](ClientBuilder::build) checks them.
///
/// # Examples
/// ```
/// use posthog_api::{Client, RetryPolicy};
///
/// let client = Client::builder("phx_...")
///     .host("https://posthog.example.com")
///     .retry(RetryPolicy::patient())
///     .on_retry(|event| eprintln!("{event}"))
///     .build()?;
/// # Ok::<(), posthog_api::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing is made before .build()"]
pub struct ClientBuilder {
    key: String,
    host: String,
    auth: Auth,
    timeout: Option<Duration>,
    connect_timeout: Duration,
    max_body_bytes: u64,
    retry: RetryPolicy,
    on_retry: Option<Arc<OnRetry>>,
    user_agent: Option<String>,
    allow_http: bool,
    max_requests_per_minute: Option<u32>,
    agent: Option<ureq::Agent>,
}

debug!(ClientBuilder);

impl ClientBuilder {
    /// Sets the server: [`US`], [`EU`](crate::EU), or the base URL of your own, which may have a
    /// sub-path. Defaults to [`US`].
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

    /// Sets how long one attempt may take to look up the host's name, and then to connect, TLS
    /// included. Defaults to 10 s each. [Later lookups](crate::docs::behaviour#timeouts) have the
    /// limit of the operating system.
    pub fn connect_timeout(mut self, d: Duration) -> Self {
        self.connect_timeout = d;
        self
    }

    /// Sets how many bytes an answer may have, after decompression. Defaults to 256 MiB.
    ///
    /// A value takes more memory than its JSON: a page of persons five times as much, and at worst
    /// [a hundred times](crate::docs::behaviour#memory). Where memory is scarce, set a few MB.
    pub fn max_body_bytes(mut self, n: u64) -> Self {
        self.max_body_bytes = n;
        self
    }

    /// Sets when a call is retried. Defaults to [`RetryPolicy::default`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets a hook that sees each wait before it is made: before a retry, and for
    /// [`max_requests_per_minute`](ClientBuilder::max_requests_per_minute). Defaults to none.
    ///
    /// With [`List::prefetch`](crate::List::prefetch) it is called on other threads too. It is not
    /// called for the waits of calls that the hook itself makes.
    pub fn on_retry(mut self, f: impl Fn(&RetryEvent) + Send + Sync + 'static) -> Self {
        self.on_retry = Some(Arc::new(f));
        self
    }

    /// Sets what stands before `posthog-api/<version>` in the `User-Agent`, such as `my-tool/1.2`.
    /// Defaults to nothing.
    pub fn user_agent(mut self, product: impl Into<String>) -> Self {
        self.user_agent = Some(product.into());
        self
    }

    /// Allows plain http to a host that is not this machine. Defaults to false.
    pub fn allow_http(mut self, yes: bool) -> Self {
        self.allow_http = yes;
        self
    }

    /// Spreads the requests of this client and its clones evenly, so that no minute has more than
    /// `n`. Defaults to no limit.
    ///
    /// PostHog allows 240 a minute on most routes, [counted by the
    /// key](crate::docs::behaviour#what-posthog-allows).
    pub fn max_requests_per_minute(mut self, n: u32) -> Self {
        self.max_requests_per_minute = Some(n);
        self
    }

    /// Sets the agent that makes the connections: for a proxy, certificates or a resolver of your
    /// own. Its timeouts, redirects and treatment of error statuses are replaced by this client's.
    /// Defaults to one with the TLS of the features that are on, 16 idle connections and the
    /// [proxy of the environment](crate::docs::cookbook#a-proxy).
    pub fn agent(mut self, agent: ureq::Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for a setting that is not valid: a key that is empty,
    /// is a project token (`phc_`), or contains a space, a control or a non-ASCII character; a host
    /// that is not an http or https URL, has a user, query or fragment, only receives events, or
    /// would be sent the key unencrypted; https without a TLS feature; a user agent that is not a
    /// valid header; a limit of zero.
    pub fn build(self) -> Result<Client> {
        let key = self.key.trim();
        let product = self.user_agent.as_deref().map(str::trim);
        let is_zero = self.connect_timeout.is_zero() || self.timeout.is_some_and(|d| d.is_zero());
        let is_header = |text: &str| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        let checks = [
            (key.is_empty(), "the personal API key is empty"),
            (
                key.starts_with("phc_"),
                "the key begins with phc_: that is a project token, which only sends events; make a \
                 personal API key (phx_)",
            ),
            (
                !key.bytes().all(|b| b.is_ascii_graphic()),
                "the personal API key contains a space, a control or a non-ASCII character; copy it \
                 again",
            ),
            (
                product.is_some_and(|product| product.is_empty() || !is_header(product)),
                "the user agent is empty, or contains a control or a non-ASCII character",
            ),
            (is_zero, "a timeout is zero: no request could be sent"),
            (self.max_body_bytes == 0, "max_body_bytes is 0: no answer could be read"),
            (
                self.max_requests_per_minute == Some(0),
                "max_requests_per_minute is 0: no request could be sent",
            ),
        ];
        if let Some((_, why)) = checks.into_iter().find(|(is_wrong, _)| *is_wrong) {
            return Err(Error::config(why));
        }
        let key = Key::new(key.to_owned());
        let base = Base::parse(&self.host, self.allow_http).map_err(|e| key.conceal(e))?;
        let connect_timeout = self.connect_timeout.min(MAX_TIMEOUT);
        let http = Http::new(Core {
            transport: Transport::new(self.agent, &base, connect_timeout, self.max_body_bytes)?,
            user_agent: product.map_or(VERSION.to_owned(), |name| format!("{name} {VERSION}")),
            pace: self.max_requests_per_minute.map(Pace::per_minute),
            base,
            key,
            auth: self.auth,
            timeout: self.timeout,
            policy: self.retry,
            on_retry: self.on_retry,
        });
        Ok(Client { http })
    }
}
