//! Proves that no text of an error is longer than 64 KiB, however much a server or a caller gives.
use crate::support::expect::{api, config, decode, paging, query, redirect};
use crate::support::{AT_ONCE, Act, Server, client, error_in, seen, within};
use posthog_api::{Error, PersonFilter, Refresh};
use serde_json::{Value, json};

/// Much more than an error keeps.
fn long() -> String {
    "é<".repeat(30 * 1024)
}

// `error_in` checks the length of each text of an error.
#[test]
fn an_error_made_of_a_callers_text_is_short() {
    let server = Server::script([]);
    let client = client(&server);
    let project = client.project(1);
    let long = long();
    let property = PersonFilter::property(&long);
    let after = |text: &str| text.to_owned() + &long;
    let hogql = |sql: &str| project.hogql(after(sql));
    for (name, result) in [
        ("path", client.get(&long).send()),
        ("path with a slash", client.get(after("/")).send()),
        ("path with a query", client.get(after("/?")).send()),
        ("dot segments", client.get(after("/../")).send()),
        ("project path", project.get(after("/")).send()),
        ("list", client.list(&long).page().map(|_| Value::Null)),
        ("parameter twice", client.get("/").param(&long, 1).param(&long, 1).send()),
        ("value", client.get("/").param(&long, f64::NAN).send()),
        ("insight", project.insight(after("a/"))),
        ("insight of digits", project.insight("9".repeat(100_000))),
        ("insight address", project.insight(after("https://h/project/2/insights/"))),
        ("insight value", project.insight(&json!([long]))),
        ("person", project.person(&long)),
        ("person value", project.person(&json!([long]))),
        ("distinct id", project.person_by_distinct_id(&long).map(|_| Value::Null)),
        ("search", project.persons().search(&long).page().map(|_| Value::Null)),
        (
            "filter",
            project
                .persons()
                .filter(property.clone().exact(json!({"a": long})))
                .all()
                .map(Value::from),
        ),
        ("number", project.persons().filter(property.clone().gt(&long)).all().map(Value::from)),
        ("date", project.persons().filter(property.is_date_exact(&long)).all().map(Value::from)),
        ("query", project.query(json!([long])).send()),
        ("placeholder", hogql("SELECT 1").value(&long, 1).send()),
        ("placeholder twice", hogql("SELECT {a}").value("a", 1).value("a", 1).send()),
        ("key of a scan", first(project.hogql("SELECT 1").scan(&after("`")))),
        ("SQL of a scan", first(hogql("SELECT (1 ").scan("k"))),
        ("start of a scan", first(hogql("SELECT 1").scan("k").after(json!([long])))),
    ] {
        config(&error_in(name, result));
    }
    let built = |host: String| posthog_api::Client::builder("phx_a").host(host).build();
    for host in [long.clone(), after("http://"), "http://".to_owned() + &"h".repeat(100_000)] {
        config(&error_in("host", built(host)));
    }
    let receiver = format!("https://{}.i.posthog.com", "h".repeat(100_000));
    config(&error_in("receiver", built(receiver)));
    config(&error_in("refresh", long.parse::<Refresh>()));
    let agent = posthog_api::Client::builder("phx_a").user_agent(&long).build();
    config(&error_in("user agent", agent));
}

fn first(scan: posthog_api::Scan) -> posthog_api::Result<Value> {
    scan.into_iter().next().unwrap().map(Value::from)
}

#[test]
fn an_error_made_of_a_servers_text_is_short() {
    let long = long();
    let sent = |act: Act| {
        let server = Server::script([act]);
        within(AT_ONCE, || client(&server).get("/").send())
    };
    let fields = json!({"detail": long, "code": long, "attr": long, "type": long, "extra": [long]});
    api(&error_in("an error", sent(Act::json(400, &fields))));
    // Under 64 KiB as a body, and each of its texts too.
    let half = "x".repeat(20 * 1024);
    let fields = json!({"detail": half, "code": half, "attr": half});
    api(&error_in("a short error", sent(Act::json(400, &fields))));
    decode(&error_in("a page", sent(Act::status(200).body("text/html", long.as_str()))));
    let words = format!("//{}", "h".repeat(60_000));
    redirect(&error_in("a redirect", sent(Act::status(302).header("Location", words))));

    let server =
        Server::answers(&[json!(long), json!({ long.as_str(): 1 }), json!({"results": long})]);
    decode(&error_in("a string for a number", client(&server).get("/").send_as::<u64>()));
    decode(&error_in("an unknown name", client(&server).get("/").send_as::<Result<u8, u8>>()));
    decode(&error_in("no list", client(&server).list("/x/").all()));
    for next in
        [json!(long), json!([long]), json!(format!("?a={long}")), json!(format!("?{long}=1"))]
    {
        let server = Server::script([Act::page(&json!([]), &next)]);
        paging(&error_in("next", client(&server).list("/x/").param("a", 1).all()));
    }
    let server = Server::script([Act::page(&json!([long]), &Value::Null)]);
    let row = client(&server).list("/x/").items_as::<u64>().next().unwrap();
    decode(&error_in("a row", row));

    let status = json!({"error": true, "error_message": long});
    for answer in [
        json!({"error": long}),
        json!({"query_status": status}),
        json!({"columns": [long, long], "results": [[1]]}),
        json!({"results": [long]}),
    ] {
        let server = Server::answers(std::slice::from_ref(&answer));
        query(&error_in("a query", client(&server).project(1).hogql("SELECT 1").rows()));
    }
    let running = json!({"query_status": {"id": "x".repeat(40_000), "complete": false}});
    let server = Server::answers(&[running, json!({"error": long})]);
    query(&error_in("a poll", client(&server).project(1).hogql("SELECT 1").background().rows()));
}

#[test]
fn an_error_of_a_reader_is_short() {
    let long = long();
    let series = json!([{"label": long, "data": [1], "days": []}]);
    for answer in [
        json!({"id": long, "result": null, "query_status": {"error": true, "error_message": long}}),
        json!({"id": 1, "result": null, "error": long}),
        json!({"id": 1, "result": null, "query_status": {"id": long, "complete": false}}),
        json!({"id": [long], "name": long, "result": series}),
        json!({"id": 1, "result": [{"aggregated_value": long, "label": long}]}),
        json!({"result": {long.as_str(): long}}),
        json!({"columns": [long, long, 5], "results": [[1], [long]]}),
    ] {
        use posthog_api::insight;
        for failed in [
            posthog_api::aggregated_value(&answer).err(),
            insight::result(&answer).err(),
            insight::read(&answer).err(),
            insight::totals(&answer).err(),
            insight::series(&answer).err(),
            insight::funnel_steps(&answer).err(),
            insight::paths(&answer).err(),
            insight::rows(&answer).err(),
            insight::table(&answer).err(),
        ] {
            let _ = failed.map(seen);
        }
    }
}

#[test]
fn an_error_made_by_a_caller_is_as_short_as_one_of_the_client() {
    let long = long();
    for body in [long.clone(), json!({"detail": long, "extra": {"a": long}}).to_string()] {
        let made = Error::from_answer(429, body);
        assert!(!made.body().unwrap().is_empty());
        seen(made);
    }
}
