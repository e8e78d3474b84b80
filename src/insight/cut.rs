//! Whether the server cut the rows of an answer, by what the server says.
//!
//! PostHog puts LIMIT 100 on each SELECT without one, and reduces a larger one to 50,000 (10,000 on
//! servers of 2023). Many answers have `hasMore`. Those of SQL have `hogql`: the statement that
//! ran, printed in one form, with keywords in capitals and without comments.

use serde_json::Value;

use super::fields::BREAKDOWN_OTHER;

/// The LIMIT that the server puts on a SELECT without one.
const DEFAULT: u64 = 100;

/// The most rows that a server returns: of 2023, and later.
const MOST: [u64; 2] = [10_000, 50_000];

/// What happened to the rows, and what to do.
pub(super) type Cut = (String, &'static str);

const MORE: &str = "are not all rows: the server has more";
const END_WITH_LIMIT: &str =
    "end the SQL with a LIMIT that is not reached, or read all rows with Query::scan";
const LIMIT_EACH: &str =
    "end each SELECT with a LIMIT that is not reached, or read all rows with Query::scan";
const UNKNOWN: &str = "a LIMIT cannot show that it is all: read all rows with Query::scan";
const CAPPED: &str = "a larger LIMIT has no effect: read all rows with Query::scan";
const PAGE: &str = "set `limit` and `offset` in the query";

/// Whether the rows of an answer are or may be cut. `query` is the query that was asked; `None` if
/// only the answer is known.
pub(super) fn cut(answer: &Value, rows: usize, query: Option<&Value>) -> Option<Cut> {
    let count = rows as u64;
    let limit_of = |of: &Value| of.get("limit").and_then(Value::as_u64);
    let has_more = answer.get("hasMore").and_then(Value::as_bool);
    if answer.get("endpoint_version").is_some_and(|version| !version.is_null()) {
        const ENDPOINT: &str =
            "run the endpoint with a larger `limit`, or read all rows with Query::scan";
        // `hasMore` is false also for a full page.
        let full = limit_of(answer).map_or(is_of_server(count), |n| count >= n.max(1));
        let why = match has_more {
            Some(true) => MORE,
            _ if full => "may not be all rows: they are as many as the endpoint's limit",
            _ => return None,
        };
        return Some((why.to_owned(), ENDPOINT));
    }
    let is_sql = |query: &&Value| query.get("kind").is_some_and(|kind| kind == "HogQLQuery");
    let sql = query.filter(is_sql).and_then(|query| query.get("query"));
    let sql = sql.or_else(|| answer.get("query")).and_then(Value::as_str);
    let limit = match query {
        Some(query) => limit_of(query).filter(|_| sql.is_none()),
        // That of the query, or the server's.
        None => limit_of(answer).filter(|n| !is_of_server(*n)),
    };
    if has_more == Some(false) || limit.is_some_and(|limit| limit > 0 && count >= limit) {
        return None;
    }
    let (why, advice) = match has_more {
        Some(_) => (MORE.to_owned(), END_WITH_LIMIT),
        None if limit.is_some() => MOST.contains(&count).then(|| at_most(count))?,
        None => cut_by_limits(answer, count, sql)?,
    };
    // Servers of 2026 do not repeat the SQL in its answer; of SQL alone they send this.
    let answers_sql = sql.is_some() || answer.get("clickhouse").is_some();
    Some((why, if answers_sql { advice } else { PAGE }))
}

/// Whether the values of a breakdown are cut: there are more, and no row holds what is left.
pub(super) fn breakdown_cut(answer: &Value, rows: &[Value]) -> Option<Cut> {
    let is_other = |value: &Value| value.as_str().is_some_and(|s| s.contains(BREAKDOWN_OTHER));
    let holds_rest = |row: &Value| match row.get("breakdown_value") {
        Some(Value::Array(values)) => values.iter().any(is_other),
        value => value.is_some_and(is_other),
    };
    let has_more = answer.get("hasMore").and_then(Value::as_bool) == Some(true);
    (has_more && !rows.iter().any(holds_rest)).then(|| {
        let why = "are not all: the breakdown has more values, and no row holds the rest of them";
        (why.to_owned(), "raise `breakdown_limit`, or unset `breakdown_hide_other_aggregation`")
    })
}

/// The LIMIT of a page of a scan or an export, as the answer's `hogql` shows it.
pub(super) fn limit_put_on(answer: &Value) -> Option<u64> {
    let statement = Statement::read(&tokens(hogql(answer)?)?)?;
    match statement.selects.as_slice() {
        [only] => only.limit,
        _ => statement.whole,
    }
}

/// Why the SQL cannot be part of other SQL.
pub(crate) fn part_obstacle(sql: &str) -> Option<&'static str> {
    match tokens(sql) {
        None => Some("the SQL has a string, comment or bracket that is not closed"),
        Some(tokens) if tokens.iter().any(|token| token.text == ";") => {
            Some("the SQL has a `;`; remove it")
        }
        Some(_) => None,
    }
}

