//! Pages in flight: pages of a list that are requested before they are wanted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::http::{Ahead, Pace, Params, Request, Response, Watch, Workers, after};

/// The largest number of pages ahead.
pub(super) const MAX_AHEAD: usize = 100;

/// Fetches the pages of one list.
pub(super) struct InFlight {
    /// A page's request, but for its parameters.
    request: Request,
    /// Pages that were requested and not taken, in the order of the list.
    pages: VecDeque<Page>,
    /// Pages that were given up, and whose requests may still run.
    abandoned: Vec<Ahead>,
    workers: Workers,
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
    ahead: Ahead,
}

impl InFlight {
    /// `ahead`: how many pages beyond the wanted one may be in flight.
    pub(super) fn new(request: Request, ahead: usize) -> InFlight {
        InFlight {
            request,
            pages: VecDeque::new(),
            abandoned: Vec::new(),
            workers: Workers::new(),
            window: Window::new(ahead.min(MAX_AHEAD)),
            forecast: Forecast::default(),
            count: None,
            failure_counts: true,
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    /// The page with this query, from those in flight or requested now, and what `read` reads in it.
    pub(super) fn take<T>(
        &mut self,
        want: &Params,
        mut read: impl FnMut(&Response) -> Result<T>,
    ) -> Result<(Response, T)> {
        let mut read = |response: Response| {
            let page = read(&response)?;
            Ok((response, page))
        };
        let fetched = self.fetch(want);
        if fetched.is_ok() {
            self.foresee(want);
        }
        match fetched.and_then(&mut read) {
            Err(error) => self.fetch_alone(want).map_or(Err(error), |again| again.and_then(read)),
            page => page,
        }
    }

    fn fetch(&mut self, want: &Params) -> Result<Response> {
        let page = match self.pages.front() {
            Some(page) if page.query == *want => self.pages.pop_front(),
            _ => None,
        };
        let fetched = if let Some(page) = page {
            let fetched = page.ahead.take(self.request.http().deadline());
            self.note_throttling(page.ahead.watch());
            self.failure_counts = page.failure_counts;
            fetched
        } else {
            self.abandon();
            self.failure_counts = self.abandoned() == 0;
            self.fetch_here(want)
        };
        if let Some(error) = fetched.as_ref().err().filter(|error| error.status() == Some(429)) {
            self.window.throttle(after(error.retry_after().unwrap_or_default()));
        }
        fetched
    }

    /// The page that was taken last, requested again with no other request beside it; `None` where
    /// its failure counts.
    fn fetch_alone(&mut self, want: &Params) -> Option<Result<Response>> {
        if self.failure_counts || self.request.http().is_over() {
            return None;
        }
        self.failure_counts = true;
        let deadline = self.request.http().deadline();
        for page in &mut self.pages {
            page.ahead.stop();
            page.failure_counts = false;
        }
        for ahead in self.pages.iter().map(|page| &page.ahead).chain(&self.abandoned) {
            ahead.wait_until_over(deadline);
        }
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
        let throttled = self.pages.iter().filter_map(|page| page.ahead.watch().take_throttled());
        if let Some(until) = throttled.max() {
            self.window.throttle(until);
        }
        let next = usize::from(self.pages.front().is_some_and(|page| page.query == *from));
        while !self.is_behind_pace() {
            let in_flight = self.pages.len() - next + self.abandoned();
            if !self.window.has_room(in_flight) {
                return;
            }
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
        let alone = self.pages.is_empty() && self.abandoned() == 0;
        let Some(ahead) = self.workers.start(self.page_request(&query)) else { return false };
        for page in &mut self.pages {
            page.failure_counts = false;
        }
        self.pages.push_back(Page { query, failure_counts: alone && !foreseen, ahead });
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
            page.ahead.stop();
            self.abandoned.push(page.ahead);
        }
    }

    /// How many requests of pages that were given up still run.
    fn abandoned(&mut self) -> usize {
        self.abandoned.retain(|ahead| !ahead.is_over());
        self.abandoned.len()
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
