use super::*;
use crate::error::Error;

fn error(status: u16, body: &str) -> Error {
    Error::from_answer(status, body)
}

#[test]
fn display_names_call_status_detail_and_what_to_do() {
    let e = error(
        403,
        r#"{"type":"authentication_error","code":"permission_denied","detail":"Missing scope.","attr":null}"#,
    );
    assert_eq!(
        e.to_string(),
        "403 permission_denied: Missing scope; check the key's scopes, and that it may use this project"
    );
    assert!(format!("{e:#}").contains("\"attr\":null"));
    assert_eq!(error(502, "<html>\nno").to_string().lines().count(), 1);
    let answer = ErrorAnswer::read(405, "", &str::to_owned);
    let e = Error::of_answer(answer).of_call("DELETE", "/api/x/", "");
    assert_eq!(
        e.to_string(),
        "DELETE /api/x/: 405: the body is empty; send a PATCH with the body {\"deleted\": true} instead"
    );
}

#[test]
fn the_hint_fits_the_route_and_what_posthog_says() {
    let detail = |text: &str| format!(r#"{{"detail":"{text}"}}"#);
    for (method, path, status, body, word) in [
        (
            "GET",
            "/x/",
            403,
            detail("This action does not support Personal API Key access"),
            "no scope",
        ),
        ("GET", "/x/", 403, detail("does not support personal API key access"), "no scope"),
        ("POST", "/p/query/", 500, detail("A server error occurred."), "toDateTime"),
        ("POST", "/p/query/", 504, detail("Query has reached the max memory limit"), "memory"),
        ("POST", "/p/query/", 524, String::new(), "background"),
        ("GET", "/api/personal_api_keys/@current/", 404, String::new(), "Client::me"),
        ("DELETE", "/p/persons/did-1/", 405, String::new(), "bulk_delete"),
        ("DELETE", "/p/cohorts/1/", 405, String::new(), "PATCH"),
        ("POST", "/p/endpoints/a/run/", 400, r#"{"code":"query_timeout"}"#.to_owned(), "endpoint"),
        ("GET", "/p/endpoints/a/run", 504, String::new(), "endpoint"),
        ("POST", "/p/query/", 400, detail("Cannot redefine an alias"), "once"),
        ("POST", "/p/query/", 400, r#"{"code":"type_mismatch"}"#.to_owned(), "toDateTime"),
    ] {
        let answer = ErrorAnswer::read(status, &body, &str::to_owned);
        let hint = answer.hint(method, path, "").unwrap_or_default();
        assert!(hint.contains(word), "{method} {path} {status}: {hint}");
    }
}

#[test]
fn a_caret_stands_under_the_error_in_the_sql() {
    for (sql, start, shown) in [
        ("select nosuch from events", 7, "select nosuch from events\n       ^"),
        ("select 1,\n\té, x\nfrom t", 13, "\té, x\n\t  ^"),
        ("select", 99, "select\n      ^"),
        ("", 0, "\n^"),
    ] {
        assert_eq!(with_caret(sql, start), shown);
    }
}

#[test]
fn codes_outrank_statuses() {
    use ErrorKind as K;
    let code = |code: &str| format!(r#"{{"code":"{code}"}}"#);
    for (status, body, kind) in [
        (401, code("authentication_failed"), K::Unauthenticated),
        (403, code("authentication_failed"), K::Unauthenticated),
        (403, code("not_authenticated"), K::Unauthenticated),
        (401, String::new(), K::Unauthenticated),
        (401, code("permission_denied"), K::PermissionDenied),
        (403, String::new(), K::PermissionDenied),
        (404, String::new(), K::NotFound),
        (429, String::new(), K::RateLimited),
        (429, code("api_queries_budget_exceeded"), K::QueryBudget),
        (400, code("query_timeout"), K::TooSlow),
        (504, String::new(), K::TooSlow),
        (512, String::new(), K::TooSlow),
        (524, String::new(), K::TooSlow),
        (400, String::new(), K::Refused),
        (500, String::new(), K::Server),
        (503, String::new(), K::Server),
    ] {
        assert_eq!(error(status, &body).kind(), kind, "{status} {body}");
    }
}

#[test]
fn detail_is_found_in_every_shape() {
    for (body, detail) in [
        (r#"{"detail":"a"}"#, Some("a")),
        (r#"{"error":"b"}"#, Some("b")),
        (r#"{"success":false,"message":"c"}"#, Some("c")),
        (r#"{"query_status":{"error":true,"error_message":"d"}}"#, Some("d")),
        (r#"{"detail":["e"]}"#, None),
        ("<html>", None),
        ("", None),
    ] {
        assert_eq!(error(400, body).detail(), detail, "{body}");
    }
}

#[test]
fn the_wait_is_read_from_the_detail() {
    for (detail, wait) in [
        ("Request was throttled. Expected available in 12 seconds.", Some(12)),
        ("Expected available in 1 second.", Some(1)),
        ("Request was throttled.", None),
        ("available in a while", None),
        ("available in 9", None),
    ] {
        assert_eq!(seconds_in_detail(detail), wait.map(Duration::from_secs), "{detail}");
    }
}

#[test]
fn the_same_call_may_succeed_later_after_these_errors() {
    use ErrorKind as K;
    for (status, transient) in [
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (429, true),
        (500, true),
        (501, false),
        (502, true),
        (504, true),
    ] {
        assert_eq!(error(status, "").is_transient(), transient, "{status}");
    }
    let passing = [K::Dns, K::Connect, K::Broken, K::Timeout, K::Running, K::QueryBudget];
    let lasting = [K::Config, K::Tls, K::Proxy, K::NotHttp, K::Redirect, K::Decode, K::Paging];
    for (kinds, transient) in [(&passing[..], true), (&lasting[..], false)] {
        for kind in kinds {
            assert_eq!(Error::from_kind(*kind, "x").is_transient(), transient, "{kind}");
        }
    }
}
