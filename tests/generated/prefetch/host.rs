//! A server of many lists at once, which counts the requests that it works on.
use super::script::{List, Policy, Query, throttled};
use crate::support::{Act, Request, Server, builder, decode};
use posthog_api::{Client, RetryPolicy, ureq};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One reading of a list.
pub struct Reading {
    list: List,
    running: AtomicUsize,
    /// How many requests ran at once, at most.
    most: AtomicUsize,
    /// How often each page was answered 429.
    throttled: Mutex<HashMap<usize, u8>>,
}

impl Reading {
    pub fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    fn act(&self, request: &Request) -> Act {
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(running, SeqCst);
        let query = query_of(request);
        let page = self.list.find(&query);
        let latency = page.map_or(2, |page| self.list.pages[page].latency);
        thread::sleep(Duration::from_millis(latency.into()));
        // Counted before the answer is sent: a client that has it can send the next request.
        let running = self.running.fetch_sub(1, SeqCst);
        if let Some((_, fault)) = self.list.busy.filter(|(limit, _)| running > usize::from(*limit))
        {
            return fault.act();
        }
        if let Some(page) = page {
            let mut given = self.throttled.lock().unwrap();
            let given = given.entry(page).or_default();
            if *given < self.list.pages[page].throttled {
                *given += 1;
                return throttled("0");
            }
        }
        self.list.answer(&query, request.path()).act()
    }
}

fn query_of(request: &Request) -> Query {
    let pairs = request.query().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

/// The server, and a client for each policy.
pub struct Host {
    readings: Arc<Mutex<HashMap<String, Arc<Reading>>>>,
    clients: [Client; 3],
    next: AtomicUsize,
    _server: Server,
}

impl Host {
    pub fn start() -> Host {
        let readings: Arc<Mutex<HashMap<String, Arc<Reading>>>> = Arc::default();
        let known = Arc::clone(&readings);
        let server = Server::start(move |request, _| {
            let reading = known.lock().unwrap().get(request.path()).cloned();
            match reading {
                Some(reading) => reading.act(request),
                None => Act::error(418, "error", "unknown", "no such list"),
            }
        });
        let none = RetryPolicy::default().max_wait(Duration::ZERO);
        let policies = [RetryPolicy::none(), none, RetryPolicy::default().max_retries(1)];
        let agent = ureq::Agent::config_builder().proxy(None).max_idle_connections_per_host(16);
        let agent = agent.build().new_agent();
        let clients = policies.map(|policy| {
            builder(server.url()).agent(agent.clone()).retry(policy).build().unwrap()
        });
        Host { readings, clients, next: AtomicUsize::new(0), _server: server }
    }

    pub fn client(&self, policy: Policy) -> &Client {
        let [nothing, without_wait, once] = &self.clients;
        match policy {
            Policy::Nothing => nothing,
            Policy::WithoutWait => without_wait,
            Policy::Once => once,
        }
    }

    /// A list under a path of its own.
    pub fn serve(&self, list: &List) -> (String, Arc<Reading>) {
        let path = format!("/api/things/{:06}/", self.next.fetch_add(1, SeqCst));
        let reading = Arc::new(Reading {
            list: list.clone(),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            throttled: Mutex::default(),
        });
        self.readings.lock().unwrap().insert(path.clone(), Arc::clone(&reading));
        (path, reading)
    }
}
