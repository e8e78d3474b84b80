//! Proves that no redirect and no `next` leads the key to another host, and that no `Retry-After`
//! makes a call wait too long.
use crate::KEY;
use crate::check;
use crate::generate::*;
use crate::home::{Home, answer, ok, raw};
use crate::rules::*;
use posthog_api::{Auth, RetryPolicy};
use proptest::prelude::{Strategy, any};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq, prop_oneof};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn any_location_is_followed_within_the_origin_or_is_an_error_without_the_key() {
    let server = Home::start();
    let client = [Auth::Bearer, Auth::Body, Auth::Query]
        .map(|auth| server.builder().auth(auth).build().unwrap());
    let below = server.builder().host(format!("{}/sub", server.url));
    let below = below.build().unwrap();
    let statuses = select(&[301, 302, 303, 307, 308][..]);
    let inputs = (statuses, link(&server), 0usize..4, any::<bool>());
    check(1_500, &inputs, |(status, location, way, get)| {
        let head = [b"Location: ", &location[..], b"\r\n"].concat();
        server.answers(vec![raw(status, &head, b""), raw(status, &head, b""), ok("1")]);
        let client = client.get(way).unwrap_or(&below);
        let outcome = if get {
            client.get("/api/x/").send()
        } else {
            client.post("/api/x/").json(json!({})).send()
        };
        if let Err(error) = &outcome {
            prop_assert!(
                [posthog_api::ErrorKind::Redirect, posthog_api::ErrorKind::Config]
                    .contains(&error.kind()),
                "{}",
                error
            );
            hides_key(error, KEY)?;
        }
        server.stayed_home()?;
        let seen = server.seen();
        prop_assert!(!seen.is_empty() && (outcome.is_err() || seen.len() == 3));
        if location.starts_with(b"http://evil.example/") {
            prop_assert!(outcome.is_err() && seen.len() == 1, "{:?}", seen);
        }
        for seen in seen {
            carries_key_only_as(way, &seen)?;
            prop_assert!(way != 3 || seen.target.starts_with("/sub/"), "{}", seen.target);
        }
        Ok(())
    });
}

#[test]
fn any_next_stays_on_the_path_of_the_list_or_is_an_error_without_the_key() {
    let server = Home::start();
    let client = [Auth::Bearer, Auth::Body, Auth::Query]
        .map(|auth| server.builder().auth(auth).build().unwrap());
    let next = prop_oneof![
        4 => link(&server).prop_map(|l| Value::from(String::from_utf8_lossy(&l).into_owned())),
        1 => any_json(),
    ];
    check(1_500, &(next, 0usize..3), |(next, way)| {
        server.answer(&ok(&json!({"results": [1, 2], "next": next}).to_string()));
        let list = client[way].list("/api/x/").param("a", "b");
        let mut rows = list.items().take(10).collect::<Vec<_>>();
        match rows.pop() {
            Some(Err(error)) => {
                prop_assert!(
                    [posthog_api::ErrorKind::Paging, posthog_api::ErrorKind::Config]
                        .contains(&error.kind()),
                    "{}",
                    error
                );
                hides_key(&error, KEY)?;
                prop_assert!(!next.is_null());
            }
            end => {
                prop_assert!(end.is_some() && next.is_null(), "it ended at {}", next);
                rows.extend(end);
            }
        }
        server.stayed_home()?;
        let seen = server.seen();
        // The second page has the same `next`, so there is no third.
        prop_assert!((1..=2).contains(&seen.len()), "{} pages", seen.len());
        prop_assert_eq!(rows.len(), 2 * seen.len());
        for seen in seen {
            prop_assert_eq!(seen.path(), "/api/x/");
            carries_key_only_as(way, &seen)?;
        }
        Ok(())
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
