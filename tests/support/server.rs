//! The scripted server. It follows a script of acts, records what arrives, and searches it for the
//! key.
use super::act::{Act, End};
use super::key::{self, Way};
use http_server::{Connection, Handler, Incoming, Listener, Next, Request, ServerConfig};
use std::io::{Result, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest time that an act waits, and the most bytes that it sends. A client without a limit
/// fails its test instead of hanging.
const LONGEST: Duration = Duration::from_secs(10);
const MOST: usize = 256 << 20;

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
}

/// A server on a free loopback port. When it is dropped, it stops and searches every byte that it
/// received.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    /// Taken when this is dropped.
    running: Option<http_server::Server>,
    scheme: &'static str,
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
    ) -> Result<Server> {
        Server::listen(address, at_connect, act, Seen::default())
    }

    fn listen(
        address: &str,
        at_connect: Option<Act>,
        act: impl Fn(&Request, usize) -> Act + Send + Sync + 'static,
        seen: Seen,
    ) -> Result<Server> {
        Ok(Server::serve(Listener::bind(address)?, "http", at_connect, act, seen))
    }

    /// Speaks TLS on this address.
    pub fn tls(
        address: &str,
        settings: Arc<ServerConfig>,
        act: impl Fn(&Request, usize) -> Act + Send + Sync + 'static,
    ) -> Result<Server> {
        let listener = Listener::bind(address)?.tls(settings);
        Ok(Server::serve(listener, "https", None, act, Seen::default()))
    }

    fn serve(
        listener: Listener,
        scheme: &'static str,
        at_connect: Option<Act>,
        act: impl Fn(&Request, usize) -> Act + Send + Sync + 'static,
        seen: Seen,
    ) -> Server {
        let (address, seen) = (listener.address(), Arc::new(seen));
        let script = Script { act: Box::new(act), at_connect, seen: Arc::clone(&seen) };
        Server {
            address,
            seen,
            running: Some(listener.serve(Arc::new(script))),
            scheme,
            way: Way::Bearer,
            name: address.to_string(),
            most: usize::MAX,
        }
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
        format!("{}://{}", self.scheme, self.address)
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

    /// How many bytes arrived.
    pub fn received(&self) -> usize {
        self.seen.bytes.lock().unwrap().iter().map(Vec::len).sum()
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
        // All connections are closed, and all threads have ended, before anything is checked.
        drop(self.running.take());
        if std::thread::panicking() {
            return;
        }
        let (count, most) = (self.count(), self.most);
        assert!(count <= most, "{count} requests to a script of {most}");
        let requests = self.seen.requests.lock().unwrap();
        key::check_server(self.way, &self.name, &self.seen.bytes.lock().unwrap(), &requests);
    }
}

/// Decides for each request, of which it gets the number.
type Acts = dyn Fn(&Request, usize) -> Act + Send + Sync;

/// What a scripted server does.
struct Script {
    act: Box<Acts>,
    at_connect: Option<Act>,
    seen: Arc<Seen>,
}

impl Handler for Script {
    fn connected(&self, connection: &mut Connection) -> Next {
        {
            let mut bytes = self.seen.bytes.lock().unwrap();
            let count = bytes.len().max(connection.number() + 1);
            bytes.resize(count, Vec::new());
        }
        match &self.at_connect {
            Some(act) => self.perform(act, connection).unwrap_or(Next::Close),
            None => Next::Keep,
        }
    }

    fn answer(&self, request: &Incoming<'_>, connection: &mut Connection) -> Result<Next> {
        self.record(connection.number(), request.raw());
        let request = request.parse();
        let act = (self.act)(&request, self.seen.begun.fetch_add(1, SeqCst));
        // Before the answer is sent, so that a test which has the answer finds the request.
        if !self.seen.counts_only {
            self.seen.requests.lock().unwrap().push(request);
        }
        self.seen.count.fetch_add(1, SeqCst);
        self.perform(&act, connection)
    }

    fn closed(&self, connection: usize, rest: &[u8]) {
        self.record(connection, rest);
        self.seen.closed.fetch_add(1, SeqCst);
    }
}

impl Script {
    fn record(&self, connection: usize, bytes: &[u8]) {
        if !self.seen.counts_only {
            self.seen.bytes.lock().unwrap()[connection].extend_from_slice(bytes);
        }
    }

    fn perform(&self, act: &Act, connection: &mut Connection) -> Result<Next> {
        connection.pause(act.delay);
        let bytes = act.bytes();
        match act.drip {
            None => self.send(&bytes, connection)?,
            Some(interval) => {
                let (at_once, slowly) = bytes.split_at(act.at_once.min(bytes.len()));
                self.send(at_once, connection)?;
                for &byte in slowly {
                    connection.pause(interval);
                    self.send(&[byte], connection)?;
                }
            }
        }
        if let Some((block, times)) = &act.repeat {
            let most = MOST / block.len().max(1);
            for _ in 0..usize::try_from(*times).unwrap_or(most).min(most) {
                self.send(block, connection)?;
            }
        }
        Ok(match act.end {
            End::Keep => Next::Keep,
            End::Close => Next::Close,
            End::Reset => Next::Reset,
            End::Silence => Next::Silence,
            End::Deaf => {
                connection.pause(LONGEST);
                Next::Close
            }
        })
    }

    fn send(&self, mut bytes: &[u8], connection: &mut Connection) -> Result<()> {
        while !bytes.is_empty() {
            let n = connection.write(bytes)?;
            self.seen.sent.fetch_add(n, SeqCst);
            bytes = &bytes[n..];
        }
        Ok(())
    }
}
