//! Lists: pages, items, and what `next` means. One mechanism for every shape that PostHog answers in.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Failure, Result};
use crate::params::Params;
use crate::shared::Shared;
use crate::walk::{Batch, Walk};

/// Room for this many pages is set aside at once.
const MOST_AHEAD: usize = 100;

/// Marks a [`List`] of anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Any;

/// A list in the making; nothing is sent before [`page`](List::page), [`pages`](List::pages), [`items`](List::items),
/// [`first`](List::first) or [`all`](List::all).
///
/// However PostHog writes a list, all of its rows come, each once, in the server's order: the walk ends where `next` is null and
/// nowhere else, as pages may be short or empty before that. Of `next` only the query is taken, so the key goes nowhere
/// but to the configured host. Offset paging of a set that changes meanwhile can repeat or miss rows; [`Query::scan`](crate::Query::scan)
/// cannot.
#[must_use = "nothing is sent before a page is asked for"]
pub struct List<K = Any> {
    shared: Arc<Shared>,
    path: Result<String>,
    pub(crate) params: Params,
    pub(crate) slow: bool,
    prefetch: usize,
    pub(crate) kind: K,
    /// Adds, at the end, the parameters that the kind of list wants and the caller did not give.
    finish: fn(&K, &mut Params),
}

impl<K: fmt::Debug> fmt::Debug for List<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("path", &self.path)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl List<Any> {
    /// `path`: checked and encoded.
    pub(crate) fn new(shared: &Arc<Shared>, path: Result<String>) -> List<Any> {
        let insights = path
            .as_ref()
            .is_ok_and(|p| p.trim_end_matches('/').ends_with("/insights"));
        List::of_kind(
            shared,
            path,
            Any,
            if insights {
                |_, params| in_order(params)
            } else {
                |_, _| {}
            },
        )
    }
}

/// What the list of insights needs: without an order the server repeats rows and loses others, without the second it hides SQL
/// insights.
pub(crate) fn in_order(params: &mut Params) {
    for (name, value) in [("order", "id"), ("include_query_insights", "true")] {
        if !params.has(name) {
            params.put(name, value);
        }
    }
}

impl<K> List<K> {
    pub(crate) fn of_kind(
        shared: &Arc<Shared>,
        path: Result<String>,
        kind: K,
        finish: fn(&K, &mut Params),
    ) -> List<K> {
        List {
            shared: Arc::clone(shared),
            path,
            params: Params::default(),
            slow: false,
            prefetch: 0,
            kind,
            finish,
        }
    }

    /// Adds a query parameter of the list: a string as it is, anything else as JSON; null is left out.
    ///
    /// A name given twice is refused, since the server would read one of the two; so are `token`, `api_key` and
    /// `personal_api_key`, and an empty `search`, `email`, `distinct_id` or `short_id`, which would be no filter.
    pub fn param(mut self, name: &str, value: impl Serialize) -> Self {
        self.params.push_once(name, &value);
        self
    }

    /// Sets how many rows a page has, as the parameter `limit`. Defaults to the server's 100; 1,000 for persons.
    pub fn page_size(mut self, limit: u32) -> Self {
        if limit == 0 {
            self.params
                .fail("a page size of 0: the server would take it for its default".to_owned());
        }
        self.params.push_once("limit", &limit);
        self
    }

    /// Sets how many pages are fetched and decoded ahead, on one background thread; 100 at most. Defaults to 0: none, no thread.
    pub fn prefetch(mut self, pages: usize) -> Self {
        self.prefetch = pages.min(MOST_AHEAD);
        self
    }

    /// The first page.
    ///
    /// # Errors
    /// As [`Request::send`](crate::Request::send); [`Error::Decode`] where the answer is no list.
    pub fn page(self) -> Result<Page> {
        self.prefetch(0)
            .pages()
            .next()
            .unwrap_or_else(|| Ok(Page::default()))
    }

    /// The pages, fetched as they are asked for. After an error there are no more; a `next` that cannot be followed is an
    /// [`Error::Paging`] behind the page that it came with.
    pub fn pages(self) -> Pages {
        Pages {
            batches: self.batches(),
        }
    }

    /// The rows of all pages, fetched as they are asked for. After an error there are no more.
    pub fn items(self) -> Items<Value> {
        self.items_as()
    }

