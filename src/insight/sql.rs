//! Reads as much of a HogQL statement as is needed to know how many rows it asks for.
//!
//! It follows HogQL's own grammar for strings, comments, template strings and brackets. What it
//! does not understand it reports as such; it never guesses.

/// How many rows a SELECT asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// It has no LIMIT.
    None,
    /// It has a LIMIT with a number.
    Rows(u64),
    /// It has a LIMIT with an expression or a placeholder.
    Unclear,
}

/// One SELECT of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) limit: Limit,
    /// Whether it returns one row, whatever is stored: it has no FROM.
    pub(super) one_row: bool,
}

/// A statement: one SELECT, or several joined by UNION, EXCEPT or INTERSECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) parts: Vec<Part>,
    /// Whether the rows are those of all parts together: each join is a UNION ALL.
    pub(super) adds_up: bool,
    /// The LIMIT behind the last closing parenthesis of several parts: it limits all of them
    /// together.
    pub(super) whole: Limit,
    /// The first clause at the outermost level that orders or limits the rows.
    clause: Option<&'static str>,
}

/// Why a statement was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// A string, comment or bracket is not closed, or a bracket is closed that is not open.
    Open,
    /// It is not a SELECT, or not one of a known form.
    Unknown,
}

/// Reads a statement.
pub(super) fn read(sql: &str) -> Result<Statement, Unread> {
    let tokens = tokens(sql).ok_or(Unread::Open)?;
    let end = tokens.iter().rposition(|t| t.text != ";").map_or(0, |last| last + 1);
    statement(tokens.get(..end).unwrap_or_default(), 0).ok_or(Unread::Unknown)
}

/// Why a scan cannot wrap this statement as `SELECT * FROM (statement) ...`.
pub(crate) fn scan_obstacle(sql: &str) -> Option<String> {
    let Some(tokens) = tokens(sql) else {
        return Some("the SQL has a string, comment or bracket that is not closed".to_owned());
    };
    if tokens.iter().any(|t| t.text == ";") {
        return Some(
            "the SQL has a `;`: remove it, a scan adds its own order and limit".to_owned(),
        );
    }
    match statement(&tokens, 0) {
        None => Some("the SQL of a scan must be a SELECT".to_owned()),
        Some(Statement { clause: Some(clause), .. }) => Some(format!(
            "the SQL has {clause} of its own: remove it, a scan adds its own order and limit"
        )),
        Some(_) => None,
    }
}

/// A word, number, string, sign or bracket, and how many brackets are open around it.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    depth: usize,
}

/// The tokens outside of comments. `None` where something is not closed.
fn tokens(sql: &str) -> Option<Vec<Token<'_>>> {
    const TEMPLATE: char = '\'';
    let mut tokens = Vec::new();
    // What closes each open bracket, and each open template string such as f'{a} and {b}'.
    let mut open: Vec<char> = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let in_template = open.last() == Some(&TEMPLATE);
        let len = match first {
            '\\' if in_template => 1 + rest.chars().nth(1)?.len_utf8(),
            '\'' if in_template && rest.starts_with("''") => 2,
            '\'' | '{' if in_template => 1,
            _ if in_template => first.len_utf8(),
            'f' | 'F' if rest.get(1..2) == Some("'") => 2,
            '\'' | '"' | '`' => quoted(rest, first)?,
            '-' if rest.starts_with("--") => line_comment(rest),
            '/' if rest.starts_with("//") => line_comment(rest),
            '/' if rest.starts_with("/*") => rest.get(2..)?.find("*/")? + 4,
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (text, after) = rest.split_at(len);
        rest = after;
        let comment = ["--", "//", "/*"].iter().any(|start| text.starts_with(start));
        match text {
            "'" if in_template => {
                open.pop();
                tokens.push(Token { text, depth: open.len() });
            }
            "{" if in_template => open.push('}'),
            _ if in_template => {}
            "f'" | "F'" => open.push(TEMPLATE),
            "(" | "[" | "{" => {
                tokens.push(Token { text, depth: open.len() });
                open.push(match first {
                    '(' => ')',
                    '[' => ']',
                    _ => '}',
                });
            }
            ")" | "]" | "}" => {
                if open.pop() != Some(first) {
                    return None;
                }
                // The brace that ends an expression inside a template string is part of the string.
                if open.last() != Some(&TEMPLATE) {
                    tokens.push(Token { text, depth: open.len() });
                }
            }
            _ if comment || first.is_whitespace() || first == '\u{feff}' => {}
            _ => tokens.push(Token { text, depth: open.len() }),
        }
    }
    open.is_empty().then_some(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The length of a comment up to the end of its line.
fn line_comment(sql: &str) -> usize {
    sql.find(['\n', '\r']).unwrap_or(sql.len())
}

/// The length of the quoted text at the beginning. A backslash, or a second quote, keeps it open.
fn quoted(sql: &str, quote: char) -> Option<usize> {
    let mut chars = sql.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, c)| *c == quote).is_none() {
            return Some(at + quote.len_utf8());
        }
    }
    None
}

