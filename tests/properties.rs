//! Proves, on generated input, that what a caller gives arrives as it was or is refused before anything is sent, that what a
//! server answers is read as it was written, and that nothing from either side panics, leaks the key or leads to another host.
//!
//! The servers are in this process and the agents have a resolver that finds nothing else: no name is looked up, whatever the
//! input says. `PROPTEST_CASES=2560` runs ten times as many cases.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Debug, Write as _};
use std::io::{self, Read, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use posthog_api::ureq::Agent;
use posthog_api::ureq::config::Config as AgentConfig;
use posthog_api::ureq::http::Uri;
use posthog_api::ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use posthog_api::ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use posthog_api::{
    Auth, Client, ClientBuilder, Error, PersonFilter, RetryPolicy, aggregated_value,
    aggregated_values, funnel_steps, paths, result, retention, rows, series, time_to_convert, ureq,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult, TestRunner};
use proptest::{option, prop_assert, prop_assert_eq, prop_oneof};
use serde_json::{Map, Value, json};

/// One that has to be escaped in a URL, in JSON and in `Debug`.
const KEY: &str = "phx_s3cret/+%7e\"\\key";

// ---------------------------------------------------------------------------------------------------------------------------
// What the caller gives
// ---------------------------------------------------------------------------------------------------------------------------

#[test]
fn parameters_arrive_as_they_were_or_are_refused() {
    let server = Server::start();
    let client = server.client();
    let inputs = (vec((name(), value()), 0..4), any::<bool>());
    check(500, &inputs, |(params, list)| {
        server.answer(&ok("[]"));
        let project = client.project(1);
        let outcome = if list {
            let list = project.list("cohorts");
            params.iter().fold(list, |list, (n, v)| list.param(n, v)).all()
        } else {
            let request = project.get("cohorts/");
            let request = params.iter().fold(request, |r, (n, v)| r.param(n, v));
            request.send().map(|answer| vec![answer])
        };
        let mut sent: Vec<(String, String)> = Vec::new();
        let mut right = true;
        for (name, value) in &params {
            let twice = list && sent.iter().any(|(n, _)| n == name);
            let text = as_text(value);
            right &= !twice && may_be_sent(name, text.as_deref());
            sent.extend(text.map(|text| (name.clone(), text)));
        }
        let path = "/api/projects/1/cohorts/";
        let encoded: usize = sent.iter().map(|(n, v)| 2 + length(n) + length(v)).sum();
        right &= server.url.len() + path.len() + encoded <= 65_534;
        if let Some(seen) = server.arrived(&outcome, right)? {
            prop_assert_eq!(seen.path(), path);
            prop_assert_eq!(seen.params()?, sent);
        }
        Ok(())
    });
}

#[test]
fn filters_and_searches_of_persons_arrive_as_they_were_or_are_refused() {
    let server = Server::start();
    let client = server.client();
    let filters = vec((text(), select(OPERATORS), operand()), 0..4);
    let options = vec(option::weighted(0.4, text()), 3);
    check(1_000, &(filters, any::<bool>(), options), |(filters, or, options)| {
        server.answer(&ok(r#"{"next":null,"results":[]}"#));
        let built: Vec<PersonFilter> = filters.iter().map(|(k, o, v)| filter(k, o, v)).collect();
        let expected: Option<Vec<Value>> = filters
            .iter()
            .map(|(key, operator, value)| {
                let value = operand_on_the_wire(operator, value).filter(|_| !key.is_empty())?;
                Some(json!({"key": key, "value": value, "operator": operator, "type": "person"}))
            })
            .collect();
        let mut list = client.project(1).persons();
        let mut params = BTreeMap::from([("limit".to_owned(), "1000".to_owned())]);
        for (name, text) in ["search", "email", "distinct_id"].into_iter().zip(&options) {
            let Some(text) = text else { continue };
            list = match name {
                "search" => list.search(text),
                "email" => list.email(text),
                _ => list.distinct_id(text),
            };
            params.insert(name.to_owned(), text.clone());
        }
        let list = if or {
            list.filter(PersonFilter::any(built))
        } else {
            built.into_iter().fold(list, posthog_api::List::filter)
        };
        let right = expected.is_some()
            && !(or && filters.is_empty())
            && !params.values().any(String::is_empty);
        if let Some(seen) = server.arrived(&list.all(), right)? {
            let mut seen: BTreeMap<String, String> = seen.params()?.into_iter().collect();
            let properties = seen.remove("properties").map(|text| parsed(&text));
            prop_assert_eq!(seen, params);
            let expected = expected.unwrap_or_default();
            prop_assert_eq!(
                properties,
                match expected.len() {
                    0 => None,
                    2.. if or => Some(reparsed(&json!({"type": "OR", "values": expected}))),
                    _ => Some(reparsed(&expected.into())),
                }
            );
        }
        Ok(())
    });
}

#[test]
fn short_ids_and_distinct_ids_are_looked_up_as_they_are() {
    let server = Server::start();
    let client = server.client();
    check(300, &(text(), any::<bool>()), |(id, short)| {
        let (name, row) = if short {
            ("short_id", json!({"short_id": id}))
        } else {
            ("distinct_id", json!({"distinct_ids": [id]}))
        };
        server.answer(&ok(&json!({"next": null, "results": [row]}).to_string()));
        let project = client.project(1);
        let found = if short {
            project.insight_by_short_id(&id)
        } else {
            project.person_by_distinct_id(&id)
        };
        if let Some(seen) = server.arrived(&found, !id.is_empty())? {
            prop_assert_eq!(found.unwrap(), Some(row));
            prop_assert!(seen.params()?.contains(&(name.to_owned(), id)));
        }
        Ok(())
    });
}

#[test]
fn ids_are_one_segment_of_the_path_or_are_refused() {
    let server = Server::start();
    let client = server.client();
    check(700, &text(), |id| {
        server.answer(&ok("{}"));
        let right = !id.is_empty() && !has_dot_segment(&id);
        if let Some(seen) = server.arrived(&client.project(1).person(&id), right)? {
            let segments: Vec<&str> = seen.target.split('/').collect();
            prop_assert_eq!(segments.len(), 7, "{}", seen.target);
            prop_assert_eq!(&segments[..5], ["", "api", "projects", "1", "persons"]);
            prop_assert_eq!(strictly_decoded(segments[5])?, id.as_bytes());
            prop_assert_eq!(segments[6], "");
        }
        Ok(())
    });
}

#[test]
fn paths_arrive_as_they_were_or_are_refused() {
    let server = Server::start();
    let bare = server.client();
    let below = server.builder().host(format!("{}/sub path", server.url));
    let below = below.build().unwrap();
    let inputs = (prop_oneof![text(), text().prop_map(|t| format!("/{t}"))], 0..3);
    check(1_000, &inputs, |(path, way)| {
        server.answer(&ok("{}"));
        let (outcome, whole) = match way {
            0 => (bare.get(&path).send(), path.clone()),
            1 => (below.get(&path).send(), path.clone()),
            _ => {
                let whole = format!("/api/projects/7/{path}");
                (bare.project(7).delete(&path).send(), whole)
            }
        };
        if let Some(seen) = server.arrived(&outcome, is_path(&whole))? {
            let prefix = if way == 1 { "/sub path" } else { "" };
            let expected = loosely_decoded(&format!("{prefix}{whole}"));
            prop_assert_eq!(strictly_decoded(&seen.target)?, expected);
            let slashes = |s: &str| s.bytes().filter(|b| *b == b'/').count();
            prop_assert_eq!(slashes(&seen.target), slashes(&whole) + slashes(prefix));
        }
        Ok(())
    });
}

#[test]
fn sql_and_its_values_arrive_as_they_were_or_are_refused() {
    let server = Server::start();
    let client = server.client();
    let placeholder = prop_oneof![4 => "[a-z_]{1,4}", 1 => text()];
    let value = option::of(prop_oneof![text().prop_map(Value::from), any_json()]);
    let inputs = (text(), placeholder, text(), value, text());
    check(700, &inputs, |(before, name, after, value, other)| {
        let sql = if other.len() % 4 == 0 { other } else { format!("{before}{{{name}}}{after}") };
        server.answer(&ok(r#"{"columns":["a"],"results":[[1]],"hasMore":false}"#));
        let query = client.project(1).hogql(sql.as_str());
        let query = match &value {
            Some(value) => query.value(&name, value),
            None => query,
        };
        let right = !sql.trim().is_empty() && (value.is_none() || has_placeholder(&sql, &name));
        // No text that is SQL to nobody may panic the readers of SQL behind these two.
        let _ = query.clone().scan(&name).next();
        server.answer(&ok(r#"{"columns":["a"],"results":[[1]],"hasMore":false}"#));
        let _ = query.clone().rows();
        server.answer(&ok(r#"{"columns":["a"],"results":[[1]],"hasMore":false}"#));
        if let Some(seen) = server.arrived(&query.send(), right)? {
            let mut expected = json!({"query": {"kind": "HogQLQuery", "query": sql}});
            if let Some(value) = value {
                expected["query"]["values"] = json!({name: value});
            }
            prop_assert_eq!(from_bytes(&seen.body), Some(reparsed(&expected)));
        }
        Ok(())
    });
}

#[test]
fn bodies_arrive_as_they_were() {
    let server = Server::start();
    let (plain, body) = (server.client(), server.builder().auth(Auth::Body));
    let body = body.build().unwrap();
    check(400, &(any_json(), any::<bool>()), |(value, auth)| {
        server.answer(&ok(""));
        let client = if auth { &body } else { &plain };
        let outcome = client.post("/api/x/").json(&value).send();
        let right = !auth || value.is_object();
        if let Some(seen) = server.arrived(&outcome, right)? {
            prop_assert_eq!(outcome.unwrap(), Value::Null);
            let mut expected = reparsed(&value);
            if auth {
                expected["personal_api_key"] = KEY.into();
            }
            prop_assert_eq!(from_bytes(&seen.body), Some(expected));
        }
        Ok(())
    });
}

// ---------------------------------------------------------------------------------------------------------------------------
// What the server answers
// ---------------------------------------------------------------------------------------------------------------------------

#[test]
fn pages_are_read_as_they_were_written() {
    let server = Server::start();
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
        server.answers(bodies.iter().map(|body| ok(body)).collect());
        let items = client.list("/api/x/").prefetch(ahead).items();
        let items: Vec<Value> = items.collect::<Result<_, _>>().unwrap();
        let written: Vec<Value> = pages.iter().flatten().map(|(_, v)| v.clone()).collect();
        prop_assert_eq!(&items, &written);
        prop_assert_eq!(server.seen().len(), pages.len());
        // The same by serde_json alone, and by one call.
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
fn bare_words_outside_of_strings_are_null() {
    let server = Server::start();
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
    let server = Server::start();
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
                    matches!(e, Error::Decode(_)) && std::str::from_utf8(&body).is_err(),
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
                (None, Err(e)) => prop_assert!(matches!(e, Error::Decode(_)), "{}", e),
            }
        }
        Ok(())
    });
}

#[test]
fn any_bytes_for_an_answer_are_read_or_are_an_error_without_the_key() {
    let server = Server::start();
    let client = server.builder().max_body_bytes(1 << 20).build().unwrap();
    let begin = select(&["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 "][..]);
    check(600, &(begin, bytes(HTTP)), |(begin, rest)| {
        server.answer(&Answer { bytes: [begin.as_bytes(), &rest].concat(), close: true });
        let list = client.list("/api/x/").items().take(100).last();
        let errors = [client.get("/api/x/").send().err(), list.and_then(Result::err)];
        for error in errors.iter().flatten() {
            prop_assert!(!error.is_timeout(), "{}", error);
            hides_key(error, KEY)?;
        }
        Ok(())
    });
}

#[test]
fn any_location_is_followed_within_the_origin_or_is_an_error_without_the_key() {
    let server = Server::start();
    let client = [Auth::Bearer, Auth::Body, Auth::Query]
        .map(|auth| server.builder().auth(auth).build().unwrap());
    let below = server.builder().host(format!("{}/sub", server.url));
    let below = below.build().unwrap();
    let statuses = select(&[301, 302, 303, 307, 308][..]);
    let inputs = (statuses, link(&server), 0usize..4, any::<bool>());
    check(1_500, &inputs, |(status, location, way, get)| {
        let head = [b"Location: ", &location[..], b"\r\n"].concat();
        server.answers(vec![raw(status, &head, b""), raw(status, &head, b""), ok("1")]);
        let client = client.get(way).unwrap_or(&below);
        let outcome = if get {
            client.get("/api/x/").send()
        } else {
            client.post("/api/x/").json(json!({})).send()
        };
        if let Err(error) = &outcome {
            prop_assert!(matches!(error, Error::Redirect { .. } | Error::Config(_)), "{}", error);
            hides_key(error, KEY)?;
        }
        server.stayed_home()?;
        let seen = server.seen();
        prop_assert!(!seen.is_empty() && (outcome.is_err() || seen.len() == 3));
        if location.starts_with(b"http://evil.example/") {
            prop_assert!(outcome.is_err() && seen.len() == 1, "{:?}", seen);
        }
        for seen in seen {
            carries_key_only_as(way, &seen)?;
            prop_assert!(way != 3 || seen.target.starts_with("/sub/"), "{}", seen.target);
        }
        Ok(())
    });
}

#[test]
fn any_next_is_followed_on_the_lists_own_path_or_is_an_error_without_the_key() {
    let server = Server::start();
    let client = [Auth::Bearer, Auth::Body, Auth::Query]
        .map(|auth| server.builder().auth(auth).build().unwrap());
    let next = prop_oneof![
        4 => link(&server).prop_map(|l| Value::from(String::from_utf8_lossy(&l).into_owned())),
        1 => any_json(),
    ];
    check(1_500, &(next, 0usize..3), |(next, way)| {
        server.answer(&ok(&json!({"results": [1, 2], "next": next}).to_string()));
        let list = client[way].list("/api/x/").param("a", "b");
        let mut rows = list.items().take(10).collect::<Vec<_>>();
        match rows.pop() {
            Some(Err(error)) => {
                prop_assert!(matches!(error, Error::Paging(_) | Error::Config(_)), "{}", error);
                hides_key(&error, KEY)?;
                prop_assert!(!next.is_null());
            }
            end => {
                prop_assert!(end.is_some() && next.is_null(), "it ended at {}", next);
                rows.extend(end);
            }
        }
        server.stayed_home()?;
        let seen = server.seen();
        // The second page says the same `next`, so there is no third.
        prop_assert!((1..=2).contains(&seen.len()), "{} pages", seen.len());
        prop_assert_eq!(rows.len(), 2 * seen.len());
        for seen in seen {
            prop_assert_eq!(seen.path(), "/api/x/");
            carries_key_only_as(way, &seen)?;
        }
        Ok(())
    });
}

#[test]
fn any_retry_after_is_heeded_or_passed_over() {
    let server = Server::start();
    // It may try again where that costs no waiting.
    let policy = RetryPolicy::default().max_wait(Duration::ZERO);
    let client = server.builder().retry(policy).build().unwrap();
    let date =
        "(Sun|Mon|é)?, [0-9]{1,3} (Jan|Feb|Dec|Foo) [0-9]{1,5} [0-9]{1,2}:[0-9]{2}:[0-9]{1,21} GMT";
    let seconds = prop_oneof![any::<u64>(), 0u64..3].prop_map(|n| (n.to_string(), Some(n)));
    let other = prop_oneof![date.prop_map(String::from), header()].prop_map(|text| (text, None));
    let statuses = select(&[429u16, 503, 500, 404][..]);
    let detail = prop_oneof!["[a-z]{0,3}available in [0-9]{0,22} seconds?[.]?", text()];
    let inputs = (prop_oneof![seconds, other], statuses, detail);
    check(500, &inputs, |((text, seconds), status, detail)| {
        let head = format!("Retry-After: {text}\r\n");
        let body = json!({"detail": detail}).to_string();
        server.answer(&answer(status, &head, body.as_bytes()));
        let error = client.get("/api/x/").send().unwrap_err();
        prop_assert_eq!(error.status(), Some(status));
        let asked = error.retry_after();
        let tries = server.seen().len();
        if let Some(seconds) = seconds.filter(|_| matches!(status, 429 | 503)) {
            prop_assert_eq!(asked, Some(Duration::from_secs(seconds)));
            prop_assert_eq!(tries, if seconds == 0 { 4 } else { 1 });
        }
        prop_assert!(tries == 1 || asked == Some(Duration::ZERO));
        hides_key(&error, KEY)
    });
}

// ---------------------------------------------------------------------------------------------------------------------------
// The settings of a client
// ---------------------------------------------------------------------------------------------------------------------------

#[test]
fn keys_and_user_agents_arrive_as_they_were_or_are_refused() {
    let server = Server::start();
    let keys = prop_oneof![
        3 => "[ \t\n]?phx_[!-~]{12,30}[ \r\n]?",
        1 => text(),
        1 => "phc_[a-z]{12}",
        1 => "phx_[a-z]{12}.[a-z]{2}",
    ];
    let products = option::of(prop_oneof!["[ -~]{0,12}", text()]);
    let ways = select(&[Auth::Bearer, Auth::Body, Auth::Query][..]);
    check(500, &(keys, products, ways), |(key, product, auth)| {
        server.answer(&answer(404, "", key.as_bytes()));
        let mut builder = server.builder_with(&key).auth(auth);
        let printed = format!("{builder:?}");
        prop_assert!(key.trim().len() < 8 || !printed.contains(key.trim()));
        if let Some(product) = &product {
            builder = builder.user_agent(product.as_str());
        }
        let trimmed = key.trim();
        let agent = product.as_deref().map(str::trim);
        let right = !trimmed.is_empty()
            && !trimmed.starts_with("phc_")
            && trimmed.bytes().all(|b| (b'!'..=b'~').contains(&b))
            && agent.is_none_or(|a| !a.is_empty() && a.bytes().all(|b| (b' '..=b'~').contains(&b)));
        let client = match builder.build() {
            Ok(client) => client,
            Err(error) => {
                prop_assert!(matches!(error, Error::Config(_)) && !right, "{}", error);
                return if key.trim().len() < 8 { Ok(()) } else { hides_key(&error, key.trim()) };
            }
        };
        prop_assert!(right);
        let error = client.get("/api/x/").send().unwrap_err();
        prop_assert_eq!(error.status(), Some(404));
        let seen = &server.seen()[0];
        let version = concat!("posthog-api/", env!("CARGO_PKG_VERSION"));
        let expected = agent.map_or(version.to_owned(), |a| format!("{a} {version}"));
        prop_assert_eq!(seen.header("user-agent"), Some(expected.as_str()));
        let carried = match auth {
            Auth::Bearer => seen.header("authorization").map(|v| v.replacen("Bearer ", "", 1)),
            Auth::Body => from_bytes(&seen.body)
                .and_then(|body| body["personal_api_key"].as_str().map(str::to_owned)),
            _ => seen.params()?.pop().map(|(_, value)| value),
        };
        prop_assert_eq!(carried.as_deref(), Some(trimmed));
        // A shorter one is part of any text.
        if trimmed.len() >= 8 {
            hides_key(&error, trimmed)?;
            let printed = format!("{client:?} {:?}", client.project(1));
            prop_assert!(!printed.contains(trimmed));
        }
        Ok(())
    });
}

#[test]
fn any_host_is_the_one_that_is_asked_or_is_refused() {
    let server = Server::start();
    let (allow, path) = (any::<bool>(), "(/[a-z%]{0,3}){0,2}");
    let likely = ("(?i:https?)", "[a-z0-9.é_-]{1,9}|\\[::1?\\]", "(:[0-9]{1,6})?", path)
        .prop_map(|(scheme, name, port, path)| format!("{scheme}://{name}{port}{path}"));
    let tokens = vec(select(HOST), 0..8).prop_map(|t| t.concat());
    check(1_500, &(prop_oneof![likely, tokens, text()], allow), |(host, allow)| {
        server.answer(&ok("{}"));
        let origin = origin(&host, allow);
        let right = origin.is_some();
        let built = server.builder().host(&host).allow_http(allow).build();
        let client = match built {
            Ok(client) => client,
            Err(error) => {
                prop_assert!(matches!(error, Error::Config(_)) && !right, "{}", error);
                return hides_key(&error, KEY);
            }
        };
        if let Err(error) = client.get("/api/x/").send() {
            prop_assert!(matches!(error, Error::Transport(_) | Error::Config(_)), "{}", error);
            hides_key(&error, KEY)?;
        }
        prop_assert_eq!(server.asked(), Vec::from_iter(origin));
        Ok(())
    });
}

// ---------------------------------------------------------------------------------------------------------------------------
// The helpers
// ---------------------------------------------------------------------------------------------------------------------------

#[test]
fn helpers_read_any_value_or_say_why_not() {
    check(3_000, &insight(), |insight| {
        let errors = [
            result(&insight).err(),
            aggregated_value(&insight).err(),
            aggregated_values(&insight).err(),
            series(&insight).err(),
            funnel_steps(&insight).err(),
            retention(&insight).err(),
            paths(&insight).err(),
            time_to_convert(&insight).err(),
            rows(&insight).err(),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert!(matches!(error, Error::Insight(_) | Error::Query(_)), "{}", error);
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
        Ok(())
    });
}

// ---------------------------------------------------------------------------------------------------------------------------
// Input
// ---------------------------------------------------------------------------------------------------------------------------

/// What ends, escapes or hides things somewhere on the way.
#[rustfmt::skip]
const NASTY: &[&str] = &[
    "%", "%2e", "%2E", "%2f", "%00", "%zz", ".", "..", "/", "//", "\\", "?", "#", "&", "=", "+",
    " ", "\0", "\r\n", "\n", "\t", "\u{7f}", "\u{feff}", "\u{2028}", "\u{1f680}", "é", "'", "''",
    "\"", "`", "{", "}", "{a}", "--", "/*", "(", ")", ";", "@", ":", "a", "0", "-1", "null", "NaN",
    "Infinity", "-Infinity", "union", " limit ", "phx_",
];

#[rustfmt::skip]
const BODY: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00", "\\ud83d", "\"results\":", "\"next\":",
    "\"detail\":", "\"query_status\":", "\"error\":", "true", "null", "NaN", "-Infinity", "1e400",
    "18446744073709551616", "-", " ", "\u{feff}", "<html>", "\u{1f}\u{8b}\u{8}", KEY, "é",
];

#[rustfmt::skip]
const HTTP: &[&str] = &[
    "HTTP/1.1 ", "HTTP/9 ", "100 Continue", "101 ", "200", "204 ", "302 ", "304 ", "999 ", "\r\n",
    "\r\n", "\r\n\r\n", "\r\n\r\n", "\n", "\r", ":", "Content-Length: ", "5", "0",
    "99999999999999999999", "-1", "Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n",
    "5;x=y\r\n", "0\r\n\r\n", "Content-Encoding: gzip\r\n", "\u{1f}", "Location: ", "/api/y/",
    "Connection: close\r\n", "Connection: keep-alive\r\n", "Retry-After: 0\r\n", "[1]", "{}", KEY,
    "Set-Cookie: ", " ", "\t", "\0", "é",
];

#[rustfmt::skip]
const HOST: &[&str] = &[
    "http", "https", "HTTPS", "://", "://", "//", "/", ":", "80", "443", "65536", "0", "localhost",
    "127.0.0.1", "[::1]", "[", "]", "@", "user", "eu", ".i.posthog.com", "us.posthog.com", ".",
    "..", "%2e", "?", "#", "\\", " ", "\t", "\0", "é", "-", "_", "*", "{", "^", "\"",
];

/// Any text at all, the nasty parts more often than chance would have them.
fn text() -> impl Strategy<Value = String> + Clone {
    let part = prop_oneof![
        3 => select(NASTY).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        1 => "[a-z]{1,3}",
    ];
    vec(part, 0..7).prop_map(|parts| parts.concat())
}

/// What a header line can hold: no line end, no NUL.
fn header() -> impl Strategy<Value = String> {
    vec(prop_oneof![select(BODY), select(NASTY)], 0..5)
        .prop_map(|parts| parts.concat().replace(|c: char| c.is_control(), ""))
}

fn bytes(tokens: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let token = select(tokens).prop_map(|t| t.as_bytes().to_vec());
    prop_oneof![
        10 => vec(prop_oneof![9 => token, 1 => vec(any::<u8>(), 1..4)], 0..14).prop_map(|parts| parts.concat()),
        5 => vec(any::<u8>(), 0..60),
        5 => spelled(true).prop_map(|(text, _)| text.into_bytes()),
        // Longer than what an error shows of it, cut anywhere.
        2 => ("(\\{\"(detail|code|error)\":\")?[a-z]{0,3}", 30usize..700)
            .prop_map(|(begin, n)| format!("{begin}{}\"}}", "é\u{1f680}".repeat(n)).into_bytes()),
        // Deeper than any stack.
        1 => Just(vec![b'['; 20_000]),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let known = [
        "token",
        "api_key",
        "personal_api_key",
        "short_id",
        "distinct_id",
        "email",
        "search",
        "Token",
        "token ",
        "limit",
        "offset",
        "next",
    ];
    prop_oneof![2 => text(), 1 => select(known.to_vec()).prop_map(str::to_owned)]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        12 => text().prop_map(Value::from),
        6 => any_json(),
        // About as long as a URL can be.
        1 => (65_200usize..65_600).prop_map(|n| "a".repeat(n).into()),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(object),
        ]
    })
}

fn object(entries: Vec<(String, Value)>) -> Value {
    Value::Object(entries.into_iter().collect())
}

/// JSON as a server spells it, and what it says; `bare`: with the words that are no JSON.
fn spelled(bare: bool) -> impl Strategy<Value = (String, Value)> {
    let whole = |text: String, value: Value| (text, value);
    let word = select(&["NaN", "Infinity", "-Infinity"][..]);
    let leaf = prop_oneof![
        1 => Just(whole("null".into(), Value::Null)),
        1 => any::<bool>().prop_map(|b| (b.to_string(), b.into())),
        1 => any::<u64>().prop_map(|n| (n.to_string(), n.into())),
        1 => any::<i64>().prop_map(|n| (n.to_string(), n.into())),
        1 => select(vec![u64::MAX, 1 << 63, (1 << 53) + 1]).prop_map(|n| (n.to_string(), n.into())),
        1 => Just((i64::MIN.to_string(), i64::MIN.into())),
        // These a float has exactly.
        1 => any::<i32>().prop_map(|n| (format!("{:?}", f64::from(n) / 8.0), (f64::from(n) / 8.0).into())),
        3 => string().prop_map(|(text, s)| (text, s.into())),
        2 => word.prop_map(move |word| if bare {
            (word.to_owned(), Value::Null)
        } else {
            (format!("\"{word}\""), word.into())
        }),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let space = select(&["", " ", "\n\t"][..]);
        let object = vec((string(), inner.clone()), 0..4);
        prop_oneof![
            (vec(inner, 0..4), space.clone()).prop_map(|(items, space)| {
                let texts: Vec<&str> = items.iter().map(|(text, _)| text.as_str()).collect();
                let text = texts.join(&format!("{space},{space}"));
                let values: Vec<Value> = items.iter().map(|(_, v)| v.clone()).collect();
                (format!("[{space}{text}{space}]"), values.into())
            }),
            (object, space).prop_map(|(fields, space)| {
                let (mut text, mut map) = (String::from("{"), Map::new());
                for ((key_text, key), (value_text, value)) in fields {
                    let comma = if map.is_empty() && text.len() == 1 { "" } else { "," };
                    write!(text, "{comma}{key_text}{space}:{space}{value_text}{space}").unwrap();
                    map.insert(key, value);
                }
                (text + "}", map.into())
            }),
        ]
    })
}

/// A JSON string: with few escapes, or with nothing but.
fn string() -> impl Strategy<Value = (String, String)> {
    (text(), any::<bool>()).prop_map(|(text, escaped)| {
        let mut json = String::from("\"");
        for unit in text.chars() {
            match unit {
                '"' | '\\' if !escaped => json.extend(['\\', unit]),
                unit if escaped || unit < ' ' => {
                    for unit in unit.encode_utf16(&mut [0; 2]) {
                        write!(json, "\\u{unit:04x}").unwrap();
                    }
                }
                unit => json.push(unit),
            }
        }
        (json + "\"", text)
    })
}

/// Where a server may point: likely and unlikely links, some to another host, some with the key.
fn link(server: &Server) -> impl Strategy<Value = Vec<u8>> + use<> {
    let home = server.url.trim_start_matches("http://").to_owned();
    #[rustfmt::skip]
    let mut tokens: Vec<Vec<u8>> = [
        "http:", "https:", "//", "://", "/", "\\", "@", ":", ".", "..", "%2e%2e", "?", "#", "&",
        "=", "api", "x", "sub", "y?a=1", "offset=2", "+", "%zz", "evil.example", "127.0.0.1:9", " ",
        "\t", "personal_api_key=", "%70ersonal_api_key=", "token=", "limit=", KEY, "é",
    ]
    .map(|token| token.as_bytes().to_vec())
    .to_vec();
    tokens.extend([
        home.clone().into_bytes(),
        server.url.clone().into_bytes(),
        percent_encoded(KEY).into_bytes(),
        percent_encoded(KEY).to_lowercase().into_bytes(),
        vec![0xff],
    ]);
    let likely = ["/api/y/?", "/sub/api/y/?", "?", "http://evil.example/api/y/?"].map(String::from);
    let likely = select([&likely[..], &[format!("http://{home}/api/y/?")]].concat());
    let begin = option::of(likely).prop_map(|b| b.unwrap_or_default().into_bytes());
    (begin, vec(select(tokens), 0..7)).prop_map(|(begin, rest)| [begin, rest.concat()].concat())
}

#[rustfmt::skip]
const OPERATORS: &[&str] = &[
    "exact", "is_not", "icontains", "not_icontains", "regex", "not_regex", "gt", "gte", "lt", "lte",
    "is_set", "is_not_set", "is_date_exact", "is_date_before", "is_date_after",
];

fn operand() -> impl Strategy<Value = Value> {
    let date =
        "(0000|1900|2000|2023|2024)-(00|02|04|12|13)-(00|01|28|29|30|31)( (00|23|24):59:(59|60))?";
    prop_oneof![
        4 => scalar(),
        2 => date.prop_map(Value::from),
        1 => vec(scalar(), 0..3).prop_map(Value::from),
        1 => any_json(),
    ]
}

fn filter(key: &str, operator: &str, value: &Value) -> PersonFilter {
    let (on, text) = (PersonFilter::property(key), as_text(value).unwrap_or_default());
    match operator {
        "exact" => on.exact(value),
        "is_not" => on.is_not(value),
        "icontains" => on.icontains(text),
        "not_icontains" => on.not_icontains(text),
        "regex" => on.regex(text),
        "not_regex" => on.not_regex(text),
        "gt" => on.gt(value),
        "gte" => on.gte(value),
        "lt" => on.lt(value),
        "lte" => on.lte(value),
        "is_set" => on.is_set(),
        "is_not_set" => on.is_not_set(),
        "is_date_exact" => on.is_date_exact(text),
        "is_date_before" => on.is_date_before(text),
        _ => on.is_date_after(text),
    }
}

/// What the documented rules make of a filter's value: nothing where they refuse it.
fn operand_on_the_wire(operator: &str, value: &Value) -> Option<Value> {
    let text = as_text(value).unwrap_or_default();
    match operator {
        "exact" | "is_not" => {
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            let values: Option<Vec<Value>> = values
                .into_iter()
                .map(|value| match value {
                    Value::Bool(b) => Some(b.to_string().into()),
                    Value::String(s) => (!s.is_empty()).then(|| s.into()),
                    // A whole float goes as the integer that it is.
                    Value::Number(n) => match n.as_f64().filter(|_| n.is_f64()) {
                        Some(f) if f % 1.0 == 0.0 && f.abs() < 9e15 => {
                            serde_json::from_str(&format!("{:.0}", f + 0.0)).ok()
                        }
                        _ => Some(n.into()),
                    },
                    _ => None,
                })
                .collect();
            values.filter(|v| !v.is_empty()).map(Value::from)
        }
        "icontains" | "not_icontains" | "regex" | "not_regex" => {
            (!text.is_empty()).then(|| text.into())
        }
        "gt" | "gte" | "lt" | "lte" => value.is_number().then(|| value.clone()),
        "is_set" | "is_not_set" => Some(operator.into()),
        _ => is_date(&text).then(|| text.into()),
    }
}

/// `YYYY-MM-DD` or `YYYY-MM-DD hh:mm:ss`, of a day that there is: written back it is the same.
fn is_date(text: &str) -> bool {
    let fields: Vec<u32> = text.split(['-', ' ', ':']).flat_map(str::parse).collect();
    let ([year, month, day], time) = match fields[..] {
        [year, month, day] => ([year, month, day], None),
        [year, month, day, h, min, s] => ([year, month, day], Some([h, min, s])),
        _ => return false,
    };
    let mut written = format!("{year:04}-{month:02}-{day:02}");
    if let Some([h, min, s]) = time {
        write!(written, " {h:02}:{min:02}:{s:02}").unwrap();
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let last = (month as usize).checked_sub(1).and_then(|at| days.get(at));
    written == text
        && last.is_some_and(|last| (1..=*last).contains(&day))
        && time.is_none_or(|[h, min, s]| h < 24 && min < 60 && s < 60)
}

/// Values in the shapes that insights and queries have, and near them.
fn insight() -> impl Strategy<Value = Value> {
    #[rustfmt::skip]
    let names = [
        "result", "results", "aggregated_value", "aggregated_value::marker", "label", "days",
        "data", "count", "order", "name", "custom_name", "values", "source", "target", "value",
        "date", "bins", "average_conversion_time", "columns", "hasMore", "hogql", "limit",
        "query_status", "error", "error_message", "complete", "id", "breakdown_value",
        "compare_label", "status", "action_id", "types", "query", "kind",
    ];
    let name = prop_oneof![9 => select(names.to_vec()).prop_map(str::to_owned), 1 => text()];
    let leaf = prop_oneof![
        4 => scalar(),
        1 => select(&["current", "DataVisualizationNode", "select 1 limit 2", "2024-01-01"][..]).prop_map(Value::from),
        1 => (0u8..4).prop_map(Value::from),
    ];
    let any_shape = leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            2 => vec((name.clone(), inner), 0..6).prop_map(object),
        ]
    });
    prop_oneof![any_shape.prop_map(|inner| inner), likely_insight(),]
}

/// A known shape with one of its parts put in place of another.
fn likely_insight() -> impl Strategy<Value = Value> {
    let shapes = vec![
        json!({"result": [{"label": "a", "aggregated_value": 1}, {"aggregated_value": null}]}),
        json!({"result": [{"label": "a", "days": ["2024-01-01", 2], "data": [1, null], "status": "new"}]}),
        json!({"result": [{"order": 0, "name": "a", "count": 9}, {"order": 1, "count": 0}]}),
        json!({"result": [[{"order": 0, "name": "a", "count": 9, "breakdown_value": ["x"]}]]}),
        json!({"result": [{"date": "2024-01-01", "label": "Day 0", "values": [{"count": 1}, {"count": 0}]}]}),
        json!({"result": [{"source": "1_/a", "target": "2_/b", "value": 3, "average_conversion_time": 1.5}]}),
        json!({"result": {"bins": [[0, 1], [60, 2]], "average_conversion_time": 30}}),
        json!({"columns": ["a", "b"], "results": [[1, 2], [3]], "hasMore": true, "hogql": "SELECT 1 LIMIT 101"}),
        json!({"result": null, "query_status": {"error": true, "error_message": "no", "complete": false, "id": "x"}}),
    ];
    (select(shapes), any::<proptest::sample::Index>(), any_json()).prop_map(
        |(mut shape, at, part)| {
            let mut all = Vec::new();
            pointers(&shape, "", &mut all);
            if let Some(slot) = shape.pointer_mut(at.get(&all[..]).as_str()) {
                *slot = part;
            }
            shape
        },
    )
}

fn pointers(value: &Value, here: &str, out: &mut Vec<String>) {
    out.push(here.to_owned());
    match value {
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(at, item)| pointers(item, &format!("{here}/{at}"), out));
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.for_each(|(name, field)| pointers(field, &format!("{here}/{name}"), out));
        }
        _ => {}
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// The rules once more, written another way
// ---------------------------------------------------------------------------------------------------------------------------

/// Runs `case` on that many inputs, times what `PROPTEST_CASES` says, and shows the smallest that fails.
fn check<S: Strategy>(cases: u32, inputs: &S, case: impl Fn(S::Value) -> TestCaseResult) {
    let defaults = Config::default();
    let config = Config {
        cases: u32::try_from(u64::from(cases) * u64::from(defaults.cases) / 256).unwrap(),
        failure_persistence: None,
        ..defaults
    };
    if let Err(failure) = TestRunner::new(config).run(inputs, case) {
        panic!("{failure}");
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn may_be_sent(name: &str, text: Option<&str>) -> bool {
    let reserved = matches!(name, "" | "token" | "api_key" | "personal_api_key");
    let no_filter = matches!(name, "short_id" | "distinct_id" | "email" | "search");
    !(reserved || no_filter && text == Some(""))
}

/// How long a text is in a query.
fn length(text: &str) -> usize {
    percent_encoded(text).len()
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").unwrap(),
        }
    }
    out
}

fn hex(pair: Option<&[u8]>) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let &[high, low] = pair? else { return None };
    Some(digit(high)? * 16 + digit(low)?)
}

