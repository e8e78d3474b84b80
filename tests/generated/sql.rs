//! Proves that no cut answer passes, whatever the SQL and the answer look like, and that a scan
//! refuses SQL that orders or limits its rows.
use crate::generate::{Random, change_text};
use crate::home::{Home, ok};
use crate::support::seen;
use crate::{share, vary};
use posthog_api::{Client, Error};
use serde_json::{Value, json};

/// What separates words: spaces, and comments that would change the meaning if they were read.
const SPACES: &[&str] = &[
    " ",
    " ",
    " ",
    "\n",
    "\t ",
    " /* limit 5 */ ",
    " -- limit 5; '\n",
    " // order by a (\r",
    "/* ' */",
    "\u{feff} ",
];

/// Expressions that contain what looks like a clause.
const EXPRESSIONS: &[&str] = &[
    "a",
    "*",
    "limit",
    "t.limit",
    "properties.$limit",
    "properties.offset",
    "'limit 5'",
    "'it''s ; limit 5'",
    "'\\' limit 5'",
    "\"a limit 5\"",
    "`order by a`",
    "`a``b limit 5`",
    "f'{a} limit 5'",
    "(select a from t order by a limit 5 offset 2)",
    "count(a)",
    "row_number() over (partition by a order by b)",
    "[1, (2), 'x']",
    "{placeholder}",
    "a as limit",
    "b as offset",
    "interval",
    "'東京 limit 5'",
];

const WHERE: &[&str] = &[
    "",
    "",
    "",
    "where limit = 5",
    "where a in (select b from u limit 5)",
    "where a = 'x' and limit > 2",
    "prewhere not limit",
    "where a between 1 and 2.",
    "group by limit having limit > 2",
    "sample 1/10 offset 1/2",
];

const CLOSING: &[&str] = &["", "", "", " -- limit 5", " /* limit 5 */", "\n// end"];

/// The LIMIT of a SELECT.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    None,
    Rows(u64),
    Unclear,
}

#[derive(Debug)]
struct Composed {
    sql: String,
    limits: Vec<Limit>,
    /// Whether all joins are UNION ALL.
    adds_up: bool,
    /// Whether a clause of its own orders or limits the rows.
    has_clause: bool,
}

fn space(random: &mut Random) -> &'static str {
    random.pick(SPACES)
}

/// In any case, as keywords may be.
fn cased(random: &mut Random, word: &str) -> String {
    let upper = |c: char| if random.one_in(2) { c.to_ascii_uppercase() } else { c };
    word.chars().map(upper).collect()
}

fn select(random: &mut Random) -> Composed {
    let mut parts = Vec::new();
    if random.one_in(8) {
        parts.push("with x as (select a from t order by a limit 5)".to_owned());
    }
    parts.push(cased(random, "select"));
    if random.one_in(8) {
        parts.push("distinct".to_owned());
    }
    let columns: Vec<&str> = (0..=random.below(3)).map(|_| random.pick(EXPRESSIONS)).collect();
    parts.push(columns.join(if random.one_in(2) { "," } else { " , " }));
    parts.push(format!(
        "{} {}",
        cased(random, "from"),
        random.pick(&["t", "`t`", "(select 1 as a limit 3) as t"])
    ));
    parts.push((random.pick(WHERE)).to_owned());
    let mut has_clause = false;
    if random.one_in(5) {
        let what = random.pick(&["a", "limit desc", "interval", "properties.by", "'x', a"]);
        parts.push(format!("{}{}by {what}", cased(random, "order"), space(random)));
        has_clause = true;
    }
    if random.one_in(6) {
        let by = ["limit 1 by a", "limit (1) by a", "limit {n} by a", "limit 2 offset 0 by a, b"];
        parts.push((random.pick(&by)).to_owned());
    }
    let limit = match random.below(5) {
        0 | 1 => Limit::None,
        2 | 3 => Limit::Rows(random.pick(&[0, 1, 5, 99, 100, 101, 500, 9_999])),
        _ => Limit::Unclear,
    };
    let text = match limit {
        Limit::None => String::new(),
        Limit::Rows(n) => match random.below(5) {
            0 => format!("({n})"),
            1 => format!("{n}{}offset 3", space(random)),
            2 => format!("{n} , 3"),
            3 => format!("{n} with ties"),
            _ => n.to_string(),
        },
        Limit::Unclear => (random.pick(&["{n}", "2 + 3", "(1 + 1)", "010", "1e2"])).to_owned(),
    };
    if limit != Limit::None {
        parts.push(format!("{}{}{text}", cased(random, "limit"), space(random)));
        has_clause = true;
    }
    parts.retain(|part| !part.is_empty());
    let mut sql = String::new();
    for part in parts {
        if !sql.is_empty() {
            sql += space(random);
            // A comment alone separates, but `a/**/b` is hard to read in a failure.
            sql.push(' ');
        }
        sql += &part;
    }
    Composed { sql, limits: vec![limit], adds_up: true, has_clause }
}

