//! A PostHog to try things on: `cargo run --example standin` serves the stand-in until it is stopped.

#[path = "../tests/standin/mod.rs"]
mod standin;

fn main() {
    let posthog = standin::StandIn::start();
    println!("export POSTHOG_HOST={}", posthog.url());
    println!("export POSTHOG_PERSONAL_API_KEY={}", standin::KEY);
    println!("export POSTHOG_PROJECT_ID=1");
    loop {
        std::thread::park();
    }
}
