//! Answers that a test writes itself, given over loopback, and requests as they were on the wire.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::format_push_string,
    reason = "each test uses a part of it"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use posthog_api::{Client, ClientBuilder, RetryPolicy, ureq};
use serde_json::Value;

use crate::standin::KEY;
use crate::standin::http::{Answer, Request, Server};

pub const USER_AGENT: &str = concat!("posthog-api/", env!("CARGO_PKG_VERSION"));

/// A client of that server that goes there directly, whatever proxy the environment names, and never tries again.
pub fn on(url: &str) -> ClientBuilder {
    Client::builder(KEY)
        .host(url)
        .agent(
            ureq::Agent::config_builder()
                .proxy(None)
                .build()
                .new_agent(),
        )
        .retry(RetryPolicy::none())
}

pub fn client(url: &str) -> Client {
    on(url).build().unwrap()
}

/// Gives its answers one after the other, whatever is asked; a request too many is a 500 that no test expects.
pub struct Script {
    server: Server,
    answers: usize,
}

impl Script {
    pub fn start(answers: Vec<Answer>) -> Script {
        let given = AtomicUsize::new(0);
        let count = answers.len();
        let server = Server::start(move |_| {
            let at = given.fetch_add(1, Ordering::SeqCst);
            let over = || {
                Answer::json(
                    500,
                    r#"{"detail":"a request that no answer was written for"}"#,
                )
            };
            answers.get(at).cloned().unwrap_or_else(over)
        });
        Script {
            server,
            answers: count,
        }
    }

    /// Answers 200 with each of these bodies.
    pub fn of(bodies: &[Value]) -> Script {
        Script::start(bodies.iter().map(ok).collect())
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn client(&self) -> Client {
        client(&self.url())
    }

    /// What was asked, once every answer was given.
    pub fn asked(&self) -> Vec<Request> {
        let requests = self.server.requests();
        assert_eq!(requests.len(), self.answers, "requests: {requests:#?}");
        requests
    }

    /// What was asked so far.
    pub fn so_far(&self) -> usize {
        self.server.requests().len()
    }

    /// Method and target of each request.
    pub fn lines(&self) -> Vec<String> {
        self.asked()
            .iter()
            .map(|r| format!("{} {}", r.method, r.target))
            .collect()
    }

    /// The one request that was made, whole.
    pub fn sent(&self) -> String {
        let asked = self.asked();
        assert_eq!(asked.len(), 1);
        sent(&asked[0], &self.url())
    }
}

pub fn ok(body: &Value) -> Answer {
    Answer::json(200, &body.to_string())
}

/// A request, whole: its line, its headers by name, its body. Only `Host` is checked here and left out: its port is another each time.
pub fn sent(request: &Request, url: &str) -> String {
    let mut headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{}: {value}\n", name.to_lowercase()))
        .collect();
    headers.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    let host = format!("host: {}\n", url.trim_start_matches("http://"));
    let before = headers.len();
    headers.retain(|header| *header != host);
    assert_eq!(headers.len() + 1, before, "one Host, {host:?}: {request:?}");
    let body = String::from_utf8(request.body.clone()).unwrap();
    let line = format!("{} {}\n", request.method, request.target);
    format!("{line}{}\n{body}", headers.concat())
}

/// A GET as it must be, whole, with the key as a bearer.
pub fn get(target: &str) -> String {
    whole("GET", target, true, "")
}

/// Any request as it must be, whole.
pub fn whole(method: &str, target: &str, bearer: bool, body: &str) -> String {
    let mut headers = String::from("accept: application/json\n");
    if cfg!(feature = "gzip") {
        headers += "accept-encoding: gzip\n";
    }
    if bearer {
        headers += &format!("authorization: Bearer {KEY}\n");
    }
    if !body.is_empty() || method != "GET" && method != "DELETE" {
        headers += &format!("content-length: {}\n", body.len());
    }
    if !body.is_empty() {
        headers += "content-type: application/json\n";
    }
    format!("{method} {target}\n{headers}user-agent: {USER_AGENT}\n\n{body}")
}
