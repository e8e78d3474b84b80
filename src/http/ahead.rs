//! Requests that are sent ahead: on threads, before their answers are wanted.
//!
//! The threads fetch bytes, and the caller's thread decodes them: values that one thread creates and
//! another frees make the allocator return memory and ask for it again all the time.

use std::any::Any;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::wait::{after, is_in_hook, set_in_hook};
use super::{AFTER_DEADLINE, Pace, Request, Response, timed_out};
use crate::error::{Error, ErrorKind, Result};

/// How long a request that was given up is waited for: its answer would be late anyway.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// How many pages come at the smaller size after a failure.
const CAREFUL: u32 = 50;

/// How many bodies that were read are kept for the next requests.
const SPARE: usize = 2;

/// An ordered queue of requests, each sent ahead of its turn. `P` is what the caller knows the
/// request by.
pub(crate) struct Ahead<P> {
    queue: VecDeque<(P, Sent)>,
    /// Requests that were given up and may still run.
    given_up: Vec<Sent>,
    threads: Threads,
    window: Window,
    /// Whether requests at the same time cannot be the cause of an error.
    own: fn(&Error) -> bool,
    /// Bodies that were read: the next requests read into them.
    spare: Vec<Vec<u8>>,
}

impl<P: PartialEq> Ahead<P> {
    /// `most`: how many requests beyond the first of the queue may be sent; `own`: see
    /// [`is_own`].
    pub(crate) fn new(most: usize, own: fn(&Error) -> bool) -> Ahead<P> {
        Ahead {
            queue: VecDeque::new(),
            given_up: Vec::new(),
            threads: Threads::new(),
            window: Window::new(most),
            own,
            spare: Vec::new(),
        }
    }

    /// How many requests are in the queue.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// What the first request of the queue is known by.
    pub(crate) fn first(&mut self) -> Option<&mut P> {
        self.queue.front_mut().map(|(place, _)| place)
    }

    pub(crate) fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// Whether a request behind the first one may be sent now. `taken`: 1 where the first one was
    /// taken out of the queue already.
    pub(crate) fn has_room(&mut self, pace: Option<&Pace>, taken: usize) -> bool {
        for (_, sent) in &self.queue {
            self.window.note(sent);
        }
        let in_flight = self.queue.len() + self.running_given_up() + taken;
        // A request that is only foreseen would take the turn of one that is wanted.
        !pace.is_some_and(Pace::is_behind) && self.window.has_room(in_flight)
    }

    /// Sends a request on a thread; false where none can be started.
    pub(crate) fn send(&mut self, place: P, mut request: Request) -> bool {
        let beside = !self.queue.is_empty() || self.running_given_up() > 0;
        request.buffer = self.spare.pop().unwrap_or_default();
        let Some(ticket) = self.threads.send(request) else { return false };
        self.share();
        self.queue.push_back((place, Sent { ticket, shared: beside, epoch: self.window.epoch }));
        true
    }

    /// The answer to the request that is known by `place`, and what `read` reads in it. It is the
    /// first of the queue, else it is sent now, and the queue is given up. `refill` sends more
    /// requests before the answer is read.
    ///
    /// A server may fail because of many requests at once. So a request that failed beside others
    /// is sent once more, alone, and only that answer counts.
    pub(crate) fn take<T>(
        &mut self,
        place: &P,
        request: &Request,
        refill: impl FnOnce(&mut Self),
        mut read: impl FnMut(&Response) -> Result<T>,
    ) -> Result<(Response, T)> {
        let mut read = |answer: Response| read(&answer).map(|page| (answer, page));
        let deadline = request.http().deadline();
        let (answer, counts) = match self.queue.front() {
            Some((first, _)) if first == place => {
                let Some((_, sent)) = self.queue.pop_front() else { return Err(stopped()) };
                let answer = sent.ticket.take(deadline);
                self.window.note(&sent);
                (answer, !sent.shared)
            }
            _ => {
                self.give_up();
                let counts = self.running_given_up() == 0;
                (self.fetch(request), counts)
            }
        };
        if answer.is_ok() {
            refill(self);
        }
        match answer.and_then(&mut read) {
            Err(error) if !counts && !(self.own)(&error) && !request.http().is_over() => {
                self.wait_until_alone(deadline);
                match self.fetch(request).and_then(read) {
                    // As of a retry that does not fit before the deadline.
                    Err(_) if request.http().is_over() => Err(error),
                    page => page,
                }
            }
            page => page,
        }
    }

