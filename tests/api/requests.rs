//! Proves that a request is sent complete with every method, and how its answer is read.
use crate::support::expect::decode;
use crate::support::{Act, KEY, Server, Way, builder, client, error};
use crate::wire::{Thing, get, ids, refused, sent, whole, whole_of};
use posthog_api::Auth;
use serde_json::{Value, json};

#[test]
fn a_request_is_sent_complete_with_every_method() {
    let body = json!({"name": "A \"b\" é", "deleted": true, "n": u64::MAX});
    let text = r#"{"deleted":true,"n":18446744073709551615,"name":"A \"b\" é"}"#;
    for (method, with_body) in [
        ("GET", false),
        ("DELETE", false),
        ("POST", true),
        ("PUT", true),
        ("PATCH", true),
        ("POST", false),
        ("PUT", false),
        ("PATCH", false),
        ("DELETE", true),
    ] {
        let script = Server::answers(&[json!({"id": 1})]);
        let client = client(&script);
        let path = "/api/projects/1/things/7/";
        let request = match method {
            "GET" => client.get(path),
            "POST" => client.post(path),
            "PUT" => client.put(path),
            "PATCH" => client.patch(path),
            _ => client.delete(path),
        };
        let request = if with_body { request.json(&body) } else { request };
        assert_eq!(request.param("a", 1).send().unwrap(), json!({"id": 1}));
        let text = if with_body { text } else { "" };
        assert_eq!(sent(&script), whole(method, &format!("{path}?a=1"), true, text));
    }
}

