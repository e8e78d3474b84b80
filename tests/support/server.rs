//! The one server of all tests. It follows a script of acts, records what arrives, and searches it
//! for the key.
use super::act::{Act, End};
use super::key::{self, Way};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a read or a write waits before it checks whether the server must stop.
const TICK: Duration = Duration::from_millis(5);

/// The longest time that a server waits, and the most bytes that it sends. A client without a limit
/// fails its test instead of hanging.
const LONGEST: Duration = Duration::from_secs(10);
const MOST: usize = 256 << 20;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query as on the wire, encoded.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// All of its bytes.
    pub raw: Vec<u8>,
}

impl Request {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The part after the question mark, encoded.
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
        let mut pairs = self.query().split('&').filter_map(|p| p.split_once('='));
        let found = pairs.find(|(key, _)| decode(key) == name)?;
        Some(decode(found.1))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Decodes `%41`.
pub fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((&first, rest)) = bytes.split_first() {
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        bytes = if let (b'%', Some(code)) =
            (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()))
        {
            out.push(code);
            &rest[2..]
        } else {
            out.push(first);
            rest
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

type Script = dyn Fn(&Request, usize) -> Act + Send + Sync;

#[derive(Default)]
struct Seen {
    /// Requests are counted and not kept.
    counts_only: bool,
    /// Every byte, by connection.
    bytes: Mutex<Vec<Vec<u8>>>,
    requests: Mutex<Vec<Request>>,
    /// How many complete requests came.
    count: AtomicUsize,
    /// How many requests [`Server::take_requests`] has returned.
    taken: AtomicUsize,
    /// How many requests have an act.
    begun: AtomicUsize,
    closed: AtomicUsize,
    sent: AtomicUsize,
    stopping: AtomicBool,
}

/// A server on a free loopback port. When it is dropped, it stops and searches every byte that it
/// received.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
    way: Way,
    name: String,
    most: usize,
}

impl Server {
    /// One act for each request, in order. More requests than acts fail the test.
    pub fn script(acts: impl IntoIterator<Item = Act>) -> Server {
        let acts: Vec<Act> = acts.into_iter().collect();
        let most = acts.len();
        let act = move |_: &Request, n: usize| {
            let over = || Act::status(418).body("text/plain", "the script is at its end");
            acts.get(n).cloned().unwrap_or_else(over)
        };
        let mut server = Server::start(act);
        server.most = most;
        server
    }

    /// A script of 200 answers with these JSON bodies.
    pub fn answers(bodies: &[serde_json::Value]) -> Server {
        Server::script(bodies.iter().map(|body| Act::json(200, body)))
    }

