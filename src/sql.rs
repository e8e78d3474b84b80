//! Just enough of SQL to see what a statement says outside of its strings, comments and parentheses.

/// The words, numbers and signs of `sql` that are in no parentheses; `None` where a string, a comment or a parenthesis is not
/// closed, or one is closed that was not opened.
pub(crate) fn top_level(sql: &str) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut depth = 0u32;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '\'' | '"' | '`' => quoted(rest, first)?,
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/")? + 2,
            _ if first.is_alphanumeric() || first == '_' => rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        match first {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            _ if first.is_whitespace() || token.starts_with("--") || token.starts_with("/*") => {}
            _ if depth == 0 => words.push(token),
            _ => {}
        }
        rest = after;
    }
    (depth == 0).then_some(words)
}

/// The length of the quoted text that `sql` begins with: a backslash or a second quote keeps it open.
fn quoted(sql: &str, quote: char) -> Option<usize> {
    let mut chars = sql.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, c)| *c == quote) {
                chars.next();
            } else {
                return Some(at + quote.len_utf8());
            }
        }
    }
    None
}

/// How many rows a statement says that it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// It says nothing.
    None,
    /// It says a number.
    Rows(u64),
    /// It says something that only the server can work out.
    Unclear,
}

/// Of a UNION and its kin, that none is said where one part says none: the server puts its own on that part.
pub(crate) fn limit(sql: &str) -> Limit {
    let Some(words) = top_level(sql) else {
        return Limit::Unclear;
    };
    let is_set = |w: &&str| ["union", "except", "intersect"].iter().any(|s| is(w, s));
    // Parentheses around a whole statement hide what it says.
    let hidden = sql.to_ascii_lowercase().contains("limit");
    let part = |words: &[&str]| match limit_of(words) {
        Limit::None if hidden && !words.iter().any(|w| is(w, "select")) => Limit::Unclear,
        said => said,
    };
    let parts: Vec<Limit> = words.split(|w| is_set(w)).map(part).collect();
    match parts.as_slice() {
        [only] => *only,
        several if several.contains(&Limit::None) => Limit::None,
        _ => Limit::Unclear,
    }
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

/// Whether the word at this place begins a clause, and is no column: those stand behind a dot or AS, or before FROM.
pub(crate) fn is_clause(words: &[&str], at: usize) -> bool {
    let before = at
        .checked_sub(1)
        .and_then(|at| words.get(at))
        .copied()
        .unwrap_or("");
    let after = words.get(at..).unwrap_or_default();
    before != "." && !is(before, "as") && !after.iter().any(|w| is(w, "from"))
}

fn limit_of(words: &[&str]) -> Limit {
    let mut found = Limit::None;
    let limits = words
        .iter()
        .enumerate()
        .filter(|(at, w)| is(w, "limit") && is_clause(words, *at));
    for (at, _) in limits {
        let word = |n: usize| words.get(at + n).copied().unwrap_or("");
        let number = |n: usize| word(n).parse().map_or(Limit::Unclear, Limit::Rows);
        // `LIMIT n BY column` limits something else, `LIMIT skip, n` puts the number second.
        if is(word(2), "by") || is(word(4), "by") {
            continue;
        }
        found = if word(2) == "," { number(3) } else { number(1) };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        for (sql, said) in [
            ("select 1", Limit::None),
            ("select 1 LIMIT 5", Limit::Rows(5)),
            ("select 1 limit 5 offset 3", Limit::Rows(5)),
            ("select 1 limit 3, 5", Limit::Rows(5)),
            ("select 1 from (select 2 limit 7)", Limit::None),
            ("select 'limit 5', \"limit 6\", `limit 7`", Limit::None),
            ("select 'it''s \\' limit 5'", Limit::None),
            ("select 1 -- limit 5", Limit::None),
            ("select 1 /* limit 5 */ limit 6", Limit::Rows(6)),
            ("select a limit 1 by a", Limit::None),
            ("select a limit 1 by a limit 9", Limit::Rows(9)),
            ("select 1 limit {n}", Limit::Unclear),
            ("select 1 union all select 2 limit 5", Limit::None),
            ("select 1 limit 5 UNION DISTINCT select 2", Limit::None),
            ("select 1 limit 5 except select 2 limit 5", Limit::Unclear),
            ("(select 1) union all (select 2)", Limit::None),
            ("(select 1)", Limit::None),
            ("(select 1 limit 5)", Limit::Unclear),
            ("select properties.limit from t", Limit::None),
            ("select a as limit from t", Limit::None),
            ("select a from t limit 0, 2 by a", Limit::None),
            (
                "select a from t limit 2 offset 0 by a limit 7",
                Limit::Rows(7),
            ),
            ("select limits from t", Limit::None),
            ("select 'open", Limit::Unclear),
        ] {
            assert_eq!(limit(sql), said, "{sql}");
        }
    }

    #[test]
    fn what_is_not_closed_is_seen() {
        for sql in [
            "(", ")", "a)(b", "'", "'\\'", "\"a", "`", "/* a", "{a", "a]",
        ] {
            assert_eq!(top_level(sql), None, "{sql}");
        }
        assert_eq!(
            top_level("é(x) + '東京' \u{1F680}b"),
            Some(vec!["é", "+", "'東京'", "\u{1F680}", "b"])
        );
    }
}
