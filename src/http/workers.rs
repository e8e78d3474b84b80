//! Workers: threads that send requests while the caller does something else.
//!
//! They fetch bytes, and the caller's thread decodes them: values that one thread creates and another frees make the
//! allocator return memory and ask for it again all the time.

use std::collections::{HashMap, VecDeque};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::wait::{Watch, is_in_hook, set_in_hook};
use super::{AFTER_DEADLINE, Request, Response, timed_out};
use crate::error::Result;

/// The outcome of a request; the outer error is the panic of a caller's hook.
type Fetched = thread::Result<Result<Response>>;

/// A request that a worker sends.
pub(crate) struct Started {
    id: u64,
    pub(crate) watch: Arc<Watch>,
}

/// The workers of one iterator. Each is started when all others have a request, and ends with the iterator.
pub(crate) struct Workers {
    board: Arc<Board>,
    next_id: u64,
}

impl Workers {
    pub(crate) fn new() -> Workers {
        Workers { board: Arc::default(), next_id: 0 }
    }

    /// Sends a request on a worker; `None` where there is none and none can be started.
    pub(crate) fn start(&mut self, mut request: Request) -> Option<Started> {
        let watch = Arc::new(Watch::default());
        *request.http_mut() = request.http().watched(&watch);
        let id = self.next_id;
        self.next_id += 1;
        Board::request(&self.board, Job { id, request, in_hook: is_in_hook() })
            .then_some(Started { id, watch })
    }

    /// Waits for the answer. The outer error is that of the deadline.
    pub(crate) fn take(
        &self,
        started: &Started,
        deadline: Option<Instant>,
    ) -> Result<Result<Response>> {
        match self.board.take(started.id, deadline) {
            Some(Ok(fetched)) => Ok(fetched),
            Some(Err(panic)) => panic::resume_unwind(panic),
            None => {
                self.abandon(started);
                Err(timed_out(AFTER_DEADLINE))
            }
        }
    }

    /// Gives up a request: its answer or error does not count.
    pub(crate) fn abandon(&self, started: &Started) {
        started.watch.stop();
        self.board.abandon(started.id);
    }

    /// How many abandoned requests a worker still has.
    pub(crate) fn abandoned(&self) -> usize {
        self.board.abandoned()
    }

    /// Waits until no request is left, or the deadline passes.
    pub(crate) fn wait_until_idle(&self, deadline: Option<Instant>) {
        self.board.wait_until_idle(deadline);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.board.close();
    }
}

/// A request for a worker.
struct Job {
    id: u64,
    request: Request,
    /// A hook asked for it, so no hook sees its waits.
    in_hook: bool,
}

/// Where the caller's thread leaves jobs, and workers leave answers.
#[derive(Default)]
struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Workers that wait for a job.
    waiting: usize,
    /// Ids of the jobs that a worker has; those whose page was abandoned are false.
    running: HashMap<u64, bool>,
    done: HashMap<u64, Fetched>,
    closed: bool,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a job for a worker, and starts one where all have a job; false where that is not
    /// possible.
    fn request(board: &Arc<Board>, job: Job) -> bool {
        let mut state = board.state();
        if state.waiting <= state.jobs.len() {
            let worker = Arc::clone(board);
            let thread = thread::Builder::new().name("posthog-api".to_owned());
            if thread.spawn(move || worker.work()).is_err() {
                return false;
            }
            // It counts as waiting from now on, so that the next job starts another.
            state.waiting += 1;
        }
        state.jobs.push_back(job);
        board.changed.notify_all();
        true
    }

    /// The life of a worker.
    fn work(&self) {
        let mut state = self.state();
        loop {
            let Some(job) = state.jobs.pop_front() else {
                if state.closed {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.waiting -= 1;
            state.running.insert(job.id, true);
            drop(state);
            let Job { id, request, in_hook } = job;
            set_in_hook(in_hook);
            let fetched = panic::catch_unwind(AssertUnwindSafe(|| request.run_json()));
            state = self.state();
            state.waiting += 1;
            if state.running.remove(&id) == Some(true) {
                state.done.insert(id, fetched);
            }
            self.changed.notify_all();
        }
    }

    /// The answer of a job, once it is there; `None` where the deadline passes before.
    fn take(&self, id: u64, deadline: Option<Instant>) -> Option<Fetched> {
        let mut state = self.state();
        loop {
            if let Some(fetched) = state.done.remove(&id) {
                return Some(fetched);
            }
            state = self.wait(state, deadline)?;
        }
    }

    /// Waits until no job is left, or the deadline passes.
    fn wait_until_idle(&self, deadline: Option<Instant>) {
        let mut state = self.state();
        while !(state.jobs.is_empty() && state.running.is_empty()) {
            match self.wait(state, deadline) {
                Some(again) => state = again,
                None => return,
            }
        }
    }

    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'a, State>> {
        let Some(deadline) = deadline else {
            return Some(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let waited = self.changed.wait_timeout(state, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Forgets a job, or its answer.
    fn abandon(&self, id: u64) {
        let mut state = self.state();
        state.jobs.retain(|job| job.id != id);
        state.done.remove(&id);
        if let Some(wanted) = state.running.get_mut(&id) {
            *wanted = false;
        }
    }

    /// How many abandoned jobs a worker still has.
    fn abandoned(&self) -> usize {
        self.state().running.values().filter(|wanted| !**wanted).count()
    }

    /// Ends the workers, each after the job that it has.
    fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}
