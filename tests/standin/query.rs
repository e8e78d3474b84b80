//! The query routes: recorded HogQL, a scan of all persons by key, and queries that run in the background.
use super::http::{Answer, Request};
use super::persons::Person;
use super::recordings::{Recorded, raw_field};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The server puts this on, whatever the SQL says.
const MAX_ROWS: usize = 10_000;

/// A query that was started and not yet fetched.
pub struct Task {
    status: u16,
    body: Vec<u8>,
    polls: usize,
}

#[derive(Default)]
pub struct Tasks {
    started: usize,
    by_id: BTreeMap<String, Task>,
}

/// `POST /query/`.
pub fn post(
    request: &Request,
    body: &Value,
    world: (&[Recorded], &[Person]),
    tasks: &mut Tasks,
) -> Answer {
    let (recorded, persons) = world;
    let content = request.header("content-type").unwrap_or_default();
    if !content.starts_with("application/json") {
        return named(recorded, "query_text_plain");
    }
    let answer = run(&body["query"], recorded, persons);
    let refresh = body["refresh"].as_str().unwrap_or_default();
    if !matches!(refresh, "async" | "force_async" | "lazy_async") && body["async"] != true {
        return answer;
    }
    tasks.started += 1;
    let own_id = format!("0192f3a4-0000-4000-8000-{:012}", tasks.started);
    let id = body["client_query_id"]
        .as_str()
        .unwrap_or(&own_id)
        .to_owned();
    let (status, body) = parts(&answer);
    tasks.by_id.insert(
        id.clone(),
        Task {
            status,
            body,
            polls: 0,
        },
    );
    Answer::json(202, &running(&id))
}

/// `GET /query/{id}/`: running the first time, done from the second on.
pub fn get(id: &str, recorded: &[Recorded], tasks: &mut Tasks) -> Answer {
    let Some(task) = tasks.by_id.get_mut(id) else {
        return named(recorded, "person_missing_id");
    };
    task.polls += 1;
    if task.polls == 1 {
        return Answer::json(202, &running(id));
    }
    let mut status = query_status(id, true);
    if task.status == 200 {
        // Spliced in as text: the results may hold numbers that a Value would change.
        let text = String::from_utf8_lossy(&task.body);
        let status =
            status
                .to_string()
                .replacen("\"results\":null", &format!("\"results\":{text}"), 1);
        return Answer::json(200, &format!("{{\"query_status\":{status}}}"));
    }
    let failed: Value = serde_json::from_slice(&task.body).unwrap_or_default();
    status["error"] = true.into();
    status["error_message"] = failed["detail"].clone();
    Answer::json(task.status, &json!({ "query_status": status }).to_string())
}