#[test]
fn the_key_can_be_sent_in_the_body_or_the_query_with_every_method() {
    let path = "/api/projects/1/things/";
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        for (given, with_key) in [
            (None, format!(r#"{{"personal_api_key":"{KEY}"}}"#)),
            (Some(json!({})), format!(r#"{{"personal_api_key":"{KEY}"}}"#)),
            (
                Some(json!({"a": 1, "z": [{}]})),
                format!(r#"{{"personal_api_key":"{KEY}","a":1,"z":[{{}}]}}"#),
            ),
        ] {
            for auth in [Auth::Body, Auth::Query] {
                let way = if auth == Auth::Body { Way::Body } else { Way::Query };
                let script = Server::answers(&[json!({})]).expects(way);
                let client = builder(script.url()).auth(auth).build().unwrap();
                let project = client.project(1);
                let request = match method {
                    "GET" => project.get("things/"),
                    "POST" => project.post("things/"),
                    "PUT" => project.put("things/"),
                    "PATCH" => project.patch("things/"),
                    _ => project.delete("things/"),
                };
                let request = match &given {
                    Some(body) => request.json(body),
                    None => request,
                };
                request.param("b", 2).send().unwrap();
                let plain = given.as_ref().map_or(String::new(), Value::to_string);
                let expected = if auth == Auth::Body {
                    whole(method, &format!("{path}?b=2"), false, &with_key)
                } else {
                    let target = format!("{path}?b=2&personal_api_key={KEY}");
                    whole(method, &target, false, &plain)
                };
                assert_eq!(sent(&script), expected, "{auth:?}");
            }
        }
    }
    // Bodies that cannot carry the key.
    let script = Server::script([]);
    let client = builder(script.url()).auth(Auth::Body).build().unwrap();
    for body in [json!([1]), json!("text"), json!(null), json!(7)] {
        refused(client.project(1).post("things/").json(&body).send());
    }
    assert_eq!(script.count(), 0);
}

#[test]
fn the_path_of_the_host_and_the_user_agent_of_the_caller_are_sent() {
    let script = Server::answers(&[
        json!({"results": ids(1..=2), "next": "http://in.example/elsewhere/api/projects/1/things/?offset=2"}),
        json!({"results": ids(3..=3), "next": null}),
    ]);
    let host = format!("{}/posthog/eu/", script.url());
    let client = builder(host).user_agent("my-tool/1.2 (x; y)").build().unwrap();
    assert_eq!(client.project(1).list("things").all().unwrap().len(), 3);
    let asked: Vec<String> = script.all_requests().iter().map(whole_of).collect();
    let named = |target: &str| {
        get(&format!("/posthog/eu/api/projects/1/things/{target}"))
            .replace("user-agent: ", "user-agent: my-tool/1.2 (x; y) ")
    };
    assert_eq!(asked, [named(""), named("?offset=2")]);
}

#[test]
fn an_answer_is_read_as_json_as_a_type_or_as_text() {
    let answer = |status, body: &str| {
        Server::script(vec![Act::status(status).body("application/json", body)])
    };
    let script = answer(200, r#"{"id": 5, "more": [1]}"#);
    assert_eq!(client(&script).project(1).get("x/").send_as::<Thing>().unwrap(), Thing { id: 5 });
    assert_eq!(sent(&script), get("/api/projects/1/x/"));

    // A success without a body is null, whatever its status.
    for status in [200, 201, 202, 204] {
        assert_eq!(
            client(&answer(status, "")).project(1).delete("x/7/").send().unwrap(),
            Value::Null
        );
        assert_eq!(
            client(&answer(status, "")).project(1).post("x/").send_as::<Option<Thing>>().unwrap(),
            None
        );
        let server = answer(status, "");
        let failed = error(client(&server).project(1).patch("x/").send_as::<Thing>());
        decode(&failed);
        assert_eq!(failed.status(), Some(status));
        assert_eq!(client(&answer(status, "")).project(1).get("x/").text().unwrap(), "");
    }
    let text = "id,name\r\n1,\"é, \"\"x\"\"\"\r\n";
    let script = Server::script(vec![Act::status(200).body("text/csv", text)]);
    assert_eq!(
        client(&script).project(1).get("persons/").param("format", "csv").text().unwrap(),
        text
    );
    let accepts_all = get("/api/projects/1/persons/?format=csv")
        .replace("accept: application/json", "accept: */*")
        .replace("accept-encoding: gzip", "accept-encoding: identity");
    assert_eq!(sent(&script), accepts_all);

    for (body, why) in [
        ("<html>", "expected value"),
        ("{\"id\": ", "EOF"),
        ("{\"id\": 1} x", "trailing"),
        ("{\"id\": \"x\"}", "invalid type"),
    ] {
        let server = answer(200, body);
        let failed = error(client(&server).project(1).get("x/").send_as::<Thing>());
        assert_eq!((failed.status(), decode(&failed).body()), (Some(200), Some(body)));
        for word in [why, "GET /api/projects/1/x/", "200", "application/json"] {
            assert!(failed.to_string().contains(word), "no {word} in {failed}");
        }
    }
}

#[test]
fn a_body_is_returned_as_bytes_only_where_it_is_complete() {
    let bytes = b"PK\x03\x04\xff\xfe\0".to_vec();
    let answer = |act: Act| client(&Server::script([act])).get("/api/x/").response().unwrap();
    let file = || Act::status(200).body("application/zip", bytes.clone());
    assert_eq!(answer(file()).bytes().unwrap(), bytes);
    for (act, why) in [
        (file().unframed(), "length"),
        (Act::status(200).body("text/html", "<p>log in</p>"), "web page"),
        (Act::status(200).body("application/zip", "<!doctype html><p>"), "web page"),
    ] {
        let e = error(answer(act).bytes());
        assert!(decode(&e).message().contains(why), "{e}");
    }
}

#[test]
fn lines_of_json_are_read_as_text() {
    let lines = "{\"a\": 1}\n{\"a\": 2}\n";
    for (kind, hint) in [
        ("application/jsonl", true),
        ("application/x-ndjson; charset=utf-8", true),
        ("text/csv", true),
        ("application/json", false),
    ] {
        let act = || Act::status(200).body(kind, lines);
        let server = Server::script([act(), act()]);
        let e = error(client(&server).get("/api/x/").send());
        assert_eq!(decode(&e).hint().is_some_and(|hint| hint.contains("text()")), hint, "{e}");
        assert_eq!(client(&server).get("/api/x/").text().unwrap(), lines);
    }
}
