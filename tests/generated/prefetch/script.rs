//! A list as a server keeps it: its pages, what `next` of each says, and what goes wrong.
use crate::support::{Act, REQUEST_ID};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::{Just, Strategy, any};
use proptest::{collection::vec, option, prop_oneof};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The parameters of a request or a link, by name.
pub type Query = BTreeMap<String, String>;

/// How the server says where the next page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Offset,
    Cursor,
    Page,
    /// Without `next`: the client counts rows.
    HasNext,
}

#[derive(Clone, Debug)]
pub enum Next {
    /// A link to the page this far away; null where that page does not exist.
    Link(i8, Link),
    Null,
    Absent,
    /// Not a link: any other JSON.
    Other(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Plain,
    OtherHost,
    OnlyQuery,
    OffsetFirst,
    WithKey,
    Fragment,
    WithoutSearch,
    OtherSearch,
    MoreParams,
    OtherLimit,
    WithoutLimit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Status(u16),
    /// The body ends before its length, and the connection with it.
    Cut,
    /// The connection ends without an answer.
    Close,
    Garbage,
    WebPage,
    NoList,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    Plain,
    /// The first row has an `id` that is text.
    TextId,
    /// The first row has a number that is too large.
    HugeNumber,
    /// The first row repeats the first `id` of the list.
    Repeat,
}

#[derive(Clone, Debug)]
pub struct Page {
    pub rows: u8,
    pub kind: Rows,
    pub next: Next,
    /// How far away the next page is in `offset`, if not `limit`.
    pub stride: Option<u8>,
    pub fault: Option<Fault>,
    /// It is answered 429 this often, and then as it should.
    pub throttled: u8,
    /// In milliseconds.
    pub latency: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Absent,
    Null,
    Exact,
    Off(i8),
}

/// The answer behind the last page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    Empty,
    Endless,
    Fault(Fault),
}

/// What the client may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Nothing,
    /// Whatever it need not wait for.
    WithoutWait,
    Once,
}

#[derive(Clone, Debug)]
pub struct List {
    pub form: Form,
    /// The page size that the caller sets.
    pub limit: Option<u8>,
    /// The `offset` that the caller sets.
    pub start: u8,
    /// The caller sets `search`.
    pub search: bool,
    pub count: Count,
    pub pages: Vec<Page>,
    pub beyond: Beyond,
    /// With more requests than this at once, the server answers with the fault.
    pub busy: Option<(u8, Fault)>,
    pub policy: Policy,
}

pub const SEARCH: &str = "a b&c=d";

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Answer {
    Page(Value),
    Fault(Fault),
}

impl List {
    pub fn page_size(&self) -> u64 {
        self.limit.map_or(3, u64::from)
    }

