//! Requests, and what the handles of a client share. Every byte that leaves the crate leaves here.

mod ahead;
mod call;
mod json;
mod key;
mod pace;
mod params;
mod redirect;
mod request;
mod response;
mod retry;
mod tls;
mod transport;
mod url;
mod wait;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use request::Request;
pub use response::Response;
pub use retry::RetryPolicy;
pub use url::{EU, US};
pub use wait::RetryEvent;

pub(crate) use ahead::{Ahead, is_own};
pub(crate) use json::{members, repaired_body, to_value, value_of_text, value_or_text};
pub(crate) use key::Key;
pub(crate) use pace::Pace;
pub(crate) use params::Params;
pub(crate) use transport::Transport;
pub(crate) use url::{Base, MAX_QUERY, checked_path, segment};
pub(crate) use wait::{MAX_TIMEOUT, OnRetry, after};

use crate::error::Error;
use wait::Watch;

/// `Debug` of a handle: the names that follow, without the key where the client is known.
macro_rules! debug {
    ($type:ident $(<$T:ident>)?) => {
        impl$(<$T>)? std::fmt::Debug for $type$(<$T>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), " { .. }"))
            }
        }
    };
    ($type:ident $(<$T:ident>)?, |$it:ident| $http:expr, $($name:ident: $value:expr),+) => {
        impl$(<$T>)? std::fmt::Debug for $type$(<$T>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let $it = self;
                let fields = [$(format!("{}: {:?}", stringify!($name), $value)),+].join(", ");
                let text = format!("{} {{ {fields}, .. }}", stringify!($type));
                f.write_str(&$http.core.key.mask(&text))
            }
        }
    };
}
pub(crate) use debug;

/// Where the key goes in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Auth {
    /// In the header `Authorization: Bearer ...`.
    #[default]
    Bearer,
    /// In the JSON body, as `personal_api_key`; a GET then has a body too. Queries use the header
    /// in any case: their route refuses other fields in the body.
    Body,
    /// In the query string, as `personal_api_key`, for servers and proxies that allow no other way:
    /// every proxy logs it, and PostHog writes it into the `next` links of its answers.
    Query,
}

/// What all handles of one client share.
pub(crate) struct Core {
    pub(crate) base: Base,
    pub(crate) key: Key,
    pub(crate) auth: Auth,
    pub(crate) user_agent: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) policy: RetryPolicy,
    pub(crate) on_retry: Option<Arc<OnRetry>>,
    pub(crate) pace: Option<Pace>,
    pub(crate) transport: Transport,
}

/// The way to the server that a client, a project, a list, a query and a request hold.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) core: Arc<Core>,
    pub(crate) deadline: Option<Instant>,
    watch: Option<Arc<Watch>>,
}

impl Http {
    pub(crate) fn new(core: Core) -> Http {
        Http { core: Arc::new(core), deadline: None, watch: None }
    }

    /// The same with a deadline; of two, the earlier holds.
    pub(crate) fn with_deadline(&self, at: Instant) -> Http {
        let deadline = self.deadline.map_or(at, |earlier| earlier.min(at));
        Http { deadline: Some(deadline), ..self.clone() }
    }

    /// The same with this deadline in place of its own.
    pub(crate) fn until(&self, at: Instant) -> Http {
        Http { deadline: Some(at), ..self.clone() }
    }

    /// The same for a call that another thread may stop.
    fn watched(&self, watch: &Arc<Watch>) -> Http {
        Http { watch: Some(Arc::clone(watch)), ..self.clone() }
    }

    /// How much time is left before the deadline, a year at most.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = |at: Instant| at.saturating_duration_since(Instant::now()).min(MAX_TIMEOUT);
        self.deadline.map(left)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// An error as it leaves the crate, with the key masked.
    pub(crate) fn conceal(&self, error: Error) -> Error {
        self.core.key.conceal(error)
    }
}
