//! Proves that what a caller gives arrives at the server unchanged, or is refused before anything
//! is sent.
use crate::support::expect::{config, not_found};
use crate::support::{
    AT_ONCE, Act, KEY, REFUSED, Server, TIMEOUT, agent, builder, client, decode, error, error_in,
    shows_key, together, within,
};
use posthog_api::{Auth, Client, InsightId, PersonFilter};
use serde_json::{Value, json};

/// Answers every request with an empty page.
fn quiet() -> Server {
    Server::start(|_, _| Act::page(&json!([]), &Value::Null))
}

/// Texts that something between the caller and the server could misread.
fn odd_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        " ",
        "  a  ",
        "a b",
        "a+b",
        "a%20b",
        "%",
        "%%",
        "%zz",
        "%00",
        "&",
        "a&b=c",
        "=",
        "?",
        "#",
        "a#b?c",
        "/",
        "//",
        "\\",
        "\"",
        "'",
        "`",
        "\0",
        "a\0b",
        "\n",
        "a\r\nX-Evil: 1",
        "\t",
        "\u{7f}",
        "caf\u{e9}",
        "e\u{301}",
        "\u{1f600}",
        "\u{202e}abc",
        "\u{feff}",
        "\u{fffd}",
        "日本語",
        "null",
        "true",
        "0",
        "[]",
        "{}",
        "{\"a\":1}",
        "<script>",
        "';--",
        "$__proto__",
        "..",
        ".",
        "...",
        "%2e%2e",
        "@current",
        "*",
        "~",
        "(",
        ";",
        "|",
        "^",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("x".repeat(8_000));
    texts.push("é".repeat(4_000));
    texts
}

#[test]
fn an_impossible_key_is_refused_and_not_shown() {
    let server = Server::script([]);
    for (name, key) in [
        ("nothing", ""),
        ("spaces", "   "),
        ("a line end", "\r\n"),
        ("a line end within", "phx_Zz1\r\nX-Evil: 1"),
        ("a space within", "phx_Zz1 Zz2"),
        ("a tab within", "phx_Zz1\tZz2"),
        ("NUL", "phx_Zz1\0"),
        ("DEL", "phx_Zz1\u{7f}"),
        ("an accent", "phx_Zz1\u{e9}"),
        ("an emoji", "phx_Zz1\u{1f600}"),
        ("a space of no width", "phx_Zz1\u{200b}"),
        ("a byte order mark", "\u{feff}phx_Zz1"),
        ("a project key", "phc_Zz1"),
        ("a project key in spaces", " phc_Zz1 "),
        ("the header's own word", "Bearer phx_Zz1"),
    ] {
        let built = Client::builder(key).host(server.url()).agent(agent()).build();
        let failed = error_in(name, built);
        config(&failed);
        let words = format!("{failed} {failed:#} {failed:?}");
        assert!(!words.contains("Zz1"), "{name}: {words}");
    }
}

#[test]
fn a_key_from_a_file_loses_its_line_end() {
    let server = quiet();
    for key in [format!("{KEY}\n"), format!(" {KEY}\r\n"), format!("\t{KEY} ")] {
        let client = Client::builder(key).host(server.url()).agent(agent());
        client.build().unwrap().me().unwrap();
    }
    assert_eq!(server.count(), 3);
}

#[test]
fn debug_output_does_not_show_the_key() {
    let server = quiet();
    for auth in [Auth::Bearer, Auth::Body, Auth::Query] {
        let builder = builder("https://us.posthog.com").auth(auth);
        let mut words = vec![format!("{builder:?} {builder:#?}")];
        let client = builder.build().unwrap();
        let project = client.project(1);
        words.push(format!("{client:?} {project:?} {client:#?}"));
        words.push(format!("{:?}", client.get("/api/x/").param("a", "b")));
        words.push(format!("{:?}", client.post("/api/x/").json(json!({"a": 1}))));
        words.push(format!("{:?} {:?}", project.persons(), project.insights()));
        words.push(format!("{:?}", project.list("x").pages()));
        words.push(format!("{:?}", project.list("x").items()));
        words.push(format!("{:?}", project.hogql("SELECT 1")));
        words.push(format!("{:?}", project.hogql("SELECT k FROM e").scan("k")));
        for words in words {
            assert!(!shows_key(words.as_bytes()), "{words}");
        }
    }
    let mut items = client(&server).project(1).list("x").items();
    assert!(items.next().is_none());
    assert!(!shows_key(format!("{items:?}").as_bytes()));
}