    /// The rows of all pages, each read straight into a `T`: several times as fast as by way of [`Value`].
    pub fn items_as<T: DeserializeOwned + Send + 'static>(self) -> Items<T> {
        Items {
            batches: self.batches(),
            current: Vec::new().into_iter(),
            total: None,
        }
    }

    /// The first row, if there is one. Asks for pages of one row, unless a page size was set.
    ///
    /// # Errors
    /// As [`page`](List::page).
    pub fn first(self) -> Result<Option<Value>> {
        let sized = self.params.has("limit");
        (if sized { self } else { self.page_size(1) })
            .prefetch(0)
            .items()
            .next()
            .transpose()
    }

    /// All rows of all pages.
    ///
    /// # Errors
    /// As [`page`](List::page), and [`Error::Paging`] where the list cannot be walked on; the rows before it are lost: [`items`](List::items) gives them.
    pub fn all(self) -> Result<Vec<Value>> {
        self.items().collect()
    }

    fn batches<T: DeserializeOwned + Send + 'static>(mut self) -> Batches<T> {
        (self.finish)(&self.kind, &mut self.params);
        let walk = Walk::new(self.shared, self.path, self.params, self.slow);
        if self.prefetch == 0 {
            Batches::Here(Box::new(walk))
        } else {
            Batches::ahead(walk, self.prefetch)
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The rows.
    pub results: Vec<Value>,
    /// How many rows the whole list has, where the server says it.
    pub count: Option<u64>,
    /// Whether there are more pages.
    pub has_next: bool,
}

/// The pages of a list, from [`List::pages`].
#[derive(Debug)]
#[must_use = "pages are fetched as they are asked for"]
pub struct Pages {
    batches: Batches<Value>,
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Result<Page>> {
        Some(self.batches.next()?.map(|b| Page {
            results: b.results,
            count: b.count,
            has_next: b.has_next,
        }))
    }
}

impl FusedIterator for Pages {}

/// The rows of a list, from [`List::items`] or [`List::items_as`].
#[derive(Debug)]
#[must_use = "rows are fetched as they are asked for"]
pub struct Items<T = Value> {
    batches: Batches<T>,
    current: std::vec::IntoIter<T>,
    total: Option<u64>,
}

impl<T> Items<T> {
    /// How many rows the whole list has, where the server says it; known once the first row came.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

impl<T: DeserializeOwned> Iterator for Items<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(item) = self.current.next() {
                return Some(Ok(item));
            }
            match self.batches.next()? {
                Ok(batch) => {
                    self.total = batch.count.or(self.total);
                    self.current = batch.results.into_iter();
                }
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

impl<T: DeserializeOwned> FusedIterator for Items<T> {}

/// Pages as they come: fetched here, or ahead on a thread of their own.
enum Batches<T> {
    Here(Box<Walk<T>>),
    Ahead(Receiver<Option<Result<Batch<T>>>>),
    Done,
}

impl<T> fmt::Debug for Batches<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Batches::Here(_) => "Here",
            Batches::Ahead(_) => "Ahead",
            Batches::Done => "Done",
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> Batches<T> {
    fn ahead(mut walk: Walk<T>, pages: usize) -> Batches<T> {
        // One page more waits in the thread's own hands.
        let (sender, receiver) = mpsc::sync_channel(pages - 1);
        let run = move || {
            loop {
                let batch = walk.next();
                let last = batch.is_none();
                // A receiver that is gone wants no more.
                if sender.send(batch).is_err() || last {
                    return;
                }
            }
        };
        // Where no thread can be started, the sender is gone with it, and `next` says so.
        let _ = thread::Builder::new()
            .name("posthog-api prefetch".to_owned())
            .spawn(run);
        Batches::Ahead(receiver)
    }
}

impl<T: DeserializeOwned> Batches<T> {
    fn next(&mut self) -> Option<Result<Batch<T>>> {
        let next = match self {
            Batches::Here(walk) => walk.next(),
            Batches::Ahead(pages) => pages.recv().unwrap_or_else(|_| {
                let gone = "the thread that fetches ahead could not be started, or is gone";
                Some(Err(Error::Transport(Failure::new("GET", "", gone))))
            }),
            Batches::Done => None,
        };
        if !matches!(next, Some(Ok(_))) {
            *self = Batches::Done;
        }
        next
    }
}
