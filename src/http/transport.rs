//! The HTTP layer: one attempt in; status, headers and bytes out. ureq is used only here and in
//! `tls.rs`.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{self, HeaderMap, Method, Version, header};

use super::tls;
use super::url::{Base, Origin};
use super::wait::AFTER_DEADLINE;
use crate::error::{Error, ErrorAnswer, ErrorKind as Kind, MAX_TEXT, Result};

/// How much of an error's body is read: what an error keeps, and room to find the key at its end.
const ERROR_BODY: usize = MAX_TEXT + 4 * 1024;

/// How much memory is reserved because the server announces a long body.
const TRUSTED_LENGTH: u64 = 16 * 1024 * 1024;

const CONNECTING: &str = "check the network, or raise connect_timeout";

/// A connection that breaks within this time may be one that the server had already closed.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(crate) struct Attempt<'a> {
    pub(crate) method: &'static str,
    pub(crate) url: &'a str,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) user_agent: &'a str,
    pub(crate) accept: Accept,
    pub(crate) body: Option<&'a [u8]>,
    /// For each phase.
    pub(crate) timeout: Duration,
    /// For the whole attempt, where the call has a deadline.
    pub(crate) left: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
}

/// The representation that a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    Json,
    /// Text of any kind. It is not compressed: a compressed body hides whether it had a length, and
    /// text that was cut looks like text that is complete.
    Anything,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    headers: HeaderMap,
    /// The body had a length, or was chunked: a cut would have been noticed.
    pub(super) framed: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What an error keeps of this answer; `edit` masks each text.
    pub(super) fn for_error(&self, edit: &impl Fn(&str) -> String) -> ErrorAnswer {
        let end = self.body.len().min(ERROR_BODY);
        let body = String::from_utf8_lossy(self.body.get(..end).unwrap_or_default());
        let id = self.header("x-request-id").or_else(|| self.header("cf-ray"));
        let mut answer = ErrorAnswer::read(self.status, &body, edit);
        answer.content_type = self.header("content-type").map(edit);
        answer.request_id = id.map(edit);
        answer
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    /// Whether the body can be taken as complete: it was framed, or is JSON up to its last bracket.
    pub(crate) fn is_complete(&self) -> bool {
        let text = self.body.trim_ascii();
        self.framed || text.ends_with(b"}") || text.ends_with(b"]")
    }
}

/// An attempt without an answer that can be used.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// The connection broke at once: most often the server had closed it between two requests.
    pub(crate) stale: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { error, stale: false }
    }
}

pub(crate) struct Transport {
    agent: ureq::Agent,
    connect_timeout: Duration,
    pub(crate) max_body_bytes: u64,
    /// A connection was made: lookups go without a limit from then on, as a limit starts a thread
    /// for each request.
    connected: AtomicBool,
    origin: Origin,
}

impl Transport {
    /// `agent`: the caller's own, or `None` for one with the defaults of the features that are on.
    pub(crate) fn new(
        agent: Option<ureq::Agent>,
        base: &Base,
        connect_timeout: Duration,
        max_body_bytes: u64,
    ) -> Result<Transport> {
        let origin = &base.origin;
        let agent = agent.unwrap_or_else(|| tls::agent(origin));
        // ureq panics at the first call with a TLS provider that is not compiled in.
        if let Some(feature) = tls::missing(&agent).filter(|_| origin.https) {
            let hint = format!("turn on the feature `{feature}` of posthog-api in Cargo.toml");
            return Err(Error::config(format!("an https host needs TLS; {hint}")));
        }
        Ok(Transport {
            agent,
            connect_timeout,
            max_body_bytes,
            connected: AtomicBool::new(false),
            origin: origin.clone(),
        })
    }

