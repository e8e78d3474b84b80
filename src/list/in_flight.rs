//! Pages in flight: pages of a list that are requested before they are wanted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::http::{Pace, Params, Request, Response, Started, Watch, Workers, after};

/// The largest number of pages ahead.
pub(super) const MAX_AHEAD: usize = 100;

/// Fetches the pages of one list.
pub(super) struct InFlight {
    /// A page's request, but for its parameters.
    request: Request,
    workers: Workers,
    /// Pages that were requested and not taken, in the order of the list.
    pages: VecDeque<Page>,
    window: Window,
    forecast: Forecast,
    /// How many rows the list has, if the server says it.
    count: Option<u64>,
    /// Whether a failure of the page taken last counts, see [`Page::failure_counts`].
    failure_counts: bool,
}

/// A page that was requested.
struct Page {
    query: Params,
    /// The list had named the page, and its request ran alone. A server may fail because of many
    /// requests at once: any other failure is asked for again.
    failure_counts: bool,
    started: Started,
}

impl InFlight {
    /// `ahead`: how many pages beyond the wanted one may be in flight.
    pub(super) fn new(request: Request, ahead: usize) -> InFlight {
        InFlight {
            request,
            workers: Workers::new(),
            pages: VecDeque::new(),
            window: Window::new(ahead.min(MAX_AHEAD)),
            forecast: Forecast::default(),
            count: None,
            failure_counts: true,
        }
    }

    /// The page with this query, from those in flight or requested now.
    pub(super) fn take(&mut self, want: &Params) -> Result<Response> {
        let page = match self.pages.front() {
            Some(page) if page.query == *want => self.pages.pop_front(),
            _ => None,
        };
        let mut fetched = if let Some(page) = page {
            let deadline = self.request.http().deadline();
            let fetched = self.workers.take(&page.started, deadline);
            self.note_throttling(&page.started.watch);
            self.failure_counts = page.failure_counts;
            fetched.map_err(|e| e.of_call(self.request.method(), self.request.path()))?
        } else {
            self.abandon();
            self.failure_counts = self.workers.abandoned() == 0;
            self.fetch_here(want)
        };
        if let Err(error) = &fetched {
            if error.is_rate_limited() {
                self.window.throttle(after(error.retry_after().unwrap_or_default()));
            }
            fetched = self.take_alone(want).unwrap_or(fetched);
        }
        if fetched.is_ok() {
            self.foresee(want);
        }
        fetched
    }

    /// The page that was taken last, requested again with no other request beside it; `None` where
    /// its failure counts.
    pub(super) fn take_alone(&mut self, want: &Params) -> Option<Result<Response>> {
        let is_over = self.request.http().left().is_some_and(|left| left.is_zero());
        if self.failure_counts || is_over {
            return None;
        }
        self.failure_counts = true;
        for page in &mut self.pages {
            page.started.watch.stop();
            page.failure_counts = false;
        }
        self.workers.wait_until_idle(self.request.http().deadline());
        Some(self.fetch_here(want))
    }

