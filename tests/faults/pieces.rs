//! Proves that no 8 characters of the key that follow each other are shown, wherever a server or a
//! caller puts them.
use crate::support::expect::{api, decode, paging, query, redirect};
use crate::support::{
    Act, End, KEY, Server, Way, builder, client, error_in, shows_key, together, watched,
};
use posthog_api::{Error, ErrorKind, PersonFilter, RetryPolicy};
use serde_json::{Value, json};

/// Pieces of the key: its beginning, its middle, its end, and all of it but one character.
fn pieces() -> [&'static str; 4] {
    [&KEY[..8], &KEY[17..25], &KEY[KEY.len() - 8..], &KEY[1..]]
}

/// A server that may receive the key: the test itself sends it.
fn any(acts: impl IntoIterator<Item = Act>) -> Server {
    Server::script(acts).expects(Way::Any)
}

/// The error shows that something was masked.
#[track_caller]
fn masked(name: &str, error: &Error) {
    assert!(format!("{error:#?}").contains("***"), "{name}: {error:#?}");
}

#[test]
fn the_search_of_these_tests_finds_eight_characters_of_the_key() {
    for piece in pieces() {
        assert!(shows_key(format!("x{piece}y").as_bytes()), "{piece}");
        assert!(!shows_key(&piece.as_bytes()[..7]));
    }
}

#[test]
fn a_piece_of_the_key_in_an_error_status_is_masked() {
    for piece in pieces() {
        let body = format!("{{\"detail\": \"{}", "x".repeat(40));
        for (name, act) in [
            ("detail", Act::error(401, "x", "y", &format!("the key {piece} is wrong"))),
            ("every field", {
                let extra = json!({piece: [piece, {"a": piece}]});
                let fields = json!({"type": piece, "code": piece, "attr": piece, "extra": extra});
                Act::json(400, &fields)
            }),
            (
                "a body that ends inside the key",
                Act::status(400).body("application/json", format!("{body}{piece}")),
            ),
            (
                "a body that is cut inside the key",
                Act::status(400).body("", format!("{body}{piece}")).length(900).then(End::Close),
            ),
            (
                "a body that is reset inside the key",
                Act::status(400).body("", format!("{body}{piece}")).length(900).then(End::Reset),
            ),
            ("request id", {
                let head = format!("X-Request-Id: {piece}\r\nContent-Length: 0");
                Act::raw(format!("HTTP/1.1 500 No\r\n{head}\r\n\r\n"))
            }),
        ] {
            let server = Server::script([act]);
            let failed = error_in(name, client(&server).me());
            api(&failed);
            // Of a body that was reset, nothing may have arrived.
            if name != "a body that is reset inside the key" {
                masked(name, &failed);
            }
        }
    }
}

#[test]
fn a_key_at_each_place_around_the_end_of_what_an_error_keeps_is_masked() {
    let server = Server::start(|request, _| {
        let before: usize = request.param("before").unwrap().parse().unwrap();
        let page = "<".repeat(before);
        Act::status(502).body("text/html", page + KEY + KEY)
    });
    let client = client(&server);
    for end in [64 * 1024, 68 * 1024] {
        for before in (end - 50..end + 2).step_by(17) {
            let sent = client.get("/api/x/").param("before", before).send();
            api(&error_in(&before.to_string(), sent));
        }
    }
}

#[test]
fn a_piece_of_the_key_in_an_answer_that_cannot_be_used_is_masked() {
    for piece in pieces() {
        let page = Act::status(200).body(piece, format!("<p>{piece}"));
        let server = Server::script([page.header("CF-Ray", piece)]);
        let failed = error_in("body", client(&server).me());
        decode(&failed);
        masked("body", &failed);

        let server = Server::script([Act::json(200, &json!(piece))]);
        let failed =
            error_in("the message of the decoder", client(&server).get("/").send_as::<u8>());
        assert!(decode(&failed).message().contains("***"), "{failed}");

        let server = Server::script([Act::status(302).header("Location", format!("//{piece}/"))]);
        let failed = error_in("location", client(&server).me());
        assert!(redirect(&failed).0.contains("***"), "{failed}");

        // To another project that has the key as its name.
        let there = format!("/api/projects/{}/x/", &piece[..8]);
        let server = Server::script([Act::status(302).header("Location", there)]);
        masked("project", &error_in("project", client(&server).project(1).get("x/").send()));

        for next in
            [json!({"a": piece}), json!(format!("{piece}/")), json!(format!("?a=1&{piece}"))]
        {
            let server = Server::script([Act::page(&json!([1]), &next)]).expects(Way::Any);
            let list = client(&server).list("/api/x/").param("a", 2);
            paging(&error_in("next", list.all()));
        }
    }
}

