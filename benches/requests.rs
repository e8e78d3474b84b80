//! How long a request takes: the query string of a filter, and one GET on a kept connection.

mod loopback;

use std::sync::LazyLock;
use std::time::Duration;

use divan::Bencher;
use loopback::Answers;
use posthog_api::{Client, List, PersonFilter};
use ureq::Agent;

fn main() {
    divan::main();
}

/// It has no pages of persons: nothing here decodes one.
static CLIENT: LazyLock<Client> = LazyLock::new(client);

fn client() -> Client {
    let host = loopback::start(&Answers::new(0), Duration::ZERO).unwrap();
    // No proxy: a proxy of the environment cannot reach this server.
    let agent = Agent::config_builder().proxy(None).build().into();
    let builder = Client::builder("phx_loopback").host(host).agent(agent);
    builder.build().unwrap()
}

fn filters(n: usize) -> impl Iterator<Item = PersonFilter> {
    (0..n).map(|n| PersonFilter::property(format!("property {n}")).icontains("Café & Co"))
}

/// The JSON of a filter, before it becomes part of a URL.
#[divan::bench(args = [1, 10, 100])]
fn filter_json(bencher: Bencher, n: usize) {
    let filter = PersonFilter::all(filters(n));
    bencher.bench(|| serde_json::to_string(&filter).unwrap());
}

/// Filters, their JSON, the query string, and a request whose answer is an empty page; with 0, the
/// request alone.
#[divan::bench(args = [0, 1, 10, 100])]
fn filtered_list(bencher: Bencher, n: usize) {
    let project = CLIENT.project(1);
    bencher.bench(|| {
        let list = filters(n).fold(project.persons(), List::filter);
        list.page().unwrap()
    });
}

/// An insight of 3 kB, as a `Value`.
#[divan::bench]
fn get(bencher: Bencher) {
    let project = CLIENT.project(1);
    bencher.bench(|| project.insight(28).unwrap());
}
