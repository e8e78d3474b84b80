//! A server that holds rows and runs the SQL of scans and events. SQL of another form is an error.
use crate::support::{Act, Request, Server};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::sync::Mutex;

/// What a server does with each query.
#[derive(Clone, Copy)]
pub struct Rules {
    /// The largest LIMIT.
    pub cap: usize,
    /// Whether an answer shows the LIMIT that was put on.
    pub shows_limit: bool,
    /// How many rows a blocking query can look at.
    pub patience: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { cap: 50_000, shows_limit: true, patience: usize::MAX }
    }
}

/// What a statement finds.
pub struct Found<'a> {
    pub columns: Value,
    pub types: Value,
    /// The ranks of the rows, in order: rows of the same rank are equal in the ORDER BY.
    pub ranks: Vec<usize>,
    pub row: Row<'a>,
}

/// Makes the row at a place. An answer has few of the rows that a query looks at.
pub type Row<'a> = Box<dyn Fn(usize) -> Value + 'a>;

/// A table: from a statement without its LIMIT, and the values of its placeholders, to what it finds.
pub trait Table: Send + Sync + 'static {
    fn find(&self, sql: &str, values: &Value) -> Option<Found<'_>>;
}

pub fn serve(table: impl Table, rules: Rules) -> Server {
    serve_with(table, rules, |_| None)
}

/// `fault`: what a query gets in place of its answer, by its number.
pub fn serve_with(
    table: impl Table,
    rules: Rules,
    fault: impl Fn(usize) -> Option<Act> + Send + Sync + 'static,
) -> Server {
    let background: Mutex<Vec<Value>> = Mutex::default();
    Server::start(move |request, n| {
        if request.method == "GET" {
            let id: usize =
                request.path().trim_end_matches('/').rsplit('/').next().unwrap().parse().unwrap();
            let answer = background.lock().unwrap()[id].clone();
            let status =
                json!({"id": id.to_string(), "complete": true, "error": false, "results": answer});
            return Act::json(200, &json!({"query_status": status}));
        }
        if request.method == "DELETE" {
            return Act::status(204);
        }
        let body = request.json();
        let (answer, looked_at) = match run(&table, &body["query"], rules) {
            Ok(done) => done,
            Err(sql) => return Act::error(400, "validation_error", "not_of_the_model", &sql),
        };
        if let Some(fault) = fault(n).filter(|_| body["refresh"] == "force_blocking") {
            return fault;
        }
        match body["refresh"].as_str() {
            Some("force_blocking") if looked_at > rules.patience => too_slow(),
            Some("force_blocking") => Act::json(200, &answer),
            Some("force_async") => {
                let mut background = background.lock().unwrap();
                background.push(answer);
                let id = (background.len() - 1).to_string();
                Act::json(
                    202,
                    &json!({"query_status": {"id": id, "complete": false, "error": false}}),
                )
            }
            _ => Act::error(400, "validation_error", "not_of_the_model", "the refresh"),
        }
    })
}

pub fn too_slow() -> Act {
    Act::error(504, "server_error", "error", "Query has hit the max execution time")
}

/// The answer, and how many rows the server looked at for it.
fn run(table: &impl Table, query: &Value, rules: Rules) -> Result<(Value, usize), String> {
    let sql = query["query"].as_str().unwrap();
    let (statement, ties) = match sql.strip_suffix(" WITH TIES") {
        Some(rest) => (rest, true),
        None => (sql, false),
    };
    let (statement, limit) = statement.rsplit_once("LIMIT ").ok_or(sql)?;
    let limit = limit.parse::<usize>().map_err(|_| sql)?.min(rules.cap);
    let found = table.find(statement.trim_end(), &query["values"]).ok_or(sql)?;
    let last = limit.checked_sub(1).and_then(|last| found.ranks.get(last));
    let fits = |(at, rank): &(usize, &usize)| *at < limit || (ties && Some(*rank) == last);
    let rows: Vec<Value> =
        found.ranks.iter().enumerate().take_while(fits).map(|(at, _)| (found.row)(at)).collect();
    let mut answer = json!({
        "columns": found.columns, "types": found.types, "results": rows, "hasMore": null, "limit": null,
    });
    if rules.shows_limit {
        let ties = if ties { " WITH TIES" } else { "" };
        answer["hogql"] = format!("{statement}LIMIT {limit}{ties}").into();
    }
    Ok((answer, found.ranks.len()))
}

/// Sorts rows, and numbers them by rank.
pub fn ranked<'a, T: 'a>(
    mut rows: Vec<T>,
    compare: impl Fn(&T, &T) -> Ordering,
    row: impl Fn(&T) -> Value + 'a,
) -> (Vec<usize>, Row<'a>) {
    rows.sort_by(&compare);
    let mut rank = 0;
    let ranks = rows.iter().enumerate().map(|(at, this)| {
        let new = at > 0 && compare(&rows[at - 1], this) != Ordering::Equal;
        rank += usize::from(new);
        rank
    });
    (ranks.collect(), Box::new(move |at| row(&rows[at])))
}

/// The requests that start a query: its SQL and its refresh.
pub fn queries(server: &Server) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let posts = server.requests().into_iter().filter(|request| request.method == "POST");
    let query = |request: Request| {
        let body = request.json();
        (text(&body["query"]["query"]), text(&body["refresh"]))
    };
    posts.map(query).collect()
}

/// The number behind LIMIT in each query.
pub fn limits(server: &Server) -> Vec<u64> {
    let limit = |(sql, _): (String, String)| {
        let (_, end) = sql.rsplit_once("LIMIT ").unwrap();
        end.split(' ').next().unwrap().parse().unwrap()
    };
    queries(server).into_iter().map(limit).collect()
}
