//! Work of a caller: a fixed number of steps on the processor, so that it takes the same cpu time
//! in every run, also where other programs use the processor.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Works for this many steps.
pub(crate) fn work(steps: u64) {
    black_box((0..steps).fold(1, |hash: u64, step| {
        (hash ^ black_box(step)).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(5)
    }));
}

/// How many steps take about this long: of several measurements the fastest counts, because other
/// programs can only make one slower.
pub(crate) fn steps(time: Duration) -> u64 {
    const STEPS: u64 = 1_000_000;
    let measure = || {
        let start = Instant::now();
        work(STEPS);
        start.elapsed().as_nanos()
    };
    let fastest = (0..20).map(|_| measure()).min().unwrap_or(1).max(1);
    u64::try_from(time.as_nanos() * u128::from(STEPS) / fastest).unwrap_or(u64::MAX)
}
