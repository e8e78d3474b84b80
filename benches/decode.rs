//! What it takes to read persons: a page of 1,000 and a walk of 100 pages, as values and as a small struct.

mod loopback;

use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use loopback::Answers;
use posthog_api::{Client, Project};
use serde_derive::Deserialize;
use ureq::Agent;

fn main() {
    // Made now, or the first sample would pay for it.
    LazyLock::force(&ANSWERS);
    divan::main();
}

/// What the slow server waits before a page, and its caller after one.
const PAUSE: Duration = Duration::from_millis(5);

static ANSWERS: LazyLock<Arc<Answers>> = LazyLock::new(|| Answers::new(100));
static CLIENT: LazyLock<Client> = LazyLock::new(|| client(Duration::ZERO));
static SLOW: LazyLock<Client> = LazyLock::new(|| client(PAUSE));

fn client(delay: Duration) -> Client {
    let host = loopback::start(&ANSWERS, delay).unwrap();
    // No proxy: a proxy of the environment would be asked for loopback too.
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

/// Reading a page without decoding it, which is part of the next two.
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

/// A server of 5 ms a page and a caller of 5 ms a page, with so many pages fetched ahead.
#[divan::bench(args = [0, 1, 2], sample_count = 5, sample_size = 1)]
fn walk_with_prefetch(pages: usize) -> usize {
    let persons = SLOW.project(100).persons().prefetch(pages).items();
    let each = persons.map(Result::unwrap).enumerate();
    each.inspect(|(n, _)| {
        if (n + 1) % loopback::PAGE == 0 {
            thread::sleep(PAUSE);
        }
    })
    .count()
}
