//! The stand-in's server: makes answers, and keeps what arrived.
use super::recordings::Recorded;
use http_server::{Connection, Handler, Incoming, Listener, Next};
pub use http_server::{Request, decode, pairs};
use std::io::{Result, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

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

struct Kept<H> {
    handler: H,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
}

impl<H: Fn(&Request) -> Answer + Send + Sync + 'static> Handler for Kept<H> {
    fn connected(&self, _: &mut Connection) -> Next {
        self.seen.connections.fetch_add(1, Ordering::SeqCst);
        Next::Keep
    }

    fn answer(&self, request: &Incoming<'_>, connection: &mut Connection) -> Result<Next> {
        let request = request.parse();
        let answer = (self.handler)(&request);
        let leave = answer.close || request.header("connection") == Some("close");
        // Kept before the answer is sent: a client that has the answer finds its request here.
        self.seen.requests.lock().unwrap().push(request);
        connection.write_all(&answer.bytes)?;
        Ok(if leave { Next::Close } else { Next::Keep })
    }
}

/// A server on a free loopback port.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    _running: http_server::Server,
}

impl Server {
    pub fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let (address, seen) = (listener.address(), Arc::<Seen>::default());
        let running = listener.serve(Arc::new(Kept { handler, seen: seen.clone() }));
        Server { address, seen, _running: running }
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
