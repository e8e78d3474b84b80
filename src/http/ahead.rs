//! Requests that are sent ahead: on threads, while the caller does something else.
//!
//! The threads fetch bytes, and the caller's thread decodes them: values that one thread creates and
//! another frees make the allocator return memory and ask for it again all the time.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::wait::{after, is_in_hook, set_in_hook};
use super::{AFTER_DEADLINE, Request, Response, timed_out};
use crate::error::Result;

/// The threads of one iterator. Each is started when all others have a request, and ends with the
/// iterator.
pub(crate) struct Workers {
    jobs: Sender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
    /// How many threads have no request.
    idle: Arc<AtomicUsize>,
}

struct Job {
    request: Request,
    watch: Arc<Watch>,
    /// A hook asked for it, so no hook sees its waits.
    in_hook: bool,
}

impl Workers {
    pub(crate) fn new() -> Workers {
        let (jobs, queue) = mpsc::channel();
        Workers { jobs, queue: Arc::new(Mutex::new(queue)), idle: Arc::default() }
    }

    /// Sends a request on a thread; `None` where there is none and none can be started.
    pub(crate) fn start(&self, mut request: Request) -> Option<Ahead> {
        let take_one = |idle: usize| idle.checked_sub(1);
        if self.idle.fetch_update(Ordering::AcqRel, Ordering::Acquire, take_one).is_err() {
            let (queue, idle) = (Arc::clone(&self.queue), Arc::clone(&self.idle));
            let thread = thread::Builder::new().name("posthog-api".to_owned());
            thread.spawn(move || work(&queue, &idle)).ok()?;
        }
        let watch = Arc::new(Watch::default());
        *request.http_mut() = request.http().watched(&watch);
        let ahead = Ahead(Arc::clone(&watch));
        self.jobs.send(Job { request, watch, in_hook: is_in_hook() }).ok()?;
        Some(ahead)
    }
}

/// The life of a thread: it ends when there is no job and no [`Workers`] to send one.
fn work(queue: &Mutex<Receiver<Job>>, idle: &AtomicUsize) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(Job { request, watch, in_hook }) = next() {
        set_in_hook(in_hook);
        let answer = panic::catch_unwind(AssertUnwindSafe(|| request.run_json()));
        idle.fetch_add(1, Ordering::AcqRel);
        watch.state().answer = Some(answer);
        watch.changed.notify_all();
    }
}

/// A request that is sent ahead. If it is dropped, its answer or error does not count.
pub(crate) struct Ahead(Arc<Watch>);

impl Ahead {
    /// Waits for the answer, until the deadline.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Result<Response> {
        let answer = self.0.wait_until(deadline, |state| state.answer.is_some());
        match answer.and_then(|mut state| state.answer.take()) {
            Some(Ok(answer)) => answer,
            Some(Err(panic)) => panic::resume_unwind(panic),
            None => Err(timed_out(AFTER_DEADLINE)),
        }
    }

    /// Ends its waits; a request that was sent runs to its end, and is not retried.
    pub(crate) fn stop(&self) {
        self.0.state().stopped = true;
        self.0.changed.notify_all();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.state().answer.is_some()
    }

    pub(crate) fn wait_until_over(&self, deadline: Option<Instant>) {
        self.0.wait_until(deadline, |state| state.answer.is_some());
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.0
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a thread and the caller know of a request together.
#[derive(Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    /// When the wait of the last throttled answer ends.
    throttled_until: Option<Instant>,
    /// The outer error is the panic of a caller's hook.
    answer: Option<thread::Result<Result<Response>>>,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, once it is like this; `None` where the deadline passes before.
    fn wait_until(
        &self,
        deadline: Option<Instant>,
        is: impl Fn(&State) -> bool,
    ) -> Option<MutexGuard<'_, State>> {
        let not_yet = |state: &mut State| !is(state);
        let state = self.state();
        let Some(deadline) = deadline else {
            let state = self.changed.wait_while(state, not_yet);
            return Some(state.unwrap_or_else(PoisonError::into_inner));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, left, not_yet);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        (!waited.timed_out()).then_some(state)
    }

    /// Waits; false where the request was stopped.
    pub(super) fn wait(&self, wait: Duration) -> bool {
        self.wait_until(Some(after(wait)), |state| state.stopped).is_none()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    pub(super) fn note_throttled(&self, wait: Duration) {
        self.state().throttled_until = Some(after(wait));
    }

    /// When the wait of the last throttled answer ends, if there was one since the last look.
    pub(crate) fn take_throttled(&self) -> Option<Instant> {
        self.state().throttled_until.take()
    }
}
