use super::*;
use serde_json::json;

#[test]
fn a_missing_result_is_explained() {
    let huge = "x".repeat(100_000);
    for (insight, kind, why) in [
        (
            json!({"id": 7, "result": null, "last_refresh": null}),
            ErrorKind::NotComputed,
            "insight 7 was never computed",
        ),
        (
            json!({"id": 7, "result": null, "query_status": {"id": "q1", "complete": false, "error": false}}),
            ErrorKind::Running,
            "query q1 is still",
        ),
        (
            json!({"query_status": {"id": null, "complete": false, "error": false}}),
            ErrorKind::Running,
            "a query is still",
        ),
        (
            json!({"result": null, "query_status": {"error": true, "error_message": "boom"}}),
            ErrorKind::QueryFailed,
            "failed: boom",
        ),
        (
            json!({"result": null, "query_status": {"error": true, "error_message": huge}}),
            ErrorKind::QueryFailed,
            "failed: xxx",
        ),
        (
            json!({"result": null, "query_status": {"error": true, "error_message": null}}),
            ErrorKind::QueryFailed,
            "does not say why",
        ),
        (
            json!({"result": null, "query_status": {"error": true, "error_message": "concurrency_limit_exceeded"}}),
            ErrorKind::RateLimited,
            "try again",
        ),
        (json!({"results": null, "error": "boom"}), ErrorKind::QueryFailed, "failed: boom"),
        (json!({"id": 7, "name": "x"}), ErrorKind::WrongShape, "`basic`"),
        (json!(null), ErrorKind::WrongShape, "holds a text"),
        (json!({"id": 3, "insight": null, "text": {}}), ErrorKind::WrongShape, "a tile"),
        (json!([1]), ErrorKind::WrongShape, "`basic`"),
    ] {
        let error = result(&insight).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.to_string().len() < 300, "{error}");
    }
}

#[test]
fn a_result_is_found_in_an_insight_an_answer_and_a_poll() {
    for (answer, expected) in [
        (json!({"result": []}), json!([])),
        (json!({"results": [1]}), json!([1])),
        (json!({"result": null, "results": [1]}), json!([1])),
        // The old result is there while a new one is being computed.
        (json!({"result": [2], "query_status": {"complete": false}}), json!([2])),
        (json!({"query_status": {"complete": true, "results": {"results": [3]}}}), json!([3])),
    ] {
        assert_eq!(result(&answer).unwrap(), &expected);
    }
}
