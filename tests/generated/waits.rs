//! Proves that the wait that a server asks for is read from its seconds, its date or its words, and
//! from nothing else, and that none makes a call wait too long.
use crate::generate::{change_text, header, text};
use crate::home::{Home, answer};
use crate::rules::hides_key;
use crate::support::{Act, seen};
use crate::{KEY, check, share, vary};
use posthog_api::{Client, RetryPolicy};
use proptest::prelude::{Strategy, any};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq, prop_oneof};
use serde_json::json;
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
fn wait(server: &Home, client: &Client, header: Option<&str>, detail: &str) -> Option<Duration> {
    let mut act = Act::error(429, "throttled_error", "throttled", detail);
    if let Some(header) = header {
        act = act.header("Retry-After", header);
    }
    server.answer(&act);
    seen(client.get("/api/x/").send().unwrap_err()).retry_after()
}

#[test]
fn seconds_and_dates_are_read() {
    let server = Home::start();
    let client = server.plain();
    assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    vary(166, |random| {
        if random.one_in(4) {
            let seconds = random.number() >> random.below(64);
            let got = wait(&server, &client, Some(&seconds.to_string()), "");
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
        let got = wait(&server, &client, Some(&header), "").unwrap_or_else(|| panic!("{header}"));
        let expected = at.saturating_sub(now())..=at.saturating_sub(earliest);
        assert!(expected.contains(&got.as_secs()), "{header}: {got:?}, {expected:?} expected");
    });
}

#[test]
fn the_seconds_in_a_detail_are_read() {
    let server = Home::start();
    let client = server.plain();
    let mut read = 0;
    vary(200, |random| {
        let detail =
            format!("Request was throttled. Expected available in {} seconds.", random.below(99));
        let tokens = ["available in ", "9", "99999999999999999999", " second", "-", ".", "٣", "\n"];
        let detail = if random.one_in(4) { detail } else { change_text(random, &detail, &tokens) };
        let after = detail.find("available in ").map(|at| &detail[at + 13..]).unwrap_or_default();
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        let named = after[digits.len()..].starts_with(" second");
        let expected = digits.parse().ok().filter(|_| named).map(Duration::from_secs);
        assert_eq!(wait(&server, &client, None, &detail), expected, "{detail:?}");
        read += u32::from(expected.is_some());
    });
    assert!(read > share(60), "{read} read");
}

#[test]
fn a_date_that_is_changed_is_read_or_ignored() {
    let server = Home::start();
    let client = server.plain();
    vary(200, |random| {
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
        let wait = wait(&server, &client, Some(&header), "Expected available in 7 seconds.");
        assert!(wait.is_some(), "{header:?}");
    });
}

#[test]
fn any_retry_after_is_used_or_ignored() {
    let server = Home::start();
    // It retries only without a wait.
    let policy = RetryPolicy::default().max_wait(Duration::ZERO);
    let client = server.builder().retry(policy).build().unwrap();
    let date =
        "(Sun|Mon|é)?, [0-9]{1,3} (Jan|Feb|Dec|Foo) [0-9]{1,5} [0-9]{1,2}:[0-9]{2}:[0-9]{1,21} GMT";
    let seconds = prop_oneof![any::<u64>(), 0u64..3].prop_map(|n| (n.to_string(), Some(n)));
    let other = prop_oneof![date.prop_map(String::from), header()].prop_map(|text| (text, None));
    let statuses = select(&[429u16, 503, 500, 404][..]);
    let detail = prop_oneof!["[a-z]{0,3}available in [0-9]{0,22} seconds?[.]?", text()];
    let inputs = (prop_oneof![seconds, other], statuses, detail);
    check(500, &inputs, |((text, seconds), status, detail)| {
        let head = format!("Retry-After: {text}\r\n");
        let body = json!({"detail": detail}).to_string();
        server.answer(&answer(status, &head, body.as_bytes()));
        let error = client.get("/api/x/").send().unwrap_err();
        prop_assert_eq!(error.status(), Some(status));
        let asked = error.retry_after();
        let tries = server.seen().len();
        if let Some(seconds) = seconds.filter(|_| matches!(status, 429 | 503)) {
            prop_assert_eq!(asked, Some(Duration::from_secs(seconds)));
            prop_assert_eq!(tries, if seconds == 0 { 4 } else { 1 });
        }
        prop_assert!(tries == 1 || asked == Some(Duration::ZERO));
        hides_key(&error, KEY)
    });
}
