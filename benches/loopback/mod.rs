//! Answers for benchmarks, all made before the first request comes. The crate's own benches serve
//! them in their process, `benches/peers/server` is a process of its own.
//!
//! The id of a project is its number of pages of persons. A page behind the last one is empty, as
//! PostHog's is: a client that requests pages ahead asks for some.
//!
//! The scripted server of the tests copies an answer before it sends it, and keeps and searches every
//! byte that it receives. Beside a client on the same processor, that work would be a large part of
//! what is measured.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use http_server::{Connection, Handler, Incoming, Listener, Next};

/// Persons on a page.
pub(crate) const PAGE: usize = 1_000;

/// The answers, and how many requests came.
pub(crate) struct Answers {
    insight: Vec<u8>,
    pages: Vec<Vec<u8>>,
    no_persons: Vec<u8>,
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
}

impl Answers {
    pub(crate) fn new(pages: usize) -> Arc<Answers> {
        Arc::new(Answers {
            insight: respond("200 OK", include_str!("insight.json").trim_end().as_bytes()),
            pages: (0..pages).map(page).collect(),
            no_persons: respond("200 OK", br#"{"next":null,"previous":null,"results":[]}"#),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        })
    }

    fn answer(
        &self,
        stream: &mut impl Write,
        target: &str,
        base: &str,
        delay: Duration,
    ) -> io::Result<()> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments: Vec<&str> = path.split('/').collect();
        match segments[..] {
            ["", "api", "projects", _, "insights", "28", ""] => stream.write_all(&self.insight),
            ["", "api", "projects", project, "persons", ""] => {
                thread::sleep(delay);
                // Pages of another size would compare clients that do not do the same.
                if !self.pages.is_empty() && parameter(query, "limit") != Some(PAGE) {
                    let body = br#"{"detail":"a page has 1000 persons"}"#;
                    return stream.write_all(&respond("400 Bad Request", body));
                }
                let pages = project.parse().unwrap_or(0).min(self.pages.len());
                let page = parameter(query, "offset").unwrap_or(0) / PAGE;
                if page >= pages {
                    return stream.write_all(&self.no_persons);
                }
                let next = match page + 1 {
                    end if end == pages => "null".to_owned(),
                    next => format!(r#""{base}{path}?limit={PAGE}&offset={}""#, next * PAGE),
                };
                self.write_page(stream, page, &next)
            }
            ["", "stats"] => {
                let stats =
                    format!("{} {}", self.connections.load(Relaxed), self.requests.load(Relaxed));
                stream.write_all(&respond("200 OK", stats.as_bytes()))
            }
            _ => stream.write_all(&respond("404 Not Found", br#"{"detail":"Not found."}"#)),
        }
    }

    fn write_page(&self, stream: &mut impl Write, page: usize, next: &str) -> io::Result<()> {
        let start = format!(r#"{{"next":{next},"previous":null,"results":"#);
        let results = &self.pages[page];
        let mut head = head("200 OK", start.len() + results.len());
        head.push_str(&start);
        stream.write_all(head.as_bytes())?;
        stream.write_all(results)
    }
}

/// What a server does: its answers, the base of their links, and how long it waits before a page of
/// persons.
pub(crate) struct Site {
    pub(crate) answers: Arc<Answers>,
    pub(crate) base: String,
    pub(crate) delay: Duration,
}

impl Handler for Site {
    fn connected(&self, _: &mut Connection) -> Next {
        self.answers.connections.fetch_add(1, Relaxed);
        Next::Keep
    }

    fn answer(&self, request: &Incoming<'_>, connection: &mut Connection) -> io::Result<Next> {
        self.answers.requests.fetch_add(1, Relaxed);
        self.answers.answer(connection, request.target(), &self.base, self.delay)?;
        connection.flush()?;
        Ok(Next::Keep)
    }
}

/// Starts a server on a free port of 127.0.0.1, which runs as long as the process, and returns its
/// base URL.
pub(crate) fn start(answers: &Arc<Answers>, delay: Duration) -> io::Result<String> {
    let listener = Listener::bind("127.0.0.1:0")?;
    let base = format!("http://{}", listener.address());
    let site = Site { answers: Arc::clone(answers), base: base.clone(), delay };
    std::mem::forget(listener.serve(Arc::new(site)));
    Ok(base)
}

fn parameter(query: &str, name: &str) -> Option<usize> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|pair| pair.0 == name)?.1.parse().ok()
}

fn head(status: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

fn respond(status: &str, body: &[u8]) -> Vec<u8> {
    [head(status, body.len()).as_bytes(), body].concat()
}

/// The end of a page: its persons, of about 850 bytes each.
fn page(page: usize) -> Vec<u8> {
    let persons: Vec<String> = (page * PAGE..(page + 1) * PAGE).map(person).collect();
    format!("[{}]}}", persons.join(",")).into_bytes()
}

fn person(n: usize) -> String {
    // A prime spreads the values: neighbours differ, and every run is the same.
    let mix = n * 7_919 % 1_000_003;
    let (id, age, day) = (n + 1, 18 + mix % 70, 1 + mix % 28);
    let (uuid, device) = (
        format!("018f3c2a-{:04x}-7000-8000-{n:012x}", mix % 65_536),
        format!("018f3c2b-{:04x}-7000-8000-{n:012x}", mix % 65_521),
    );
    let country = ["Austria", "Brazil", "Côte d’Ivoire", "Denmark"][mix % 4];
    let plan = ["free", "team", "scale"][mix % 3];
    format!(
        r#"{{"id":{id},"name":"person{n}@example.com","distinct_ids":["{device}","person{n}@example.com"],"properties":{{"email":"person{n}@example.com","name":"Person \"{n}\"","age":{age},"plan":"{plan}","seats":{},"spent":{}.25,"$os":"Linux","$browser":"Firefox","$browser_version":{},"$geoip_country_name":"{country}","$initial_referrer":"$direct","$initial_current_url":"https://example.com/pricing?utm_source=letter&utm_campaign=spring-{day}","$initial_pathname":"/pricing","$initial_utm_source":"letter","$initial_device_type":"Desktop","$creator_event_uuid":"{uuid}","newsletter":{},"company":null,"$geoip_time_zone":"Europe/Vienna","$initial_browser_language":"de-AT"}},"created_at":"2026-03-{day:02}T09:{:02}:00.123000Z","uuid":"{uuid}","is_user":null,"last_seen_at":"2026-04-{day:02}T00:00:00Z"}}"#,
        mix % 50,
        mix % 10_000,
        100 + mix % 40,
        mix & 1 == 0,
        mix % 60,
    )
}
