//! Proves that what a server answers is read as it was written, or is an error without the key.
use crate::KEY;
use crate::generate::*;
use crate::home::{Home, answer, ok};
use crate::rules::*;
use crate::support::{Act, End};
use crate::{check, vary};
use posthog_api::{Error, ErrorKind};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq, prop_oneof};
use regex_lite::{Captures, Regex};
use serde_json::Value;
use std::sync::OnceLock;

#[test]
fn pages_are_read_as_they_were_written() {
    let server = Home::start();
    let client = server.client();
    let pages = vec(vec(spelled(false), 0..4), 1..4);
    check(400, &(pages, 0usize..3, any::<bool>()), |(pages, ahead, keyed)| {
        let count = pages.iter().flatten().count();
        let bodies: Vec<String> = (0..pages.len())
            .map(|at| {
                let rows: Vec<&str> = pages[at].iter().map(|(text, _)| text.as_str()).collect();
                let rows = rows.join(" ,\n");
                let next = match at + 1 {
                    end if end == pages.len() => "null".to_owned(),
                    next => format!("\"http://internal:8000/api/x/?offset={next}\""),
                };
                if keyed || pages.len() > 1 {
                    format!(r#"{{"count":{count},"a":[{rows}],"results":[{rows}],"next":{next}}}"#)
                } else {
                    format!("[{rows}]")
                }
            })
            .collect();
        server.pages(bodies.iter().map(ok).collect());
        let items = client.list("/api/x/").prefetch(ahead).items();
        // A list that repeats a page before its end might have no end.
        let with_rows = |page: &&Vec<(String, Value)>| !page.is_empty();
        let goes_on: Vec<_> = pages[..pages.len() - 1].iter().filter(with_rows).collect();
        let same = |two: &[&Vec<(String, Value)>]| {
            two[0].iter().map(|(_, v)| v).eq(two[1].iter().map(|(_, v)| v))
        };
        if goes_on.windows(2).any(same) {
            prop_assert_eq!(items.last().unwrap().unwrap_err().kind(), ErrorKind::Paging);
            return Ok(());
        }
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
    let body = prop_oneof![bytes(BODY), changed_body()];
    let inputs = (body, statuses, encodings, kinds);
    check(1_300, &inputs, |(body, status, encoding, kind)| {
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
                Err(e) => {
                    prop_assert!(e.kind() == ErrorKind::Decode && is_not_text(&body), "{}", e);
                }
            }
            match (value(&body), sent) {
                (Some(expected), sent) => prop_assert_eq!(sent.unwrap(), expected),
                (None, Err(e)) => prop_assert!(e.kind() == ErrorKind::Decode, "{}", e),
                (None, Ok(read)) => prop_assert!(false, "read as {}", read),
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
    let made = (begin, bytes(HTTP)).prop_map(|(begin, rest)| [begin.as_bytes(), &rest].concat());
    check(800, &prop_oneof![3 => made, 1 => changed_answer()], |bytes| {
        server.answer(&Act::raw(bytes).then(End::Close));
        let list = client.list("/api/x/").items().take(100).last();
        let errors = [client.get("/api/x/").send().err(), list.and_then(Result::err)];
        for error in errors.iter().flatten() {
            prop_assert!(error.kind() != ErrorKind::Timeout, "{}", error);
            hides_key(error, KEY)?;
        }
        Ok(())
    });
}

#[test]
fn a_recorded_answer_that_is_cut_is_an_error() {
    let server = Home::start();
    let client = server.client();
    let answers: Vec<_> = recorded()
        .iter()
        .filter(|answer| answer.has_header("content-length") && !answer.body.is_empty())
        .collect();
    assert!(answers.len() > 100, "{} answers", answers.len());
    vary(133, |random| {
        let answer = random.choose(&answers);
        let bytes = answer.bytes();
        let end = match random.below(3) {
            0 => random.below(answer.head.len()),
            1 => bytes.len() - 1,
            _ => answer.head.len() + random.below(answer.body.len()),
        };
        server.answer(&Act::raw(&bytes[..end]).then(End::Close));
        let result = client.get("/api/x/").response().map(|response| response.status());
        let error = result.unwrap_err();
        // Also where the status says that the call failed, the body is needed.
        assert!(error.kind() != ErrorKind::Timeout, "{error}");
        hides_key(&error, KEY).unwrap();
    });
}

/// The value of a body, if it has one.
pub fn value(body: &[u8]) -> Option<Value> {
    static WORDS: OnceLock<Regex> = OnceLock::new();
    let words = WORDS
        .get_or_init(|| Regex::new(r#"(?s)"(?:[^"\\]|\\.)*(?:"|\\?\z)|-?Infinity|NaN"#).unwrap());
    let text = std::str::from_utf8(body).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.is_empty() {
        return Some(Value::Null);
    }
    let word = |found: &Captures<'_>| match &found[0] {
        string if string.starts_with('"') => string.to_owned(),
        _ => "null".to_owned(),
    };
    serde_json::from_str(&words.replace_all(text, word)).ok()
}

/// Whether `text` must refuse this body: a web page, UTF-16, or another encoding.
fn is_not_text(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return true };
    let begin = text.to_ascii_lowercase();
    ["<html", "<!doctype html", "<head", "<body"].iter().any(|tag| begin.contains(tag))
}