/// Why the pages of a scan, `SELECT * FROM (SQL) ..`, would lose rows: from the `hogql` of a page.
pub(super) fn scan_obstacle(answer: &Value) -> Option<String> {
    let tokens = tokens(hogql(answer)?)?;
    let at_top = |at: usize, text: &str| {
        tokens.get(at).is_some_and(|token| token.depth == 0 && token.text == text)
    };
    let open = (0..tokens.len()).find(|at| at_top(*at, "FROM") && at_top(at + 1, "("))? + 2;
    let close = (open..tokens.len()).find(|at| at_top(*at, ")"))?;
    if Statement::read(&tokens)?.selects.len() > 1 {
        return Some("the SQL of a scan must be a SELECT".to_owned());
    }
    Statement::read(tokens.get(open..close)?)?.clause.map(|clause| {
        format!("the SQL has {clause} of its own; remove it: a scan adds its own order and limit")
    })
}

fn hogql(answer: &Value) -> Option<&str> {
    answer.get("hogql")?.as_str()
}

fn is_of_server(limit: u64) -> bool {
    limit == DEFAULT || MOST.contains(&limit)
}

fn at_most(rows: u64) -> Cut {
    (format!("may not be all rows: the server returns {rows} at most"), CAPPED)
}

/// Whether a LIMIT that the server may have put on is reached.
fn cut_by_limits(answer: &Value, count: u64, sql: Option<&str>) -> Option<Cut> {
    let is_own = |n: u64| sql.is_some_and(|sql| ends_with_limit(sql, n));
    let ran = hogql(answer).and_then(|sql| Statement::read(&tokens(sql)?));
    let may_be_set = |sql: &str| {
        let sql = sql.to_ascii_lowercase();
        ["union", "except", "intersect"].iter().any(|operator| sql.contains(operator))
    };
    if ran.is_none() && sql.is_some_and(may_be_set) {
        let why = "may not be all rows: the server puts a LIMIT on each SELECT without one, and \
                   the answer does not show it";
        return Some((why.to_owned(), UNKNOWN));
    }
    if let Some(ran) = ran.as_ref().filter(|ran| ran.selects.len() > 1) {
        return ran.cut(count, is_own);
    }
    // A server that tells whether there is more sends both as null for a LIMIT of the SQL.
    let is_null = |name: &str| answer.get(name).is_some_and(Value::is_null);
    let limited = ran.is_some() && is_null("hasMore") && is_null("limit");
    let limit = ran.and_then(|ran| ran.selects.first()?.limit).unwrap_or(count);
    if count < limit || !is_of_server(limit) || is_own(limit) {
        None
    } else if MOST.contains(&limit) {
        Some(at_most(limit))
    } else {
        let why = "may not be all rows: the server puts LIMIT 100 on SQL without one";
        (!limited).then(|| (why.to_owned(), END_WITH_LIMIT))
    }
}

