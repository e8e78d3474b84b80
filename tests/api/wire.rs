//! Requests as they stand on the wire, and the answers that many tests here give.
use crate::support::{Act, KEY, Request, Server, error, expect};
use posthog_api::Result;
use serde_derive::Deserialize;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::ops::RangeInclusive;

/// A row of a list as a type.
#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
pub struct Thing {
    pub id: u64,
}

/// Rows with these ids.
pub fn ids(ids: RangeInclusive<u64>) -> Value {
    ids.map(|id| json!({"id": id})).collect()
}

pub fn ok(body: &Value) -> Act {
    Act::json(200, body)
}

/// This text with the content type of JSON.
pub fn json_text(status: u16, body: &str) -> Act {
    Act::status(status).body("application/json", body)
}

/// A server that answers every request with an empty list.
pub fn empty() -> Server {
    Server::start(|_, _| ok(&json!({"results": []})))
}

/// Why a call was refused before anything was sent.
#[track_caller]
pub fn refused<T: Debug>(result: Result<T>) -> String {
    expect::config(&error(result))
}

/// Every request since the last call of this function, as `METHOD target body`.
pub fn lines(server: &Server) -> Vec<String> {
    let line = |request: Request| {
        let body = String::from_utf8_lossy(&request.body);
        format!("{} {} {body}", request.method, request.target).trim_end().to_owned()
    };
    server.take_requests().into_iter().map(line).collect()
}

/// Method and target of each request, after the complete script was used.
#[track_caller]
pub fn targets(server: &Server) -> Vec<String> {
    let requests = server.all_requests();
    requests.iter().map(|r| format!("{} {}", r.method, r.target)).collect()
}

/// The only request to a script, as text.
#[track_caller]
pub fn sent(server: &Server) -> String {
    let requests = server.all_requests();
    assert_eq!(requests.len(), 1);
    whole_of(&requests[0])
}

/// A request as text: method, target, sorted headers, body. `Host` is left out: the server checks
/// it.
pub fn whole_of(request: &Request) -> String {
    let mut headers: Vec<(String, &str)> =
        request.headers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    let all = headers.len();
    headers.retain(|(name, _)| name != "host");
    assert_eq!(headers.len() + 1, all, "one Host: {request:?}");
    let headers: String =
        headers.iter().fold(String::new(), |all, (name, value)| all + name + ": " + value + "\n");
    let body = String::from_utf8(request.body.clone()).unwrap();
    format!("{} {}\n{headers}\n{body}", request.method, request.target)
}

/// The text that a GET with the key in its header must have.
pub fn get(target: &str) -> String {
    whole("GET", target, true, "")
}

/// The text that a request must have.
pub fn whole(method: &str, target: &str, bearer: bool, body: &str) -> String {
    let mut headers = vec!["accept: application/json".to_owned()];
    if cfg!(feature = "gzip") {
        headers.push("accept-encoding: gzip".to_owned());
    }
    if bearer {
        headers.push(format!("authorization: Bearer {KEY}"));
    }
    if !body.is_empty() || method != "GET" && method != "DELETE" {
        headers.push(format!("content-length: {}", body.len()));
    }
    if !body.is_empty() {
        headers.push("content-type: application/json".to_owned());
    }
    headers.push(concat!("user-agent: posthog-api/", env!("CARGO_PKG_VERSION")).to_owned());
    format!("{method} {target}\n{}\n\n{body}", headers.join("\n"))
}