    /// `act` decides for each request. It gets the number of the requests before it.
    pub fn start(act: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Server {
        Server::on("127.0.0.1:0", None, act).unwrap()
    }

    /// Like `start`, for very many requests: they are counted and not kept, and nothing searches
    /// for the
    /// key.
    pub fn counting(act: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Server {
        let seen = Seen { counts_only: true, ..Seen::default() };
        Server::listen("127.0.0.1:0", None, act, seen).unwrap().expects(Way::Any)
    }

    /// Does `act` at each connection, before anything is read.
    pub fn at_connect(act: Act) -> Server {
        Server::on("127.0.0.1:0", Some(act), |_, _| Act::close()).unwrap()
    }

    /// A single connection to this server fails the test.
    pub fn stranger() -> Server {
        Server::start(|_, _| Act::json(200, &serde_json::json!({"stranger": true})))
            .expects(Way::Stranger)
    }

    /// Listens on this address.
    pub fn on(
        address: &str,
        at_connect: Option<Act>,
        act: impl Fn(&Request, usize) -> Act + Send + Sync + 'static,
    ) -> std::io::Result<Server> {
        Server::listen(address, at_connect, act, Seen::default())
    }

    fn listen(
        address: &str,
        at_connect: Option<Act>,
        act: impl Fn(&Request, usize) -> Act + Send + Sync + 'static,
        seen: Seen,
    ) -> std::io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let seen = Arc::new(seen);
        let (shared, script): (_, Arc<Script>) = (seen.clone(), Arc::new(act));
        let accepting =
            std::thread::spawn(move || accept(&listener, &shared, at_connect.as_ref(), &script));
        Ok(Server {
            address,
            seen,
            accepting: Some(accepting),
            way: Way::Bearer,
            name: address.to_string(),
            most: usize::MAX,
        })
    }

    /// Where its requests must have the key. Defaults to `Authorization: Bearer`.
    pub fn expects(mut self, way: Way) -> Server {
        self.way = way;
        self
    }

    /// The `Host` of requests with the key. Defaults to the address.
    pub fn named(mut self, name: &str) -> Server {
        name.clone_into(&mut self.name);
        self
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every complete request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Every complete request since the last call of this function.
    pub fn take_requests(&self) -> Vec<Request> {
        let requests = self.seen.requests.lock().unwrap();
        let taken = self.seen.taken.swap(requests.len(), SeqCst);
        requests[taken..].to_vec()
    }

    /// Every request. Fails unless each act of the script was used.
    #[track_caller]
    pub fn all_requests(&self) -> Vec<Request> {
        let requests = self.requests();
        assert_eq!(requests.len(), self.most, "not the requests of the script: {requests:#?}");
        requests
    }

    /// How many complete requests came so far.
    pub fn count(&self) -> usize {
        self.seen.count.load(SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.seen.bytes.lock().unwrap().len()
    }

    /// How many bytes were sent.
    pub fn sent(&self) -> usize {
        self.seen.sent.load(SeqCst)
    }

    /// Waits until `n` connections are closed, by either side.
    pub fn wait_closed(&self, n: usize) {
        let until = Instant::now() + Duration::from_secs(5);
        while self.seen.closed.load(SeqCst) < n {
            assert!(Instant::now() < until, "the connections stay open");
            std::thread::sleep(Duration::from_millis(1));
        }
        // The client must still receive the end.
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seen.stopping.store(true, SeqCst);
        // `accept` has no timeout, so a last connection wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        if std::thread::panicking() {
            return;
        }
        let (count, most) = (self.count(), self.most);
        assert!(count <= most, "{count} requests to a script of {most}");
        let requests = self.seen.requests.lock().unwrap();
        key::check_server(self.way, &self.name, &self.seen.bytes.lock().unwrap(), &requests);
    }
}

fn accept(
    listener: &TcpListener,
    seen: &Arc<Seen>,
    at_connect: Option<&Act>,
    script: &Arc<Script>,
) {
    let mut serving: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming() {
        if seen.stopping.load(SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(TICK));
        let _ = stream.set_write_timeout(Some(TICK));
        let number = {
            let mut all = seen.bytes.lock().unwrap();
            all.push(Vec::new());
            all.len() - 1
        };
        let mut connection = Connection { stream, seen: seen.clone(), number };
        let (at_connect, script) = (at_connect.cloned(), script.clone());
        serving.push(std::thread::spawn(move || {
            match at_connect {
                Some(act) => {
                    connection.perform(&act, false);
                }
                None => while connection.serve(&*script) {},
            }
            let seen = connection.seen.clone();
            drop(connection);
            seen.closed.fetch_add(1, SeqCst);
        }));
    }
    for thread in serving {
        let _ = thread.join();
    }
}

struct Connection {
    stream: TcpStream,
    seen: Arc<Seen>,
    number: usize,
}

impl Connection {
    /// One request and its act. Returns whether another request can follow.
    fn serve(&mut self, script: &Script) -> bool {
        let Some(request) = self.receive() else {
            return false;
        };
        let n = self.seen.begun.fetch_add(1, SeqCst);
        let act = script(&request, n);
        // Before the answer is sent, so that a test which has the answer finds the request.
        if !self.seen.counts_only {
            self.seen.requests.lock().unwrap().push(request);
        }
        self.seen.count.fetch_add(1, SeqCst);
        self.perform(&act, true)
    }

    /// The next request. Its last byte stays in the socket.
    ///
    /// A socket that is closed with unread bytes sends a reset. The standard library has no other
    /// way to
    /// send one. The byte is recorded and is part of the request.
    fn receive(&mut self) -> Option<Request> {
        let mut known = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        let until = Instant::now() + LONGEST;
        while Instant::now() < until {
            let n = match self.stream.peek(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => n,
                Err(e) if self.goes_on(&e) => continue,
                Err(_) => return None,
            };
            let before = known.len();
            known.extend_from_slice(&buffer[..n]);
            let whole = length(&known);
            let take = whole.map_or(n, |whole| whole.saturating_sub(before).min(n));
            known.truncate(before + take);
            self.record(&buffer[..take]);
            let held = usize::from(whole.is_some());
            self.stream.read_exact(&mut buffer[..take - held]).ok()?;
            if whole.is_some() {
                return parse(known, self.number);
            }
        }
        None
    }

    fn record(&self, bytes: &[u8]) {
        if !self.seen.counts_only {
            self.seen.bytes.lock().unwrap()[self.number].extend_from_slice(bytes);
        }
    }

    /// Whether the operation that returned this error must be repeated.
    fn goes_on(&self, error: &std::io::Error) -> bool {
        let kind = error.kind();
        matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
            && !self.seen.stopping.load(SeqCst)
    }

    /// Returns whether the connection is kept. `held`: the last byte of a request is still in the
    /// socket.
    fn perform(&mut self, act: &Act, held: bool) -> bool {
        self.pause(act.delay);
        // Before the answer: a fast client sends its next request at once, and that has its own
        // bytes.
        if held && act.end != End::Reset {
            let _ = self.stream.read_exact(&mut [0]);
        }
        let bytes = act.bytes();
        let mut well = match act.drip {
            None => self.send(&bytes),
            Some(interval) => {
                let (at_once, slowly) = bytes.split_at(act.at_once.min(bytes.len()));
                self.send(at_once)
                    && slowly.iter().all(|&byte| {
                        self.pause(interval);
                        self.send(&[byte])
                    })
            }
        };
        if let Some((block, times)) = &act.repeat {
            let mut left = *times;
            let mut sent = 0;
            while well && left > 0 && sent < MOST {
                well = self.send(block);
                left -= 1;
                sent += block.len();
            }
        }
        match act.end {
            End::Keep => return well,
            End::Close | End::Reset => {}
            End::Silence => {
                let mut buffer = [0; 4096];
                let until = Instant::now() + LONGEST;
                while Instant::now() < until {
                    match self.stream.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(n) => self.record(&buffer[..n]),
                        Err(e) if self.goes_on(&e) => {}
                        Err(_) => break,
                    }
                }
            }
            End::Deaf => self.pause(LONGEST),
        }
        false
    }

    fn pause(&self, long: Duration) {
        let until = Instant::now() + long;
        while !self.seen.stopping.load(SeqCst) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    /// Returns whether all bytes were sent.
    fn send(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(n) => {
                    self.seen.sent.fetch_add(n, SeqCst);
                    bytes = &bytes[n..];
                }
                Err(e) if self.goes_on(&e) => {}
                Err(_) => return false,
            }
            if self.seen.stopping.load(SeqCst) {
                return false;
            }
        }
        true
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
}

/// The length of the first request in `bytes`, if it is complete.
fn length(bytes: &[u8]) -> Option<usize> {
    let head = head_end(bytes)?;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let body = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |n| n.trim().parse().unwrap());
    (bytes.len() >= head + body).then_some(head + body)
}

fn parse(raw: Vec<u8>, connection: usize) -> Option<Request> {
    let end = head_end(&raw)?;
    let head = String::from_utf8_lossy(&raw[..end - 4]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    Some(Request {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        body: raw[end..].to_vec(),
        connection,
        raw,
    })
}
