//! `events-server DATA`: a model of a server that runs queries of events, as a process of its own.
//!
//! A query takes 0.4 s, and 4 microseconds for each event that it looks at: all of its range. Three
//! run at once; a fourth is a 429. DATA is `even` (300,000 events in 30 days, quiet nights, one
//! burst of five minutes), `early` (the same, with a range that begins four years before), or
//! `burst` (a million events more, within five minutes). It prints its base URL, and stops when its
//! standard input ends.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use std::{env, thread};

use http_server::{Connection, Handler, Incoming, Listener, Next};
use serde_json::Value;

const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Days since 1970 of 2026-01-01.
const START: u64 = 20_454 * DAY;

const PROPERTIES: &str = r#"{\"$browser\":\"Chrome\",\"$os\":\"Linux\",\"$current_url\":\"https://example.com/a/path\",\"amount\":12.5,\"items\":[1,2,3]}"#;

#[derive(Default)]
struct Model {
    /// Microseconds since 1970, in order. The uuid of an event is its place here.
    events: Vec<u64>,
    running: AtomicU64,
    connections: AtomicU64,
    queries: AtomicU64,
    looked_at: AtomicU64,
    throttled: AtomicU64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let data = env::args().nth(1).ok_or("events-server DATA")?;
    let model = Model { events: events(data == "burst"), ..Model::default() };
    let listener = Listener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.address());
    let _server = listener.serve(Arc::new(model));
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn events(burst: bool) -> Vec<u64> {
    let mut state = 1_u64;
    let mut random = move |end: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 20) % end
    };
    let mut events = Vec::new();
    while events.len() < 270_000 {
        let at = random(30 * DAY);
        if at % DAY > DAY / 3 || random(10) == 0 {
            events.push(START + at);
        }
    }
    events.extend((0..30_000).map(|_| START + 17 * DAY + DAY / 2 + random(300 * SECOND)));
    let more = if burst { 1_000_000 } else { 0 };
    events.extend((0..more).map(|_| START + 10 * DAY + DAY / 2 + random(300 * SECOND)));
    events.sort_unstable();
    events
}

impl Handler for Model {
    fn connected(&self, _: &mut Connection) -> Next {
        self.connections.fetch_add(1, SeqCst);
        Next::Keep
    }

    fn answer(&self, request: &Incoming<'_>, connection: &mut Connection) -> io::Result<Next> {
        let (status, body) = if request.target() == "/stats" {
            let counters = [&self.connections, &self.queries, &self.looked_at, &self.throttled];
            ("200 OK", counters.map(|n| n.load(SeqCst).to_string()).join(" "))
        } else if self.running.fetch_add(1, SeqCst) >= 3 {
            self.running.fetch_sub(1, SeqCst);
            self.throttled.fetch_add(1, SeqCst);
            ("429 Too Many Requests", r#"{"type":"throttled_error","code":"throttled"}"#.to_owned())
        } else {
            let body = self.query(&request.parse().json()["query"]);
            self.running.fetch_sub(1, SeqCst);
            ("200 OK", body.unwrap_or_else(|| r#"{"error":"not of the model"}"#.to_owned()))
        };
        let length = body.len();
        write!(
            connection,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )?;
        connection.write_all(body.as_bytes())?;
        connection.flush()?;
        Ok(Next::Keep)
    }
}

impl Model {
    fn query(&self, query: &Value) -> Option<String> {
        let (sql, values) = (query["query"].as_str()?, &query["values"]);
        let limit: usize = sql.rsplit_once("LIMIT ")?.1.parse().ok()?;
        let limit = limit.min(50_000);
        let place = |name: &str| {
            let at = micros(values[name].as_str()?)?;
            Some(self.events.partition_point(|event| *event < at))
        };
        let (mut from, to) = (place("events_from")?, place("events_to")?);
        if let Some(uuid) = values["events_uuid"].as_str() {
            from = from.max(usize::from_str_radix(uuid.rsplit('-').next()?, 16).ok()? + 1);
        }
        let looked_at = to.saturating_sub(from);
        self.queries.fetch_add(1, SeqCst);
        self.looked_at.fetch_add(looked_at as u64, SeqCst);
        thread::sleep(
            Duration::from_millis(400) + Duration::from_micros(4) * looked_at.try_into().ok()?,
        );
        let mut body = format!(
            r#"{{"columns":["uuid","timestamp","event","distinct_id","properties"],"types":[],"hasMore":null,"hogql":"SELECT 1 LIMIT {limit}","results":["#
        );
        for (n, at) in (from..to).zip(&self.events[from..to.max(from)]).take(limit) {
            let comma = if n == from { "" } else { "," };
            let time = text(*at);
            write!(body, r#"{comma}["00000000-0000-7000-8000-{n:012x}","{time}","click","person-{}","{PROPERTIES}"]"#, n % 999).ok()?;
        }
        body.push_str("]}");
        Some(body)
    }
}

/// The year, month and day of days since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

fn text(at: u64) -> String {
    let ((year, month, day), of_day) = (civil(at / DAY), at % DAY);
    let (s, micros) = (of_day / SECOND, of_day % SECOND);
    let (h, m, s) = (s / 3_600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{micros:06}Z")
}

/// The moment of a text as `text` writes it.
fn micros(time: &str) -> Option<u64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<u64>().ok();
    let date = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // A guess that is at most a few days too early.
    let mut days = (date.0.checked_sub(1970)?) * 365 + (date.1 - 1) * 28 + date.2 - 1;
    while civil(days) < date {
        days += 1;
    }
    let seconds = number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?;
    Some(days * DAY + seconds * SECOND + number(20, 26)?)
}
