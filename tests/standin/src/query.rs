//! The query routes: recorded HogQL, known statements over persons and events, and queries in the
//! background.
use super::http::{Answer, Request, invalid};
use super::properties::Refusal;
use super::recordings::Recorded;
use super::sql::Tables;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A query that was started in the background, with the answer that it will give.
struct Task {
    answer: Answer,
    polls: usize,
    cancelled: bool,
}

#[derive(Default)]
pub(crate) struct Tasks {
    started: usize,
    by_id: BTreeMap<String, Task>,
}

/// `POST /query/`, `GET` and `DELETE /query/{id}/`; or the name of a recorded error answer.
pub(crate) fn route(
    request: &Request,
    id: &[&str],
    body: &Value,
    recorded: &[Recorded],
    tables: &Tables,
    tasks: &mut Tasks,
) -> Result<Answer, Refusal> {
    const NOT_FOUND: Refusal = "person_missing_id";
    match (request.method.as_str(), id) {
        ("POST", [])
            if !request
                .header("content-type")
                .unwrap_or_default()
                .starts_with("application/json") =>
        {
            Err("query_text_plain")
        }
        ("POST", []) => {
            let answer = run(&body["query"], recorded, tables);
            let background = body["async"] == true
                || body["refresh"].as_str().is_some_and(|word| word.ends_with("async"));
            Ok(if background { tasks.start(body, &answer) } else { answer })
        }
        ("GET", [id]) => tasks.by_id.get_mut(*id).map(|task| task.poll(id)).ok_or(NOT_FOUND),
        ("DELETE", [id]) => {
            let message = match tasks.by_id.get_mut(*id) {
                Some(task) if task.polls > 1 => "Query already complete",
                Some(task) => {
                    task.cancelled = true;
                    "Cancelled query on clickhouse"
                }
                None => "Cancelled query on clickhouse",
            };
            Ok(Answer::json(200, &json!({ "message": message }).to_string()))
        }
        _ => Err("api_unknown"),
    }
}

impl Tasks {
    fn start(&mut self, body: &Value, answer: &Answer) -> Answer {
        self.started += 1;
        let own_id = format!("0192f3a4-0000-4000-8000-{:012}", self.started);
        let id = body["client_query_id"].as_str().unwrap_or(&own_id).to_owned();
        let running = Answer::json(202, &running(&id));
        self.by_id.insert(id, Task { answer: answer.clone(), polls: 0, cancelled: false });
        running
    }
}

impl Task {
    /// Running at the first poll, done from the second on.
    fn poll(&mut self, id: &str) -> Answer {
        self.polls += 1;
        if self.cancelled {
            let mut status = query_status(id, true);
            status["error"] = true.into();
            return Answer::json(500, &json!({ "query_status": status }).to_string());
        }
        if self.polls == 1 {
            return Answer::json(202, &running(id));
        }
        let text = String::from_utf8_lossy(&self.answer.bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut status = query_status(id, true);
        if head.starts_with("HTTP/1.1 200") {
            // Inserted as text: results may hold what a Value cannot, such as a bare NaN.
            let status =
                status.to_string().replacen("\"results\":null", &format!("\"results\":{body}"), 1);
            return Answer::json(200, &format!("{{\"query_status\":{status}}}"));
        }
        let failed: Value = serde_json::from_str(body).unwrap_or_default();
        status["error"] = true.into();
        status["error_message"] = failed["detail"].clone();
        Answer::json(400, &json!({ "query_status": status }).to_string())
    }
}

fn running(id: &str) -> String {
    json!({ "query_status": query_status(id, false) }).to_string()
}

fn query_status(id: &str, complete: bool) -> Value {
    json!({
        "id": id, "team_id": 1, "query_async": true, "complete": complete, "error": false,
        "error_message": null, "results": null, "start_time": "2026-11-23T09:00:00.000000Z",
        "end_time": complete.then_some("2026-11-23T09:00:01.000000Z"),
    })
}

fn run(query: &Value, recorded: &[Recorded], tables: &Tables) -> Answer {
    let same = |text: &String| {
        serde_json::from_str::<Value>(text).is_ok_and(|body| body["query"] == *query)
    };
    let fits = |r: &&Recorded| {
        r.name.starts_with("query_") && r.status != 415 && r.request_body.as_ref().is_some_and(same)
    };
    if let Some(found) = recorded.iter().find(fits) {
        return Answer::recorded(found);
    }
    let sql = query["query"].as_str().unwrap_or_default();
    match tables.answer(sql, &query["values"]) {
        Some((table, more)) => Answer::json(200, &table.body(sql, more).to_string()),
        None => invalid("This stand-in has no answer to this query."),
    }
}