    /// The query of the first request.
    pub fn first(&self) -> Query {
        let mut query = Query::new();
        let mut set = |name: &str, value: Option<String>| {
            query.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("limit", self.limit.map(|limit| limit.to_string()));
        set("offset", (self.start > 0).then(|| self.start.to_string()));
        set("search", self.search.then(|| SEARCH.to_owned()));
        query
    }

    /// The parameter that names a page, and its value.
    fn place(&self, page: usize) -> (&'static str, String) {
        let before = &self.pages[..page];
        let start = u64::from(self.start);
        match self.form {
            Form::Offset => {
                let stride = |page: &Page| page.stride.map_or(self.page_size(), u64::from);
                ("offset", (start + before.iter().map(stride).sum::<u64>()).to_string())
            }
            Form::HasNext => {
                let limit = self.limit.unwrap_or(0);
                let steps = before.iter().map(|page| u64::from(page.rows.max(limit))).sum::<u64>();
                ("offset", (start + steps).to_string())
            }
            Form::Cursor => ("cursor", format!("c/{page}=")),
            Form::Page => ("page", (page + 1).to_string()),
        }
    }

    /// Which page a query names.
    pub fn find(&self, query: &Query) -> Option<usize> {
        (0..self.pages.len()).find(|&page| {
            let (name, value) = self.place(page);
            query.get(name).map_or(page == 0, |given| *given == value)
        })
    }

    pub fn ids(&self, page: usize) -> Vec<u64> {
        let mut ids: Vec<u64> =
            (0..u64::from(self.pages[page].rows)).map(|row| page as u64 * 1_000 + row).collect();
        if let (Rows::Repeat, Some(id)) = (self.pages[page].kind, ids.first_mut()) {
            *id = 0;
        }
        ids
    }

    pub fn rows(&self, page: usize) -> Vec<Value> {
        let mut rows: Vec<Value> = self.ids(page).into_iter().map(|id| json!({"id": id})).collect();
        if let Some(first) = rows.first_mut() {
            match self.pages[page].kind {
                Rows::TextId => first["id"] = json!(format!("text {page}")),
                Rows::HugeNumber => first["huge"] = json!("HUGE"),
                Rows::Plain | Rows::Repeat => {}
            }
        }
        rows
    }

    pub fn count(&self) -> Option<u64> {
        let rows = self.pages.iter().map(|page| u64::from(page.rows)).sum::<u64>();
        let rows = rows + u64::from(self.start);
        match self.count {
            Count::Absent | Count::Null => None,
            Count::Exact => Some(rows),
            Count::Off(by) => Some(rows.saturating_add_signed(by.into())),
        }
    }

    /// The target of a link; none where it leads behind the last page.
    pub fn target(&self, page: usize) -> Option<(Link, Query)> {
        let Next::Link(by, link) = self.pages[page].next else { return None };
        let to = page.saturating_add_signed(by.into());
        if to >= self.pages.len() {
            return None;
        }
        let mut query = Query::new();
        let limit = if link == Link::OtherLimit { 77 } else { self.page_size() };
        if link != Link::WithoutLimit && self.form != Form::Page {
            query.insert("limit".to_owned(), limit.to_string());
        }
        let (name, place) = self.place(to);
        query.insert(name.to_owned(), place);
        match link {
            Link::WithoutSearch => {}
            Link::OtherSearch => {
                query.insert("search".to_owned(), "other".to_owned());
            }
            _ if self.search => {
                query.insert("search".to_owned(), SEARCH.to_owned());
            }
            _ => {}
        }
        if link == Link::MoreParams {
            query.insert("more".to_owned(), page.to_string());
        }
        Some((link, query))
    }

    fn link(&self, page: usize, path: &str) -> Value {
        let Some((link, query)) = self.target(page) else { return Value::Null };
        let encode = |text: &str| {
            // A space is `+`, as in forms.
            utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().replace("%20", "+")
        };
        let pair = |(name, value): (&String, &String)| format!("{name}={}", encode(value));
        let mut pairs: Vec<String> = query.iter().map(pair).collect();
        match link {
            Link::OffsetFirst => pairs.reverse(),
            Link::WithKey => pairs.insert(0, "personal_api_key=phx_echo&token=phc_echo".to_owned()),
            _ => {}
        }
        let query = pairs.join("&");
        Value::from(match link {
            Link::OtherHost => format!("https://evil.example/other/?{query}"),
            Link::OnlyQuery => format!("?{query}"),
            Link::Fragment => format!("http://in.example{path}?{query}#offset=9"),
            _ => format!("http://in.example{path}?{query}"),
        })
    }

    /// The answer to a query, if nothing else happens.
    pub fn answer(&self, query: &Query, path: &str) -> Answer {
        let Some(page) = self.find(query) else {
            return match self.beyond {
                Beyond::Empty => Answer::Page(json!({"results": [], "next": null})),
                Beyond::Endless => {
                    let next = format!("http://in.example{path}?offset=123456");
                    Answer::Page(json!({"results": [{"id": 999_999}], "next": next}))
                }
                Beyond::Fault(fault) => Answer::Fault(fault),
            };
        };
        if let Some(fault) = self.pages[page].fault {
            return Answer::Fault(fault);
        }
        let mut body = json!({"results": self.rows(page)});
        if self.form == Form::HasNext {
            body["has_next"] = json!(page + 1 < self.pages.len());
        } else {
            match &self.pages[page].next {
                Next::Link(..) => body["next"] = self.link(page, path),
                Next::Null => body["next"] = Value::Null,
                Next::Absent => {}
                Next::Other(other) => body["next"] = other.clone(),
            }
        }
        if self.count != Count::Absent {
            body["count"] = json!(self.count());
        }
        Answer::Page(body)
    }
}

impl Answer {
    pub fn act(&self) -> Act {
        match self {
            Answer::Page(body) => {
                let body = body.to_string().replace("\"HUGE\"", "1e999");
                Act::status(200).body("application/json", body)
            }
            Answer::Fault(fault) => fault.act(),
        }
    }
}

impl Fault {
    pub fn act(self) -> Act {
        let page = json!({"results": [{"id": 1}, {"id": 2}], "next": null});
        match self {
            Fault::Status(429) => throttled("0"),
            Fault::Status(status) => Act::error(status, "error", "a_code", "a detail"),
            Fault::Cut => Act::json(200, &page).cut(9),
            Fault::Close => Act::close(),
            Fault::Garbage => {
                Act::status(200).body("application/json", r#"{"results": [{"id" 1}]}"#)
            }
            Fault::WebPage => Act::status(200).body("text/html", "<html>a page</html>"),
            Fault::NoList => Act::json(200, &json!({"detail": REQUEST_ID})),
        }
    }
}

/// A throttled request, which may be repeated after so many seconds.
pub fn throttled(seconds: &str) -> Act {
    let detail = "Request was throttled.";
    Act::error(429, "throttled_error", "throttled", detail).header("Retry-After", seconds)
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Status(500)),
        Just(Fault::Status(404)),
        Just(Fault::Status(502)),
        Just(Fault::Status(429)),
        Just(Fault::Status(401)),
        Just(Fault::Cut),
        Just(Fault::Close),
        Just(Fault::Garbage),
        Just(Fault::WebPage),
        Just(Fault::NoList),
    ]
}