#[test]
fn a_key_in_a_path_name_value_or_sql_is_not_shown() {
    let client = builder(REFUSED).build().unwrap();
    let project = client.project(1);
    for failed in [
        error(client.get(format!("/api/{KEY}/")).send()),
        error(client.get(format!("/api/{KEY}?a=b")).send()),
        error(client.get(KEY).send()),
        error(client.post(format!("/api//{KEY}")).text()),
        error(client.list(format!("/api/{KEY}/")).all()),
        error(project.get(format!("/{KEY}/")).send()),
        error(project.list(KEY).first()),
        error(project.person(KEY)),
        error(client.get("/api/x/").param("a", KEY).send()),
        error(project.persons().email(KEY).all()),
        error(project.hogql("SELECT 1").value(KEY, 1).send()),
        error(project.query(KEY).send()),
        error(project.hogql(format!("SELECT {KEY} LIMIT 1")).rows()),
    ] {
        assert!(failed.status().is_none());
    }
}

#[test]
fn a_key_given_as_the_name_of_a_project_is_not_shown() {
    let server = Server::script([Act::page(&json!([{"id": 1, "name": "Main"}]), &Value::Null)]);
    let failed = error(client(&server).project_named(KEY));
    assert!(config(&failed).contains("Main"), "{failed}");
}

#[test]
fn a_key_given_as_the_host_is_not_shown() {
    for host in [
        KEY.to_owned(),
        format!("https://{KEY}:x@h"),
        format!("https://h/?personal_api_key={KEY}"),
        format!("{KEY}\n"),
        format!(" {KEY} "),
    ] {
        let built = Client::builder(KEY).host(host).build();
        config(&error(built));
        // Key and host swapped.
        let swapped = Client::builder("https://us.posthog.com").host(KEY).build();
        config(&error(swapped));
    }
}

#[test]
fn an_impossible_host_is_refused() {
    for (name, host) in [
        ("nothing", ""),
        ("a space", " "),
        ("no scheme", "us.posthog.com"),
        ("no scheme, a port", "localhost:8000"),
        ("one slash", "https:/us.posthog.com"),
        ("another scheme", "ftp://us.posthog.com"),
        ("a scheme alone", "https://"),
        ("a path alone", "https:///api"),
        ("a user", "https://me@us.posthog.com"),
        ("a user and a password", "https://me:secret@us.posthog.com"),
        ("a query", "https://us.posthog.com?a=b"),
        ("a query of nothing", "https://us.posthog.com/?"),
        ("a fragment", "https://us.posthog.com/#insights"),
        ("port 0", "https://us.posthog.com:0"),
        ("a port too large", "https://us.posthog.com:65536"),
        ("a port with a sign", "https://us.posthog.com:+443"),
        ("a port of letters", "https://us.posthog.com:https"),
        ("two ports", "https://us.posthog.com:1:2"),
        ("an open bracket", "https://[::1"),
        ("an address that is none", "https://[::zz]"),
        ("something behind the bracket", "https://[::1]x"),
        ("an address with a zone", "https://[fe80::1%25eth0]"),
        ("an accent", "https://caf\u{e9}.example"),
        ("a line end", "https://us.posthog.com\r\nX-Evil: 1"),
        ("NUL", "https://us.posthog.com\0"),
        ("a space within", "https://us.posthog .com"),
        ("a backslash", "https://us.posthog.com\\@evil.example"),
        ("a percent sign", "https://us%2eposthog.com"),
        ("dots", "https://h/a/../b"),
        ("encoded dots", "https://h/%2e%2e/b"),
        ("two slashes", "https://h//a"),
        ("a percent sign in the path", "https://h/a%zz"),
        ("US ingestion", "https://us.i.posthog.com"),
        ("EU ingestion", "https://eu.i.posthog.com/"),
        ("ingestion in capitals", "HTTPS://US.I.PostHog.com"),
        ("assets", "https://us-assets.i.posthog.com"),
        ("plain http", "http://posthog.example"),
        ("plain http to a private address", "http://10.0.0.1:8000"),
        ("plain http to a name like this machine's", "http://localhost.example"),
        ("plain http to an address like this machine's", "http://127.0.0.1.example"),
        ("plain http to all addresses", "http://0.0.0.0:8000"),
    ] {
        let built = Client::builder(KEY).host(host).build();
        let failed = error_in(name, built);
        assert!(!config(&failed).contains("secret"), "{name}: {failed}");
    }
}