/// Undoes percent-encoding as a server does: a `%` that begins no escape stays.
fn loosely_decoded(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let escape = hex(bytes.get(at + 1..at + 3)).filter(|_| byte == b'%');
        out.push(escape.unwrap_or(byte));
        at += if escape.is_some() { 3 } else { 1 };
    }
    out
}

/// The same for what came over the wire, where only whole escapes and visible ASCII may be.
fn strictly_decoded(text: &str) -> Result<Vec<u8>, TestCaseError> {
    prop_assert!(
        text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&b)),
        "{}",
        text
    );
    prop_assert!(escapes_are_whole(text), "{}", text);
    Ok(loosely_decoded(text))
}

fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).all(|at| bytes[at] != b'%' || hex(bytes.get(at + 1..at + 3)).is_some())
}

fn has_dot_segment(path: &str) -> bool {
    let path = loosely_decoded(path);
    path.split(|b| *b == b'/').any(|s| s == b"." || s == b"..")
}

fn has_placeholder(sql: &str, name: &str) -> bool {
    !name.is_empty()
        && sql.match_indices('{').any(|(at, _)| {
            let inside = sql[at + 1..].split('}').next().unwrap_or_default();
            inside.len() + at + 1 < sql.len() && inside.trim() == name && !inside.contains('{')
        })
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains("//")
        && !path.contains(['?', '#'])
        && escapes_are_whole(path)
        && !has_dot_segment(path)
}

