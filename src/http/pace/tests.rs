use super::*;

#[test]
fn no_minute_has_more_requests_than_the_pace_allows() {
    for n in [1, 60, 240, 7_000] {
        let pace = Pace::per_minute(n);
        let start = Instant::now();
        // When each request may be sent, were nobody to wait for it.
        let sent = || start.elapsed() + pace.take(None).unwrap();
        let times: Vec<Duration> = (0..3 * n).map(|_| sent()).collect();
        let minute = Duration::from_secs(60);
        for (first, next) in times.iter().zip(times.iter().skip(n as usize)) {
            assert!(*next > *first + minute, "{n}: {first:?} {next:?}");
        }
    }
}

#[test]
fn a_wait_that_does_not_fit_takes_no_time_of_others() {
    let pace = Pace::per_minute(60);
    assert!(pace.take(None).unwrap().is_zero());
    for _ in 0..100 {
        assert_eq!(pace.take(Some(Duration::from_secs(1))), None);
    }
    assert!(pace.take(None).unwrap() < Duration::from_millis(1_017));
}