#[test]
fn an_ingestion_host_with_a_dot_at_its_end_is_refused() {
    config(&error(Client::builder(KEY).host("https://us.i.posthog.com.").build()));
}

#[test]
fn a_valid_host_is_the_one_that_gets_the_request() {
    let server = quiet();
    let port = server.address().port();
    for (name, host, path) in [
        ("as it is", format!("http://127.0.0.1:{port}"), "/api/users/@me/"),
        ("a slash", format!("http://127.0.0.1:{port}/"), "/api/users/@me/"),
        ("slashes", format!("http://127.0.0.1:{port}///"), "/api/users/@me/"),
        ("spaces around it", format!("  http://127.0.0.1:{port}\n"), "/api/users/@me/"),
        ("capitals", format!("HTTP://127.0.0.1:{port}"), "/api/users/@me/"),
        ("zeros before the port", format!("http://127.0.0.1:0{port}"), "/api/users/@me/"),
        ("a sub-path", format!("http://127.0.0.1:{port}/a/b"), "/a/b/api/users/@me/"),
        ("a sub-path with a slash", format!("http://127.0.0.1:{port}/a/b/"), "/a/b/api/users/@me/"),
        (
            "a sub-path with a space",
            format!("http://127.0.0.1:{port}/a b"),
            "/a%20b/api/users/@me/",
        ),
    ] {
        let client = builder(host).build();
        client.unwrap_or_else(|e| panic!("{name}: {e}")).me().unwrap();
        assert_eq!(server.requests().last().unwrap().target, path, "{name}");
    }
}

#[test]
fn an_ipv6_address_is_a_valid_host() {
    let Ok(server) = Server::on("[::1]:0", None, |_, _| Act::status(204)) else {
        return; // this machine has no IPv6
    };
    builder(server.url()).build().unwrap().me().unwrap();
    assert_eq!(server.count(), 1);
}

#[test]
fn localhost_is_a_valid_host_without_tls() {
    let Ok(server) = Server::on("localhost:0", None, |_, _| Act::status(204)) else {
        return; // this machine does not know the name
    };
    let port = server.address().port();
    let server = server.named(&format!("localhost:{port}"));
    let client = builder(format!("http://LocalHost:{port}")).build();
    client.unwrap().me().unwrap();
    assert_eq!(server.count(), 1);
}

#[test]
fn a_path_to_another_place_is_refused() {
    let server = Server::script([]);
    let client = client(&server);
    for path in [
        "",
        " ",
        "api/x/",
        "https://evil.example/api/",
        "//evil.example/api/",
        "/api//x/",
        "/api/x//",
        "/api/./x/",
        "/api/../x/",
        "/..",
        "/.",
        "/api/%2e%2e/x/",
        "/api/%2E%2e/x/",
        "/api/.%2e/x/",
        "/api/%2e/x/",
        "/api/x/?a=b",
        "/api/x/?",
        "/api/x/#a",
        "/api/x%",
        "/api/x%2",
        "/api/x%zz/",
        "/api/\u{1f600}%/",
    ] {
        for request in [client.get(path), client.post(path), client.delete(path)] {
            config(&error_in(path, request.send()));
        }
        config(&error_in(path, client.list(path).all()));
    }
}

