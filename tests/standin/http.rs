//! The stand-in's listener: reads HTTP/1.1 requests, writes answers, keeps what arrived, and stops its threads when dropped.
use super::recordings::Recorded;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// As on the wire: path and query, encoded.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The part after the question mark, still encoded.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// The first parameter of that name, decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        let mut params = self.params().into_iter();
        params.find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub fn params(&self) -> Vec<(String, String)> {
        pairs(self.query())
    }
}

/// The pairs of a query string, decoded.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name, true), decode(value, true)))
        .collect()
}

/// Decodes `%41` and, in a query, `+`.
pub fn decode(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((&first, rest)) = bytes.split_first() {
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                out.push(code);
                bytes = &rest[2..];
                continue;
            }
            (b'+', _) if plus => out.push(b' '),
            _ => out.push(first),
        }
        bytes = rest;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer, ready to be written in one go.
#[derive(Clone)]
pub struct Answer {
    pub bytes: Arc<Vec<u8>>,
    pub close: bool,
}

impl Answer {
    pub fn json(status: u16, body: &str) -> Answer {
        Answer::new(status, "Content-Type: application/json\r\n", body)
    }

    /// `headers` are whole lines, each with its line end.
    pub fn new(status: u16, headers: &str, body: &str) -> Answer {
        let reason = match status {
            200 => "OK",
            202 => "Accepted",
            302 => "Found",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            _ => "Internal Server Error",
        };
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} {reason}\r\nServer: gunicorn\r\nConnection: keep-alive\r\n{headers}\
             Content-Length: {length}\r\nVary: Accept, Origin\r\n\r\n{body}"
        );
        Answer { bytes: Arc::new(text.into_bytes()), close: false }
    }

    pub fn recorded(recorded: &Recorded) -> Answer {
        let close = |(name, value): &(String, String)| name == "Connection" && value == "close";
        Answer { bytes: recorded.raw.clone(), close: recorded.headers.iter().any(close) }
    }
}

/// PostHog's 400 for an invalid request.
pub fn invalid(detail: &str) -> Answer {
    let detail = serde_json::Value::from(detail);
    let body = format!(
        "{{\"type\":\"validation_error\",\"code\":\"invalid_input\",\"detail\":{detail},\"attr\":null}}"
    );
    Answer::json(400, &body)
}

type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    /// The open connections by number, to be shut down at the end.
    streams: Mutex<BTreeMap<usize, TcpStream>>,
    stopping: AtomicBool,
}

/// A server on a free loopback port: one thread accepts, one serves each connection.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let handler: Arc<Handler> = Arc::new(handler);
        let shared = seen.clone();
        let accepting = std::thread::spawn(move || accept(&listener, &shared, &handler));
        Server { address, seen, accepting: Some(accepting) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.seen.requests.lock().unwrap())
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seen.stopping.store(true, Ordering::SeqCst);
        // `accept` has no timeout: a last connection wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, seen: &Arc<Seen>, handler: &Arc<Handler>) {
    let mut serving: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming() {
        if seen.stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let number = seen.connections.fetch_add(1, Ordering::SeqCst);
        let _ = stream.set_nodelay(true);
        if let Ok(clone) = stream.try_clone() {
            seen.streams.lock().unwrap().insert(number, clone);
        }
        let (seen, handler) = (seen.clone(), handler.clone());
        serving.retain(|thread| !thread.is_finished());
        serving.push(std::thread::spawn(move || {
            serve(stream, &seen, &*handler);
            seen.streams.lock().unwrap().remove(&number);
        }));
    }
    for stream in seen.streams.lock().unwrap().values() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for thread in serving {
        let _ = thread.join();
    }
}

fn serve(mut stream: TcpStream, seen: &Seen, handler: &Handler) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer) {
        let answer = handler(&request);
        let leave = answer.close || request.header("connection") == Some("close");
        // Kept before the answer is sent: a client that has the answer finds its request here.
        seen.requests.lock().unwrap().push(request);
        if stream.write_all(&answer.bytes).is_err() || leave {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// The next request; none if the client closed the connection or does not speak HTTP.
fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        fill(stream, buffer)?;
    };
    let head = String::from_utf8(buffer[..end].to_vec()).ok()?;
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let mut request = Request {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
    };
    let length = request.header("content-length").map_or(Some(0), |n| n.parse().ok())?;
    while buffer.len() < length {
        fill(stream, buffer)?;
    }
    request.body = buffer.drain(..length).collect();
    Some(request)
}

fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return None,
            Ok(n) => {
                buffer.extend_from_slice(&chunk[..n]);
                return Some(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
