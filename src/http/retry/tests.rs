use super::*;
use ErrorKind as K;

const S: fn(u64) -> Duration = Duration::from_secs;

fn first(policy: &RetryPolicy, error: &Error, stale: bool, repeatable: bool) -> Decision {
    decide(policy, &mut Spent::default(), error, stale, repeatable, 1.0)
}

fn kind(kind: ErrorKind) -> Error {
    Error::new(kind, "x")
}

fn status(status: u16) -> Error {
    Error::from_answer(status, "")
}

fn asks_for(status: u16, seconds: u64) -> Error {
    let detail = format!(r#"{{"detail":"Expected available in {seconds} seconds."}}"#);
    Error::from_answer(status, detail)
}

#[test]
fn each_failure_is_retried_or_not() {
    let policy = RetryPolicy::default();
    let wait = Decision::Wait(FIRST_WAIT);
    for (error, stale, get, post) in [
        (status(429), false, wait, wait),
        (kind(K::Dns), false, wait, wait),
        (kind(K::Connect), false, wait, wait),
        (kind(K::Connect).done(true), false, wait, Decision::Fail),
        (kind(K::Proxy), false, wait, wait),
        (kind(K::Broken).done(true), false, wait, Decision::Fail),
        (kind(K::Broken).done(true), true, Decision::Again, Decision::Fail),
        (kind(K::Timeout), false, Decision::Fail, Decision::Fail),
        (kind(K::Tls), false, Decision::Fail, Decision::Fail),
        (kind(K::NotHttp), false, Decision::Fail, Decision::Fail),
        (kind(K::Config), false, Decision::Fail, Decision::Fail),
        (kind(K::Decode), false, Decision::Fail, Decision::Fail),
        (kind(K::TooLarge), false, Decision::Fail, Decision::Fail),
    ] {
        assert_eq!(first(&policy, &error, stale, true), get, "{:?}", error.kind());
        assert_eq!(first(&policy, &error, stale, false), post, "{:?}", error.kind());
    }
    for code in 300..600 {
        let again = matches!(code, 408 | 429 | 500 | 502 | 503 | 520..=523 | 525..=527 | 530);
        let got = first(&policy, &status(code), false, true);
        assert_eq!(got, if again { wait } else { Decision::Fail }, "{code}");
        let got = first(&policy, &status(code), false, false);
        assert_eq!(got, if code == 429 { wait } else { Decision::Fail }, "{code}");
    }
}

#[test]
fn a_500_is_retried_once_whether_or_not_it_asks_for_a_wait() {
    for asks in [false, true] {
        let policy = RetryPolicy::default();
        let mut spent = Spent::default();
        let mut next = |code| {
            let error = if asks { asks_for(code, 0) } else { status(code) };
            decide(&policy, &mut spent, &error, false, true, 1.0) != Decision::Fail
        };
        assert_eq!([500, 502, 500].map(&mut next), [true, true, false], "{asks}");
    }
}

#[test]
fn waits_double_and_end_with_the_policy() {
    let long = RetryPolicy::default().max_retries(20).max_wait(S(1000));
    for (retries, ms) in
        [(0, 500), (1, 1000), (2, 2000), (3, 4000), (4, 8000), (5, 8000), (19, 8000)]
    {
        let wait = |jitter| {
            let mut spent = Spent { retries, ..Spent::default() };
            decide(&long, &mut spent, &kind(ErrorKind::Broken), false, true, jitter)
        };
        assert_eq!(wait(1.0), Decision::Wait(Duration::from_millis(ms)));
        assert_eq!(wait(0.0), Decision::Wait(Duration::from_millis(ms / 2)));
    }
    let policy = RetryPolicy::default();
    for (retries, waited, asked, decision) in [
        (0, 0, 60, Decision::Wait(S(60))),
        (0, 0, 61, Decision::Fail),
        (1, 50, 11, Decision::Fail),
        (1, 50, 10, Decision::Wait(S(10))),
        (2, 60, 0, Decision::Wait(S(0))),
        (3, 0, 0, Decision::Fail),
        (0, 0, u64::MAX, Decision::Fail),
    ] {
        let mut spent = Spent { retries, waited: S(waited), ..Spent::default() };
        let error = asks_for(429, asked);
        assert_eq!(decide(&policy, &mut spent, &error, false, false, 0.5), decision, "{asked}");
        let counted = u32::from(decision != Decision::Fail);
        assert_eq!(spent.retries, retries + counted, "{asked}");
    }
    let (none, patient) = (RetryPolicy::none(), RetryPolicy::patient());
    assert_eq!(first(&none, &kind(ErrorKind::Connect), false, true), Decision::Fail);
    assert_eq!(first(&patient, &asks_for(429, 3600), false, false), Decision::Wait(S(3600)));
}

#[test]
fn the_wait_is_read_from_the_header() {
    const NOW: u64 = 784_111_777; // 06 Nov 1994 08:49:37
    for (header, wait) in [
        (Some("46"), Some(46)),
        (Some(" 0 "), Some(0)),
        (Some("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30)),
        (Some("Sun, 6 Nov 1994 08:50:07 GMT"), Some(30)),
        (Some("Sat, 05 Nov 1994 08:50:07 GMT"), Some(0)),
        (Some("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400 - NOW)),
        (Some("Sun, 06 Nov 1994 08:50:07 CET"), None),
        (Some("Sun, 06 Nov 1994"), None),
        (Some("-5"), None),
        (Some("soon"), None),
        (Some("99999999999999999999999"), None),
        (None, None),
    ] {
        assert_eq!(retry_after(header, NOW), wait.map(S), "{header:?}");
    }
}
