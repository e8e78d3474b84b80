//! A server for benchmarks: every answer is made before the first request comes, and each connection
//! has a thread. The crate's own benches run it in their process, `benches/peers/server` is a
//! process of its own.
//!
//! The id of a project is its number of pages of persons. A page behind the last one is empty, as
//! PostHog's is: a client that requests pages ahead asks for some.
//!
//! It is not the scripted server of the tests. That one copies an answer before it sends it, keeps
//! and searches every byte that it receives, wakes up every 5 ms, and has no TLS: beside a
//! client on the same processor, its work would be a large part of what is measured.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

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

    /// Answers the requests of one connection until it ends; waits for `delay` before each page of
    /// persons.
    pub(crate) fn serve(
        &self,
        stream: &mut (impl Read + Write),
        base: &str,
        delay: Duration,
    ) -> io::Result<()> {
        self.connections.fetch_add(1, Relaxed);
        let mut request = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            request.clear();
            // Only GETs come, one after the other: a request ends where its head ends.
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut chunk)? {
                    0 => return Ok(()),
                    n => request.extend_from_slice(&chunk[..n]),
                }
            }
            self.requests.fetch_add(1, Relaxed);
            let target = request.split(|&b| b == b' ').nth(1).unwrap_or_default();
            self.answer(stream, &String::from_utf8_lossy(target), base, delay)?;
            stream.flush()?;
        }
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

/// Starts a server on a free port of 127.0.0.1, and returns its base URL.
pub(crate) fn start(answers: &Arc<Answers>, delay: Duration) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base = format!("http://{}", listener.local_addr()?);
    listen(listener, answers, &base, delay, Ok)?;
    Ok(base)
}

/// Accepts connections as long as the process runs. `open` makes a TLS connection of one, or
/// returns it as it is.
pub(crate) fn listen<S: Read + Write + Send + 'static>(
    listener: TcpListener,
    answers: &Arc<Answers>,
    base: &str,
    delay: Duration,
    open: impl Fn(TcpStream) -> io::Result<S> + Send + 'static,
) -> io::Result<()> {
    let (answers, base) = (Arc::clone(answers), base.to_owned());
    thread::Builder::new().spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_nodelay(true);
            let Ok(mut stream) = open(stream) else {
                continue;
            };
            let (answers, base) = (Arc::clone(&answers), base.clone());
            thread::spawn(move || answers.serve(&mut stream, &base, delay));
        }
    })?;
    Ok(())
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
