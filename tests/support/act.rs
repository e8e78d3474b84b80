//! What the scripted server does with one request: an answer, correct or broken, and the end of the
//! connection.
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// The `X-Request-Id` of every answer, which errors must show.
pub const REQUEST_ID: &str = "req-faults-1";

/// Made from [`Act::status`], [`Act::json`] or [`Act::raw`], and then changed by the other methods.
#[derive(Clone, Debug)]
pub struct Act {
    content: Content,
    pub(super) delay: Duration,
    pub(super) drip: Option<Duration>,
    /// How many bytes are sent before the slow ones.
    pub(super) at_once: usize,
    /// How many bytes at the end are not sent.
    cut: usize,
    pub(super) repeat: Option<(Vec<u8>, u64)>,
    pub(super) end: End,
}

#[derive(Clone, Debug)]
enum Content {
    Raw(Vec<u8>),
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, framing: Framing },
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Length,
    /// A wrong `Content-Length`.
    Lie(usize),
    Chunked,
    /// No length: the body ends with the connection.
    Nothing,
}

/// What happens to the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Keep,
    Close,
    /// A reset (RST).
    Reset,
    /// Stays open and sends nothing more. What arrives is read.
    Silence,
    /// Stays open, sends nothing more, and reads nothing.
    Deaf,
}

impl Act {
    fn new(content: Content, end: End) -> Act {
        Act { content, delay: Duration::ZERO, drip: None, at_once: 0, cut: 0, repeat: None, end }
    }

    /// An answer with an empty body.
    pub fn status(status: u16) -> Act {
        let headers = vec![("X-Request-Id".to_owned(), REQUEST_ID.to_owned())];
        let (body, framing) = (Vec::new(), Framing::Length);
        let content = Content::Answer { status, headers, body, framing };
        Act::new(content, End::Keep)
    }

    pub fn json(status: u16, body: &Value) -> Act {
        Act::status(status).body("application/json", body.to_string())
    }

    /// A page of a list. `next` can be any value.
    pub fn page(rows: &Value, next: &Value) -> Act {
        Act::json(200, &json!({"next": next, "previous": null, "results": rows}))
    }

    /// PostHog's error body.
    pub fn error(status: u16, kind: &str, code: &str, detail: &str) -> Act {
        Act::json(status, &json!({"type": kind, "code": code, "detail": detail, "attr": null}))
    }

    /// These bytes as the answer. The connection is kept.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Act {
        Act::new(Content::Raw(bytes.into()), End::Keep)
    }

    /// Closes without an answer.
    pub fn close() -> Act {
        Act::new(Content::Raw(Vec::new()), End::Close)
    }

    /// Resets without an answer.
    pub fn reset() -> Act {
        Act::new(Content::Raw(Vec::new()), End::Reset)
    }

    /// Never answers.
    pub fn silence() -> Act {
        Act::new(Content::Raw(Vec::new()), End::Silence)
    }

    /// Never answers, and reads nothing.
    pub fn deaf() -> Act {
        Act::new(Content::Raw(Vec::new()), End::Deaf)
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Act {
        if let Content::Answer { headers, .. } = &mut self.content {
            headers.push((name.to_owned(), value.into()));
        }
        self
    }

    pub fn body(mut self, kind: &str, bytes: impl Into<Vec<u8>>) -> Act {
        if let Content::Answer { body, .. } = &mut self.content {
            *body = bytes.into();
        }
        if kind.is_empty() { self } else { self.header("Content-Type", kind) }
    }

    pub fn gzip(mut self) -> Act {
        if let Content::Answer { body, .. } = &mut self.content {
            *body = gzip(body);
        }
        self.header("Content-Encoding", "gzip")
    }

    pub fn chunked(self) -> Act {
        self.framed(Framing::Chunked)
    }

    /// Neither `Content-Length` nor chunks: the body ends with the connection.
    pub fn unframed(mut self) -> Act {
        if self.end == End::Keep {
            self.end = End::Close;
        }
        self.framed(Framing::Nothing)
    }

    /// This `Content-Length`, whatever the length of the body.
    pub fn length(self, n: usize) -> Act {
        self.framed(Framing::Lie(n))
    }

    fn framed(mut self, how: Framing) -> Act {
        if let Content::Answer { framing, .. } = &mut self.content {
            *framing = how;
        }
        self
    }

    /// Does not send the last `n` bytes, and closes. `then` can change the end.
    pub fn cut(mut self, n: usize) -> Act {
        self.cut = n;
        self.then(End::Close)
    }

    /// Sends the first `n` bytes, and closes. `then` can change the end.
    pub fn first(self, n: usize) -> Act {
        let cut = self.bytes().len().saturating_sub(n);
        self.cut(cut)
    }

    /// Sends one byte per interval.
    pub fn drip(mut self, interval: Duration) -> Act {
        self.drip = Some(interval);
        self
    }

    /// Sends the header at once, then one byte of the body per interval.
    pub fn drip_body(mut self, interval: Duration) -> Act {
        self.at_once = self.head();
        self.drip(interval)
    }

    /// Sends the header, and closes. `then` can change the end.
    pub fn header_only(self) -> Act {
        let head = self.head();
        self.first(head)
    }

    /// The length of the header.
    fn head(&self) -> usize {
        let bytes = self.bytes();
        bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4
    }

    /// Begins after this delay.
    pub fn after(mut self, delay: Duration) -> Act {
        self.delay = delay;
        self
    }

    /// Then sends `block` this many times, or until the client closes.
    pub fn repeat(mut self, block: impl Into<Vec<u8>>, times: u64) -> Act {
        self.repeat = Some((block.into(), times));
        self
    }

    pub fn then(mut self, end: End) -> Act {
        self.end = end;
        self
    }

    /// The bytes of the answer.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = match &self.content {
            Content::Raw(bytes) => bytes.clone(),
            Content::Answer { status, headers, body, framing } => {
                let mut out = format!("HTTP/1.1 {status} Whatever\r\n").into_bytes();
                for (name, value) in headers {
                    out.extend(format!("{name}: {value}\r\n").bytes());
                }
                match framing {
                    Framing::Length if *status == 204 => {}
                    Framing::Length => {
                        out.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
                    }
                    Framing::Lie(n) => out.extend(format!("Content-Length: {n}\r\n").bytes()),
                    Framing::Chunked => out.extend(b"Transfer-Encoding: chunked\r\n"),
                    Framing::Nothing => {}
                }
                out.extend(b"\r\n");
                if matches!(framing, Framing::Chunked) {
                    for part in body.chunks(body.len().div_ceil(3).max(1)) {
                        out.extend(chunk(part));
                    }
                    out.extend(b"0\r\n\r\n");
                } else {
                    out.extend(body);
                }
                out
            }
        };
        out.truncate(out.len().saturating_sub(self.cut));
        out
    }
}

/// One chunk of a chunked body.
pub fn chunk(part: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", part.len()).into_bytes();
    out.extend(part);
    out.extend(b"\r\n");
    out
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
