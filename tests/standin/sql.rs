//! As much of HogQL as the tour and the tests run: one SELECT over persons or events, which may read
//! from a SELECT in parentheses.
//!
//! `SELECT columns FROM table WHERE condition GROUP BY columns ORDER BY columns LIMIT n WITH TIES`
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// Rows with the names and types of their columns.
#[derive(Clone)]
pub struct Table {
    pub columns: Vec<String>,
    pub types: Vec<&'static str>,
    pub rows: Vec<Vec<Value>>,
}

/// What a statement may read: its tables by name, and the values of its placeholders.
pub struct Context<'a> {
    pub table: &'a dyn Fn(&str) -> Option<Table>,
    pub values: &'a Map<String, Value>,
}

/// A statement that cannot be run, in PostHog's words where they are known.
type Result<T> = std::result::Result<T, String>;

pub struct Select {
    /// Expressions and their names; none for `*`.
    items: Option<Vec<(Expr, String)>>,
    source: Option<Source>,
    condition: Option<Expr>,
    group: Vec<Expr>,
    /// With whether it is descending.
    order: Vec<(Expr, bool)>,
    pub limit: Option<usize>,
    ties: bool,
}

enum Source {
    Table(String),
    Select(Box<Select>),
}

enum Expr {
    Literal(Value),
    Placeholder(String),
    /// `uuid`, or `properties.email`.
    Column(Vec<String>),
    Call(String, Vec<Expr>),
    Tuple(Vec<Expr>),
    Compare(Box<Expr>, String, Box<Expr>),
    IsNull(Box<Expr>),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
}

#[derive(Clone, PartialEq, Debug)]
enum Token {
    Word(String),
    Quoted(String),
    Text(String),
    Number(Value),
    Sign(&'static str),
}

const SIGNS: [&str; 16] =
    ["<=", ">=", "!=", "<>", "(", ")", ",", ".", "{", "}", "*", "=", "<", ">", ";", "-"];

fn tokens(sql: &str) -> Result<Vec<Token>> {
    let (mut tokens, mut rest) = (Vec::new(), sql.trim_start());
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let length;
        if rest.starts_with("--") {
            length = rest.find('\n').unwrap_or(rest.len());
        } else if first.is_ascii_digit() {
            length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let number = serde_json::from_str(&rest[..length]).map_err(|e| e.to_string())?;
            tokens.push(Token::Number(number));
        } else if word(first) {
            length = rest.find(|c| !word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..length].to_owned()));
        } else if first == '\'' || first == '`' {
            let (text, end) = quoted(rest, first)?;
            length = end;
            tokens.push(if first == '`' { Token::Quoted(text) } else { Token::Text(text) });
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| format!("unexpected {first}"))?;
            length = sign.len();
            tokens.push(Token::Sign(sign));
        }
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The text between two quotes, and where it ends.
fn quoted(text: &str, quote: char) -> Result<(String, usize)> {
    let (mut out, mut chars) = (String::new(), text.char_indices().skip(1));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(c) => out.push(c),
                None => break,
            },
            c if c == quote => return Ok((out, at + 1)),
            c => out.push(c),
        }
    }
    Err(format!("no closing {quote}"))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Select {
    pub fn parse(sql: &str) -> Result<Select> {
        let mut parser = Parser { tokens: tokens(sql)?, at: 0 };
        let select = parser.select()?;
        parser.sign(";");
        match parser.tokens.get(parser.at) {
            None => Ok(select),
            Some(token) => Err(format!("mismatched input {token:?}")),
        }
    }
}

