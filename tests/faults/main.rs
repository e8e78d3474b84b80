//! Proves that nothing wrong, nothing leaking and nothing hanging comes out of a server that misbehaves.
#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops with a panic"
)]

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
