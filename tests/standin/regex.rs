//! As much of RE2 as a person filter in a test needs: literals, `.`, classes, `^`, `$`, `*`, `+`, `?`.

enum Atom {
    Start,
    End,
    /// Any one character in these ranges, or in none of them.
    One(Vec<(char, char)>, bool),
}

/// Each atom with how often it may come.
pub struct Regex(Vec<(Atom, usize, usize)>);

pub enum Bad {
    /// No regular expression at all: PostHog then finds nobody.
    Invalid,
    /// A lookahead, which RE2 refuses, or beyond this matcher.
    Unsupported,
}

impl Regex {
    pub fn new(pattern: &str) -> Result<Regex, Bad> {
        let mut chars = pattern.chars().peekable();
        let mut atoms = Vec::new();
        while let Some(c) = chars.next() {
            let atom = match c {
                '^' => Atom::Start,
                '$' => Atom::End,
                '.' => Atom::One(vec![('\n', '\n')], true),
                '[' => class(&mut chars)?,
                '\\' => Atom::One(escape(chars.next())?, false),
                '*' | '+' | '?' => return Err(Bad::Invalid),
                '(' if !pattern.contains(')') => return Err(Bad::Invalid),
                '(' | ')' | '|' | '{' => return Err(Bad::Unsupported),
                c => Atom::One(vec![(c, c)], false),
            };
            let (min, max) = match chars.peek() {
                Some('*') => (0, usize::MAX),
                Some('+') => (1, usize::MAX),
                Some('?') => (0, 1),
                _ => (1, 1),
            };
            if (min, max) != (1, 1) {
                chars.next();
            }
            atoms.push((atom, min, max));
        }
        Ok(Regex(atoms))
    }

    /// Whether it matches anywhere in the text.
    pub fn is_match(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        (0..=text.len()).any(|at| matches(&self.0, &text, at))
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn escape(c: Option<char>) -> Result<Vec<(char, char)>, Bad> {
    match c.ok_or(Bad::Invalid)? {
        'd' => Ok(vec![('0', '9')]),
        'w' => Ok(vec![('0', '9'), ('A', 'Z'), ('a', 'z'), ('_', '_')]),
        's' => Ok(vec![(' ', ' '), ('\t', '\r')]),
        c if c.is_ascii_alphanumeric() => Err(Bad::Unsupported),
        c => Ok(vec![(c, c)]),
    }
}

fn class(chars: &mut Chars) -> Result<Atom, Bad> {
    let inverted = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        match chars.next().ok_or(Bad::Invalid)? {
            ']' if !ranges.is_empty() => return Ok(Atom::One(ranges, inverted)),
            '\\' => ranges.extend(escape(chars.next())?),
            '-' if !ranges.is_empty() && chars.peek() != Some(&']') => {
                let (low, _) = ranges.pop().ok_or(Bad::Invalid)?;
                ranges.push((low, chars.next().ok_or(Bad::Invalid)?));
            }
            c => ranges.push((c, c)),
        }
    }
}

fn matches(atoms: &[(Atom, usize, usize)], text: &[char], mut at: usize) -> bool {
    let Some(((atom, min, max), rest)) = atoms.split_first() else {
        return true;
    };
    let (ranges, inverted) = match atom {
        Atom::Start => return at == 0 && matches(rest, text, at),
        Atom::End => return at == text.len() && matches(rest, text, at),
        Atom::One(ranges, inverted) => (ranges, *inverted),
    };
    let fits = |c: &char| ranges.iter().any(|(low, high)| low <= c && c <= high) != inverted;
    for done in 0..=*max {
        if done >= *min && matches(rest, text, at) {
            return true;
        }
        if !text.get(at).is_some_and(fits) {
            return false;
        }
        at += 1;
    }
    false
}