#[test]
fn a_path_out_of_the_project_is_refused() {
    let server = Server::script([]);
    let project = client(&server).project(7);
    for path in [
        "/api/users/@me/",
        "/",
        "//evil.example/",
        "../8/persons/",
        "persons/../../8/",
        "%2e%2e/8/",
        "persons//",
        "persons/?a=b",
        "persons/#a",
        "./persons/",
    ] {
        for request in [project.get(path), project.put(path), project.patch(path)] {
            config(&error_in(path, request.send()));
        }
        config(&error_in(path, project.list(path).all()));
    }
    config(&error(project.list("").all()));
    config(&error(client(&server).project(0).insights().all()));
}

#[test]
fn a_path_with_special_characters_arrives_encoded() {
    let server = quiet();
    let client = client(&server);
    for (path, target) in [
        ("/api/x/", "/api/x/"),
        ("/api/x", "/api/x"),
        ("/", "/"),
        ("/api/x y/", "/api/x%20y/"),
        ("/api/caf\u{e9}/\u{1f600}/", "/api/caf%C3%A9/%F0%9F%98%80/"),
        ("/api/a%2Fb/", "/api/a%2Fb/"),
        ("/api/\0\r\n\u{7f}/", "/api/%00%0D%0A%7F/"),
        ("/api/.../..x/x../", "/api/.../..x/x../"),
        ("/api/@me/a:b;c=d,e!$&'()*+/", "/api/@me/a:b;c=d,e!$&'()*+/"),
        ("/api/\"<>\\^`{|}[]/", "/api/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D/"),
    ] {
        client.get(path).send().unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(server.requests().last().unwrap().target, target);
    }
}

#[test]
fn only_a_number_or_a_uuid_is_the_id_of_a_person() {
    let server = Server::start(|_, _| Act::status(204));
    let project = client(&server).project(1);
    let numbers = ["0", "30"].map(str::to_owned);
    let uuids = ["0190f3a8-0000-7000-8000-00000000000A", "0190f3a8000070008000000000000000"];
    for id in numbers.into_iter().chain(uuids.map(str::to_owned)) {
        project.person(&id).unwrap();
        let sent = server.take_requests().pop().unwrap();
        assert_eq!(sent.target, format!("/api/projects/1/persons/{id}/"));
    }
    for id in odd_texts().into_iter().filter(|id| id.trim() != "0") {
        config(&error_in(&id, project.person(&id)));
    }
    config(&error(project.person("")));
    assert_eq!(server.take_requests().len(), 0);
}

#[test]
fn a_path_that_leads_elsewhere_after_decoding_is_refused() {
    let server = Server::script([]);
    let client = client(&server);
    for path in [
        "/api/..%2fx/",
        "/api/%2e%2e%2Fx/",
        "/api/x%2f..%2f..%2fy/",
        "/api/x%2F.%2Fy/",
        "/api/x/..%2f",
    ] {
        config(&error_in(path, client.get(path).send()));
        let relative = path.trim_start_matches('/');
        config(&error_in(path, client.project(1).get(relative).send()));
    }
}

#[test]
fn a_host_of_70000_characters_is_refused() {
    let long = format!("https://{}.example", "h".repeat(70_000));
    let called = builder(long).build().and_then(|client| client.me());
    config(&error(called));
}

#[test]
fn an_id_with_dot_segments_is_refused() {
    // It is one segment on the wire, but servers and proxies decode a path before they split it.
    let server = Server::script([]);
    let project = client(&server).project(1);
    for id in ["../8", "../../users/@me", "a/../../b", "..\u{2f}", "%2e%2e%2f8", "a/.."] {
        config(&error_in(id, project.person(id)));
    }
}

