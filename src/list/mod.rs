//! Lists: one mechanism for every shape in which PostHog answers.

mod completeness;
mod in_flight;
mod insights;
mod page;
mod pager;
mod persons;
mod routes;
mod union;
mod walk;

use std::collections::HashSet;
use std::hash::RandomState;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use insights::Insights;
pub use pager::{Items, Page, Pages};
pub use persons::Persons;

use crate::error::{Error, ErrorKind, Result, row_as};
use crate::filter::PersonFilter;
use crate::http::{Http, MAX_QUERY, Request, debug};
use pager::{OpenList, Pager, ReadTyped, Reader};
use walk::Walk;

/// `List<Any>`: the list of any route, by its path, from
/// [`Project::list`](crate::Project::list) and [`Client::list`](crate::Client::list).
#[derive(Debug, Clone, Copy, Default)]
pub struct Any;

/// A list request. Nothing is sent before [`page`](List::page), [`pages`](List::pages),
/// [`items`](List::items), [`items_as`](List::items_as), [`first`](List::first) or
/// [`all`](List::all), or before a `for` loop over it.
///
/// All rows come, in the server's order, or the list ends with an error of the kind
/// [`Paging`](crate::ErrorKind::Paging); see [Behaviour](crate::docs::behaviour#lists). If rows are
/// created or deleted meanwhile, paging by offset can repeat or miss some;
/// [`Query::scan`](crate::Query::scan) and [`Project::events`](crate::Project::events) cannot.
#[derive(Clone)]
#[must_use = "nothing is sent before a page is asked for"]
pub struct List<K = Any> {
    request: Request,
    filters: Vec<PersonFilter>,
    prefetch: usize,
    /// Its filters are checked, so `properties` cannot be given in another way.
    filtered: bool,
    drop_similar: bool,
    allow_missing_rows: bool,
    kind: PhantomData<fn() -> K>,
}

debug!(List<K>, |it| it.request.http, request: it.request, filters: it.filters,
    prefetch: it.prefetch);

impl<K> List<K> {
    /// `path`: checked and encoded.
    pub(crate) fn new(http: &Http, path: Result<String>) -> List<K> {
        List {
            request: Request::new(http, "GET", path),
            filters: Vec::new(),
            prefetch: 0,
            filtered: false,
            drop_similar: false,
            allow_missing_rows: false,
            kind: PhantomData,
        }
    }

    /// Adds a query parameter, as [`Request::param`] does.
    pub fn param(mut self, name: &str, value: impl Serialize) -> Self {
        self.request.add_param(name, &value);
        self
    }

    /// Sets how many rows a page has, as the parameter `limit`. Defaults to the server's, to
    /// 1,000 for persons and to 50 for recordings.
    pub fn page_size(mut self, limit: u32) -> Self {
        self.request.add_param("limit", &limit);
        self
    }

    /// Sets how long one attempt of a page may wait for the answer to begin, and then for it to
    /// end. Defaults to the client's: 120 s, and 600 s where insights are refreshed.
    pub fn timeout(mut self, d: Duration) -> Self {
        self.request.set_timeout(d);
        self
    }

    /// Sets how many pages beyond the next one are requested ahead, on background threads; at most
    /// 100. The rows, their order and the errors are the same. Defaults to 0.
    ///
    /// An export is several times faster with 8, and sends more requests than PostHog allows: set
    /// [`max_requests_per_minute`](crate::ClientBuilder::max_requests_per_minute), and see
    /// [Behaviour](crate::docs::behaviour#pages-in-flight).
    pub fn prefetch(mut self, pages: usize) -> Self {
        self.prefetch = pages;
        self
    }

    /// Allows lists that may lose rows: those that are refused, such as `events`, those in which
    /// rows are found missing, and those that go on only by a guess. Defaults to an error.
    pub fn allow_missing_rows(mut self) -> Self {
        self.allow_missing_rows = true;
        self
    }

    /// The first page.
    ///
    /// # Errors
    /// As [`Request::send`]; [`Decode`](crate::ErrorKind::Decode) also where the answer is not a
    /// list.
    pub fn page(self) -> Result<Page> {
        self.prefetch(0).pages().next().unwrap_or_else(|| Ok(Page::default()))
    }

    /// The pages, each fetched when it is asked for. After an error there are no more.
    ///
    /// # Errors
    /// Those of [`page`](List::page); [`Paging`](crate::ErrorKind::Paging), after the last page
    /// that could be read, where the list cannot be continued or rows are missing.
    pub fn pages(self) -> Pages {
        Pages { pager: self.pager(None, |_, row| Ok(row)) }
    }

