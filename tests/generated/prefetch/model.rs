//! What a caller must get from a list, computed without a client.
use super::script::{Answer, Fault, Form, List, Query};
use posthog_api::ErrorKind;
use std::collections::HashSet;

/// What one call of `next` of an iterator returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Row(String),
    /// The kind, and a word of its message.
    Error(ErrorKind, &'static str),
}

/// How the rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Values,
    Typed,
    Pages,
}

impl Fault {
    fn error(self) -> Item {
        match self {
            Fault::Status(401) => Item::Error(ErrorKind::Unauthenticated, "401"),
            Fault::Status(404) => Item::Error(ErrorKind::NotFound, "404"),
            Fault::Status(429) => Item::Error(ErrorKind::RateLimited, "429"),
            Fault::Status(500) => Item::Error(ErrorKind::Server, "500"),
            Fault::Status(_) => Item::Error(ErrorKind::Server, "502"),
            Fault::Cut | Fault::Close => Item::Error(ErrorKind::Broken, "broke"),
            Fault::Garbage => Item::Error(ErrorKind::Decode, "line 1"),
            Fault::WebPage => Item::Error(ErrorKind::Decode, "html"),
            Fault::NoList => Item::Error(ErrorKind::Decode, "results"),
        }
    }
}

/// The rows and errors of a list, in their order.
pub fn items(list: &List, way: Way) -> Vec<Item> {
    let first = list.first();
    let (mut query, mut seen) = (first.clone(), HashSet::new());
    let (mut out, mut ids) = (Vec::new(), HashSet::new());
    let (mut before, mut repeats, mut by_cursor, mut made) = (None, false, false, false);
    let expected = list.count().map(|count| count.saturating_sub(u64::from(list.start)));
    loop {
        let page = match (list.answer(&query, ""), list.find(&query)) {
            (Answer::Fault(fault), _) => {
                out.push(fault.error());
                return out;
            }
            (Answer::Page(_), page) => page.unwrap(),
        };
        seen.insert(query.clone());
        let values = list.rows(page);
        if way == Way::Pages {
            let rows = shown(&values);
            out.push(Item::Row(format!("{} of {:?}", rows.join(" "), list.count())));
        } else {
            out.extend(values.iter().zip(shown(&values)).map(|(value, row)| {
                if way == Way::Typed && value["id"].is_string() {
                    Item::Error(ErrorKind::Row, "id")
                } else {
                    Item::Row(row)
                }
            }));
        }
        let mut fail = |word| out.push(Item::Error(ErrorKind::Paging, word));
        let step = match next(list, page, &first) {
            Ok(step) => step,
            Err(word) => {
                fail(word);
                return out;
            }
        };
        by_cursor |= step.as_ref().is_some_and(|next| next.contains_key("cursor"));
        let came_by = std::mem::replace(&mut made, list.form == Form::HasNext && step.is_some());
        let mut same = false;
        if !values.is_empty() {
            let page = shown(&values);
            for id in &page {
                repeats |= !ids.insert(id.clone());
            }
            same = before.as_ref() == Some(&page);
            before = Some(page);
        }
        if same && (step.is_some() || came_by) {
            fail("same page");
            return out;
        }
        if by_cursor && repeats {
            fail("twice");
            return out;
        }
        match step {
            Some(next) if seen.contains(&next) => {
                fail("already read");
                return out;
            }
            Some(next) => query = next,
            None => break,
        }
    }
    if expected.is_some_and(|expected| (ids.len() as u64) < expected) {
        out.push(Item::Error(ErrorKind::Paging, "rows"));
    }
    out
}

/// Rows as the tests show them.
fn shown(rows: &[serde_json::Value]) -> Vec<String> {
    rows.iter().map(|row| row["id"].to_string()).collect()
}

/// The query of the page after this one, or a word of why there is none.
fn next(list: &List, page: usize, first: &Query) -> Result<Option<Query>, &'static str> {
    use super::script::Next;
    if list.form == Form::HasNext {
        if page + 1 >= list.pages.len() {
            return Ok(None);
        }
        let limit = list.limit.unwrap_or(0);
        if list.pages[page].rows.max(limit) == 0 {
            return Err("no rows");
        }
        let steps: u64 =
            list.pages[..=page].iter().map(|page| u64::from(page.rows.max(limit))).sum();
        let mut query = first.clone();
        query.insert("offset".to_owned(), (u64::from(list.start) + steps).to_string());
        return Ok(Some(query));
    }
    match &list.pages[page].next {
        Next::Null | Next::Absent => Ok(None),
        Next::Other(other) => Err(if other.is_string() { "no query" } else { "not a link" }),
        Next::Link(..) => {
            let Some((_, mut next)) = list.target(page) else { return Ok(None) };
            if let Some(search) = first.get("search") {
                if next.entry("search".to_owned()).or_insert_with(|| search.clone()) != search {
                    return Err("search");
                }
            }
            Ok(Some(next))
        }
    }
}
