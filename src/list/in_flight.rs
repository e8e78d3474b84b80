//! Which pages of a list are requested before they are wanted.

use crate::error::Result;
use crate::http::{Ahead, Params, Request, Response, is_own};

const MAX_AHEAD: usize = 100;

/// Fetches the pages of one list.
pub(super) struct InFlight {
    /// A page's request, without its parameters.
    pub(super) request: Request,
    /// The pages, by their queries.
    pub(super) ahead: Ahead<Params>,
    /// How many pages beyond the next one may be requested ahead; 0: not even that one.
    prefetch: usize,
    forecast: Forecast,
    /// How many rows the list has, if the server says it.
    count: Option<u64>,
}

impl InFlight {
    pub(super) fn new(request: Request, prefetch: usize) -> InFlight {
        let prefetch = prefetch.min(MAX_AHEAD);
        InFlight {
            ahead: Ahead::new(&request.http, prefetch, is_own),
            request,
            prefetch,
            forecast: Forecast::default(),
            count: None,
        }
    }

    /// The page with this query, and what `read` reads in it.
    pub(super) fn take<T>(
        &mut self,
        want: &Params,
        read: impl FnMut(&Response) -> Result<T>,
    ) -> Result<(Response, T)> {
        let request = page_request(&self.request, want);
        let InFlight { ahead, forecast, count, .. } = self;
        let refill = |ahead: &mut _, _: &_| forecast.request_pages(ahead, &request, *count, 1);
        ahead.take(want, &request, refill, read)
    }

    /// Notes what the page with `query` said: the query of the next page, and how many rows the
    /// list has. Requests the next page.
    pub(super) fn learn(&mut self, query: &Params, next: Option<&Params>, count: Option<u64>) {
        if self.prefetch == 0 {
            return;
        }
        self.count = self.count.into_iter().chain(count).min();
        let Some(next) = next else {
            self.ahead.give_up();
            return;
        };
        match self.forecast.page(query, 1) {
            Some(foreseen) if foreseen.sorted() == next.sorted() => self.ahead.window.grow(),
            Some(_) => self.ahead.window.reset(),
            None => {}
        }
        self.forecast.learn(query, next);
        let request = page_request(&self.request, next);
        match self.ahead.first() {
            // The list has named it now.
            Some(first) if first.sorted() == next.sorted() => *first = next.clone(),
            _ => {
                self.ahead.give_up();
                if !self.ahead.send(next.clone(), request.clone()) {
                    return;
                }
            }
        }
        self.forecast.request_pages(&mut self.ahead, &request, self.count, 0);
    }
}

/// The request of the page with this query; `list`: that of another page.
fn page_request(list: &Request, query: &Params) -> Request {
    let mut request = list.clone();
    request.params = query.clone();
    request
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

    /// Requests the pages behind the one of `from`, which is the first of the queue, until the
    /// window is full. `taken`: 1 where that one was taken out of the queue already.
    fn request_pages(
        &self,
        ahead: &mut Ahead<Params>,
        from: &Request,
        count: Option<u64>,
        taken: usize,
    ) {
        let mut step = ahead.len() + taken;
        while ahead.has_room(taken) {
            let Some(query) = self.page(&from.params, step as u64) else { return };
            let offset = query.number("offset").unwrap_or(0);
            let request = page_request(from, &query);
            if count.is_some_and(|count| offset >= count) || !ahead.send(query, request) {
                return;
            }
            step += 1;
        }
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
    let rest = |params: &Params| {
        let mut rest = params.clone();
        rest.remove("offset");
        if first {
            rest.remove("limit");
        }
        rest
    };
    if rest(query).sorted() != rest(next).sorted() {
        return None;
    }
    let before = query.get("offset").map_or(Some(0), |_| query.number("offset"))?;
    next.number("offset")?.checked_sub(before).filter(|distance| *distance > 0)
}
