//! Proves that what a caller asks for goes out as it should, and that the answer comes back whole.
#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../standin/mod.rs"]
mod standin;
#[path = "../support/mod.rs"]
mod support;
mod wire;

mod client;
mod filters;
mod lists;
mod pace;
mod params;
mod prefetch;
mod queries;
mod readers;
mod requests;
mod routes;
mod scans;
