//! Proves, on generated input, that what a caller gives arrives as it was or is refused before
//! anything is sent, that what a server answers is read as it was written, and that nothing from
//! either side panics, hangs, shows the key or leads to another host.
//!
//! The servers are in this process, and the agents have a resolver that finds nothing else: no name
//! is looked up, whatever the input says. Every run has the same input; `PROPTEST_CASES=2560` runs
//! ten times as many cases, another ten times in each run.
#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../support/mod.rs"]
mod support;

mod generate;
mod home;
mod rules;

mod answers;
mod caller;
mod filters;
mod links;
mod lists;
mod masking;
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

/// Runs `case` on this many inputs, scaled by `PROPTEST_CASES`, and shows the smallest that fails.
fn check<S: Strategy>(cases: u32, inputs: &S, case: impl Fn(S::Value) -> TestCaseResult) {
    let defaults = Config::default();
    let config = Config {
        cases: u32::try_from(u64::from(cases) * u64::from(defaults.cases) / 256).unwrap(),
        failure_persistence: None,
        ..defaults
    };
    let mut runner = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    if let Err(failure) = runner.run(inputs, case) {
        panic!("{failure}");
    }
}

/// The same for input that a test makes of random choices.
fn vary(cases: u32, case: impl FnMut(&mut Random)) {
    let case = RefCell::new(case);
    check(cases, &generate::random(), |mut random| {
        case.borrow_mut()(&mut random);
        Ok(())
    });
}
