//! Proves that nothing wrong, nothing leaking and nothing hanging comes out of a server that misbehaves.
#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod background;
mod environment;
mod input;
mod lists;
mod redirects;
mod retry;
mod statuses;
mod tls;
mod transport;