#[test]
fn a_url_of_70000_characters_is_refused() {
    let server = Server::script([]);
    let client = client(&server);
    let project = client.project(1);
    let long = "é".repeat(70_000);
    let advised = |failed: &posthog_api::Error| {
        assert!(config(failed).contains("HogQL"), "{failed}");
    };
    advised(&error(client.get(format!("/api/{long}/")).send()));
    advised(&error(client.get("/api/x/").param("a", &long).send()));
    advised(&error(client.get("/api/x/").param(&long, "a").send()));
    advised(&error(project.person_by_distinct_id(&long)));
    advised(&error(project.insight("e".repeat(70_000))));
    advised(&error(project.persons().search(&long).all()));
    let filter = PersonFilter::property("a").exact([&long]);
    advised(&error(project.persons().filter(filter).all()));
    let megabyte = "x".repeat(1 << 20);
    advised(&error(project.persons().email(&megabyte).first()));
}

#[test]
fn the_longest_url_that_fits_is_sent() {
    let server = quiet();
    let client = client(&server);
    let fixed = format!("{}/api/x/?a=", server.url()).len();
    for (n, fits) in [(65_534 - fixed, true), (65_535 - fixed, false)] {
        let got = client.get("/api/x/").param("a", "x".repeat(n)).send();
        assert_eq!(got.is_ok(), fits, "{n}");
    }
    assert_eq!(server.requests()[0].param("a").unwrap().len(), 65_534 - fixed);
}

#[test]
fn the_longest_url_that_fits_is_sent_by_the_clients_own_agent() {
    let server = quiet();
    let client = Client::builder(KEY).host(server.url()).build().unwrap();
    let fixed = format!("{}/api/x/?a=", server.url()).len();
    let long = "x".repeat(65_534 - fixed);
    for request in [client.get("/api/x/"), client.delete("/api/x/"), client.patch("/api/x/")] {
        request.param("a", &long).send().unwrap();
    }
    for request in server.requests() {
        assert_eq!(request.param("a").unwrap().len(), long.len());
    }
}

#[test]
fn a_key_or_user_agent_too_long_for_a_header_ends_in_time() {
    let server = quiet();
    let keys = [20_000, 64 * 1024, 130_000, 200_000].map(|n| (n, true));
    let agents = [20_000, 64 * 1024, 130_000, 1_000_000].map(|n| (n, false));
    together(keys.into_iter().chain(agents), |(n, is_key)| {
        let long = "x".repeat(n);
        let builder = if is_key {
            Client::builder(format!("phx_{long}"))
        } else {
            Client::builder(KEY).user_agent(long)
        };
        let built = builder.host(server.url()).timeout(TIMEOUT).build();
        let got = within(AT_ONCE, || built.and_then(|client| client.me()));
        if let Err(failed) = got {
            assert!(!failed.to_string().contains("xxxxxxxx"), "{failed}");
            assert!(n > 20_000, "{failed}");
        }
    });
}

#[test]
fn a_float_that_json_cannot_hold_is_refused_as_a_parameter_a_value_and_a_filter() {
    let server = Server::script([]);
    let client = client(&server);
    let project = client.project(1);
    let sql = || project.hogql("SELECT {a} AS k FROM t");
    let property = || PersonFilter::property("p");
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (name, given) in [("alone", vec![value]), ("behind others", vec![1.0, value])] {
            for failed in [
                error_in(name, client.get("/x/").param("a", given.as_slice()).send()),
                error_in(name, client.get("/x/").param("a", value).send()),
                error_in(name, project.list("x").param("a", &given).all()),
                error_in(name, sql().value("a", value).send()),
                error_in(name, sql().value("a", &given).send()),
                error_in(name, sql().scan("k").after(value).into_iter().next().unwrap()),
                error_in(name, project.persons().filter(property().exact(value)).all()),
                error_in(name, project.persons().filter(property().is_not(&given)).all()),
                error_in(name, project.persons().filter(property().gt(value)).all()),
                error_in(name, project.persons().filter(property().lte(value)).all()),
            ] {
                config(&failed);
            }
        }
    }
}