#[test]
fn a_piece_of_the_key_in_a_row_is_masked_in_the_error_of_the_row() {
    for piece in pieces() {
        let row = json!({"name": piece, piece: {"a": piece}});
        let server = Server::script([Act::page(&json!([row]), &Value::Null)]);
        let mut items = client(&server).list("/api/x/").items_as::<u64>();
        let failed = error_in("items_as", items.next().unwrap());
        assert_eq!(decode(&failed).kind(), ErrorKind::Row);
        masked("items_as", &failed);

        let answer = json!({"columns": [piece], "results": [[piece]], "hasMore": false});
        let server = Server::script([Act::json(200, &answer)]);
        let query = client(&server).project(1).hogql("SELECT a FROM t LIMIT 5");
        let failed = error_in("rows_as", query.rows_as::<u64>());
        assert_eq!(decode(&failed).kind(), ErrorKind::Row);
        masked("rows_as", &failed);
    }
}

#[test]
fn a_piece_of_the_key_in_a_failed_query_is_masked() {
    together(pieces(), |piece| {
        let failed = |fields: Value| Act::json(200, &fields);
        let status = json!({"id": piece, "error": true, "error_message": piece});
        for (name, act, masks) in [
            ("error", failed(json!({"error": piece})), true),
            ("query_status", failed(json!({"query_status": status})), true),
            ("a column", failed(json!({"columns": [piece], "results": [[1, 2]]})), false),
            ("a row", failed(json!({"columns": ["a"], "results": [{"a": piece}, [1]]})), false),
            ("no rows", failed(json!({"result": piece})), false),
        ] {
            let server = Server::script([act]);
            let failed = error_in(name, client(&server).project(1).hogql("SELECT 1").rows());
            query(&failed);
            if masks {
                masked(name, &failed);
            }
        }
        // A query whose id is a piece of the key: the server named it, so the path has it.
        let running = json!({"query_status": {"id": piece, "complete": false}});
        let gone = Act::error(404, "x", "not_found", "No.");
        let refused = Act::error(403, "x", "y", "No.");
        for (act, masks) in
            [(gone, false), (refused, true), (Act::status(200).body("", "<p>"), true)]
        {
            let server = any([Act::json(202, &running), act, Act::status(204)]);
            let query = client(&server).project(1).hogql("SELECT 1").background();
            let failed = error_in("query id", query.send());
            if masks {
                masked("query id", &failed);
            }
        }
    });
}

#[test]
fn a_piece_of_the_key_in_a_scan_is_masked() {
    for piece in pieces() {
        let page = |key: &str| Act::json(200, &json!({"columns": [key], "results": [["a"]]}));
        let again = Act::json(200, &json!({"columns": ["k"], "results": [[piece]]}));
        for (name, key, act, masks) in [
            ("the key column", piece, page("k"), false),
            ("a column of the answer", "k", page(piece), false),
            ("a key that comes again", "k", again, true),
        ] {
            let server = Server::start(move |_, _| act.clone()).expects(Way::Any);
            let scan = client(&server).project(1).hogql("SELECT k FROM t").scan(key);
            let failed = scan.into_iter().take(9).find_map(Result::err);
            let failed = error_in::<()>(name, Err(failed.unwrap()));
            if masks {
                masked(name, &failed);
            }
        }
        let server = any([]);
        let scan = client(&server).project(1).hogql("SELECT k FROM t").scan("k");
        let failed = scan.after(json!([piece])).into_iter().next().unwrap();
        masked("a key that is none", &error_in("a key that is none", failed));
    }
}

