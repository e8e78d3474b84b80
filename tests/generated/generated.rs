//! Proves, on generated input, that what a caller gives arrives as it was or is refused before
//! anything is sent, that what a server answers is read as it was written, and that nothing from
//! either side panics, hangs, shows the key or leads to another host.
//!
//! The servers are in this process, and the agents have a resolver that finds nothing else: no name
//! is looked up, whatever the input says. Every run has the same input; `PROPTEST_CASES=640` runs
//! ten times as many cases, other ones in each run.
#![allow(unreachable_pub, reason = "a test exports nothing")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../export/model.rs"]
mod model;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../export/stored.rs"]
mod stored;
#[path = "../support/mod.rs"]
mod support;

mod generate;
mod home;
mod rules;

mod answers;
mod caller;
mod export;
mod filters;
mod links;
mod lists;
mod masking;
mod prefetch;
mod readers;
mod settings;
mod sql;
mod waits;

use generate::Random;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use std::cell::RefCell;

/// A key that must be escaped in a URL, in JSON and in `Debug`.
const KEY: &str = "phx_s3cret/+%7e\"\\key";

/// How much of `n`, which is for `PROPTEST_CASES=256`, this run has. Without the variable it is a
/// quarter: `cargo test` runs often.
fn share(n: u32) -> u32 {
    let given = std::env::var_os("PROPTEST_CASES").map(|_| Config::default().cases);
    u32::try_from(u64::from(n) * u64::from(given.unwrap_or(64)) / 256).unwrap()
}

/// Runs `case` on the share of this many inputs, and shows the smallest that fails. `seed`: the
/// input of a run without `PROPTEST_CASES`.
fn run<S: Strategy>(cases: u32, seed: u8, inputs: &S, case: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config {
        cases: share(cases).max(1),
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let mut runner = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => TestRunner::new(config),
        None => {
            TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
        }
    };
    if let Err(failure) = runner.run(inputs, case) {
        panic!("{failure}");
    }
}

fn check<S: Strategy>(cases: u32, inputs: &S, case: impl Fn(S::Value) -> TestCaseResult) {
    run(cases, 0, inputs, case);
}

/// The same with eight cases at a time, where a case waits for a server most of the time.
fn check_together<S: Strategy>(
    cases: u32,
    inputs: fn() -> S,
    case: impl Fn(S::Value) -> TestCaseResult + Sync,
) {
    const LANES: u8 = 8;
    support::together(0..LANES, |lane| run(cases / u32::from(LANES), lane, &inputs(), &case));
}

/// The same for input that a test makes of random choices.
fn vary(cases: u32, case: impl FnMut(&mut Random)) {
    let case = RefCell::new(case);
    check(cases, &generate::random(), |mut random| {
        case.borrow_mut()(&mut random);
        Ok(())
    });
}
