//! The HTTP layer: one attempt in; status, headers and bytes out. All of ureq is in this file.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ureq::http::{self, HeaderMap, Method, Version, header};

use crate::error::{Error, Result};

/// How much of an error's body is kept.
pub(crate) const ERROR_BODY: usize = 64 * 1024;

/// How much is set aside at once on a server's word for the length of its body.
const TRUSTED_LENGTH: u64 = 16 * 1024 * 1024;

/// What one attempt sends.
pub(crate) struct Attempt<'a> {
    pub(crate) method: &'static str,
    pub(crate) url: &'a str,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) user_agent: &'a str,
    pub(crate) accept: &'static str,
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) timeout: Duration,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    headers: HeaderMap,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Why nothing came back, or not all of it.
pub(crate) enum Fault {
    /// No connection was made, so nothing was sent.
    Unconnected(String),
    /// A kept connection turned out to be closed.
    Stale(String),
    /// The connection broke, before the answer or in it.
    Broken(String),
    /// A time limit ran out before there was a connection.
    ConnectTimeout(String),
    /// A time limit ran out after that.
    Timeout(String),
    TooLarge(u64),
    /// Nothing that another attempt would mend: TLS, or not HTTP.
    Other(String),
}

pub(crate) struct Transport {
    agent: ureq::Agent,
    connect_timeout: Duration,
    /// None where there is no name to look up: the HTTP layer would start a thread for it, for every request.
    lookup_timeout: Option<Duration>,
    max_body_bytes: u64,
    /// About how many connections the pool keeps: a connection that breaks while there were some may be one that the server closed.
    kept: AtomicUsize,
    keeps: usize,
}

impl Transport {
    /// `agent`: the caller's own, or `None` for one with the defaults of the features that are on. `https`, `named`: whether the
    /// host is spoken to over TLS, and known by a name.
    pub(crate) fn new(
        agent: Option<ureq::Agent>,
        https: bool,
        named: bool,
        connect_timeout: Duration,
        max_body_bytes: u64,
    ) -> Result<Transport> {
        let agent = agent.unwrap_or_else(tls::agent);
        // The HTTP layer panics at the first call over a TLS provider that is not compiled in.
        if let Some(feature) = tls::missing(&agent).filter(|_| https) {
            return Err(Error::Config(format!(
                "an https host needs TLS: turn on the feature `{feature}` of posthog-api in Cargo.toml"
            )));
        }
        let config = agent.config();
        let keeps = config
            .max_idle_connections()
            .min(config.max_idle_connections_per_host());
        Ok(Transport {
            agent,
            connect_timeout,
            lookup_timeout: named.then_some(connect_timeout),
            max_body_bytes,
            kept: AtomicUsize::new(0),
            keeps,
        })
    }

