//! The only server that the clients of these tests can find.
use crate::KEY;
use crate::rules::strictly_decoded;
use crate::support::{Act, Request, Server, Way, agent};
use posthog_api::ureq::Agent;
use posthog_api::ureq::config::Config as AgentConfig;
use posthog_api::ureq::http::Uri;
use posthog_api::ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use posthog_api::ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use posthog_api::{Client, ClientBuilder, Error, RetryPolicy, ureq};
use proptest::test_runner::{TestCaseError, TestCaseResult};
use proptest::{prop_assert, prop_assert_eq};
use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub fn ok(body: impl AsRef<[u8]>) -> Act {
    answer(200, "Content-Type: application/json\r\n", body.as_ref())
}

/// `head`: complete lines, each with its line end.
pub fn answer(status: u16, head: &str, body: &[u8]) -> Act {
    raw(status, head.as_bytes(), body)
}

pub fn raw(status: u16, head: &[u8], body: &[u8]) -> Act {
    let line = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    Act::raw([line.as_bytes(), head, b"\r\n", body].concat())
}

/// The parameters as a server decodes them: in a query, `+` is a space.
pub fn query_pairs(request: &Request) -> Result<Vec<(String, String)>, TestCaseError> {
    let text = |part: &str| {
        let bytes = strictly_decoded(&part.replace('+', "%20"))?;
        Ok::<_, TestCaseError>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let pairs = request.query().split('&').filter(|_| request.target.contains('?'));
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((text(name)?, text(value)?))
        })
        .collect()
}

/// Scheme, name and port.
type Origin = (String, String, u16);

#[derive(Default)]
struct State {
    /// In their order. The last one is repeated.
    answers: VecDeque<Act>,
    /// The answer to a request is the one at its `offset`, whenever it comes.
    by_offset: bool,
    /// The origins of all connections that the client wanted.
    asked: Vec<Origin>,
}

#[derive(Clone)]
pub struct Home {
    pub url: String,
    address: SocketAddr,
    server: Arc<Server>,
    state: Arc<Mutex<State>>,
}

impl Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Home({})", self.url)
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Home {
    pub fn start() -> Home {
        let state: Arc<Mutex<State>> = Arc::default();
        let script = Arc::clone(&state);
        let server = Server::start(move |request, _| {
            let State { answers, by_offset, .. } = &mut *locked(&script);
            if *by_offset {
                let offset = request.param("offset").map_or(0, |n| n.parse().unwrap());
                return answers[answers.len().min(offset + 1) - 1].clone();
            }
            match answers.len() {
                0 => Act::close(),
                1 => answers[0].clone(),
                _ => answers.pop_front().unwrap(),
            }
        });
        // The tests search for this key themselves.
        let server = Arc::new(server.expects(Way::Any));
        Home { url: server.url(), address: server.address(), server, state }
    }

    pub fn builder(&self) -> ClientBuilder {
        self.builder_with(KEY)
    }

    pub fn builder_with(&self, key: &str) -> ClientBuilder {
        let config = agent().config().clone();
        Client::builder(key)
            .host(&self.url)
            .agent(Agent::with_parts(config, DefaultConnector::default(), self.clone()))
            .retry(RetryPolicy::none())
            .timeout(Duration::from_secs(10))
    }

    /// A client with the key of `support`, which is masked in texts as it is.
    pub fn plain(&self) -> Client {
        self.builder_with(crate::support::KEY).build().unwrap()
    }

    pub fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// Answers every request with this, and forgets earlier requests.
    pub fn answer(&self, answer: &Act) {
        self.answers(vec![answer.clone()]);
    }

    pub fn answers(&self, answers: Vec<Act>) {
        let mut state = locked(&self.state);
        state.answers = answers.into();
        state.by_offset = false;
        state.asked.clear();
        self.server.take_requests();
    }

    /// Answers each request with the page at its `offset`: pages ahead come in any order.
    pub fn pages(&self, pages: Vec<Act>) {
        self.answers(pages);
        locked(&self.state).by_offset = true;
    }

    pub fn seen(&self) -> Vec<Request> {
        self.server.take_requests()
    }

    pub fn asked(&self) -> Vec<Origin> {
        std::mem::take(&mut locked(&self.state).asked)
    }

    /// The request of a call that is `right`. A call that is not must return an error of the kind `Config` and
    /// send nothing.
    pub fn arrived<T: Debug>(
        &self,
        outcome: &Result<T, Error>,
        right: bool,
    ) -> Result<Option<Request>, TestCaseError> {
        let mut seen = self.seen();
        if right {
            prop_assert!(outcome.is_ok(), "{:?}", outcome);
            prop_assert_eq!(seen.len(), 1, "{:?}", &seen);
            let known = [
                "host",
                "user-agent",
                "accept",
                "accept-encoding",
                "authorization",
                "content-type",
                "content-length",
            ];
            for (name, _) in &seen[0].headers {
                prop_assert!(known.contains(&name.to_lowercase().as_str()), "{}", name);
            }
            return Ok(seen.pop());
        }
        let refused = outcome.as_ref().err().map(Error::kind);
        prop_assert_eq!(refused, Some(posthog_api::ErrorKind::Config), "{:?}", outcome);
        prop_assert!(seen.is_empty(), "{:?}", seen);
        Ok(None)
    }

    /// Fails if the client wanted a connection to another origin.
    pub fn stayed_home(&self) -> TestCaseResult {
        let home = ("http".to_owned(), "127.0.0.1".to_owned(), self.address.port());
        let asked = self.asked();
        prop_assert!(asked.iter().all(|origin| *origin == home), "{:?}", asked);
        Ok(())
    }
}

/// ureq calls this before every connection.
impl Resolver for Home {
    fn resolve(
        &self,
        uri: &Uri,
        _: &AgentConfig,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let scheme = uri.scheme_str().unwrap_or_default().to_owned();
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let name = uri.host().unwrap_or_default().to_owned();
        let home = scheme == "http" && name == "127.0.0.1" && port == self.address.port();
        locked(&self.state).asked.push((scheme, name, port));
        if !home {
            return Err(ureq::Error::HostNotFound);
        }
        let mut addresses = self.empty();
        addresses.push(self.address);
        Ok(addresses)
    }
}
