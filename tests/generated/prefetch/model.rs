//! What a caller must get from a list, computed without a client.
use crate::script::{Answer, Fault, Form, List, Query};
use std::collections::HashSet;

/// What one call of `next` of an iterator returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Row(String),
    /// The variant, and a word of its message.
    Error(&'static str, &'static str),
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
            Fault::Status(status) => Item::Error(
                "Api",
                match status {
                    401 => "401",
                    404 => "404",
                    429 => "429",
                    500 => "500",
                    _ => "502",
                },
            ),
            Fault::Cut | Fault::Close => Item::Error("Transport", "broke"),
            Fault::Garbage => Item::Error("Decode", "line 1"),
            Fault::WebPage => Item::Error("Decode", "html"),
            Fault::NoList => Item::Error("Decode", "results"),
        }
    }
}

/// The rows and errors of a list, in their order.
pub fn items(list: &List, way: Way) -> Vec<Item> {
    let first = list.first();
    let (mut query, mut seen) = (first.clone(), HashSet::new());
    let (mut out, mut ids, mut rows) = (Vec::new(), HashSet::new(), 0);
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
        rows += values.len() as u64;
        ids.extend(values.iter().map(|row| row["id"].to_string()));
        if way == Way::Pages {
            let rows = shown(&values);
            out.push(Item::Row(format!("{} of {:?}", rows.join(" "), list.count())));
        } else {
            out.extend(values.iter().zip(shown(&values)).map(|(value, row)| {
                if way == Way::Typed && value["id"].is_string() {
                    Item::Error("Decode", "id")
                } else {
                    Item::Row(row)
                }
            }));
        }
        match next(list, page, &first) {
            Ok(Some(next)) if seen.contains(&next) => {
                out.push(Item::Error("Paging", "already read"));
                return out;
            }
            Ok(Some(next)) => query = next,
            Ok(None) => break,
            Err(word) => {
                out.push(Item::Error("Paging", word));
                return out;
            }
        }
    }
    let received = if way == Way::Typed { rows } else { ids.len() as u64 };
    let repeats = way == Way::Typed || received < rows;
    let expected = list.count().map(|count| count.saturating_sub(u64::from(list.start)));
    if repeats && expected.is_some_and(|expected| received < expected) {
        out.push(Item::Error("Paging", "rows"));
    }
    out
}

/// Rows as the tests show them.
fn shown(rows: &[serde_json::Value]) -> Vec<String> {
    rows.iter().map(|row| row["id"].to_string()).collect()
}

/// The query of the page after this one, or a word of why there is none.
fn next(list: &List, page: usize, first: &Query) -> Result<Option<Query>, &'static str> {
    use crate::script::Next;
    if list.form == Form::HasNext {
        if page + 1 >= list.pages.len() {
            return Ok(None);
        }
        if list.pages[page].rows == 0 {
            return Err("no rows");
        }
        let rows: u64 = list.pages[..=page].iter().map(|page| u64::from(page.rows)).sum();
        let mut query = first.clone();
        query.insert("offset".to_owned(), (u64::from(list.start) + rows).to_string());
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