    /// Sends a request and reads its answer into `buffer`.
    pub(crate) fn attempt(
        &self,
        attempt: &Attempt<'_>,
        buffer: Vec<u8>,
    ) -> std::result::Result<Answer, Failed> {
        let (started, body_read) = (Instant::now(), Cell::new(false));
        let response = self.run(attempt, &body_read).map_err(|error| {
            let reached = match attempt.body {
                Some(body) if !body.is_empty() && body_read.get() => Reached::Surely,
                Some(body) if !body.is_empty() => Reached::Nothing,
                _ => Reached::Maybe,
            };
            let error = self.failed(error, reached, attempt);
            let stale = error.kind() == Kind::Broken && started.elapsed() < AT_ONCE;
            Failed { error, stale }
        })?;
        self.connected.store(true, Ordering::Relaxed);
        let (parts, mut body) = response.into_parts();
        let (status, headers) = (parts.status.as_u16(), parts.headers);
        let mut answer = Answer { status, body: Vec::new(), headers, framed: status == 204 };
        if answer.is_success() && status != 204 {
            let read = read_all(&mut body, self.max_body_bytes, buffer);
            answer.body = read.map_err(|error| self.failed(error, Reached::Surely, attempt))?;
        } else if status != 204 {
            answer.body = read_some(&mut body);
        }
        let is_close = |v: &header::HeaderValue| v.as_bytes().eq_ignore_ascii_case(b"close");
        let stays_open = parts.version == Version::HTTP_11
            && !answer.headers.get(header::CONNECTION).is_some_and(is_close);
        // The length of a compressed body is not visible, and shows in the body itself: it can be
        // decompressed. An empty body on a connection that stays open is complete.
        answer.framed |= answer.headers.contains_key(header::CONTENT_LENGTH)
            || answer.headers.get_all(header::TRANSFER_ENCODING).iter().any(is_chunked)
            || (answer.body.is_empty() && stays_open);
        if answer.is_success() && attempt.accept == Accept::Json && looks_cut(&answer) {
            return Err(broken("the answer has no length, and its JSON is not complete").into());
        }
        Ok(answer)
    }

    /// Why the answer is missing.
    fn failed(&self, error: ureq::Error, reached: Reached, attempt: &Attempt<'_>) -> Error {
        let error = match error {
            ureq::Error::Timeout(phase) => self.limit_passed(phase, attempt),
            other => no_answer(other, reached),
        };
        if !matches!(error.kind(), Kind::Dns | Kind::Connect) {
            return error;
        }
        let proxy = self.agent.config().proxy().is_some();
        let through = if proxy { " (through a proxy)" } else { "" };
        error.map_text(&|m| format!("{}: {m}{through}", self.origin.text))
    }

    fn limit_passed(&self, phase: ureq::Timeout, attempt: &Attempt<'_>) -> Error {
        let connecting = matches!(phase, ureq::Timeout::Resolve | ureq::Timeout::Connect);
        let limit = if connecting { self.connect_timeout } else { attempt.timeout };
        // A phase has no more time than was left when the attempt began.
        let is_over = attempt.deadline.is_some_and(|at| at <= Instant::now());
        if is_over || attempt.left.is_some_and(|left| left <= limit) {
            return failed(Kind::Timeout, AFTER_DEADLINE);
        }
        let (kind, what, hint) = match phase {
            ureq::Timeout::Resolve => (Kind::Dns, "no connection was made", CONNECTING),
            ureq::Timeout::Connect => (Kind::Connect, "no connection was made", CONNECTING),
            _ => (
                Kind::Timeout,
                "there was no complete answer",
                "ask for less, or raise the timeout",
            ),
        };
        let text = format!("{what} within {limit:?} (phase: {phase}); {hint}");
        failed(kind, text).done(!connecting)
    }

