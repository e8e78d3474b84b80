//! Proves, on recorded and generated input that is changed at random, that nothing from a server or
//! a caller panics, hangs or shows the key, and that what is read is what a second, simpler reading
//! finds.
//!
//! Each target runs a fixed number of times with a fixed seed, so every run is the same. `FUZZ=100`
//! runs each of them 100 times as often. What a caller may give (hosts, paths, parameters), and lists
//! page by page, have their own tests: `properties` and `in_flight`.
#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../../support/mod.rs"]
mod support;

mod desk;
mod input;

mod answers;
mod decode;
mod filters;
mod links;
mod lists;
mod masking;
mod readers;
mod sql;
mod waits;

use input::Random;

/// Runs a target a third of this many times; `FUZZ=3` runs all of them, and larger numbers more. A
/// failure names its execution.
fn fuzz(executions: u64, mut target: impl FnMut(&mut Random)) {
    struct Execution(u64);
    impl Drop for Execution {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("in execution {}", self.0);
            }
        }
    }
    let times = std::env::var("FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    for number in 0..executions * times / 3 {
        let execution = Execution(number);
        target(&mut Random::new(number));
        drop(execution);
    }
}