#[test]
fn a_megabyte_in_a_body_is_sent() {
    let server = quiet();
    let body = json!({"text": format!("é\0\u{1f600}\"{}", "x".repeat(1 << 20))});
    client(&server).post("/api/x/").json(&body).send().unwrap();
    assert_eq!(server.requests()[0].json(), body);
}

#[test]
fn parameters_arrive_as_the_same_text() {
    let server = quiet();
    let client = client(&server);
    for text in odd_texts() {
        let request = client.get("/api/x/").param("p", &text).param(&text, "v");
        request.send().unwrap();
        let sent = server.requests().pop().unwrap();
        let (first, second) = sent.query().split_once('&').unwrap();
        assert_eq!(decode(first.strip_prefix("p=").unwrap()), text);
        assert_eq!(decode(second.strip_suffix("=v").unwrap()), text);
        let raw = &sent.target;
        assert!(raw.bytes().all(|b| b.is_ascii_graphic()) && !raw.contains('+'), "{raw}");
    }
}

#[test]
fn texts_of_a_list_arrive_as_the_same_text() {
    let server = quiet();
    let project = client(&server).project(1);
    for text in odd_texts() {
        for (name, list) in [
            ("search", project.persons().search(&text)),
            ("email", project.persons().email(&text)),
            ("distinct_id", project.persons().distinct_id(&text)),
        ] {
            list.all().unwrap();
            assert_eq!(server.requests().pop().unwrap().param(name), Some(text.clone()));
        }
        project.insights().search(&text).all().unwrap();
        assert_eq!(server.requests().pop().unwrap().param("search"), Some(text.clone()));
        let found = error(project.insight(InsightId::short_id(&text)));
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            not_found(&found);
            assert_eq!(server.requests().pop().unwrap().param("short_id"), Some(text.clone()));
        } else {
            config(&found);
        }
        project.person_by_distinct_id(&text).unwrap();
        assert_eq!(server.requests().pop().unwrap().param("distinct_id"), Some(text));
    }
}

/// Text as it stands in JSON: servers compare that.
fn in_json(text: &str) -> String {
    let json = json!(text).to_string();
    json[1..json.len() - 1].to_owned()
}

#[test]
fn values_of_filters_arrive_as_the_same_text() {
    let server = quiet();
    let project = client(&server).project(1);
    for text in odd_texts() {
        let filter = PersonFilter::property(&text).icontains(&text);
        if text.contains('\\') {
            // Servers read the backslash as an escape.
            config(&error(project.persons().filter(filter).all()));
            continue;
        }
        project.persons().filter(filter).all().unwrap();
        let sent = server.requests().pop().unwrap().param("properties").unwrap();
        let sent: Value = serde_json::from_str(&sent).unwrap();
        assert_eq!(
            sent,
            json!([{"key": text, "value": in_json(&text), "operator": "icontains", "type": "person"}])
        );
    }
}

#[test]
fn values_of_queries_arrive_as_the_same_text() {
    let server = Server::start(|_, _| Act::json(200, &json!({"columns": [], "results": []})));
    let project = client(&server).project(1);
    for text in odd_texts() {
        let query = project.hogql("SELECT {v} LIMIT 1").value("v", &text);
        query.send().unwrap();
        let sent = server.requests().pop().unwrap().json();
        assert_eq!(sent["query"]["values"]["v"], text);
        assert_eq!(sent["query"]["query"], "SELECT {v} LIMIT 1");
    }
}

#[test]
fn an_empty_search_or_lookup_is_refused() {
    let server = Server::script([]);
    let project = client(&server).project(1);
    config(&error(project.insight("")));
    config(&error(project.person_by_distinct_id("")));
    config(&error(project.persons().email("").all()));
    config(&error(project.persons().search("").first()));
    config(&error(project.persons().distinct_id("").page()));
    config(&error(project.insights().search("").all()));
}