    fn run(
        &self,
        attempt: &Attempt<'_>,
        body_read: &Cell<bool>,
    ) -> std::result::Result<http::Response<ureq::Body>, ureq::Error> {
        let method = Method::from_bytes(attempt.method.as_bytes()).map_err(http::Error::from)?;
        // The user agent is a header: set in the configuration, it would keep the connection out of
        // the pool.
        let mut request = http::Request::builder()
            .method(&method)
            .uri(attempt.url)
            .header(header::USER_AGENT, attempt.user_agent);
        request = match attempt.accept {
            Accept::Json => request.header(header::ACCEPT, "application/json"),
            Accept::Anything => {
                request.header(header::ACCEPT, "*/*").header(header::ACCEPT_ENCODING, "identity")
            }
        };
        if let Some(authorization) = attempt.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        match attempt.body {
            Some(body) => {
                let mut reader = NotedBody { bytes: body, read: body_read };
                let request = request
                    .header(header::CONTENT_TYPE, "application/json")
                    .header(header::CONTENT_LENGTH, body.len())
                    .body(ureq::SendBody::from_reader(&mut reader));
                self.agent.run(self.configured(request?, attempt))
            }
            None if matches!(method, Method::POST | Method::PUT | Method::PATCH) => {
                self.agent.run(self.configured(request.body(&[][..])?, attempt))
            }
            None => self.agent.run(self.configured(request.body(())?, attempt)),
        }
    }

    /// A limit on each phase. A limit on the lookup or on the whole attempt starts a thread, so
    /// both are set only where they are needed and a thread can be started: ureq would panic.
    fn configured<B: ureq::AsSendBody>(
        &self,
        request: http::Request<B>,
        attempt: &Attempt<'_>,
    ) -> http::Request<B> {
        let first_lookup = !self.connected.load(Ordering::Relaxed) && self.origin.is_named();
        let left = attempt.left;
        let threads = (first_lookup || left.is_some()) && can_start_thread();
        let within = |limit: Duration| Some(left.map_or(limit, |left| limit.min(left)));
        self.agent
            .configure_request(request)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(left.filter(|_| threads))
            .timeout_per_call(None)
            .timeout_resolve(within(self.connect_timeout).filter(|_| first_lookup && threads))
            .timeout_connect(within(self.connect_timeout))
            .timeout_send_request(within(attempt.timeout))
            .timeout_send_body(within(attempt.timeout))
            .timeout_recv_response(within(attempt.timeout))
            .timeout_recv_body(within(attempt.timeout))
            .build()
    }
}

/// Whether this `Transfer-Encoding` shows where a body ends; `identity` does not.
fn is_chunked(encoding: &header::HeaderValue) -> bool {
    encoding.as_bytes().to_ascii_lowercase().ends_with(b"chunked")
}

/// Tries with the stack of any thread, as ureq does: a smaller one could fit where that does not.
fn can_start_thread() -> bool {
    thread::Builder::new().spawn(|| ()).is_ok()
}

/// A body that notes that it was read: from then on, some of it may have reached the server.
struct NotedBody<'a> {
    bytes: &'a [u8],
    read: &'a Cell<bool>,
}

impl Read for NotedBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read.set(true);
        self.bytes.read(buffer)
    }
}

/// What of a request can have reached the server when an attempt fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// Nothing: the body is read only after there is a connection, and it was not read.
    Nothing,
    /// A request without a body does not show whether it was sent.
    Maybe,
    Surely,
}