/// The parts of a statement. `None` where it has another form.
fn statement(tokens: &[Token<'_>], nesting: usize) -> Option<Statement> {
    // The recursion must not exhaust the stack.
    const DEEPEST: usize = 50;
    let top = Top::of(tokens);
    if nesting > DEEPEST || top.words.is_empty() {
        return None;
    }
    let mut out = Statement { parts: Vec::new(), adds_up: true, whole: Limit::None, clause: None };
    let mut begin = 0;
    loop {
        let operator = (begin..top.words.len()).find_map(|at| Some((at, top.set_operator(at)?)));
        let end = operator.map_or(top.words.len(), |(at, _)| at);
        part(&top, begin, end, nesting, &mut out)?;
        let Some((_, Operator { adds_up, next })) = operator else {
            return Some(out);
        };
        out.adds_up &= adds_up;
        begin = next;
    }
}

/// Adds the part of the statement between two set operators.
fn part(top: &Top, begin: usize, end: usize, nesting: usize, out: &mut Statement) -> Option<()> {
    let clause = (begin..end).find_map(|at| Some((at, top.clause(at, end)?)));
    let limit = top.limit(begin, end);
    out.clause = out.clause.or(clause.map(|(_, clause)| clause));
    if (begin..end).any(|at| top.is_keyword(at, "select")) {
        let from = (begin..end).any(|at| top.is_keyword(at, "from"));
        out.parts.push(Part { limit, one_row: !from && !top.joins_arrays(begin, end) });
        return Some(());
    }
    // `(statement)`, perhaps behind WITH, perhaps with ORDER BY and LIMIT after it.
    let close = clause.map_or(end, |(at, _)| at).checked_sub(1)?;
    let group = close.checked_sub(1).filter(|group| *group >= begin)?;
    if top.word(group) != "(" || (group > begin && !top.is_keyword(begin, "with")) {
        return None;
    }
    let mut inner = statement(top.inside(group)?, nesting + 1)?;
    let last = end == top.words.len();
    let alone = begin == 0 && last;
    match inner.parts.as_mut_slice() {
        // A LIMIT behind one SELECT replaces that one's own.
        [only] if alone && limit != Limit::None => only.limit = limit,
        _ if last && limit != Limit::None => out.whole = limit,
        _ if alone => out.whole = inner.whole,
        _ => {}
    }
    out.clause = out.clause.or(inner.clause);
    out.adds_up &= inner.adds_up;
    out.parts.append(&mut inner.parts);
    Some(())
}

/// UNION, EXCEPT or INTERSECT.
#[derive(Debug, Clone, Copy)]
struct Operator {
    adds_up: bool,
    /// Where the part after it begins.
    next: usize,
}

/// Keywords that an expression follows: a word behind one of them is a name, whatever it says.
const BEFORE_EXPRESSION: [&str; 29] = [
    "and", "as", "between", "by", "case", "distinct", "else", "from", "having", "ilike", "in",
    "join", "like", "limit", "not", "offset", "on", "or", "over", "prewhere", "qualify", "sample",
    "select", "settings", "then", "using", "when", "where", "with",
];

/// Keywords that can begin an expression themselves.
const IN_EXPRESSION: [&str; 4] = ["case", "distinct", "not", "select"];

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Behind a complete expression, or at the beginning: a keyword can stand here.
    Clause,
    /// Where an expression begins: `limit` is the name of a column here.
    Expression,
    /// Behind a dot or AS: always a name.
    Name,
}

