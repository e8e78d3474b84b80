use super::*;

#[test]
fn no_minute_has_more_requests_than_the_pace_allows() {
    for n in [1, 60, 240, 7_000] {
        let pace = Pace::per_minute(n);
        let start = Instant::now();
        let sent = || pace.take(None).unwrap() - start;
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
    let first = pace.take(None).unwrap();
    assert!(first <= Instant::now());
    for _ in 0..100 {
        assert_eq!(pace.take(Some(first + Duration::from_secs(1))), None);
    }
    assert_eq!(pace.take(None), Some(first + Duration::from_secs(61) / 60));
}
