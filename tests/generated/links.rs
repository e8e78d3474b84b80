//! Proves that a redirect and a `next` lead to where they point, within the origin and with all
//! parameters of the call, or are an error; and that none leads the key to another host.
use crate::KEY;
use crate::generate::*;
use crate::home::{Home, ok, raw};
use crate::rules::*;
use crate::support::{Act, Request, seen};
use crate::{check, share, vary};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use posthog_api::{Auth, ErrorKind};
use proptest::prelude::{Strategy, any};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq, prop_oneof};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn any_location_is_followed_within_the_origin_or_is_an_error_without_the_key() {
    let server = Home::start();
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
            prop_assert!(
                [ErrorKind::Redirect, ErrorKind::Config].contains(&error.kind()),
                "{}",
                error
            );
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
fn any_next_stays_on_the_path_of_the_list_or_is_an_error_without_the_key() {
    let server = Home::start();
    let client = [Auth::Bearer, Auth::Body, Auth::Query]
        .map(|auth| server.builder().auth(auth).build().unwrap());
    let next = prop_oneof![
        4 => link(&server).prop_map(|l| Value::from(String::from_utf8_lossy(&l).into_owned())),
        1 => any_json(),
    ];
    check(1_500, &(next, 0usize..3), |(next, way)| {
        server.answer(&ok(json!({"results": [1, 2], "next": next}).to_string()));
        let list = client[way].list("/api/x/").param("a", "b");
        let mut rows = list.items().take(10).collect::<Vec<_>>();
        match rows.pop() {
            Some(Err(error)) => {
                prop_assert!(
                    [ErrorKind::Paging, ErrorKind::Config].contains(&error.kind()),
                    "{}",
                    error
                );
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
        // The second page has the same `next`, so there is no third.
        prop_assert!((1..=2).contains(&seen.len()), "{} pages", seen.len());
        prop_assert_eq!(rows.len(), 2 * seen.len());
        for seen in seen {
            prop_assert_eq!(seen.path(), "/api/x/");
            carries_key_only_as(way, &seen)?;
        }
        Ok(())
    });
}

/// A place that a server names, and where it leads: the path, if the place is within the origin.
fn place(random: &mut Random, url: &str, from: &str) -> (String, Option<String>) {
    let address = url.strip_prefix("http://").unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let path = random.pick(&[
        "/api/y/",
        "/",
        "/api/projects/1/persons/",
        "/api/Environments/%31/y",
        "/api/projects/2/persons/",
        "/a%20b/%C3%A9",
        "/api/@current/z",
    ]);
    let folder = &from[..=from.rfind('/').unwrap()];
    let strange = match random.below(9) {
        0 => format!("https://{address}{path}"),
        1 => format!("http://{host}{path}"),
        2 => format!("http://{address}.evil.example{path}"),
        3 => format!("http://{address}@evil.example{path}"),
        4 => format!("//evil.example{path}"),
        5 => format!("http://evil.example/{address}{path}"),
        6 => format!("{}/../x/", path.trim_end_matches('/')),
        7 => format!("javascript://{address}{path}"),
        _ => format!("http://{host}:0{port}0{path}"),
    };
    match random.below(8) {
        0 | 1 => (path.to_owned(), Some(path.to_owned())),
        2 => (
            format!("{}://{address}{path}", random.pick(&["http", "HTTP", "hTTp"])),
            Some(path.to_owned()),
        ),
        3 => (format!("//{address}{path}"), Some(path.to_owned())),
        4 => (String::new(), Some(from.to_owned())),
        5 => ("y/z".to_owned(), Some(format!("{folder}y/z"))),
        6 => (url.to_owned(), Some("/".to_owned())),
        _ => (strange, None),
    }
}

type Pairs = BTreeMap<String, String>;

fn pairs(request: &Request) -> Pairs {
    request.params().into_iter().collect()
}

/// A query, and the pairs in it, without a key that it echoes.
fn query(random: &mut Random) -> (String, Pairs) {
    let mut found = Pairs::new();
    let mut text = Vec::new();
    for _ in 0..random.below(4) {
        let name =
            random.pick(&["offset", "é", "a b", "cursor", "token", "personal_api_key", "page"]);
        let value = random.pick(&["2", "", "x&y=z", "a+b c", "é\u{1f680}", "100%", "#"]);
        if found.contains_key(name) || text.iter().any(|(other, _)| *other == name) {
            continue;
        }
        text.push((name, value));
        if !["token", "personal_api_key"].contains(&name) {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let plus = random.one_in(2);
    let pair = |(name, value): (&str, &str)| {
        let pair = format!("{}={}", encode(name), encode(value));
        if plus { pair.replace("%20", "+") } else { pair }
    };
    let text: Vec<String> = text.into_iter().map(pair).collect();
    (text.join("&"), found)
}

#[test]
fn a_redirect_leads_to_where_it_points_or_is_an_error() {
    let server = Home::start();
    let client = server.plain();
    let (mut followed, mut refused) = (0, 0);
    vary(400, |random| {
        let from = random.pick(&["/api/projects/1/x/", "/api/projects/1/x/", "/api/x/"]);
        let (place, path) = place(random, &server.url, from);
        let (text, mut expected) = query(random);
        let location = match (text.as_str(), random.below(3)) {
            ("", _) => place,
            (text, 0) => format!("{place}?{text}#f?g"),
            (text, _) => format!("{place}?{text}"),
        };
        let status = random.pick(&[301, 302, 303, 307, 308]);
        server.answers(vec![Act::status(status).header("Location", &*location), ok("[1]")]);
        let got = client.get(from).param("search", "é b").send();
        let requests = server.seen();
        let may_lead = |to: &String| {
            !location.is_empty() && project_of(from).is_none_or(|own| project_of(to) == Some(own))
        };
        if let Some(path) = path.filter(may_lead) {
            assert_eq!(got.unwrap_or_else(|e| panic!("{location}: {e}")), json!([1]));
            assert_eq!(requests[1].path(), path, "{location}");
            expected.insert("search".to_owned(), "é b".to_owned());
            assert_eq!(pairs(&requests[1]), expected, "{location}");
            followed += 1;
        } else {
            assert_eq!(seen(got.unwrap_err()).kind(), ErrorKind::Redirect, "{location}");
            assert_eq!(requests.len(), 1, "{location}");
            refused += 1;
        }
    });
    assert!(
        followed > share(150) && refused > share(100),
        "{followed} followed, {refused} refused"
    );
}

#[test]
fn a_next_leads_to_the_query_that_it_has() {
    let server = Home::start();
    let client = server.plain();
    vary(400, |random| {
        let (mut place, _) = place(random, &server.url, "/api/x/");
        if random.one_in(3) {
            place = change_text(random, &place, &["/", ":", "@", "..", "%2e", "\\", "é", " "]);
            place = place.replace(['?', '#'], "");
        }
        let (text, mut expected) = query(random);
        let next = format!("{place}?{text}");
        let first = json!({"results": [{"id": 1}], "next": next}).to_string();
        let last = json!({"results": [{"id": 2}], "next": null}).to_string();
        server.answers(vec![ok(first), ok(last)]);
        let walk = client.list("/api/x/").param("search", "é b").prefetch(random.below(2));
        let rows: Vec<posthog_api::Result<Value>> = walk.items().collect();
        let requests = server.seen();
        assert!(requests.iter().all(|request| request.path() == "/api/x/"), "{next}");
        if expected.is_empty() {
            let error = rows.into_iter().next_back().unwrap().unwrap_err();
            assert_eq!(seen(error).kind(), ErrorKind::Paging, "{next}");
            assert_eq!(requests.len(), 1, "{next}");
            return;
        }
        assert!(rows.len() == 2 && rows.iter().all(Result::is_ok), "{next}: {rows:?}");
        expected.insert("search".to_owned(), "é b".to_owned());
        assert_eq!(pairs(&requests[1]), expected, "{next}");
    });
}
