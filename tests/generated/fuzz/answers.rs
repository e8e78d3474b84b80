//! Proves that recorded answers whose bytes are changed or cut anywhere are read, or are an error;
//! none panics, hangs or shows the key.
use crate::desk::{Desk, raw};
use crate::fuzz;
use crate::input::{change, recorded};
use crate::support::seen;

const TOKENS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    ":",
    " ",
    "\0",
    "é",
    "HTTP/1.0 ",
    "HTTP/9.9 ",
    "100 Continue\r\n\r\n",
    "204 No Content",
    "304 ",
    "302 Found\r\nLocation: /api/y/\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 18446744073709551615\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Content-Encoding: gzip\r\n",
    "ffffffffffffffff\r\n",
    "0\r\n\r\n",
    "Retry-After: 0\r\n",
    "Connection: close\r\n",
    "Content-Type: text/html\r\n",
    "Set-Cookie: a=b\r\n",
];

#[test]
fn a_recorded_answer_with_changed_bytes_is_read_or_is_an_error() {
    let desk = Desk::open();
    let client = desk.builder().max_body_bytes(1 << 20).build().unwrap();
    fuzz(600, |random| {
        let mut bytes = random.choose(recorded()).bytes();
        // The head is a small part of an answer, and the part that matters here.
        let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let body = bytes.split_off(if random.one_in(4) { bytes.len() } else { head });
        change(random, &mut bytes, TOKENS);
        bytes.extend(body);
        desk.lay([raw(&*bytes)]);
        let errors = match random.below(4) {
            0 => client.list("/api/x/").items().take(300).filter_map(Result::err).collect(),
            1 => Vec::from_iter(client.get("/api/x/").text().err()),
            2 => Vec::from_iter(client.project(1).hogql("select 1").rows().err()),
            _ => Vec::from_iter(client.get("/api/x/").send().err()),
        };
        for error in errors {
            assert!(
                seen(error).kind() != posthog_api::ErrorKind::Timeout,
                "it hangs: {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    });
}

#[test]
fn a_recorded_answer_that_is_cut_is_an_error() {
    let desk = Desk::open();
    let client = desk.client();
    let answers: Vec<_> = recorded()
        .iter()
        .filter(|answer| answer.has_header("content-length") && !answer.body.is_empty())
        .collect();
    assert!(answers.len() > 100, "{} answers", answers.len());
    fuzz(400, |random| {
        let answer = random.choose(&answers);
        let bytes = answer.bytes();
        let end = match random.below(3) {
            0 => random.below(answer.head.len()),
            1 => bytes.len() - 1,
            _ => answer.head.len() + random.below(answer.body.len()),
        };
        desk.lay([raw(&bytes[..end])]);
        let result = client.get("/api/x/").response().map(|response| response.status());
        let error = seen(result.unwrap_err());
        // Also where the status says that the call failed, the body is needed.
        assert!(error.kind() != posthog_api::ErrorKind::Timeout, "{error}");
    });
}
