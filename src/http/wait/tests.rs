use super::*;

#[test]
fn an_event_is_one_line() {
    let retry = |status| RetryEvent::Retry {
        method: "GET",
        path: "/api/x/".to_owned(),
        retry: 2,
        wait: Duration::from_millis(1_500),
        status,
        reason: "too\nmany".to_owned(),
    };
    let pace = RetryEvent::Pace {
        method: "GET",
        path: "/api/x/".to_owned(),
        wait: Duration::from_secs(3),
    };
    for (event, line) in [
        (retry(Some(429)), "GET /api/x/: retry 2 in 1.5s: 429: too many"),
        (retry(None), "GET /api/x/: retry 2 in 1.5s: too many"),
        (pace, "GET /api/x/: waits 3.0s for max_requests_per_minute"),
    ] {
        assert_eq!(event.to_string(), line);
    }
}
