//! Which pages of a list are requested before they are wanted.

use std::iter;

use crate::error::Result;
use crate::http::{Ahead, Params, Request, Response, is_own};

const MAX_AHEAD: usize = 100;

/// Fetches the pages of one list.
pub(super) struct InFlight {
    /// The request of the first page.
    pub(super) request: Request,
    pub(super) ahead: Ahead,
    /// How many pages beyond the next one may be requested ahead; 0: not even that one.
    prefetch: usize,
    forecast: Forecast,
}

impl InFlight {
    pub(super) fn new(request: Request, prefetch: usize) -> InFlight {
        let prefetch = prefetch.min(MAX_AHEAD);
        let ahead = Ahead::new(&request.http, prefetch, is_own);
        InFlight { request, ahead, prefetch, forecast: Forecast::default() }
    }

    /// The page with this query, and what `read` reads in it.
    pub(super) fn take<T>(
        &mut self,
        want: &Params,
        read: impl FnMut(&Response) -> Result<T>,
    ) -> Result<(Response, T)> {
        let InFlight { request, ahead, forecast, .. } = self;
        // The page is here: those behind it can come while it is read.
        let refill = |ahead: &mut Ahead, _: &Response| {
            let most = ahead.len().max(ahead.most() - 1);
            ahead.line_up(forecast.pages(want, most).map(|page| request.with(page)).collect());
        };
        ahead.take(&request.with(want.clone()), refill, read)
    }

    /// Notes what the page with `query` said: the query of the next page, and how many rows the
    /// list has. Requests the next page, and those that are foreseen behind it.
    pub(super) fn learn(&mut self, query: &Params, next: Option<&Params>, count: Option<u64>) {
        if self.prefetch == 0 {
            return;
        }
        let InFlight { request, ahead, forecast, .. } = self;
        forecast.count = forecast.count.into_iter().chain(count).min();
        let Some(next) = next else { return ahead.give_up() };
        match forecast.page(query, 1) {
            Some(foreseen) if foreseen == *next => ahead.window.grow(),
            Some(_) => ahead.window.reset(),
            None => {}
        }
        forecast.learn(query, next);
        let most = ahead.len().max(ahead.most()) - 1;
        let pages = iter::once(next.clone()).chain(forecast.pages(next, most));
        ahead.line_up(pages.map(|page| request.with(page)).collect());
    }
}

/// Where the pages of a list are, if they lie at equal distances in `offset`.
#[derive(Default)]
struct Forecast {
    step: Option<u64>,
    /// The distance from the page before to the last one.
    last: Option<u64>,
    /// How many rows the list has, if the server says it.
    count: Option<u64>,
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

    /// The queries of the pages behind the one with `query`, `most` of them at most.
    fn pages(&self, query: &Params, most: usize) -> impl Iterator<Item = Params> {
        let is_there = |page: &Params| self.count.is_none_or(|n| page.number("offset") < Some(n));
        (1..=most as u64).map_while(move |n| self.page(query, n).filter(is_there))
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
    if rest(query) != rest(next) {
        return None;
    }
    let before = query.get("offset").map_or(Some(0), |_| query.number("offset"))?;
    next.number("offset")?.checked_sub(before).filter(|distance| *distance > 0)
}