#[test]
fn debug_output_of_a_scan_shows_no_piece_of_the_key() {
    let server = Server::script([]);
    for piece in pieces() {
        let project = client(&server).project(1);
        let sql = || project.hogql(format!("SELECT '{piece}' AS k FROM t"));
        for scan in [sql().scan("k").after(piece), sql().scan(piece)] {
            let words = format!("{scan:?} {scan:#?}");
            assert!(words.contains("***") && !shows_key(words.as_bytes()), "{words}");
        }
    }
}

#[test]
fn debug_output_shows_no_piece_of_the_key() {
    let row = json!([{"id": 1}]);
    for piece in pieces() {
        let server = Server::start({
            let row = row.clone();
            move |request, _| match request.method.as_str() {
                "GET" => Act::page(&row, &json!("?offset=1")),
                _ => Act::json(200, &json!({"columns": ["k"], "results": [["a"], ["b"]]})),
            }
        })
        .expects(Way::Any);
        let client = client(&server);
        let project = client.project(1);
        let get = client.get(format!("/api/{piece}/")).param(piece, piece);
        let path = format!("{piece}/");
        let is_piece = PersonFilter::property(piece).exact([piece]);
        let any_piece = PersonFilter::any([is_piece.clone(), PersonFilter::property("a").is_set()]);
        let sql = project.hogql(format!("SELECT '{piece}', {{{piece}}} FROM t"));
        let sql = sql.value(piece, piece).name(piece);
        let response = client.get(format!("/api/{piece}/")).response().unwrap();
        let scan = project.hogql(format!("SELECT '{piece}' AS k FROM t")).scan("k").after(piece);
        let mut rows = scan.into_iter();
        assert!(rows.next().unwrap().is_ok());
        let events = project.events().event(piece).columns([piece]).filter(piece);
        let last = json!({"uuid": piece, "timestamp": piece});
        let events = events.value(piece, piece).resume(last.as_object().unwrap());
        let mut items = project.list(&path).items();
        assert!(items.next().unwrap().is_ok());
        for (name, words) in [
            ("request", format!("{get:?} {get:#?}")),
            ("a refused request", format!("{:?}", client.get(piece))),
            ("body", format!("{:?}", client.post("/api/x/").json(json!({"a": piece})))),
            ("list", format!("{:?}", project.list(&path).param("a", piece))),
            ("persons", format!("{:?}", project.persons().search(piece).filter(any_piece.clone()))),
            ("filters", format!("{:#?}", project.persons().filter(is_piece).filter(any_piece))),
            ("query", format!("{sql:?} {sql:#?}")),
            ("response", format!("{response:?} {response:#?}")),
            ("rows", format!("{rows:?} {rows:#?}")),
            ("events", format!("{events:?} {events:#?}")),
            ("items", format!("{items:?}")),
            ("pages", format!("{:?}", project.list(&path).pages())),
        ] {
            assert!(!shows_key(words.as_bytes()), "{name}: {words}");
        }
    }
}

#[test]
fn the_hook_sees_no_piece_of_the_key() {
    for piece in pieces() {
        let again = |text: &str| {
            Act::error(503, "x", "y", text).header("Retry-After", "0").header("X-Request-Id", text)
        };
        let cut = format!("{{\"detail\": \"{piece}");
        let server = any([
            again(piece),
            Act::status(429).body("", cut).header("Retry-After", "0"),
            Act::json(200, &json!({})),
        ]);
        let (builder, waits) = watched(builder(server.url()).retry(RetryPolicy::default()));
        builder.build().unwrap().get(format!("/api/{piece}/")).send().unwrap();
        let waits = waits.all();
        assert_eq!(waits.len(), 2);
        assert!(waits.iter().all(|w| w.call == "GET /api/***/"), "{waits:?}");
        assert!(waits[0].reason.contains("***"), "{waits:?}");
    }
}
