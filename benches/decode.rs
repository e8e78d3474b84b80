//! How long it takes to read persons: a page of 1,000, and a walk of 100 pages, as values and as a
//! small struct; and what pages in flight gain.

mod busy;
mod loopback;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use loopback::Answers;
use posthog_api::{Client, Project};
use serde_derive::Deserialize;
use ureq::Agent;

fn main() {
    // Made now: the first sample must not pay for them.
    LazyLock::force(&ANSWERS);
    LazyLock::force(&STEPS);
    divan::main();
}

/// How long the slow server waits before a page.
const SLOW: Duration = Duration::from_millis(50);

/// How long a caller works on each page.
const WORK: Duration = Duration::from_millis(3);

static ANSWERS: LazyLock<Arc<Answers>> = LazyLock::new(|| Answers::new(100));
static CLIENT: LazyLock<Client> = LazyLock::new(|| client(Duration::ZERO));
static SLOW_CLIENT: LazyLock<Client> = LazyLock::new(|| client(SLOW));
static STEPS: LazyLock<u64> = LazyLock::new(|| busy::steps(WORK));

fn client(delay: Duration) -> Client {
    let host = loopback::start(&ANSWERS, delay).unwrap();
    // No proxy: a proxy of the environment cannot reach this server.
    let agent = Agent::config_builder().proxy(None).build().into();
    let builder = Client::builder("phx_loopback").host(host).agent(agent);
    builder.build().unwrap()
}

#[derive(Deserialize)]
struct Person {
    properties: Properties,
}

#[derive(Deserialize)]
struct Properties {
    age: u64,
}

fn as_values(project: &Project) -> u64 {
    let persons = project.persons().items();
    persons.map(|person| person.unwrap()["properties"]["age"].as_u64().unwrap()).sum()
}

fn as_structs(project: &Project) -> u64 {
    let persons = project.persons().items_as::<Person>();
    persons.map(|person| person.unwrap().properties.age).sum()
}

/// A page that is not decoded. The next two contain this time.
#[divan::bench]
fn page_as_text() -> String {
    let request = CLIENT.project(1).get("persons/").param("limit", loopback::PAGE);
    request.text().unwrap()
}

#[divan::bench]
fn page_as_values() -> u64 {
    as_values(&CLIENT.project(1))
}

#[divan::bench]
fn page_as_structs() -> u64 {
    as_structs(&CLIENT.project(1))
}

#[divan::bench(sample_count = 11, sample_size = 1)]
fn walk_as_values() -> u64 {
    as_values(&CLIENT.project(100))
}

#[divan::bench(sample_count = 11, sample_size = 1)]
fn walk_as_structs() -> u64 {
    as_structs(&CLIENT.project(100))
}

/// 40 pages of a server that takes 50 ms for each, with so many pages ahead.
#[divan::bench(args = [0, 1, 4, 8], sample_count = 3, sample_size = 1)]
fn slow_walk_with_prefetch(pages: usize) -> u64 {
    walk(&SLOW_CLIENT.project(40), pages, 0)
}

/// 100 pages of a fast server, for a caller that works 3 ms on each, with so many pages ahead.
#[divan::bench(args = [0, 2], sample_count = 5, sample_size = 1)]
fn working_walk_with_prefetch(pages: usize) -> u64 {
    walk(&CLIENT.project(100), pages, *STEPS)
}

/// The caller works for `steps` on each page.
fn walk(project: &Project, ahead: usize, steps: u64) -> u64 {
    let mut ages = 0;
    for (n, person) in project.persons().prefetch(ahead).items().enumerate() {
        ages += person.unwrap()["properties"]["age"].as_u64().unwrap();
        if (n + 1) % loopback::PAGE == 0 {
            busy::work(steps);
        }
    }
    ages
}