/// Scheme, name and port of a host that the key may go to; nothing of one that must be refused.
fn origin(host: &str, allow_http: bool) -> Option<(String, String, u16)> {
    let (scheme, rest) = host.trim().split_once("://")?;
    let (scheme, rest) = (scheme.to_ascii_lowercase(), rest.to_ascii_lowercase());
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (name, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let port: u16 = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None if scheme == "https" => 443,
        None => 80,
    };
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_name = match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'))
        }
    };
    let address = v6.unwrap_or(name).parse::<IpAddr>();
    let loopback = name == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
    let path = path.trim_end_matches('/');
    let right = port > 0
        && is_name
        && !name.trim_end_matches('.').ends_with(".i.posthog.com")
        && (scheme == "https" || scheme == "http" && (allow_http || loopback))
        && !rest.contains(['?', '#'])
        && (path.is_empty() || is_path(path));
    right.then(|| (scheme, name.to_owned(), port))
}

fn from_bytes(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What is left of a value when it was written and read: the last digit of a float may differ.
fn reparsed(value: &Value) -> Value {
    parsed(&value.to_string())
}

/// Fails where an error shows the key in any way of printing it, as it is or escaped as URLs, JSON and `Debug` do.
fn hides_key(error: &Error, key: &str) -> TestCaseResult {
    let quoted = |text: &str| {
        let text = format!("{text:?}");
        text[1..text.len() - 1].to_owned()
    };
    let encoded = percent_encoded(key);
    let forms = [
        key.to_owned(),
        quoted(key),
        quoted(&quoted(key)),
        encoded.replace("%2F", "/"),
        encoded.to_lowercase(),
        encoded,
    ];
    for printed in
        [format!("{error}"), format!("{error:#}"), format!("{error:?}"), format!("{error:#?}")]
    {
        for form in &forms {
            prop_assert!(!printed.contains(form), "the key is in {}", printed);
        }
    }
    Ok(())
}

/// Fails where the key is anywhere but where this way of sending it has it: 2 is in the query.
fn carries_key_only_as(way: usize, seen: &Seen) -> TestCaseResult {
    let params = seen.params()?;
    let keyed = params.iter().filter(|(name, value)| {
        matches!(name.as_str(), "personal_api_key" | "token" | "api_key") || value.contains(KEY)
    });
    prop_assert_eq!(keyed.count(), usize::from(way == 2), "{}", seen.target);
    let path = String::from_utf8_lossy(&loosely_decoded(seen.path())).into_owned();
    prop_assert!(!path.contains(KEY), "{}", path);
    Ok(())
}

// ---------------------------------------------------------------------------------------------------------------------------
// The server
// ---------------------------------------------------------------------------------------------------------------------------

#[derive(Clone)]
struct Answer {
    bytes: Vec<u8>,
    /// Whether the connection ends behind it.
    close: bool,
}

fn ok(body: &str) -> Answer {
    answer(200, "Content-Type: application/json\r\n", body.as_bytes())
}

fn answer(status: u16, head: &str, body: &[u8]) -> Answer {
    raw(status, head.as_bytes(), body)
}

fn raw(status: u16, head: &[u8], body: &[u8]) -> Answer {
    let line = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    Answer { bytes: [line.as_bytes(), head, b"\r\n", body].concat(), close: false }
}

/// A request as it came.
#[derive(Debug)]
struct Seen {
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Seen {
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The parameters as a server decodes them: `+` is a space in a query.
    fn params(&self) -> Result<Vec<(String, String)>, TestCaseError> {
        let Some((_, query)) = self.target.split_once('?') else {
            return Ok(Vec::new());
        };
        let text = |part: &str| {
            let part = part.replace('+', " ").replace(' ', "%20");
            let bytes = strictly_decoded(&part)?;
            Ok::<_, TestCaseError>(String::from_utf8_lossy(&bytes).into_owned())
        };
        query
            .split('&')
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((text(name)?, text(value)?))
            })
            .collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct State {
    /// In their order; the last one again and again.
    answers: VecDeque<(Vec<u8>, bool)>,
    seen: Vec<Seen>,
    /// The origins that a connection was wanted to.
    asked: Vec<(String, String, u16)>,
}

/// A server that lives as long as its test, and the only one that its clients can find.
#[derive(Debug, Clone)]
struct Server {
    url: String,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server { url: format!("http://{address}"), address, state: Arc::default() };
        let state = Arc::clone(&server.state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || serve(stream, &state));
            }
        });
        server
    }

    fn builder(&self) -> ClientBuilder {
        self.builder_with(KEY)
    }

    fn builder_with(&self, key: &str) -> ClientBuilder {
        let config = Agent::config_builder().proxy(None).build();
        Client::builder(key)
            .host(&self.url)
            .agent(Agent::with_parts(config, DefaultConnector::default(), self.clone()))
            .retry(RetryPolicy::none())
            .timeout(Duration::from_secs(10))
    }

    fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers everything with this, and forgets what was.
    fn answer(&self, answer: &Answer) {
        self.answers(vec![answer.clone()]);
    }

    fn answers(&self, answers: Vec<Answer>) {
        let mut state = self.state();
        state.answers = answers.into_iter().map(|a| (a.bytes, a.close)).collect();
        state.seen.clear();
        state.asked.clear();
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }

    fn asked(&self) -> Vec<(String, String, u16)> {
        std::mem::take(&mut self.state().asked)
    }

    /// The one request of a call that is `right`; nothing of one that is not, which must be an [`Error::Config`].
    fn arrived<T: Debug>(
        &self,
        outcome: &Result<T, Error>,
        right: bool,
    ) -> Result<Option<Seen>, TestCaseError> {
        let mut seen = self.seen();
        if right {
            prop_assert!(outcome.is_ok(), "{:?}", outcome);
            prop_assert_eq!(seen.len(), 1, "{:?}", &seen);
            let names: Vec<&str> = seen[0].headers.iter().map(|(n, _)| n.as_str()).collect();
            let known = [
                "host",
                "user-agent",
                "accept",
                "accept-encoding",
                "authorization",
                "content-type",
                "content-length",
            ];
            prop_assert!(names.iter().all(|name| known.contains(name)), "{:?}", names);
            return Ok(seen.pop());
        }
        prop_assert!(matches!(outcome, Err(Error::Config(_))), "{:?}", outcome);
        prop_assert!(seen.is_empty(), "{:?}", seen);
        Ok(None)
    }

    fn stayed_home(&self) -> TestCaseResult {
        let home = ("http".to_owned(), "127.0.0.1".to_owned(), self.address.port());
        let asked = self.asked();
        prop_assert!(asked.iter().all(|origin| *origin == home), "{:?}", asked);
        Ok(())
    }
}

