//! Proves the tutorial end to end over HTTP: every request of each step, and what the step reads from
//! the answers.
#![allow(clippy::too_many_lines, unreachable_pub, reason = "tables; a test crate exports nothing")]

mod insights;
mod keys;
mod persons;
mod projects;
mod queries;
#[path = "../support/standin.rs"]
mod standin;

use posthog_api::Error;
use serde_json::Value;
use standin::{KEY, Request, StandIn, recordings};

/// The one request since the last look, whole.
#[track_caller]
fn one_sent(standin: &StandIn) -> String {
    let sent = all_sent(standin);
    assert_eq!(sent.len(), 1, "{sent:#?}");
    sent.into_iter().next().unwrap()
}

/// Every request since the last look, whole.
fn all_sent(standin: &StandIn) -> Vec<String> {
    standin.take_requests().iter().map(|request| whole(request, &standin.url())).collect()
}

/// A recorded answer of the server of 2023.
fn recorded(name: &str) -> Value {
    serde_json::from_slice(&recordings::one("2023", name).body).unwrap()
}

#[track_caller]
fn config<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(error) if error.kind() == posthog_api::ErrorKind::Config => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// A request in one text: its line, its headers by name, its body. `Host` is checked here and left out,
/// since its port differs each time.
fn whole(request: &Request, url: &str) -> String {
    let headers = request.headers.iter();
    let mut headers: Vec<String> =
        headers.map(|(name, value)| format!("{}: {value}\n", name.to_lowercase())).collect();
    let host = format!("host: {}\n", url.trim_start_matches("http://"));
    let count = headers.len();
    headers.retain(|header| *header != host);
    assert_eq!(headers.len() + 1, count, "one Host, {host:?}: {request:?}");
    headers.sort();
    let body = std::str::from_utf8(&request.body).unwrap();
    format!("{} {}\n{}\n{body}", request.method, request.target, headers.concat())
}

/// The text of a GET with the key in the header.
fn get(target: &str) -> String {
    expected("GET", target, true, "")
}

/// The text of a POST with the key in the header.
fn post(target: &str, body: &str) -> String {
    expected("POST", target, true, body)
}

/// The text of a request, as [`whole`] writes it.
fn expected(method: &str, target: &str, bearer: bool, body: &str) -> String {
    let mut headers = vec!["accept: application/json".to_owned()];
    if cfg!(feature = "gzip") {
        headers.push("accept-encoding: gzip".to_owned());
    }
    if bearer {
        headers.push(format!("authorization: Bearer {KEY}"));
    }
    if !body.is_empty() {
        headers.push(format!("content-length: {}", body.len()));
        headers.push("content-type: application/json".to_owned());
    }
    headers.push(concat!("user-agent: posthog-api/", env!("CARGO_PKG_VERSION")).to_owned());
    // As `whole` sorts them, with their line ends.
    let mut lines: Vec<String> = headers.iter().map(|header| format!("{header}\n")).collect();
    lines.sort();
    format!("{method} {target}\n{}\n{body}", lines.concat())
}
