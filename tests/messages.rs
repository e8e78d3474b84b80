//! Proves that every error message is the one in `tests/messages.txt`, which holds them all to be read
//! side by side. Each comes from a call to a server or to a reader.
//!
//! `UPDATE_MESSAGES=1 cargo test --test messages` writes the file again.

#[path = "support/mod.rs"]
mod support;

use std::fmt::{Debug, Write as _};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use posthog_api::{
    Auth, Client, Error, InsightId, PersonFilter, PersonProperty, Refresh, Result,
    aggregated_value, insight, read,
};
use serde_json::{Value, json};
use support::{Act, End, REFUSED, Server, agent, builder, client, hasty, seen};

/// The messages, by heading.
#[derive(Default)]
struct Messages {
    text: String,
}

impl Messages {
    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.text, "\n{text}\n");
    }

    #[track_caller]
    fn add<T: Debug>(&mut self, name: &str, result: Result<T>) {
        let error = match result {
            Err(error) => seen(error),
            Ok(value) => panic!("{name}: no error, but {value:?}"),
        };
        let line = error.to_string();
        assert_eq!(line.lines().count(), 1, "{name}: {line}");
        let _ = writeln!(self.text, "- {name}\n  {line}");
    }

    /// The error of a GET that is answered in this way.
    #[track_caller]
    fn answered(&mut self, name: &str, act: Act) {
        // A read whose connection broke at once is sent once more.
        let server = Server::script([act.clone(), act]);
        let error = hasty(&server).get("/api/x/").send().map_err(|e| local(&e, &server));
        self.add_text(name, error);
    }

    /// The error of a call to a server whose address is not the same twice.
    #[track_caller]
    fn add_text<T: Debug>(&mut self, name: &str, result: std::result::Result<T, String>) {
        let line = result.map(|value| format!("{value:?}")).expect_err(name);
        let _ = writeln!(self.text, "- {name}\n  {line}");
    }
}

/// The message with a fixed name in place of the server's address.
fn local(error: &Error, server: &Server) -> String {
    support::check_error(error);
    error.to_string().replace(&server.url(), "http://127.0.0.1:8000")
}

fn offline() -> Client {
    builder("http://127.0.0.1:1").build().unwrap()
}

fn builders(m: &mut Messages) {
    m.heading("# Clients");
    let build = |key: &str, host: &str| Client::builder(key).host(host).build();
    let host = |host: &str| build(support::KEY, host);
    m.add("an empty key", build("", posthog_api::US));
    m.add("a project token", build("phc_abc", posthog_api::US));
    m.add("a key with a space", build("phx_a b", posthog_api::US));
    m.add("an empty host", host(" "));
    m.add("a host without a scheme", host("posthog.example"));
    m.add("a host with a query", host("https://posthog.example?a=b"));
    m.add("a host with a user", host("https://me@posthog.example"));
    m.add("a host with a bad port", host("https://posthog.example:99999"));
    m.add("the host that receives events", host("https://eu.i.posthog.com"));
    m.add("a host with a project", host("https://us.posthog.com/project/1"));
    m.add("plain http", host("http://posthog.example"));
    let with = || builder(REFUSED);
    m.add("a user agent with a line break", with().user_agent("a\nb").build());
    m.add("a timeout of zero", with().timeout(Duration::ZERO).build());
    m.add("a body limit of zero", with().max_body_bytes(0).build());
    m.add("a pace of zero", with().max_requests_per_minute(0).build());
    m.add("an unknown refresh", "sometimes".parse::<Refresh>());
}

