//! An OR of person filters: the requests of several lists, which the pager merges.

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
            if request.params.has(name) {
                let why = "is not possible with this filter: its OR is read as";
                request.fail(format!("{name:?} {why} {} lists; use HogQL", lists.len()));
            }
        }
    }
    let with = |properties: &String| {
        let mut request = request.clone();
        request.params.set("properties", properties);
        request
    };
    lists.iter().map(with).collect()
}