/// Whether the SQL ends with `LIMIT n`: then it is the SQL's own, for the server accepted it.
fn ends_with_limit(sql: &str, n: u64) -> bool {
    let sql = sql.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
    let before = sql.strip_suffix(&n.to_string()).unwrap_or("");
    let keyword = before.trim_end();
    let start = keyword.len().saturating_sub("limit".len());
    // A comment ends with its line.
    let line = keyword.rsplit('\n').next().unwrap_or(keyword);
    keyword.len() < before.len()
        && keyword.get(start..).is_some_and(|word| word.eq_ignore_ascii_case("limit"))
        && !line.contains("--")
        && !line.contains("//")
}

/// SELECTs that UNION, EXCEPT or INTERSECT join, and what limits their rows.
#[derive(Debug, Default)]
struct Statement {
    selects: Vec<Select>,
    /// Whether all operators are UNION ALL: the rows are those of all SELECTs.
    adds_up: bool,
    /// The LIMITs of several SELECTs together.
    outer: Vec<u64>,
    /// That of all of them.
    whole: Option<u64>,
    /// Whether several SELECTs together have an ORDER BY.
    is_sorted: bool,
    /// The first clause that orders or limits rows.
    clause: Option<&'static str>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Select {
    /// How many brackets are open around it. `None` before the word SELECT.
    depth: Option<usize>,
    limit: Option<u64>,
    /// Whether it returns one row at most, whatever is stored.
    is_one_row: bool,
}

impl Statement {
    /// Reads a statement as the server prints it. `None` where it has another form.
    fn read(tokens: &[Token<'_>]) -> Option<Statement> {
        let words = outermost(tokens);
        let word = |at: usize| words.get(at).map_or("", |word| word.text);
        let is_clause = |word: &&str| {
            matches!(*word, "BY" | "ORDER" | "LIMIT" | "UNION" | "EXCEPT" | "INTERSECT" | "")
        };
        let base = tokens.first()?.depth;
        let is_one_row = !tokens.iter().any(|t| t.text.eq_ignore_ascii_case("arrayJoin"));
        let new = Select { is_one_row, ..Select::default() };
        let mut out = Statement { adds_up: true, ..Statement::default() };
        let mut select = new;
        for (at, token) in words.iter().enumerate() {
            let is_outer = select.limit.is_some() || select.depth > Some(token.depth);
            let clause = match token.text {
                "UNION" | "EXCEPT" | "INTERSECT"
                    if matches!(word(at + 1), "ALL" | "DISTINCT" | "BY" | "SELECT" | "WITH") =>
                {
                    out.adds_up &= token.text == "UNION" && word(at + 1) == "ALL";
                    out.selects.push(select);
                    out.whole = None;
                    select = new;
                    continue;
                }
                "SELECT" => {
                    select.depth = Some(token.depth);
                    continue;
                }
                "FROM" | "JOIN" => {
                    select.is_one_row = false;
                    continue;
                }
                // The rows of each value.
                "LIMIT" | "OFFSET"
                    if (at + 1..=words.len()).map(word).find(is_clause) == Some("BY") =>
                {
                    continue;
                }
                "LIMIT" if is_number(word(at + 1), word(at + 2)) => {
                    let limit = word(at + 1).parse().ok();
                    if is_outer {
                        out.outer.extend(limit);
                        out.whole = limit.filter(|_| token.depth == base);
                    } else {
                        select.limit = limit;
                    }
                    "a LIMIT"
                }
                "ORDER" if word(at + 1) == "BY" => {
                    out.is_sorted |= is_outer;
                    "an ORDER BY"
                }
                "OFFSET" if is_number(word(at + 1), word(at + 2)) => "an OFFSET",
                _ => continue,
            };
            out.clause = out.clause.or(Some(clause));
        }
        out.selects.push(select);
        out.selects.iter().all(|select| select.depth.is_some()).then_some(out)
    }

    /// Whether so many rows of a set may be cut.
    fn cut(&self, count: u64, is_own: impl Fn(u64) -> bool) -> Option<Cut> {
        if let Some(whole) = self.whole {
            if count >= whole && self.adds_up && !self.is_sorted {
                let is_cut = MOST.contains(&whole) && !is_own(whole);
                return is_cut.then(|| at_most(whole));
            }
        }
        // Else rows of a full SELECT may be missing.
        let all_come =
            self.adds_up && !(self.is_sorted && self.outer.iter().any(|limit| count >= *limit));
        let last = self.selects.len() - 1;
        let is_full = |(at, select): (usize, &Select)| {
            let limit = select.limit.unwrap_or(DEFAULT);
            let own = at == last && self.outer.is_empty() && is_own(limit);
            let full = is_of_server(limit) && !own && (count >= limit || !all_come);
            (full && !select.is_one_row).then_some(limit)
        };
        self.selects.iter().enumerate().find_map(is_full).map(|limit| {
            let why = if limit == DEFAULT {
                "may not be all rows: the server puts LIMIT 100 on each SELECT without one".into()
            } else {
                format!("may not be all rows: the server returns {limit} of a SELECT at most")
            };
            (why, LIMIT_EACH)
        })
    }
}

/// Whether a number begins here, or a call: else LIMIT is the name of a column.
fn is_number(word: &str, next: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '(' | '-' | '\'' | '{'))
        || (next == "(" && word != "FROM" && word.starts_with(char::is_alphabetic))
}