    /// Keeps the body of an answer that was read.
    pub(crate) fn reuse(&mut self, answer: Response) {
        if self.spare.len() < SPARE {
            self.spare.push(answer.into_body());
        }
    }

    /// Sends a request on this thread.
    fn fetch(&mut self, request: &Request) -> Result<Response> {
        let mut request = request.clone();
        request.buffer = self.spare.pop().unwrap_or_default();
        let ticket = Arc::new(Ticket::default());
        *request.http_mut() = request.http().watched(&ticket);
        let answer = request.run_json();
        self.window.note(&Sent { ticket, shared: false, epoch: self.window.epoch });
        answer
    }

    /// Gives up the queue: its answers and errors do not count.
    pub(crate) fn give_up(&mut self) {
        for (_, sent) in self.queue.drain(..) {
            sent.ticket.stop();
            self.given_up.push(sent);
        }
    }

    /// How many requests that were given up still run.
    fn running_given_up(&mut self) -> usize {
        self.given_up.retain(|sent| !sent.ticket.is_over());
        self.given_up.len()
    }

    /// A failure of these requests can be the work of the others.
    fn share(&mut self) {
        for (_, sent) in &mut self.queue {
            sent.shared = true;
        }
    }

    /// Ends the retries of the requests in flight, and waits until none of them runs.
    fn wait_until_alone(&mut self, deadline: Option<Instant>) {
        self.share();
        let sent = || self.queue.iter().map(|(_, sent)| sent).chain(&self.given_up);
        sent().for_each(|sent| sent.ticket.stop());
        let until = after(GIVEN_UP);
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        for sent in sent() {
            sent.ticket.wait_until(Some(until), |state| state.answer.is_some());
        }
    }
}

impl<P> Drop for Ahead<P> {
    fn drop(&mut self) {
        for (_, sent) in &self.queue {
            sent.ticket.stop();
        }
    }
}

/// Whether an error is the request's own: other requests at the same time cannot cause it.
pub(crate) fn is_own(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Config | ErrorKind::Unauthenticated | ErrorKind::NotFound => true,
        ErrorKind::PermissionDenied => error.error_type().is_some(),
        ErrorKind::Refused => matches!(error.status(), Some(400 | 405)),
        _ => false,
    }
}

/// A request that was sent.
struct Sent {
    ticket: Arc<Ticket>,
    /// Another request ran at the same time.
    shared: bool,
    epoch: u32,
}

/// How many requests may be in flight behind the first one.
pub(crate) struct Window {
    size: usize,
    most: usize,
    /// It does not grow past this size for so many pages.
    careful: (usize, u32),
    /// No new request before this time.
    paused_until: Option<Instant>,
    /// How often it was halved: requests that were in flight together fail together, and that is
    /// one failure.
    epoch: u32,
}

impl Window {
    fn new(most: usize) -> Window {
        Window { size: most.min(1), most, careful: (most, 0), paused_until: None, epoch: 0 }
    }

    fn has_room(&mut self, in_flight: usize) -> bool {
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        self.paused_until = None;
        in_flight <= self.size
    }

    /// A page was foreseen rightly.
    pub(crate) fn grow(&mut self) {
        let (size, pages) = self.careful;
        self.careful.1 = pages.saturating_sub(1);
        let most = if self.careful.1 > 0 { size } else { self.most };
        self.size = (self.size + 1).min(most);
    }

    /// A page was foreseen wrongly.
    pub(crate) fn reset(&mut self) {
        self.size = self.size.min(1);
    }

    /// Notes the failed attempts of a request.
    fn note(&mut self, sent: &Sent) {
        let Failed { failed, throttled_until } = std::mem::take(&mut sent.ticket.state().failed);
        if failed && sent.epoch == self.epoch {
            self.size /= 2;
            self.careful = (self.size, CAREFUL);
            self.epoch = self.epoch.wrapping_add(1);
        }
        self.paused_until = self.paused_until.max(throttled_until);
    }
}

