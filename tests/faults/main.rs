//! Proves that a misbehaving server causes an error: no wrong data, no leaked key, no hanging call.
#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod background;
mod bodies;
mod environment;
mod input;
mod lists;
mod pieces;
mod redirects;
mod retry;
mod rows;
mod sizes;
mod statuses;
mod tls;
mod transport;
mod waits;