fn requests(m: &mut Messages) {
    m.heading("# Requests that are not sent");
    let client = offline();
    let project = client.project(1);
    let get = |path: &str| client.get(path).send();
    m.add("a path without a slash", get("api/x/"));
    m.add("a path with a query", get("/api/x/?a=b"));
    m.add("a path with an empty segment", get("/api//x/"));
    m.add("a path with a dot segment", get("/api/%2e%2e/x/"));
    m.add("a path with a bare percent sign", get("/api/5%/"));
    m.add("a project's path with a slash", project.get("/cohorts/").send());
    m.add("project 0", client.project(0).get("cohorts/").send());
    let param = |name: &str, value: Value| client.get("/api/x/").param(name, value).send();
    m.add("a parameter without a name", param("", json!(1)));
    m.add("a reserved parameter", param("token", json!("x")));
    m.add("an empty filter", param("search", json!("")));
    m.add("a parameter given twice", client.get("/api/x/").param("a", 1).param("a", 2).send());
    m.add("a parameter that is NaN", client.get("/api/x/").param("a", f64::NAN).send());
    m.add("a body that is NaN", client.post("/api/x/").json([f64::NAN]).send());
    m.add("a timeout of zero", client.get("/api/x/").timeout(Duration::ZERO).send());
    m.add("a URL that is too long", client.get("/api/x/").param("a", "x".repeat(70_000)).send());
    let by_body = builder(REFUSED).auth(Auth::Body).build().unwrap();
    m.add("a list as the body, with the key in the body", by_body.post("/api/x/").json([1]).send());
    let own = json!({"personal_api_key": "x"});
    m.add("a key of its own in the body", by_body.post("/api/x/").json(own).send());

    m.heading("# Ids");
    m.add("an empty short id", project.insight(InsightId::short_id("")));
    let address = |path: &str| project.insight(format!("https://us.posthog.com{path}"));
    m.add("an address of another project", address("/project/2/insights/abc"));
    m.add("a new insight", address("/project/1/insights/new"));
    m.add("a dashboard", address("/project/1/dashboard/5"));
    m.add("another address", address("/project/1/persons"));
    m.add("a number that is too large", project.insight("99999999999999999999"));
    m.add("a row without an id", project.insight(&json!({"name": "x"})));
    m.add("null as an insight's id", project.insight(&Value::Null));
    m.add("a distinct id in place of a person's id", project.person("did-0"));
    m.add("a person's row without an id", project.person(&json!({})));

    m.heading("# Lists and filters");
    m.add("a page size of 0", project.list("cohorts").page_size(0).page());
    m.add("the list of events", project.list("events").page());
    m.add("too many persons a page", project.persons().page_size(60_000).page());
    m.add("properties as a parameter", project.persons().param("properties", "[]").page());
    let property = || PersonFilter::property("k");
    let filtered = |filter: PersonFilter| project.persons().filter(filter).page();
    m.add("a filter without a property", filtered(PersonFilter::property("").exact("x")));
    m.add("an OR of nothing", filtered(PersonFilter::any([])));
    m.add("no values", filtered(property().exact(Vec::<u8>::new())));
    m.add("an empty value", filtered(property().exact("")));
    m.add("null as a value", filtered(property().exact(None::<u8>)));
    m.add("a list as a value", filtered(property().is_not([["x"]])));
    m.add("a text in place of a number", filtered(property().gt("x")));
    m.add("an empty text", filtered(property().icontains("")));
    m.add("a backslash in icontains", filtered(property().icontains("a\\b")));
    m.add("a word as a date", filtered(property().is_date_after("soon")));
    let created: fn(PersonProperty) -> PersonFilter = |p| p.is_date_after("2026-01-01");
    m.add("created_at as a property", filtered(created(PersonFilter::property("created_at"))));
    let many = (0..40).map(|n| PersonFilter::property(format!("k{n}")).is_set());
    m.add("an OR of too many", filtered(PersonFilter::any(many)));
    let or = PersonFilter::any([property().is_set(), property().gt(1)]);
    m.add("an offset with an OR", project.persons().filter(or).param("offset", 5).page());

    m.heading("# Queries that are not sent");
    m.add("an empty SQL", project.hogql(" ").send());
    m.add("a query without a kind", project.query(json!({"a": 1})).send());
    m.add("a placeholder that is not there", project.hogql("SELECT 1").value("a", 1).send());
    let twice = project.hogql("SELECT {a}").value("a", 1).value("a", 2);
    m.add("a placeholder given twice", twice.send());
    m.add("a value that is NaN", project.hogql("SELECT {a}").value("a", f64::NAN).send());
}