/// What stands at the outermost level of a statement.
struct Top<'t, 'a> {
    tokens: &'t [Token<'a>],
    words: Vec<&'a str>,
    /// Where each word stands in `tokens`.
    at: Vec<usize>,
    places: Vec<Place>,
}

impl<'t, 'a> Top<'t, 'a> {
    fn of(tokens: &'t [Token<'a>]) -> Top<'t, 'a> {
        let base = tokens.iter().map(|t| t.depth).min().unwrap_or(0);
        let (at, words): (Vec<usize>, Vec<&str>) = tokens
            .iter()
            .enumerate()
            .filter(|(_, t)| t.depth == base)
            .map(|(at, t)| (at, t.text))
            .unzip();
        let mut top = Top { tokens, places: Vec::with_capacity(words.len()), words, at };
        for at in 0..top.words.len() {
            let place = top.place(at);
            top.places.push(place);
        }
        top
    }

    /// Where a word stands, by the word before it.
    fn place(&self, at: usize) -> Place {
        let Some(last) = at.checked_sub(1) else {
            return Place::Clause;
        };
        let is_number = |at: usize| self.word(at).starts_with(|c: char| c.is_ascii_digit());
        match self.word(last) {
            // `5.` is a number, `a.b` and `a.1` are a column.
            "." if last > 0 && is_number(last - 1) && !is_number(at) => Place::Clause,
            "." => Place::Name,
            // `SELECT *` and `a.*` are complete, `a *` is not.
            "*" if self.places.get(last) != Some(&Place::Clause) => Place::Clause,
            before if before.starts_with(is_word) => {
                match BEFORE_EXPRESSION.iter().find(|word| self.is_keyword(last, word)) {
                    Some(&"as") => Place::Name,
                    Some(_) => Place::Expression,
                    None => Place::Clause,
                }
            }
            before if before.ends_with([')', ']', '}', '\'', '"', '`']) => Place::Clause,
            _ => Place::Expression,
        }
    }

    fn word(&self, at: usize) -> &'a str {
        self.words.get(at).copied().unwrap_or("")
    }

    fn is_keyword(&self, at: usize, keyword: &str) -> bool {
        is(self.word(at), keyword)
            && match self.places.get(at) {
                Some(Place::Clause) => true,
                Some(Place::Expression) => one_of(keyword, &IN_EXPRESSION),
                _ => false,
            }
    }

    /// What stands inside the parentheses that this word opens.
    fn inside(&self, open: usize) -> Option<&'t [Token<'a>]> {
        self.tokens.get(self.at.get(open)? + 1..*self.at.get(open + 1)?)
    }

    fn set_operator(&self, at: usize) -> Option<Operator> {
        if !["union", "except", "intersect"].iter().any(|w| self.is_keyword(at, w)) {
            return None;
        }
        let mut next = at + 1;
        let all = is(self.word(next), "all");
        if all || is(self.word(next), "distinct") {
            next += 1;
        }
        if is(self.word(next), "by") && is(self.word(next + 1), "name") {
            next += 2;
        }
        // `SELECT * EXCEPT (a, b)` leaves out columns.
        let first = match self.word(next) {
            "(" => self.inside(next)?.iter().find(|t| t.text != "(")?.text,
            word => word,
        };
        let adds_up = all && is(self.word(at), "union");
        one_of(first, &["select", "with", "from", "{"]).then_some(Operator { adds_up, next })
    }

    /// ORDER BY, LIMIT or OFFSET, if that clause begins here.
    fn clause(&self, at: usize, end: usize) -> Option<&'static str> {
        if self.is_keyword(at, "order") && is(self.word(at + 1), "by") {
            Some("an ORDER BY")
        } else if self.is_limit(at, end) && self.limit_words(at, end).is_some() {
            Some("a LIMIT")
        } else if self.is_keyword(at, "offset")
            && !self.follows_sample(at)
            && !self.is_in_limit_by(at, end)
        {
            Some("an OFFSET")
        } else {
            None
        }
    }

    /// Whether a LIMIT begins here: its number, or what stands for it, follows.
    fn is_limit(&self, at: usize, end: usize) -> bool {
        let next = if at + 1 < end { self.word(at + 1) } else { "" };
        let begins = |c: char| is_word(c) || ['(', '{', '-', '+', '\'', '"', '`'].contains(&c);
        self.is_keyword(at, "limit") && next.starts_with(begins) && !is(next, "from")
    }

    /// The words of the LIMIT that begins here. `None` for `LIMIT n BY column`, which limits the
    /// rows of each value.
    fn limit_words(&self, at: usize, end: usize) -> Option<std::ops::Range<usize>> {
        let stops = |i: &usize| {
            self.is_limit(*i, end)
                || ["order", "settings"].iter().any(|word| self.is_keyword(*i, word))
        };
        let stop = (at + 1..end).find(stops).unwrap_or(end);
        let by = (at + 1..stop).any(|i| self.is_keyword(i, "by"));
        (!by).then_some(at + 1..stop)
    }

    /// Whether an OFFSET belongs to a `LIMIT n OFFSET m BY column`.
    fn is_in_limit_by(&self, at: usize, end: usize) -> bool {
        let begins = |i: &usize| self.is_limit(*i, end);
        (0..at).rev().find(begins).is_some_and(|limit| {
            let by = |i: usize| self.is_keyword(i, "by");
            self.limit_words(limit, end).is_none() && !(limit..at).any(by)
        })
    }

    /// The LIMIT of a part: the last one, if there are several.
    fn limit(&self, begin: usize, end: usize) -> Limit {
        let words = (begin..end)
            .rev()
            .filter(|at| self.is_limit(*at, end))
            .find_map(|at| self.limit_words(at, end));
        words.map_or(Limit::None, |words| self.number(words).map_or(Limit::Unclear, Limit::Rows))
    }

    /// The number of rows, also in parentheses. In HogQL, `LIMIT 3, 5` is LIMIT 3 OFFSET 5.
    fn number(&self, words: std::ops::Range<usize>) -> Option<u64> {
        let after = |at: usize| {
            at >= words.end
                || self.word(at) == ","
                || ["offset", "with"].iter().any(|word| self.is_keyword(at, word))
        };
        if self.word(words.start) != "(" {
            return number(self.word(words.start)).filter(|_| after(words.start + 1));
        }
        let mut inside = self.inside(words.start)?;
        while let [Token { text: "(", .. }, inner @ .., Token { text: ")", .. }] = inside {
            inside = inner;
        }
        match inside {
            [only] => number(only.text).filter(|_| after(words.start + 2)),
            _ => None,
        }
    }

    /// Whether an OFFSET belongs to a SAMPLE: `SAMPLE 1/10 OFFSET 1/2`.
    fn follows_sample(&self, at: usize) -> bool {
        let ratio =
            |word: &str| ["/", ".", "{", "}"].contains(&word) || word.starts_with(char::is_numeric);
        (0..at).rev().find(|i| !ratio(self.word(*i))).is_some_and(|i| self.is_keyword(i, "sample"))
    }

    /// Whether a part without FROM may return several rows: `SELECT arrayJoin([1, 2])`.
    fn joins_arrays(&self, begin: usize, end: usize) -> bool {
        let at = |i: usize| self.at.get(i).copied().unwrap_or(self.tokens.len());
        let tokens = self.tokens.get(at(begin)..at(end)).unwrap_or_default();
        tokens.iter().any(|t| t.text.to_ascii_lowercase().starts_with("array"))
    }
}

