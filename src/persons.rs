//! The list of persons and its options.

use crate::filter::PersonFilter;
use crate::list::List;
use crate::params::Params;

/// How many persons a page has unless the caller chose: at PostHog's 240 requests a minute, a hundred would be slow.
const PAGE: u32 = 1_000;

/// Marks a [`List`] of persons, from [`Project::persons`](crate::Project::persons).
#[derive(Debug, Clone, Default)]
pub struct Persons {
    filters: Vec<PersonFilter>,
}

impl Persons {
    pub(crate) fn finish(&self, params: &mut Params) {
        if params.has("properties") {
            params.fail("properties go into filter, which checks them: the server drops what it does not understand".to_owned());
        }
        if let Some(why) = self.filters.iter().find_map(PersonFilter::fault) {
            params.fail(why.to_owned());
        } else if !self.filters.is_empty() {
            params.push_once("properties", &PersonFilter::all(self.filters.clone()));
        }
        if !params.has("limit") {
            params.push("limit", &PAGE);
        }
    }
}

impl List<Persons> {
    /// Only persons whose email contains this text, or who have it as a distinct id or UUID; servers of 2022 look through all
    /// properties. `%` and `_` are wildcards since 2023. An empty text is refused: it would be no filter.
    pub fn search(self, text: &str) -> Self {
        self.param("search", text)
    }

    /// Only persons with exactly this email, case and all. An empty one is refused: it would be no filter.
    pub fn email(self, email: &str) -> Self {
        self.param("email", email)
    }

    /// Only the person with exactly this distinct id. An empty one is refused: it would be no filter.
    pub fn distinct_id(self, distinct_id: &str) -> Self {
        self.param("distinct_id", distinct_id)
    }

    /// Only persons that `filter` finds; repeat it to AND.
    pub fn filter(mut self, filter: PersonFilter) -> Self {
        self.kind.filters.push(filter);
        self
    }
}
