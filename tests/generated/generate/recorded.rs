//! Recorded answers, and random changes to bytes and JSON.
use super::{BODY, HTTP};
use proptest::prelude::{Just, RngCore, Strategy};
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::OnceLock;

/// Random choices.
#[derive(Clone, Debug)]
pub struct Random(TestRng);

pub fn random() -> impl Strategy<Value = Random> {
    Just(()).prop_perturb(|(), rng| Random(rng))
}

impl Random {
    /// The same choices in every run.
    pub fn fixed() -> Random {
        Random(TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    }

    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn choose<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        *self.choose(list)
    }

    /// A part of `0..len`, often a short one.
    pub fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let most = if self.one_in(4) { len - start } else { (len - start).min(12) };
        start..start + self.below(most + 1)
    }
}

/// The bytes of a recorded answer.
pub struct Recorded {
    pub head: String,
    pub body: Vec<u8>,
}

impl Recorded {
    pub fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }

    pub fn has_header(&self, name: &str) -> bool {
        let mut names = self.head.lines().filter_map(|line| line.split_once(':'));
        names.any(|(other, _)| other.eq_ignore_ascii_case(name))
    }
}

/// The recorded answers that are small, in the order of their names.
pub fn recorded() -> &'static [Recorded] {
    static RECORDED: OnceLock<Vec<Recorded>> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recordings");
        let mut files: Vec<_> = ["2022", "2023", "2026"]
            .iter()
            .flat_map(|year| std::fs::read_dir(folder.join(year)).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "http"))
            .collect();
        files.sort();
        let answer = |path| {
            let bytes = std::fs::read(path).unwrap();
            let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            Recorded { head, body: bytes[end..].to_vec() }
        };
        let all = files.into_iter().map(answer).filter(|answer| answer.body.len() < 2_000);
        let all: Vec<Recorded> = all.collect();
        assert!(all.len() > 200, "{} recordings", all.len());
        all
    })
}

/// The recorded bodies that are JSON.
pub fn bodies() -> &'static [Vec<u8>] {
    static BODIES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BODIES.get_or_init(|| {
        let is_json = |body: &&Vec<u8>| serde_json::from_slice::<Value>(body).is_ok();
        let bodies: Vec<_> = recorded().iter().map(|r| &r.body).filter(is_json).cloned().collect();
        assert!(bodies.len() > 150, "{} bodies", bodies.len());
        bodies
    })
}

/// A recorded body, or one with words that are not JSON; usually changed.
pub fn changed_body() -> impl Strategy<Value = Vec<u8>> {
    random().prop_map(|mut random| {
        let mut body = match random.below(8) {
            0 => br#"{"results":[NaN,-Infinity,Infinity,"NaN \" -Infinity"],"next":null}"#.to_vec(),
            _ => random.choose::<Vec<u8>>(bodies()).clone(),
        };
        if !random.one_in(10) {
            change(&mut random, &mut body, BODY);
        }
        body
    })
}

/// A recorded answer whose head is changed, the part that matters here, and seldom its body.
pub fn changed_answer() -> impl Strategy<Value = Vec<u8>> {
    random().prop_map(|mut random| {
        let mut head = random.choose(recorded()).bytes();
        let end = head.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let body = head.split_off(if random.one_in(4) { head.len() } else { end });
        change(&mut random, &mut head, HTTP);
        [head, body].concat()
    })
}

/// Changes a few places of `bytes`: bits, bytes, parts, and tokens that are put in.
pub fn change(random: &mut Random, bytes: &mut Vec<u8>, tokens: &[&str]) {
    for _ in 0..=random.below(4) {
        let len = bytes.len();
        let at = random.below(len);
        match random.below(8) {
            0 if len > 0 => bytes[at] ^= 1 << random.below(8),
            1 if len > 0 => bytes[at] = random.number().to_le_bytes()[0],
            2 => {
                bytes.drain(random.range(len));
            }
            3 => {
                let part = bytes[random.range(len)].to_vec();
                bytes.splice(at..at, part);
            }
            4 if random.one_in(3) => bytes.truncate(at),
            _ => {
                let end = at + random.below(2).min(len - at);
                bytes.splice(at..end, random.pick(tokens).bytes());
            }
        }
    }
}

/// The same for a text, character by character.
pub fn change_text(random: &mut Random, text: &str, tokens: &[&str]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    change(random, &mut bytes, tokens);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Replaces, removes or repeats a few parts of a value.
pub fn change_json(random: &mut Random, value: &mut Value) {
    for _ in 0..=random.below(3) {
        let mut pointers = Vec::new();
        collect(value, String::new(), &mut pointers);
        let copy = value.pointer(random.choose::<String>(&pointers)).cloned().unwrap_or_default();
        let Some(part) = value.pointer_mut(random.choose::<String>(&pointers)) else { continue };
        match (random.below(8), part) {
            (0, Value::Array(list)) => list.clear(),
            (0 | 1, Value::Object(fields)) => {
                let name = fields.keys().nth(random.below(fields.len())).cloned();
                name.map(|name| fields.remove(&name));
            }
            (1 | 2, Value::Array(list)) if !list.is_empty() => {
                let at = random.below(list.len());
                let item = list[at].clone();
                list.insert(random.below(list.len()), item);
            }
            (3, Value::Array(list)) if !list.is_empty() => {
                list.remove(random.below(list.len()));
            }
            (2 | 3, Value::Object(fields)) => {
                let name = random.pick(&["result", "results", "aggregated_value", "data", "id"]);
                fields.insert(name.to_owned(), copy);
            }
            (4, part) => *part = json!([part.take()]),
            (5, part) => *part = copy,
            (_, part) => *part = other(random),
        }
    }
}

fn collect(value: &Value, here: String, out: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            for (at, item) in list.iter().enumerate().take(12) {
                collect(item, format!("{here}/{at}"), out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(field, format!("{here}/{name}"), out);
            }
        }
        _ => {}
    }
    out.push(here);
}

fn other(random: &mut Random) -> Value {
    match random.below(9) {
        0 => Value::Null,
        1 => random.one_in(2).into(),
        2 => (random.number() >> random.below(64)).into(),
        3 => i64::from_le_bytes(random.number().to_le_bytes()).into(),
        4 => f64::from_bits(random.number()).into(),
        5 => json!([]),
        6 => json!({}),
        7 => "".into(),
        _ => (random.pick(&["x", "1", "2024-01-01", "é\u{1f680}", "a\nb", "NaN"])).into(),
    }
}
