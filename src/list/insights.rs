//! The options of a list of insights.

use super::List;
use crate::refresh::Refresh;

/// `List<Insights>`: the list of insights, with their options, from
/// [`Project::insights`](crate::Project::insights).
#[derive(Debug, Clone, Copy, Default)]
pub struct Insights;

impl List<Insights> {
    /// Keeps only insights that have this text in their name, description or tags, in any case.
    ///
    /// Similar names, which current servers return where nothing matches, are dropped;
    /// `.param("search", text)` keeps them. An empty text is an error.
    pub fn search(mut self, text: &str) -> Self {
        self.drop_similar = true;
        self.param("search", text)
    }

    /// Keeps only insights that were saved or are on a dashboard, or only those that are neither.
    /// Defaults to all.
    pub fn saved(self, saved: bool) -> Self {
        self.param("saved", saved)
    }

    /// Leaves out the results: faster, if you need only names and ids. Defaults to results.
    pub fn basic(self) -> Self {
        self.param("basic", true)
    }

    /// Sets whether PostHog computes the listed insights. It is one query for each insight: set a
    /// small page size.
    pub fn refresh(mut self, refresh: Refresh) -> Self {
        self.request = self.request.slow(refresh.computes());
        self.param("refresh", refresh.name())
    }
}
