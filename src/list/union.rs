//! An OR of person filters: several lists, merged.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;

use crate::filter::PersonFilter;
use crate::http::Request;

/// The requests of the lists whose rows together are those of the filters.
pub(super) fn requests(mut request: Request, filters: &[PersonFilter]) -> Vec<Request> {
    if filters.is_empty() {
        return vec![request];
    }
    let lists = match PersonFilter::all(filters.iter().cloned()).flat_lists() {
        Ok(lists) => lists,
        Err(why) => {
            request.fail(why);
            return vec![request];
        }
    };
    if lists.len() > 1 {
        for name in ["offset", "format"] {
            if request.params().has(name) {
                request.fail(format!(
                    "{name:?} is not possible with this filter: its OR is read as {} lists; use HogQL",
                    lists.len()
                ));
            }
        }
    }
    let with = |properties: &String| {
        let mut request = request.clone();
        request.params_mut().set("properties", properties);
        request
    };
    lists.iter().map(with).collect()
}

/// The persons that were returned, 16 bytes each.
pub(super) struct Seen {
    hasher: RandomState,
    ids: HashSet<u128>,
}

impl Seen {
    pub(super) fn new() -> Seen {
        Seen { hasher: RandomState::new(), ids: HashSet::new() }
    }

    /// Whether this person is seen for the first time. A row without `uuid` and `id` always is.
    pub(super) fn is_new(&mut self, person: &Value) -> bool {
        let id = person.get("uuid").filter(|id| !id.is_null()).or_else(|| person.get("id"));
        id.filter(|id| !id.is_null()).is_none_or(|id| self.ids.insert(self.number(id)))
    }

    /// A UUID as the number that it is; for any other id, two hashes of it.
    fn number(&self, id: &Value) -> u128 {
        let uuid = id.as_str().filter(|text| text.len() == 36).map(|text| text.replace('-', ""));
        uuid.and_then(|hex| u128::from_str_radix(&hex, 16).ok()).unwrap_or_else(|| {
            let text = id.to_string();
            let half = |n: u8| u128::from(self.hasher.hash_one((n, &text)));
            half(0) << 64 | half(1)
        })
    }
}