fn answers(m: &mut Messages) {
    m.heading("# No answer");
    m.add("nobody listens", builder(REFUSED).build().unwrap().get("/api/x/").send());
    m.answered("the connection is closed", Act::close());
    m.answered("the answer is cut", Act::json(200, &json!({"a": 1})).cut(3).then(End::Close));
    m.answered("no answer in time", Act::silence());
    m.answered("not HTTP", Act::raw("hello\r\n\r\n").then(End::Close));
    let past = client(&Server::script([])).with_deadline(Instant::now());
    m.add("a deadline in the past", past.get("/api/x/").send());
    let server = Server::script([Act::json(200, &json!(["x".repeat(100)]))]);
    let small = builder(server.url()).max_body_bytes(10).build().unwrap();
    m.add("an answer that is too large", small.get("/api/x/").send());

    m.heading("# Redirects");
    let redirect = |to: &str| Act::status(307).header("Location", to);
    m.answered("to another host", redirect("https://elsewhere.example/api/x/"));
    m.answered("without a location", Act::status(302));
    let server = Server::start(move |request, _| redirect(&format!("{}a/", request.path())));
    m.add("too many", client(&server).get("/api/x/").send());
    let server = Server::script([Act::status(302).header("Location", "/api/y/")]);
    m.add("of a write", client(&server).post("/api/x/").json(json!({})).send());
    let server = Server::script([redirect("/api/projects/2/x/")]);
    m.add("to another project", client(&server).project(1).get("x/").send());
    let server = Server::script([redirect("/api/y/?search=b")]);
    m.add("that changes a parameter", client(&server).get("/api/x/").param("search", "a").send());

    m.heading("# Answers that cannot be read");
    m.answered("a web page", Act::status(200).body("text/html", "<!doctype html><p>Hello"));
    m.answered("not JSON", Act::status(200).body("application/json", "{\"a\": oops}"));
    m.answered("an empty error", Act::status(502));
    let text = |act: Act| client(&Server::script([act])).get("/api/x/").text();
    m.add("a web page as text", text(Act::status(200).body("text/html", "<html>")));
    m.add("bytes as text", text(Act::status(200).body("text/csv", vec![0xff, b'a'])));
    let utf16 = Act::status(200).body("text/csv; charset=utf-16", vec![b'a', 0]);
    m.add("UTF-16 as text", text(utf16));
    m.add("text without a length", text(Act::status(200).body("text/csv", "a,b").unframed()));
}

fn statuses(m: &mut Messages) {
    m.heading("# Error statuses");
    let standard = |kind: &str, code: &str, detail: &str| {
        json!({"type": kind, "code": code, "detail": detail, "attr": null}).to_string()
    };
    let denied = |detail: &str| standard("authentication_error", "permission_denied", detail);
    let failed = "authentication_failed";
    let invalid = "Personal API key found in request Authorization header is invalid.";
    for (name, status, body) in [
        ("a wrong key", 401, standard("authentication_error", failed, invalid)),
        ("a missing scope", 403, denied("API key missing required scope 'person:read'")),
        (
            "a route closed to keys",
            403,
            denied("This action does not support personal API key access"),
        ),
        (
            "another project",
            403,
            denied("API key does not have access to the requested project: ID 1."),
        ),
        ("not found", 404, standard("invalid_request", "not_found", "Not found.")),
        ("a billing limit", 402, standard("server_error", "payment_required", "Upgrade.")),
        ("OFFSET", 400, standard("validation_error", "invalid_input", "OFFSET is not supported.")),
        (
            "throttled",
            429,
            standard("throttled_error", "throttled", "Expected available in 46 seconds."),
        ),
        ("throttled, without a time", 429, standard("throttled_error", "throttled", "Throttled.")),
        (
            "throttled, over",
            429,
            standard("throttled_error", "throttled", "Expected available in 0 seconds."),
        ),
        (
            "three queries at once",
            429,
            standard("throttled_error", "throttled", "Too many queries are running right now"),
        ),
        (
            "the budget of bytes",
            429,
            standard(
                "throttled_error",
                "api_queries_budget_exceeded",
                "Budget exceeded. Expected available in 1800 seconds.",
            ),
        ),
        (
            "an error of the server",
            500,
            standard("server_error", "error", "A server error occurred."),
        ),
        (
            "busy",
            503,
            standard("server_error", "error", "Queries are a little too busy right now."),
        ),
        ("a gateway", 504, "<html>".to_owned()),
        ("a body without a detail", 418, "short and stout".to_owned()),
    ] {
        m.answered(name, Act::status(status).body("application/json", body));
    }
    let delete = Server::script([Act::status(405)]);
    m.add("a DELETE that is refused", client(&delete).delete("/api/x/").send());
    let slow = standard("server_error", "error", "Submit it as an async query.");
    let server = Server::script([Act::status(504).body("application/json", slow)]);
    m.add("a query that is too slow", client(&server).project(1).hogql("SELECT 1 LIMIT 1").send());
    let server = Server::script([Act::status(500)]);
    let filter = PersonFilter::property("age").gt(5);
    m.add("persons with a filter", client(&server).project(1).persons().filter(filter).page());
    let attr = json!({"type": "validation_error", "code": "required", "detail": "This field is required.", "attr": "filters__name"});
    m.add("made by a caller", Err::<(), _>(Error::from_answer(400, attr.to_string())));
}

