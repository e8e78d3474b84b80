//! The jobs, with this crate: `ours gets N`, `ours persons [PREFETCH [STEPS]]`, `ours tls CA`,
//! `ours events AFTER PREFETCH [text]`, which leaves properties as text with `text`; and
//! `ours steps MS`, which prints how many steps of work take so long.

#[path = "../../../busy/mod.rs"]
mod busy;

use std::error::Error;
use std::time::Duration;
use std::{env, fs};

use posthog_api::{Client, Project, aggregated_value};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["gets", n] => gets(n.parse()?),
        ["persons"] => persons(0, 0),
        ["persons", prefetch] => persons(prefetch.parse()?, 0),
        ["persons", prefetch, steps] => persons(prefetch.parse()?, steps.parse()?),
        ["steps", ms] => {
            println!("{}", busy::steps(Duration::from_millis(ms.parse()?)));
            Ok(())
        }
        ["events", after, prefetch] => events(after, prefetch.parse()?, true),
        ["events", after, prefetch, "text"] => events(after, prefetch.parse()?, false),
        ["tls", ca] => tls(ca),
        _ => Err("which job?".into()),
    }
}

fn gets(n: usize) -> Result<(), Box<dyn Error>> {
    let project = Project::from_env()?;
    let mut sum = 0.0;
    for _ in 0..n {
        sum += aggregated_value(&project.insight(28)?)?;
    }
    println!("{sum:.1}");
    Ok(())
}

/// The caller works for `steps` after each thousand persons.
fn persons(prefetch: usize, steps: u64) -> Result<(), Box<dyn Error>> {
    let (mut count, mut ages) = (0, 0);
    for person in Project::from_env()?.persons().prefetch(prefetch).items() {
        ages += person?["properties"]["age"].as_u64().ok_or("a person without an age")?;
        count += 1;
        if count % 1_000 == 0 {
            busy::work(steps);
        }
    }
    println!("{count} {ages}");
    Ok(())
}

fn events(after: &str, prefetch: usize, parsed: bool) -> Result<(), Box<dyn Error>> {
    let columns = if parsed { vec!["properties"] } else { vec![] };
    let events = Project::from_env()?.events().after(after).before("2026-01-31");
    let mut count = 0;
    for event in events.prefetch(prefetch).json_columns(columns) {
        count += usize::from(event?["uuid"].is_string());
    }
    println!("{count}");
    Ok(())
}

fn tls(ca: &str) -> Result<(), Box<dyn Error>> {
    let ca = Certificate::from_pem(&fs::read(ca)?)?;
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[ca])).build();
    let agent = Agent::new_with_config(Agent::config_builder().tls_config(tls).build());
    let client = Client::builder(env::var("POSTHOG_PERSONAL_API_KEY")?)
        .host(env::var("POSTHOG_HOST")?)
        .agent(agent)
        .build()?;
    let insight = client.project(env::var("POSTHOG_PROJECT_ID")?.parse()?).insight(28)?;
    println!("{:.1}", aggregated_value(&insight)?);
    Ok(())
}