fn link() -> impl Strategy<Value = Link> {
    prop_oneof![
        8 => Just(Link::Plain),
        1 => Just(Link::OtherHost),
        1 => Just(Link::OnlyQuery),
        1 => Just(Link::OffsetFirst),
        1 => Just(Link::WithKey),
        1 => Just(Link::Fragment),
        1 => Just(Link::WithoutSearch),
        1 => Just(Link::MoreParams),
        1 => Just(Link::OtherLimit),
        1 => Just(Link::WithoutLimit),
    ]
}

/// `wild`: how often, of 100 pages, something is not as it should be.
fn page(wild: u32) -> impl Strategy<Value = Page> {
    let tame = 100 - wild;
    let next = prop_oneof![
        8 * tame + 1 => Just(Next::Link(1, Link::Plain)),
        4 * wild => link().prop_map(|link| Next::Link(1, link)),
        2 * wild => (2..5i8).prop_map(|by| Next::Link(by, Link::Plain)),
        wild => (-4..1i8).prop_map(|by| Next::Link(by, Link::Plain)),
        wild.div_ceil(2) => Just(Next::Link(1, Link::OtherSearch)),
        wild.div_ceil(2) => Just(Next::Null),
        wild.div_ceil(4) => Just(Next::Absent),
        wild.div_ceil(4) => Just(Next::Other(json!("garbage"))),
        wild.div_ceil(4) => Just(Next::Other(json!(17))),
    ];
    let rows = prop_oneof![
        4 * tame => Just(3u8),
        wild => 0..6u8,
        wild.div_ceil(2) => Just(0u8),
    ];
    let kind = prop_oneof![
        8 * tame => Just(Rows::Plain),
        wild => Just(Rows::TextId),
        wild => Just(Rows::HugeNumber),
        wild.div_ceil(2) => Just(Rows::Repeat),
    ];
    let stride = prop_oneof![8 * tame => Just(None), wild => (1..9u8).prop_map(Some)];
    let fault = prop_oneof![16 * tame => Just(None), wild => fault().prop_map(Some)];
    let throttled = prop_oneof![8 * tame => Just(0u8), wild => 1..4u8];
    (rows, kind, next, stride, fault, throttled, 0..6u8).prop_map(
        |(rows, kind, next, stride, fault, throttled, latency)| Page {
            rows,
            kind,
            next,
            stride,
            fault,
            throttled,
            latency,
        },
    )
}

pub fn list() -> impl Strategy<Value = List> {
    let form = prop_oneof![
        6 => Just(Form::Offset),
        1 => Just(Form::Cursor),
        1 => Just(Form::Page),
        1 => Just(Form::HasNext),
    ];
    let count = prop_oneof![
        3 => Just(Count::Absent),
        1 => Just(Count::Null),
        2 => Just(Count::Exact),
        2 => any::<i8>().prop_map(|by| Count::Off(by / 8)),
    ];
    let beyond = prop_oneof![
        2 => Just(Beyond::Empty),
        1 => Just(Beyond::Endless),
        2 => fault().prop_map(Beyond::Fault),
    ];
    let pages = prop_oneof![
        3 => vec(page(2), 1..24),
        2 => vec(page(12), 1..16),
        1 => vec(page(40), 1..8),
    ];
    // A refusal that other requests cannot cause counts at once, so a busy server never sends one.
    let crowded = fault()
        .prop_filter("a refusal of its own", |fault| !matches!(fault, Fault::Status(401 | 404)));
    let busy = option::weighted(0.3, (1..5u8, crowded));
    let policy = prop_oneof![
        8 => Just(Policy::Nothing),
        8 => Just(Policy::WithoutWait),
        1 => Just(Policy::Once),
    ];
    let start = prop_oneof![4 => Just(0u8), 1 => 1..7u8];
    let limit = option::of(prop_oneof![4 => Just(3u8), 1 => 1..5u8]);
    let asked = (limit, start, any::<bool>());
    (form, asked, count, pages, beyond, busy, policy).prop_map(
        |(form, (limit, start, search), count, pages, beyond, busy, policy)| {
            let list = List { form, limit, start, search, count, pages, beyond, busy, policy };
            list.tidied()
        },
    )
}

impl List {
    /// Removes what would make the answers depend on how often a page is requested.
    fn tidied(mut self) -> List {
        // A client that does not repeat a throttled request has an error, and one that does, has the
        // page.
        let most = match self.policy {
            Policy::Nothing => 0,
            Policy::WithoutWait => 3,
            Policy::Once => 1,
        };
        // Without a link, a count or a full page tells where the list goes on: the tests of lists
        // prove that.
        let ends = self.limit.is_none() && self.count().is_none();
        for (at, page) in self.pages.iter_mut().enumerate() {
            if matches!(page.next, Next::Absent) && (at > 0 || !ends) {
                page.next = Next::Null;
            }
            page.throttled = page.throttled.min(most);
            if !self.search && matches!(page.next, Next::Link(_, Link::OtherSearch)) {
                page.next = Next::Null;
            }
        }
        if self.form != Form::Offset && self.form != Form::HasNext {
            self.start = 0;
        }
        self
    }
}