/// A number of rows. A leading zero would make it octal.
fn number(word: &str) -> Option<u64> {
    (word == "0" || !word.starts_with(['0', '+'])).then(|| word.parse().ok())?
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

fn one_of(word: &str, keywords: &[&str]) -> bool {
    keywords.iter().any(|keyword| is(word, keyword))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The LIMITs of the parts, and of the whole.
    fn limits(sql: &str) -> Result<(Vec<Limit>, Limit), Unread> {
        let statement = read(sql)?;
        Ok((statement.parts.iter().map(|part| part.limit).collect(), statement.whole))
    }

    #[test]
    fn the_limit_of_one_select() {
        for (sql, limit) in [
            ("select 1", Limit::None),
            ("select 1 LIMIT 5", Limit::Rows(5)),
            ("select 1 limit 5;", Limit::Rows(5)),
            ("select 1 limit 5 ; ; -- end", Limit::Rows(5)),
            ("select * limit 5", Limit::Rows(5)),
            ("select t.* limit 5", Limit::Rows(5)),
            ("select distinct * from t limit 5", Limit::Rows(5)),
            ("select 1 limit 5 offset 3", Limit::Rows(5)),
            ("select 1 limit 5 with ties offset 3", Limit::Rows(5)),
            ("select 1 from t limit 5 settings x = 1", Limit::Rows(5)),
            // In HogQL the second number is the offset.
            ("select 1 limit 3, 5", Limit::Rows(3)),
            ("select 1 limit (7)", Limit::Rows(7)),
            ("select 1 limit ((7)) offset 2", Limit::Rows(7)),
            ("select 1 from (select 2 limit 7)", Limit::None),
            ("with x as (select 1 limit 7) select * from x", Limit::None),
            ("with x as (select 1 limit 7) (select * from x limit 3)", Limit::Rows(3)),
            ("(select 1)", Limit::None),
            ("((select 1 limit 5))", Limit::Rows(5)),
            ("(select 1 limit 500) limit 5", Limit::Rows(5)),
            ("(select 1 from t) order by a limit 5", Limit::Rows(5)),
            // Quoted text.
            ("select 'limit 5', \"limit 6\", `limit 7`", Limit::None),
            ("select 'it''s \\' limit 5'", Limit::None),
            ("select `a\\`` from t limit 5", Limit::Rows(5)),
            ("select 'a' limit 5", Limit::Rows(5)),
            ("select f'{a} limit 4 {concat('}', \"'\")}' limit 5", Limit::Rows(5)),
            ("select f'it''s \\{ limit 4' from t", Limit::None),
            // Comments end at a line feed or a carriage return.
            ("select 1 -- limit 5", Limit::None),
            ("select 1 // limit 5", Limit::None),
            ("select 1 -- x\r limit 5", Limit::Rows(5)),
            ("select 1 // x\n limit 5", Limit::Rows(5)),
            ("select 1 /* limit 5 */ limit 6", Limit::Rows(6)),
            ("select 1 /*/ limit 5 */", Limit::None),
            ("select a/b//limit 5", Limit::None),
            // The rows of each value.
            ("select a from t limit 1 by a", Limit::None),
            ("select a from t limit (1) by a", Limit::None),
            ("select a from t limit {n} by a", Limit::None),
            ("select a from t limit 1, 2 by a", Limit::None),
            ("select a from t limit 2 offset 1 by a", Limit::None),
            ("select a from t limit 1 by a limit 9", Limit::Rows(9)),
            ("select a from t limit 2 offset 0 by a limit 7", Limit::Rows(7)),
            // A column, or another name.
            ("select limits from t", Limit::None),
            ("select limit from t", Limit::None),
            ("select limit, a from t", Limit::None),
            ("select a, limit from t limit 5", Limit::Rows(5)),
            ("select limit limit 5", Limit::Rows(5)),
            ("select properties.limit from t", Limit::None),
            ("select properties.$limit from t", Limit::None),
            ("select properties.limit limit 5", Limit::Rows(5)),
            ("select a as limit from t", Limit::None),
            ("select a as limit limit 5", Limit::Rows(5)),
            ("select a from t where limit = 5", Limit::None),
            ("select a from t where b and limit > 5", Limit::None),
            ("select a from t where b * limit > 5", Limit::None),
            ("select a from t where b > 5. limit 3", Limit::Rows(3)),
            ("select a from t where not limit", Limit::None),
            ("select a from t order by limit", Limit::None),
            ("select a from t order by limit desc limit 5", Limit::Rows(5)),
            ("select a from t order by interval limit 5", Limit::Rows(5)),
            ("select a from t order by properties.distinct limit 5", Limit::Rows(5)),
            ("select a from t order by properties.by limit 5", Limit::Rows(5)),
            ("select a from t group by limit having limit > 2", Limit::None),
            ("select limit(5) from t", Limit::None),
            ("select * except (limit) from t", Limit::None),
            ("select a from t union limit 5", Limit::Rows(5)),
            // What only the server knows.
            ("select 1 limit {n}", Limit::Unclear),
            ("select 1 limit 2 + 3", Limit::Unclear),
            ("select 1 limit (2 + 3)", Limit::Unclear),
            ("select 1 limit 010", Limit::Unclear),
            ("select 1 limit 5 percent", Limit::Unclear),
            ("select 1 limit 99999999999999999999", Limit::Unclear),
        ] {
            assert_eq!(limits(sql), Ok((vec![limit], Limit::None)), "{sql}");
        }
    }

    #[test]
    fn the_limits_of_several_selects() {
        use Limit::{None, Rows};
        for (sql, parts, whole, adds_up) in [
            ("select 1 union all select 2", vec![None, None], None, true),
            ("select 1 union all select 2 limit 5", vec![None, Rows(5)], None, true),
            ("select 1 limit 5 UNION DISTINCT select 2", vec![Rows(5), None], None, false),
            ("select 1 union select 2", vec![None, None], None, false),
            ("select 1 except select 2 limit 5", vec![None, Rows(5)], None, false),
            ("select * except select * from t", vec![None, None], None, false),
            ("select 1 intersect all (select 2)", vec![None, None], None, false),
            ("(select 1) union all (select 2)", vec![None, None], None, true),
            ("(select 1) union all (select 2) limit 5", vec![None, None], Rows(5), true),
            ("((select 1 limit 2) union all select 2) limit 5", vec![Rows(2), None], Rows(5), true),
            ("(select 1 union all select 2 limit 4)", vec![None, Rows(4)], None, true),
            ("((select 1) union all (select 2) limit 4)", vec![None, None], Rows(4), true),
            ("(select 1 except select 2) union all select 3", vec![None, None, None], None, false),
            ("select 1 union all by name select 2", vec![None, None], None, true),
            (
                "with x as (select 1) select * from x union all select 2 limit 3",
                vec![None, Rows(3)],
                None,
                true,
            ),
        ] {
            let read = read(sql).unwrap();
            assert_eq!(limits(sql), Ok((parts, whole)), "{sql}");
            assert_eq!(read.adds_up, adds_up, "{sql}");
        }
    }

    #[test]
    fn a_select_without_from_returns_one_row() {
        for (sql, one_row) in [
            ("select 1", true),
            ("select properties.from", true),
            ("select (select count() from t)", true),
            ("select 1 from t", false),
            ("select arrayJoin([1, 2])", false),
            ("select x array join [1, 2] as x", false),
        ] {
            assert_eq!(read(sql).unwrap().parts.first().map(|p| p.one_row), Some(one_row), "{sql}");
        }
    }

    #[test]
    fn what_is_not_closed_and_what_is_no_select_are_not_read() {
        for sql in [
            "(",
            ")",
            "a)(b",
            "(]",
            "'",
            "'\\'",
            "\"a",
            "`",
            "/* a",
            "/*/",
            "{a",
            "a]",
            "f'a",
            "f'{a'",
            "f'\\",
            "select 'open",
        ] {
            assert_eq!(read(sql), Err(Unread::Open), "{sql}");
        }
        let deep = "(".repeat(100_000) + "select 1" + &")".repeat(100_000);
        for sql in ["", ";", "{q}", "a", "(a)", "5 (select 1)", "limit 5", "<Tag />", &deep] {
            assert_eq!(read(sql), Err(Unread::Unknown), "{}", sql.get(..10).unwrap_or(sql));
        }
        let texts: Vec<&str> =
            tokens("é(x) + '東京' \u{1F680}b").unwrap().iter().map(|t| t.text).collect();
        assert_eq!(texts, ["é", "(", "x", ")", "+", "'東京'", "\u{1F680}", "b"]);
    }

    #[test]
    fn a_scan_refuses_sql_that_orders_or_limits_its_rows() {
        for (sql, clause) in [
            ("select a from t order by a", "an ORDER BY"),
            ("select a from t limit 5", "a LIMIT"),
            ("select a from t offset 5", "an OFFSET"),
            ("select a from t limit {n}", "a LIMIT"),
            ("select a from t limit 3, 5", "a LIMIT"),
            ("(select a from t limit 5)", "a LIMIT"),
            ("((select a from t) order by a)", "an ORDER BY"),
            ("with x as (select 1) (select a from x limit 5)", "a LIMIT"),
            ("select a from t limit 5 union all select b from t", "a LIMIT"),
            ("select a from t union all select b from t limit 5", "a LIMIT"),
            ("(select a from t) except (select b from t limit 5)", "a LIMIT"),
            ("select a from t intersect (select b from t) order by a", "an ORDER BY"),
            ("select a from t -- x\r limit 5", "a LIMIT"),
            ("select a from t // x\n limit 5", "a LIMIT"),
            ("select a from t limit 1 by a limit 5", "a LIMIT"),
            ("select a from t limit 1 by a offset 5", "an OFFSET"),
            ("select a from t limit 1 offset 2 by a offset 5", "an OFFSET"),
            ("select a from t order by a limit 1 by b", "an ORDER BY"),
            ("select a from t sample 1/10 offset 1/2 offset 5", "an OFFSET"),
            ("select a from t; select b", "`;`"),
            ("select a from t;", "`;`"),
            ("select a from (select b; )", "`;`"),
            ("select 'a", "not closed"),
            ("select (a", "not closed"),
            ("select a /* b", "not closed"),
            ("{q}", "must be a SELECT"),
        ] {
            let why = scan_obstacle(sql).unwrap_or_else(|| panic!("accepted: {sql}"));
            assert!(why.contains(clause), "{sql}: {why}");
        }
        for sql in [
            "select a from t",
            "select properties.$limit from t",
            "select properties.limit, properties.offset, properties.order from t",
            "select limit, offset from t where limit = 5 and offset > 2 group by limit, offset",
            "select a as limit, b as offset from t",
            "select a from (select a from t order by a limit 5 offset 2)",
            "with x as (select a from t limit 5) select a from x",
            "select a from t limit 1 by a",
            "select a from t limit {n} by a",
            "select a from t limit 2 offset 1 by a",
            "select a from t sample 1/10 offset 1/2",
            "select a from t union all select b from t",
            "(select a from t) union all (select b from t)",
            "select row_number() over (order by a) from t",
            "select 'order by a limit 5; offset' from t -- limit 5",
            "select f'{a} limit 5' from t",
        ] {
            assert_eq!(scan_obstacle(sql), None, "{sql}");
        }
    }
}
