//! The table of events: made up, as many of each name as a recorded insight counts.
use super::sql::Table;
use serde_json::{Value, json};

const COLUMNS: [&str; 5] = ["uuid", "event", "timestamp", "distinct_id", "properties"];
const TYPES: [&str; 5] = ["UUID", "String", "DateTime64(6, 'UTC')", "String", "String"];

/// `counts`: rows of a name and how many events have it.
pub(crate) fn table(counts: &[Value]) -> Table {
    let count = |row: &Value| usize::try_from(row[1].as_u64().unwrap()).unwrap();
    let total: usize = counts.iter().map(count).sum();
    let names = counts.iter().flat_map(|row| std::iter::repeat_n(&row[0], count(row)));
    let rows = names.enumerate().map(|(n, name)| {
        // Spread over 40 days, several at the same microsecond, in no order of their names.
        let place = n * 7919 % total / 3;
        let (day, second) = (place % 40, place / 40 * 1873 % 86_400);
        let (month, day) = if day < 10 { (10, 22 + day) } else { (11, day - 9) };
        let time = (second / 3600, second / 60 % 60, second % 60);
        let timestamp = format!(
            "2026-{month}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
            time.0,
            time.1,
            time.2,
            place * 37 % 1_000_000
        );
        let uuid = format!(
            "0190{:04x}-0000-7000-{:04x}-{n:012x}",
            n * 31 % 65_536,
            0x8000 + n * 97 % 16_384
        );
        let properties = json!({"$browser": "Chrome", "amount": n % 300}).to_string();
        vec![
            uuid.into(),
            name.clone(),
            timestamp.into(),
            format!("did-{}", n % 250).into(),
            properties.into(),
        ]
    });
    Table {
        columns: COLUMNS.map(str::to_owned).to_vec(),
        types: TYPES.to_vec(),
        rows: rows.collect(),
    }
}