impl Parser {
    /// Takes this keyword, if it is next.
    fn word(&mut self, word: &str) -> bool {
        let next = self.tokens.get(self.at);
        let found = matches!(next, Some(Token::Word(own)) if own.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    /// Takes this sign, if it is next.
    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Sign(own)) if *own == sign);
        self.at += usize::from(found);
        found
    }

    fn need_word(&mut self, word: &str) -> Result<()> {
        self.word(word).then_some(()).ok_or_else(|| self.mismatch(word))
    }

    fn need_sign(&mut self, sign: &str) -> Result<()> {
        self.sign(sign).then_some(()).ok_or_else(|| self.mismatch(sign))
    }

    fn mismatch(&self, expected: &str) -> String {
        format!("mismatched input {:?} expecting {expected}", self.tokens.get(self.at))
    }

    fn name(&mut self) -> Result<String> {
        match self.tokens.get(self.at) {
            Some(Token::Word(name) | Token::Quoted(name)) => {
                self.at += 1;
                Ok(name.clone())
            }
            _ => Err(self.mismatch("a name")),
        }
    }

    fn select(&mut self) -> Result<Select> {
        self.need_word("SELECT")?;
        let items = if self.sign("*") { None } else { Some(self.items()?) };
        let source = if self.word("FROM") { Some(self.source()?) } else { None };
        let condition = if self.word("WHERE") { Some(self.or()?) } else { None };
        let mut group = Vec::new();
        if self.word("GROUP") {
            self.need_word("BY")?;
            group = self.list(Parser::or)?;
        }
        let mut order = Vec::new();
        if self.word("ORDER") {
            self.need_word("BY")?;
            order = self.list(|parser| {
                let expr = parser.or()?;
                let descending = parser.word("DESC");
                let _ = descending || parser.word("ASC");
                Ok((expr, descending))
            })?;
        }
        let (mut limit, mut ties) = (None, false);
        if self.word("LIMIT") {
            let Expr::Literal(number) = self.operand()? else { return Err(self.mismatch("LIMIT")) };
            limit = number.as_u64().map(|n| usize::try_from(n).unwrap());
            if self.word("WITH") {
                self.need_word("TIES")?;
                ties = true;
            }
        }
        if self.word("OFFSET") || self.sign(",") {
            return Err("OFFSET is not supported on queries made with a personal API key. For \
                        pagination, use keyset pagination on the `timestamp` column, e.g. `WHERE \
                        timestamp > :last_seen_timestamp ORDER BY timestamp LIMIT N`."
                .to_owned());
        }
        Ok(Select { items, source, condition, group, order, limit, ties })
    }

    fn source(&mut self) -> Result<Source> {
        if self.sign("(") {
            let select = self.select()?;
            self.need_sign(")")?;
            return Ok(Source::Select(Box::new(select)));
        }
        Ok(Source::Table(self.name()?))
    }

    fn items(&mut self) -> Result<Vec<(Expr, String)>> {
        self.list(|parser| {
            let start = parser.at;
            let expr = parser.or()?;
            let text: String = parser.tokens[start..parser.at].iter().map(Token::text).collect();
            let name = if parser.word("AS") { parser.name()? } else { text };
            Ok((expr, name))
        })
    }

    fn list<T>(&mut self, one: impl Fn(&mut Parser) -> Result<T>) -> Result<Vec<T>> {
        let mut list = vec![one(self)?];
        while self.sign(",") {
            list.push(one(self)?);
        }
        Ok(list)
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.word("OR") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.word("AND") {
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.word("NOT") {
            return Ok(Expr::Not(Box::new(self.not()?)));
        }
        let left = self.operand()?;
        if self.word("IS") {
            let not = self.word("NOT");
            self.need_word("NULL")?;
            let is_null = Expr::IsNull(Box::new(left));
            return Ok(if not { Expr::Not(Box::new(is_null)) } else { is_null });
        }
        if self.word("IN") {
            return Ok(Expr::Compare(Box::new(left), "IN".to_owned(), Box::new(self.operand()?)));
        }
        for sign in ["<=", ">=", "!=", "<>", "=", "<", ">"] {
            if self.sign(sign) {
                let right = Box::new(self.operand()?);
                return Ok(Expr::Compare(Box::new(left), sign.to_owned(), right));
            }
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expr> {
        if self.sign("(") {
            let mut inner = self.list(Parser::or)?;
            self.need_sign(")")?;
            return Ok(if inner.len() == 1 { inner.remove(0) } else { Expr::Tuple(inner) });
        }
        if self.sign("{") {
            let name = self.name()?;
            self.need_sign("}")?;
            return Ok(Expr::Placeholder(name));
        }
        if let Some(Token::Number(value)) = self.tokens.get(self.at).cloned() {
            self.at += 1;
            return Ok(Expr::Literal(value));
        }
        if let Some(Token::Text(text)) = self.tokens.get(self.at).cloned() {
            self.at += 1;
            return Ok(Expr::Literal(text.into()));
        }
        let mut path = vec![self.name()?];
        if self.sign("(") {
            let mut arguments = Vec::new();
            if !self.sign(")") {
                arguments = self.list(Parser::or)?;
                self.need_sign(")")?;
            }
            return Ok(Expr::Call(path.remove(0), arguments));
        }
        while self.sign(".") {
            path.push(self.name()?);
        }
        Ok(Expr::Column(path))
    }
}

impl Token {
    fn text(&self) -> String {
        match self {
            Token::Word(text) | Token::Quoted(text) => text.clone(),
            Token::Text(text) => format!("'{text}'"),
            Token::Number(number) => number.to_string(),
            Token::Sign(",") => ", ".to_owned(),
            Token::Sign(sign) => (*sign).to_owned(),
        }
    }
}

/// What an expression can see: a row of the source, the size of its group, and the selected values.
struct Env<'a> {
    columns: &'a [String],
    row: &'a [Value],
    group: usize,
    selected: &'a [(String, Value)],
}

impl Select {
    pub fn run(&self, context: &Context) -> Result<Table> {
        let mut source = match &self.source {
            Some(Source::Table(name)) => (context.table)(name)
                .ok_or_else(|| format!("Unknown table `{name}`.\nTables referenced: {name}"))?,
            Some(Source::Select(select)) => select.run(context)?,
            None => Table { columns: Vec::new(), types: Vec::new(), rows: vec![Vec::new()] },
        };
        if let Some(condition) = &self.condition {
            let mut rows = Vec::new();
            for row in source.rows {
                let env = Env { columns: &source.columns, row: &row, group: 1, selected: &[] };
                if truth(&eval(condition, &env, context)?) {
                    rows.push(row);
                }
            }
            source.rows = rows;
        }
        let everything = source.columns.iter().map(|column| Expr::Column(vec![column.clone()]));
        let everything: Vec<(Expr, String)> = everything.zip(source.columns.clone()).collect();
        let items = self.items.as_ref().unwrap_or(&everything);

        // Each output row with its sort key.
        let mut out: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
        for (row, group) in self.groups(&source, items, context)? {
            let mut env = Env { columns: &source.columns, row: &row, group, selected: &[] };
            let mut selected = Vec::new();
            for (expr, name) in items {
                selected.push((name.clone(), eval(expr, &env, context)?));
            }
            env.selected = &selected;
            let key = self.order.iter().map(|(expr, _)| eval(expr, &env, context));
            let key = key.collect::<Result<Vec<Value>>>()?;
            out.push((selected.into_iter().map(|(_, value)| value).collect(), key));
        }
        let order = |a: &[Value], b: &[Value]| {
            let pairs = a.iter().zip(b).zip(&self.order);
            pairs.fold(Ordering::Equal, |order, ((a, b), (_, descending))| {
                order.then_with(|| match compare(a, b) {
                    // Nulls come last, in either direction.
                    order if a.is_null() || b.is_null() => order,
                    order if *descending => order.reverse(),
                    order => order,
                })
            })
        };
        out.sort_by(|a, b| order(&a.1, &b.1));
        let limit = self.limit.unwrap_or(out.len()).min(out.len());
        // WITH TIES: the rows that are equal to the last one come as well.
        let tie = |row: &&(Vec<Value>, Vec<Value>)| row.1 == out[limit - 1].1;
        let ties =
            if self.ties && limit > 0 { out[limit..].iter().take_while(tie).count() } else { 0 };
        out.truncate(limit + ties);

        let kind = |(expr, _): &(Expr, String)| match expr {
            Expr::Call(name, _) if name == "count" => "UInt64",
            Expr::Column(path) if path.len() > 1 => "Nullable(String)",
            Expr::Column(path) => {
                let at = source.columns.iter().position(|column| *column == path[0]);
                at.map_or("String", |at| source.types[at])
            }
            _ => "String",
        };
        Ok(Table {
            columns: items.iter().map(|(_, name)| name.clone()).collect(),
            types: items.iter().map(kind).collect(),
            rows: out.into_iter().map(|(row, _)| row).collect(),
        })
    }

    /// The first row of each group, and how many rows the group has.
    fn groups(
        &self,
        source: &Table,
        items: &[(Expr, String)],
        context: &Context,
    ) -> Result<Vec<(Vec<Value>, usize)>> {
        let counts = |(expr, _): &(Expr, String)| matches!(expr, Expr::Call(name, _) if name.eq_ignore_ascii_case("count"));
        if self.group.is_empty() {
            return Ok(if items.iter().any(counts) {
                let nothing = vec![Value::Null; source.columns.len()];
                vec![(source.rows.first().cloned().unwrap_or(nothing), source.rows.len())]
            } else {
                source.rows.iter().map(|row| (row.clone(), 1)).collect()
            });
        }
        let mut groups: Vec<(Vec<Value>, Vec<Value>, usize)> = Vec::new();
        for row in &source.rows {
            let env = Env { columns: &source.columns, row, group: 1, selected: &[] };
            let key = self.group.iter().map(|expr| eval(named(expr, items), &env, context));
            let key = key.collect::<Result<Vec<Value>>>()?;
            match groups.iter_mut().find(|group| group.0 == key) {
                Some(group) => group.2 += 1,
                None => groups.push((key, row.clone(), 1)),
            }
        }
        Ok(groups.into_iter().map(|(_, row, count)| (row, count)).collect())
    }
}

/// The expression that this one names, as in `SELECT lower(event) AS e .. GROUP BY e`, or itself.
fn named<'a>(expr: &'a Expr, items: &'a [(Expr, String)]) -> &'a Expr {
    let Expr::Column(path) = expr else { return expr };
    items.iter().find(|(_, name)| path[..] == [name.clone()]).map_or(expr, |(item, _)| item)
}

fn eval(expr: &Expr, env: &Env, context: &Context) -> Result<Value> {
    let eval = |expr: &Expr| eval(expr, env, context);
    Ok(match expr {
        Expr::Literal(value) => value.clone(),
        Expr::Placeholder(name) => {
            let value = context.values.get(name);
            value.ok_or_else(|| format!("Global variable not found: {name}"))?.clone()
        }
        Expr::Column(path) => column(path, env)?,
        Expr::Call(name, arguments) => match (name.to_lowercase().as_str(), &arguments[..]) {
            ("count", []) => env.group.into(),
            ("isnull", [value]) => eval(value)?.is_null().into(),
            ("isnotnull", [value]) => (!eval(value)?.is_null()).into(),
            ("touuid", [value]) => eval(value)?,
            ("todatetime", [value]) | ("todatetime64", [value, ..]) => moment(&eval(value)?)?,
            _ => return Err(format!("Unsupported function call '{name}(...)'.")),
        },
        Expr::Compare(left, sign, right) => {
            let (left, right) = (eval(left)?, eval(right)?);
            if left.is_null() || right.is_null() {
                return Ok(Value::Null);
            }
            let order = compare(&left, &right);
            let holds = match sign.as_str() {
                "IN" => right.as_array().is_some_and(|set| set.contains(&left)),
                "=" => order.is_eq(),
                "!=" | "<>" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            };
            holds.into()
        }
        Expr::Tuple(parts) => parts.iter().map(eval).collect::<Result<Vec<Value>>>()?.into(),
        Expr::IsNull(value) => eval(value)?.is_null().into(),
        Expr::Not(value) => (!truth(&eval(value)?)).into(),
        Expr::And(left, right) => (truth(&eval(left)?) && truth(&eval(right)?)).into(),
        Expr::Or(left, right) => (truth(&eval(left)?) || truth(&eval(right)?)).into(),
    })
}

fn truth(value: &Value) -> bool {
    value == &json!(true)
}

fn column(path: &[String], env: &Env) -> Result<Value> {
    let name = &path[0];
    if path.len() == 1 {
        if let Some((_, value)) = env.selected.iter().find(|(own, _)| own == name) {
            return Ok(value.clone());
        }
    }
    let at = env.columns.iter().position(|column| column == name);
    let value = &env.row[at.ok_or_else(|| format!("Unable to resolve field: {name}"))?];
    match path {
        [_] => Ok(value.clone()),
        // `properties` is JSON as text; HogQL reads each property as text too.
        [_, property] => {
            let properties: Value =
                serde_json::from_str(value.as_str().unwrap_or_default()).unwrap_or_default();
            Ok(match &properties[property] {
                Value::Null => Value::Null,
                Value::String(text) => text.clone().into(),
                other => other.to_string().into(),
            })
        }
        _ => Err(format!("Unable to resolve field: {}", path.join("."))),
    }
}

/// A time as this server writes it: UTC, with microseconds.
pub fn moment(value: &Value) -> Result<Value> {
    let text = value.as_str().unwrap_or_default();
    let bare = text.trim_end_matches('Z').trim_end_matches("+00:00").replace(' ', "T");
    let (seconds, fraction) = bare.split_once('.').unwrap_or((&bare, ""));
    let seconds =
        if seconds.len() == 10 { format!("{seconds}T00:00:00") } else { seconds.to_owned() };
    let shape: String = seconds.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape != "0000-00-00T00:00:00" || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("Cannot parse DateTime: {text}"));
    }
    Ok(format!("{seconds}.{fraction:0<6}Z").into())
}

/// Nulls are the greatest. UUIDs have ClickHouse's own order.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Array(a), Value::Array(b)) => {
            let orders = a.iter().zip(b).map(|(a, b)| compare(a, b));
            orders.fold(Ordering::Equal, Ordering::then)
        }
        (Value::String(a), Value::String(b)) => sort_key(a).cmp(&sort_key(b)),
        _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
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
