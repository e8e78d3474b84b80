//! Proves that a 2xx answer is read completely and unchanged, or is an error that shows what came.
use crate::support::expect::{api, decode, too_large, transport};
use crate::support::{
    AT_ONCE, Act, End, KEY, REQUEST_ID, SLOW, Server, agent, builder, client, error, error_in,
    gzip, hasty, within,
};
use flate2::{Compress, Compression, FlushCompress};
use posthog_api::{Auth, ErrorKind};
use serde_json::{Value, json};

const MIB: usize = 1024 * 1024;

fn body(bytes: impl Into<Vec<u8>>) -> Act {
    Act::status(200).body("application/json", bytes)
}

fn fate(act: Act) -> posthog_api::Result<Value> {
    let server = Server::script([act]);
    let result = client(&server).me();
    assert_eq!(server.count(), 1);
    result
}

#[test]
fn a_body_that_is_not_json_is_an_error_with_an_excerpt() {
    let digits = format!("[{}]", "9".repeat(400));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for (name, bytes, message) in [
        ("HTML", "<!doctype html>\n<html>PostHog</html>".into(), "line 1 column 1"),
        ("text", "OK".into(), "line 1 column 1"),
        ("CSV", "id,name\n1,a".into(), "line 1 column 1"),
        ("truncated JSON", r#"{"results": [1, 2"#.into(), "EOF"),
        ("truncated in a string", r#"{"name": "Ali"#.into(), "EOF"),
        ("two values", "{}{}".into(), "trailing"),
        ("a comma too many", "[1,]".into(), "trailing comma"),
        ("single quotes", "{'a': 1}".into(), "line 1 column 2"),
        ("bad UTF-8 in a string", b"[\"caf\xe9\"]".to_vec(), "line 1 column"),
        ("UTF-16", b"\xff\xfe[\0]\0".to_vec(), "line 1 column 1"),
        ("400 digits", digits.into_bytes(), "out of range"),
        ("an exponent of 400", "[1e400]".into(), "out of range"),
        ("200 levels", deep.into_bytes(), "recursion limit"),
        ("half a surrogate pair", r#"["\ud800"]"#.into(), "hex escape"),
        ("a control character", "[\"a\nb\"]".into(), "control"),
        ("a number with a zero before it", "[01]".into(), "invalid number"),
        ("an unknown word", "[undefined]".into(), "line 1 column"),
        ("NaN with more behind it", "[NaNcy]".into(), "line 1 column"),
        ("zeros", vec![0; 50], "line 1 column 1"),
        ("two byte order marks", "\u{feff}\u{feff}[]".into(), "line 1 column 1"),
        ("spaces only", "   \n ".into(), "EOF"),
    ] {
        let bytes: Vec<u8> = bytes;
        let failed = error_in(name, fate(body(bytes.clone())));
        assert_eq!(failed.status(), Some(200), "{name}");
        let failure = decode(&failed);
        assert!(failure.message().contains(message), "{name}: {failed}");
        assert_eq!(failure.body(), Some(&*String::from_utf8_lossy(&bytes)), "{name}");
        assert_eq!(failure.request_id(), Some(REQUEST_ID), "{name}");
        let line = failed.to_string();
        for word in ["GET /api/users/@me/", "200", "application/json", REQUEST_ID] {
            assert!(line.contains(word), "{name}: no {word} in {line}");
        }
    }
}

#[test]
fn a_web_page_as_an_answer_is_named() {
    let page = Act::status(200).body("text/html; charset=utf-8", "<!doctype html><title>PostHog");
    let failed = error(fate(page));
    decode(&failed);
    let line = failed.to_string();
    assert!(line.contains("text/html"), "{line}");
}

#[test]
fn every_valid_body_is_read() {
    for (name, act, value) in [
        ("an empty body", Act::status(200), Value::Null),
        ("204", Act::status(204), Value::Null),
        ("202 with nothing", Act::status(202), Value::Null),
        ("201", Act::json(201, &json!({"success": true})), json!({"success": true})),
        ("202 with JSON", Act::json(202, &json!({"a": 1})), json!({"a": 1})),
        ("206", Act::json(206, &json!([1])), json!([1])),
        ("299", Act::json(299, &json!([1])), json!([1])),
        ("a byte order mark", body("\u{feff}[1]"), json!([1])),
        ("a byte order mark alone", body("\u{feff}"), Value::Null),
        ("space around it", body(" \r\n[1]\n\n"), json!([1])),
        (
            "bare words",
            body("[NaN, Infinity, -Infinity, {\"a\": NaN}]"),
            json!([null, null, null, {"a": null}]),
        ),
        (
            "the same words in strings",
            body("[\"NaN, Infinity\", NaN]"),
            json!(["NaN, Infinity", null]),
        ),
        (
            "the same words in names",
            body("{\"NaN\": \"-Infinity\", \"Infinity\": NaN}"),
            json!({"NaN": "-Infinity", "Infinity": null}),
        ),
        (
            "the same words behind an escaped quote",
            body(r#"["\" NaN", "\\", NaN]"#),
            json!(["\" NaN", "\\", null]),
        ),
        (
            "whole numbers of 64 bits",
            body("[18446744073709551615, -9223372036854775808, 9007199254740993]"),
            json!([u64::MAX, i64::MIN, 9_007_199_254_740_993_u64]),
        ),
        (
            "100 levels",
            body(format!("{}{}", "[".repeat(100), "]".repeat(100))),
            serde_json::from_str(&format!("{}{}", "[".repeat(100), "]".repeat(100))).unwrap(),
        ),
        ("a name twice: the last counts", body(r#"{"a": 1, "a": 2}"#), json!({"a": 2})),
        ("escapes", body(r#"["\u00e9\ud83d\ude00\u0000"]"#), json!(["\u{e9}\u{1f600}\u{0}"])),
        ("the wrong content type", Act::status(200).body("text/plain", "[1]"), json!([1])),
        ("no content type", Act::status(200).body("", "[1]"), json!([1])),
        ("chunks", body("[1, 2, 3]").chunked(), json!([1, 2, 3])),
        ("an end with the connection", body("[1]").unframed(), json!([1])),
        ("gzip", body("[1]").gzip(), json!([1])),
        ("gzip in chunks", body("[1]").gzip().chunked(), json!([1])),
        ("gzip until the end of the connection", body("[1]").gzip().unframed(), json!([1])),
        ("gzip of nothing", body("").gzip(), Value::Null),
        (
            "a header in small letters with bare line ends",
            Act::raw("HTTP/1.1 200\ncontent-length: 3\n\n[1]"),
            json!([1]),
        ),
        (
            "chunks with extensions and trailers",
            Act::raw(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n[1]\r\n0;c\r\nX-Sum: 1\r\n\r\n",
            ),
            json!([1]),
        ),
    ] {
        let got = fate(act).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(got, value, "{name}");
    }
}

#[test]
fn an_empty_body_with_a_gzip_header_is_empty() {
    // The write succeeded. An error would say that it did not.
    let said = |status| Act::status(status).header("Content-Encoding", "gzip");
    let server = Server::script([said(204)]);
    let sent = client(&server).patch("/api/x/").json(json!({})).send();
    assert_eq!(sent.unwrap(), Value::Null);
}

#[test]
fn broken_gzip_is_an_error() {
    let zipped = |bytes: Vec<u8>| body(bytes).header("Content-Encoding", "gzip");
    let whole = gzip(br#"{"answer": "a good one, of some length"}"#);
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let mut checksum = whole.clone();
    let at = checksum.len() - 6;
    checksum[at] ^= 0xff;
    for (name, act) in [
        ("cut, the connection closed", zipped(whole.clone()).cut(9)),
        ("cut, of its right length", zipped(whole[..whole.len() - 9].to_vec())),
        ("cut in the checksum", zipped(whole[..whole.len() - 4].to_vec())),
        ("cut in its header", zipped(whole[..5].to_vec())),
        (
            "cut, until the end of the connection",
            zipped(whole[..whole.len() - 9].to_vec()).unframed(),
        ),
        ("a flipped byte", zipped(flipped)),
        ("a wrong checksum", zipped(checksum)),
        ("not gzip at all", zipped(b"{\"answer\": 1}".to_vec())),
        ("something behind it", zipped([whole.clone(), b"junk".to_vec()].concat())),
    ] {
        let failed = error_in(name, fate(act));
        assert!(
            [ErrorKind::Broken, ErrorKind::Decode].contains(&failed.kind()),
            "{name}: {failed}"
        );
    }
}

#[test]
fn an_unknown_content_encoding_is_an_error() {
    let failed = error(fate(body(b"\x28\xb5\x2f\xfd".to_vec()).header("Content-Encoding", "zstd")));
    decode(&failed);
}

#[test]
fn a_body_over_the_limit_is_an_error() {
    let limit = 64 * 1024;
    let spaces = |n: usize| " ".repeat(n - 2) + "[]";
    for (name, act) in [
        ("with a Content-Length", body(spaces(limit + 1))),
        ("in chunks", body(spaces(limit + 1)).chunked()),
        ("until the end of the connection", body(spaces(limit + 1)).unframed()),
        ("compressed", body(spaces(limit + 1)).gzip()),
        ("endless", Act::raw("HTTP/1.1 200 OK\r\n\r\n").repeat(spaces(8192), u64::MAX)),
        (
            "endless chunks",
            Act::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                .repeat(crate::support::chunk(&[b' '; 8192]), u64::MAX),
        ),
    ] {
        let server = Server::script([act]);
        let client = builder(server.url()).max_body_bytes(limit as u64).build().unwrap();
        let failed = within(AT_ONCE, || error_in(name, client.me()));
        too_large(&failed, 65_536);
        assert!(server.sent() < 40 * MIB, "{name}: {} bytes were sent", server.sent());
    }
}

#[test]
fn a_huge_content_length_costs_no_memory_or_time() {
    let server = Server::script([body("[]").length(1 << 62)]);
    let failed = within(SLOW, || error(hasty(&server).me()));
    assert!([ErrorKind::TooLarge, ErrorKind::Timeout].contains(&failed.kind()), "{failed:?}");
}

#[test]
fn a_body_of_exactly_the_limit_is_read() {
    let limit = 64 * 1024;
    let bytes = " ".repeat(limit - 2) + "[]";
    for act in [
        body(bytes.clone()),
        body(bytes.clone()).chunked(),
        body(bytes.clone()).unframed(),
        body(bytes.clone()).gzip(),
    ] {
        let server = Server::script([act]);
        let client = builder(server.url()).max_body_bytes(limit as u64).build().unwrap();
        assert_eq!(client.me().unwrap(), json!([]));
    }
}

/// A deflate block that unpacks to a mebibyte of spaces and can be repeated.
fn bomb() -> (Vec<u8>, Vec<u8>) {
    let mut packer = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(64 * 1024);
    let spaces = vec![b' '; MIB];
    packer.compress_vec(&spaces, &mut block, FlushCompress::Full).unwrap();
    assert_eq!(packer.total_in(), MIB as u64);
    (b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec(), block)
}

#[test]
fn a_gzip_bomb_is_not_unpacked() {
    let (header, block) = bomb();
    // 10 GiB from about 10 MiB.
    assert!(block.len() < 2 * 1024, "{} bytes a mebibyte", block.len());
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
    let act = Act::raw([head.as_bytes(), &header].concat()).repeat(block.clone(), 10 * 1024);
    let server = Server::script([act.then(End::Close)]);
    let client = builder(server.url()).max_body_bytes(4 * MIB as u64).build().unwrap();
    let failed = within(AT_ONCE, || error(client.me()));
    too_large(&failed, 4_194_304);
    assert!(server.sent() < 8 * MIB, "all of it was taken: {} bytes", server.sent());
}

#[test]
fn a_gzip_bomb_under_an_error_status_is_not_unpacked() {
    let (header, block) = bomb();
    let head = "HTTP/1.1 502 Bad Gateway\r\nContent-Encoding: gzip\r\n\r\n";
    let act = Act::raw([head.as_bytes(), &header].concat()).repeat(block, 10 * 1024);
    let server = Server::script([act.then(End::Close)]);
    let failed = within(AT_ONCE, || error(client(&server).me()));
    assert_eq!(api(&failed).body().unwrap().len(), 64 * 1024);
}

#[test]
fn answers_larger_than_a_buffer_are_read_by_the_clients_own_agent() {
    let rows: Vec<u32> = (0..200_000).collect();
    let text = json!(rows).to_string();
    let whole_chunk = [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        &crate::support::chunk(text.as_bytes()),
        b"0\r\n\r\n",
    ];
    for (name, act) in [
        ("by its length", body(text.clone())),
        ("in chunks", body(text.clone()).chunked()),
        ("in one chunk", Act::raw(whole_chunk.concat())),
        ("until the end of the connection", body(text.clone()).unframed()),
        ("gzip", body(text.clone()).gzip()),
        ("gzip in chunks", body(text.clone()).gzip().chunked()),
        ("a header of 40 KiB", body(text.clone()).header("X-Long", "x".repeat(40 * 1024))),
    ] {
        let server = Server::script([act]);
        let client = posthog_api::Client::builder(KEY).host(server.url()).build().unwrap();
        let got = client.get("/api/x/").send_as::<Vec<u32>>();
        assert_eq!(got.unwrap_or_else(|e| panic!("{name}: {e}")), rows, "{name}");
    }
}

#[test]
fn a_header_that_is_too_long_is_an_error_at_once() {
    let long = body("[]").header("X-Long", "x".repeat(60 * 1024));
    let server = Server::start(move |_, _| long.clone());
    let client = posthog_api::Client::builder(KEY).host(server.url()).build().unwrap();
    let failed = within(AT_ONCE, || error(client.me()));
    assert_eq!((failed.kind(), server.count()), (ErrorKind::NotHttp, 1), "{failed}");
}

#[test]
fn text_is_returned_unchanged_or_is_an_error() {
    let server = Server::script([
        Act::status(200).body("text/csv", "id,\u{e9}\r\n1,\u{feff}\0"),
        Act::status(200).body("text/csv", b"caf\xe9".to_vec()),
        Act::status(200),
    ]);
    let client = client(&server);
    let text = || client.get("/api/x/").text();
    assert_eq!(text().unwrap(), "id,\u{e9}\r\n1,\u{feff}\0");
    let failed = error(text());
    assert_eq!(decode(&failed).body(), Some("caf\u{fffd}"));
    assert_eq!(text().unwrap(), "");
}

#[test]
fn an_answer_that_does_not_fit_the_type_is_an_error_with_a_position() {
    let server = Server::script([body("{\n  \"id\": \"seven\"\n}")]);
    let read = client(&server).get("/api/x/").send_as::<std::collections::BTreeMap<String, u64>>();
    let failed = error(read);
    let message = decode(&failed).message();
    assert!(message.contains("line 2") && message.contains("seven"), "{message}");
}

#[test]
fn an_error_keeps_64_kib_of_a_body_that_is_not_json() {
    let failed = error(fate(body("<p>".repeat(MIB))));
    assert_eq!(decode(&failed).body().unwrap().len(), 64 * 1024);
    assert!(failed.to_string().len() < 1_000);
}

/// Where a server may repeat the key.
#[test]
fn a_key_in_an_answer_is_not_shown() {
    for (name, act) in [
        ("in the body", body(format!("<p>{KEY}</p>"))),
        ("in the content type", Act::status(200).body(&format!("text/{KEY}"), "<p>")),
        (
            "in the request id",
            Act::raw(format!(
                "HTTP/1.1 200 OK\r\nX-Request-Id: {KEY}\r\nContent-Length: 1\r\n\r\n<"
            )),
        ),
        ("in what cannot be read", body(format!("\"{KEY}\""))),
        (
            "in a header that breaks the answer",
            Act::raw(format!("HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n")),
        ),
        ("in a status line that breaks the answer", Act::raw(format!("HTTP/1.1 {KEY}\r\n\r\n"))),
    ] {
        let server = Server::script([act.then(End::Close)]);
        let read = client(&server).get("/api/x/").send_as::<u64>();
        error_in(name, read);
    }
}

#[test]
fn a_key_cut_by_the_end_of_the_excerpt_is_not_shown() {
    let straddling = format!("<p>{}{KEY}", "x".repeat(64 * 1024 - 33));
    decode(&error(fate(body(straddling))));
}

#[test]
fn a_key_sent_in_the_body_or_the_query_is_not_shown() {
    use crate::support::Way;
    for (auth, way) in [(Auth::Query, Way::Query), (Auth::Body, Way::Body)] {
        let server = Server::script([
            Act::close(),
            Act::close(), // a read is sent again once
            body(format!("<p>?personal_api_key={KEY}</p>")),
            Act::error(404, "invalid_request", "not_found", KEY),
        ])
        .expects(way);
        let client = builder(server.url()).auth(auth).agent(agent()).build().unwrap();
        transport(&error(client.me()));
        decode(&error(client.me()));
        let failed = error(client.me());
        api(&failed);
        assert_eq!(server.count(), 4, "{auth:?}");
        for request in server.requests() {
            assert!(request.header("authorization").is_none());
            assert_eq!(request.query().is_empty(), auth == Auth::Body);
            assert_eq!(request.body.is_empty(), auth == Auth::Query);
        }
    }
}
