//! A PostHog that costs next to nothing: every answer is made before the first request comes.
//! The crate's own benches hold it in process, `benches/peers/server` makes a process of it.
//!
//! The project's id is its number of pages of persons, so that a walk of five and one of a hundred take the same code;
//! a server made with no pages answers with an empty one.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Persons on a page.
pub(crate) const PAGE: usize = 1_000;

/// The answers, and how often they were asked for.
pub(crate) struct Answers {
    insight: Vec<u8>,
    pages: Vec<Vec<u8>>,
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
}

impl Answers {
    pub(crate) fn new(pages: usize) -> Arc<Answers> {
        Arc::new(Answers {
            insight: respond("200 OK", include_str!("insight.json").trim_end().as_bytes()),
            pages: (0..pages).map(page).collect(),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        })
    }

    /// Answers one connection until it ends; `delay` goes before each page of persons.
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
            // Only GETs come here, one at a time: a request ends where its head ends.
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
                // Pages of any other size would compare clients that do not do the same.
                let limit = parameter(query, "limit");
                let page = parameter(query, "offset").unwrap_or(0) / PAGE;
                match project.parse() {
                    Ok(_) if self.pages.is_empty() => stream.write_all(&respond(
                        "200 OK",
                        br#"{"next":null,"previous":null,"results":[]}"#,
                    )),
                    Ok(pages)
                        if limit == Some(PAGE) && page < pages && pages <= self.pages.len() =>
                    {
                        let next = match page + 1 {
                            end if end == pages => "null".to_owned(),
                            page => {
                                format!(r#""{base}{path}?limit={PAGE}&offset={}""#, page * PAGE)
                            }
                        };
                        self.write_page(stream, page, &next)
                    }
                    _ => stream
                        .write_all(&respond("400 Bad Request", br#"{"detail":"no such page"}"#)),
                }
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

/// Starts the server on a free port, one thread a connection, and gives its base URL.
pub(crate) fn start(answers: &Arc<Answers>, delay: Duration) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base = format!("http://{}", listener.local_addr()?);
    listen(listener, answers, &base, delay, Ok)?;
    Ok(base)
}

/// Accepts connections for ever; `open` is where TLS comes in.
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

/// The closing part of a page: its persons, about 850 bytes each.
fn page(page: usize) -> Vec<u8> {
    let persons: Vec<String> = (page * PAGE..(page + 1) * PAGE).map(person).collect();
    format!("[{}]}}", persons.join(",")).into_bytes()
}

fn person(n: usize) -> String {
    // Spread over the ranges by a prime, so that neighbours differ and every run is the same.
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
