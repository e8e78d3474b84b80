//! Whether PostHog computes a result: its parameter `refresh`.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result, excerpt};

/// Whether PostHog computes a result or takes it from its cache: the parameter `refresh`.
///
/// A result is fresh for minutes to a day by the insight's interval, and for six hours for HogQL;
/// only [`ForceBlocking`](Refresh::ForceBlocking) and [`ForceAsync`](Refresh::ForceAsync) compute
/// in any case. [Older servers](crate::docs::servers) know other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refresh {
    /// Takes what is in the cache, or null; never computes. The default of insights.
    ForceCache,
    /// Computes before it answers, unless the cache is fresh. The default of queries.
    Blocking,
    /// Always computes before it answers.
    ForceBlocking,
    /// Starts to compute in the background, unless the cache is fresh, and answers at once.
    Async,
    /// As `Async`; accepts cached results up to a day old.
    LazyAsync,
    /// Always starts to compute in the background, and answers at once.
    ForceAsync,
    /// Answers with what is in the cache and starts to compute in the background if that is old;
    /// computes before it answers if the cache is empty. For queries.
    AsyncExceptOnCacheMiss,
}

/// PostHog's words.
const NAMES: [(Refresh, &str); 7] = [
    (Refresh::ForceCache, "force_cache"),
    (Refresh::Blocking, "blocking"),
    (Refresh::ForceBlocking, "force_blocking"),
    (Refresh::Async, "async"),
    (Refresh::LazyAsync, "lazy_async"),
    (Refresh::ForceAsync, "force_async"),
    (Refresh::AsyncExceptOnCacheMiss, "async_except_on_cache_miss"),
];

impl Refresh {
    pub(crate) fn name(self) -> &'static str {
        NAMES.into_iter().find(|(refresh, _)| *refresh == self).map_or("", |(_, name)| name)
    }

    /// Whether the answer can wait for the computation.
    pub(crate) fn computes(self) -> bool {
        use Refresh as R;
        matches!(self, R::Blocking | R::ForceBlocking | R::AsyncExceptOnCacheMiss)
    }
}

impl fmt::Display for Refresh {
    /// PostHog's own word, such as `force_blocking`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Refresh {
    type Err = Error;

    /// Reads PostHog's own word.
    fn from_str(word: &str) -> Result<Refresh> {
        let found = NAMES.into_iter().find(|(_, name)| *name == word);
        found.map(|(refresh, _)| refresh).ok_or_else(|| {
            let (word, known) = (excerpt(word), NAMES.map(|(_, name)| name).join(", "));
            Error::config(format!("{word:?} is not a refresh; use one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests;