    /// The rows of all pages, each page fetched when it is needed. After an error there are no
    /// more. A value that cannot be read, such as JSON nested deeper than 127 levels, becomes its
    /// JSON text.
    ///
    /// # Errors
    /// Those of [`pages`](List::pages).
    pub fn items(self) -> Items<Value> {
        Items::new(self.pager(None, |_, row| Ok(row)))
    }

    /// The rows of all pages, [each read as a `T`](crate::docs::cookbook#typed-rows): several times
    /// as fast as through [`Value`].
    ///
    /// # Errors
    /// Those of [`pages`](List::pages). A row that is not a `T` is an error of the kind
    /// [`Row`](crate::ErrorKind::Row), and the iterator continues with the next row.
    pub fn items_as<T: DeserializeOwned>(self) -> Items<T> {
        Items::new(self.pager(Some(page::typed), |position, row| row_as(position, &row)))
    }

    /// The first row, if there is one. Requests a page of one row, and pages of 100 where that one
    /// is empty, unless a page size was set.
    ///
    /// # Errors
    /// As [`page`](List::page).
    pub fn first(mut self) -> Result<Option<Value>> {
        // Of a search, rows with similar names only are dropped: one row would not be enough.
        let first = !self.drop_similar && !self.request.params.has("limit");
        if first {
            self.request.params.set("limit", "1");
        }
        let mut items = self.prefetch(0).items();
        items.pager.first = first;
        items.next().transpose()
    }

    /// All rows of all pages.
    ///
    /// # Errors
    /// As [`pages`](List::pages); the rows before an error are lost: [`items`](List::items) returns
    /// them.
    pub fn all(self) -> Result<Vec<Value>> {
        self.items().collect()
    }

    /// The only row where this filter has this value.
    pub(crate) fn only(
        self,
        filter: &str,
        value: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Option<Value>> {
        let list = self.param(filter, value);
        let request = list.request.clone();
        let mut rows = list.items();
        match (rows.next().transpose()?, rows.next().transpose()?) {
            (None, _) => Ok(None),
            (Some(row), None) if fits(&row) => Ok(Some(row)),
            _ => {
                let why = format!("the server ignored the filter {filter} and returned other rows");
                Err(request.error(Error::new(ErrorKind::Paging, why)))
            }
        }
    }

    /// Checks what was given, and adds the parameters that the caller left to the crate.
    fn pager<T>(
        mut self,
        typed: Option<ReadTyped<T>>,
        row: fn(u64, Value) -> Result<T>,
    ) -> Pager<T> {
        let request = &mut self.request;
        let route = routes::of(&request.path);
        for name in ["limit", "offset"] {
            if request.params.has(name) && request.params.number(name).is_none() {
                let why =
                    "is not a whole number, and servers read it in different ways; give a number";
                request.fail(format!("{name:?} {why}"));
            }
        }
        if request.params.number("limit") == Some(0) {
            request.fail("the page size is 0: the server would use its default");
        }
        if let Some(why) = (route.loses)(&request.params).filter(|_| !self.allow_missing_rows) {
            request.fail(why);
        }
        if self.filtered && request.params.has("properties") {
            request.fail("param() does not take properties; use filter(), which checks them");
        }
        let mut lists = union::requests(self.request, &self.filters);
        for params in lists.iter_mut().map(|list| &mut list.params) {
            for (name, value) in route.sends {
                if !params.has(name) {
                    params.set(name, *value);
                }
            }
        }
        let too_long = |list: &Request| list.params.encoded().len() > MAX_QUERY;
        if !self.filters.is_empty() && lists.iter().any(too_long) {
            let why =
                "the filter is longer than a URL can be; use HogQL, which sends it in the body";
            for list in &mut lists {
                list.fail(why);
            }
        }
        let seen = (lists.len() > 1).then(HashSet::new);
        let typed = typed.filter(|_| !self.drop_similar && seen.is_none());
        let open = |request: Request| {
            let first = request.params.clone();
            let walk = Walk::new(first, route.cursor, !self.allow_missing_rows);
            OpenList::new(request, self.prefetch, walk)
        };
        let lists = lists.into_iter().map(open).collect();
        let (drop_similar, hasher) = (self.drop_similar, RandomState::new());
        let reader = Reader { typed, row, drop_similar, hasher, seen, returned: 0 };
        Pager { lists, reader, first: false }
    }
}

impl<K> IntoIterator for List<K> {
    type Item = Result<Value>;
    type IntoIter = Items<Value>;

    fn into_iter(self) -> Items<Value> {
        self.items()
    }
}
