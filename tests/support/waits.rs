//! What a client reports to its hook before it waits. Only this file knows the form of an event.
use super::check_event;
use posthog_api::{ClientBuilder, RetryEvent};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A wait before a retry, or for the pace.
#[derive(Clone, Debug)]
pub struct Wait {
    /// Method and path.
    pub call: String,
    /// The number of the retry; `None` for the pace.
    pub retry: Option<u32>,
    pub time: Duration,
    pub status: Option<u16>,
    pub reason: String,
}

impl From<&RetryEvent> for Wait {
    fn from(event: &RetryEvent) -> Wait {
        match event {
            RetryEvent::Retry { method, path, retry, wait, status, reason, .. } => Wait {
                call: format!("{method} {path}"),
                retry: Some(*retry),
                time: *wait,
                status: *status,
                reason: reason.clone(),
            },
            RetryEvent::Pace { method, path, wait, .. } => Wait {
                call: format!("{method} {path}"),
                retry: None,
                time: *wait,
                status: None,
                reason: String::new(),
            },
            other => panic!("an event that this file does not know: {other:?}"),
        }
    }
}

/// The waits so far, in their order.
#[derive(Clone, Default)]
pub struct Waits(Arc<Mutex<Vec<Wait>>>);

impl Waits {
    pub fn all(&self) -> Vec<Wait> {
        self.0.lock().unwrap().clone()
    }
}

/// Records every wait of the clients that `builder` makes.
pub fn watched(builder: ClientBuilder) -> (ClientBuilder, Waits) {
    let waits = Waits::default();
    let seen = waits.clone();
    let builder = builder.on_retry(move |event| {
        check_event(event);
        seen.0.lock().unwrap().push(event.into());
    });
    (builder, waits)
}