fn read_all(
    body: &mut ureq::Body,
    limit: u64,
    mut bytes: Vec<u8>,
) -> std::result::Result<Vec<u8>, ureq::Error> {
    let expected = body.content_length().unwrap_or(0).min(limit).min(TRUSTED_LENGTH);
    // One byte more: the reader needs it to see the end.
    bytes.clear();
    bytes.reserve_exact(usize::try_from(expected).unwrap_or(0) + 1);
    body.with_config().limit(limit).reader().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An error's body, as much as came.
fn read_some(body: &mut ureq::Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before it broke is shown.
    let _ = body.with_config().reader().take(ERROR_BODY as u64).read_to_end(&mut bytes);
    bytes
}

/// Whether a body without a length begins like JSON and does not end like it.
fn looks_cut(answer: &Answer) -> bool {
    let first = answer.body.trim_ascii().first();
    !answer.is_complete() && first.is_none_or(|b| b"{[\"-0123456789tfn".contains(b))
}

/// Of a request that may have been sent, unless it was refused here. `text`: the message; or the
/// message, `; ` and the hint.
fn failed(kind: Kind, text: impl AsRef<str>) -> Error {
    Error::from_text(kind, text.as_ref()).done(kind != Kind::Config)
}

fn broken(why: impl Display) -> Error {
    failed(Kind::Broken, format!("the connection broke before the answer was complete: {why}"))
}

fn unconnected(kind: Kind, why: impl Display) -> Error {
    failed(kind, format!("no connection was made: {why}")).done(false)
}

/// Of "refused" or "unreachable". An established connection reports the same errors, minutes after
/// the request was sent, when its route disappears.
fn refused(reached: Reached, kind: Kind, why: impl Display) -> Error {
    match reached {
        Reached::Nothing => unconnected(kind, why),
        Reached::Maybe => unconnected(kind, why).done(true),
        Reached::Surely => broken(why),
    }
}

fn no_answer(error: ureq::Error, reached: Reached) -> Error {
    match error {
        ureq::Error::BodyExceedsLimit(limit) => {
            let hint = "ask for fewer rows a page, or raise max_body_bytes";
            let text = format!("the answer is larger than {limit} bytes; {hint}");
            failed(Kind::TooLarge, text)
        }
        ureq::Error::HostNotFound => unconnected(Kind::Dns, "the host name is not known"),
        ureq::Error::ConnectionFailed => {
            refused(reached, Kind::Connect, "the host does not answer")
        }
        ureq::Error::ConnectProxyFailed(why) => {
            refused(reached, Kind::Proxy, format!("the proxy refused: {why}"))
        }
        ureq::Error::InvalidProxyUrl => failed(Kind::Config, "the URL of the proxy is not valid"),
        ureq::Error::Io(error) => io_failed(&error, reached),
        #[cfg(feature = "gzip")]
        ureq::Error::Decompress(_, error) if is_break(&error) => broken(error),
        #[cfg(feature = "gzip")]
        ureq::Error::Decompress(kind, error) => {
            failed(Kind::Decode, format!("the {kind} body cannot be decompressed: {error}"))
        }
        ureq::Error::TlsRequired => failed(Kind::Tls, "an https host needs a TLS feature"),
        // Their text can contain the URL, and the key with it.
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            failed(Kind::Config, "the URL was refused")
        }
        error => match error.to_string() {
            message if message.contains("tls") || message.contains("certificate") => tls(&message),
            message => failed(Kind::NotHttp, format!("the answer is not valid HTTP: {message}")),
        },
    }
}

/// Whether the error of an established connection means that it broke.
fn is_break(error: &io::Error) -> bool {
    use io::ErrorKind as Io;
    let kind = error.kind();
    is_unreachable(error)
        || matches!(kind, Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe)
        || matches!(kind, Io::NotConnected | Io::UnexpectedEof | Io::WriteZero | Io::TimedOut)
}

fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind as Io;
    let kind = error.kind();
    matches!(kind, Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable)
        || matches!(kind, Io::NetworkDown | Io::AddrNotAvailable)
}

fn io_failed(error: &io::Error, reached: Reached) -> Error {
    use io::ErrorKind as Io;
    let message = error.to_string();
    match error.kind() {
        _ if is_unreachable(error) => refused(reached, Kind::Connect, message),
        _ if is_break(error) => broken(message),
        _ if message.starts_with("failed to lookup address") => unconnected(Kind::Dns, message),
        // rustls reports a failed handshake as invalid data.
        Io::InvalidData => tls(&message),
        _ => failed(Kind::Broken, message),
    }
}

fn tls(message: &str) -> Error {
    const OWN_AUTHORITY: &str = "; a company's own certificate authority needs the feature `platform-verifier`, or an agent with its \
         root certificate (ClientBuilder::agent)";
    let unknown = ["UnknownIssuer", "unknown issuer", "self-signed", "self signed", "local issuer"];
    let is_unknown = unknown.iter().any(|word| message.contains(word));
    let hint = if is_unknown { OWN_AUTHORITY } else { "" };
    failed(Kind::Tls, format!("TLS failed: {message}{hint}"))
}

#[cfg(test)]
mod tests;