/// One SELECT, or several.
fn statement(random: &mut Random) -> Composed {
    let mut all = select(random);
    for _ in 0..[0, 0, 0, 1, 2][random.below(5)] {
        let join =
            random.pick(&["union all", "UNION  ALL", "union distinct", "except", "intersect"]);
        let other = select(random);
        all.sql = format!("{}{} {join} {}", all.sql, space(random), other.sql);
        all.limits.extend(other.limits);
        all.adds_up &= join.eq_ignore_ascii_case("union all") || join.contains("UNION  ALL");
        all.has_clause |= other.has_clause;
    }
    let closing = random.pick(CLOSING);
    if random.one_in(6) {
        all.sql = format!("({}{}\n)", all.sql, closing);
    } else {
        all.sql += closing;
    }
    all
}

/// An answer with this many rows.
fn answer(rows: usize, more: &Value) -> Value {
    let mut answer = json!({"columns": ["a"], "results": vec![json!([1]); rows]});
    for (name, value) in more.as_object().unwrap() {
        answer[name] = value.clone();
    }
    answer
}

fn cut(client: &Client, sql: &str) -> Option<bool> {
    match client.project(1).hogql(sql).rows() {
        Ok(_) => Some(false),
        Err(error) if error.kind() == posthog_api::ErrorKind::CutShort => {
            seen(error);
            Some(true)
        }
        Err(error) => {
            assert_eq!(seen(error).kind(), posthog_api::ErrorKind::Config);
            None
        }
    }
}

/// How the server prints a SELECT, with the LIMIT that it puts on one without.
fn printed(limit: Limit) -> String {
    let limit = match limit {
        Limit::None => "100".to_owned(),
        Limit::Rows(n) => n.to_string(),
        Limit::Unclear => "min2(50000, plus(2, 3))".to_owned(),
    };
    format!("SELECT\n    a AS LIMIT,\n    'LIMIT 7'\nFROM\n    t\nLIMIT {limit}")
}

#[test]
fn no_cut_answer_passes_and_no_answer_below_every_limit_is_refused() {
    let server = Home::start();
    let client = server.plain();
    let (mut cuts, mut whole) = (0, 0);
    vary(500, |random| {
        let composed = statement(random);
        let (mut rows, mut is_cut) = (0, false);
        for limit in &composed.limits {
            let stored = random.pick(&[0, 5, 60, 99, 100, 101, 130]);
            let most = match limit {
                Limit::None => 100,
                Limit::Rows(n) => *n,
                Limit::Unclear => 5,
            };
            is_cut |= *limit == Limit::None && stored > most;
            rows += stored.min(most);
        }
        let join = if composed.adds_up { "\nUNION ALL\n" } else { "\nEXCEPT\n" };
        if !composed.adds_up {
            rows = rows.min(random.pick(&[0, 5, 99]));
        }
        let parts: Vec<String> = composed.limits.iter().map(|limit| printed(*limit)).collect();
        let mut more = json!({"hogql": parts.join(join)});
        // Only of one SELECT without a LIMIT, the server knows whether there is more.
        if composed.limits == [Limit::None] && random.one_in(2) {
            more["hasMore"] = json!(is_cut);
        }
        server.answers(vec![ok(answer(usize::try_from(rows).unwrap(), &more).to_string())]);
        let got = cut(&client, &composed.sql).unwrap();
        assert!(got || !is_cut, "{rows} rows, {more}: {composed:#?}");
        let may_be = |limit: &Limit| match limit {
            Limit::None | Limit::Rows(100) => rows >= 100 || !composed.adds_up,
            Limit::Rows(_) => false,
            Limit::Unclear => !composed.adds_up,
        };
        assert!(!got || composed.limits.iter().any(may_be), "{rows} rows, {more}: {composed:#?}");
        *(if got { &mut cuts } else { &mut whole }) += 1;
    });
    assert!(cuts > share(100) && whole > share(100), "{cuts} cut, {whole} whole");
}