/// Threads that send requests. Each is started when all others have a request, and ends with the
/// iterator.
struct Threads {
    jobs: Sender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
    /// How many threads have no request.
    idle: Arc<AtomicUsize>,
}

struct Job {
    request: Request,
    ticket: Arc<Ticket>,
    /// A hook asked for it, so no hook sees its waits.
    in_hook: bool,
}

impl Threads {
    fn new() -> Threads {
        let (jobs, queue) = mpsc::channel();
        Threads { jobs, queue: Arc::new(Mutex::new(queue)), idle: Arc::default() }
    }

    /// Sends a request on a thread; `None` where there is none and none can be started.
    fn send(&self, mut request: Request) -> Option<Arc<Ticket>> {
        let take_one = |idle: usize| idle.checked_sub(1);
        if self.idle.fetch_update(Ordering::AcqRel, Ordering::Acquire, take_one).is_err() {
            let (queue, idle) = (Arc::clone(&self.queue), Arc::clone(&self.idle));
            let thread = thread::Builder::new().name("posthog-api".to_owned());
            thread.spawn(move || work(&queue, &idle)).ok()?;
        }
        let ticket = Arc::new(Ticket::default());
        *request.http_mut() = request.http().watched(&ticket);
        self.jobs.send(Job { request, ticket: Arc::clone(&ticket), in_hook: is_in_hook() }).ok()?;
        Some(ticket)
    }
}

/// The life of a thread: it ends when there is no job and no [`Threads`] to send one.
fn work(queue: &Mutex<Receiver<Job>>, idle: &AtomicUsize) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(Job { request, ticket, in_hook }) = next() {
        set_in_hook(in_hook);
        let answer = panic::catch_unwind(AssertUnwindSafe(|| request.run_json()));
        idle.fetch_add(1, Ordering::AcqRel);
        ticket.state().answer = Some(answer.map_err(ManuallyDrop::new));
        ticket.changed.notify_all();
    }
}

/// What a thread and the caller know of a request together.
#[derive(Default)]
pub(crate) struct Ticket {
    state: Mutex<State>,
    changed: Condvar,
}

/// The panic of a caller's hook. The drop of its payload may panic again, so one that nobody takes is
/// never dropped.
type Panic = ManuallyDrop<Box<dyn Any + Send>>;

#[derive(Default)]
struct State {
    stopped: bool,
    failed: Failed,
    answer: Option<std::result::Result<Result<Response>, Panic>>,
}

/// The failed attempts since the last look.
#[derive(Default)]
struct Failed {
    failed: bool,
    /// When the wait of the last throttled answer ends.
    throttled_until: Option<Instant>,
}

impl Ticket {
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

    /// Waits for the answer, until the deadline.
    fn take(&self, deadline: Option<Instant>) -> Result<Response> {
        let answer = self.wait_until(deadline, |state| state.answer.is_some());
        let answer = answer.and_then(|mut state| state.answer.take());
        match answer {
            Some(Ok(answer)) => answer,
            Some(Err(panic)) => panic::resume_unwind(ManuallyDrop::into_inner(panic)),
            None => Err(timed_out(AFTER_DEADLINE)),
        }
    }

    /// Ends its waits; a request that was sent runs to its end, and is not retried.
    fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    fn is_over(&self) -> bool {
        self.state().answer.is_some()
    }

    /// Waits; false where the request was given up.
    pub(super) fn wait(&self, wait: Duration) -> bool {
        self.wait_until(Some(after(wait)), |state| state.stopped).is_none()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Notes a failed attempt. `throttled`: the wait that a 429 asks for.
    pub(super) fn note_failed(&self, throttled: Option<Duration>) {
        let failed = &mut self.state().failed;
        failed.failed = true;
        failed.throttled_until = failed.throttled_until.max(throttled.map(after));
    }
}

/// The error of a request that was given up. Nobody sees it.
pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Broken, "the request was given up")
}
