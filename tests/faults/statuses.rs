//! Proves that an error status is an error with everything the answer said, and without the key.
use crate::support::expect::{api, transport};
use crate::support::{
    AT_ONCE, Act, End, KEY, REQUEST_ID, SLOW, Server, builder, client, error, error_in, hasty,
    together, within,
};
use posthog_api::{Error, RetryPolicy};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};

/// Every status of the API and of the proxies before it, with PostHog's type and code.
const STATUSES: [(u16, &str, &str); 30] = [
    (300, "", ""),
    (304, "", ""),
    (400, "validation_error", "invalid_input"),
    (401, "authentication_error", "not_authenticated"),
    (402, "server_error", "payment_required"),
    (403, "authentication_error", "permission_denied"),
    (404, "invalid_request", "not_found"),
    (405, "invalid_request", "method_not_allowed"),
    (406, "invalid_request", "not_acceptable"),
    (408, "", ""),
    (409, "server_error", "conflict"),
    (410, "", ""),
    (413, "client_error", "request_too_large"),
    (414, "", ""),
    (415, "invalid_request", "unsupported_media_type"),
    (418, "", ""),
    (422, "validation_error", "invalid_input"),
    (429, "throttled_error", "throttled"),
    (431, "", ""),
    (451, "", ""),
    (500, "server_error", "error"),
    (501, "", ""),
    (502, "", ""),
    (503, "server_error", "error"),
    (504, "server_error", "error"),
    (512, "server_error", "error"),
    (520, "", ""),
    (527, "", ""),
    (530, "", ""),
    (599, "", ""),
];

/// One call for each status, with one server.
fn each(spoil: impl Fn(Act, &str, &str) -> Act, check: impl Fn(u16, &str, &str, &Error)) {
    for (status, kind, code) in STATUSES {
        let server = Server::script([spoil(Act::status(status), kind, code)]);
        let request = client(&server).get("/api/x/").param("a", "b");
        let failed = error_in(&status.to_string(), request.send());
        assert_eq!(failed.status(), Some(status));
        let got = api(&failed);
        assert_eq!(
            (got.status(), got.call(), got.request_id()),
            (Some(status), Some(("GET", "/api/x/")), Some(REQUEST_ID))
        );
        assert!(failed.to_string().starts_with(&format!("GET /api/x/: {status}")), "{failed}");
        check(status, kind, code, &failed);
        // A script of one act: nothing was retried.
        assert_eq!(server.count(), 1);
    }
}

#[test]
fn each_error_status_is_read_with_posthogs_json() {
    each(
        |act, kind, code| {
            let body = json!({"type": kind, "code": code, "detail": "Why.", "attr": "a__b"});
            act.body("application/json", body.to_string())
        },
        |status, kind, code, failed| {
            if status == 304 {
                return; // has no body, whatever it says
            }
            let got = api(failed);
            assert_eq!((got.error_type(), got.code()), (Some(kind), Some(code)), "{status}");
            assert_eq!((got.detail(), got.attr()), (Some("Why."), Some("a__b")), "{status}");
            let line = failed.to_string();
            assert!(line.contains(code) && line.contains("Why"), "{line}");
            assert!(format!("{failed:#}").contains("\n{"), "{failed:#}");
        },
    );
}

#[test]
fn each_error_status_is_read_with_html() {
    let page =
        "<html>\r\n<head><title>Attention Required! | Cloudflare</title></head>\r\n</html>\r\n";
    each(
        |act, _, _| act.body("text/html", page),
        |status, _, _, failed| {
            let got = api(failed);
            let none = (got.error_type(), got.code(), got.detail(), got.attr());
            assert_eq!(none, (None, None, None, None), "{status}");
            if status != 304 {
                assert_eq!(got.body(), Some(page), "{status}");
                assert!(failed.to_string().contains("Attention"), "{failed}");
            }
        },
    );
}

