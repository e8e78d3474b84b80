//! The answers to the SQL of the tour, the README, the tutorial and the tests. A statement is found by
//! its text, and nothing else of SQL is read.
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Rows with the names and types of their columns.
#[derive(Clone)]
pub(crate) struct Table {
    pub columns: Vec<String>,
    pub types: Vec<&'static str>,
    pub rows: Vec<Vec<Value>>,
}

/// What the statements answer from.
pub(crate) struct Tables {
    pub events: Table,
    pub persons: Table,
    /// Names of events and how many events have them, most first.
    pub counts: Vec<Value>,
}

/// Statements over persons, and the columns that they select.
const PERSONS: [(&str, &[&str]); 5] = [
    ("SELECT id, created_at, properties FROM persons", &["id", "created_at", "properties"]),
    ("SELECT id, created_at FROM persons", &["id", "created_at"]),
    ("select id, created_at from persons", &["id", "created_at"]),
    ("select id from persons", &["id"]),
    ("select name, id from persons", &["name", "id"]),
];

impl Tables {
    /// The rows of a statement, and whether the server has more than it returns; none for a
    /// statement that it does not know.
    pub(crate) fn answer(&self, sql: &str, values: &Value) -> Option<(Table, bool)> {
        /// The most rows of an answer to a statement without a LIMIT.
        const MOST: usize = 100;
        let own_limit = sql.contains("LIMIT");
        let mut table = self.find(sql, values).or_else(|| self.page(sql, values))?;
        let more = !own_limit && table.rows.len() > MOST;
        if more {
            table.rows.truncate(MOST);
        }
        Some((table, more))
    }

    fn find(&self, sql: &str, values: &Value) -> Option<Table> {
        if let Some((_, columns)) = PERSONS.iter().find(|(own, _)| *own == sql) {
            return self.persons.select(columns);
        }
        let counted = |name: &Value| {
            let found = self.counts.iter().find(|row| row[0] == *name);
            found.map_or(Vec::new(), |row| vec![row.clone()])
        };
        match sql {
            "SELECT event, timestamp FROM events" => self.events.select(&["event", "timestamp"]),
            "SELECT event, count() AS n FROM events WHERE event = {event} GROUP BY event LIMIT 10" => {
                Some(counts("event", counted(values.get("event")?)))
            }
            "SELECT event, count() AS n FROM events GROUP BY event ORDER BY n DESC LIMIT 2" => {
                Some(counts("event", self.counts[..2].to_vec()))
            }
            "SELECT properties.$browser AS browser, count() AS n FROM events \
             WHERE event = {event} GROUP BY browser ORDER BY n DESC LIMIT 20" => {
                let mut rows = counted(values.get("event")?);
                // All events are made by one browser.
                rows.iter_mut().for_each(|row| row[0] = "Chrome".into());
                Some(counts("browser", rows))
            }
            // Of an export of every night: a month after the last event.
            "SELECT now() AS before, now() - toIntervalDay(3) AS next LIMIT 1" => Some(Table {
                columns: vec!["before".to_owned(), "next".to_owned()],
                types: vec!["DateTime('UTC')"; 2],
                rows: vec![vec!["2026-12-31T00:00:00Z".into(), "2026-12-28T00:00:00Z".into()]],
            }),
            _ => None,
        }
    }

    /// A page of a scan, or of events between two times.
    fn page(&self, sql: &str, values: &Value) -> Option<Table> {
        static SCAN: LazyLock<regex_lite::Regex> = LazyLock::new(|| {
            let sql = r"(?s)^SELECT \* FROM \((.+)\n\) (WHERE `\w+` > \{scan_after\} )?ORDER BY `(\w+)` LIMIT (\d+) WITH TIES$";
            regex_lite::Regex::new(sql).unwrap()
        });
        if let (Some(from), Some(to)) =
            (values["events_from"].as_str(), values["events_to"].as_str())
        {
            let mut table = self.events.clone();
            let of = |name| table.columns.iter().position(|column| column == name);
            let (time, uuid) = (of("timestamp")?, of("uuid")?);
            table.rows.retain(|row| row[time].as_str().is_some_and(|t| (from..to).contains(&t)));
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let place = |row: &Vec<Value>| (text(&row[time]), sort_key(&text(&row[uuid])));
            if let Some(after) = values["events_uuid"].as_str() {
                // No two events of the recordings have one uuid.
                let after = (from.to_owned(), sort_key(after));
                table.rows.retain(|row| place(row) > after);
            }
            table.rows.sort_by_cached_key(place);
            if sql.starts_with("SELECT count()") {
                return Some(Table {
                    columns: vec!["count()".to_owned()],
                    types: vec!["UInt64"],
                    rows: vec![vec![table.rows.len().into()]],
                });
            }
            return Some(table);
        }
        let scan = SCAN.captures(sql)?;
        let mut table = self.find(&scan[1], values)?;
        let at = table.columns.iter().position(|column| *column == scan[3])?;
        let key = |row: &Vec<Value>| sort_key(row[at].as_str().unwrap());
        table.rows.sort_by_cached_key(key);
        if scan.get(2).is_some() {
            let after = sort_key(values["scan_after"].as_str()?);
            table.rows.retain(|row| key(row) > after);
        }
        let limit: usize = scan[4].parse().ok()?;
        if let Some(last) = limit.checked_sub(1).and_then(|at| table.rows.get(at)).map(key) {
            // WITH TIES.
            table.rows.retain(|row| key(row) <= last);
        }
        Some(table)
    }
}

impl Table {
    fn select(&self, columns: &[&str]) -> Option<Table> {
        let at = |name: &&str| self.columns.iter().position(|own| own == name);
        let places: Vec<usize> = columns.iter().map(at).collect::<Option<_>>()?;
        let row = |row: &Vec<Value>| places.iter().map(|&at| row[at].clone()).collect();
        Some(Table {
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            types: places.iter().map(|&at| self.types[at]).collect(),
            rows: self.rows.iter().map(row).collect(),
        })
    }

    /// The body of the answer to `sql`.
    pub(crate) fn body(&self, sql: &str, more: bool) -> Value {
        let limited = sql.contains("LIMIT");
        let hogql = if limited { sql.to_owned() } else { format!("{sql}\nLIMIT 101\nOFFSET 0") };
        let types: Vec<_> = self.columns.iter().zip(&self.types).collect();
        json!({
            "columns": self.columns, "error": null, "hasMore": (!limited).then_some(more),
            "hogql": hogql, "is_cached": false, "limit": (!limited).then_some(100),
            "offset": (!limited).then_some(0), "query": sql, "results": self.rows, "types": types,
        })
    }
}

/// Rows of something and its number.
fn counts(name: &str, rows: Vec<Value>) -> Table {
    let rows = rows.into_iter().map(|row| row.as_array().unwrap().clone()).collect();
    Table { columns: vec![name.to_owned(), "n".to_owned()], types: vec!["String", "UInt64"], rows }
}

/// ClickHouse sorts a UUID by its second half, then by its first.
fn sort_key(value: &str) -> String {
    let hex = value.replace('-', "");
    if hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        format!("{}{}", &hex[16..], &hex[..16])
    } else {
        value.to_owned()
    }
}
