//! One server for many executions of a target: it gives the answer that was laid down last.
use crate::support::{Act, End, Request, Server, builder};
use posthog_api::{Client, ClientBuilder};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Default)]
struct State {
    /// In their order. The last one is repeated.
    answers: Vec<Act>,
    seen: Vec<Request>,
}

pub struct Desk {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Desk {
    pub fn open() -> Desk {
        let state: Arc<Mutex<State>> = Arc::default();
        let script = Arc::clone(&state);
        let server = Server::counting(move |request, _| {
            let mut state = script.lock().unwrap_or_else(PoisonError::into_inner);
            state.seen.push(request.clone());
            let at = state.seen.len().min(state.answers.len());
            at.checked_sub(1).map_or_else(Act::close, |at| state.answers[at].clone())
        });
        Desk { server, state }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// A client that fails a test instead of hanging.
    pub fn builder(&self) -> ClientBuilder {
        builder(self.url()).timeout(Duration::from_secs(20))
    }

    pub fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// Answers the next requests with these, and forgets earlier requests.
    pub fn lay(&self, answers: impl Into<Vec<Act>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { answers: answers.into(), seen: Vec::new() };
    }

    /// The requests since the last answers were laid down.
    pub fn seen(&self) -> Vec<Request> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }
}

/// A JSON answer with this body, whatever it is.
pub fn ok(body: impl Into<Vec<u8>>) -> Act {
    Act::status(200).body("application/json", body)
}

/// These bytes, and the end of the connection.
pub fn raw(bytes: impl Into<Vec<u8>>) -> Act {
    Act::raw(bytes).then(End::Close)
}