/// The first item of a scan whose pages are empty.
fn scan(client: &Client, sql: &str) -> Option<Error> {
    client.project(1).hogql(sql).scan("a").into_iter().next().map(|row| seen(row.unwrap_err()))
}

#[test]
fn a_scan_refuses_exactly_the_sql_that_orders_or_limits_its_rows() {
    let server = Home::start();
    let client = server.plain();
    let (mut refused, mut sent) = (0, 0);
    vary(500, |random| {
        let composed = statement(random);
        let semicolon = random.one_in(10);
        // A line break: the SQL may end in a comment.
        let sql = if semicolon { format!("{}\n;", composed.sql) } else { composed.sql.clone() };
        let clauses = [" ORDER BY LIMIT DESC", " LIMIT 5", "\nLIMIT plus(2, 3)", " OFFSET 3"];
        let clause = if composed.has_clause { random.pick(&clauses) } else { "" };
        let end = random.pick(&[
            "",
            " UNION ALL SELECT b FROM u",
            " EXCEPT (SELECT 1 UNION ALL SELECT 2)",
        ]);
        let inner = format!("SELECT a, t.LIMIT, b AS OFFSET FROM t LIMIT 1  BY a{clause}{end}");
        let hogql = format!("SELECT * FROM ({inner}) ORDER BY a ASC LIMIT 10000 WITH TIES");
        server.answers(vec![ok(answer(0, &json!({"hogql": hogql})).to_string())]);
        let error = scan(&client, &sql);
        let seen = server.seen();
        if semicolon || composed.has_clause {
            assert_eq!(
                error.as_ref().map(Error::kind),
                Some(posthog_api::ErrorKind::Config),
                "{composed:#?}"
            );
            refused += 1;
        } else {
            assert!(error.is_none(), "{error:?}: {composed:#?}");
            sent += 1;
        }
        assert_eq!(seen.len(), usize::from(!semicolon), "{composed:#?}");
        if !semicolon {
            let expected = format!("SELECT * FROM ({sql}\n) ORDER BY `a` LIMIT 10000 WITH TIES");
            assert_eq!(seen[0].json()["query"]["query"], expected);
        }
    });
    assert!(refused > share(60) && sent > share(60), "{refused} refused, {sent} sent");
}

#[test]
fn sql_of_any_text_is_read_with_care() {
    const TOKENS: &[&str] = &[
        "'",
        "\"",
        "`",
        "''",
        "\\",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "f'",
        "--",
        "//",
        "/*",
        "*/",
        "\r",
        "\n",
        ";",
        ",",
        ".",
        " limit ",
        " limit 5",
        " by ",
        " order by a",
        " union all ",
        " except ",
        "select ",
        " from ",
        "é",
        "\u{feff}",
        "\0",
        "5",
        "1e9",
        "99999999999999999999",
    ];
    let server = Home::start();
    let client = server.plain();
    let hundred = ok(answer(100, &json!({})).to_string());
    let empty = ok(answer(0, &json!({})).to_string());
    vary(500, |random| {
        let mut sql = statement(random).sql;
        for _ in 0..random.below(4) {
            sql = change_text(random, &sql, TOKENS);
        }
        let lower = sql.to_lowercase();
        server.answers(vec![hundred.clone()]);
        match cut(&client, &sql) {
            // 100 rows are all of them only if the SQL has a LIMIT.
            Some(false) => assert!(lower.contains("limit"), "{sql:?}"),
            Some(true) => {}
            None => assert!(sql.trim().is_empty(), "{sql:?}"),
        }
        server.answers(vec![empty.clone()]);
        if scan(&client, &sql).is_none() {
            let has = |word: &str| lower.contains(word);
            // Without quotes and comments, nothing can hide these.
            if !sql.contains(['\'', '"', '`']) && !["--", "//", "/*"].into_iter().any(has) {
                assert!(!sql.contains(';'), "{sql:?}");
                let count = |c| sql.matches(c).count();
                assert!(count('(') == count(')') && count('{') == count('}'), "{sql:?}");
            }
        }
    });
}
