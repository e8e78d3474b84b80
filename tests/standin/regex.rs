//! A small backtracking matcher: as much of RE2 as a person filter in a test needs.
//!
//! Literals, `.`, classes, `\d \w \s`, groups, `|`, `^`, `$`, `*`, `+`, `?`. No counts, no flags.

enum Node {
    Start,
    End,
    /// Any one character that the test accepts.
    One(Box<dyn Fn(char) -> bool>),
    Group(Vec<Vec<Piece>>),
}

struct Piece {
    node: Node,
    min: usize,
    max: usize,
}

pub struct Regex(Vec<Vec<Piece>>);

pub enum Bad {
    /// No regular expression at all: PostHog then finds nobody.
    Invalid,
    /// Right for Python's check and wrong for RE2 (a lookahead), or beyond this matcher.
    Unsupported,
}

impl Regex {
    pub fn new(pattern: &str) -> Result<Regex, Bad> {
        let chars: Vec<char> = pattern.chars().collect();
        let mut at = 0;
        let tree = alternatives(&chars, &mut at)?;
        if at < chars.len() {
            Err(Bad::Invalid)
        } else {
            Ok(Regex(tree))
        }
    }

    /// Whether it matches anywhere in the text.
    pub fn is_match(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        (0..=text.len()).any(|at| any(&self.0, &text, at, &mut |_| true))
    }
}

fn alternatives(chars: &[char], at: &mut usize) -> Result<Vec<Vec<Piece>>, Bad> {
    let mut all = vec![Vec::new()];
    while let Some(&c) = chars.get(*at) {
        *at += 1;
        let node = match c {
            ')' => {
                *at -= 1;
                break;
            }
            '|' => {
                all.push(Vec::new());
                continue;
            }
            '*' | '+' | '?' => return Err(Bad::Invalid),
            '{' => return Err(Bad::Unsupported),
            '(' if chars.get(*at) == Some(&'?') => return Err(Bad::Unsupported),
            '(' => {
                let inner = alternatives(chars, at)?;
                *at += 1;
                if chars.get(*at - 1) != Some(&')') {
                    return Err(Bad::Invalid);
                }
                Node::Group(inner)
            }
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::One(Box::new(|c| c != '\n')),
            '[' => class(chars, at)?,
            '\\' => Node::One(escape(chars, at)?),
            c => Node::One(Box::new(move |other| c == other)),
        };
        let (min, max) = match chars.get(*at) {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            _ => (1, 1),
        };
        *at += usize::from((min, max) != (1, 1));
        all.last_mut().unwrap().push(Piece { node, min, max });
    }
    Ok(all)
}

fn escape(chars: &[char], at: &mut usize) -> Result<Box<dyn Fn(char) -> bool>, Bad> {
    let c = *chars.get(*at).ok_or(Bad::Invalid)?;
    *at += 1;
    Ok(match c {
        'd' => Box::new(|c| c.is_ascii_digit()),
        'w' => Box::new(|c| c.is_ascii_alphanumeric() || c == '_'),
        's' => Box::new(|c| c.is_ascii_whitespace()),
        c if c.is_ascii_alphanumeric() => return Err(Bad::Unsupported),
        c => Box::new(move |other| c == other),
    })
}

fn class(chars: &[char], at: &mut usize) -> Result<Node, Bad> {
    let inverted = chars.get(*at) == Some(&'^');
    *at += usize::from(inverted);
    let mut tests: Vec<Box<dyn Fn(char) -> bool>> = Vec::new();
    loop {
        let c = *chars.get(*at).ok_or(Bad::Invalid)?;
        *at += 1;
        match (c, chars.get(*at), chars.get(*at + 1)) {
            (']', ..) if !tests.is_empty() => break,
            ('\\', ..) => tests.push(escape(chars, at)?),
            (low, Some('-'), Some(&high)) if high != ']' => {
                *at += 2;
                tests.push(Box::new(move |c| (low..=high).contains(&c)));
            }
            _ => tests.push(Box::new(move |other| c == other)),
        }
    }
    Ok(Node::One(Box::new(move |c| {
        tests.iter().any(|test| test(c)) != inverted
    })))
}

type Then<'a> = &'a mut dyn FnMut(usize) -> bool;

fn any(all: &[Vec<Piece>], text: &[char], at: usize, then: Then) -> bool {
    all.iter().any(|pieces| sequence(pieces, text, at, then))
}

fn sequence(pieces: &[Piece], text: &[char], at: usize, then: Then) -> bool {
    match pieces.split_first() {
        None => then(at),
        Some((piece, rest)) => repeat(piece, 0, text, at, &mut |at| sequence(rest, text, at, then)),
    }
}

fn repeat(piece: &Piece, done: usize, text: &[char], at: usize, then: Then) -> bool {
    let once_more = done < piece.max
        && step(&piece.node, text, at, &mut |next| {
            // A turn that eats nothing would go on for ever.
            (next > at || done < piece.min) && repeat(piece, done + 1, text, next, then)
        });
    once_more || (done >= piece.min && then(at))
}

fn step(node: &Node, text: &[char], at: usize, then: Then) -> bool {
    match node {
        Node::Start => at == 0 && then(at),
        Node::End => at == text.len() && then(at),
        Node::One(test) => text.get(at).is_some_and(|&c| test(c)) && then(at + 1),
        Node::Group(inner) => any(inner, text, at, then),
    }
}
