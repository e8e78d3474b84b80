//! The options of a list of persons.

use super::List;
use crate::error::Result;
use crate::filter::PersonFilter;
use crate::http::Http;

/// `List<Persons>`: the list of persons, with filters and searches, from
/// [`Project::persons`](crate::Project::persons).
#[derive(Debug, Clone, Copy, Default)]
pub struct Persons;

impl List<Persons> {
    /// Its filters are checked, so they cannot be given as a parameter too.
    pub(crate) fn persons(http: &Http, path: Result<String>) -> List<Persons> {
        let mut list = List::new(http, path);
        list.filtered = true;
        list
    }

    /// Keeps only persons with this text in their email, name, UUID or one of their distinct ids;
    /// `%` is a wildcard. An empty text is an error: the server would return everybody.
    pub fn search(self, text: &str) -> Self {
        self.param("search", text)
    }

    /// Keeps only persons with exactly this email; upper and lower case differ. An empty one is an
    /// error.
    pub fn email(self, email: &str) -> Self {
        self.param("email", email)
    }

    /// Keeps only the person with exactly this distinct id. An empty one is an error.
    pub fn distinct_id(self, distinct_id: &str) -> Self {
        self.param("distinct_id", distinct_id)
    }

    /// Keeps only persons who match `filter`; repeat it to AND.
    ///
    /// With [`PersonFilter::any`] each alternative is read as a list of its own, and a person found
    /// before is skipped. There is no total then, a page may be short or empty, and `offset` is an
    /// error.
    pub fn filter(mut self, filter: PersonFilter) -> Self {
        self.filters.push(filter);
        self
    }
}