    /// Notes what the page with `query` said: the query of the next page, whether a link named it, and
    /// how many rows the list has. Requests the next page.
    pub(super) fn learn(
        &mut self,
        query: &Params,
        next: Option<&Params>,
        linked: bool,
        count: Option<u64>,
    ) {
        if self.window.max == 0 {
            return;
        }
        self.count = match (self.count, count) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => b.or(a),
        };
        let foreseen = self.forecast.page(query, 1);
        let Some(next) = next else {
            self.abandon();
            return;
        };
        match foreseen {
            Some(foreseen) if foreseen.sorted() == next.sorted() => self.window.grow(),
            Some(_) => self.window.reset(),
            None => {}
        }
        if linked {
            self.forecast.learn(query, next);
        }
        match self.pages.front_mut() {
            // The list has named it now.
            Some(page) if page.query.sorted() == next.sorted() => page.query = next.clone(),
            _ => {
                self.abandon();
                self.start(next.clone(), false);
            }
        }
        self.foresee(next);
    }

    /// Requests pages behind `from`, which was taken or is the next one, until the window is full.
    fn foresee(&mut self, from: &Params) {
        let throttled = self.pages.iter().filter_map(|page| page.started.watch.take_throttled());
        if let Some(until) = throttled.max() {
            self.window.throttle(until);
        }
        let next = usize::from(self.pages.front().is_some_and(|page| page.query == *from));
        while !self.is_behind_pace()
            && self.window.has_room(self.pages.len() - next + self.workers.abandoned())
        {
            let step = self.pages.len() + 1 - next;
            let Some(query) = self.forecast.page(from, step as u64) else { return };
            let offset = query.number("offset").unwrap_or(0);
            if self.count.is_some_and(|count| offset >= count) {
                return;
            }
            if !self.start(query, true) {
                return;
            }
        }
    }

    /// Whether requests wait for the pace. A page that is only foreseen would take the place of one that
    /// is wanted.
    fn is_behind_pace(&self) -> bool {
        self.request.http().core().pace.as_ref().is_some_and(Pace::is_behind)
    }

    /// Requests a page on a worker; false where there is none and none can be started.
    fn start(&mut self, query: Params, foreseen: bool) -> bool {
        let alone = self.pages.is_empty() && self.workers.abandoned() == 0;
        let Some(started) = self.workers.start(self.page_request(&query)) else { return false };
        for page in &mut self.pages {
            page.failure_counts = false;
        }
        self.pages.push_back(Page { query, failure_counts: alone && !foreseen, started });
        true
    }

    fn page_request(&self, query: &Params) -> Request {
        let mut request = self.request.clone();
        *request.params_mut() = query.clone();
        request
    }

    /// Requests a page on this thread.
    fn fetch_here(&mut self, query: &Params) -> Result<Response> {
        let mut request = self.page_request(query);
        if self.window.max == 0 {
            return request.run_json();
        }
        let watch = Arc::new(Watch::default());
        *request.http_mut() = request.http().watched(&watch);
        let fetched = request.run_json();
        self.note_throttling(&watch);
        fetched
    }

    /// A throttled answer shrinks the window and stops new pages until its wait is over.
    fn note_throttling(&mut self, watch: &Watch) {
        if let Some(until) = watch.take_throttled() {
            self.window.throttle(until);
        }
    }

    /// Gives up the pages in flight: their answers and errors do not count.
    fn abandon(&mut self) {
        for page in self.pages.drain(..) {
            self.workers.abandon(&page.started);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// How many pages may be in flight beyond the wanted one.
struct Window {
    size: usize,
    max: usize,
    paused_until: Option<Instant>,
}

impl Window {
    fn new(max: usize) -> Window {
        Window { size: max.min(1), max, paused_until: None }
    }

    fn has_room(&mut self, in_flight: usize) -> bool {
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        self.paused_until = None;
        in_flight < self.size
    }

    fn grow(&mut self) {
        self.size = (self.size + 1).min(self.max);
    }

    fn reset(&mut self) {
        self.size = self.max.min(1);
    }

    fn throttle(&mut self, until: Instant) {
        if self.paused_until.is_some_and(|paused| Instant::now() < paused) {
            // Pages that were in flight together are throttled together: that is one event.
            self.paused_until = self.paused_until.max(Some(until));
            return;
        }
        self.size = (self.size / 2).max(1).min(self.max);
        self.max = self.size;
        self.paused_until = Some(until);
    }
}

/// Where the pages of a list are, if they lie at equal distances in `offset`.
#[derive(Default)]
struct Forecast {
    step: Option<u64>,
    /// The distance from the page before to the last one.
    last: Option<u64>,
}

impl Forecast {
    /// The query of the page `n` pages behind the one with `query`.
    fn page(&self, query: &Params, n: u64) -> Option<Params> {
        let offset = query.number("offset").unwrap_or(0);
        let offset = self.step?.checked_mul(n)?.checked_add(offset)?;
        let mut page = query.clone();
        page.set("offset", offset.to_string());
        Some(page)
    }

    fn learn(&mut self, query: &Params, next: &Params) {
        let distance = distance(query, next);
        let sure =
            distance.is_some() && (distance == next.number("limit") || distance == self.last);
        self.step = distance.filter(|_| sure);
        self.last = distance;
    }
}

/// How far `next` is behind `query`, if they differ in nothing but `offset`; on the first page,
/// `limit` may be added or changed.
fn distance(query: &Params, next: &Params) -> Option<u64> {
    let first = !query.has("offset");
    let moves = |name: &str| name == "offset" || (first && name == "limit");
    let rest = |params: &Params| {
        let pairs = params.iter().filter(|(name, _)| !moves(name));
        let mut pairs: Vec<(String, String)> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        pairs.sort_unstable();
        pairs
    };
    if rest(query) != rest(next) {
        return None;
    }
    let before = query.get("offset").map_or(Some(0), |_| query.number("offset"))?;
    next.number("offset")?.checked_sub(before).filter(|distance| *distance > 0)
}
