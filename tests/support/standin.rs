//! The stand-in, and clients of it.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test uses a part of it")]

pub use stand_in::*;

use posthog_api::{Client, ClientBuilder, RetryPolicy, ureq};

/// A client of the server at `url`: no proxy, no retries.
pub fn client_builder(url: &str) -> ClientBuilder {
    builder_with_key(KEY, url)
}

/// The same with another key.
pub fn builder_with_key(key: &str, url: &str) -> ClientBuilder {
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    Client::builder(key).host(url).agent(agent).retry(RetryPolicy::none())
}

pub fn client(url: &str) -> Client {
    client_builder(url).build().unwrap()
}