/// Asked before every connection that is made.
impl Resolver for Server {
    fn resolve(
        &self,
        uri: &Uri,
        _: &AgentConfig,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let scheme = uri.scheme_str().unwrap_or_default().to_owned();
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let name = uri.host().unwrap_or_default().to_owned();
        let home = scheme == "http" && name == "127.0.0.1" && port == self.address.port();
        self.state().asked.push((scheme, name, port));
        if !home {
            return Err(ureq::Error::HostNotFound);
        }
        let mut addresses = self.empty();
        addresses.push(self.address);
        Ok(addresses)
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end;
            }
            match stream.read(&mut chunk)? {
                0 => return Ok(()),
                n => buffer.extend_from_slice(&chunk[..n]),
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap_or((line, "")))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut seen = Seen {
            target: line.split(' ').nth(1).unwrap_or_default().to_owned(),
            headers,
            body: buffer.split_off(end + 4),
        };
        buffer.clear();
        let length = seen.header("content-length").map_or(0, |n| n.parse().unwrap());
        let mut rest = vec![0; length - seen.body.len()];
        stream.read_exact(&mut rest)?;
        seen.body.extend(rest);
        let (bytes, close) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.seen.push(seen);
            match state.answers.len() {
                0 => return Ok(()),
                1 => state.answers[0].clone(),
                _ => state.answers.pop_front().unwrap_or_default(),
            }
        };
        stream.write_all(&bytes)?;
        if close {
            return Ok(());
        }
    }
}
