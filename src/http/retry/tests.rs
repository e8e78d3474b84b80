use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

fn first(policy: &RetryPolicy, outcome: Outcome, repeatable: bool) -> Decision {
    decide(policy, &mut Spent::default(), outcome, repeatable, 1.0)
}

#[test]
fn each_outcome_is_retried_or_not() {
    let policy = RetryPolicy::default();
    let wait = Decision::Wait(FIRST_WAIT);
    for (outcome, get, post) in [
        (Outcome::Status(429, None), wait, wait),
        (Outcome::Unconnected, wait, wait),
        (Outcome::Stale, Decision::Again, Decision::Fail),
        (Outcome::Broken, wait, Decision::Fail),
        (Outcome::Final, Decision::Fail, Decision::Fail),
    ] {
        assert_eq!(first(&policy, outcome, true), get, "{outcome:?}");
        assert_eq!(first(&policy, outcome, false), post, "{outcome:?}");
    }
    for status in 300..600 {
        let again = matches!(status, 408 | 429 | 500 | 502 | 503 | 520..=523 | 525..=527 | 530);
        let got = first(&policy, Outcome::Status(status, None), true);
        assert_eq!(got, if again { wait } else { Decision::Fail }, "{status}");
    }
}

#[test]
fn a_500_is_retried_once_whether_or_not_it_asks_for_a_wait() {
    for asked in [None, Some(S(0))] {
        let policy = RetryPolicy::default();
        let mut spent = Spent::default();
        let mut next = |status| {
            let outcome = Outcome::Status(status, asked);
            decide(&policy, &mut spent, outcome, true, 1.0) != Decision::Fail
        };
        assert_eq!([500, 502, 500].map(&mut next), [true, true, false], "{asked:?}");
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
            decide(&long, &mut spent, Outcome::Broken, true, jitter)
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
        let outcome = Outcome::Status(429, Some(S(asked)));
        assert_eq!(decide(&policy, &mut spent, outcome, false, 0.5), decision, "{asked}");
        let counted = u32::from(decision != Decision::Fail);
        assert_eq!(spent.retries, retries + counted, "{asked}");
    }
    assert_eq!(first(&RetryPolicy::none(), Outcome::Unconnected, true), Decision::Fail);
    let hour = Outcome::Status(429, Some(S(3600)));
    assert_eq!(first(&RetryPolicy::patient(), hour, false), Decision::Wait(S(3600)));
}

#[test]
fn the_wait_is_read_from_the_header() {
    const NOW: u64 = 784_111_777; // 06 Nov 1994 08:49:37
    for (header, wait) in [
        (Some("46"), Some(46)),
        (Some(" 0 "), Some(0)),
        (Some("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30)),
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
