//! Proves that what a server answers is read as it was written, or is an error without the key.
use crate::KEY;
use crate::check;
use crate::generate::*;
use crate::home::{Home, answer, ok};
use crate::rules::*;
use crate::support::{Act, End};
use posthog_api::Error;
use proptest::collection::vec;
use proptest::prelude::{Just, any};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq, prop_oneof};
use serde_json::Value;

#[test]
fn pages_are_read_as_they_were_written() {
    let server = Home::start();
    let client = server.client();
    let pages = vec(vec(spelled(false), 0..4), 1..4);
    check(400, &(pages, 0usize..3, any::<bool>()), |(pages, ahead, keyed)| {
        let bodies: Vec<String> = (0..pages.len())
            .map(|at| {
                let rows: Vec<&str> = pages[at].iter().map(|(text, _)| text.as_str()).collect();
                let rows = rows.join(" ,\n");
                let next = match at + 1 {
                    end if end == pages.len() => "null".to_owned(),
                    next => format!("\"http://internal:8000/api/x/?offset={next}\""),
                };
                if keyed || pages.len() > 1 {
                    format!(r#"{{"count":7,"a":[{rows}],"results":[{rows}],"next":{next}}}"#)
                } else {
                    format!("[{rows}]")
                }
            })
            .collect();
        server.pages(bodies.iter().map(|body| ok(body)).collect());
        let items = client.list("/api/x/").prefetch(ahead).items();
        let items: Vec<Value> = items.collect::<Result<_, _>>().unwrap();
        let written: Vec<Value> = pages.iter().flatten().map(|(_, v)| v.clone()).collect();
        prop_assert_eq!(&items, &written);
        // Prefetch may foresee pages beyond the last one, also of the list before.
        prop_assert!(server.seen().len() >= pages.len());
        // The same result with serde_json alone, and with one call.
        let alone = bodies.iter().flat_map(|body| match parsed(body) {
            Value::Array(rows) => rows,
            mut page => page["results"].as_array_mut().map(std::mem::take).unwrap(),
        });
        prop_assert_eq!(items, alone.collect::<Vec<_>>());
        server.answer(&ok(&bodies[0]));
        prop_assert_eq!(client.get("/api/x/").send().unwrap(), parsed(&bodies[0]));
        Ok(())
    });
}

#[test]
fn nan_and_infinity_outside_of_strings_are_null() {
    let server = Home::start();
    let client = server.client();
    check(700, &vec(spelled(true), 0..5), |rows| {
        let texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
        let written: Vec<Value> = rows.iter().map(|(_, v)| v.clone()).collect();
        let list = format!("[{}]", texts.join(","));
        server.answer(&ok(&list));
        prop_assert_eq!(client.list("/api/x/").all().unwrap(), written.clone());
        prop_assert_eq!(client.get("/api/x/").send().unwrap(), Value::from(written));
        Ok(())
    });
}

#[test]
fn any_body_is_read_or_is_an_error_without_the_key() {
    let server = Home::start();
    let client = server.client();
    let statuses = select(&[200, 200, 200, 201, 400, 401, 403, 404, 405, 429, 500, 503, 599][..]);
    let encodings = select(&["", "", "", "Content-Encoding: gzip\r\n"][..]);
    let kinds = prop_oneof![Just("application/json".to_owned()), header()];
    let inputs = (bytes(BODY), statuses, encodings, kinds);
    check(700, &inputs, |(body, status, encoding, kind)| {
        let head = format!("{encoding}Content-Type: {kind}\r\nX-Request-Id: {kind}\r\n");
        server.answer(&answer(status, &head, &body));
        let sent = client.get("/api/x/").send();
        let texted = client.get("/api/x/").text();
        let _ = client.project(1).hogql("select 1").rows();
        let listed: Vec<Result<Value, Error>> = client.list("/api/x/").items().take(100).collect();
        prop_assert!(listed.iter().rev().skip(1).all(Result::is_ok), "it goes on after an error");
        let errors = [sent.as_ref().err(), texted.as_ref().err()];
        let errors = errors.into_iter().chain(listed.iter().map(|r| r.as_ref().err()));
        for error in errors.flatten() {
            hides_key(error, KEY)?;
        }
        if status >= 400 {
            prop_assert_eq!(sent.unwrap_err().status(), Some(status));
        } else if encoding.is_empty() {
            match texted {
                Ok(text) => prop_assert_eq!(text.as_bytes(), &body),
                Err(e) => prop_assert!(
                    e.kind() == posthog_api::ErrorKind::Decode && is_not_text(&body),
                    "{}",
                    e
                ),
            }
            let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&body);
            let has = |word: &[u8]| text.windows(word.len()).any(|w| w == word);
            match (from_bytes(text), sent) {
                (Some(expected), sent) => prop_assert_eq!(sent.unwrap(), expected),
                (None, Ok(read)) => prop_assert!(
                    text.is_empty() && read.is_null() || has(b"NaN") || has(b"Infinity"),
                    "read as {}",
                    read
                ),
                (None, Err(e)) => prop_assert!(e.kind() == posthog_api::ErrorKind::Decode, "{}", e),
            }
        }
        Ok(())
    });
}

#[test]
fn any_bytes_for_an_answer_are_read_or_are_an_error_without_the_key() {
    let server = Home::start();
    let client = server.builder().max_body_bytes(1 << 20).build().unwrap();
    let begin = select(&["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 "][..]);
    check(600, &(begin, bytes(HTTP)), |(begin, rest)| {
        server.answer(&Act::raw([begin.as_bytes(), &rest].concat()).then(End::Close));
        let list = client.list("/api/x/").items().take(100).last();
        let errors = [client.get("/api/x/").send().err(), list.and_then(Result::err)];
        for error in errors.iter().flatten() {
            prop_assert!(error.kind() != posthog_api::ErrorKind::Timeout, "{}", error);
            hides_key(error, KEY)?;
        }
        Ok(())
    });
}

/// Whether `text` must refuse this body: a web page, UTF-16, or another encoding.
fn is_not_text(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return true };
    let begin = text.to_ascii_lowercase();
    ["<html", "<!doctype html", "<head", "<body"].iter().any(|tag| begin.contains(tag))
}
