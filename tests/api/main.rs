//! Proves that each call sends the right request, and reads the answer completely.
#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../support/standin.rs"]
mod standin;
#[path = "../support/mod.rs"]
mod support;
mod wire;

mod client;
mod cut;
mod filters;
mod insights;
mod lists;
mod pace;
mod params;
mod prefetch;
mod projects;
mod queries;
mod readers;
mod requests;
mod routes;
mod scans;