/// `DELETE /query/{id}/`.
pub fn delete(id: &str, recorded: &[Recorded], tasks: &mut Tasks) -> Answer {
    match tasks.by_id.remove(id) {
        Some(_) => Answer::json(200, "{\"message\":\"Query cancelled\"}"),
        None => named(recorded, "person_missing_id"),
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

fn named(recorded: &[Recorded], name: &str) -> Answer {
    Answer::recorded(recorded.iter().find(|r| r.name == name).unwrap())
}

fn parts(answer: &Answer) -> (u16, Vec<u8>) {
    let bytes = &answer.bytes;
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    (
        std::str::from_utf8(&bytes[9..12]).unwrap().parse().unwrap(),
        bytes[end + 4..].to_vec(),
    )
}

fn run(query: &Value, recorded: &[Recorded], persons: &[Person]) -> Answer {
    let asked = |r: &&Recorded| {
        let body = r
            .request_body
            .as_deref()
            .and_then(|text| serde_json::from_str::<Value>(text).ok());
        r.name.starts_with("query_")
            && r.status != 415
            && body.is_some_and(|body| body["query"] == *query)
    };
    if let Some(found) = recorded.iter().find(asked) {
        return Answer::recorded(found);
    }
    let sql = query["query"].as_str().unwrap_or_default();
    match Scan::read(sql) {
        Some(scan) => scan.run(query, persons),
        None => named(recorded, "query_unknown_table"),
    }
}

/// `SELECT * FROM (select .. from persons) [WHERE key > {placeholder}] ORDER BY key LIMIT n WITH TIES`
struct Scan {
    columns: Vec<String>,
    key: String,
    /// The placeholder's name.
    after: Option<String>,
    limit: usize,
}

impl Scan {
    /// Nothing where the SQL has another shape; letter case and spaces do not matter.
    fn read(sql: &str) -> Option<Scan> {
        let spaced = sql.to_lowercase().replace('`', "");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let joined = words.join(" ").replace("( ", "(").replace(" )", ")");
        let (columns, rest) = joined
            .strip_prefix("select * from (select ")?
            .split_once(" from persons)")?;
        let columns: Vec<String> = columns
            .split(',')
            .map(|column| column.trim().to_owned())
            .collect();
        let known = ["id", "created_at", "properties", "name"];
        let (condition, rest) = rest.split_once("order by ")?;
        let (key, rest) = rest.split_once(" limit ")?;
        let key = key.trim_end_matches(" asc").to_owned();
        let limit = rest.strip_suffix(" with ties")?.parse().ok()?;
        let after = match condition.trim() {
            "" => None,
            text => {
                let name = text
                    .strip_prefix("where ")?
                    .strip_prefix(&key)?
                    .trim_start()
                    .strip_prefix('>')?;
                Some(
                    name.trim()
                        .strip_prefix('{')?
                        .strip_suffix('}')?
                        .trim()
                        .to_owned(),
                )
            }
        };
        let all_known = columns
            .iter()
            .all(|column| known.contains(&column.as_str()));
        (all_known && columns.contains(&key)).then_some(Scan {
            columns,
            key,
            after,
            limit,
        })
    }

    fn run(&self, query: &Value, persons: &[Person]) -> Answer {
        let limit = self.limit.min(MAX_ROWS);
        let after = match &self.after {
            None => None,
            Some(name) => match query["values"][name].as_str() {
                Some(value) => Some(value),
                None => {
                    return invalid(&format!(
                        "Placeholder {{{name}}} is not available in this context"
                    ));
                }
            },
        };
        let mut rows: Vec<(String, &Person)> = persons
            .iter()
            .map(|p| (sort_key(&cell(p, &self.key)), p))
            .collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.retain(|(key, _)| after.is_none_or(|after| *key > sort_key(after)));
        // WITH TIES: whatever equals the last row comes along.
        let last = rows
            .get(limit.saturating_sub(1))
            .map(|(key, _)| key.clone());
        let size = last.map_or(rows.len(), |last| {
            rows.partition_point(|(key, _)| *key <= last)
        });
        let results: Vec<Vec<String>> = rows[..size]
            .iter()
            .map(|(_, p)| self.columns.iter().map(|column| cell(p, column)).collect())
            .collect();
        let kind = |column: &String| match column.as_str() {
            "id" => "UUID",
            "created_at" => "DateTime64(6, 'UTC')",
            _ => "String",
        };
        let types: Vec<[&str; 2]> = self
            .columns
            .iter()
            .map(|column| [column.as_str(), kind(column)])
            .collect();
        let condition = after.map_or(String::new(), |after| {
            format!(" WHERE greater({}, '{after}')", self.key)
        });
        let hogql = format!(
            "SELECT * FROM (SELECT {} FROM persons){condition} ORDER BY {} ASC LIMIT {limit} WITH TIES",
            self.columns.join(", "),
            self.key
        );
        let body = json!({
            "columns": self.columns, "types": types, "results": results, "hasMore": null,
            "hogql": hogql, "limit": limit, "offset": 0,
        });
        Answer::json(200, &body.to_string())
    }
}

fn cell(person: &Person, column: &str) -> String {
    match column {
        "properties" => raw_field(&person.raw, "properties").to_owned(),
        column => person.value[column].as_str().unwrap_or_default().to_owned(),
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

pub fn invalid(detail: &str) -> Answer {
    let body = json!({ "type": "validation_error", "code": "invalid_input", "detail": detail, "attr": null });
    Answer::json(400, &body.to_string())
}
