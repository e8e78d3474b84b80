//! Requests, as bytes that nobody has copied, and as what they say.

use std::io::BufRead;

/// A whole request that arrived.
pub struct Incoming<'a> {
    raw: &'a [u8],
    /// Where its body begins.
    body: usize,
    connection: usize,
}

impl<'a> Incoming<'a> {
    /// The first request in `received`, if it is complete.
    pub(crate) fn first(received: &'a [u8], connection: usize) -> Option<Incoming<'a>> {
        let body = head(received)?;
        let lines = received[..body].split(|&byte| byte == b'\n');
        let name = b"content-length:";
        let length = lines.filter_map(|line| {
            let (own, value) = line.split_at_checked(name.len())?;
            own.eq_ignore_ascii_case(name).then_some(value)
        });
        let mut length =
            length.filter_map(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
        let whole = body.checked_add(length.next().unwrap_or(0))?;
        Some(Incoming { raw: received.get(..whole)?, body, connection })
    }

    /// All of its bytes.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Path and query as on the wire, encoded; empty if it is not UTF-8.
    #[must_use]
    pub fn target(&self) -> &'a str {
        let target = self.raw.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        std::str::from_utf8(target).unwrap_or_default()
    }

    /// What it says.
    #[must_use]
    pub fn parse(&self) -> Request {
        let head = String::from_utf8_lossy(&self.raw[..self.body]);
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        Request {
            method: first.next().unwrap_or_default(),
            target: first.next().unwrap_or_default(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
            body: self.raw[self.body..].to_vec(),
            connection: self.connection,
            raw: self.raw.to_vec(),
        }
    }
}

/// The length of the head that ends with an empty line. In a debug build, the search of `BufRead` is
/// much faster than one over the bytes.
fn head(received: &[u8]) -> Option<usize> {
    let (mut rest, mut before) = (received, &[][..]);
    loop {
        let at = received.len() - rest.len();
        let line = &received[at..at + rest.skip_until(b'\n').ok()?];
        if line == b"\r\n" && before.ends_with(b"\r\n") {
            return Some(at + line.len());
        }
        if !line.ends_with(b"\n") {
            return None;
        }
        before = line;
    }
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Path and query as on the wire, encoded.
    pub target: String,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
    /// The number of its connection, from 0.
    pub connection: usize,
    /// All of its bytes.
    pub raw: Vec<u8>,
}

impl Request {
    /// The part before the question mark, encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The part after the question mark, encoded.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The parameters, decoded.
    #[must_use]
    pub fn params(&self) -> Vec<(String, String)> {
        pairs(self.query())
    }

    /// The first parameter of that name, decoded.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<String> {
        self.params().into_iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }
}

/// The parameters of a query string, decoded.
#[must_use]
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let plain = |text: &str| decode(&text.replace('+', " "));
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}

/// Decodes `%41`.
#[must_use]
pub fn decode(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, rest)) = bytes.split_first() {
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let code = code.filter(|_| first == b'%');
        out.push(code.unwrap_or(first));
        bytes = if code.is_some() { &rest[2..] } else { rest };
    }
    String::from_utf8_lossy(&out).into_owned()
}