    pub(crate) fn attempt(&self, attempt: &Attempt<'_>) -> std::result::Result<Answer, Fault> {
        let was_kept = self
            .kept
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| {
                kept.checked_sub(1)
            })
            .is_ok();
        let mut response = match self.run(attempt) {
            Ok(response) => response,
            Err(error) => {
                return Err(match fault(error) {
                    Fault::Broken(message) if was_kept => {
                        self.kept.store(0, Ordering::Relaxed);
                        Fault::Stale(message)
                    }
                    Fault::Unconnected(message) if self.agent.config().proxy().is_some() => {
                        Fault::Unconnected(format!("{message} (by way of a proxy)"))
                    }
                    fault => fault,
                });
            }
        };
        let status = response.status().as_u16();
        let goes_on = response.version() == Version::HTTP_11
            && !response
                .headers()
                .get(header::CONNECTION)
                .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"close"));
        let (body, drained) = if (200..300).contains(&status) {
            let body = read_all(response.body_mut(), self.max_body_bytes).map_err(fault)?;
            (body, true)
        } else {
            read_some(response.body_mut())
        };
        if goes_on && drained {
            let more = |kept| (kept < self.keeps).then_some(kept + 1);
            let _ = self
                .kept
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
        let (parts, _) = response.into_parts();
        Ok(Answer {
            status,
            body,
            headers: parts.headers,
        })
    }

    fn run(
        &self,
        attempt: &Attempt<'_>,
    ) -> std::result::Result<http::Response<ureq::Body>, ureq::Error> {
        let method = Method::from_bytes(attempt.method.as_bytes()).map_err(http::Error::from)?;
        // As a header: set in the configuration, the user agent would keep the connection out of the pool.
        let mut request = http::Request::builder()
            .method(&method)
            .uri(attempt.url)
            .header(header::USER_AGENT, attempt.user_agent)
            .header(header::ACCEPT, attempt.accept);
        if let Some(authorization) = attempt.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        match attempt.body {
            Some(body) => {
                let request = request
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(body);
                self.agent.run(self.configured(request?, attempt.timeout))
            }
            None if matches!(method, Method::POST | Method::PUT | Method::PATCH) => self
                .agent
                .run(self.configured(request.body(&[][..])?, attempt.timeout)),
            None => self
                .agent
                .run(self.configured(request.body(())?, attempt.timeout)),
        }
    }

    /// A limit on each phase, none over all of them: that would start a thread for every request.
    fn configured<B: ureq::AsSendBody>(
        &self,
        request: http::Request<B>,
        timeout: Duration,
    ) -> http::Request<B> {
        self.agent
            .configure_request(request)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(self.lookup_timeout)
            .timeout_connect(Some(self.connect_timeout))
            .timeout_send_request(Some(timeout))
            .timeout_send_body(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_recv_body(Some(timeout))
            .build()
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls {
    use ureq::Agent;
    use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

    /// An agent with the TLS of the features that are on.
    pub(super) fn agent() -> Agent {
        let native = cfg!(feature = "native-tls");
        // The platform's library brings the platform's certificates.
        let platform = native || cfg!(feature = "platform-verifier");
        let tls = TlsConfig::builder()
            .provider(if native {
                TlsProvider::NativeTls
            } else {
                TlsProvider::Rustls
            })
            .root_certs(if platform {
                RootCerts::PlatformVerifier
            } else {
                RootCerts::WebPki
            })
            .build();
        super::config().tls_config(tls).build().new_agent()
    }

    /// The feature that this agent needs and that is off.
    pub(super) fn missing(agent: &Agent) -> Option<&'static str> {
        match agent.config().tls_config().provider() {
            TlsProvider::NativeTls => (!cfg!(feature = "native-tls")).then_some("native-tls"),
            _ => (!cfg!(feature = "rustls")).then_some("rustls"),
        }
    }
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
mod tls {
    pub(super) fn agent() -> ureq::Agent {
        super::config().build().new_agent()
    }

    #[allow(clippy::unnecessary_wraps)] // the other one has a choice
    pub(super) fn missing(_: &ureq::Agent) -> Option<&'static str> {
        Some("rustls")
    }
}

/// Half of ureq's buffers: a process that asks for one value feels each page of memory that they touch. The one for the request
/// must hold the longest URL, and the method before it.
fn config() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    ureq::Agent::config_builder()
        .input_buffer_size(64 * 1024)
        .output_buffer_size(66 * 1024)
}

fn read_all(body: &mut ureq::Body, limit: u64) -> std::result::Result<Vec<u8>, ureq::Error> {
    let expected = body
        .content_length()
        .unwrap_or(0)
        .min(limit)
        .min(TRUSTED_LENGTH);
    // One byte more: the reader asks for it to see the end.
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
    body.with_config()
        .limit(limit)
        .reader()
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An error's body, as much as came: its status counts more than the rest of it. And whether that is all, so that the
/// connection is kept.
fn read_some(body: &mut ureq::Body) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let read = body
        .with_config()
        .reader()
        .take(ERROR_BODY as u64)
        .read_to_end(&mut bytes);
    let drained = read.is_ok_and(|n| n < ERROR_BODY);
    (bytes, drained)
}

fn fault(error: ureq::Error) -> Fault {
    match error {
        ureq::Error::Timeout(phase @ (ureq::Timeout::Connect | ureq::Timeout::Resolve)) => {
            Fault::ConnectTimeout(phase.to_string())
        }
        ureq::Error::Timeout(phase) => Fault::Timeout(phase.to_string()),
        ureq::Error::BodyExceedsLimit(limit) => Fault::TooLarge(limit),
        ureq::Error::HostNotFound => Fault::Unconnected("the host name is not known".to_owned()),
        ureq::Error::ConnectionFailed => {
            Fault::Unconnected("no connection could be made".to_owned())
        }
        ureq::Error::ConnectProxyFailed(why) => {
            Fault::Unconnected(format!("the proxy made no connection: {why}"))
        }
        ureq::Error::Io(error) => io_fault(&error),
        #[cfg(feature = "gzip")]
        ureq::Error::Decompress(kind, error) => match io_fault(&error) {
            Fault::Broken(message) => Fault::Broken(message),
            _ => Fault::Other(format!("the {kind} body cannot be unpacked: {error}")),
        },
        // The others name no URL either, where a key could be.
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            Fault::Other("the URL was refused".to_owned())
        }
        other => Fault::Other(other.to_string()),
    }
}

fn io_fault(error: &io::Error) -> Fault {
    use io::ErrorKind as Kind;
    let message = error.to_string();
    match error.kind() {
        Kind::ConnectionRefused
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable => Fault::Unconnected(message),
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::UnexpectedEof
        | Kind::WriteZero
        | Kind::TimedOut => Fault::Broken(message),
        _ if message.starts_with("failed to lookup address") => Fault::Unconnected(message),
        _ => Fault::Other(message),
    }
}