/// A word, string, sign or bracket, and how many brackets are open around it.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    depth: usize,
}

/// What stands outside of brackets, except for those around the SELECTs of a set.
fn outermost<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let base = tokens.first().map_or(0, |token| token.depth);
    let mut words: Vec<Token<'a>> = Vec::new();
    let mut depth = base;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |token| token.text);
        let is_group = || follows_operator(&words) && matches!(next, "SELECT" | "WITH" | "(");
        if token.text == "(" && token.depth == depth && is_group() {
            depth += 1;
        } else if token.text == ")" && depth > base && token.depth == depth - 1 {
            depth -= 1;
        } else if token.depth == depth && token.text != ")" {
            // `min2(50000, x)` stands for 50000, if x is not a number.
            match words.last_mut() {
                Some(last) if last.text == "min2" && token.text == "(" => last.text = next,
                _ => words.push(*token),
            }
        }
    }
    words
}

/// Whether a SELECT must follow: at the beginning, or behind a set operator.
fn follows_operator(words: &[Token<'_>]) -> bool {
    let is_more = |word: &&str| matches!(*word, "ALL" | "DISTINCT" | "BY" | "NAME");
    let before = words.iter().rev().map(|word| word.text).find(|word| !is_more(word));
    matches!(before, None | Some("UNION" | "EXCEPT" | "INTERSECT"))
}

/// The tokens outside of comments. `None` where a string, comment or bracket is not closed.
fn tokens(sql: &str) -> Option<Vec<Token<'_>>> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    let mut tokens = Vec::new();
    // What closes each open bracket.
    let mut open = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_line = rest.starts_with("--") || rest.starts_with("//");
        let is_comment = is_line || rest.starts_with("/*");
        let len = match first {
            '\'' | '"' | '`' => quoted(rest, first)?,
            _ if is_line => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            _ if is_comment => rest.get(2..)?.find("*/")? + 4,
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (text, after) = rest.split_at(len);
        rest = after;
        if matches!(first, ')' | ']' | '}') && open.pop() != Some(first) {
            return None;
        }
        if !is_comment && !first.is_whitespace() {
            tokens.push(Token { text, depth: open.len() });
        }
        if let Some(at) = "([{".find(first) {
            open.extend(")]}".chars().nth(at));
        }
    }
    open.is_empty().then_some(tokens)
}

/// The length of the quoted text at the beginning. A backslash keeps it open.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return Some(at + quote.len_utf8());
        }
    }
    None
}

#[cfg(test)]
mod tests;
