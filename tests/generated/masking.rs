//! Proves that no run of 8 bytes of the key is shown, whatever a server echoes and wherever, and that
//! everything else is shown unchanged.
use crate::generate::Random;
use crate::home::{Home, ok};
use crate::support::{Act, KEY, builder};
use crate::{share, vary};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use posthog_api::{Client, Error};
use serde_json::json;
use std::collections::HashSet;
use std::fmt::Write as _;

const RUN: usize = 8;

/// A key that is escaped in the paths and in the queries of URLs.
const HARD: &str = "phx_s3cret<7e>9|Zq{01}[23]^x";

/// Text with pieces of the key, some of them cut, joined, or in other letters.
fn echo(random: &mut Random, key: &str) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(8) {
        match random.below(6) {
            0 => text += key,
            1..=3 => {
                let range = random.range(key.len());
                text += &key[range];
            }
            4 => text += random.pick(&["phx_", "***", " ", "é", "\u{1f680}", "\n", "/", "key="]),
            _ => text += &"abc ".repeat(random.below(4)),
        }
    }
    text
}

/// `text` with `***` for each part that is covered by runs of the key.
fn masked(text: &str, key: &str) -> String {
    let (text, key) = (text.as_bytes(), key.as_bytes());
    let runs: HashSet<&[u8]> = key.windows(RUN).collect();
    let mut covered = vec![false; text.len()];
    for (at, window) in text.windows(RUN).enumerate() {
        if runs.contains(window) {
            covered[at..at + RUN].fill(true);
        }
    }
    let mut out = Vec::new();
    for at in 0..text.len() {
        match (covered[at], at > 0 && covered[at - 1]) {
            (false, _) => out.push(text[at]),
            (true, false) => out.extend(b"***"),
            (true, true) => {}
        }
    }
    String::from_utf8(out).unwrap()
}

/// Everything that an error shows.
fn shown(error: &Error) -> Vec<String> {
    let mut shown =
        vec![format!("{error}"), format!("{error:#}"), format!("{error:?}"), format!("{error:#?}")];
    if let Some(body) = error.body() {
        let api = error;
        shown.push(body.to_owned());
        shown.push(api.detail().unwrap_or_default().to_owned());
        shown.push(api.request_id().unwrap_or_default().to_owned());
    }
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        shown.push(format!("{inner} {inner:?}"));
        source = inner.source();
    }
    shown
}

/// Fails if a text has a run of the key, as it is or as its escapes say.
fn hides(texts: &[String], key: &str) {
    let runs: HashSet<&[u8]> = key.as_bytes().windows(RUN).collect();
    for text in texts {
        let decoded = crate::support::decode(text);
        let unquoted = text.replace("\\\"", "\"").replace("\\\\", "\\");
        for form in [text, &decoded, &unquoted] {
            let found = form.as_bytes().windows(RUN).find(|window| runs.contains(window));
            let found = found.map(String::from_utf8_lossy);
            assert!(found.is_none(), "{found:?} is in {text}");
        }
    }
}

#[test]
fn exactly_the_runs_of_the_key_are_masked_in_the_body_of_an_error() {
    let server = Home::start();
    let client = server.plain();
    vary(166, |random| {
        let body = echo(random, KEY);
        server.answers(vec![Act::status(400).body("text/plain", &*body)]);
        let error = client.get("/api/x/").send().unwrap_err();
        hides(&shown(&error), KEY);
        assert_eq!(error.body(), Some(&*masked(&body, KEY)));
    });
}

#[test]
fn no_run_of_the_key_is_shown_wherever_a_server_echoes_it() {
    let server = Home::start();
    let clients = [KEY, HARD].map(|key| {
        let client =
            posthog_api::Client::builder(key).host(&server.url).agent(crate::support::agent());
        (key, client.retry(posthog_api::RetryPolicy::none()).build().unwrap())
    });
    let mut errors = 0;
    vary(166, |random| {
        let (key, client) = random.choose(&clients);
        let text = echo(random, key);
        let json = escaped(random, &text);
        let text = if random.one_in(4) { percent_encoded(&text) } else { text };
        let line: String = text.chars().filter(|c| !c.is_control()).collect();
        let next = format!("http://x/?offset=1&a={text}");
        let act = match random.below(9) {
            0 => Act::status(302).header("Location", line),
            1 => Act::status(403).header("X-Request-Id", line.clone()).body(&line, &*text),
            2 => ok(text),
            3 => ok(json),
            4 => Act::status(400).body("application/json", json),
            5 => Act::error(400, &text, &text, &text),
            6 => Act::json(200, &json!({"results": [1], "next": next})),
            7 => Act::json(200, &json!({"error": text, "query_status": {"id": text}})),
            _ => {
                ok(format!("{{\"results\":[{{\"id\":{}}}], \"next\": {}", json!(text), json!(line)))
            }
        };
        server.answers(vec![act]);
        for error in calls(client) {
            hides(&shown(&error), key);
            errors += 1;
        }
    });
    assert!(errors > share(500), "{errors} errors");
}

fn percent_encoded(text: &str) -> String {
    const ENCODED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, ENCODED).to_string()
}

/// JSON with some characters as escapes.
fn escaped(random: &mut Random, text: &str) -> String {
    let mut out = String::from("{\"detail\":\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii() && (c.is_control() || random.one_in(4)) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + if random.one_in(2) { "\"}" } else { "" }
}

fn calls(client: &Client) -> Vec<Error> {
    let errors = [
        client.get("/api/x/").send().err(),
        client.get("/api/x/").send_as::<u8>().err(),
        client.list("/api/x/").items_as::<u8>().find_map(Result::err),
        client.project(1).hogql("select 1").rows().err(),
    ];
    errors.into_iter().flatten().collect()
}

#[test]
fn no_run_of_the_key_is_shown_wherever_a_caller_puts_it() {
    // Nothing listens there, and it is not reached.
    let client = builder(crate::support::REFUSED).build().unwrap();
    vary(50, |random| {
        let text = echo(random, KEY);
        let project = client.project(1);
        let request = project.get(&text).param(&text, &text);
        let query = project.hogql(format!("select '{text}' /*")).value(&text, &text).name(&text);
        let list = client.list(format!("/api/{text}")).param("search", &text);
        let shown = [format!("{request:?}"), format!("{query:?}"), format!("{list:?}")];
        hides(&shown, KEY);
        let scan = query.scan(&text);
        hides(&[format!("{scan:?}"), format!("{scan:#?}")], KEY);
        for error in [
            scan.into_iter().next().and_then(Result::err),
            project.get(&*text).param("token", &text).send().err(),
            project.insight(&*text).err(),
            project.person(&*text).err(),
        ]
        .into_iter()
        .flatten()
        {
            hides(&self::shown(&error), KEY);
        }
    });
}