fn lists(m: &mut Messages) {
    m.heading("# Lists that cannot be continued");
    let all = |pages: Vec<Value>| {
        let server = Server::answers(&pages);
        client(&server).list("/api/x/").param("search", "a").all().map_err(|e| local(&e, &server))
    };
    let page = |next: Value| json!({"results": [{"id": 1}], "next": next});
    m.add_text("a next that is a number", all(vec![page(json!(5))]));
    m.add_text("a next without a query", all(vec![page(json!("x"))]));
    m.add_text("a next that returns", all(vec![page(json!("?search=a"))]));
    m.add_text("a next with another filter", all(vec![page(json!("?search=b&offset=1"))]));
    m.add_text("more without rows", all(vec![json!({"results": [], "has_next": true})]));
    m.add_text("not a list", all(vec![json!({"detail": "x"})]));
    let lossy = |ids: [u64; 2], next: Value| json!({"count": 4, "results": ids.map(|id| json!({"id": id})), "next": next});
    let pages = vec![lossy([1, 2], json!("?search=a&offset=2")), lossy([2, 3], Value::Null)];
    m.add_text("rows that repeat", all(pages));
    let row = json!({"results": [{"id": "x"}], "next": null});
    let server = Server::answers(&[row]);
    let typed =
        client(&server).list("/api/x/").items_as::<std::collections::BTreeMap<String, u64>>();
    m.add("a row of another type", typed.collect::<Result<Vec<_>>>());
    let server = Server::answers(&[json!({"results": []})]);
    m.add("no insight with the short id", client(&server).project(1).insight("abc"));
    let others = json!({"results": [{"short_id": "x"}, {"short_id": "y"}]});
    let server = Server::answers(&[others]);
    m.add("a short id that was ignored", client(&server).project(1).insight("abc"));
    let projects = json!({"results": [{"id": 1, "name": "Main"}, {"id": 2, "name": "Main"}]});
    let server = Server::answers(&[projects.clone(), projects]);
    let client = client(&server);
    m.add("a project that does not exist", client.project_named("Other"));
    m.add("a name of two projects", client.project_named("Main"));
}

