//! The query routes: recorded HogQL, a scan of all persons by key, and queries that run in the background.
use super::http::{Answer, Request, invalid};
use super::persons::Person;
use super::properties::Refusal;
use super::recordings::Recorded;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The server puts this on, whatever the SQL says.
const MAX_ROWS: usize = 10_000;

/// A query that was started in the background, with the answer that it will give.
struct Task {
    answer: Answer,
    polled: bool,
}

#[derive(Default)]
pub struct Tasks {
    started: usize,
    by_id: BTreeMap<String, Task>,
}

/// `POST /query/`, `GET` and `DELETE /query/{id}/`; or the name of the recorded answer that refuses it.
pub fn route(
    request: &Request,
    id: &[&str],
    body: &Value,
    recorded: &[Recorded],
    persons: &[Person],
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
            let answer = run(&body["query"], recorded, persons);
            let background = body["async"] == true
                || body["refresh"].as_str().is_some_and(|word| word.ends_with("async"));
            Ok(if background { tasks.start(body, &answer) } else { answer })
        }
        ("GET", [id]) => tasks.by_id.get_mut(*id).map(|task| task.poll(id)).ok_or(NOT_FOUND),
        ("DELETE", [id]) => match tasks.by_id.remove(*id) {
            Some(_) => Ok(Answer::json(200, "{\"message\":\"Query cancelled\"}")),
            None => Err(NOT_FOUND),
        },
        _ => Err("api_unknown"),
    }
}

impl Tasks {
    fn start(&mut self, body: &Value, answer: &Answer) -> Answer {
        self.started += 1;
        let own_id = format!("0192f3a4-0000-4000-8000-{:012}", self.started);
        let id = body["client_query_id"].as_str().unwrap_or(&own_id).to_owned();
        let running = Answer::json(202, &running(&id));
        self.by_id.insert(id, Task { answer: answer.clone(), polled: false });
        running
    }
}

impl Task {
    /// Running the first time, done from the second on.
    fn poll(&mut self, id: &str) -> Answer {
        if !std::mem::replace(&mut self.polled, true) {
            return Answer::json(202, &running(id));
        }
        let text = String::from_utf8_lossy(&self.answer.bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut status = query_status(id, true);
        if head.starts_with("HTTP/1.1 200") {
            // Spliced in as text: results may hold what a Value cannot, such as a bare NaN.
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

fn run(query: &Value, recorded: &[Recorded], persons: &[Person]) -> Answer {
    let same = |text: &String| {
        serde_json::from_str::<Value>(text).is_ok_and(|body| body["query"] == *query)
    };
    let asked = |r: &&Recorded| {
        r.name.starts_with("query_") && r.status != 415 && r.request_body.as_ref().is_some_and(same)
    };
    if let Some(found) = recorded.iter().find(asked) {
        return Answer::recorded(found);
    }
    match Scan::read(query["query"].as_str().unwrap_or_default()) {
        Some(scan) => scan.run(query, persons),
        None => invalid("Unknown table or unsupported query."),
    }
}

/// `SELECT * FROM (select .. from persons) [WHERE key > {after}] ORDER BY key LIMIT n WITH TIES`
struct Scan {
    columns: Vec<String>,
    key: String,
    /// The placeholder's name.
    after: Option<String>,
    limit: usize,
}

impl Scan {
    /// Nothing where the SQL has another shape; letter case, spaces and backquotes do not matter.
    fn read(sql: &str) -> Option<Scan> {
        let spaced = "(),>{}"
            .chars()
            .fold(sql.to_lowercase().replace('`', " "), |sql, c| sql.replace(c, &format!(" {c} ")));
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let inner = words.strip_prefix(&["select", "*", "from", "(", "select"])?;
        let end = inner.windows(3).position(|w| w == ["from", "persons", ")"])?;
        let columns: Vec<String> =
            inner[..end].join(" ").split(',').map(|column| column.trim().to_owned()).collect();
        let (after, key, limit) = match inner[end + 3..] {
            ["order", "by", key, "limit", n, "with", "ties"] => (None, key, n),
            ["where", own, ">", "{", name, "}", "order", "by", key, "limit", n, "with", "ties"]
                if own == key =>
            {
                (Some(name.to_owned()), key, n)
            }
            _ => return None,
        };
        let known =
            |column: &String| ["id", "created_at", "properties", "name"].contains(&column.as_str());
        let key = key.to_owned();
        let all_known = columns.iter().all(known) && columns.contains(&key);
        all_known.then_some(Scan { columns, key, after, limit: limit.parse().ok()? })
    }

    fn run(&self, query: &Value, persons: &[Person]) -> Answer {
        let (key, limit) = (&self.key, self.limit.min(MAX_ROWS));
        let after =
            self.after.as_ref().map(|name| query["values"][name].as_str().ok_or(name)).transpose();
        let after = match after {
            Ok(after) => after,
            Err(name) => return invalid(&format!("Unresolved placeholder: {{{name}}}")),
        };
        let mut rows: Vec<(String, &Person)> =
            persons.iter().map(|p| (sort_key(cell(p, key)), p)).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.retain(|(own, _)| after.is_none_or(|after| *own > sort_key(after)));
        // WITH TIES: whatever equals the last row comes along.
        let ties = rows
            .iter()
            .skip(limit)
            .take_while(|(own, _)| limit > 0 && *own == rows[limit - 1].0)
            .count();
        let results: Vec<Vec<&str>> = rows[..(limit + ties).min(rows.len())]
            .iter()
            .map(|(_, person)| self.columns.iter().map(|c| cell(person, c)).collect())
            .collect();
        let types = self.columns.iter().map(|column| match column.as_str() {
            "id" => [column, "UUID"],
            "created_at" => [column, "DateTime64(6, 'UTC')"],
            _ => [column, "String"],
        });
        let condition =
            after.map_or(String::new(), |after| format!(" WHERE greater({key}, '{after}')"));
        let columns = self.columns.join(", ");
        let body = json!({
            "columns": self.columns, "types": types.collect::<Vec<_>>(), "results": results, "hasMore": null,
            "hogql": format!("SELECT * FROM (SELECT {columns} FROM persons){condition} ORDER BY {key} ASC LIMIT {limit} WITH TIES"),
            "limit": limit, "offset": 0,
        });
        Answer::json(200, &body.to_string())
    }
}

fn cell<'a>(person: &'a Person, column: &str) -> &'a str {
    match column {
        "properties" => &person.properties,
        column => person.value[column].as_str().unwrap_or_default(),
    }
}

/// ClickHouse sorts a UUID by its second half, then by its first.
fn sort_key(value: &str) -> String {
    let hex = value.replace('-', "").to_lowercase();
    if hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        format!("{}{}", &hex[16..], &hex[..16])
    } else {
        value.to_owned()
    }
}
