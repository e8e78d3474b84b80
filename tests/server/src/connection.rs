//! One connection of a server.
use crate::Shared;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest time that a silent connection stays open. A client without a limit fails its test
/// instead of hanging.
const LONGEST: Duration = Duration::from_secs(10);

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Reads the next request.
    Keep,
    /// Closes it.
    Close,
    /// Closes it with a reset (RST).
    Reset,
    /// Sends nothing more, and reads what arrives until the client closes it.
    Silence,
}

/// A connection that a handler writes its answer to.
pub struct Connection {
    number: usize,
    stream: Stream,
    socket: Arc<TcpStream>,
    shared: Arc<Shared>,
}

enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ServerConnection, Socket>>),
}

/// `TcpStream` reads and writes by reference; rustls needs a value.
struct Socket(Arc<TcpStream>);

impl Connection {
    pub(crate) fn new(
        number: usize,
        socket: Arc<TcpStream>,
        tls: Option<Arc<ServerConfig>>,
        shared: Arc<Shared>,
    ) -> Connection {
        let plain = Socket(Arc::clone(&socket));
        let stream = match tls {
            None => Stream::Plain(plain),
            Some(tls) => {
                let tls = ServerConnection::new(tls).unwrap();
                Stream::Tls(Box::new(StreamOwned::new(tls, plain)))
            }
        };
        Connection { number, stream, socket, shared }
    }

    /// Its number, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Waits. It ends early when the server stops.
    pub fn pause(&self, time: Duration) {
        if !time.is_zero() {
            self.shared.pause(time);
        }
    }

    /// Ends the connection. What still arrives is added to `received`.
    pub(crate) fn end(mut self, how: Next, received: &mut Vec<u8>) {
        if how == Next::Silence {
            let until = Instant::now() + LONGEST;
            let mut chunk = [0; 4096];
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                let _ = self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))));
                match self.read(&mut chunk) {
                    Ok(n) if n > 0 => received.extend_from_slice(&chunk[..n]),
                    _ => break,
                }
            }
        }
        if how == Next::Reset {
            let _ = SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO));
        } else if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
