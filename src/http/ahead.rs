//! Requests that are sent ahead: on threads, before their answers are wanted.
//!
//! The threads fetch bytes, and the caller's thread decodes them: values that one thread creates
//! and another frees make the allocator return memory and ask for it again all the time.

use std::any::Any;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Http;
use super::pace::Pace;
use super::request::Request;
use super::response::Response;
use super::wait::{AFTER_DEADLINE, Failed, IN_HOOK, MAX_TIMEOUT, Watch, after, timed_out};
use crate::error::{Error, ErrorKind, Result};

/// How long a request that was given up is waited for: its answer would be late anyway.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// How many pages come at the smaller size after a failure.
const CAREFUL: u32 = 50;

/// An ordered queue of requests, each sent ahead of its turn.
pub(crate) struct Ahead {
    http: Http,
    queue: VecDeque<Sent>,
    /// Requests that were given up and may still run.
    given_up: Vec<Sent>,
    threads: Threads,
    pub(crate) window: Window,
    /// Whether requests at the same time cannot be the cause of an error.
    own: fn(&Error) -> bool,
    /// The body that was read last: the next request reads into it.
    spare: Vec<u8>,
}

impl Ahead {
    /// `most`: how many requests beyond the first of the queue may be sent; `own`: see
    /// [`is_own`].
    pub(crate) fn new(http: &Http, most: usize, own: fn(&Error) -> bool) -> Ahead {
        Ahead {
            http: http.clone(),
            queue: VecDeque::new(),
            given_up: Vec::new(),
            threads: Threads::new(),
            window: Window::new(most),
            own,
            spare: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether one more request may be sent now.
    fn has_room(&mut self) -> bool {
        for sent in &self.queue {
            self.window.note(&sent.watch, sent.epoch);
        }
        let in_flight = self.queue.len() + self.running_given_up();
        // A request that is only foreseen would take the turn of one that is wanted.
        !self.pace().is_some_and(Pace::is_behind) && self.window.has_room(in_flight)
    }

    /// Sends a request on a thread; false where none can be started.
    fn send(&mut self, request: Request) -> bool {
        let beside = !self.queue.is_empty() || self.running_given_up() > 0;
        let mut sent = request.clone();
        sent.buffer = std::mem::take(&mut self.spare);
        // Taken here and not on the thread, so that `has_room` sees it.
        sent.turn = self.pace().and_then(|pace| pace.take(self.http.deadline));
        let Some((watch, answer)) = self.threads.send(sent) else { return false };
        self.queue.push_back(Sent { request, watch, answer, epoch: self.window.epoch });
        if beside {
            self.share();
        }
        true
    }

    /// Makes these requests the queue: those that are in it stay, others are given up, and as many
    /// more as may be in flight are sent.
    pub(crate) fn line_up(&mut self, wanted: Vec<Request>) {
        let (stay, drop): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|sent| wanted.iter().any(|request| sent.request.is_same(request)));
        self.queue = drop;
        self.give_up();
        self.queue = stay;
        for (at, request) in wanted.into_iter().enumerate() {
            if self.queue.get(at).is_some_and(|sent| sent.request.is_same(&request)) {
                continue;
            }
            if !self.has_room() || !self.send(request) {
                return;
            }
            if let Some(sent) = self.queue.pop_back() {
                self.queue.insert(at, sent);
            }
        }
    }

    /// How many requests may be in flight.
    pub(crate) fn most(&self) -> usize {
        self.window.size + 1
    }

    /// The answer to a request, and what `read` reads in it. It is the first of the queue, else it
    /// is sent now. `refill` sends more requests before the answer is read.
    ///
    /// A server may fail because of many requests at once. So a request that failed beside others
    /// is sent once more, alone, and only that answer counts.
    pub(crate) fn take<T>(
        &mut self,
        request: &Request,
        refill: impl FnOnce(&mut Self, &Response),
        mut read: impl FnMut(&Response) -> Result<T>,
    ) -> Result<(Response, T)> {
        let mut read = |answer: Response| read(&answer).map(|page| (answer, page));
        let deadline = request.http.deadline;
        let sent = match self.queue.pop_front() {
            Some(sent) if sent.request.is_same(request) => Some(sent),
            Some(sent) => {
                if self.queue.len() >= self.window.size {
                    // As many run as may run at once: the oldest of them must end first.
                    sent.watch.wait_until_done(deadline.unwrap_or_else(|| after(MAX_TIMEOUT)));
                }
                self.queue.push_front(sent);
                None
            }
            None => None,
        };
        let (answer, counts) = if let Some(sent) = sent {
            let answer = sent.wait(deadline);
            self.window.note(&sent.watch, sent.epoch);
            (answer, !sent.watch.is(|it| it.shared))
        } else {
            let is_alone = self.running_given_up() == 0
                && self.queue.iter().all(|sent| sent.watch.is(|it| it.done));
            self.share();
            (self.fetch(request), is_alone)
        };
        if let Ok(answer) = &answer {
            refill(self, answer);
        }
        match answer.and_then(&mut read) {
            Err(error) if !counts && !(self.own)(&error) && !request.http.is_over() => {
                self.wait_until_alone(deadline);
                match self.fetch(request).and_then(read) {
                    // As where a retry does not fit before the deadline: the first error.
                    Err(_) if request.http.is_over() => Err(error),
                    page => page,
                }
            }
            page => page,
        }
    }

    fn pace(&self) -> Option<&Pace> {
        self.http.core.pace.as_ref()
    }

    /// Keeps the body of an answer that was read.
    pub(crate) fn reuse(&mut self, answer: Response) {
        self.spare = answer.into_body();
    }

    /// Sends a request on this thread.
    fn fetch(&mut self, request: &Request) -> Result<Response> {
        let mut request = request.clone();
        request.buffer = std::mem::take(&mut self.spare);
        let watch = Arc::new(Watch::default());
        request.http = request.http.watched(&watch);
        let answer = request.run_json();
        self.window.note(&watch, self.window.epoch);
        answer
    }

    /// Gives up the queue: its answers and errors do not count.
    pub(crate) fn give_up(&mut self) {
        for sent in self.queue.drain(..) {
            sent.watch.set(|it| it.stopped = true);
            self.given_up.push(sent);
        }
    }

    fn running_given_up(&mut self) -> usize {
        self.given_up.retain(|sent| !sent.watch.is(|it| it.done));
        self.given_up.len()
    }

    /// A failure of these requests can be the work of the others.
    fn share(&self) {
        for sent in &self.queue {
            sent.watch.set(|it| it.shared = true);
        }
    }

    /// Ends the retries of the requests in flight, and waits until none of them runs.
    fn wait_until_alone(&mut self, deadline: Option<Instant>) {
        self.share();
        let sent = || self.queue.iter().chain(&self.given_up);
        sent().for_each(|sent| sent.watch.set(|it| it.stopped = true));
        let until = after(GIVEN_UP);
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        sent().for_each(|sent| sent.watch.wait_until_done(until));
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.give_up();
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

struct Sent {
    request: Request,
    watch: Arc<Watch>,
    answer: Receiver<Received>,
    epoch: u32,
}

/// The outer error is the panic of a caller's hook. The drop of its payload may panic again, so one
/// that nobody takes is never dropped.
type Received = std::result::Result<Result<Response>, ManuallyDrop<Box<dyn Any + Send>>>;

impl Sent {
    /// Waits for the answer, until the deadline.
    fn wait(&self, deadline: Option<Instant>) -> Result<Response> {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match self.answer.recv_timeout(left.unwrap_or(MAX_TIMEOUT)) {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => panic::resume_unwind(ManuallyDrop::into_inner(panic)),
            Err(_) => Err(timed_out(AFTER_DEADLINE)),
        }
    }
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

    /// Notes the failed attempts of a request that was sent in this epoch.
    fn note(&mut self, watch: &Watch, epoch: u32) {
        let Failed { any, is_full, throttled_until } = watch.take_failed();
        if any && epoch == self.epoch {
            self.size = if is_full { 0 } else { self.size / 2 };
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
    watch: Arc<Watch>,
    answer: Sender<Received>,
    /// A hook asked for it, so no hook sees its waits.
    in_hook: bool,
}

impl Threads {
    fn new() -> Threads {
        let (jobs, queue) = mpsc::channel();
        Threads { jobs, queue: Arc::new(Mutex::new(queue)), idle: Arc::default() }
    }

    /// Sends a request on a thread; `None` where there is none and none can be started.
    fn send(&self, mut request: Request) -> Option<(Arc<Watch>, Receiver<Received>)> {
        let take_one = |idle: usize| idle.checked_sub(1);
        if self.idle.fetch_update(Ordering::AcqRel, Ordering::Acquire, take_one).is_err() {
            let (queue, idle) = (Arc::clone(&self.queue), Arc::clone(&self.idle));
            let thread = thread::Builder::new().name("posthog-api".to_owned());
            thread.spawn(move || work(&queue, &idle)).ok()?;
        }
        let watch = Arc::new(Watch::default());
        request.http = request.http.watched(&watch);
        let (answer, received) = mpsc::channel();
        let job = Job { request, watch: Arc::clone(&watch), answer, in_hook: IN_HOOK.get() };
        self.jobs.send(job).ok()?;
        Some((watch, received))
    }
}

/// Sends requests on one thread, until the [`Threads`] are dropped and the last job is done.
fn work(queue: &Mutex<Receiver<Job>>, idle: &AtomicUsize) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(Job { request, watch, answer, in_hook }) = next() {
        IN_HOOK.set(in_hook);
        let got = panic::catch_unwind(AssertUnwindSafe(|| request.run_json()));
        idle.fetch_add(1, Ordering::AcqRel);
        let _ = answer.send(got.map_err(ManuallyDrop::new)); // it may have been dropped
        watch.set(|it| it.done = true);
    }
}
