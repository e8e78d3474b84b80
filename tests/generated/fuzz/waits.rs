//! Proves that the wait that a server asks for is read from its seconds, its date or its words, and
//! from nothing else.
use crate::desk::Desk;
use crate::fuzz;
use crate::input::{Random, change_text};
use crate::support::{Act, seen};
use posthog_api::Client;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A date of HTTP, counted year by year and month by month.
fn http_date(seconds: u64) -> String {
    let (mut days, clock) = (seconds / 86_400, seconds % 86_400);
    let weekday =
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days % 7).unwrap()];
    let mut year = 1970;
    let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let months = [
        ("Jan", 31),
        ("Feb", if leap(year) { 29 } else { 28 }),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let mut month = months.iter();
    let name = loop {
        let (name, length) = month.next().unwrap();
        if days < *length {
            break name;
        }
        days -= length;
    };
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{weekday}, {:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT", days + 1)
}

/// The wait that an error of this answer names.
fn wait(desk: &Desk, client: &Client, header: Option<&str>, detail: &str) -> Option<Duration> {
    let mut act = Act::error(429, "throttled_error", "throttled", detail);
    if let Some(header) = header {
        act = act.header("Retry-After", header);
    }
    desk.lay([act]);
    seen(client.get("/api/x/").send().unwrap_err()).retry_after()
}

#[test]
fn seconds_and_dates_are_read() {
    let desk = Desk::open();
    let client = desk.client();
    assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    fuzz(500, |random| {
        if random.one_in(4) {
            let seconds = random.number() >> random.below(64);
            let got = wait(&desk, &client, Some(&seconds.to_string()), "");
            assert_eq!(got, Some(Duration::from_secs(seconds)));
            return;
        }
        // Up to the year 2400, and often soon.
        let at = if random.one_in(2) {
            random.number() % 13_569_465_600
        } else {
            now() + random.number() % 9_000
        };
        let (header, earliest) = (http_date(at), now());
        let got = wait(&desk, &client, Some(&header), "").unwrap_or_else(|| panic!("{header}"));
        let expected = at.saturating_sub(now())..=at.saturating_sub(earliest);
        assert!(expected.contains(&got.as_secs()), "{header}: {got:?}, {expected:?} expected");
    });
}

#[test]
fn the_seconds_in_a_detail_are_read() {
    let desk = Desk::open();
    let client = desk.client();
    let mut read = 0;
    fuzz(600, |random| {
        let detail =
            format!("Request was throttled. Expected available in {} seconds.", random.below(99));
        let tokens = ["available in ", "9", "99999999999999999999", " second", "-", ".", "٣", "\n"];
        let detail = if random.one_in(4) { detail } else { change_text(random, &detail, &tokens) };
        let after = detail.find("available in ").map(|at| &detail[at + 13..]).unwrap_or_default();
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        let named = after[digits.len()..].starts_with(" second");
        let expected = digits.parse().ok().filter(|_| named).map(Duration::from_secs);
        assert_eq!(wait(&desk, &client, None, &detail), expected, "{detail:?}");
        read += usize::from(expected.is_some());
    });
    assert!(read > 60, "{read} read");
}

#[test]
fn a_date_that_is_changed_is_read_or_ignored() {
    let desk = Desk::open();
    let client = desk.client();
    fuzz(600, |random: &mut Random| {
        let date = http_date(random.number() % 13_569_465_600);
        let tokens = [
            "99999999999999999999",
            "-1",
            ":",
            " ",
            ", ",
            "Feb",
            "31",
            "9223372036854775807",
            "é",
            "GMT",
        ];
        let header = change_text(random, &date, &tokens).replace(|c: char| c.is_control(), "");
        // What is not a date leaves the seconds in the detail.
        let wait = wait(&desk, &client, Some(&header), "Expected available in 7 seconds.");
        assert!(wait.is_some(), "{header:?}");
    });
}
