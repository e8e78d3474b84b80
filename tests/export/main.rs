//! Proves that scans and events return each row once, on servers that reduce a LIMIT, are slow, or
//! send large pages.
#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../support/mod.rs"]
mod support;

mod model;
mod stored;

mod events;
mod pages;
mod scan;
