//! Proves that a body which may be cut, or is no text, is an error.
use crate::support::expect::{broken, decode, insight};
use crate::support::{Act, End, Server, client, error_in};
use posthog_api::insight as read;
use serde_json::{Value, json};

fn unframed(body: impl Into<Vec<u8>>, end: End) -> Act {
    Act::status(200).body("application/json", body).unframed().then(end)
}

#[test]
fn json_without_a_length_is_complete_only_up_to_its_last_bracket() {
    let whole = json!({"results": [{"a": [1]}, {"b": "x"}], "next": null}).to_string();
    for end in [End::Close, End::Reset] {
        for cut in 1..whole.len() {
            let server = Server::script([unframed(&whole[..cut], end)]);
            let failed = error_in(&whole[..cut], client(&server).me());
            if whole[..cut].ends_with(['}', ']']) {
                continue; // it is not JSON
            }
            broken(&failed);
        }
    }
    // Nothing, on a connection that closes.
    let nothing = || unframed("", End::Close).header("Connection", "close");
    let server = Server::script([nothing(), nothing()]);
    broken(&error_in("nothing", client(&server).me()));
    let response = client(&server).get("/").response().unwrap();
    decode(&error_in("nothing", response.json::<Value>()));
    let server = Server::script([unframed(whole.clone(), End::Close)]);
    let read: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(client(&server).me().unwrap(), read);
    // A number, a string or nothing at all may be the beginning of something longer.
    for body in ["1", "12", "\"a\"", "true", "null", " "] {
        let server = Server::script([unframed(body, End::Close)]);
        broken(&error_in(body, client(&server).me()));
        let server = Server::script([unframed(body, End::Close)]);
        let response = client(&server).get("/").response().unwrap();
        decode(&error_in(body, response.json::<Value>()));
    }
}

#[test]
fn a_body_without_a_length_that_ends_in_a_reset_is_an_error() {
    let whole = json!({"results": [1, 2], "next": null}).to_string();
    for body in [&whole[..whole.len() - 3], &whole[..20]] {
        let server = Server::script([unframed(body, End::Reset)]);
        broken(&error_in(body, client(&server).list("/x/").all()));
    }
    let csv = "id,name\n1,a\n2,b\n";
    for body in [csv, "{\"a\": 1}", "[1]"] {
        let act = Act::status(200).body("text/csv", body).unframed().then(End::Reset);
        let server = Server::script([act]);
        error_in(body, client(&server).get("/").text());
    }
}

#[test]
fn text_without_a_length_is_refused_whatever_its_end() {
    // Each of these may be the beginning of a longer text.
    let long = "1,{\"a\": 1}\n".repeat(10_000);
    for body in
        ["id\n1\n", "id,properties\n1,{\"a\": 1}", "{\"a\": 1}\n{\"a\": 2}\n", "[1]", long.as_str()]
    {
        for transfer in [None, Some("identity")] {
            let act = Act::status(200).body("text/csv", body).unframed();
            let act =
                transfer.into_iter().fold(act, |act, value| act.header("Transfer-Encoding", value));
            let server = Server::script([act]);
            error_in(body, client(&server).get("/").text());
        }
        // With a length, or in chunks, it is complete.
        for act in
            [Act::status(200).body("text/csv", body), Act::status(200).body("", body).chunked()]
        {
            let server = Server::script([act]);
            assert_eq!(client(&server).get("/").text().unwrap(), body);
        }
    }
}

#[test]
fn a_web_page_is_no_text() {
    let page = "<html><body>Log in</body></html>";
    let spaces = " \r\n".repeat(100);
    for (name, kind, body) in [
        ("its type", "text/html", "a,b\n".to_owned()),
        ("its type in capitals", "Text/HTML; charset=utf-8", "a,b\n".to_owned()),
        ("XHTML", "application/xhtml+xml", "a,b\n".to_owned()),
        ("no type", "", page.to_owned()),
        ("another type", "text/plain", page.to_owned()),
        ("a document type", "", format!("<!DOCTYPE html>{page}")),
        ("small letters", "text/csv", format!("<!doctype HTML>{page}")),
        ("behind spaces", "", format!("{spaces}{page}")),
        ("behind a byte order mark", "", format!("\u{feff}{page}")),
        ("behind a comment", "", format!("<!-- proxy -->\n{page}")),
        ("a head only", "", "<head><title>502</title></head>".to_owned()),
    ] {
        let server = Server::script([Act::status(200).body(kind, body)]);
        let failed = error_in(name, client(&server).get("/").text());
        assert!(decode(&failed).message().contains("web page"), "{name}: {failed}");
    }
    for body in ["<a>", "a,<html>\n", "<htmlish/>", ""] {
        let server = Server::script([Act::status(200).body("text/csv", body)]);
        assert_eq!(client(&server).get("/").text().unwrap(), body);
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let little: Vec<u8> = "a,b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "a,b\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (name, kind, body) in [
        ("by its type", "text/csv; charset=utf-16", little.clone()),
        ("by its type in capitals", "text/csv; charset=\"UTF-16LE\"", little.clone()),
        ("by its mark", "text/csv", [b"\xff\xfe", little.as_slice()].concat()),
        ("by its other mark", "", [b"\xfe\xff", big.as_slice()].concat()),
        ("invalid UTF-8", "text/csv; charset=utf-8", b"caf\xe9".to_vec()),
    ] {
        let server = Server::script([Act::status(200).body(kind, body)]);
        decode(&error_in(name, client(&server).get("/").text()));
    }
}

#[test]
fn a_series_with_fewer_points_than_days_is_an_error() {
    let line = |data: Value| json!({"id": 5, "result": [{"label": "a", "days": ["2026-01-01", "2026-01-02"], "data": data}]});
    let server = Server::answers(&[line(json!([1])), line(json!([1, 2])), line(json!([1, 2, 3]))]);
    let project = client(&server).project(1);
    let mut answers = [(); 3].map(|()| project.insight(5).unwrap()).into_iter();
    for (points, fits) in [(1, false), (2, true), (3, false)] {
        let lines = read::series(&answers.next().unwrap());
        if fits {
            assert_eq!(lines.unwrap()[0].data.len(), points);
        } else {
            let failed = error_in("series", lines);
            assert!(insight(&failed).message().contains("2 days"), "{failed}");
        }
    }
}
