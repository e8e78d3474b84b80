//! What all tests share: one scripted server, clients with short limits, checks of errors, and a
//! search for the key in everything that is sent or shown.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test uses a part of it")]

mod act;
pub mod expect;
mod key;
mod server;
pub mod tls;
mod waits;

pub use act::{Act, End, REQUEST_ID, chunk, gzip};
pub use http_server::{Request, decode};
pub use key::{KEY, Way, check_error, check_event, shows_key};
pub use server::Server;
pub use waits::{Wait, Waits, watched};

use posthog_api::{Client, ClientBuilder, Error, Result, RetryPolicy, ureq};
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// An address of this machine that refuses connections: no server uses port 1.
pub const REFUSED: &str = "http://127.0.0.1:1";

/// The timeout of a [`hasty`] client.
pub const TIMEOUT: Duration = Duration::from_millis(400);

/// The longest time of a call of a [`hasty`] client: one timeout for the header, one for the body,
/// and some time for a busy machine.
pub const SLOW: Duration = Duration::from_millis(2_500);

/// The longest time of a call that waits for nothing, on a busy machine.
pub const AT_ONCE: Duration = Duration::from_secs(8);

/// An agent that ignores the proxies of the environment.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().proxy(None).build().new_agent()
}

/// A client of `url` without retries. Its timeouts end a test whose server hangs.
pub fn builder(url: impl Into<String>) -> ClientBuilder {
    Client::builder(KEY)
        .host(url)
        .timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(5))
        .retry(RetryPolicy::none())
        .on_retry(check_event)
        .agent(agent())
}

pub fn client(server: &Server) -> Client {
    builder(server.url()).build().unwrap()
}

/// A client whose timeouts are [`TIMEOUT`].
pub fn hasty(server: &Server) -> Client {
    let builder = builder(server.url()).timeout(TIMEOUT);
    builder.connect_timeout(TIMEOUT).build().unwrap()
}

/// A client with this many retries.
pub fn trying(server: &Server, retries: u32) -> Client {
    let policy = RetryPolicy::default().max_retries(retries);
    builder(server.url()).retry(policy).build().unwrap()
}

/// The error of a call that must fail, searched for the key.
#[track_caller]
pub fn error<T: Debug>(result: Result<T>) -> Error {
    match result {
        Err(error) => seen(error),
        Ok(value) => panic!("no error, but {value:?}"),
    }
}

/// Like [`error`], for a row of a table.
#[track_caller]
pub fn error_in<T: Debug>(row: &str, result: Result<T>) -> Error {
    match result {
        Err(error) => seen(error),
        Ok(value) => panic!("{row}: no error, but {value:?}"),
    }
}

/// Searches an error for the key. Every error of these tests goes through this function.
#[track_caller]
pub fn seen(error: Error) -> Error {
    check_error(&error);
    error
}

/// Runs `f`, which must return within `limit`.
#[track_caller]
pub fn within<T>(limit: Duration, f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = f();
    let took = start.elapsed();
    assert!(took <= limit, "it took {took:?}, {limit:?} at most");
    out
}

/// Runs `test` for all rows at the same time, each on its own thread, so that their waits overlap.
pub fn together<R: Send>(rows: impl IntoIterator<Item = R>, test: impl Fn(R) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        for row in rows {
            scope.spawn(move || test(row));
        }
    });
}