fn results(m: &mut Messages) {
    m.heading("# Insights without a value");
    let status = |status: Value| json!({"id": 5, "result": null, "query_status": status});
    for (name, insight) in [
        ("not computed", json!({"id": 5, "result": null})),
        ("running", status(json!({"complete": false, "id": "abc"}))),
        ("failed", status(json!({"error": true, "error_message": "Unknown table."}))),
        (
            "too many at once",
            status(json!({"error": true, "error_message": "concurrency_limit_exceeded"})),
        ),
        ("basic", json!({"id": 5})),
        (
            "nothing to aggregate",
            json!({"id": 5, "result": [{"label": "a", "aggregated_value": null}]}),
        ),
        (
            "a line",
            json!({"id": 5, "result": [{"label": "a", "data": [1], "days": ["2026-01-01"], "count": 1}]}),
        ),
        ("an empty result", json!({"id": 5, "result": []})),
        ("an unknown shape", json!({"id": 5, "result": {"x": 1}})),
    ] {
        m.add(name, aggregated_value(&insight));
    }
    m.add("read", read(&json!({"id": 5, "result": null})));
    let line = json!({"id": 5, "result": [{"label": "a", "data": [1, 2], "days": ["2026-01-01"], "count": 1}]});
    m.add("fewer days than points", insight::series(&line));
    m.add("a line as a table", insight::rows(&line));

    m.heading("# Queries that fail or are cut");
    let rows = |answer: Value, sql: &str| {
        let server = Server::answers(&[answer]);
        client(&server).project(1).hogql(sql).rows()
    };
    let table = |n: usize, more: Value| json!({"columns": ["a"], "results": vec![json!([1]); n], "hasMore": more});
    m.add("more rows", rows(table(100, json!(true)), "SELECT a"));
    m.add("perhaps more rows", rows(table(100, Value::Null), "SELECT a"));
    m.add("failed under a 200", rows(json!({"error": "Unknown column."}), "SELECT a"));
    m.add("without columns", rows(json!({"results": []}), "SELECT a"));
    let short = json!({"columns": ["a", "b"], "results": [[1]]});
    m.add("a short row", rows(short, "SELECT a, b LIMIT 1"));
    let background = |acts: Vec<Value>| {
        let server = Server::answers(&acts);
        client(&server).project(1).hogql("SELECT 1 LIMIT 1").background().send()
    };
    let polled = |status: Value| json!({"query_status": status});
    m.add("a background query without an id", background(vec![polled(json!({"complete": false}))]));
    let failed = polled(json!({"error": true, "error_message": "Out of memory."}));
    m.add("a background query that failed", background(vec![failed]));
    let done = polled(json!({"complete": true, "results": null}));
    m.add("a background query without results", background(vec![done]));
    let server = Server::start(|request, _| match request.method.as_str() {
        "POST" => Act::json(202, &json!({"query_status": {"complete": false, "id": "abc"}})),
        "GET" => Act::status(404),
        _ => Act::json(200, &json!({})),
    });
    let query = client(&server).project(1).hogql("SELECT 1 LIMIT 1").background();
    m.add("a background query that is gone", query.send());
    let server =
        Server::answers(&[json!({"columns": ["a"], "results": [["x"]], "hasMore": false})]);
    let typed = client(&server).project(1).hogql("SELECT a LIMIT 1");
    m.add("a row of another type", typed.rows_as::<std::collections::BTreeMap<String, u64>>());
    let scan = |sql: &str, key: &str| {
        offline().project(1).hogql(sql).scan(key).into_iter().next().unwrap()
    };
    for (what, clause) in [("an order", "ORDER BY a ASC"), ("a limit", "LIMIT 5")] {
        let hogql = format!("SELECT * FROM (SELECT a FROM b {clause}) ORDER BY a ASC LIMIT 10000");
        let page = json!({"columns": ["a"], "results": [[1]], "hogql": hogql});
        let server = Server::answers(&[page]);
        let scanned = client(&server).project(1).hogql("SELECT a").scan("a").into_iter().next();
        m.add(&format!("a scan with {what}"), scanned.unwrap());
    }
    m.add("a scan with a semicolon", scan("SELECT a FROM b;", "a"));
    m.add("a scan without a key", scan("SELECT a FROM b", ""));
}

#[test]
fn every_message_is_the_one_in_the_file() {
    let _ = agent(); // one of the helpers that this file shares
    let mut m = Messages::default();
    for part in [builders, requests, answers, statuses, lists, results] {
        part(&mut m);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages.txt");
    if std::env::var_os("UPDATE_MESSAGES").is_some() {
        fs::write(&file, m.text.trim_start()).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap();
    for (now, before) in m.text.trim_start().lines().zip(kept.lines()) {
        assert_eq!(now, before, "UPDATE_MESSAGES=1 writes the file again");
    }
    assert_eq!(m.text.trim_start().lines().count(), kept.lines().count());
}
