//! The one HTTP server of the tests, the stand-in and the benchmarks.
//!
//! A [`Listener`] is bound, and then serves: it accepts connections, reads requests, and lets a
//! [`Handler`] answer each. TLS is an option of it, and so is that it never accepts. Nothing is
//! kept or searched here, so that the benchmarks do not measure that work.
#![allow(clippy::missing_errors_doc, clippy::missing_panics_doc, reason = "a part of the tests")]

mod connection;
mod request;

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
pub use rustls::{self, ServerConfig};
use socket2::{Domain, Socket, Type};

pub use connection::{Connection, Next};
pub use request::{Incoming, Request, decode, pairs};

/// What a server does with its connections.
pub trait Handler: Send + Sync + 'static {
    /// Is called before anything is read from a connection.
    fn connected(&self, connection: &mut Connection) -> Next {
        let _ = connection;
        Next::Keep
    }

    /// Answers one request.
    fn answer(&self, request: &Incoming<'_>, connection: &mut Connection) -> io::Result<Next>;

    /// Is called after a connection is closed, with what arrived and was not a whole request.
    fn closed(&self, connection: usize, rest: &[u8]) {
        let _ = (connection, rest);
    }
}

/// A port that is open, and not served yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    /// The connections that fill the queue.
    waiting: Vec<TcpStream>,
}

impl Listener {
    /// Opens this address; port 0 is a free port.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Listener> {
        Listener::of(TcpListener::bind(address)?)
    }

    /// A listener that never accepts. Its queue is full, so a connection is neither made nor
    /// refused.
    pub fn full() -> io::Result<Listener> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        socket.listen(0)?;
        let mut full = Listener::of(socket.into())?;
        while let Ok(stream) = TcpStream::connect_timeout(&full.address, Duration::from_millis(50))
        {
            full.waiting.push(stream);
        }
        Ok(full)
    }

    fn of(socket: TcpListener) -> io::Result<Listener> {
        let address = socket.local_addr()?;
        Ok(Listener { socket, address, tls: None, waiting: Vec::new() })
    }

    /// Speaks TLS.
    #[must_use]
    pub fn tls(mut self, settings: Arc<ServerConfig>) -> Listener {
        self.tls = Some(settings);
        self
    }

    /// The address, with its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections on a thread, and serves each on a thread of its own.
    pub fn serve(self, handler: Arc<impl Handler>) -> Server {
        let (address, shared) = (self.address, Arc::new(Shared::default()));
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&self, &handler, &shared))
        };
        Server { address, shared, accepting: Some(accepting) }
    }
}

/// A server that runs. When it is dropped, it closes all connections and stops its threads.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// The address, with its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop();
        // `accept` has no timeout: a last connection wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// What the threads of a server share.
#[derive(Default)]
struct Shared {
    stopped: Mutex<bool>,
    stopping: Condvar,
}

impl Shared {
    fn stop(&self) {
        *self.stopped.lock().unwrap() = true;
        self.stopping.notify_all();
    }

    fn stopped(&self) -> bool {
        *self.stopped.lock().unwrap()
    }

    /// Waits, and returns at once when the server stops.
    fn pause(&self, time: Duration) {
        let stopped = self.stopped.lock().unwrap();
        let _ = self.stopping.wait_timeout_while(stopped, time, |stopped| !*stopped);
    }
}

fn accept(listener: &Listener, handler: &Arc<impl Handler>, shared: &Arc<Shared>) {
    let mut serving: Vec<(JoinHandle<()>, Weak<TcpStream>)> = Vec::new();
    let streams = listener.socket.incoming().take_while(|_| !shared.stopped());
    for (number, stream) in streams.flatten().enumerate() {
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let socket = Arc::downgrade(&stream);
        let connection = Connection::new(number, stream, listener.tls.clone(), shared.clone());
        let handler = Arc::clone(handler);
        serving.retain(|(thread, _)| !thread.is_finished());
        serving.push((thread::spawn(move || serve(connection, &*handler)), socket));
    }
    for socket in serving.iter().filter_map(|(_, socket)| socket.upgrade()) {
        let _ = socket.shutdown(Shutdown::Both);
    }
    for (thread, _) in serving {
        let _ = thread.join();
    }
}

/// Serves a connection until its end.
fn serve(mut connection: Connection, handler: &impl Handler) {
    let (number, mut received, mut chunk) = (connection.number(), Vec::new(), vec![0; 64 * 1024]);
    let mut next = handler.connected(&mut connection);
    while next == Next::Keep {
        if let Some(request) = Incoming::first(&received, number) {
            next = handler.answer(&request, &mut connection).unwrap_or(Next::Close);
            received.drain(..request.raw().len());
        } else {
            match connection.read(&mut chunk) {
                Ok(n) if n > 0 => received.extend_from_slice(&chunk[..n]),
                _ => next = Next::Close,
            }
        }
    }
    connection.end(next, &mut received);
    handler.closed(number, &received);
}

/// TLS with this certificate.
#[must_use]
pub fn tls(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Arc<ServerConfig> {
    // A build of a whole workspace may turn on another provider too, and rustls does not choose.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    Arc::new(settings.with_single_cert(vec![certificate], key).unwrap())
}
