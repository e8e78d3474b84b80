//! A server that misbehaves by script, clients with short limits, and one place that looks for the key in all that they say.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test uses a part of it")]

mod act;
pub mod expect;
mod key;
mod server;
pub mod tls;
mod waits;

pub use act::{Act, End, REQUEST_ID, chunk, gzip};
pub use key::{KEY, Way, check_error, check_event, shows_key};
pub use server::{Request, Server, decode};
pub use waits::{Wait, Waits, watched};

use posthog_api::{Client, ClientBuilder, Error, Result, RetryPolicy, ureq};
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// An address of this machine that refuses connections: no server has port 1.
pub const REFUSED: &str = "http://127.0.0.1:1";

/// The timeout of a [`hasty`] client.
pub const TIMEOUT: Duration = Duration::from_millis(400);

/// What a call of a [`hasty`] client may take in all: its answer begins within one timeout and ends within another, and the
/// machine may be busy.
pub const SLOW: Duration = Duration::from_millis(2_500);

/// What a call may take that has nothing to wait for, on a busy machine.
pub const AT_ONCE: Duration = Duration::from_secs(8);

/// An agent that no proxy of the environment gets hold of.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().proxy(None).build().new_agent()
}

/// A client of `url` without retries. Its timeouts are there for a server that hangs against the script.
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

/// A client that waits for nothing longer than [`TIMEOUT`].
pub fn hasty(server: &Server) -> Client {
    let builder = builder(server.url()).timeout(TIMEOUT);
    builder.connect_timeout(TIMEOUT).build().unwrap()
}

/// A client with this many retries.
pub fn trying(server: &Server, retries: u32) -> Client {
    let policy = RetryPolicy::default().max_retries(retries);
    builder(server.url()).retry(policy).build().unwrap()
}

/// The error of a call that must fail, looked over.
#[track_caller]
pub fn error<T: Debug>(result: Result<T>) -> Error {
    match result {
        Err(error) => seen(error),
        Ok(value) => panic!("no error, but {value:?}"),
    }
}

/// The same in a table, by the name of its row.
#[track_caller]
pub fn error_in<T: Debug>(row: &str, result: Result<T>) -> Error {
    match result {
        Err(error) => seen(error),
        Ok(value) => panic!("{row}: no error, but {value:?}"),
    }
}

/// The error, looked over: every error of these tests goes through here.
#[track_caller]
pub fn seen(error: Error) -> Error {
    check_error(&error);
    error
}

/// Runs `f`, which must be done within `limit`.
#[track_caller]
pub fn within<T>(limit: Duration, f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = f();
    let took = start.elapsed();
    assert!(took <= limit, "it took {took:?}, {limit:?} at most");
    out
}

/// Runs `test` for every row at once, each on a thread of its own: rows that wait, wait together.
pub fn together<R: Send>(rows: impl IntoIterator<Item = R>, test: impl Fn(R) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        for row in rows {
            scope.spawn(move || test(row));
        }
    });
}