#[test]
fn each_error_status_is_read_without_a_body() {
    each(
        |act, _, _| act,
        |status, _, _, failed| {
            let got = api(failed);
            let none = (got.error_type(), got.code(), got.detail(), got.attr());
            assert_eq!((none, got.body()), ((None, None, None, None), Some("")), "{status}");
        },
    );
}

#[test]
fn each_error_status_is_read_with_other_json() {
    each(
        |act, _, _| act.body("application/json", r#"{"success": false, "message": "Oh."}"#),
        |status, _, _, failed| {
            let got = api(failed);
            assert_eq!((got.error_type(), got.code()), (None, None), "{status}");
            assert_eq!(got.detail(), (status != 304).then_some("Oh."), "{status}");
        },
    );
}

#[test]
fn every_shape_of_an_error_body_is_read() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    for (name, body, detail) in [
        ("detail alone", r#"{"detail": "a"}"#, Some("a")),
        ("detail null", r#"{"detail": null, "error": "b"}"#, Some("b")),
        ("an empty detail", r#"{"detail": ""}"#, Some("")),
        ("another name for it", r#"{"success": false, "message": "No"}"#, Some("No")),
        (
            "the status of a query",
            r#"{"query_status": {"error": true, "error_message": "Too slow"}}"#,
            Some("Too slow"),
        ),
        ("detail a list", r#"{"detail": ["a", "b"]}"#, None),
        ("detail an object", r#"{"detail": {"x": ["a"]}}"#, None),
        ("detail a number", r#"{"detail": 7}"#, None),
        ("type and code no strings", r#"{"type": 1, "code": [2], "detail": "a"}"#, Some("a")),
        ("a list", r#"["a"]"#, None),
        ("a string", r#""a""#, None),
        ("a number", "7", None),
        ("null", "null", None),
        ("truncated", r#"{"detail": "a"#, None),
        ("too deep", &deep, None),
        ("a line end in the detail", r#"{"detail": "a\r\nb\u001b[31m"}"#, Some("a\r\nb\u{1b}[31m")),
        ("bad names", r#"{"\u0000": 1, "": 2}"#, None),
    ] {
        let server = Server::script([Act::status(400).body("application/json", body)]);
        let failed = error_in(name, client(&server).me());
        assert_eq!(api(&failed).detail(), detail, "{name}");
        assert_eq!(api(&failed).body(), Some(body), "{name}");
        assert!(!failed.to_string().contains(['\r', '\u{1b}']), "{name}");
    }
}

#[test]
fn a_bad_key_and_a_missing_scope_are_told_apart_by_the_code() {
    for (name, status, code, unauthenticated, denied) in [
        ("no key", 401, "not_authenticated", true, false),
        ("a wrong key", 401, "authentication_failed", true, false),
        ("a wrong key under 403", 403, "authentication_failed", true, false),
        ("no key under 403", 403, "not_authenticated", true, false),
        ("no scope", 403, "permission_denied", false, true),
        ("a gateway's 403", 403, "", false, true),
        ("a gateway's 401", 401, "", true, false),
        ("throttled", 429, "throttled", false, false),
        ("not there", 404, "not_found", false, false),
    ] {
        let act = Act::error(status, "authentication_error", code, "x");
        let server = Server::script([act]);
        let failed = error_in(name, client(&server).me());
        assert_eq!(
            (
                failed.kind() == posthog_api::ErrorKind::Unauthenticated,
                failed.kind() == posthog_api::ErrorKind::PermissionDenied
            ),
            (unauthenticated, denied),
            "{name}"
        );
        assert_eq!(failed.kind() == posthog_api::ErrorKind::NotFound, status == 404, "{name}");
        assert_eq!(failed.kind() == posthog_api::ErrorKind::RateLimited, status == 429, "{name}");
        assert!(failed.kind() != posthog_api::ErrorKind::Timeout, "{name}");
    }
}

#[test]
fn an_unknown_status_is_an_error() {
    for status in [600, 799, 999] {
        let server = Server::script([Act::status(status)]);
        let failed = error(client(&server).me());
        assert_eq!(api(&failed).status(), Some(status));
    }
    let server = Server::script([Act::raw("HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n")]);
    transport(&error(client(&server).me()));
}

#[test]
fn a_switch_to_another_protocol_is_an_error_at_once() {
    let server =
        Server::script([
            Act::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").then(End::Silence)
        ]);
    let failed = within(SLOW, || error(hasty(&server).me()));
    assert_eq!(api(&failed).status(), Some(101));
}

#[test]
fn an_error_status_is_kept_when_its_body_fails() {
    let bad = |status| Act::status(status).body("application/json", r#"{"detail": "Why."}"#);
    let rows = [
        ("cut", bad(400).cut(3), r#"{"detail": "Why"#),
        ("cut in chunks", bad(400).chunked().cut(8), r#"{"detail": "W"#),
        ("reset", bad(404).cut(3).then(End::Reset), r#"{"detail": "Why"#),
        ("silent", bad(403).cut(3).then(End::Silence), r#"{"detail": "Why"#),
        ("never begun", bad(402).header_only().then(End::Silence), ""),
        ("bad UTF-8", Act::status(500).body("text/html", b"caf\xe9".to_vec()), "caf\u{fffd}"),
        (
            "gzip that is none",
            Act::status(502).body("text/html", "<p>").header("Content-Encoding", "gzip"),
            "",
        ),
    ];
    together(rows, |(name, act, body)| {
        let server = Server::script([act]);
        let failed = within(SLOW, || error_in(name, hasty(&server).me()));
        let got = api(&failed).body().unwrap();
        if name == "cut in chunks" {
            assert!(got.starts_with(r#"{"det"#), "{name}: {got}");
        } else {
            assert_eq!(got, body, "{name}");
        }
        assert_eq!(api(&failed).request_id(), Some(REQUEST_ID), "{name}");
    });
}

#[test]
fn an_error_keeps_64_kib_of_its_body() {
    for (name, act) in [
        ("long", Act::status(500).body("text/html", "x".repeat(3_000_000))),
        ("long and compressed", Act::status(500).body("text/html", "x".repeat(3_000_000)).gzip()),
        ("endless", Act::raw("HTTP/1.1 500 No\r\n\r\n").repeat("x".repeat(8192), u64::MAX)),
        ("exactly so long", Act::status(500).body("text/html", "x".repeat(65_536))),
    ] {
        let server = Server::script([act]);
        let failed = within(AT_ONCE, || error_in(name, client(&server).me()));
        assert_eq!(api(&failed).body().unwrap().len(), 65_536, "{name}");
        assert!(server.sent() < 40 << 20, "{name}: {}", server.sent());
    }
}

#[test]
fn the_call_after_an_error_gets_its_own_answer() {
    for (name, act) in [
        ("short", Act::status(500).body("text/html", "x")),
        ("long", Act::status(500).body("text/html", "x".repeat(3_000_000))),
        ("cut", Act::status(500).body("text/html", "x").length(9).then(End::Close)),
        ("empty", Act::status(404)),
    ] {
        let server = Server::script([act, Act::json(200, &json!({"second": true}))]);
        let client = client(&server);
        error_in(name, client.me());
        assert_eq!(client.me().unwrap(), json!({"second": true}), "{name}");
    }
}

#[test]
fn the_connection_is_kept_after_an_error_status() {
    let acts =
        (0..20).map(|n| Act::error(400, "validation_error", "invalid_input", &n.to_string()));
    let server = Server::script(acts);
    let client = client(&server);
    for n in 0..20 {
        let failed = error(client.me());
        assert_eq!(api(&failed).detail(), Some(n.to_string().as_str()));
    }
    assert_eq!(server.connections(), 1);
}

/// The wait that a 429 demands, as the caller reads it when there is no retry.
#[test]
fn retry_after_is_read_in_every_form() {
    let date = |ahead: i64| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        http_date(now.as_secs().checked_add_signed(ahead).unwrap())
    };
    let seconds = |n| Some(Duration::from_secs(n));
    for (name, header, detail, wait) in [
        ("seconds", Some("46".to_owned()), "Slow down.", seconds(46)),
        ("an hour", Some("3593".to_owned()), "Slow down.", seconds(3593)),
        ("zero", Some("0".to_owned()), "Slow down.", seconds(0)),
        ("a date in an hour", Some(date(3600)), "Slow down.", seconds(3600)),
        ("a date that is past", Some(date(-60)), "Slow down.", seconds(0)),
        (
            "negative, a wait in the detail",
            Some("-5".to_owned()),
            "Expected available in 12 seconds.",
            seconds(12),
        ),
        (
            "garbage, a wait in the detail",
            Some("soon".to_owned()),
            "Expected available in 12 seconds.",
            seconds(12),
        ),
        ("garbage alone", Some("soon".to_owned()), "Slow down.", None),
        ("negative alone", Some("-5".to_owned()), "Slow down.", None),
        ("a fraction", Some("1.5".to_owned()), "Slow down.", None),
        ("empty", Some(String::new()), "Slow down.", None),
        ("over 64 bits", Some("99999999999999999999999".to_owned()), "Slow down.", None),
        ("the most of 64 bits", Some(u64::MAX.to_string()), "Slow down.", seconds(u64::MAX)),
        (
            "absent, a wait in the detail",
            None,
            "Request was throttled. Expected available in 1 second.",
            seconds(1),
        ),
        ("absent", None, "Request was throttled.", None),
    ] {
        let mut act = Act::error(429, "throttled_error", "throttled", detail);
        if let Some(header) = header {
            act = act.header("Retry-After", header);
        }
        let server = Server::script([act]);
        let failed = error_in(name, client(&server).me());
        assert!(failed.kind() == posthog_api::ErrorKind::RateLimited, "{name}");
        let (got, near) = (failed.retry_after(), name.starts_with("a date in"));
        if near {
            let got = got.unwrap();
            assert!(
                got <= wait.unwrap()
                    && got > wait.unwrap().checked_sub(Duration::from_secs(5)).unwrap(),
                "{got:?}"
            );
        } else {
            assert_eq!(got, wait, "{name}");
        }
        assert_eq!(api(&failed).retry_after(), got, "{name}");
    }
}

#[test]
fn a_wait_that_does_not_fit_fails_at_once_and_says_how_long() {
    for (name, wait, policy) in [
        ("an hour", "3600", RetryPolicy::default()),
        ("the most of 64 bits", &u64::MAX.to_string(), RetryPolicy::patient()),
        (
            "a second more than there is",
            "2",
            RetryPolicy::default().max_wait(Duration::from_secs(1)),
        ),
        (
            "anything where nothing may be waited",
            "1",
            RetryPolicy::default().max_wait(Duration::ZERO),
        ),
    ] {
        let act = Act::error(429, "throttled_error", "throttled", "Slow down.");
        let server = Server::script([act.header("Retry-After", wait)]);
        let client = builder(server.url()).retry(policy).build().unwrap();
        let start = Instant::now();
        let failed = error_in(name, client.me());
        assert!(start.elapsed() < Duration::from_millis(900), "{name}: it waited");
        let wait: u64 = wait.parse().unwrap();
        assert_eq!(failed.retry_after(), Some(Duration::from_secs(wait)), "{name}");
    }
}

#[test]
fn a_key_in_an_error_answer_is_not_shown() {
    let detail =
        format!("Personal API key {KEY} found in request Authorization header is invalid.");
    for (name, act) in [
        (
            "in the detail",
            Act::error(401, "authentication_error", "authentication_failed", &detail),
        ),
        ("in the code", Act::error(400, "x", KEY, "x")),
        ("in the type and attr", Act::json(400, &json!({"type": KEY, "attr": KEY}))),
        ("in a web page", Act::status(502).body("text/html", format!("<p>{KEY}</p>"))),
        (
            "in the header of the request, echoed",
            Act::status(500).body("text/plain", format!("authorization: Bearer {KEY}")),
        ),
        (
            "in the request id",
            Act::raw(format!(
                "HTTP/1.1 500 No\r\nX-Request-Id: {KEY}\r\nContent-Length: 0\r\n\r\n"
            )),
        ),
        ("in the reason", Act::raw(format!("HTTP/1.1 500 {KEY}\r\nContent-Length: 0\r\n\r\n"))),
    ] {
        let server = Server::script([act]);
        api(&error_in(name, client(&server).me()));
    }
}

#[test]
fn a_key_with_escaped_letters_in_an_answer_is_not_shown() {
    let body = format!("{{\"detail\": \"{}\"}}", escaped(KEY));
    let server = Server::script([Act::status(400).body("application/json", body)]);
    api(&error(client(&server).me()));
}

#[test]
fn a_key_cut_by_the_end_of_the_excerpt_is_not_shown() {
    let page = format!("<p>{}{KEY}", "x".repeat(64 * 1024 - 33));
    let server = Server::script([Act::status(502).body("text/html", page)]);
    api(&error(client(&server).me()));
}

#[test]
fn a_key_that_must_be_escaped_is_not_shown() {
    // Old keys can have any form. These have characters that JSON, a URL or both escape.
    for key in [r#"old"key\with/signs+and%percent"#, "old=key&with?signs#and;more"] {
        let errors = [
            Act::error(401, "x", "y", &format!("{key} is no key")),
            Act::status(500).body("text/plain", format!("x {key} x")),
            Act::status(500).body("text/plain", format!("?k={}", escape(key))),
            Act::status(500).body("text/plain", format!("?k={}", escape(key).to_ascii_lowercase())),
        ];
        for act in errors {
            // The error is searched here, because the key is not that of the other tests.
            let server = Server::script([act]);
            let client = posthog_api::Client::builder(key)
                .host(server.url())
                .retry(RetryPolicy::none())
                .agent(crate::support::agent());
            let failed = error(client.build().unwrap().me());
            for words in [
                failed.to_string(),
                format!("{failed:#}"),
                api(&failed).body().unwrap().to_owned(),
                api(&failed).detail().unwrap_or_default().to_owned(),
            ] {
                for form in [
                    "key\\with",
                    "key\\\\with",
                    "signs+and",
                    "signs%2Band",
                    "signs%2band",
                    "key&with",
                    "key%26with",
                ] {
                    assert!(!words.contains(form), "{form} in {words}");
                }
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

fn escaped(text: &str) -> String {
    text.bytes().map(|b| format!("\\u{b:04x}")).collect::<Vec<_>>().concat()
}

/// For example `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let leap = |y: u64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let names = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let weekdays = "ThuFriSatSunMonTueWed";
    let week = (days % 7) as usize * 3;
    format!(
        "{}, {:02} {} {year} {:02}:{:02}:{:02} GMT",
        &weekdays[week..week + 3],
        day + 1,
        &names[month * 3..month * 3 + 3],
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[test]
fn the_http_dates_of_these_tests_are_valid() {
    assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(http_date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
}

#[test]
fn an_error_can_be_cloned_and_sent_to_another_thread() {
    let server = Server::script([Act::error(404, "invalid_request", "not_found", "Gone.")]);
    let failed = error(client(&server).me());
    let copy = failed.clone();
    let line = std::thread::spawn(move || copy.to_string()).join().unwrap();
    assert_eq!(line, failed.to_string());
    let _: &dyn std::error::Error = &failed;
    let _: Value = json!(line);
}
